"""What every window of a row scores: with the music it heard, with other songs, and from EEG before the music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.echoes.rows import Reconstructions
from bci_music.evaluation.music.audio import power_mel
from bci_music.messages import UserError
from bci_music.metrics.mean_spectrum import (
    CANDIDATES,
    OF_THE_SONG,
    Pieces,
    candidate_count,
    correlations,
    gaps,
    identify,
)
from bci_music.metrics.similarity import psnr, ssim
from bci_music.metrics.sound_timing import (
    CURVE_HZ,
    FRAME_HZ,
    envelope,
    lag_correlation,
    lag_steps,
    onset_f,
    onset_flux,
    onsets,
    slowed,
)
from bci_music.models.log_mel import log_mel, normalised

Floats = NDArray[np.float64]
PARTNERS = 8  # pieces of other songs that every window is compared with
PICTURED = 2  # of them, by pictures: a millisecond each
TOLERANCES_MS = (50, 100, 200)
CURVES = ("flux-r", "envelope-r")  # those with a lag curve


@dataclass(frozen=True)
class Kind:
    """What a metric is: its name for people, which way is better, and in a sentence what is computed."""

    label: str
    protocol: str
    better: str = "higher"


_SPECTRUM = "correlation over 64 bands of the mean over time of the log-mel picture"
_CURVE = f"correlation at {CURVE_HZ} Hz, each mean taken away, at the row's lag"
KINDS = {
    "spectrum-rank": Kind(
        "rank by mean spectrum", f"the own piece among {CANDIDATES}, {OF_THE_SONG} others of its song; 0 is best; by "
        f"{_SPECTRUM}", "lower",
    ),
    "spectrum-top1": Kind("top 1", "how often that rank is the first"),
    "spectrum-top3": Kind("top 3", "how often it is among the first three"),
    "spectrum-r": Kind("mean spectrum, own", _SPECTRUM),
    "spectrum-same-song": Kind("own − same song", f"{_SPECTRUM}: own piece less others of its song"),
    "spectrum-other-song": Kind("own − other song", f"{_SPECTRUM}: own piece less other songs"),
    "flux-r": Kind("onset flux", f"half-wave rectified log-mel flux, {_CURVE}"),
    "envelope-r": Kind("envelope", f"loudness envelope, {_CURVE}"),
    "pattern-r": Kind("log mel, bands' means removed", f"all 64 bands together, {_CURVE}"),
    **{
        f"onset-f-{ms}": Kind(f"onset F, ±{ms} ms", f"F score of onsets paired one to one within {ms} ms")
        for ms in TOLERANCES_MS
    },
    "ssim": Kind("SSIM on mel", "structural similarity of 64-band power mel"),
    "psnr": Kind("PSNR on mel (dB)", "peak signal-to-noise ratio of 64-band power mel"),
    "clap": Kind("CLAP score", "cosine of the embedder's vectors of both sounds"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scores:
    """One value per window and metric, with the same for its controls.

    Attributes
    ----------
    song, listener, second, before_of
        As in `Reconstructions`.
    own : mapping of metric to (n,)
    mismatched : mapping of metric to (n,)
        Mean over pieces of other songs.
    before : mapping of metric to (m,)
        Empty where no sound was made of EEG from before the music.
    lags_s : (k,)
    curves, mismatched_curves : mapping of each of `CURVES` to (n, k)
    candidates : int
        Pieces the own one was identified among; below 2 it was not.
    """

    row: str
    title: str
    split: str
    song: NDArray[np.str_]
    listener: NDArray[np.str_]
    second: Floats
    before_of: NDArray[np.int64] | None
    own: dict[str, Floats]
    mismatched: dict[str, Floats]
    before: dict[str, Floats]
    lags_s: Floats
    curves: dict[str, Floats]
    mismatched_curves: dict[str, Floats]
    candidates: int

    @property
    def windows(self) -> list[tuple[str, str, float]]:
        """What a window is known by in other rows: song, listener, second."""
        return list(zip(self.song.tolist(), self.listener.tolist(), np.round(self.second, 2).tolist(), strict=True))

    def units(self, before: bool = False) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
        """Song and listener of every window, or of what was made of EEG from before the music."""
        if before and self.before_of is not None:
            return self.song[self.before_of], self.listener[self.before_of]
        return self.song, self.listener


def score(row: Reconstructions, seed: int = 0) -> Scores:
    """Compare every window of a row with the music it heard, with `PARTNERS` pieces of other songs, and the controls.

    Raises
    ------
    UserError
        Where nothing of the music heard has any shape.
    """
    rng = np.random.default_rng([seed, 29])
    heard = _Described.of_sounds(row.heard)
    if not heard.flux.any():
        raise UserError(f"The music of row {row.row} ({row.split}) is silence: give the sound that was heard.")
    made = heard.of_curves(row.curve) if row.made is None else _Described.of_sounds(row.made)
    song = np.full(len(row.heard), "", row.song.dtype)
    second = np.zeros(len(row.heard))
    song[row.piece], second[row.piece] = row.song, row.second
    pieces, partners = Pieces(song, second, row.seconds), _partners(row, rng)
    k = min(candidate_count(row.piece, pieces), *(candidate_count(of, pieces, row.song) for of in partners.T))
    compare = _Comparison(heard, row.heard_vector, pieces, k, row.lag_s, rng)
    own = compare(made, row.made_vector, row.piece)
    wrong = [
        compare(made, row.made_vector, of, without=row.song, pictures=number < PICTURED)
        for number, of in enumerate(partners.T)
    ]
    before: dict[str, Floats] = {}
    if row.before is not None and row.before_of is not None:
        early = heard.of_curves(row.before) if row.made is None else _Described.of_sounds(row.before)
        before = compare(early, row.before_vector, row.piece[row.before_of])
    lags = lag_steps(row.seconds)
    return Scores(
        row.row, row.title, row.split, row.song, row.listener, row.second, row.before_of, own, _means(wrong), before,
        lags / CURVE_HZ, compare.curves(made, row.piece, lags),
        _means([compare.curves(made, of, lags) for of in partners.T]), k,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Described:
    """Sounds as numbers, one row each; of onset curves there is the flux only."""

    flux: Floats  # (n, frames) at 25 Hz
    onsets: Sequence[NDArray[np.int64]]
    spectrum: Floats | None = None  # (n, bands)
    envelope: Floats | None = None  # (n, frames) at 25 Hz
    pattern: NDArray[np.float32] | None = None  # (n, frames, bands) at 25 Hz
    power: NDArray[np.float32] | None = None  # (n, bands, frames) mel

    @classmethod
    def of_sounds(cls, sounds: NDArray[np.floating]) -> _Described:
        pictures = (log_mel(normalised(sound)) for sound in sounds)
        rows = [(onset_flux(p), p.mean(axis=0), slowed(envelope(p)), slowed(p).astype(np.float32)) for p in pictures]
        flux, spectrum, loud, pattern = zip(*rows, strict=True)
        return cls(
            np.stack([slowed(f) for f in flux]), [onsets(f) for f in flux], np.stack(spectrum), np.stack(loud),
            np.stack(pattern), np.stack([power_mel(sound) for sound in sounds]),
        )  # fmt: skip

    @staticmethod
    def of_curves(curves: NDArray[np.floating] | None) -> _Described:
        assert curves is not None
        return _Described(np.stack([slowed(c) for c in curves]), [onsets(c) for c in curves])


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Everything there is to compare with: the music heard."""

    heard: _Described
    vector: NDArray[np.floating] | None
    pieces: Pieces
    candidates: int
    lag_s: float
    rng: np.random.Generator

    def __call__(
        self, made: _Described, vector: NDArray[np.floating] | None, of: NDArray[np.int64], *,
        without: NDArray[np.str_] | None = None, pictures: bool = True,
    ) -> dict[str, Floats]:
        """Metrics of sounds with the pieces `of`."""
        found = self._spectrum(made.spectrum, of, without) if made.spectrum is not None else {}
        lag = [round(self.lag_s * CURVE_HZ)]
        for name, (ours, theirs) in self._courses(made).items():
            found[name] = lag_correlation(ours, theirs[of], lag)[:, 0]
        for ms in TOLERANCES_MS:
            shift, near = round(self.lag_s * FRAME_HZ), round(ms / 1000 * FRAME_HZ)
            pairs = zip(made.onsets, of.tolist(), strict=True)
            found[f"onset-f-{ms}"] = np.array([onset_f(o - shift, self.heard.onsets[p], near) for o, p in pairs])
        if pictures and made.power is not None:
            found |= self._pictures(made.power, of)
        if vector is not None and self.vector is not None:
            found["clap"] = np.einsum("nd,nd->n", vector, self.vector[of]).astype(np.float64)
        return found

    def curves(self, made: _Described, of: NDArray[np.int64], lags: NDArray[np.int64]) -> dict[str, Floats]:
        """Lag curves (n, k) with the pieces `of`."""
        courses = self._courses(made)
        return {
            name: lag_correlation(ours, theirs[of], lags)
            for name, (ours, theirs) in courses.items() if name in CURVES
        }  # fmt: skip

    def _courses(self, made: _Described) -> dict[str, tuple[NDArray, NDArray]]:
        courses = {
            "flux-r": (made.flux, self.heard.flux), "envelope-r": (made.envelope, self.heard.envelope),
            "pattern-r": (made.pattern, self.heard.pattern),
        }  # fmt: skip
        return {name: (a, b) for name, (a, b) in courses.items() if a is not None and b is not None}

    def _spectrum(
        self, spectrum: Floats, of: NDArray[np.int64], without: NDArray[np.str_] | None
    ) -> dict[str, Floats]:
        assert self.heard.spectrum is not None
        table = correlations(spectrum, self.heard.spectrum)
        gap = gaps(table, of, self.pieces, without)
        found = {
            "spectrum-r": table[np.arange(len(of)), of], "spectrum-same-song": gap[:, 0],
            "spectrum-other-song": gap[:, 1],
        }  # fmt: skip
        if self.candidates < 2:
            return found
        ranked = identify(
            table, of, self.pieces, self.rng, k=self.candidates, without=without,
            draws=PARTNERS if without is None else 1,
        )  # fmt: skip
        return {"spectrum-rank": ranked.rank, "spectrum-top1": ranked.top1, "spectrum-top3": ranked.top3} | found

    def _pictures(self, made: NDArray[np.float32], of: NDArray[np.int64]) -> dict[str, Floats]:
        assert self.heard.power is not None
        found = np.empty((2, len(of)))
        for i, (picture, truth) in enumerate(zip(made, self.heard.power[of], strict=True)):
            found[:, i] = ssim(truth, picture[None])[0], psnr(truth, picture[None])[0]
        return {"ssim": found[0], "psnr": found[1]}


def _partners(row: Reconstructions, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n, PARTNERS) pieces that other windows of other songs heard, drawn with replacement."""
    others = {song: np.flatnonzero(row.song != song) for song in dict.fromkeys(row.song.tolist())}
    return np.stack([row.piece[rng.choice(others[song], PARTNERS)] for song in row.song.tolist()])


def _means(parts: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
    """Means over several comparisons of what is known; NaN where nothing is."""
    found = {}
    for name in parts[0]:
        values = np.stack([part[name] for part in parts if name in part])
        known = ~np.isnan(values)
        count = known.sum(axis=0)
        found[name] = np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return found
