"""Is it above chance? A bet against chance that may be looked at whenever one likes, as often as one likes.

Where chance alone is at work, the true one of k candidates takes every rank with the same probability. A bet pays
``f(rank)`` with mean 1 over the ranks, so that under chance the wealth it makes from 1 on is a martingale, and by
Ville's inequality it reaches ``1 / alpha`` at any time of a run with probability at most `alpha`: the rate of false
alarms holds for the whole run and not for one look at it, which an interval or a p-value made again and again does
not give. Bets are ``f(r)`` in proportion to ``r ** -s``; the wealth is the mean over those made at several strengths
s from the start of the run, which is a martingale, too. Source: the simple mixture of power martingales (Vovk,
Nouretdinov and Gammerman, Testing exchangeability on-line, ICML 2003), here on ranks, so that the mean is exactly 1
for any k; Ville's inequality as in Ramdas, Gruenwald, Vovk and Shafer (Game-theoretic statistics and safe
anytime-valid inference, Statistical Science 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

ALARM_RATE = 0.05  # of runs under chance in which it ever says yes, at most
STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0)  # 0 does not bet: the mean over strengths cannot fall below a fifth


def rank_of(scores: ArrayLike, true: int) -> tuple[int, int]:
    """Rank of the true one among all (k,) scores that are numbers, and k: 1 is the best, a tie counts against it.

    The true one's score must be a number.
    """
    s = np.asarray(scores, np.float64)
    known = s[np.isfinite(s)]
    return int((known >= s[true]).sum()), len(known)


@dataclass
class RankBets:
    """Wealth of bets on the true candidate's rank.

    What is counted must be independent under chance, or rather: given all that was counted before, every rank must be
    as likely. Count pieces of EEG that do not overlap, once each.

    Attributes
    ----------
    n : int
        Bets made.
    wealth, highest : float
        Now, and at its highest: `highest` decides, so that what was shown stays shown.
    """

    n: int = 0
    highest: float = 1.0
    _logs: np.ndarray = field(default_factory=lambda: np.zeros(len(STRENGTHS)))

    def bet(self, rank: int, k: int) -> None:
        """Take one rank, 1 .. k; with one candidate alone nothing can be learned and nothing is counted."""
        if not 1 <= rank <= k:
            raise ValueError(f"rank {rank} of {k} candidates cannot be")
        if k == 1:
            return
        strength = np.array(STRENGTHS)
        pay = np.arange(1, k + 1)[None] ** -strength[:, None]
        self._logs += np.log(pay[:, rank - 1]) - np.log(pay.mean(axis=1))
        self.n += 1
        self.highest = max(self.highest, self.wealth)

    @property
    def wealth(self) -> float:
        """What a stake of 1 is worth now."""
        return float(np.exp(np.minimum(self._logs, 600.0)).mean())

    @property
    def shown(self) -> bool:
        """Whether it is above chance."""
        return self.highest >= 1.0 / ALARM_RATE
