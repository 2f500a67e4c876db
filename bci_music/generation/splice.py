"""Joins blocks of different makers: the new sound is faded over sound that is queued and not yet heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.continuity.meeting import meet
from bci_music.generation.crossfade import mix
from bci_music.generation.loudness import soft_limit
from bci_music.generation.player import Player
from bci_music.generation.spans import SpanLedger
from bci_music.messages import AUDIO_RATE_HZ, AudioBlock

SEARCH_S = 1.2  # a clip that comes back meets what is queued within this time


class Splicer:
    """Writes limited blocks to the player and their spans to the ledger.

    Parameters
    ----------
    player : Player
    ledger : SpanLedger
    joint : int
        Length of the crossfade from one maker to another, in samples.
    """

    def __init__(self, player: Player, ledger: SpanLedger, joint: int):
        self._player, self._ledger, self._joint = player, ledger, joint
        self.source = ""  # maker of the newest sound
        self.joints = 0

    def append(self, block: AudioBlock, source: str, soon: int | None = None) -> int:
        """Queue a block and return the sample it begins at.

        The block of another maker than the last one is faded over the end of the queue. With `soon` it takes the
        place of what is queued from about that sample on, where both meet best: on a common beat if there is one.
        """
        written, samples = self._player.written, soft_limit(block.samples)
        start, half, cut, mixed = written, 0, 0, samples
        if source != self.source and written:
            for when in (soon, None) if soon is not None else (None,):  # too late for soon: at the end of the queue
                at, cut, joint, likeness = self._meeting(samples, written, when)
                over = mix(self._player.peek(at, at + joint), samples[cut : cut + joint], joint, likeness=likeness)
                joined = np.concatenate([soft_limit(over), samples[cut + joint :]])
                if joint and self._player.replace(at, joined[: written - at]):
                    self.joints += 1
                    start, half, mixed = at, joint // 2, joined
                    break
            else:
                cut = 0
        self.source = source
        rest = mixed[written - start :]
        if self._player.write(rest) < len(rest):
            raise RuntimeError("the sound queue is full: the clip is too long for it")
        self._ledger.truncate(start + half)
        first = cut + half  # of the block's samples, the first that is the louder one
        spans = [replace(span, start=max(span.start, first)) for span in block.spans if span.stop > first]
        self._ledger.append(start - cut, spans)
        return start

    def _meeting(self, samples: NDArray[np.float32], written: int, soon: int | None) -> tuple[int, int, int, float]:
        """Where in the queue the fade begins, how much of the new sound is cut, length of the fade, likeness."""
        player, least = self._player, max(self._player.changeable, written - len(samples))
        if soon is None:
            at = min(written, max(least, written - min(self._joint, len(samples))))
            return at, 0, min(self._joint, written - at), 0.0
        at = min(written, max(least, soon))
        room = min(written - at, round(SEARCH_S * AUDIO_RATE_HZ))
        if room <= self._joint or len(samples) <= room:
            return at, 0, min(self._joint, written - at), 0.0
        before = max(0, at + room - 4 * AUDIO_RATE_HZ)
        found = meet(player.peek(before, at + room), samples, room, self._joint)
        if at + found.leave + len(samples) - found.enter < written:  # too short to cover what is queued
            return at, 0, min(self._joint, written - at), 0.0
        return at + found.leave, found.enter, found.length, found.likeness

    def replace(self, start: int, blocks: list[AudioBlock]) -> bool:
        """Replace all that is queued from sample `start` on; False, and nothing changed, when it is too late."""
        if not self._player.replace(start, np.concatenate([soft_limit(block.samples) for block in blocks])):
            return False
        self._ledger.truncate(start)
        for block in blocks:
            self._ledger.append(start, block.spans)
            start += len(block.samples)
        return True
