"""Does the sound follow the embedding? Generated clips beside the music they were made for, and beside other music.

The evaluators are not the generator's: another embedder, and a genre classifier on its vectors; both saw real clips
only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.music.genre import EmbeddingGenres
from bci_music.messages import UserError
from bci_music.metrics.controls import derangement
from bci_music.metrics.intervals import by_recording
from bci_music.models.embedder import Embedder

RATE_HZ = 16_000
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Heard:
    """Music that was heard, and the vector a generator shall follow.

    `song` is what counts as independent; `sound` is (n,) at 16 kHz, `vector` (512,) unit.
    """

    song: str
    genre: str
    sound: NDArray[np.float32]
    vector: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Evaluators:
    """What scores similarity and names genres; never the embedder that leads the generator."""

    embedder: Embedder
    genres: EmbeddingGenres

    @classmethod
    def fit(
        cls, sounds: Sequence[NDArray[np.float32]], genres: Sequence[str], embedder: Embedder, *, leads: str
    ) -> Self:
        """Fit the genre classifier on real clips at 16 kHz.

        Parameters
        ----------
        leads : str
            Hash of the embedder that leads the generator, which may not be an evaluator.
        """
        if embedder.sha == leads:
            raise UserError("The embedder that leads the generator cannot evaluate it: give another one.")
        vectors = np.stack([embedder.embed(sound, RATE_HZ) for sound in sounds])
        return cls(embedder, EmbeddingGenres.fit(vectors, genres, embedder))

    def vectors(self, sounds: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(n, 512) unit vectors."""
        return np.stack([self.embedder.embed(sound, RATE_HZ) for sound in sounds])

    def named(self, vectors: NDArray[np.float32]) -> NDArray[np.str_]:
        """(n,) genres."""
        return np.array(self.genres.genres)[self.genres.predict_embeddings(vectors)]


@dataclass(frozen=True)
class Row:
    """One kind of sound against the music heard.

    Attributes
    ----------
    own, others : cosine with the music it was made for, and mean cosine with the music of other songs
    difference : own less others, song by song
    mismatched : own cosine when the pairing is broken
    genre, genre_mismatched : share in which the classifier hears the genre the song was composed in (where its genres
        are others: that it hears in the music), and of a wrong song
    agreement : share in which it hears the same in both sounds
    """

    name: str
    n: int
    n_songs: int
    own: float
    own_ci95: Interval
    others: float
    others_ci95: Interval
    difference: float
    difference_ci95: Interval
    mismatched: float
    genre: float
    genre_ci95: Interval
    genre_mismatched: float
    agreement: float
    agreement_ci95: Interval
    chance: float

    @property
    def apart(self) -> bool:
        """Whether the intervals of own and other music do not overlap, own above."""
        return self.own_ci95[0] > self.others_ci95[1]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {"apart": self.apart}


def compare(
    name: str, made: Sequence[NDArray[np.float32]], heard: Sequence[Heard], evaluators: Evaluators, seed: int = 0
) -> Row:
    """Evaluate sounds made for `heard`, in the same order.

    Intervals draw whole songs with replacement; scores with pieces of the same song are left out of `others`.
    """
    songs = np.array([h.song for h in heard])
    names, place = np.unique(songs, return_inverse=True)
    if len(names) < 2 or len(made) != len(heard):
        raise UserError(f"{len(made)} sounds made for {len(heard)} pieces of {len(names)} songs: give 2 songs or more.")
    ours, theirs = evaluators.vectors(made), evaluators.vectors([h.sound for h in heard])
    scores = (ours @ theirs.T).astype(np.float64)
    apart = songs[:, None] != songs[None, :]
    own = scores.diagonal()
    others = (scores * apart).sum(1) / apart.sum(1)
    partner = _partners(place, len(names), seed)
    genres_made, genres_heard = evaluators.named(ours), evaluators.named(theirs)
    known = {h.genre for h in heard} <= set(evaluators.genres.genres)
    genre = np.array([h.genre for h in heard]) if known else genres_heard
    right, agrees = (genres_made == genre).astype(float), (genres_made == genres_heard).astype(float)

    def interval(values: NDArray[np.float64]) -> Interval:
        return by_recording(values, songs, seed=seed)

    return Row(
        name, len(heard), len(names), float(own.mean()), interval(own), float(others.mean()), interval(others),
        float((own - others).mean()), interval(own - others),
        float(scores[np.arange(len(heard)), partner].mean()), float(right.mean()), interval(right),
        float((genres_made == genre[partner]).mean()), float(agrees.mean()), interval(agrees),
        1 / len(evaluators.genres.genres),
    )  # fmt: skip


def generate(
    model: Any, heard: Sequence[Heard], *, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[NDArray[np.float32]]:
    """One clip of each piece's length from its vector alone, with the model's own settings."""
    made = []
    for number, piece in enumerate(heard):
        sound = model.sample(piece.vector, len(piece.sound) / RATE_HZ, seed=seed + number)
        made.append(np.asarray(sound, np.float32)[: len(piece.sound)])
        progress(number + 1, len(heard))
    return made


def through_the_autoencoder(model: Any, heard: Sequence[Heard]) -> list[NDArray[np.float32]]:
    """The music itself through autoencoder and vocoder: as near as the generator's sound can come."""
    import torch

    from bci_music.models.log_mel import log_mel

    made = []
    for piece in heard:
        mel = log_mel(piece.sound)
        mel = mel[: len(mel) // model.downsample * model.downsample]
        with torch.inference_mode():
            picture = torch.from_numpy(mel)[None, None].to(model.device, model.vae.dtype)
            latents = model.vae.encode(picture).latent_dist.mode() * model.vae.config.scaling_factor
        made.append(model.vocode(model.decode(latents)))
    return made


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""

    def cell(value: float, ci95: Interval) -> str:
        return f"{value:.3f} [{ci95[0]:.3f}, {ci95[1]:.3f}]"

    lines = [
        "| sound | n (songs) | own music | other music | mismatched | genre named | mismatched | same heard | chance |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.name} | {r.n} ({r.n_songs}) | {cell(r.own, r.own_ci95)} | {cell(r.others, r.others_ci95)} | "
        f"{r.mismatched:.3f} | {cell(r.genre, r.genre_ci95)} | {r.genre_mismatched:.3f} | "
        f"{cell(r.agreement, r.agreement_ci95)} | {r.chance:.2f} |"
        for r in rows
    ]  # fmt: skip
    return "\n".join(lines)


def _partners(place: NDArray[np.int64], n_songs: int, seed: int) -> NDArray[np.int64]:
    """For every piece one of another song: songs are mismatched, pieces drawn."""
    other, rng = derangement(n_songs, seed), np.random.default_rng(seed)
    return np.array([rng.choice(np.flatnonzero(place == other[song])) for song in place])
