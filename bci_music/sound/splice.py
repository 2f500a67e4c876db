"""Splices: where two pieces of music are spliced, and the fade that joins them without a dip or a click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ, AudioBlock
from bci_music.sound.beat import Beat, correlation, energy, find_beat, sliding_minimum, to_mono
from bci_music.sound.loudness import glide, level_difference_db, soft_limit
from bci_music.sound.player import Player
from bci_music.sound.span_log import SpanLog

Ramp = NDArray[np.float32]
Reason = Literal["same", "beat", "similarity"]
SAME = 0.5  # similarity from which on both are one sound, shifted by at most SAME_WITHIN
SAME_WITHIN = round(0.003 * AUDIO_RATE_HZ)
NEAR_BEAT = round(0.008 * AUDIO_RATE_HZ)  # beats are known to about this
MOMENT = round(0.05 * AUDIO_RATE_HZ)  # shorter pauses are not heard as such
NEARLY = 0.8  # of the power, 1 dB: as loud as the loudest
CONTEXT = 4 * AUDIO_RATE_HZ  # of which the beat is found
GLIDE_SHARE = 0.4  # of what follows the splice: within it a clip comes to its own loudness
REJOIN = round(0.02 * AUDIO_RATE_HZ)  # crossfade between a sound and itself
SEARCH_S = 1.2  # a clip that comes back is spliced to what is queued within this time


def equal_power(length: int, start: int = 0, stop: int | None = None, similarity: float = 0.0) -> tuple[Ramp, Ramp]:
    """Gains of the leaving and the entering sound for samples `start` to `stop` of a fade of `length` samples.

    Returns
    -------
    leaving, entering : (stop - start,) float32
        The power of the mix is 1 everywhere for sounds whose correlation is `similarity` (0..1): the squares of the
        gains add up to 1 for unrelated sounds, the gains themselves for one and the same.
    """
    stop = length if stop is None else stop
    angle = (np.arange(start, stop, dtype=np.float64) + 0.5) * (np.pi / 2 / max(length, 1))
    down, up = np.cos(angle), np.sin(angle)
    scale = 1 / np.sqrt(1 + 2 * similarity * down * up)
    return (scale * down).astype(np.float32), (scale * up).astype(np.float32)


def mix(
    leaving: NDArray[np.float32], entering: NDArray[np.float32], length: int, start: int = 0, similarity: float = 0.0
) -> NDArray[np.float32]:
    """Mix two (n, 2) excerpts that are samples `start` to `start + n` of a fade of `length` samples."""
    down, up = equal_power(length, start, start + len(leaving), similarity)
    return leaving * down[:, None] + entering * up[:, None]


def fade_in(samples: NDArray[np.float32], length: int, start: int = 0) -> NDArray[np.float32]:
    """Bring (n, 2) samples in from silence; they are samples `start` onwards of a fade of `length` samples."""
    faded = samples.copy()
    stop = min(length, start + len(samples))
    if start < stop:
        faded[: stop - start] *= equal_power(length, start, stop)[1][:, None]
    return faded


@dataclass(frozen=True)
class SplicePoint:
    """A crossfade of `length` samples from sample `leave` of the tail and sample `enter` of the head on.

    `similarity` is their correlation within the fade (0..1), `by` is why it is here.
    """

    leave: int
    enter: int
    length: int
    similarity: float
    by: Reason


def find_splice_point(
    leaving: NDArray[np.float32], entering: NDArray[np.float32], overlap: int, fade: int
) -> SplicePoint:
    """Find where the last `overlap` samples of `leaving` go over best into the first of `entering`.

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
    reach = overlap - fade
    alike = similarity_by_lag(tail, head, reach)
    near = slice(max(0, reach - SAME_WITHIN), reach + SAME_WITHIN + 1)
    if alike[near].max() >= SAME:  # any place will do that is not a pause
        by: Reason = "same"
        lag = int(alike[near].argmax()) + near.start - reach
        at = _sounding(tail, head, lag, fade)
    else:
        start = len(before) - overlap
        beat = find_beat(before) if start else None
        found = _lag_of_beats(beat, find_beat(after), start, alike, reach) if beat else None
        by, lag = ("similarity", int(alike.argmax()) - reach) if found is None else ("beat", found)
        at = _fade_start(beat, start, lag, overlap, fade)
    both = tail[at : at + fade], head[at - lag : at - lag + fade]
    return SplicePoint(at, at - lag, fade, _similarity(*both), by)


def similarity_by_lag(tail: NDArray[np.float32], head: NDArray[np.float32], most: int) -> NDArray[np.float64]:
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
    beat: Beat, other: Beat | None, tail_start: int, alike: NDArray[np.float64], reach: int
) -> int | None:
    """Return the smallest shift that brings the beats together, and within their precision the most alike."""
    if other is None or not beat.agrees(other):
        return None
    shift = (beat.phase - tail_start - other.phase) % beat.period
    near = min((shift, shift - beat.period), key=abs)
    low, high = (int(np.clip(round(near) + d + reach, 0, 2 * reach)) for d in (-NEAR_BEAT, NEAR_BEAT))
    if abs(near) > reach or high <= low:
        return None
    return low + int(alike[low:high].argmax()) - reach


def _fade_start(beat: Beat | None, tail_start: int, lag: int, overlap: int, fade: int) -> int:
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


def _similarity(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / scale, 0, 1)) if scale > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Spliced:
    """Sound from where the last clip was left to where the new one is: (n, 2), the crossfade at `start` to `stop`."""

    samples: NDArray[np.float32]
    start: int
    stop: int
    point: SplicePoint


def splice(last: NDArray[np.float32], clip: NDArray[np.float32], overlap: int, fade: int) -> Spliced:
    """Splice `clip` to `last`, both (n, 2) at their loudness.

    The last `overlap` samples of `last` were not played yet, and those of `clip` are not part of what is returned.
    The clip enters at the level of what it follows and glides to its own.
    """
    found = find_splice_point(last, clip, overlap, fade)
    tail = last[len(last) - overlap :]
    leaving = tail[found.leave : found.leave + found.length]
    entering = clip[found.enter : len(clip) - overlap]
    step_db = level_difference_db(leaving, entering[: found.length])
    entering = glide(entering, step_db, round(GLIDE_SHARE * len(entering)))
    over = mix(leaving, entering[: found.length], found.length, similarity=found.similarity)
    samples = np.concatenate([tail[: found.leave], over, entering[found.length :]])
    return Spliced(samples, found.leave, found.leave + found.length, found)


class Splicer:
    """Writes limited blocks to the player and their spans to the span log.

    Parameters
    ----------
    player : Player
    span_log : SpanLog
    fade : int
        Length of the crossfade from one maker to another, in samples.
    """

    def __init__(self, player: Player, span_log: SpanLog, fade: int):
        self._player, self._span_log, self._fade = player, span_log, fade
        self.source = ""  # maker of the newest sound
        self.splices = 0

    def append(self, block: AudioBlock, source: str, soon: int | None = None) -> int:
        """Queue a block and return the sample it begins at.

        The block of another maker than the last one is faded over the end of the queue. With `soon` it takes the
        place of what is queued from about that sample on, at the splice point there.
        """
        written, samples = self._player.written, soft_limit(block.samples)
        start, half, cut, mixed = written, 0, 0, samples
        if source != self.source and written:
            for when in (soon, None) if soon is not None else (None,):  # too late for soon: at the end of the queue
                at, cut, fade, similarity = self._place(samples, written, when)
                over = mix(self._player.peek(at, at + fade), samples[cut : cut + fade], fade, similarity=similarity)
                spliced = np.concatenate([soft_limit(over), samples[cut + fade :]])
                if fade and self._player.replace(at, spliced[: written - at]):
                    self.splices += 1
                    start, half, mixed = at, fade // 2, spliced
                    break
            else:
                cut = 0
        self.source = source
        rest = mixed[written - start :]
        if self._player.write(rest) < len(rest):
            raise RuntimeError("the sound queue is full: the clip is too long for it")
        self._span_log.truncate(start + half)
        first = cut + half  # of the block's samples, the first that is the louder one
        spans = [span.from_sample(first) for span in block.spans if span.stop > first]
        self._span_log.append(start - cut, spans)
        return start

    def _place(self, samples: NDArray[np.float32], written: int, soon: int | None) -> tuple[int, int, int, float]:
        """Where in the queue the fade begins, how much of the new sound is cut, length of the fade, similarity."""
        player, least = self._player, max(self._player.changeable, written - len(samples))
        if soon is None:
            at = min(written, max(least, written - min(self._fade, len(samples))))
            return at, 0, min(self._fade, written - at), 0.0
        at = min(written, max(least, soon))
        reach = min(written - at, round(SEARCH_S * AUDIO_RATE_HZ))
        if reach <= self._fade or len(samples) <= reach:
            return at, 0, min(self._fade, written - at), 0.0
        before = max(0, at + reach - 4 * AUDIO_RATE_HZ)
        found = find_splice_point(player.peek(before, at + reach), samples, reach, self._fade)
        if at + found.leave + len(samples) - found.enter < written:  # too short to cover what is queued
            return at, 0, min(self._fade, written - at), 0.0
        return at + found.leave, found.enter, found.length, found.similarity

    def rejoin(self, at: int, block: AudioBlock, skip: int) -> bool:
        """Put a block without its first `skip` samples over what is queued from sample `at` on, and on beyond its end.

        The block begins with what is queued there. False, and nothing changed, when it is too late or too short.
        """
        written, samples = self._player.written, soft_limit(block.samples[skip:])
        fade = min(REJOIN, len(samples), written - at)
        if at + len(samples) < written or fade <= 0:
            return False
        over = mix(self._player.peek(at, at + fade), samples[:fade], fade, similarity=1.0)
        samples = np.concatenate([over, samples[fade:]])
        if not self._player.replace(at, samples[: written - at]):
            return False
        if self._player.write(samples[written - at :]) < len(samples) - (written - at):
            raise RuntimeError("the sound queue is full: the clip is too long for it")
        self.splices += 1
        self._span_log.truncate(at)
        spans = [span.from_sample(skip) for span in block.spans if span.stop > skip]
        self._span_log.append(at - skip, spans)
        return True

    def replace(self, start: int, blocks: list[AudioBlock]) -> bool:
        """Replace all that is queued from sample `start` on; False, and nothing changed, when it is too late."""
        if not self._player.replace(start, np.concatenate([soft_limit(block.samples) for block in blocks])):
            return False
        self._span_log.truncate(start)
        for block in blocks:
            self._span_log.append(start, block.spans)
            start += len(block.samples)
        return True
