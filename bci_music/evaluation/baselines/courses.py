"""What linear tracking decoders read and look for: lagged EEG of a window, and how the flux of the music runs in it.

They take part in the common protocol as everything else does. What such a decoder reads from a window is a course over
time; of mean zero and unit length it is the window's vector, the course of the music its target, and their cosine is
Pearson's correlation. Nothing outside a window's own samples is used of the EEG.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bci_music.heard.features import BAND_HZ, in_band, sound_rows
from bci_music.heard.features import RATE_HZ as FLUX_HZ
from bci_music.messages import UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.training.eeg.corpus import Batch, Corpus
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.prepared import Prepared

RATE_HZ = 31.25
LAG_S = 0.4
CLAMP_SD = 20.0  # of z-scored EEG: what is larger is no brain
FOLD_S = 12.0  # song time of one block of the inner cross-validation


@dataclass(frozen=True)
class LaggedEeg:
    """Windows of EEG as rows of a regression: row i holds every channel at instant i and up to `LAG_S` later.

    Attributes
    ----------
    sfreq_hz, n_times
        Rate and samples of a window.
    """

    sfreq_hz: float
    n_times: int

    def __post_init__(self):
        if self.n_rows < 2 * RATE_HZ * 0.5:
            raise UserError(
                f"A window of {self.n_times / self.sfreq_hz:.2f} s leaves {self.n_rows} instants with {LAG_S:g} s of "
                "EEG after them, too few to correlate: use windows of 2 s or more."
            )

    @property
    def step(self) -> int:
        """Samples from one instant to the next."""
        return max(1, round(self.sfreq_hz / RATE_HZ))

    @property
    def n_lags(self) -> int:
        """Instants from 0 to `LAG_S`."""
        return int(LAG_S * self.sfreq_hz / self.step) + 1

    @property
    def n_rows(self) -> int:
        """Instants of a window that have all their lags in it."""
        return -(-self.n_times // self.step) - self.n_lags + 1

    def __call__(self, x: NDArray, used: NDArray) -> NDArray[np.float32]:
        """(n, n_rows, C * n_lags) of windows x (n, C, T) with usable channels used (n, C); unusable ones are zero."""
        kept = np.where(used[:, :, None], np.clip(x, -CLAMP_SD, CLAMP_SD), 0.0).astype(np.float32)
        slow = kept @ _band_pass(self.n_times, self.sfreq_hz)[:, :: self.step]
        lags = np.lib.stride_tricks.sliding_window_view(slow, self.n_lags, axis=2)  # (n, C, n_rows, n_lags)
        return np.ascontiguousarray(lags.transpose(0, 2, 1, 3)).reshape(len(x), self.n_rows, -1)


@cache
def _band_pass(n_times: int, sfreq_hz: float) -> NDArray[np.float32]:
    """(T, T) matrix that filters windows, x @ matrix: a Butterworth band-pass of second order, forwards and back."""
    from scipy.signal import butter, sosfiltfilt

    sos = butter(2, BAND_HZ, "bandpass", fs=sfreq_hz, output="sos")
    return sosfiltfilt(sos, np.eye(n_times), axis=1).astype(np.float32)


@dataclass(frozen=True)
class MusicCourses:
    """Band-passed spectral flux of every song, mean 0 and SD 1, at the rate of the EEG; second 0 is the EEG's first."""

    songs: dict[str, NDArray[np.float32]]
    lags: LaggedEeg

    @classmethod
    def of(cls, prepared: Prepared, lags: LaggedEeg) -> MusicCourses:
        """Courses of all songs that are heard in the segments of a study."""
        made = {}
        for song in sorted(prepared.song_seconds()):
            audio, rate = read_song(prepared.stimuli[song])
            made[song] = music_course(audio, rate, lags.sfreq_hz)
        return cls(made, lags)

    def at(self, song: NDArray[np.str_], second: NDArray, *, back: int = 1) -> NDArray[np.float32]:
        """(n, n_rows, back) flux at the instants of windows, and at the `back` - 1 instants before each of them."""
        steps = self.lags.step * (np.arange(self.lags.n_rows)[:, None] - np.arange(back))
        rows = []
        for name, start in zip(song.tolist(), second.tolist(), strict=True):
            course = self.songs[name]
            rows.append(course[np.clip(round(start * self.lags.sfreq_hz) + steps, 0, len(course) - 1)])
        return np.stack(rows)


def music_course(audio: NDArray[np.float32], rate_hz: float, sfreq_hz: float) -> NDArray[np.float32]:
    """Spectral flux from 1 to 8 Hz of (n,) audio, at the rate of the EEG."""
    slow = in_band(sound_rows(audio, rate_hz)[:, :1])[:, 0]
    at = np.arange(int(len(slow) / FLUX_HZ * sfreq_hz)) / sfreq_hz
    course = np.interp(at, np.arange(len(slow)) / FLUX_HZ, slow)
    return (course / max(float(course.std()), 1e-12)).astype(np.float32)


def training_rows(
    corpus: Corpus, lags: LaggedEeg, size: int = 32
) -> Iterator[tuple[Batch, NDArray[np.float32], NDArray[np.str_], NDArray[np.int64]]]:
    """Batches of all training windows, one after the other: (batch, lagged EEG, song of each, inner fold of each).

    The inner folds are blocks of song time, so that no music is on both sides.
    """
    hop_s = lags.n_rows * lags.step / lags.sfreq_hz  # every instant once
    places = list(corpus.windows(hop_s))
    names = np.array(corpus.songs)
    for first in range(0, len(places), size):
        batch = corpus.gather(places[first : first + size])
        fold = (batch.second // FOLD_S).astype(np.int64) % 2
        yield batch, lags(batch.x, batch.used), names[batch.song], fold


def unit_courses(courses: NDArray) -> NDArray[np.float32]:
    """Courses (n, n_rows, k) as unit vectors (n, n_rows * k): each of the k with mean 0 and the same length.

    The cosine of two such vectors is the mean over k of the courses' correlations.
    """
    centred = courses - courses.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    rows = centred / np.maximum(length, 1e-9) / np.sqrt(courses.shape[2])
    return rows.transpose(0, 2, 1).reshape(len(courses), -1).astype(np.float32)


def fit_style(
    corpus: Corpus, read: Callable[[NDArray, NDArray], NDArray], *, hop_s: float, alpha: float | None = None
) -> RidgeAdapter:
    """Ridge from what was read of all windows of a corpus to the music's embeddings, as every other decoder has one."""

    def rows(size: int = 64) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        places = list(corpus.windows(hop_s))
        for first in range(0, len(places), size):
            batch = corpus.gather(places[first : first + size])
            yield read(batch.x, batch.used), batch.target, (batch.second // FOLD_S).astype(np.int64) % 2

    return RidgeAdapter.fit(rows(), alpha=alpha)
