"""One clip after another: the end of the last one, the beginning of the new one, and the sound that joins them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.continuity.level import glide, level_difference_db
from bci_music.generation.continuity.meeting import Meeting, meet
from bci_music.generation.crossfade import mix

GLIDE_SHARE = 0.4  # of what follows the joint: within it a clip comes to its own loudness


@dataclass(frozen=True, eq=False)
class Joined:
    """Sound from where the last clip was left to where the new one is: (n, 2), the joint at `start` to `stop`."""

    samples: NDArray[np.float32]
    start: int
    stop: int
    meeting: Meeting


def join(last: NDArray[np.float32], clip: NDArray[np.float32], overlap: int, fade: int) -> Joined:
    """Join `clip` to `last`, both (n, 2) at their loudness.

    The last `overlap` samples of `last` were not played yet, and those of `clip` are not part of what is returned.
    The clip enters at the level of what it follows and glides to its own.
    """
    found = meet(last, clip, overlap, fade)
    tail = last[len(last) - overlap :]
    leaving = tail[found.leave : found.leave + found.length]
    entering = clip[found.enter : len(clip) - overlap]
    step_db = level_difference_db(leaving, entering[: found.length])
    entering = glide(entering, step_db, round(GLIDE_SHARE * len(entering)))
    over = mix(leaving, entering[: found.length], found.length, likeness=found.likeness)
    samples = np.concatenate([tail[: found.leave], over, entering[found.length :]])
    return Joined(samples, found.leave, found.leave + found.length, found)
