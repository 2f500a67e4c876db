"""Text on a painter: runs of differing weight and colour on one line, elided where they do not fit.

What is elided, or lies outside of what is painted on, is kept in `cut` until a panel takes it for its tooltip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter

from gui import theme


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text in one style."""

    text: str
    colour: str = ""  # the text's
    px: int = 14
    bold: bool = False

cut: list[str] = []  # lines that are not on the screen as a whole
ROUNDING = 0.5  # px


def width(runs: Sequence[Run]) -> float:
    """Width of the runs on one line, px."""
    return sum(QFontMetricsF(theme.font(r.px, r.bold)).horizontalAdvance(r.text) for r in runs)


def draw(painter: QPainter, x: float, baseline: float, runs: Sequence[Run], space: float = 1e9) -> float:
    """Draw `runs` from `x` on `baseline`, elided after `space` px or at the edge; returns the x behind them."""
    scale = painter.transform().m11()
    end = min(x + space, painter.viewport().width() / scale) + ROUNDING
    if runs and (x < -ROUNDING or baseline > painter.viewport().height() / scale + ROUNDING):
        cut.append("".join(run.text for run in runs))
    for run in runs:
        metrics = QFontMetricsF(theme.font(run.px, run.bold))
        shown = run.text
        if x + metrics.horizontalAdvance(shown) > end:
            shown = metrics.elidedText(run.text, Qt.TextElideMode.ElideRight, max(end - x, 0.0))
        painter.setFont(theme.font(run.px, run.bold))
        painter.setPen(theme.colour(run.colour or theme.TEXT))
        painter.drawText(QPointF(x, baseline), shown)
        x += metrics.horizontalAdvance(shown)
        if shown != run.text:
            cut.append("".join(run.text for run in runs))
            break
    return x


def wrapped(text: str, px: int, space: float, most: int = 2) -> list[str]:
    """Break `text` at spaces into at most `most` lines that fit `space` px; the last may need eliding.

    A word that is longer than a line, such as a path, is broken anywhere.
    """
    metrics = QFontMetricsF(theme.font(px))
    lines = [""]
    for word in _breakable(text, metrics, space):
        longer = f"{lines[-1]} {word}".strip()
        if metrics.horizontalAdvance(longer) <= space or not lines[-1] or len(lines) == most:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _breakable(text: str, metrics: QFontMetricsF, space: float) -> Iterator[str]:
    """Yield the words, those that are too long in pieces."""
    for word in text.split():
        rest = word
        while len(rest) > 1 and metrics.horizontalAdvance(rest) > space:
            n = max(1, int(len(rest) * space / metrics.horizontalAdvance(rest)))
            while n > 1 and metrics.horizontalAdvance(rest[:n]) > space:
                n -= 1
            yield rest[:n]
            rest = rest[n:]
        yield rest
