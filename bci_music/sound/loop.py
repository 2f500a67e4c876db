"""A clip that never ends: its tail flows into its head, on the bar where the tempo is known; and the waiting chord."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.beat import BEATS_PER_BAR
from bci_music.sound.loudness import to_level
from bci_music.sound.splice import mix

PAD_S = 12
PAD_LEVEL_DB = -30.0
PAD_NOTES_HZ = (110.0, 164.75, 220.0, 277.25, 329.5)  # multiples of 1/12 Hz, so that the end meets the beginning


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
        self._splice = mix(tail, head, self.fade) if self.fade else head

    def render(self, position: int, n: int) -> NDArray[np.float32]:
        """Samples `position` to `position + n`, (n, 2); a position beyond the period is a later round."""
        out = np.empty((n, 2), np.float32)
        done = 0
        while done < n:
            turn, at = divmod(position + done, self.period)
            in_splice = turn > 0 and at < self.fade
            source, stop = (self._splice, min(self.fade, self.period)) if in_splice else (self._body, self.period)
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


@cache
def waiting_pad() -> NDArray[np.float32]:
    """Return 12 s of an open chord, (n, 2) float32 at 48 kHz; its end meets its beginning without a splice."""
    time_s = np.arange(PAD_S * AUDIO_RATE_HZ) / AUDIO_RATE_HZ
    sound = np.zeros((len(time_s), 2))
    for number, note_hz in enumerate(PAD_NOTES_HZ):
        turns = 1 + number % 3
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * (turns * time_s / PAD_S + number / len(PAD_NOTES_HZ)))
        tone = sum(np.sin(2 * np.pi * k * note_hz * time_s + number * k) / k**2 for k in (1, 2, 3))
        side = 0.5 + 0.35 * np.cos(2 * np.pi * (time_s / PAD_S + number / 2))
        sound += (swell * tone / (1 + 0.3 * number))[:, None] * np.stack([side, 1 - side], axis=1)
    pad = to_level(sound.astype(np.float32), PAD_LEVEL_DB)
    pad.setflags(write=False)  # shared by all who wait
    return pad
