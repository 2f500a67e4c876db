"""A clip that never ends: its tail flows into its head, on the bar where the tempo is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.crossfade import mix
from bci_music.messages import AUDIO_RATE_HZ

BEATS_PER_BAR = 4


class Loop:
    """Endless playback of (n, 2) samples at 48 kHz.

    Parameters
    ----------
    samples : (n, 2) float32
    fade_s : float
        Length of the crossfade from the tail back into the head.
    bpm : float or None
        If known, the loop is cut to whole bars, or whole beats when it is shorter than a bar.
    first_beat_s : float
        Time of a bar line, counted from the first sample (may be negative).
    """

    def __init__(
        self, samples: NDArray[np.float32], fade_s: float = 0.6, bpm: float | None = None, first_beat_s: float = 0.0
    ):
        if len(samples) < 2:
            raise ValueError("a loop needs at least two samples")
        self.fade = min(round(fade_s * AUDIO_RATE_HZ), len(samples) // 2)
        self.beat = round(60 / bpm * AUDIO_RATE_HZ) if bpm else 0
        self.bar = self.beat * BEATS_PER_BAR
        self.first_beat = round(first_beat_s * AUDIO_RATE_HZ)
        longest = len(samples) - self.fade
        unit = next((u for u in (self.bar, self.beat) if 0 < u <= longest), 1)
        self.period = longest // unit * unit
        self._body = samples[: self.period]
        head, tail = samples[: self.fade], samples[self.period : self.period + self.fade]
        self._seam = mix(tail, head, self.fade) if self.fade else head

    def render(self, position: int, n: int) -> NDArray[np.float32]:
        """Samples `position` to `position + n`, (n, 2); a position beyond the period is a later round."""
        out = np.empty((n, 2), np.float32)
        done = 0
        while done < n:
            turn, at = divmod(position + done, self.period)
            in_seam = turn > 0 and at < self.fade
            source, stop = (self._seam, min(self.fade, self.period)) if in_seam else (self._body, self.period)
            count = min(n - done, stop - at)
            out[done : done + count] = source[at : at + count]
            done += count
        return out

    def to_next_beat(self, position: int) -> int:
        """Samples from `position` to the next beat; 0 where the tempo is unknown."""
        return (self.first_beat - position % self.period) % self.beat if self.beat else 0

    def entry(self, lead: int) -> int:
        """Position from which it takes `lead` samples to a bar line."""
        return (self.first_beat - lead) % (self.bar if 0 < self.bar <= self.period else self.period)
