"""What a variation begins from: latents of the library's clips, as loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.audioldm.loading import SOUND_RATE_HZ
from bci_music.messages import AUDIO_RATE_HZ
from bci_music.models.library import MusicLibrary
from bci_music.sound.loudness import to_loudness

if TYPE_CHECKING:
    from torch import Tensor

    from bci_music.generation.audioldm.sampler import AudioLdm

LEAD = 0.02  # of cosine, that another clip needs over the one that goes on
LOUDNESS_LUFS = -20.0  # of the music the models learned from


@dataclass(frozen=True)
class Place:
    """A latent frame of a clip of the library; frames go on beyond its end, where it begins again."""

    clip: int
    frame: int


class Sources:
    """Clips of a library as latents, encoded at their first use.

    Parameters
    ----------
    library : MusicLibrary
    model : AudioLdm
        Its autoencoder encodes them.
    """

    def __init__(self, library: MusicLibrary, model: AudioLdm):
        self._library, self._model = library, model
        self._means = library.clip_means()
        self._latents: dict[int, Tensor] = {}

    def nearest(self, vector: NDArray[np.float32], on: Place | None) -> Place:
        """Where to begin for a style (512,): `on`, unless another clip is clearly nearer, which begins at its start."""
        scores = self._means @ vector
        best = int(scores.argmax())
        if on is not None and scores[on.clip] > scores[best] - LEAD:
            return on
        return Place(best, 0)

    def latents(self, place: Place, frames: int) -> Tensor:
        """Latents (1, C, frames, M) from `place` on; a clip that ends begins again."""
        whole = self._encoded(place.clip)
        at = (place.frame + np.arange(frames)) % whole.shape[2]
        return whole[:, :, at]

    def song(self, place: Place) -> dict[str, Any]:
        """The song (id, title, genre) that `place` is in."""
        return self._library.songs[self._library.clips[place.clip].song]

    def _encoded(self, number: int) -> Tensor:
        if number not in self._latents:
            import soxr

            from bci_music.generation.library import read_sound

            sound = to_loudness(read_sound(self._library.clips[number].path), LOUDNESS_LUFS).mean(axis=1)
            self._latents[number] = self._model.encode(soxr.resample(sound, AUDIO_RATE_HZ, SOUND_RATE_HZ))
        return self._latents[number]
