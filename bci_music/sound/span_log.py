"""The span log: what each part of the sound is, by absolute sample."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace

from bci_music.messages import SoundSpan


class SpanLog:
    """Spans in order of time, merged where one goes on as the same sound."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[SoundSpan] = []

    def append(self, start: int, spans: Iterable[SoundSpan]) -> None:
        """Add the spans of a block that begins at absolute sample `start`."""
        with self._lock:
            for span in spans:
                placed = replace(span, start=start + span.start, stop=start + span.stop)
                if self._spans and same_sound(self._spans[-1], placed):
                    self._spans[-1] = merged(self._spans[-1], placed)
                elif placed.stop > placed.start:
                    self._spans.append(placed)

    def truncate(self, index: int) -> None:
        """Forget everything from absolute sample `index` on."""
        with self._lock:
            while self._spans and self._spans[-1].start >= index:
                self._spans.pop()
            if self._spans and self._spans[-1].stop > index:
                self._spans[-1] = replace(self._spans[-1], stop=index)

    def mark_late(self, index: int, step: str) -> None:
        """Name the step of the fallback chain that everything from absolute sample `index` on belongs to."""
        with self._lock:
            kept = [span for span in self._spans if span.stop > index]
            del self._spans[len(self._spans) - len(kept) :]
            for span in kept:
                if span.start < index:
                    self._spans.append(replace(span, stop=index))
                self._spans.append(replace(span.from_sample(index), late=step))

    def at(self, index: int) -> SoundSpan | None:
        """Return the span that holds sample `index`."""
        with self._lock:
            number = bisect_right(self._spans, index, key=lambda span: span.start) - 1
            found = self._spans[number] if number >= 0 else None
        return found if found and found.start <= index < found.stop else None

    def first_from_eeg(self) -> SoundSpan | None:
        """Return the first span the EEG chose."""
        with self._lock:
            return next((span for span in self._spans if span.kind in ("retrieved", "generated")), None)

    def all(self) -> tuple[SoundSpan, ...]:
        """Return all spans."""
        with self._lock:
            return tuple(self._spans)


def same_sound(a: SoundSpan, b: SoundSpan) -> bool:
    """Whether `b` goes on where `a` ends, as the same sound."""
    return a.stop == b.start and _identity(a) == _identity(b)


def _identity(span: SoundSpan) -> tuple[str, str, str, str, float, float]:
    made_s = span.style_made_s if span.kind == "generated" else 0.0  # each such clip has one style of its own
    return span.kind, span.title, span.song, span.late, round(span.prompt_weight, 2), made_s


def merged(a: SoundSpan, b: SoundSpan) -> SoundSpan:
    """Return one span for both; its similarity is the mean over time."""
    if math.isnan(a.similarity) or math.isnan(b.similarity):
        similarity = b.similarity if math.isnan(a.similarity) else a.similarity
    else:
        lengths = a.stop - a.start, b.stop - b.start
        similarity = (a.similarity * lengths[0] + b.similarity * lengths[1]) / max(1, sum(lengths))
    return replace(a, stop=b.stop, similarity=similarity)
