"""Is the sound that is heard in the EEG? Bets on its true place among the places it could have in a block of time.

A decoder reconstructs the sound's flux and envelope from EEG, block by block. In the block that follows, the sound is
turned round in a circle to `k` evenly spaced places; the bet is on the rank of the true one. Where EEG knows nothing of
the sound, turning it further changes nothing, and since the places are even, each turn only moves their names on by
one: every rank is as likely, however alike neighbouring places are. That would not hold for places drawn at random, for
one that keeps its distance to the others is the best of them too often.

The decoder learns from the blocks before, and each place has one of its own, learned with the sound turned as far in
all of them: a beat and a pulse of the EEG that keep step by chance do so at every place. `k` is drawn again for each
block, so that no tempo falls between the same places again and again. What is used again is not new: EEG that came
before, as in a loop, is for the caller to leave out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.heard.features import RATE_HZ, TARGETS, standardised
from bci_music.heard.ridge import LagSums, RidgePath, shifted_cross
from bci_music.metrics.sequential import RankBets, rank_of

BLOCK_S = 10.0
ROWS = round(BLOCK_S * RATE_HZ)
LAGS = range(0, 27, 2)  # rows at 64 Hz: EEG of 0 to 406 ms after the sound
PLACES = (13, 19)  # of a block, 0.5 to 0.8 s apart: further than the lags, or one place's decoder serves the next
LEARN_BLOCKS = 2  # before the first bet
COMPONENTS = 16  # of the EEG
ALPHA = 0.1  # penalty, of the mean eigenvalue
_LEAST_EIGENVALUE = 1e-6  # of the largest; components below are numerical noise
_EVERY_LAG = range(ROWS)


@dataclass(frozen=True)
class _Block:
    """Products of EEG (C channels) with itself at `LAGS`, and with the sound (K columns) at every lag round the block.

    `auto` (width, C, C), `cross` (ROWS, C, K), `power` (K,).
    """

    auto: NDArray[np.float64]
    cross: NDArray[np.float64]
    power: NDArray[np.float64]

    @classmethod
    def of(cls, eeg: NDArray[np.floating], sound: NDArray[np.floating]) -> _Block:
        x, y = (standardised([np.asarray(part, np.float32)])[0].astype(np.float64) for part in (eeg, sound))
        auto = np.stack([np.roll(x, -lag, axis=0).T @ x for lag in LAGS])
        cross = shifted_cross(x, y, _EVERY_LAG, np.zeros(1, np.int64)).astype(np.float64)
        return cls(auto, cross, (y * y).sum(axis=0))

    def plus(self, other: _Block) -> _Block:
        return _Block(self.auto + other.auto, self.cross + other.cross, self.power + other.power)

    def at(self, places: NDArray[np.int64], axes: NDArray[np.float64]) -> LagSums:
        """Sums for EEG components with the sound turned by `places` rows: targets of the first, then of the next."""
        auto = axes.T @ self.auto @ axes
        lags = (np.asarray(LAGS)[:, None] + places[None, :]) % ROWS
        cross = np.einsum("lpck,cd->ldpk", self.cross[lags], axes)
        width, n = len(LAGS), axes.shape[1]
        return LagSums(auto, cross.reshape(width, n, -1), np.tile(self.power, len(places)))


class AlignmentBets:
    """Bets on where in its block the sound belongs, made with what was learned from the blocks before.

    Parameters
    ----------
    seed : int
        Of the numbers of places; nothing of the data is in it.

    Attributes
    ----------
    bets : RankBets
    hits : int
        Blocks in which the true place was the best.
    by_chance : float
        How many that would be by chance.
    """

    def __init__(self, seed: int = 0):
        self._rng = np.random.default_rng([seed, 47])
        self._learned: _Block | None = None
        self._blocks = 0
        self.bets = RankBets()
        self.hits, self.by_chance = 0, 0.0

    def add(self, eeg: NDArray[np.floating], sound: NDArray[np.floating]) -> None:
        """Bet on a block, once enough is learned, and learn from it.

        Parameters
        ----------
        eeg : (ROWS, n_channels)
            Electrodes not to be used are zero.
        sound : (ROWS, 2)
            `TARGETS`, heard at the same instants. A block of silence, or without EEG, is passed over.
        """
        new = _Block.of(eeg, sound)
        if not new.auto[0].any() or new.power.min() == 0:
            return
        if self._learned is not None and self._learned.auto.shape != new.auto.shape:
            self._learned, self._blocks = None, 0  # another stream
        if self._learned is not None and self._blocks >= LEARN_BLOCKS:
            self._bet(new, self._learned)
        self._learned = new if self._learned is None else self._learned.plus(new)
        self._blocks += 1

    def _bet(self, new: _Block, learned: _Block) -> None:
        low, high = PLACES
        k = int(self._rng.integers(low, high + 1))
        places = np.round(np.arange(k) * ROWS / k).astype(np.int64)
        axes = _components(learned.auto[0])
        past, now = learned.at(places, axes), new.at(places, axes)
        weights = RidgePath(past.gram()).weights(past.moment(), ALPHA)
        made = np.einsum("pk,pk->k", weights, now.gram() @ weights)
        r = np.einsum("pk,pk->k", weights, now.moment()) / np.sqrt(np.maximum(made * now.power, 1e-24))
        rank, of = rank_of(r.reshape(k, len(TARGETS)).sum(axis=1), 0)
        self.bets.bet(rank, of)
        self.hits += rank == 1
        self.by_chance += 1.0 / k


def _components(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, k) axes of the electrodes' covariance, the strongest first; they know the EEG alone."""
    values, axes = np.linalg.eigh(covariance)
    kept = values > _LEAST_EIGENVALUE * max(float(values[-1]), np.finfo(float).tiny)
    return np.asarray(axes[:, kept][:, ::-1][:, :COMPONENTS], np.float64)
