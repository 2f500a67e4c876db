"""The last bar of what is queued, going on for as long as it takes: on its beat, and if need be slowly sinking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.continuity.beat import BEATS_PER_BAR, find_beat, to_mono
from bci_music.generation.continuity.correlation import correlation, energy
from bci_music.generation.loop import Loop
from bci_music.generation.silence import THRESHOLD
from bci_music.messages import AUDIO_RATE_HZ

SEARCH_S = 6.0  # of the newest sound, in which beat and bar are looked for
BAR_S = (1.2, 2.6)  # a bar, or two or half of it
SINK_S = 8.0  # the bar sinks to its lowest level in this time
LOWEST = 0.15


class LastBar:
    """Repeats the last bar of the newest (n, 2) samples.

    Its first block belongs over the last `joint` samples of what is queued.
    """

    def __init__(self, newest: NDArray[np.float32], joint: int):
        period = bar_length(newest, joint)
        self._loop = Loop(newest[len(newest) - period - joint :], joint / AUDIO_RATE_HZ)
        self._position = self._sunk = 0

    @property
    def played_s(self) -> float:
        """Seconds made so far."""
        return self._position / AUDIO_RATE_HZ

    def block(self, n: int, sinking: bool = False) -> NDArray[np.float32]:
        """Return the next `n` samples, (n, 2); `sinking` lets the level go down from here on, but never to nothing."""
        samples = self._loop.render(self._position, n)
        self._position += n
        if sinking:
            time_s = np.arange(self._sunk, self._sunk + n) / AUDIO_RATE_HZ
            samples *= np.maximum(LOWEST, LOWEST ** (time_s / SINK_S)).astype(np.float32)[:, None]
            self._sunk += n
        return samples


def bar_length(newest: NDArray[np.float32], joint: int) -> int:
    """Samples after which the end of `newest` may follow itself: a bar, or what is most like its end.

    `joint` samples, which are crossfaded, lie on top of it.
    """
    most = min(len(newest) - joint, round(BAR_S[1] * AUDIO_RATE_HZ))
    if most <= joint:
        return max(1, most)
    beat = find_beat(newest)
    bar = round(beat.period * BEATS_PER_BAR) if beat else 0
    while bar > most:
        bar //= 2
    if beat and bar >= BAR_S[0] * AUDIO_RATE_HZ / 2:
        near = round(0.01 * AUDIO_RATE_HZ)
        return _most_alike(newest, joint, max(joint, bar - near), min(most, bar + near))
    return _most_alike(newest, joint, min(max(joint, round(BAR_S[0] * AUDIO_RATE_HZ)), most), most)


def is_audible(sound: NDArray[np.float32]) -> bool:
    """Whether every half second of (n, 2) samples is above silence."""
    half = AUDIO_RATE_HZ // 2
    parts = [sound[i : i + half] for i in range(0, max(1, len(sound) - half // 2), half)]
    return all(float(np.abs(part).max(initial=0.0)) > 2 * THRESHOLD for part in parts)


def _most_alike(newest: NDArray[np.float32], joint: int, low: int, high: int) -> int:
    """Distance from `low` to `high` samples at which what came before is most like the last `joint` samples."""
    mono = to_mono(newest)[len(newest) - joint - high :]  # its first sample lies `high` before the end's first
    ago = np.arange(low, high + 1)
    products = correlation(mono, mono[high:], high - ago)
    scale = np.sqrt(energy(mono, high - ago, high - ago + joint))
    return low + int((products / np.maximum(scale, 1e-9)).argmax())
