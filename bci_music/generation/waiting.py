"""What plays before the EEG has said anything: a quiet, slow chord that is clearly not a song."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.loudness import to_level
from bci_music.messages import AUDIO_RATE_HZ

SECONDS = 12
LEVEL_DB = -30.0
NOTES_HZ = (110.0, 164.75, 220.0, 277.25, 329.5)  # multiples of 1/12 Hz, so that the end meets the beginning


@cache
def waiting_pad() -> NDArray[np.float32]:
    """Return 12 s of an open chord, (n, 2) float32 at 48 kHz; its end meets its beginning without a joint."""
    time_s = np.arange(SECONDS * AUDIO_RATE_HZ) / AUDIO_RATE_HZ
    sound = np.zeros((len(time_s), 2))
    for number, note_hz in enumerate(NOTES_HZ):
        turns = 1 + number % 3
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * (turns * time_s / SECONDS + number / len(NOTES_HZ)))
        tone = sum(np.sin(2 * np.pi * k * note_hz * time_s + number * k) / k**2 for k in (1, 2, 3))
        side = 0.5 + 0.35 * np.cos(2 * np.pi * (time_s / SECONDS + number / 2))
        sound += (swell * tone / (1 + 0.3 * number))[:, None] * np.stack([side, 1 - side], axis=1)
    pad = to_level(sound.astype(np.float32), LEVEL_DB)
    pad.setflags(write=False)  # shared by all who wait
    return pad
