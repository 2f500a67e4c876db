"""When the next clip is late, the last bar goes on and slowly fades: never silence, and never without a name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.loop import Loop
from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, SoundSpan

BAR_S = 2.0
FADE_S = 8.0  # the repeated bar sinks to its lowest level in this time
LOWEST = 0.3


class Stretch:
    """Repeats the newest (n, 2) samples; its first block belongs over the last `joint` samples of what is queued."""

    def __init__(self, newest: NDArray[np.float32], joint: int):
        self._loop = Loop(newest, joint / AUDIO_RATE_HZ)
        self._position = 0

    def block(self, n: int) -> AudioBlock:
        """Return the next `n` samples."""
        samples = self._loop.render(self._position, n)
        time_s = np.arange(self._position, self._position + n, dtype=np.float32) / AUDIO_RATE_HZ
        samples *= np.maximum(LOWEST, 1 - (1 - LOWEST) * time_s / FADE_S)[:, None]
        self._position += n
        return AudioBlock(samples, (SoundSpan(0, n, "stretched", "the last bar, repeated"),))
