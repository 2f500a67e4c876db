"""One electrode: its state, the numbers behind it, what to do and its last minute, beside the stream's figures."""

from __future__ import annotations

import math
from collections import deque

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from bci_music.messages import ChannelState, ChannelVerdict, Quality
from bci_music.status import Snapshot, StreamStatus
from gui import theme
from gui.widgets.glyphs import draw_channel
from gui.widgets.panel import INSET, Panel
from gui.widgets.text import Run, draw

HISTORY_S = 60.0
INTO_NEXT = 0.6  # px that a verdict reaches into the next, so that no line shows between them
_VERDICTS = 1200  # kept; a minute of verdicts of 50 ms
_NUMBERS = (  # measure, its words, factor, format
    ("spread_uv", "amplitude", 1.0, "{:.1f} µV"), ("mains_uv", "mains", 1.0, "{:.1f} µV"),
    ("correlation", "agrees with others", 1.0, "{:.2f}"), ("predicted", "as predicted", 1.0, "{:.2f}"),
    ("high_times", "noise above 52 Hz", 1.0, "{:.1f} × median"), ("stuck", "repeats", 100.0, "{:.0f} %"),
)  # fmt: skip


def number_words(channel: ChannelVerdict) -> list[tuple[str, str]]:
    """The numbers of an electrode that were measured, as name and value."""
    found = []
    for key, words, factor, form in _NUMBERS:
        value = channel.metrics.get(key, math.nan)
        if math.isfinite(value):
            found.append((words, form.format(factor * value)))
    return found


def finding_words(channel: ChannelVerdict) -> list[tuple[str, str, str]]:
    """For each finding what is wrong, its value beside its limit, and what to do."""
    found = []
    for f in channel.findings:
        unit = f" {f.unit}" if f.unit else ""
        found.append((f.reason, f"{f.measure} {f.value:.3g}{unit}, limit {f.limit:.3g}{unit}", f.remedy))
    return found


def stream_words(stream: StreamStatus, missing: float) -> str:
    """Rate, gaps and bursts of the stream in one line."""
    if stream.info is None:
        return "no stream yet"
    rate = stream.measured_hz if stream.measured_hz is not None else stream.info.sfreq_hz
    measured = "measured" if stream.measured_hz is not None else "stated"
    gaps = f"{stream.gaps} {'gap' if stream.gaps == 1 else 'gaps'}, {stream.missing_samples} samples missing"
    bursts = f"{stream.bursts} {'burst' if stream.bursts == 1 else 'bursts'}"
    return f"{rate:.1f} Hz {measured}, {gaps}, {bursts}, {100 * missing:.0f} % missing lately; impedance not measured"


class ElectrodePanel(Panel):
    """Follow the worst electrode, or the one that was chosen."""

    def __init__(self, parent=None):
        super().__init__("Electrode", parent)
        self._chosen: str = ""  # "": the worst
        self._quality: Quality | None = None
        self._stream = ""
        self._history: deque[tuple[float, dict[str, ChannelState]]] = deque(maxlen=_VERDICTS)

    @property
    def shown(self) -> ChannelVerdict | None:
        """The electrode on screen."""
        if self._quality is None or not self._quality.channels:
            return None
        by_name = {c.name: c for c in self._quality.channels}
        return by_name.get(self._chosen) or _by_severity(self._quality)[0]

    def choose(self, name: str) -> None:
        """Show this electrode from now on, "" for the worst."""
        self._chosen = name
        self._say()

    def choose_worst(self) -> None:
        """Show the worst electrode; where it is shown already, the next worst."""
        if self._quality is None:
            return
        troubled = [c.name for c in _by_severity(self._quality) if c.state in (ChannelState.BAD, ChannelState.DOUBTFUL)]
        at = troubled.index(self._chosen) + 1 if self._chosen in troubled else 0
        self.choose(troubled[at % len(troubled)] if troubled else "")

    def step(self, by: int) -> None:
        """Show the electrode `by` places further on in the stream."""
        if self._quality is not None and self.shown is not None:
            names = [c.name for c in self._quality.channels]
            self.choose(names[(names.index(self.shown.name) + by) % len(names)])

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show new verdicts and figures of the stream."""
        quality = snapshot.quality
        stream = stream_words(snapshot.stream, quality.missing if quality is not None else 0.0)
        if quality is self._quality and stream == self._stream:
            return
        if quality is not None and quality is not self._quality:
            self._history.append((quality.time_s, {c.name: c.state for c in quality.channels}))
        self._quality, self._stream = quality, stream
        self._say()

    def _say(self) -> None:
        shown = self.shown
        words = "not assessed yet" if shown is None else f"{shown.name} {shown.state.value}"
        reasons = shown.reasons if shown is not None else ()
        self.describe("; ".join([words, *reasons, self._stream]))
        self.update()

    def title_runs(self) -> list[Run]:
        """Return name and keys."""
        hint = "  ·  W the worst, then the next  ·  ← → one after the other  ·  or click one"
        return [Run(self.title, theme.MUTED, 13), Run(hint, theme.DIM, 13)]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint name and history on the left, what speaks against it in the middle, numbers on the right."""
        draw(painter, INSET, h - 12, [Run(self._stream, theme.MUTED, 13)], w - 2 * INSET)
        shown = self.shown
        if shown is None:
            draw(painter, INSET, 64, [Run("assessed on the first seconds of data", theme.MUTED, 15)], w - 2 * INSET)
            return
        left, right = 0.2 * w, 0.76 * w
        draw_channel(painter, shown.state, INSET + 8, 60, 7)
        draw(painter, INSET + 26, 67, [Run(shown.name, px=22, bold=True)], left - INSET - 26)
        draw(painter, INSET, 94, [Run(shown.state.value, theme.CHANNEL_COLOURS[shown.state], 15)], left - INSET)
        self._draw_history(painter, INSET, 108, left - 2 * INSET, shown.name)
        y = 60.0
        for reason, value, remedy in finding_words(shown)[:2] or [(self._calm(shown), "", "")]:
            draw(painter, left, y, [Run(reason, px=15)], right - left - INSET)
            draw(painter, left, y + 20, [Run(remedy, theme.ACCENT, 14), Run(f"   {value}", theme.MUTED, 13)],
                 right - left - INSET)
            y += 48
        for row, (name, value) in enumerate(number_words(shown)[:6]):
            runs = [Run(f"{name} ", theme.MUTED, 13), Run(value, px=13, bold=True)]
            draw(painter, right, 52 + 19 * row, runs, w - right - INSET)

    @staticmethod
    def _calm(shown: ChannelVerdict) -> str:
        return shown.reasons[0] if shown.reasons else "nothing speaks against it"

    def _draw_history(self, painter: QPainter, x: float, y: float, width: float, name: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(theme.TRACK))
        painter.drawRoundedRect(QRectF(x, y, width, 10), 3, 3)
        if self._history:
            newest = self._history[-1][0]
            until = newest
            for time_s, states in reversed(self._history):
                start = max(time_s - 0.5, newest - HISTORY_S)
                if until <= newest - HISTORY_S:
                    break
                state = states.get(name, ChannelState.UNKNOWN)
                painter.setBrush(theme.colour(theme.CHANNEL_COLOURS[state]))
                at = x + width * (1 - (newest - start) / HISTORY_S)
                painter.drawRect(QRectF(at, y, width * (until - start) / HISTORY_S + INTO_NEXT, 10))
                until = start
        draw(painter, x, y + 26, [Run("the last minute", theme.MUTED, 12)], width)


def _by_severity(quality: Quality) -> list[ChannelVerdict]:
    order = {ChannelState.BAD: 0, ChannelState.DOUBTFUL: 1}
    return sorted(quality.channels, key=lambda c: (order.get(c.state, 2), -len(c.findings)))
