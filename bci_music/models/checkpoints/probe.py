"""Whether a CLAP hears: sounds that could hardly differ more have to get vectors that differ.

A checkpoint can load without a missing weight and still give every sound the same vector; a converted checkpoint on the
hub is reported to do so (`laion/larger_clap_music`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.models.windowed import WindowedEmbedder

ALIKE = 0.95  # cosine from which a tone and noise count as the same; working checkpoints are reported near 0.4
_SECONDS, _RATE_HZ = 5.0, 48_000


@dataclass(frozen=True)
class Hearing:
    """The largest cosine between two of the sounds, and which they are."""

    pair: tuple[str, str]
    cosine: float

    @property
    def differs(self) -> bool:
        """Whether all sounds are told apart."""
        return self.cosine < ALIKE

    @property
    def verdict(self) -> str:
        """In a sentence."""
        one, other = self.pair
        if self.differs:
            return f"It tells tone, noise and clicks apart (largest cosine {self.cosine:.2f}, {one} and {other})."
        return (
            f"Beware: to it {one} and {other} are the same (cosine {self.cosine:.3f}); its sound tower is untrained or "
            "damaged, and nothing can be conditioned on it."
        )


def hears(embedder: WindowedEmbedder) -> Hearing:
    """Embed a tone, noise and clicks, and compare."""
    sounds = _sounds()
    rows = np.stack([embedder.embed(sound, _RATE_HZ) for sound in sounds.values()])
    table = rows @ rows.T - 3.0 * np.eye(len(rows), dtype=np.float32)
    one, other = np.unravel_index(int(table.argmax()), table.shape)
    names = list(sounds)
    return Hearing((names[one], names[other]), float(table[one, other]))


def _sounds() -> dict[str, NDArray[np.float32]]:
    time_s = np.arange(round(_SECONDS * _RATE_HZ)) / _RATE_HZ
    noise = np.random.default_rng(0).standard_normal(time_s.size)
    clicks = (np.arange(time_s.size) % (_RATE_HZ // 2) < 48).astype(np.float32)
    made = {"a tone": np.sin(2 * np.pi * 440 * time_s), "noise": noise, "clicks": clicks}
    return {name: (0.5 * sound / np.abs(sound).max()).astype(np.float32) for name, sound in made.items()}
