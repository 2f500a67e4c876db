"""Width and reverberation for sound that is the same left and right: sparse echoes that differ between the ears.

What is added to the left is taken from the right, so that the sum of both, a mono loudspeaker, is the sound as it was.
The reverberation is a filter of finite length on the queued sound: what it adds to a sample follows from the samples
before it, whenever it is asked for and in whatever blocks.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.loudness import soft_limit

LENGTH = round(0.15 * AUDIO_RATE_HZ)
FIRST_S, DECAY_S = 0.007, 0.030  # of the first echo, and of the fall to 1/e
ECHOES_PER_S = 2000.0
LOWEST_HZ = 250.0  # what is lower has no side: it would only make the bass weaker in one ear


class Reverb:
    """Adds reverberation to sound.

    Parameters
    ----------
    wet : float
        Level of what is added, relative to the sound: 0 is the sound bit for bit, 0.35 a small hall.
    """

    def __init__(self, wet: float):
        if not 0.0 <= wet <= 1.0:
            raise ValueError(f"wet is a share from 0 to 1, got {wet}")
        self.wet = wet

    @property
    def reach(self) -> int:
        """Samples after a change that sound different because of it."""
        return LENGTH - 1 if self.wet else 0

    def __call__(self, samples: NDArray[np.float32], before: int) -> NDArray[np.float32]:
        """Sound (n, 2) with reverberation, of samples (before + n, 2) that begin `before` earlier.

        With `before` less than `reach` what came earlier counts as silence.
        """
        heard = samples[before:]
        if not self.wet or not len(heard):
            return heard
        middle = 0.5 * (samples[:, 0].astype(np.float64) + samples[:, 1])
        side = self.wet * _filtered(middle)[before:]
        return soft_limit((heard + np.stack([side, -side], axis=1)).astype(np.float32))


def _filtered(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(len(samples) + LENGTH - 1, real=True)
    return irfft(rfft(samples, size) * rfft(_echoes(), size), size)[: len(samples)]


@cache
def _echoes() -> NDArray[np.float64]:
    """(LENGTH,) filter of unit energy: velvet noise (sparse echoes of either sign) that fades, without its bass."""
    rng = np.random.default_rng(20)
    grid = AUDIO_RATE_HZ / ECHOES_PER_S
    at = (np.arange(int((LENGTH - FIRST_S * AUDIO_RATE_HZ) / grid)) + rng.random()) * grid
    at = np.minimum(FIRST_S * AUDIO_RATE_HZ + at + rng.uniform(0, grid - 1, len(at)), LENGTH - 1)
    places = at.astype(np.intp)
    filter_ = np.zeros(LENGTH)
    np.add.at(filter_, places, rng.choice([-1.0, 1.0], len(at)) * np.exp(-places / (DECAY_S * AUDIO_RATE_HZ)))
    decay = np.exp(-2 * np.pi * LOWEST_HZ / AUDIO_RATE_HZ)
    high, slow = np.empty(LENGTH), 0.0
    for i, value in enumerate(filter_):
        slow = decay * slow + (1 - decay) * value
        high[i] = value - slow
    high[-LENGTH // 10 :] *= np.linspace(1.0, 0.0, LENGTH // 10 + (LENGTH % 10 > 0))
    return high / np.sqrt(np.square(high).sum())
