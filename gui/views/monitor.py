"""The Monitor view: signals and electrodes alone take all the space, for a run without decoder and sound."""

from __future__ import annotations

from bci_music.status import Snapshot
from gui.layout import GUTTER, MARGIN, Places
from gui.views.signals import SignalView


class Monitor(SignalView):
    """Is the cap on right?"""

    @classmethod
    def fits(cls, snapshot: Snapshot) -> bool:
        """Whether nothing is decoded and nothing plays."""
        return not snapshot.pack_name and not snapshot.sound.generator

    @staticmethod
    def places(w: float, h: float, top: float) -> Places:
        """Traces on the left, electrodes on the right."""
        tall = h - MARGIN - top
        left = round(0.68 * w / 8) * 8.0
        x1 = MARGIN + left + GUTTER
        return {"traces": (MARGIN, top, left, tall), "quality": (x1, top, w - x1 - MARGIN, tall)}
