"""Base of the views that show signals: follows stream and montage, draws traces and electrodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtWidgets import QWidget

from bci_music.eeg.montage import Montage
from bci_music.messages import ChannelState, Quality, StreamState
from bci_music.status import Snapshot
from gui.bridge import Bridge
from gui.placement import Placement, place
from gui.readings import stream_note
from gui.views.view import Keys, View
from gui.widgets.quality import QualityMap
from gui.widgets.traces import Traces

SILENT_FRAMES = 120  # frames without a sample on a live stream after which a new cursor is asked for


class SignalView(View):
    """Traces of the raw stream and the electrodes' quality."""

    help: ClassVar[Keys] = (("Up Down", "larger or smaller signals"),)

    def __init__(self, bridge: Bridge, parent: QWidget | None = None):
        super().__init__(bridge, parent)
        self._silent_frames = 0
        self._stream: tuple | None = None
        self._montage: Montage | None = None
        self._placement = Placement((), (), ())
        self.traces, self.quality = Traces(self), QualityMap(self)
        self.parts = {"traces": self.traces, "quality": self.quality}

    def keys(self) -> dict[str, Callable[[], None]]:
        """Up and Down zoom the traces."""
        return {"Up": lambda: self.traces.zoom(-1), "Down": lambda: self.traces.zoom(1)}

    def follow_stream(self, snapshot: Snapshot) -> None:
        """Begin new traces and maps when stream or montage have changed."""
        info, montage = snapshot.stream.info, self.bridge.montage
        if montage is not self._montage:
            self._montage = montage
            self.show_montage(montage)
            self._stream = None
        stream = (info.labels, info.sfreq_hz) if info is not None else None
        if info is not None and stream != self._stream:
            self._stream = stream
            self._placement = place(info, montage)
            self.bridge.drop_cursor()
            self.traces.show_stream(info.labels, info.sfreq_hz, self._placement)

    def show_montage(self, montage: Montage | None) -> None:
        """Take electrode places."""
        self.quality.show_montage(montage)

    def show_words(self, snapshot: Snapshot) -> None:
        """Show verdicts, and what is wrong with the stream."""
        self.quality.show_quality(snapshot.quality)
        self.traces.set_note(stream_note(snapshot.stream))
        if snapshot.quality is not None and snapshot.stream.info is not None:
            self.traces.set_states(self._stream_states(snapshot.quality, snapshot.stream.info.labels))

    def advance(self) -> None:
        """Draw the newest columns of the traces."""
        cursor = self.bridge.cursor()
        taken = self.traces.advance(cursor) if cursor is not None else 0
        live = self.bridge.snapshot.stream.state is StreamState.LIVE
        self._silent_frames = self._silent_frames + 1 if live and not taken else 0
        if self._silent_frames > SILENT_FRAMES:
            self._silent_frames = 0
            self.bridge.drop_cursor()  # data flow, but not into the ring this cursor reads

    def _stream_states(self, quality: Quality, labels: tuple[str, ...]) -> tuple[ChannelState, ...]:
        """Verdicts in stream order; a channel without one is unknown."""
        by_name = {c.name: c.state for c in quality.channels}
        states = []
        for label, electrode in zip(labels, self._placement.electrode, strict=True):
            placed = 0 <= electrode < len(quality.channels)
            states.append(quality.channels[electrode].state if placed else by_name.get(label, ChannelState.UNKNOWN))
        return tuple(states)
