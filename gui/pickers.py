"""The lists that open over a view: EEG streams, sound devices, packs; each is looked for while it is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtWidgets import QWidget

from bci_music.messages import StreamState
from bci_music.status import Choice, Snapshot, StreamChoice
from gui.bridge import Bridge
from gui.widgets.choice_picker import ChoicePicker

SIZE = (720, 420)  # of a list, design px
STREAMS = ("EEG streams", "Which EEG stream?",
           "No EEG stream can be seen yet: is the amplifier's program running, on the same network?",
           "Up and Down, then Enter. L shows and hides this list.")
DEVICES = ("Sound devices", "Where to with the sound?", "Looking for sound devices.",
           "Up and Down, then Enter. A shows and hides this list; what was plugged in since the start is not in it.")
PACKS = ("Packs", "Which pack?", "Looking for packs.",
         "Up and Down, then Enter: this run ends and begins again with that pack. P hides this list.")


@dataclass
class _Picker:
    """One list: what it shows now, None where this run has no choice, and who is told that somebody looks."""

    panel: ChoicePicker
    choices: Callable[[Snapshot], tuple[Choice, ...] | None]
    look: Callable[[bool], None]
    looking: bool = False

    def tell(self, looking: bool) -> None:
        """Say whether somebody looks, where that has changed."""
        if looking != self.looking:
            self.looking = looking
            self.look(looking)


class Pickers:
    """What the window asks of its lists.

    Parameters
    ----------
    bridge : Bridge
    window : QWidget
        They lie over it, and it takes the keys when they are gone.
    """

    def __init__(self, bridge: Bridge, window: QWidget):
        self._bridge, self._window = bridge, window
        self._asked = False  # the operator, which stream is meant
        self.streams = _Picker(ChoicePicker(*STREAMS, window), _streams, bridge.look_for_streams)
        self.devices = _Picker(ChoicePicker(*DEVICES, window), _devices, bridge.look_for_devices)
        self.packs = _Picker(ChoicePicker(*PACKS, window), _packs, bridge.look_for_packs)
        self.all = (self.streams, self.devices, self.packs)
        asks = (self._choose_stream, bridge.choose_device, bridge.choose_pack)
        for picker, ask in zip(self.all, asks, strict=True):
            picker.panel.chosen.connect(self.leave)
            picker.panel.chosen.connect(ask)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what there is; ask which stream is meant, once, where several match."""
        searching = snapshot.streams is not None and snapshot.stream.state is StreamState.SEARCHING
        if not searching:
            self._asked = False
        elif not self._asked and len(snapshot.streams or ()) > 1:
            self._asked = True
            self._open(self.streams)
        for picker in self.all:
            choices = picker.choices(snapshot)
            if choices is None:
                picker.panel.hide()
            elif picker.panel.isVisible():
                picker.panel.show_choices(choices)
            picker.tell(picker.panel.isVisible() or (searching and picker is self.streams))

    def toggle(self, picker: _Picker) -> None:
        """Show a list, or hide it; a run that has no such choice shows none."""
        if picker.panel.isVisible():
            self.leave()
        elif picker.choices(self._bridge.snapshot) is not None:
            self._open(picker)

    def leave(self) -> bool:
        """Hide the list that is open; returns whether one was."""
        there = [picker.panel for picker in self.all if picker.panel.isVisible()]
        for panel in there:
            panel.hide()
        if there:
            self._window.setFocus()
        return bool(there)

    def lay_out(self, width: int, height: int, scale: float) -> None:
        """Put the lists into the middle of a window of this size."""
        for picker in self.all:
            picker.panel.set_scale(scale)
            w, h = min(width - 32, max(480, round(SIZE[0] * scale))), round(SIZE[1] * scale)
            picker.panel.setGeometry((width - w) // 2, (height - h) // 2, w, h)

    def _open(self, picker: _Picker) -> None:
        self.leave()
        picker.panel.show_choices(picker.choices(self._bridge.snapshot) or ())
        picker.panel.show()
        picker.panel.raise_()
        picker.panel.rows.setFocus()
        picker.tell(True)

    def _choose_stream(self, uid: str) -> None:
        self._asked = True
        self._bridge.choose_stream(uid)


def _streams(snapshot: Snapshot) -> tuple[Choice, ...] | None:
    info = snapshot.stream.info
    joined = info.source_id if info is not None else ""
    if snapshot.streams is None:
        return None
    return tuple(_stream(s, bool(joined) and s.source_id == joined) for s in snapshot.streams)


def _devices(snapshot: Snapshot) -> tuple[Choice, ...] | None:
    return snapshot.sound.devices if snapshot.sound.generator else None


def _packs(snapshot: Snapshot) -> tuple[Choice, ...] | None:
    return snapshot.shelf.packs if snapshot.shelf is not None and "pack" in snapshot.others else None


def _stream(stream: StreamChoice, joined: bool) -> Choice:
    """Describe a stream."""
    rate = f"{stream.sfreq_hz:g} Hz" if stream.sfreq_hz > 0 else "no stated rate"
    channels = f"{stream.n_channels} channel{'' if stream.n_channels == 1 else 's'}"
    age = f"{'up for' if stream.here else 'seen for'} {_duration(stream.age_s)}"
    facts = f"{channels}  ·  {rate}  ·  on {stream.host}  ·  {age}"
    return Choice(stream.uid, stream.name or "(no name)", facts, joined)


def _duration(seconds: float) -> str:
    """Return a time as people say it: "12 s", "5 min", "3 h", "2 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
