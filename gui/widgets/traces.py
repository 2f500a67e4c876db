"""Sweep display of all channels: a persistent picture, only the newest strip is painted, an erase bar runs ahead."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF
from PySide6.QtGui import QImage, QPainter

from bci_music.messages import ChannelState
from bci_music.streaming.ring import Cursor
from gui import theme
from gui.placement import ORDER, Placement
from gui.widgets.panel import INSET, TITLE_PX, Panel
from gui.widgets.raster import TraceLook, paint_columns
from gui.widgets.sweep import BAND_HZ, Sweep
from gui.widgets.text import Run, draw, width


@dataclass(frozen=True, slots=True)
class FrameStats:
    """Milliseconds per frame; NaN while `n` is 0.

    `p95_ms` is what the operator waits; `cpu_p95_ms` leaves out the time other threads and processes took meanwhile.
    """

    n: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    cpu_p95_ms: float


class FrameTimes:
    """Collect the duration of frames (main thread only)."""

    def __init__(self, keep: int = 4096):
        self._ms: deque[float] = deque(maxlen=keep)
        self._cpu_ms: deque[float] = deque(maxlen=keep)
        self._open_ms = self._open_cpu_ms = 0.0

    @contextmanager
    def part(self) -> Iterator[None]:
        """Time one part of the frame; parts add up until `close`."""
        start, cpu_start = time.perf_counter(), time.thread_time()
        yield
        self._open_ms += 1e3 * (time.perf_counter() - start)
        self._open_cpu_ms += 1e3 * (time.thread_time() - cpu_start)

    def close(self) -> None:
        """End the frame."""
        self._ms.append(self._open_ms)
        self._cpu_ms.append(self._open_cpu_ms)
        self._open_ms = self._open_cpu_ms = 0.0

    def clear(self) -> None:
        """Forget all frames, for instance after a warm-up."""
        self._ms.clear()
        self._cpu_ms.clear()
        self._open_ms = self._open_cpu_ms = 0.0

    def stats(self) -> FrameStats:
        """Return percentiles over the frames kept."""
        if not self._ms:
            return FrameStats(0, *[float("nan")] * 4)
        p50, p95 = np.percentile(self._ms, [50, 95])
        return FrameStats(len(self._ms), float(p50), float(p95), max(self._ms), float(np.percentile(self._cpu_ms, 95)))


SCALES_UV = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
SECONDS = 10.0
BAR_PX = 16  # erase bar ahead of the head, design px
LEFT, TOP, BOTTOM = 58, 40, 12  # around the picture, design px
NAMES_FROM_PX = 13  # line spacing from which every channel is named
EMPHASIS = {ChannelState.BAD: 5.0, ChannelState.DOUBTFUL: 4.0}  # so that their colour survives overlap
BAR_SPREADS = 3.2  # the scale bar stands for about so many times the traces' spread
RESCALE_EVERY_S = 2.0


class Traces(Panel):
    """All channels of the raw stream, grouped and coloured by region.

    Feed it with `show_stream` once per stream and `advance` once per frame.
    """

    def __init__(self, parent=None):
        super().__init__("Signals", parent)
        self.frame_times = FrameTimes()
        self.scale_uv = 50
        self.note = ""
        self._auto = True
        self._sweep: Sweep | None = None
        self._placement = Placement((), (), ())
        self._labels: tuple[str, ...] = ()
        self._states: tuple[ChannelState, ...] = ()
        self._pixels: NDArray[np.uint32] = np.zeros((1, 1), np.uint32)
        self._image = QImage()
        self._look: TraceLook | None = None
        self._painted = 0  # columns since the sweep began that are in the picture
        self._scaled_at = 0

    # what to show

    def show_stream(self, labels: tuple[str, ...], sfreq_hz: float, placement: Placement) -> None:
        """Begin the display of a new stream."""
        self._labels, self._placement = labels, placement
        self._sweep = Sweep(len(labels), sfreq_hz, SECONDS)
        self._states = (ChannelState.UNKNOWN,) * len(labels)
        self._auto, self._scaled_at = True, 0
        self.redraw()

    def set_states(self, states: tuple[ChannelState, ...]) -> None:
        """Colour channels (stream order) by verdict, from the next column on."""
        if states != self._states:
            self._states = states
            self._look = self._make_look()

    def restyle(self) -> None:
        """Take the colours of the theme."""
        self.redraw()

    def set_note(self, note: str) -> None:
        """Show what is wrong with the stream, beside the title."""
        if note != self.note:
            self.note = note
            self.update(QRect(0, 0, self.width(), math.ceil(TOP * self.scale)))

    def zoom(self, steps: int) -> None:
        """Move along the list of scales; the operator's choice is kept."""
        at = min(max(SCALES_UV.index(self.scale_uv) + steps, 0), len(SCALES_UV) - 1)
        self._auto, self.scale_uv = False, SCALES_UV[at]
        self.redraw()

    def advance(self, cursor: Cursor) -> int:
        """Take what is new from the ring and paint its columns; returns the number of samples taken."""
        sweep = self._sweep
        if sweep is None:
            return 0
        self.frame_times.close()
        with self.frame_times.part():
            new = cursor.pull()
            if new.samples.shape[1] != len(self._labels):
                return 0  # of another stream
            if new.lost and len(new.times):
                sweep.jump(float(new.times[0]))
            if len(new.times):
                sweep.push(new.samples, new.times, new.flags)
                self._rescale(sweep)
                self._paint_new(sweep)
        return len(new.times)

    # scale and look

    def _rescale(self, sweep: Sweep) -> None:
        due = self._scaled_at + (RESCALE_EVERY_S if self._scaled_at else 0.5) * sweep.sfreq_hz
        if not self._auto or sweep.head < due:
            return
        first, self._scaled_at = self._scaled_at == 0, sweep.head
        wanted = BAR_SPREADS * sweep.spread_uv()
        if not (wanted > 0) or (not first and 0.4 < wanted / self.scale_uv < 2.5):
            return
        chosen = min(SCALES_UV, key=lambda s: abs(math.log(s / wanted)))
        if chosen != self.scale_uv:
            self.scale_uv = chosen
            self.redraw()

    def _make_look(self) -> TraceLook:
        n = max(len(self._labels), 1)
        height = self._pixels.shape[0]
        spacing = height / (n + 1)
        place = np.empty(n)
        place[list(self._placement.order)] = np.arange(len(self._labels))
        bar_px = self._bar_px(spacing)
        colours = [theme.rgb(self._trace_colour(i)) for i in range(len(self._labels))]
        reach = max(4.0 * spacing, 1.2 * bar_px)
        emphasis = np.array([EMPHASIS.get(state, 1.0) for state in self._states])
        return TraceLook((place + 1.0) * spacing, bar_px / self.scale_uv, reach,
                         np.array(colours, float).reshape(-1, 3), emphasis)

    def _bar_px(self, spacing: float) -> float:
        """Device pixels that stand for `scale_uv`."""
        return max(20.0 * self.scale * self.devicePixelRatioF(), 0.6 * spacing)

    def _trace_colour(self, channel: int) -> str:
        state = self._states[channel]
        if state in (ChannelState.BAD, ChannelState.DOUBTFUL):
            return theme.CHANNEL_COLOURS[state]
        return theme.REGIONS.get(self._placement.regions[channel], theme.UNPLACED)

    # the picture

    def picture_rect(self) -> QRect:
        """Where the picture lies in the widget."""
        s = self.scale
        left, top = round(LEFT * s), round(TOP * s)
        return QRect(left, top, max(self.width() - left - round(INSET * s), 1),
                     max(self.height() - top - round(BOTTOM * s), 1))

    def picture(self) -> NDArray[np.uint32]:
        """Return the picture as (height, width) ARGB32, shared memory."""
        return self._pixels

    def redraw(self) -> None:
        """Paint the whole picture again from the history."""
        ratio = self.devicePixelRatioF()
        rect = self.picture_rect()
        w, h = max(round(rect.width() * ratio), 1), max(round(rect.height() * ratio), 1)
        red, green, blue = theme.rgb(theme.PANEL)
        self._ground = np.uint32(0xFF000000 | red << 16 | green << 8 | blue)
        self._pixels = np.full((h, w), self._ground, np.uint32)
        self._image = QImage(self._pixels.data, w, h, 4 * w, QImage.Format.Format_RGB32)
        self._image.setDevicePixelRatio(ratio)
        self._look = self._make_look()
        if self._sweep is not None:
            self._painted = self._sweep.complete(w)
            self._paint_strip(self._sweep, max(self._painted - w + self._bar(w), 0), self._painted)
        self.update()

    def _bar(self, picture_width: int) -> int:
        return min(round(BAR_PX * self.scale * self.devicePixelRatioF()), picture_width // 4)

    def _paint_new(self, sweep: Sweep) -> None:
        w = self._pixels.shape[1]
        complete = sweep.complete(w)
        first, self._painted = self._painted, complete
        if complete - first >= w - self._bar(w):
            self.redraw()
        elif complete > first:
            self._paint_strip(sweep, first, complete)
            self._update_columns(first, complete + self._bar(w))

    def _paint_strip(self, sweep: Sweep, first: int, stop: int) -> None:
        """Write columns `first` to `stop`, then the head line and the empty bar ahead of it."""
        h, w = self._pixels.shape
        if stop > first and self._look is not None:
            strip = paint_columns(sweep.columns(first, stop, w), self._look, h, theme.rgb(theme.PANEL))
            self._pixels[:, np.arange(first, stop) % w] = strip
        self._pixels[:, np.arange(stop, stop + self._bar(w)) % w] = self._ground
        self._pixels[:, stop % w] = np.uint32(0xFFB9C0C8)

    def _update_columns(self, first: int, stop: int) -> None:
        """Ask for a repaint of the picture's columns `first` to `stop` (which may wrap)."""
        w = self._pixels.shape[1]
        rect, ratio = self.picture_rect(), self.devicePixelRatioF()
        a, b = first % w, first % w + stop - first
        for left, right in ((a, min(b, w)), (0, b - w)):
            if right > left:
                x = math.floor(left / ratio)
                self.update(rect.x() + x, rect.y(), math.ceil(right / ratio) - x, rect.height())

    # painting

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Lay out and paint again."""
        self.redraw()

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel."""
        super().set_scale(scale)
        self.redraw()

    def wheelEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Zoom the amplitude."""
        self.zoom(-1 if event.angleDelta().y() > 0 else 1)

    def paintEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Copy the picture; paint the surroundings only where they are asked for."""
        with self.frame_times.part():
            rect = self.picture_rect()
            if not rect.contains(event.rect()):
                super().paintEvent(event)
            painter = QPainter(self)
            painter.setClipRect(event.rect())
            if self._sweep is not None:
                painter.drawImage(rect.topLeft(), self._image)
            painter.end()

    def title_runs(self) -> list[Run]:
        """Return name, time base and scale; what is wrong follows."""
        if self._sweep is None:
            return super().title_runs()
        shown = f"  ·  {SECONDS:g} s sweep  ·  {BAND_HZ[0]:g}–{BAND_HZ[1]:g} Hz  ·  {self.scale_uv} µV"
        return [Run(self.title + shown, theme.MUTED, TITLE_PX)]

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint names of regions or channels, the scale bar and the note."""
        if self._sweep is None:
            words = [Run(self.note or "looking for a stream", theme.MUTED, 16)]
            draw(painter, (w - width(words)) / 2, h / 2, words)
            return
        if self.note:
            words = [Run(self.note, theme.WARM, TITLE_PX, True)]
            draw(painter, w - INSET - width(words), 25, words)
        height = self.picture_rect().height() / self.scale
        spacing = height / (len(self._labels) + 1)
        ratio = self.scale * self.devicePixelRatioF()
        bar = self._bar_px(spacing * ratio) / ratio
        beside_title = bar <= 24
        x, y = (width(self.title_runs()) + INSET + 10, 20 - bar / 2) if beside_title else (LEFT - 7, TOP + 4)
        painter.fillRect(QRectF(x, y, 1.5, bar), theme.colour(theme.MUTED))
        if spacing >= NAMES_FROM_PX:
            for row, channel in enumerate(self._placement.order):
                name = [Run(self._labels[channel], theme.MUTED, 11)]
                draw(painter, INSET - 2, TOP + (row + 1) * spacing + 4, name, LEFT - INSET)
            return
        row = 0
        for region in ORDER:
            count = self._placement.regions.count(region)
            if count:
                name = [Run(region or "other", theme.MUTED, 12)]
                draw(painter, INSET - 2, TOP + (row + (count + 1) / 2) * spacing + 4, name)
            row += count
