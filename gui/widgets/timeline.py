"""Heard, decoded, played: one look shows whether the brain steers the sound."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPen

from bci_music.status import Snapshot, TimelineSpan
from gui import theme
from gui.readings import KIND_WORDS
from gui.widgets.panel import Panel
from gui.widgets.text import Run, draw, width

BACK_S, AHEAD_S = 44.0, 6.0
LEFT = 64.0  # space for the lane's name
LANES = {"heard": (12.0, 24.0), "decoded": (52.0, 24.0), "played": (92.0, 56.0)}  # top, height
STROKE_S = 0.2  # one stroke of the waveform
WAVE_RATE_HZ = 20.0  # of Snapshot.waveform
UNCHOSEN = ("waiting", "held", "looped", "faded")
LATE = {"hold": "held", "loop": "looped", "library": "from the library", "fade": "fading out"}


class Timeline(Panel):
    """Three lanes up to now, and the sound that is ready beyond it."""

    def __init__(self, parent=None):
        super().__init__("Timeline", parent, within=True)
        self._snapshot: Snapshot | None = None
        self._order: dict[str, int] = {}

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Move on."""
        self._snapshot = snapshot
        for span in snapshot.timeline:
            if span.lane == "played":
                theme.song_colour(_song(span), self._order)
        newest = {s.lane: s.label for s in snapshot.timeline if s.start_s <= snapshot.now_s}
        self.describe(", ".join(f"{lane} {newest[lane]}" for lane in LANES if lane in newest) or "nothing yet")
        self.update()

    def title_runs(self) -> list[Run]:
        """Return nothing: the lanes have names."""
        return []

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the lanes."""
        piece = (h - 24) / 150.0
        lanes = {name: (top * piece, height * piece) for name, (top, height) in LANES.items()}
        for name, (top, height) in lanes.items():
            draw(painter, 0, top + height / 2 + 4, [Run(name, theme.MUTED, 13)])
        snapshot = self._snapshot
        if snapshot is None:
            return
        per_s = (w - LEFT) / (BACK_S + AHEAD_S)
        now_x = LEFT + BACK_S * per_s
        clip = QRectF(LEFT, 0, w - LEFT, h)
        painter.save()
        painter.setClipRect(clip)
        spans = [s for s in snapshot.timeline if s.stop_s > snapshot.now_s - BACK_S and s.lane in lanes]
        for span in spans:
            if span.lane != "played":
                x0 = max(now_x + (span.start_s - snapshot.now_s) * per_s, LEFT)
                x1 = now_x + (min(span.stop_s, snapshot.now_s) - snapshot.now_s) * per_s
                self._draw_bar(painter, span, QRectF(x0, lanes[span.lane][0], x1 - x0 - 3, lanes[span.lane][1]), spans)
        played = [s for s in spans if s.lane == "played"]
        self._draw_wave(painter, snapshot, played, now_x, per_s, lanes["played"])
        painter.restore()
        self._draw_now(painter, now_x, h)
        if snapshot.sound.queued_s > 0:
            self._draw_ready(painter, snapshot, now_x, per_s, w, lanes["played"])

    def _draw_bar(self, painter: QPainter, span: TimelineSpan, box: QRectF, spans: list[TimelineSpan]) -> None:
        if box.width() < 1:
            return
        right = span.lane == "decoded" and _agrees(span, spans)
        if right:
            share = 0.25 + 0.4 * _unit(span.strength)
            fill = theme.mixed(theme.song_colour(_song(span), self._order), theme.PANEL, share)
        else:
            fill = theme.colour(theme.TRACK)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawRoundedRect(box, 4, 4)
        bright = span.lane == "heard" or right
        label = [Run(span.label, theme.TEXT if bright else theme.MUTED, 13)]
        if box.width() > 40:
            draw(painter, box.left() + 12, box.center().y() + 4.5, label, box.width() - 16)

    def _draw_wave(self, painter: QPainter, snapshot: Snapshot, played: list[TimelineSpan], now_x: float,
                   per_s: float, lane: tuple[float, float]) -> None:
        wave = snapshot.waveform
        if wave is None or not len(wave):
            return
        times = snapshot.now_s - (len(wave) - np.arange(len(wave))) / WAVE_RATE_HZ
        slot = np.floor(times / STROKE_S).astype(np.int64)  # fixed to the clock: strokes move, they do not shimmer
        starts = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
        peak = np.maximum.reduceat(np.abs(wave).max(axis=1), starts)
        middle, half = lane[0] + lane[1] / 2, lane[1] / 2
        reach = np.maximum(np.sqrt(np.clip(peak, 0, 1)) * half, 1.0)
        at = now_x + ((slot[starts] + 0.5) * STROKE_S - snapshot.now_s) * per_s
        seen = (at > LEFT + 1) & (at < now_x - 1)
        owner = _owners((slot[starts] + 0.5) * STROKE_S, played)
        for index in set(owner[seen].tolist()):
            span = played[index] if index >= 0 else None
            chosen = span is not None and span.kind not in UNCHOSEN
            name = theme.song_colour(_song(span), self._order) if span is not None and chosen else theme.MUTED
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.mixed(name, theme.PANEL, 0.9))
            rows = np.flatnonzero(seen & (owner == index))
            painter.drawRects([QRectF(at[i] - 1, middle - reach[i], 2.0, 2 * reach[i]) for i in rows])

    def _draw_now(self, painter: QPainter, now_x: float, h: float) -> None:
        painter.fillRect(QRectF(now_x - 1, 0, 2, h - 20), theme.colour(theme.TEXT))
        word = [Run("now", theme.MUTED, 12)]
        draw(painter, now_x - width(word) / 2, h - 4, word)
        label = [Run(f"last {BACK_S:g} s", theme.MUTED, 12)]
        draw(painter, LEFT, h - 4, label)

    def _draw_ready(self, painter: QPainter, snapshot: Snapshot, now_x: float, per_s: float, w: float,
                    lane: tuple[float, float]) -> None:
        box = QRectF(now_x + 4, lane[0], w - now_x - 5, lane[1])
        pen = QPen(theme.mixed(theme.ACCENT, theme.PANEL, 0.7), 1.2, Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([4, 4])
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 6, 6)
        span = snapshot.playing
        words = "ready"
        if span is not None and (span.late or span.kind == "held"):
            words = LATE[span.late] if span.late else KIND_WORDS["held"].split(":")[0]
        first = [Run(f"{snapshot.sound.queued_s:.1f} s", theme.ACCENT, 14, True), Run(f" {words}", theme.ACCENT, 13)]
        draw(painter, box.left() + 12, box.center().y() + 5, first, box.width() - 20)


def _song(span: TimelineSpan) -> str:
    """Return what decides a span's colour: the song's identity, else its title."""
    return span.kind or span.label


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0) if value == value else 0.0


def _agrees(span: TimelineSpan, spans: list[TimelineSpan]) -> bool:
    """Whether the song decoded is the one heard for most of the span."""
    overlap = sum(
        max(0.0, min(span.stop_s, s.stop_s) - max(span.start_s, s.start_s))
        for s in spans if s.lane == "heard" and s.label == span.label
    )
    return overlap > 0.5 * (span.stop_s - span.start_s)


def _owners(times_s: np.ndarray, played: list[TimelineSpan]) -> np.ndarray:
    """Index into `played` of the span that sounds at each time, the newest where two cross-fade, -1 for none."""
    owner = np.full(len(times_s), -1)
    for index, span in enumerate(played):
        owner[(times_s >= span.start_s) & (times_s < span.stop_s)] = index
    return owner
