"""The Perform view: what comes in, what is decoded, whether it is above chance, and what plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtWidgets import QWidget

from bci_music.eeg.montage import Montage
from bci_music.messages import ECHOES, STYLE
from bci_music.status import Snapshot
from gui.bridge import Bridge
from gui.layout import GUTTER, MARGIN, Places
from gui.views.signals import SignalView
from gui.views.view import Keys
from gui.widgets.gauge import ChanceGauge
from gui.widgets.headmap import HeadMap
from gui.widgets.now_playing import NowPlaying
from gui.widgets.tally import DecodedTally
from gui.widgets.transport import STEP_DB

BOTTOM = 216  # height of what plays, design px


class Perform(SignalView):
    """Does the brain steer the sound?"""

    key = "F1"
    name = "Perform"
    help: ClassVar[Keys] = (
        *SignalView.help, ("Space", "mute"), ("+ = -", "louder, softer"), ("E", "the other way: style or Echoes"),
    )  # fmt: skip

    def __init__(self, bridge: Bridge, parent: QWidget | None = None):
        super().__init__(bridge, parent)
        self.head, self.tally = HeadMap(self), DecodedTally(self)
        self.chance, self.playing = ChanceGauge(self, offers_sham=True), NowPlaying(self)
        self.parts.update({"head": self.head, "tally": self.tally, "chance": self.chance, "playing": self.playing})
        self.chance.sham_asked.connect(bridge.set_sham)
        playing = self.playing
        playing.stop.clicked.connect(self._toggle_running)
        playing.mute.clicked.connect(lambda checked: bridge.set_muted(checked))
        playing.way.clicked.connect(self._change_way)
        playing.volume.moved.connect(bridge.set_volume)
        playing.prompt.asked.connect(bridge.set_prompt)
        playing.share.moved.connect(bridge.set_prompt_weight)
        playing.meters.pressed.connect(lambda: self.list_asked.emit("devices"))

    @classmethod
    def fits(cls, snapshot: Snapshot) -> bool:
        """Whatever runs: the last in the list."""
        return True

    @staticmethod
    def places(w: float, h: float, top: float) -> Places:
        """Traces, maps and words side by side; below them what plays, over the whole width."""
        bottom = h - MARGIN - BOTTOM
        free = w - 2 * MARGIN - 2 * GUTTER
        left, middle = round(0.417 * free / 8) * 8.0, round(0.273 * free / 8) * 8.0
        right = free - left - middle
        x1 = MARGIN + left + GUTTER
        x2 = x1 + middle + GUTTER
        tall = bottom - GUTTER - top
        lower = min(208.0, 0.4 * tall)
        upper = tall - GUTTER - lower
        return {
            "playing": (MARGIN, bottom, w - 2 * MARGIN, float(BOTTOM)),
            "traces": (MARGIN, top, left, tall),
            "head": (x1, top, middle, upper),
            "tally": (x2, top, right, upper),
            "quality": (x1, top + upper + GUTTER, middle, lower),
            "chance": (x2, top + upper + GUTTER, right, lower),
        }

    def keys(self) -> dict[str, Callable[[], None]]:
        """Space mutes, plus and minus change the volume, E the way from EEG to music."""
        return super().keys() | {
            "Space": self._toggle_mute,
            "+": lambda: self._change_volume(STEP_DB),
            "=": lambda: self._change_volume(STEP_DB),
            "-": lambda: self._change_volume(-STEP_DB),
            "E": self._change_way,
        }

    def show_montage(self, montage: Montage | None) -> None:
        """Take electrode places."""
        super().show_montage(montage)
        self.head.show_montage(montage)

    def show_motion(self, snapshot: Snapshot) -> None:
        """Move the timeline and the meters."""
        self.playing.show_motion(snapshot)

    def show_maps(self, snapshot: Snapshot) -> None:
        """Paint the attention."""
        self.head.show_snapshot(snapshot)

    def show_words(self, snapshot: Snapshot) -> None:
        """Show what plays, what was decoded and how far it is above chance."""
        self.playing.show_snapshot(snapshot, self.bridge.paused, self.bridge.muted)
        self.tally.show_snapshot(snapshot)
        self.chance.show_snapshot(snapshot)
        super().show_words(snapshot)

    def finish(self) -> None:
        """End the thread that makes maps."""
        self.head.finish()

    def _toggle_running(self) -> None:
        self.bridge.set_running(self.bridge.paused)
        self.show_words(self.bridge.refresh())

    def _toggle_mute(self) -> None:
        self.bridge.set_muted(not self.bridge.muted)
        self.playing.mute.setChecked(self.bridge.muted)

    def _change_way(self) -> None:
        now = self.bridge.refresh().sound.way
        self.bridge.set_way(ECHOES if now == STYLE else STYLE)

    def _change_volume(self, decibels: float) -> None:
        self.playing.volume.setValue(self.playing.volume.value() + round(decibels * 10))
