"""Joins blocks of different makers: the new sound is faded over sound that is queued and not yet heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bci_music.generation.crossfade import mix
from bci_music.generation.loudness import soft_limit
from bci_music.generation.player import Player
from bci_music.generation.spans import SpanLedger
from bci_music.messages import AudioBlock


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

        The block of another maker than the last one is faded over the end of the queue,
        or replaces the queue from sample `soon` on where it is long enough.
        """
        written = self._player.written
        samples, start = soft_limit(block.samples), written
        half = 0
        if source != self.source and written:
            wanted = written - min(self._joint, len(samples)) if soon is None else soon
            at = min(written, max(self._player.changeable, wanted, written - len(samples)))
            joint = min(self._joint, written - at)
            over = soft_limit(mix(self._player.peek(at, at + joint), samples[:joint], joint))
            joined = np.concatenate([over, samples[joint:]])
            if joint and self._player.replace(at, joined[: written - at]):
                self.joints += 1
                samples, start, half = joined, at, joint // 2
        self.source = source
        rest = samples[written - start :]
        if self._player.write(rest) < len(rest):
            raise RuntimeError("the sound queue is full: the clip is too long for it")
        self._ledger.truncate(start + half)
        self._ledger.append(start, [replace(s, start=max(s.start, half)) for s in block.spans if s.stop > half])
        return start

    def replace(self, start: int, blocks: list[AudioBlock]) -> bool:
        """Replace all that is queued from sample `start` on; False, and nothing changed, when it is too late."""
        if not self._player.replace(start, np.concatenate([soft_limit(block.samples) for block in blocks])):
            return False
        self._ledger.truncate(start)
        for block in blocks:
            self._ledger.append(start, block.spans)
            start += len(block.samples)
        return True
