"""The first seconds of a live stream: at which rate it really sends, before anything is built on that."""

from __future__ import annotations

import numpy as np

from bci_music.messages import Chunk, UserError
from bci_music.timing.rate import agrees, rate_note, steady_rate, usual_rate

CLEAN_S = 0.5  # clean stamps at the stated rate settle it that soon
APART_S = 0.2  # over which they must have come: one long chunk proves nothing
LOOK_S = 2.0  # jittery stamps
MEASURE_S = 3.0  # another rate than the stated one
LIMIT_S = 8.0
_ARRIVES = 0.25  # arrivals may differ from stamps by so much


class RateTrial:
    """Hold a stream's first chunks until its rate is known.

    A rate within 5 % of the stated one leaves that standing. Another one that is steady over 3 s is used, with a note.

    Parameters
    ----------
    name : str
        Of the stream, for the note.
    stated_hz : float
        0 where none is stated.
    """

    def __init__(self, name: str, stated_hz: float):
        self.name = name
        self.stated_hz = max(0.0, stated_hz)
        self.note = ""
        self.held: list[Chunk] = []
        self.refused: UserError | None = None  # set while the rate does not settle

    def add(self, chunk: Chunk) -> None:
        """Take what came; the oldest is forgotten once the rate has failed to settle."""
        self.held.append(chunk)
        if self.refused is not None:
            self.held = [c for c in self.held if chunk.arrived_s - c.arrived_s <= LIMIT_S + 0.5]

    def rate(self) -> float | None:
        """Return the rate to use, None as long as it is not known."""
        if not self.held:
            return None
        stamps = np.concatenate([chunk.times_s for chunk in self.held])
        span_s = self.held[-1].arrived_s - self.held[0].arrived_s
        if self._clean(stamps, span_s):
            return self.stated_hz
        if span_s < LOOK_S:
            return None
        shown_hz = steady_rate(stamps, self.stated_hz)
        arrives_hz = (len(stamps) - len(self.held[0].times_s)) / span_s
        if shown_hz is not None and abs(arrives_hz / shown_hz - 1.0) < _ARRIVES:
            if agrees(shown_hz, self.stated_hz):
                return self.stated_hz
            if span_s >= MEASURE_S:
                return self._measured(shown_hz)
        if span_s >= LIMIT_S:
            if abs(arrives_hz / (self.stated_hz or np.inf) - 1.0) < 2 * _ARRIVES / 5 and self._covers(stamps, span_s):
                return self.stated_hz  # much jitter, but as many samples as stated
            self.refused = UserError(self._why_not(shown_hz, arrives_hz))
        return None

    def give_up(self) -> float | None:
        """The stream fell silent or went: the stated rate has to do, None where there is none."""
        return self.stated_hz or None

    def _clean(self, stamps: np.ndarray, span_s: float) -> bool:
        """Whether the newest half second, more than one chunk, is what the stated rate makes it."""
        n = max(16, round(CLEAN_S * self.stated_hz), len(self.held[-1].times_s) + 2)
        if not self.stated_hz or len(stamps) < n or span_s < APART_S:
            return False
        steps = np.diff(stamps[-n:]) * self.stated_hz
        return bool(steps.min() > 0.5 and steps.max() < 1.5 and abs(steps.mean() - 1.0) < 0.01)

    @staticmethod
    def _covers(stamps: np.ndarray, span_s: float) -> bool:
        """Whether the stamps go on as long as the samples came."""
        return bool(abs((stamps[-1] - stamps[0]) / span_s - 1.0) < _ARRIVES)

    def _measured(self, shown_hz: float) -> float:
        used_hz = usual_rate(shown_hz)
        self.note = rate_note(self.name, self.stated_hz, shown_hz, used_hz)
        return used_hz

    def _why_not(self, shown_hz: float | None, arrives_hz: float) -> str:
        states = f"states {self.stated_hz:g} Hz" if self.stated_hz else "states no sampling rate"
        shows = "no steady rate" if shown_hz is None else f"{shown_hz:.4g} Hz"
        return (
            f"{self.name} {states}, but {arrives_hz:.1f} samples per second come and its time stamps show {shows}: "
            "its rate cannot be told; set rate and time stamps right in the sending program."
        )
