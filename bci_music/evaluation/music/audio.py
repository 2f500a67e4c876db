"""Sound of a decoder: the training clip nearest to the decoded vector plays, and is compared with what was heard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.evaluation.music.genre import NO_GENRES, EmbeddingGenres, GenreClassifier
from bci_music.messages import UserError
from bci_music.metrics.identification import Candidates, Score, cosine, distinct_music
from bci_music.metrics.metric import Control, Metric
from bci_music.metrics.scoring import DecodedSet
from bci_music.metrics.similarity import ENOUGH, common_axes, frechet_distance, psnr, ssim
from bci_music.metrics.splits import Split
from bci_music.training.eeg.corpus import Music

RATE_HZ = 16_000
N_FFT, HOP, N_MELS = 1024, 512, 64


def power_mel(audio: ArrayLike) -> NDArray[np.float32]:
    """(64, frames) power in mel bands of (n,) audio at 16 kHz, frames 32 ms apart and centred.

    As torchaudio's MelSpectrogram(16000, n_fft=1024, n_mels=64): periodic Hann window, hop 512, reflected edges, HTK
    mel scale from 0 to 8 kHz, triangles of height one. The sound is centred and brought to a peak of one half before.
    """
    mono = np.asarray(audio, np.float64)
    mono = mono - mono.mean()
    mono = 0.5 * mono / max(np.abs(mono).max(), 1e-9)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(mono, N_FFT // 2, mode="reflect"), N_FFT)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1], axis=1)
    return (np.square(np.abs(spectrum)) @ mel_filters()).T.astype(np.float32)


@cache
def mel_filters() -> NDArray[np.float64]:
    """(513, 64) triangular filters on the HTK mel scale, 2595 log10(1 + f / 700)."""
    hz = np.linspace(0, RATE_HZ / 2, N_FFT // 2 + 1)[:, None]
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, N_MELS + 2) / 2595) - 1)
    rising = (hz - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - hz) / np.diff(edges)[1:]
    return np.clip(np.minimum(rising, falling), 0, None)


_BOOTSTRAPS = 200
_PAIRS = 40_000  # pictures compared at most, about a millisecond each


@dataclass(frozen=True)
class LibrarySound:
    """A library of the training music that plays the clip nearest to what was decoded, and the true sound.

    Attributes
    ----------
    clips : Candidates
        Pieces of the training side's music that do not overlap, with their embeddings.
    audio : mapping of stimulus id to (n,) float32
        The sound as it was heard, mono at 16 kHz, from the EEG's first sample on.
    genre : GenreClassifier or None
    """

    clips: Candidates
    audio: Mapping[str, NDArray[np.float32]]
    genre: GenreClassifier | None = None
    _mels: dict[tuple[str, float], NDArray[np.float32]] = field(default_factory=dict, repr=False)
    _pictures: dict[tuple[str, int, str, float], float] = field(default_factory=dict, repr=False)

    @classmethod
    def of_training(
        cls, split: Split, music: Mapping[str, Music], audio: Mapping[str, NDArray[np.float32]], *,
        genre: GenreClassifier | None = None, window_s: float = 4.0,
    ) -> Self:
        """Take the clips from the song seconds that the split's training side heard."""
        song, name, second, vectors = training_music(split, music)
        clips = distinct_music(vectors, song, name, second, window_s)
        kept = clips.rival
        pieces = Candidates(
            clips.vector[kept], clips.song[kept], clips.name[kept], clips.second[kept], kept[kept], window_s,
            np.arange(kept.sum()),
        )
        absent = sorted(set(pieces.song.tolist()) - set(audio))
        if absent:
            raise UserError(f"There is no sound of {absent[0]} to evaluate with: give the audio of every song.")
        return cls(pieces, audio, genre)

    @property
    def name(self) -> str:
        """What made the sound, for the table."""
        return f"library: the nearest of {len(self.clips)} clips of the training music, {self.clips.window_s:g} s each"

    @property
    def lacking(self) -> dict[str, str]:
        """Which metrics there are none of, and why."""
        return {} if self.genre is not None else {"genre": NO_GENRES}

    def choose(self, queries: NDArray) -> NDArray[np.int64]:
        """(n,) clip nearest by cosine to each vector (n, 512); the first where nothing is decoded."""
        return np.nan_to_num(cosine(queries, self.clips.vector), nan=-2.0).argmax(axis=1)

    def sound(self, song: str, second: float) -> NDArray[np.float32]:
        """(n,) sound of one piece at 16 kHz."""
        first, length = round(second * RATE_HZ), round(self.clips.window_s * RATE_HZ)
        sound = self.audio[song][first : first + length]
        if len(sound) < length:
            raise UserError(
                f"The audio of {song} ends at {len(self.audio[song]) / RATE_HZ:.1f} s, but second {second:g} to "
                f"{second + self.clips.window_s:g} was heard: give the whole file."
            )
        return sound

    def scores(self, candidates: Candidates, where: str) -> Iterator[Score]:
        """Score the clip chosen against the music heard: by embedding and by genre."""
        clips = self.clips
        text = f"of the clip chosen ({self.name}) with what was heard"
        yield Score(
            "clap-score", "CLAP score of the clip chosen",
            lambda q: cosine(clips.vector, candidates.vector)[self.choose(q)],
            f"cosine of the embeddings {text}; {where}",
        )  # fmt: skip
        if self.genre is not None:
            ours, heard = self.genres_of(clips), self.genres_of(candidates)
            yield Score(
                "genre", f"{len(self.genre.genres)}-way genre agreement",
                lambda q: (ours[self.choose(q)][:, None] == heard).astype(float),
                f"share of windows in which the classifier ({self.genre.name}) names the same genre {text}; genres are "
                f"not equally frequent, so the mismatched control is what chance is; {where}",
            )  # fmt: skip

    def picture_scores(self, candidates: Candidates, where: str) -> Iterator[Score]:
        """Score the clip chosen against the music heard by pictures of the sound."""
        text = f"of the clip chosen ({self.name}) with what was heard"
        picture = f"on 64-band power mel {text}, range = max - min of what was heard; {where}"
        yield Score("ssim", "SSIM on mel", lambda q: self._picture_table("ssim", q, candidates), f"SSIM {picture}")
        yield Score("psnr", "PSNR on mel (dB)", lambda q: self._picture_table("psnr", q, candidates), f"PSNR {picture}")

    def pictured(self, tested: DecodedSet, seed: int) -> DecodedSet:
        """Return the tested with as many of its pieces, drawn at random, as can be pictured in reasonable time."""
        n = max(1, _PAIRS // len(self.clips))
        if len(tested.candidates) <= n:
            return tested
        chosen = np.random.default_rng(seed).choice(len(tested.candidates), n, replace=False)
        return tested.of_candidates(np.sort(chosen))

    def genres_of(self, pieces: Candidates) -> NDArray[np.int64]:
        """(m,) what the classifier names pieces of music."""
        assert self.genre is not None
        if isinstance(self.genre, EmbeddingGenres):
            return self.genre.predict_embeddings(pieces.vector)
        sounds = [self.sound(str(s), float(t)) for s, t in zip(pieces.song, pieces.second, strict=True)]
        return self.genre.predict(sounds, RATE_HZ)

    def _mel(self, song: str, second: float) -> NDArray[np.float32]:
        key = (song, second)
        if key not in self._mels:
            self._mels[key] = power_mel(self.sound(song, second))
        return self._mels[key]

    def _picture_table(self, kind: str, queries: NDArray, candidates: Candidates) -> NDArray[np.float64]:
        """(n, m) similarity of the clip chosen for each query with each piece; every pair is compared once."""
        chosen, row = np.unique(self.choose(queries), return_inverse=True)
        table = np.empty((len(chosen), len(candidates)))
        for column, (song, second) in enumerate(zip(candidates.song.tolist(), candidates.second.tolist(), strict=True)):
            keys = [(kind, int(c), song, second) for c in chosen]
            new = [c for c, key in zip(chosen.tolist(), keys, strict=True) if key not in self._pictures]
            if new:
                made = np.stack([self._mel(str(self.clips.song[c]), float(self.clips.second[c])) for c in new])
                alike = (ssim if kind == "ssim" else psnr)(self._mel(song, second), made)
                fresh = zip(new, alike.tolist(), strict=True)
                self._pictures.update({(kind, c, song, second): v for c, v in fresh})
            table[:, column] = [self._pictures[key] for key in keys]
        return table[row]

    def frechet(self, tested: DecodedSet, where: str, seed: int) -> Metric | str:
        """Fréchet distance of the clips chosen from the music heard, or why there is none."""
        n = len(tested.queries)
        if n < ENOUGH:
            return f"a Fréchet distance needs at least {ENOUGH} windows, there are {n}"
        rng = np.random.default_rng(seed)
        clips, heard = common_axes(self.clips.vector, tested.candidates.vector)
        heard = heard[tested.candidates.of]
        chosen = clips[self.choose(tested.queries)]
        controls = {
            "random_clips": Control(
                value=frechet_distance(clips[rng.integers(0, len(clips), n)], heard),
                protocol="clips drawn at random from the library",
            )
        }
        missing = dict.fromkeys(("mismatched", "p"), "a distance of two sets knows no pairing")
        if tested.before is not None and len(tested.before) >= 2:
            before = frechet_distance(clips[self.choose(tested.before)], heard)
            controls["before_song"] = Control(value=before, protocol="clips chosen from EEG from before the music")
        if tested.constant is not None:
            same = np.repeat(clips[self.choose(tested.constant[None])], n, axis=0)
            controls["mean_embedding"] = Control(
                value=frechet_distance(same, heard), protocol=f"the clip nearest to {tested.constant_is}, always"
            )
        return Metric(
            name="fad", label="Fréchet audio distance", value=frechet_distance(chosen, heard),
            ci95=_frechet_interval(chosen, heard, tested.recording, rng), n=n,
            n_recordings=len(np.unique(tested.recording)), controls=controls, missing=missing, better="lower",
            protocol=f"squared Fréchet distance in the embedder's space of the clips chosen ({self.name}) from what "
            f"was heard; {where}",
        )  # fmt: skip


def training_music(
    split: Split, music: Mapping[str, Music]
) -> tuple[NDArray[np.str_], NDArray[np.str_], NDArray[np.float64], NDArray[np.float32]]:
    """Song, song name, second and embedding of the music in every training window whose place is on the grid."""
    table, rows = split.table, split.train
    song, second = table.song[rows], table.song_start_s[rows]
    if np.isnan(second).any():
        raise UserError("The training music is not known: give song_start_s in the table of windows.")
    index = np.array([round(at / music[s].grid_s) for s, at in zip(song.tolist(), second.tolist(), strict=True)])
    fits = np.array([i < len(music[s].targets) for i, s in zip(index.tolist(), song.tolist(), strict=True)], bool)
    song, index, name = song[fits], index[fits], table.name[rows][fits]
    at = np.array([i * music[s].grid_s for i, s in zip(index.tolist(), song.tolist(), strict=True)])
    return song, name, at, np.stack([music[s].targets[i] for i, s in zip(index.tolist(), song.tolist(), strict=True)])


def _frechet_interval(
    chosen: NDArray, heard: NDArray, recording: NDArray[np.str_], rng: np.random.Generator
) -> tuple[float, float] | None:
    """95 % interval, drawing whole recordings with replacement."""
    names = np.unique(recording)
    if len(names) < 2:
        return None
    rows = [np.flatnonzero(recording == name) for name in names]
    draws = []
    for _ in range(_BOOTSTRAPS):
        drawn = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        draws.append(frechet_distance(chosen[drawn], heard[drawn]))
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
