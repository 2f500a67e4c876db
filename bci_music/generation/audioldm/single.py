"""One clip by itself: made, brought to level, measured, written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.audioldm.sampler import MEL_HOP, SOUND_RATE_HZ, AudioLdm
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.loudness import to_db, to_level
from bci_music.sound.player import AudioFile

LEVEL_DB, PEAK_DB = -20.0, -1.0


@dataclass(frozen=True, eq=False)
class SingleClip:
    """A clip (n, 2) at 48 kHz, its log mel spectrogram (frames, bands), and what it took."""

    samples: NDArray[np.float32]
    mel: NDArray[np.float32]
    wall_s: float
    settings: SamplerSettings
    seed: int
    model: str
    trained: bool

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / AUDIO_RATE_HZ

    def words(self) -> list[str]:
        """Say what was made."""
        settings, rtf = self.settings, self.wall_s / self.seconds
        peak = to_db(float(np.abs(self.samples).max()))
        lines = [
            f"{self.seconds:.2f} s by {self.model}: {settings.steps} steps of {settings.solver}, guidance "
            f"{settings.guidance:g}, seed {self.seed}",
            f"made in {self.wall_s:.1f} s, {rtf:.2f} of real time; peak {peak:.1f} dBFS",
        ]
        return lines if self.trained else [*lines, "This model is not trained: the clip says nothing about any style."]

    def write(self, path: Path) -> None:
        """Write the sound as a WAV file."""
        file = AudioFile(path)
        file(self.samples)
        file.close()

    def draw(self, path: Path) -> None:
        """Write a picture of the spectrogram."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(
            self.mel.T * 20 / np.log(10), origin="lower", aspect="auto", cmap="magma",
            extent=(0, len(self.mel) * MEL_HOP / SOUND_RATE_HZ, 0, self.mel.shape[1]),
        )  # fmt: skip
        axes.set_xlabel("s")
        axes.set_ylabel("mel band, 0 to 8 kHz")
        figure.colorbar(image, label="dB")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)


def make_single(
    model: AudioLdm, vector: NDArray[np.float32], seconds: float, *, settings: SamplerSettings, seed: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> SingleClip:
    """Make a clip of about `seconds` in the style of `vector`; time for loading the model does not count."""
    import soxr

    began = time.perf_counter()
    latents = model.latents(vector, model.frames(seconds), settings=settings, seed=seed, progress=progress)
    mel = model.decode(latents)
    sound = model.vocode(mel)
    wall_s = time.perf_counter() - began
    full = soxr.resample(sound - sound.mean(), SOUND_RATE_HZ, AUDIO_RATE_HZ).astype(np.float32)
    samples = to_level(np.repeat(full[:, None], 2, axis=1), LEVEL_DB, PEAK_DB)
    return SingleClip(samples, mel.float().cpu().numpy(), wall_s, settings, seed, model.name, model.trained)
