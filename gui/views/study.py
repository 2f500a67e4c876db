"""The Study view: what was recorded, replaying it, recording more, and two runs compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtWidgets import QWidget

from bci_music.status import Snapshot
from gui.bridge import Bridge
from gui.layout import GUTTER, MARGIN, Places
from gui.views.view import Keys, View
from gui.widgets.gauge import ChanceGauge
from gui.widgets.study.details import Details
from gui.widgets.study.replay import LEAP_S, STEP_S, ReplayBar
from gui.widgets.study.shelf import ShelfList
from gui.widgets.study.trial import TrialPanel

BOTTOM, TRIAL = 184.0, 208.0  # heights of the replay and of the trial's panel, design px


class Study(View):
    """Record, replay, compare."""

    key = "F3"
    name = "Study"
    help: ClassVar[Keys] = (
        ("Space", "hold the replay, or go on"),
        ("Left Right Shift+Left Shift+Right", "10 s back, on; with Shift a minute"),
        ("Home", "the beginning of the recording"),
        (", .", "slower, faster"),
        ("O Backspace", "replay the chosen session in place of this run; leave that replay again"),
        ("R", "record, with the consent that is given; end the recording"),
        ("B S D", "brain, sham, blind"),
    )

    def __init__(self, bridge: Bridge, parent: QWidget | None = None):
        super().__init__(bridge, parent)
        self.shelf, self.details, self.trial = ShelfList(self), Details(self), TrialPanel(self)
        self.replay, self.chance = ReplayBar(self), ChanceGauge(self)
        self.parts = {
            "shelf": self.shelf, "details": self.details, "trial": self.trial, "replay": self.replay,
            "chance": self.chance,
        }  # fmt: skip
        self._looking = False
        self.shelf.picked.connect(lambda: self.details.show_chosen(self.shelf.chosen))
        self.replay.sought.connect(bridge.seek)
        self.replay.asked_speed.connect(bridge.set_speed)
        self.replay.opened.connect(self._open)
        self.shelf.opened.connect(self._open)
        self.replay.left.connect(bridge.go_back)
        self.trial.recorded.connect(bridge.record)
        self.trial.sham_asked.connect(bridge.set_sham)
        self.trial.exported.connect(self._export)

    @staticmethod
    def places(w: float, h: float, top: float) -> Places:
        """The list on the left, what is chosen and what can be done on the right, the replay below all."""
        bottom = h - MARGIN - BOTTOM
        tall = bottom - GUTTER - top
        left = round(0.36 * w / 8) * 8.0
        x1 = MARGIN + left + GUTTER
        right = w - x1 - MARGIN
        upper = tall - GUTTER - TRIAL
        half = round(0.64 * right / 8) * 8.0
        return {
            "shelf": (MARGIN, top, left, tall),
            "details": (x1, top, right, upper),
            "trial": (x1, top + upper + GUTTER, half, TRIAL),
            "chance": (x1 + half + GUTTER, top + upper + GUTTER, right - half - GUTTER, TRIAL),
            "replay": (MARGIN, bottom, w - 2 * MARGIN, BOTTOM),
        }

    def keys(self) -> dict[str, Callable[[], None]]:
        """Space holds, arrows jump, comma and full stop change the speed; R records; B, S, D: brain, sham, blind."""
        replay, trial = self.replay, self.trial
        return {
            "Space": replay.toggle, "Left": lambda: replay.step(-STEP_S), "Right": lambda: replay.step(STEP_S),
            "Shift+Left": lambda: replay.step(-LEAP_S), "Shift+Right": lambda: replay.step(LEAP_S),
            "Home": lambda: replay.seek(0.0), ",": lambda: replay.change_speed(-1),
            ".": lambda: replay.change_speed(1), "O": self._open, "Backspace": self._leave, "R": trial.toggle,
            "B": lambda: self._sham("off"),
            "S": lambda: self._sham("sham"), "D": lambda: self._sham("blind"),
        }  # fmt: skip

    def show_motion(self, snapshot: Snapshot) -> None:
        """Move the place of the replay."""
        self.replay.show_replay(snapshot.replay)

    def show_words(self, snapshot: Snapshot) -> None:
        """Show what lies on disk and how recording and sham stand."""
        if self.isVisible() != self._looking:
            self._looking = self.isVisible()
            self.bridge.look_at_shelf(self._looking)
        self.shelf.show_shelf(snapshot.shelf)
        chosen = self.shelf.chosen
        one = len(chosen) == 1 and chosen[0].kind == "session"
        self.trial.show_snapshot(snapshot, one)
        self.replay.show_others(snapshot.others, one)
        self.replay.show_replay(snapshot.replay)
        self.chance.show_snapshot(snapshot)

    def hideEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Nobody looks at the disk's list any more."""
        if self._looking:
            self._looking = False
            self.bridge.look_at_shelf(False)

    def _sham(self, mode: str) -> None:
        if self.trial.modes[mode].isEnabled():
            self.bridge.set_sham(mode)

    def _export(self, kind: str) -> None:
        for entry in self.shelf.chosen[:1]:
            self.bridge.export(kind, entry.path)

    def _open(self) -> None:
        """Replay the session that is chosen, where this window can show another run."""
        if self.replay.open.isVisible() and self.replay.open.isEnabled():
            self.bridge.open_session(self.shelf.chosen[0].path)

    def _leave(self) -> None:
        """Go back to what this window began with."""
        if self.replay.leave.isVisible():
            self.bridge.go_back()
