"""`View`: one way to look at a run. The window hosts one at a time; `registry.VIEWS` lists them.

A new view is one file in this package with a subclass of `View`, and its line in the list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from bci_music.status import Snapshot
from gui.bridge import Bridge
from gui.layout import Places, arrange, scale_for

Keys = tuple[tuple[str, str], ...]  # keys as they are bound, with spaces between; what they do


class View(QWidget):
    """Owns its widgets, knows where they lie, and shows one snapshot after the other.

    It covers the window; bar and notices lie above it. A subclass makes its panels, puts them into `parts` under the
    names that `places` uses, and overrides the methods whose pace it needs; by default they do nothing.

    Parameters
    ----------
    bridge
        The engine: snapshots, the cursor of the traces, and the operator's commands.
    parent
        The window.
    """

    list_asked = Signal(str)  # "streams", "devices" or "packs" is to be chosen from
    key: ClassVar[str] = ""  # shows this view, whatever fits
    name: ClassVar[str] = ""  # as it stands in the bar
    help: ClassVar[Keys] = ()  # of each key in `keys` what it does
    parts: dict[str, Any]  # panels, and other widgets with `scale` and `set_scale`

    def __init__(self, bridge: Bridge, parent: QWidget | None = None):
        super().__init__(parent)
        self.bridge = bridge
        self.parts = {}

    @classmethod
    def fits(cls, snapshot: Snapshot) -> bool:
        """Whether the window shows this view by itself: the first in the list that fits is shown."""
        return False

    @staticmethod
    def places(w: float, h: float, top: float) -> Places:
        """Return rectangles (x, y, w, h) of all parts below `top`, in design pixels: a pure function."""
        return {}

    def keys(self) -> dict[str, Callable[[], None]]:
        """Return what keys do while this view is shown."""
        return {}

    def follow_stream(self, snapshot: Snapshot) -> None:
        """Rebuild what depends on the stream or the montage when either has changed (30 times a second)."""

    def show_motion(self, snapshot: Snapshot) -> None:
        """Show what moves (30 times a second)."""

    def show_maps(self, snapshot: Snapshot) -> None:
        """Show what is dear to paint (15 times a second)."""

    def show_words(self, snapshot: Snapshot) -> None:
        """Show what has to be read (5 times a second)."""

    def advance(self) -> None:
        """Draw signals (60 times a second)."""

    def finish(self) -> None:
        """Let go of threads; the window closes."""

    def lay_out(self, strips: int) -> None:
        """Put all parts where they belong while `strips` notices are shown."""
        scale = scale_for(self.width(), self.height())
        boxes = arrange(self.width(), self.height(), strips, self.places)
        for name, part in self.parts.items():
            if part.scale != scale:
                part.set_scale(scale)
            part.setGeometry(*boxes[name])
