"""Is it above chance? One word, what was counted, how often it would be wrong, and the evidence on its way to yes."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter

from bci_music.status import Chance, Snapshot
from gui import theme
from gui.readings import Verdict, method_words, verdict
from gui.widgets.panel import INSET, TITLE_PX, Panel
from gui.widgets.text import Run, draw, width, wrapped
from gui.widgets.transport import PillButton

WORDS = {"off": "Sham off", "sham": "Sham on", "blind": "Reveal"}
HINT = "the music follows EEG from another time, and everything says so; ends sham, or a blind trial (see Study, F3)"


class ChanceGauge(Panel):
    """The running answer, in words first; with `offers_sham` a button that asks for sham, or for an end of it."""

    sham_asked = Signal(str)

    def __init__(self, parent=None, offers_sham: bool = False):
        super().__init__("Is it above chance?", parent)
        self._chance = Chance()
        self._shown = Verdict("", "", "")
        self._mode = "off"
        self._offers_sham = offers_sham
        self.sham = PillButton(WORDS["off"], HINT, self)
        self.sham.clicked.connect(lambda: self.sham_asked.emit("sham" if self._mode == "off" else "off"))
        self.sham.hide()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the newest count, or why nothing can be counted."""
        self._mode = snapshot.sham.mode
        self.sham.set_word(WORDS[self._mode])
        self.sham.setVisible(self._offers_sham and bool(snapshot.pack_name))
        shown = verdict(snapshot)
        if (shown, snapshot.chance) != (self._shown, self._chance):
            self._shown, self._chance = shown, snapshot.chance
            by = f"{method_words(snapshot.chance)} {snapshot.chance.heard}".strip() if shown.word else ""
            self.describe(", ".join(part for part in (shown.word, shown.first, shown.second, by) if part))
            self.update()

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel, for the button too."""
        super().set_scale(scale)
        self.sham.scale = scale
        self._lay_out()

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Put the button into the corner."""
        self._lay_out()

    def _lay_out(self) -> None:
        w, h = round(96 * self.scale), round(32 * self.scale)
        edge = round(10 * self.scale)
        self.sham.setGeometry(self.width() - w - round(INSET * self.scale), self.height() - h - edge, w, h)

    def title_runs(self) -> list[Run]:
        """Return the question, by what it is answered, and that it is asked of sham."""
        sham = [Run("  SHAM", theme.WARM, TITLE_PX, True)] if self._chance.sham else []
        by = method_words(self._chance)
        return [Run(self.title, theme.MUTED, TITLE_PX), *([Run(f"  {by}", theme.TEXT, TITLE_PX)] if by else []), *sham]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the verdict and the evidence."""
        shown = self._shown
        if not shown.word:
            draw(painter, INSET, 76, [Run(shown.first, theme.TEXT, 20, True)], w - 2 * INSET)
            for row, line in enumerate(wrapped(shown.second, 15, w - 2 * INSET, 4)):
                draw(painter, INSET, 100 + 20 * row, [Run(line, theme.MUTED, 15)], w - 2 * INSET)
            return
        word = [Run(shown.word, theme.ACCENT if shown.word == "yes" else theme.TEXT, 38, True)]
        draw(painter, INSET, 84, word)
        x, y = INSET + width(word) + 14, 68.0
        longest = max(width([Run(text, px=15)]) for text in (shown.first, shown.second))
        if w - INSET - x < longest:
            x, y = INSET, 108.0  # no space beside the word
        px = 15 if w - INSET - x >= longest else 13
        for text, tint in ((shown.first, theme.TEXT), (shown.second, theme.MUTED)):
            for line in wrapped(text, px, w - INSET - x):
                draw(painter, x, y, [Run(line, tint, px)], w - INSET - x)
                y += px + 4
        self._draw_evidence(painter, w, min(max(y + 8, 126.0), h - 38))

    def _draw_evidence(self, painter: QPainter, w: float, y: float) -> None:
        """One bar from 1, where every run starts, to where it is above chance; in equal steps of doubling."""
        enough = 1.0 / self._chance.alarm_rate
        now, highest = (_share(value, enough) for value in (self._chance.evidence, self._chance.highest))
        left, length = INSET, w - 2 * INSET
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(theme.LINE))
        painter.drawRoundedRect(QRectF(left, y - 4, length, 8), 4, 4)
        painter.setBrush(theme.mixed(theme.ACCENT, theme.PANEL, 0.5))
        painter.drawRoundedRect(QRectF(left, y - 4, max(now * length, 8), 8), 4, 4)
        painter.setBrush(theme.colour(theme.ACCENT))
        painter.drawRoundedRect(QRectF(left + highest * (length - 4), y - 10, 4, 20), 2, 2)
        draw(painter, left, y + 30, [Run(f"evidence {self._chance.evidence:.3g}", theme.MUTED, 12)])
        label = [Run(f"yes at {enough:.0f}", theme.WARM, 12)]
        draw(painter, left + length - width(label), y + 30, label)


def _share(value: float, enough: float) -> float:
    """Where on the bar `value` stands, 0 to 1."""
    return min(max(math.log(max(value, 1.0)) / math.log(enough), 0.0), 1.0)
