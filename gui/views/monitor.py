"""The Monitor view: signals and electrodes alone take all the space, for a run without decoder and sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtWidgets import QWidget

from bci_music.status import Snapshot
from gui.bridge import Bridge
from gui.layout import GUTTER, MARGIN, Places
from gui.views.signals import SignalView
from gui.views.view import Keys
from gui.widgets.electrode import ElectrodePanel

ELECTRODE = 184  # height of the electrode's panel, design px


class Monitor(SignalView):
    """Is the cap on right?"""

    key = "F2"
    name = "Monitor"
    help: ClassVar[Keys] = (
        *SignalView.help, ("W", "the worst electrode, then the next"), ("Left Right", "the electrode before, the next"),
    )  # fmt: skip

    def __init__(self, bridge: Bridge, parent: QWidget | None = None):
        super().__init__(bridge, parent)
        self.electrode = ElectrodePanel(self)
        self.parts["electrode"] = self.electrode
        self.quality.picked.connect(self.electrode.choose)

    @classmethod
    def fits(cls, snapshot: Snapshot) -> bool:
        """Whether nothing is decoded and nothing plays."""
        return not snapshot.pack_name and not snapshot.sound.generator

    @staticmethod
    def places(w: float, h: float, top: float) -> Places:
        """Traces on the left with one electrode below them, all electrodes on the right."""
        tall = h - MARGIN - top
        left = round(0.68 * w / 8) * 8.0
        x1 = MARGIN + left + GUTTER
        upper = tall - GUTTER - ELECTRODE
        return {
            "traces": (MARGIN, top, left, upper),
            "electrode": (MARGIN, top + upper + GUTTER, left, float(ELECTRODE)),
            "quality": (x1, top, w - x1 - MARGIN, tall),
        }

    def keys(self) -> dict[str, Callable[[], None]]:
        """W shows the worst electrode, then the next; Left and Right go through all."""
        return super().keys() | {
            "W": self.electrode.choose_worst,
            "Left": lambda: self.electrode.step(-1),
            "Right": lambda: self.electrode.step(1),
        }

    def show_words(self, snapshot: Snapshot) -> None:
        """Show verdicts, and the numbers behind one of them."""
        super().show_words(snapshot)
        self.electrode.show_snapshot(snapshot)
