"""Where two stretches of music meet: on the same sound, on a common beat, or where they are most alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.continuity.beat import Beat, find_beat, to_mono
from bci_music.generation.continuity.correlation import correlation, energy, sliding_minimum
from bci_music.messages import AUDIO_RATE_HZ

SAME = 0.5  # likeness from which on both are one sound, shifted by at most SAME_WITHIN
SAME_WITHIN = round(0.003 * AUDIO_RATE_HZ)
NEAR_BEAT = round(0.008 * AUDIO_RATE_HZ)  # beats are known to about this
MOMENT = round(0.05 * AUDIO_RATE_HZ)  # shorter pauses are not heard as such
NEARLY = 0.8  # of the power, 1 dB: as loud as the loudest
CONTEXT = 4 * AUDIO_RATE_HZ  # of which the beat is found


@dataclass(frozen=True)
class Meeting:
    """A crossfade of `length` samples from sample `leave` of the tail and sample `enter` of the head on.

    `likeness` is their correlation within the fade (0..1), `by` is why they meet here.
    """

    leave: int
    enter: int
    length: int
    likeness: float
    by: Literal["same", "beat", "likeness"]


def meet(
    leaving: NDArray[np.float32], entering: NDArray[np.float32], overlap: int, fade: int
) -> Meeting:
    """Find where the last `overlap` samples of `leaving` and the first of `entering` meet best.

    Parameters
    ----------
    leaving, entering : (n, 2) float32
        More than the overlap, up to 4 s, tells more of the beat.
    overlap, fade : int
        Samples; the fade lies within the overlap.
    """
    overlap = min(overlap, len(leaving), len(entering))
    fade = min(fade, overlap)
    before, after = to_mono(leaving[-CONTEXT:]), to_mono(entering[:CONTEXT])
    tail, head = before[len(before) - overlap :], after[:overlap]
    room = overlap - fade
    alike = likeness_by_lag(tail, head, room)
    near = slice(max(0, room - SAME_WITHIN), room + SAME_WITHIN + 1)
    if alike[near].max() >= SAME:  # any place will do that is not a pause
        by: Literal["same", "beat", "likeness"] = "same"
        lag = int(alike[near].argmax()) + near.start - room
        at = _sounding(tail, head, lag, fade)
    else:
        start = len(before) - overlap
        beat = find_beat(before) if start else None
        found = _lag_of_beats(beat, find_beat(after), start, alike, room) if beat else None
        by, lag = ("likeness", int(alike.argmax()) - room) if found is None else ("beat", found)
        at = _place(beat, start, lag, overlap, fade)
    both = tail[at : at + fade], head[at - lag : at - lag + fade]
    return Meeting(at, at - lag, fade, _likeness(*both), by)


def likeness_by_lag(tail: NDArray[np.float32], head: NDArray[np.float32], most: int) -> NDArray[np.float64]:
    """Correlation of what overlaps when `head` begins `lag` samples into `tail`, for lags from -most to most.

    Both are (n,). Short overlaps, which are alike by chance, count for less.
    """
    n = len(tail)
    lags = np.arange(-most, most + 1)
    tails = energy(tail, np.maximum(lags, 0), n + np.minimum(lags, 0))
    heads = energy(head, np.maximum(-lags, 0), n - np.maximum(lags, 0))
    scale = np.maximum(np.sqrt(np.maximum(tails * heads, 0.0)), 1e-9)
    return correlation(tail, head, lags) / scale * np.sqrt((n - np.abs(lags)) / n)


def _lag_of_beats(
    beat: Beat, other: Beat | None, tail_start: int, alike: NDArray[np.float64], room: int
) -> int | None:
    """Return the smallest shift that brings the beats together, and within their precision the most alike."""
    if other is None or not beat.agrees(other):
        return None
    shift = (beat.phase - tail_start - other.phase) % beat.period
    near = min((shift, shift - beat.period), key=abs)
    low, high = (int(np.clip(round(near) + d + room, 0, 2 * room)) for d in (-NEAR_BEAT, NEAR_BEAT))
    if abs(near) > room or high <= low:
        return None
    return low + int(alike[low:high].argmax()) - room


def _place(beat: Beat | None, tail_start: int, lag: int, overlap: int, fade: int) -> int:
    """First sample of the fade in the tail: it ends with a beat where there is one, else lies in the middle."""
    low, high = max(0, lag), min(overlap, overlap + lag) - fade
    middle = (low + high) // 2
    if beat is None:
        return middle
    starts = np.rint(beat.times(tail_start + low + fade, tail_start + high + fade + 1) - tail_start - fade)
    return int(starts[np.abs(starts - middle).argmin()]) if len(starts) else middle


def _sounding(tail: NDArray[np.float32], head: NDArray[np.float32], lag: int, fade: int) -> int:
    """First sample of the fade in the tail, where the quietest moment within it is loudest, near the middle if it can.

    A sound that has nearly died away goes on as another one soonest there: the new clip may have its pause longer.
    """
    low, high = max(0, lag), min(len(tail), len(head) + lag)
    power = np.square(tail[low:high], dtype=np.float64) + np.square(head[low - lag : high - lag], dtype=np.float64)
    moment = min(MOMENT, fade)
    sums = np.cumsum(np.concatenate([[0.0], power]))
    quietest = sliding_minimum(sums[moment:] - sums[:-moment], fade - moment + 1)
    loud = np.flatnonzero(quietest >= NEARLY * quietest.max())
    return low + int(loud[np.abs(loud - (len(quietest) - 1) // 2).argmin()])


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / scale, 0, 1)) if scale > 0 else 0.0
