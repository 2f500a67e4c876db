"""The Calibrate view: from the electrodes to a listener's own pack, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtWidgets import QWidget

from bci_music.eeg.montage import Montage
from bci_music.status import Snapshot
from gui.bridge import Bridge
from gui.layout import GUTTER, MARGIN, Places
from gui.views.view import Keys, View
from gui.widgets.calibrate.gate import GatePanel
from gui.widgets.calibrate.guide import Guide
from gui.widgets.calibrate.heard import Heard, Messages
from gui.widgets.quality import QualityMap

MESSAGES = 184.0  # height of what was said, design px


class Calibrate(View):
    """Fit it to me."""

    key = "F4"
    name = "Calibrate"
    help: ClassVar[Keys] = (
        ("Return", "go on: begin, start the music, end for now, play with the new pack"),
        ("Backspace", "back to what this window began with"),
    )

    def __init__(self, bridge: Bridge, parent: QWidget | None = None):
        super().__init__(bridge, parent)
        self.guide, self.heard, self.gate = Guide(self), Heard(self), GatePanel(self)
        self.quality, self.messages = QualityMap(self), Messages(self)
        self.parts = {
            "guide": self.guide, "heard": self.heard, "quality": self.quality, "gate": self.gate,
            "messages": self.messages,
        }  # fmt: skip
        self._montage: Montage | None = None
        self.guide.asked.connect(bridge.ask)

    @classmethod
    def fits(cls, snapshot: Snapshot) -> bool:
        """Whether a listener is calibrated."""
        return snapshot.calibration is not None

    @staticmethod
    def places(w: float, h: float, top: float) -> Places:
        """The steps on the left; what is heard and the electrodes, the gate, and what was said on the right."""
        tall = h - MARGIN - top
        left = round(0.3 * w / 8) * 8.0
        x1 = MARGIN + left + GUTTER
        right = w - x1 - MARGIN
        half = round(0.5 * right / 8) * 8.0
        rest = tall - MESSAGES - 2 * GUTTER
        upper = round(0.52 * rest / 8) * 8.0
        return {
            "guide": (MARGIN, top, left, tall),
            "heard": (x1, top, half, upper),
            "quality": (x1 + half + GUTTER, top, right - half - GUTTER, upper),
            "gate": (x1, top + upper + GUTTER, right, rest - upper),
            "messages": (x1, h - MARGIN - MESSAGES, right, MESSAGES),
        }

    def keys(self) -> dict[str, Callable[[], None]]:
        """Enter goes on, Backspace goes back."""
        return {"Return": self.guide.press, "Backspace": self.guide.press_leave}

    def follow_stream(self, snapshot: Snapshot) -> None:
        """Take electrode places."""
        if self.bridge.montage is not self._montage:
            self._montage = self.bridge.montage
            self.quality.show_montage(self._montage)

    def show_motion(self, snapshot: Snapshot) -> None:
        """Move the place in the music."""
        self.heard.show_calibration(snapshot.calibration)

    def show_words(self, snapshot: Snapshot) -> None:
        """Show how far it is."""
        self.guide.show_snapshot(snapshot)
        self.heard.show_calibration(snapshot.calibration)
        self.quality.show_quality(snapshot.quality)
        self.gate.show_calibration(snapshot.calibration)
        self.messages.show_calibration(snapshot.calibration)
