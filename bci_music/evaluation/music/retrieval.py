"""Does a CLAP know music and words? Captions find their clip within one genre, and a linear probe names genres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.compose.songbook import GENRES
from bci_music.evaluation.music.genre import EmbeddingGenres
from bci_music.messages import UserError
from bci_music.metrics.controls import derangement
from bci_music.metrics.intervals import by_recording
from bci_music.models.clap import ClapEmbedder
from bci_music.training.audioldm.batches import FULL_SCALE, spread_evenly
from bci_music.training.audioldm.clips import ClipBank

_SHUFFLES = 5  # of the probe's labels
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval (resampling songs), its n, its chance level and the same with wrong pairs."""

    name: str
    value: float
    low: float
    high: float
    n: int
    songs: int
    chance: float
    shuffled: float

    def line(self) -> str:
        """One row of a Markdown table."""
        sizes = f"{self.n} clips of {self.songs} songs"
        interval = f"{self.low:.3f} to {self.high:.3f}"
        return f"| {self.name} | {self.value:.3f} | {interval} | {sizes} | {self.chance:.2f} | {self.shuffled:.3f} |"


def embed_clips(embedder: ClapEmbedder, bank: ClipBank, rows: Sequence[int], progress: Progress) -> NDArray[np.float32]:
    """Embeddings (n, 512) of clips' sound."""
    found = []
    for number, row in enumerate(rows):
        found.append(embedder.embed(np.asarray(bank.sound[row], np.float32) / np.float32(FULL_SCALE), 16_000))
        progress(number + 1, len(rows))
    return np.stack(found)


def recall_within_genres(
    embedder: ClapEmbedder, bank: ClipBank, *, pool: int = 100, first: int = 10,
    progress: Progress = lambda done, of: None,
) -> list[Rate]:  # fmt: skip
    """How often a caption finds its own clip among the `first` of `pool` clips of its own genre.

    Every clip is of another song, and every caption is unique, so that genre and seed say nothing. Returns one rate for
    each genre that has enough songs, and before them the mean over the genres.
    """
    chosen = {genre: _distinct(bank, number, pool) for number, genre in enumerate(GENRES)}
    chosen = {genre: rows for genre, rows in chosen.items() if len(rows) == pool}
    if not chosen:
        raise UserError(f"The bank in {bank.directory} has no genre with {pool} songs: compose {pool * 10} clips.")
    rates, hits, wrong, names = [], [], [], []
    everything = [row for rows in chosen.values() for row in rows]
    sounds = np.split(embed_clips(embedder, bank, everything, progress), len(chosen))
    for number, (genre, rows) in enumerate(chosen.items()):
        alike = embedder.embed_texts(_unique_captions(bank, rows)) @ sounds[number].T
        found = _found(alike, np.arange(pool), first)
        shuffled = _found(alike, derangement(pool, number), first)
        songs = [bank.songs[row] for row in rows]
        rates.append(_rate(f"recall@{first} of {pool}, {genre}", found, songs, first / pool, shuffled))
        hits.append(found)
        wrong.append(shuffled)
        names += songs
    whole = f"recall@{first} of {pool} clips of one genre, mean of {len(rates)} genres"
    return [_rate(whole, np.concatenate(hits), names, first / pool, np.concatenate(wrong)), *rates]


def require_other_songs(learnt: ClipBank, unseen: ClipBank) -> None:
    """Refuse to evaluate with songs that were learnt."""
    shared = set(learnt.songs) & set(unseen.songs)
    if shared:
        raise UserError(f"{len(shared)} songs are in both banks: evaluate with a bank of other seeds.")


def genre_probe(
    embedder: ClapEmbedder, learnt: ClipBank, unseen: ClipBank, *, most: int = 600,
    progress: Progress = lambda done, of: None,
) -> Rate:  # fmt: skip
    """How often a linear probe, fitted on training clips, names the genre of a clip of an unseen song."""
    require_other_songs(learnt, unseen)
    fit, tested_rows = _known(learnt, most), _known(unseen, most)
    vectors = embed_clips(embedder, learnt, fit, lambda done, of: progress(done, of + len(tested_rows)))
    tested = embed_clips(embedder, unseen, tested_rows, lambda done, of: progress(len(fit) + done, of + len(fit)))
    true = np.array([GENRES[int(unseen.genre[row])] for row in tested_rows])
    labels = np.array([GENRES[int(learnt.genre[row])] for row in fit])

    def named(labels: NDArray) -> NDArray[np.float64]:
        probe = EmbeddingGenres.fit(vectors, list(labels), embedder)
        return (np.array(probe.genres)[probe.predict_embeddings(tested)] == true).astype(float)

    songs = [unseen.songs[row] for row in tested_rows]
    rng = np.random.default_rng(0)
    shuffled = np.mean([named(rng.permutation(labels)) for _ in range(_SHUFFLES)], axis=0)
    return _rate(f"linear probe over {len(set(true))} genres", named(labels), songs, 1 / len(set(true)), shuffled)


def table(rates: Sequence[Rate]) -> str:
    """Rates as a Markdown table."""
    head = ["| what | share | 95 % interval | n | chance | shuffled pairs |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *(rate.line() for rate in rates)])


def _rate(name: str, hits: NDArray, songs: Sequence[str], chance: float, shuffled: NDArray) -> Rate:
    low, high = by_recording(hits, songs)
    return Rate(name, float(hits.mean()), low, high, len(hits), len(set(songs)), chance, float(shuffled.mean()))


def _found(alike: NDArray, own: NDArray[np.int64], first: int) -> NDArray[np.float64]:
    """Whether each caption's own clip is among its `first`; clips that are equally alike count against it."""
    mine = alike[np.arange(len(alike)), own][:, None]
    return ((alike >= mine).sum(1) <= first).astype(float)


def _distinct(bank: ClipBank, genre: int, pool: int) -> list[int]:
    """One clip of each of `pool` songs of a genre, evenly spread over the bank; fewer where there are fewer."""
    firsts: dict[str, int] = {}
    for row in np.flatnonzero(bank.genre == genre):
        firsts.setdefault(bank.songs[int(row)], int(row))
    rows = list(firsts.values())
    return [rows[i] for i in spread_evenly(len(rows), pool)] if len(rows) >= pool else rows


def _unique_captions(bank: ClipBank, rows: Sequence[int]) -> list[str]:
    """A caption of each clip, none of them twice."""
    taken: list[str] = []
    for row in rows:
        free = [text for text in bank.captions[row] if text not in taken]
        if not free:
            raise UserError(f"Two clips of the bank in {bank.directory} have the same captions: choose other songs.")
        taken.append(free[0])
    return taken


def _known(bank: ClipBank, most: int) -> list[int]:
    rows = np.flatnonzero(bank.genre >= 0)
    if not len(rows):
        raise UserError(f"No clip in {bank.directory} has a known genre: give a bank of composed songs.")
    return [int(rows[i]) for i in spread_evenly(len(rows), most)]
