"""Sound for the evaluation, made by a pack's generator from each decoded vector and compared with what was heard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.music.audio import RATE_HZ, LibrarySound, power_mel
from bci_music.evaluation.music.genre import EmbeddingGenres
from bci_music.generation.audioldm.loading import MEL_HOP
from bci_music.messages import UserError
from bci_music.metrics.identification import Candidates, Score, cosine
from bci_music.metrics.metric import Metric
from bci_music.metrics.scoring import DecodedSet
from bci_music.metrics.similarity import psnr, ssim
from bci_music.models.embedder import Embedder

if TYPE_CHECKING:
    from bci_music.generation.audioldm.sampler import AudioLdm



@dataclass(frozen=True)
class GeneratedSound:
    """A generator that plays what was decoded, and the library that knows what was heard.

    A vector is always turned into the same clip: the noise it is made from depends on the vector alone.

    Attributes
    ----------
    model : AudioLdm
    library : LibrarySound
        Brings the sound that was heard and the genres.
    embedder : Embedder
        Scores the clips; the one the run was aligned to, which also leads the generator.
    pairs : int
        Pictures compared at most, about a millisecond each.
    """

    model: AudioLdm
    library: LibrarySound
    embedder: Embedder
    progress: Callable[[int], None] = lambda made: None
    pairs: int = 40_000
    _clips: dict[bytes, tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=dict, repr=False)
    _genres: dict[bytes, int] = field(default_factory=dict, repr=False)

    @classmethod
    def of_pack(
        cls, pack: Path | str, library: LibrarySound, embedder: Embedder, progress: Callable[[int], None] | None = None
    ) -> Self:
        """Open the generator of a pack.

        Raises
        ------
        UserError
            If the pack brings none, or another embedder leads it than the one the run was aligned to.
        """
        from bci_music.generation.open import open_model
        from bci_music.models.pack import Pack

        opened = Pack.open(pack)
        if opened.generator is None:
            raise UserError(f"Pack {opened.name} brings no generator: give one built with `pack build --generator`.")
        if opened.manifest.spaces.generator != embedder.sha:
            raise UserError(
                f"The generator of pack {opened.name} is conditioned on another embedder than the one this run "
                f"was aligned to ({embedder.sha[:12]}): align with `embedder: {opened.directory / 'embedder'}`."
            )
        return cls(open_model("auto", opened, device="cpu"), library, embedder, progress or (lambda made: None))

    @property
    def name(self) -> str:
        """What made the sound, for the table."""
        s = self.model.settings
        return f"{self.model.name}, {s.steps} steps of {s.solver}, {self.library.clips.window_s:g} s each"

    @property
    def lacking(self) -> dict[str, str]:
        """Which metrics there are none of, and why."""
        return self.library.lacking

    def scores(self, candidates: Candidates, where: str) -> Iterator[Score]:
        """Score the clip generated against the music heard: by embedding and by genre."""
        text = f"of the clip generated ({self.name}) with what was heard"
        yield Score(
            "clap-score", "CLAP score of the clip generated", lambda q: cosine(self.vectors(q), candidates.vector),
            f"cosine of the embeddings {text}; {where}",
        )  # fmt: skip
        genre = self.library.genre
        if genre is not None:
            heard = self.library.genres_of(candidates)
            yield Score(
                "genre", f"{len(genre.genres)}-way genre agreement",
                lambda q: (self.genres_of(q)[:, None] == heard).astype(float),
                f"share of windows in which the classifier ({genre.name}) names the same genre {text}; genres are not "
                f"equally frequent, so the mismatched control is what chance is; {where}",
            )  # fmt: skip

    def picture_scores(self, candidates: Candidates, where: str) -> Iterator[Score]:
        """Score the clip generated against the music heard by pictures of the sound."""
        text = f"on 64-band power mel of the clip generated ({self.name}) with what was heard, range = max - min of it"
        pictures = [self._heard(str(s), float(t)) for s, t in zip(candidates.song, candidates.second, strict=True)]

        def table(alike: Callable[[NDArray, NDArray], NDArray[np.float64]]) -> Callable[[NDArray], NDArray]:
            def scores(queries: NDArray) -> NDArray[np.float64]:
                made = np.stack([power_mel(self.clip(q)[0]) for q in queries])
                return np.stack([alike(picture, made) for picture in pictures], axis=1)

            return scores

        yield Score("ssim", "SSIM on mel", table(ssim), f"SSIM {text}; {where}")
        yield Score("psnr", "PSNR on mel (dB)", table(psnr), f"PSNR {text}; {where}")

    def pictured(self, tested: DecodedSet, seed: int) -> DecodedSet:
        """Return the tested with as many of its pieces, drawn at random, as can be pictured in reasonable time."""
        n = max(1, self.pairs // max(1, len(tested.queries)))
        if len(tested.candidates) <= n:
            return tested
        chosen = np.random.default_rng(seed).choice(len(tested.candidates), n, replace=False)
        return tested.of_candidates(np.sort(chosen))

    def frechet(self, tested: DecodedSet, where: str, seed: int) -> Metric | str:
        """Say why there is none: it takes more clips than are generated here."""
        return "a Fréchet distance of generated clips needs more of them than are made here"

    def clip(self, vector: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Sound (n,) at 16 kHz made for a vector (512,), and its embedding (512,)."""
        given, key = _direction(vector)
        if key not in self._clips:
            seconds = self.library.clips.window_s
            whole = seconds + self.model.frame_unit * MEL_HOP / RATE_HZ  # clips come in units: never too short
            sound = self.model.sample(given, whole, seed=int.from_bytes(key[:4], "little"))[: round(seconds * RATE_HZ)]
            self._clips[key] = sound, self.embedder.embed(sound, RATE_HZ)
            self.progress(len(self._clips))
        return self._clips[key]

    def vectors(self, queries: NDArray) -> NDArray[np.float32]:
        """(n, 512) embeddings of the clips made for the queries (n, 512)."""
        return np.stack([self.clip(q)[1] for q in queries])

    def genres_of(self, queries: NDArray) -> NDArray[np.int64]:
        """(n,) what the classifier names the clips made for the queries (n, 512)."""
        genre = self.library.genre
        assert genre is not None
        if isinstance(genre, EmbeddingGenres):
            return genre.predict_embeddings(self.vectors(queries))
        keys = [_direction(q)[1] for q in queries]
        for query, key in zip(queries, keys, strict=True):
            if key not in self._genres:
                self._genres[key] = int(genre.predict([self.clip(query)[0]], RATE_HZ)[0])
        return np.array([self._genres[key] for key in keys])

    def _heard(self, song: str, second: float) -> NDArray[np.float32]:
        return power_mel(self.library.sound(song, second))


def _direction(vector: NDArray) -> tuple[NDArray[np.float32], bytes]:
    """Vector at unit length, nothing decoded being zero, and what its clip is kept under."""
    given = np.nan_to_num(np.asarray(vector, np.float32))
    given = given / np.float32(max(float(np.linalg.norm(given)), 1e-9))
    return given, hashlib.sha256(given.tobytes()).digest()
