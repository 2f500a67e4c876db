"""What tells one trial from every other although it has nothing to do with the music.

A judge that lets windows of one trial into training and test alike rewards a decoder for knowing it: this is how
that leak is made on purpose, so that it can be shown.
"""

from __future__ import annotations

import numpy as np

from bci_music.simulate.background import shaped_noise
from bci_music.simulate.head import Array, dipole_maps, random_dipoles

BAND_HZ = (6.0, 40.0)
N_RHYTHMS = 6
WANDER_HZ = 0.6  # how far a rhythm strays from its own frequency
SLOW_HZ = 0.025  # frequency and strength change over some 40 s, so that neighbouring seconds are alike
SWELL = 0.5  # spread of the logarithm of a rhythm's strength


class Fingerprint:
    """Narrow-band rhythms that one trial carries throughout, before the music as well as during it.

    Each has a frequency, a place and a direction of its own, drawn anew for every trial, so that neither high-pass
    filter nor scaling of single channels removes what they have in common. Frequency and strength stray slowly:
    near instants of a trial are alike, so that they also tell *when* in the trial a window was cut.

    Parameters
    ----------
    positions_m : (n_channels, 3)
    seed : int
        Which trial.
    """

    def __init__(self, positions_m: Array, seed: int):
        rng = np.random.default_rng([seed, 20])
        self.hz = np.sort(rng.uniform(*BAND_HZ, N_RHYTHMS))
        self.maps = dipole_maps(positions_m, *random_dipoles(N_RHYTHMS, rng))
        self._rng_seed = [seed, 21]

    def course(self, n: int, sfreq_hz: float) -> Array:
        """Time courses (n, 6) of the rhythms; mean power over all of them together about 1."""
        rng = np.random.default_rng(self._rng_seed)
        stray = _slow(n, sfreq_hz, rng)
        swell = _slow(n, sfreq_hz, rng)
        turns = np.cumsum(self.hz + WANDER_HZ * stray, axis=0) / sfreq_hz + rng.uniform(0, 1, N_RHYTHMS)
        level = np.exp(SWELL * swell - SWELL**2)  # E[level ** 2] = 1
        return np.sqrt(2 / N_RHYTHMS) * level * np.sin(2 * np.pi * turns)

    def samples(self, n: int, sfreq_hz: float) -> Array:
        """(n, n_channels) on the scalp, average-referenced; root mean square over channels and time about 1."""
        return self.course(n, sfreq_hz) @ self.maps.T


def _slow(n: int, sfreq_hz: float, rng: np.random.Generator) -> Array:
    """(n, 6) of unit spread that changes below `SLOW_HZ`."""
    size = max(n, int(4 * sfreq_hz / SLOW_HZ))  # long enough to hold several such changes
    return shaped_noise((size, N_RHYTHMS), sfreq_hz, rng, lambda f: (f <= SLOW_HZ).astype(float), (0, SLOW_HZ))[:n]
