"""The steps of a calibration, what is to be done now, and the one button that goes on."""

from __future__ import annotations

import json

from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QPainter, QPen

from bci_music.status import CalibrationStatus, Command, Snapshot
from gui import theme
from gui.widgets.panel import INSET, Panel
from gui.widgets.prompt import WordLine
from gui.widgets.text import Run, draw, wrapped
from gui.widgets.transport import PillButton

STEPS = (
    ("begin", "Who listens, and to what", "a name, the reference of the consent, and a folder of music where the "
     "pack's songs are not wanted"),
    ("electrodes", "Check the electrodes", "those that are red are left out; the list says what is wrong and what to "
     "do"),
    ("songs", "Listen", "eight minutes with a rest before and silence between: keep still, eyes on one point; what is "
     "ended early goes on later"),
    ("fit", "Fit", "a minute or two of computing, from what was recorded"),
    ("done", "Play with it", "before and after are compared on windows that were held out"),
)  # fmt: skip
NOT_HERE = (
    "A listener is calibrated while their EEG comes live. This run cannot end for that: start bci-music live, or "
    "bci-music calibrate --out packs/NAME --consent REFERENCE."
)
LINES = (("listener", "name of the listener"), ("consent", "reference of the consent"),
         ("songs", "folder of own music, or nothing"))  # fmt: skip
FIELD, ROW = 40.0, 78.0  # heights of one line to fill in and of one step, design px
ACTION = {
    "": ("Begin", "end this run, and begin with the electrodes (Enter)"),
    "electrodes": ("Start", "the electrodes are good enough: start the recording and the music (Enter)"),
    "songs": ("End for now", "stop listening; the same listener goes on later where it was ended (Enter)"),
    "fit": ("Fitting", "a pack is being fitted"),
    "done": ("Play with it", "decode the headset with the listener's own pack (Enter)"),
    "ended": ("Go on", "once more, with what is still missing (Enter)"),
}


class Guide(Panel):
    """`asked` carries the command of the button that was pressed."""

    asked = Signal(object)

    def __init__(self, parent=None):
        super().__init__("Fit the decoder to a listener", parent)
        self._calibration: CalibrationStatus | None = None
        self._others: tuple[str, ...] = ()
        self.lines = {name: WordLine(words, words, self) for name, words in LINES}
        self.go, self.leave = PillButton("Begin", ACTION[""][1], self), PillButton("Leave", "back (Backspace)", self)
        self.go.clicked.connect(self.press)
        self.leave.clicked.connect(self.press_leave)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show how far it is."""
        now = snapshot.calibration
        same = self._calibration is not None and now is not None and (
            (now.step, now.doing, now.waits) == (self._calibration.step, self._calibration.doing,
                                                 self._calibration.waits)
        )  # fmt: skip
        if same and snapshot.others == self._others:
            return
        self._calibration, self._others = now, snapshot.others
        word, hint = ACTION[now.step if now is not None else ""]
        self.go.set_word(word)
        self.go.setToolTip(hint)
        self.go.setEnabled(self._command() is not None or (now is None and "calibrate" in self._others))
        self.leave.setVisible("back" in self._others)
        for line in self.lines.values():
            line.setVisible(now is None)
            line.setEnabled("calibrate" in self._others)
        self.describe("; ".join(part for part in (self._current, now.doing if now else self._why) if part))
        self.setToolTip(now.doing if now else self._why)
        self.update()

    @property
    def _current(self) -> str:
        """Where it is."""
        return self._calibration.step if self._calibration is not None else "begin"

    @property
    def _why(self) -> str:
        return "" if "calibrate" in self._others else NOT_HERE

    # what is asked

    def press(self) -> None:
        """Go on; the first line that has to be filled in is asked for."""
        command = self._command()
        if command is not None:
            self.asked.emit(command)
        elif self._calibration is None and "calibrate" in self._others:
            next(self.lines[name] for name in ("listener", "consent") if not self.lines[name].text().strip()).setFocus()

    def press_leave(self) -> None:
        """Go back to what ran before."""
        if "back" in self._others:
            self.asked.emit(Command("back"))

    def _command(self) -> Command | None:
        """What the button asks for now, None where nothing can be asked."""
        now = self._calibration
        if now is None:
            asked = {name: line.text().strip() for name, line in self.lines.items()}
            ready = "calibrate" in self._others and asked["listener"] and asked["consent"]
            return Command("calibrate", text=json.dumps(asked)) if ready else None
        if now.step == "electrodes":
            return Command("start") if now.waits else None
        if now.step == "songs":
            return Command("stop")
        if now.step == "done":
            return Command("pack", text=now.out)
        return Command("calibrate", text=now.again) if now.step == "ended" and now.again else None

    # looks

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel, for the controls too."""
        super().set_scale(scale)
        for button in (self.go, self.leave):
            button.scale = scale
        for line in self.lines.values():
            line.set_scale(scale)
        self._lay_out()

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Lay out the controls."""
        self._lay_out()

    def _lay_out(self) -> None:
        s, w, h = self.scale, self.width() / self.scale, self.height() / self.scale
        for n, line in enumerate(self.lines.values()):
            line.setGeometry(*(round(v * s) for v in (INSET + 32, 118 + FIELD * n, w - 2 * INSET - 48, 30)))
        self.go.setGeometry(*(round(v * s) for v in (INSET, h - 48, 128, 32)))
        self.leave.setGeometry(*(round(v * s) for v in (INSET + 136, h - 48, 96, 32)))

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the steps: a tick before those that are done, a dot before the one that goes on."""
        names = [name for name, _, _ in STEPS]
        current = names.index(self._current) if self._current in names else -1
        y = 62.0
        for n, (name, title, words) in enumerate(STEPS):
            _mark(painter, INSET + 10, y - 5, done=n < current or self._current == "done", now=n == current)
            bright = n == current
            draw(painter, INSET + 32, y, [Run(title, theme.TEXT if bright else theme.MUTED, 17, bright)], w - 64)
            for row, line in enumerate(wrapped(words, 14, w - 2 * INSET - 40, 3)):
                draw(painter, INSET + 32, y + 22 + 18 * row, [Run(line, theme.MUTED, 14)], w - 2 * INSET - 32)
            y += ROW + (FIELD * len(LINES) + 8 if name == "begin" and current == 0 else 0)
        words = self._calibration.doing if self._calibration is not None else self._why
        tint = theme.WARM if self._current == "ended" else theme.TEXT
        for row, line in enumerate(wrapped(words, 15, w - 2 * INSET, 7)):
            draw(painter, INSET, y + 10 + 20 * row, [Run(line, tint, 15)], w - 2 * INSET)


def _mark(painter: QPainter, x: float, y: float, done: bool, now: bool) -> None:
    """A tick, a dot, or a ring for what is to come."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.colour(theme.MUTED), 2))
    if now and not done:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(theme.ACCENT))
        painter.drawEllipse(QPointF(x, y), 6, 6)
    elif done:
        painter.setPen(QPen(theme.colour(theme.GOOD), 2))
        painter.drawPolyline([QPointF(x - 6, y), QPointF(x - 2, y + 5), QPointF(x + 6, y - 6)])
    else:
        painter.drawEllipse(QPointF(x, y), 5, 5)
