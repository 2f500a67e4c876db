"""Windows of a prepared study on one grid of song seconds, and the segments a split leaves to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bci_music.data.audio_map import audio_seconds
from bci_music.data.nmed_published import published_version
from bci_music.data.study import Stimulus
from bci_music.messages import UserError
from bci_music.metrics.split_choice import SplitConfig, make_split
from bci_music.metrics.splits import Split, WindowTable
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.targets import GRID_S
from bci_music.training.lab.prepared import Prepared

_EPS_S = 1e-6


@dataclass(frozen=True)
class Version:
    """How the seconds of a stimulus lie in the original version of its song.

    Attributes
    ----------
    first_s : float
        Second of the original at second 0 of the stimulus; NaN where its seconds have no place there (its measures
        were shuffled, say).
    backwards : bool
        Whether the original's seconds are counted down from there.
    music_s : float
        How much music there is of the stimulus: windows with a target beyond are left out.
    """

    first_s: float = 0.0
    backwards: bool = False
    music_s: float = np.inf

    @classmethod
    def of(cls, stimulus: Stimulus, music_s: float) -> Version:
        """Give the version that a stimulus is, with its music in seconds from its offset on.

        A published stimulus is known by its number, since its file may be backwards already, or not yet
        (`Stimulus.reversed`); for any other the file tells.
        """
        kind = published_version(stimulus.id) or ("rev" if stimulus.reversed else "orig")
        if kind == "rev":
            return cls(music_s, True, music_s)
        return cls(stimulus.offset_s if kind == "orig" else np.nan, False, music_s)

    def origin_s(self, at: float, window_s: float) -> float:
        """Second of the original where the music of a window begins."""
        return self.first_s - at - window_s if self.backwards else self.first_s + at

    def has_target(self, at: float, window_s: float) -> bool:
        """Whether there is music enough to embed what is heard in a window."""
        return GRID_S * round(at / GRID_S) + window_s <= self.music_s + _EPS_S


@dataclass(frozen=True)
class LabWindows:
    """Windows on a grid: row i of `table` begins at sample `first[i]` of segment `segment[i]`.

    Windows begin at whole multiples of their length in song seconds, the same for every listener, and do not overlap,
    unless another hop was asked for.
    """

    segments: list[Segment]
    table: WindowTable
    segment: NDArray[np.int64]
    first: NDArray[np.int64]
    n_times: int
    sfreq_hz: float

    def gather(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Windows (B, C, T) float32 and their usable channels (B, C)."""
        x = [
            self.segments[i].eeg[:, first : first + self.n_times].astype(np.float32)
            for i, first in zip(self.segment[rows], self.first[rows], strict=True)
        ]
        return np.stack(x), np.stack([self.segments[i].used for i in self.segment[rows]])

    def joined(self, rows: NDArray[np.int64]) -> list[Segment]:
        """Segments made of these windows; windows that follow each other are joined."""
        made: list[Segment] = []
        for number in np.unique(self.segment[rows]):
            segment = self.segments[number]
            firsts = np.sort(self.first[rows][self.segment[rows] == number])
            for _, run in groupby(enumerate(firsts.tolist()), lambda p: p[1] - p[0] * self.n_times):
                at = [first for _, first in run]
                begin, stop = at[0], at[-1] + self.n_times
                later = begin / self.sfreq_hz
                made.append(replace(
                    segment, eeg=segment.eeg[:, begin:stop], song_start_s=segment.song_start_s + later,
                    start_s=segment.start_s + later,
                ))  # fmt: skip
        return made


def lab_windows(
    segments: Sequence[Segment], names: dict[str, str], *, window_s: float, sfreq_hz: float,
    versions: Mapping[str, Version] | None = None, hop_s: float | None = None,
) -> LabWindows:
    """Lay the grid over segments.

    Parameters
    ----------
    names : mapping of stimulus id to song name
        Versions of one song share their name.
    versions : mapping of stimulus id to Version, optional
        By default a stimulus is the original of its song, with music to the end of the EEG.
    hop_s : float, optional
        From one window's beginning to the next one's; by default the windows' length.
    """
    n_times, hop_s, plain = round(window_s * sfreq_hz), hop_s or window_s, Version()
    versions = versions or {}
    rows: list[tuple[int, int, float, float]] = []
    for number, segment in enumerate(segments):
        at = hop_s * np.ceil(segment.song_start_s / hop_s - _EPS_S)
        version = versions.get(segment.song, plain)
        while version.has_target(at, window_s):
            first = round((at - segment.song_start_s) * sfreq_hz)
            if first + n_times > segment.eeg.shape[1]:
                break
            rows.append((number, first, segment.start_s + first / sfreq_hz, float(at)))
            at += hop_s
    if not rows:
        raise UserError(f"No segment is as long as one window of {window_s:g} s: give longer recordings.")
    which = np.array([r[0] for r in rows])
    start, song_start = np.array([r[2] for r in rows]), np.array([r[3] for r in rows])

    def column(name: str) -> NDArray[np.str_]:
        return np.array([getattr(segments[i], name) for i in which])

    song = column("song")
    table = WindowTable(
        start, start + window_s, column("recording"), column("listener"), song, song_start, column("repeat"),
        np.array([names.get(s, s) for s in song]),
        np.array([versions.get(s, plain).origin_s(at, window_s) for s, at in zip(song, song_start, strict=True)]),
    )  # fmt: skip
    return LabWindows(list(segments), table, which, np.array([r[1] for r in rows]), n_times, sfreq_hz)


def study_windows(
    prepared: Prepared, window_s: float, *, segments: Sequence[Segment] | None = None, hop_s: float | None = None
) -> LabWindows:
    """Lay the grid over the segments of a prepared study, or over some of them, as far as there is music.

    `hop_s` is from one window's beginning to the next one's; by default the windows' length.
    """
    names = {key: stimulus.name for key, stimulus in prepared.stimuli.items()}
    heard = {key: prepared.stimuli[key] for key in prepared.song_seconds() if key in prepared.stimuli}
    versions = {
        key: Version.of(s, audio_seconds(s.audio) - s.offset_s) for key, s in heard.items() if s.audio is not None
    }
    chosen = prepared.segments if segments is None else segments
    return lab_windows(
        chosen, names, window_s=window_s, sfreq_hz=prepared.sfreq_hz, versions=versions, hop_s=hop_s
    )


def split_windows(windows: LabWindows, kind: str, config: SplitConfig) -> tuple[Split, list[Segment]]:
    """Split the windows, and give the segments to train on."""
    split = make_split(kind, windows.table, config)
    return split, windows.joined(split.train)


def training_seconds(segments: Sequence[Segment], sfreq_hz: float) -> dict[str, list[tuple[float, float]]]:
    """Which seconds of each song are heard in these segments, overlapping parts joined."""
    heard: dict[str, list[tuple[float, float]]] = {}
    for song in sorted({segment.song for segment in segments}):
        spans = sorted(
            (t.song_start_s, t.song_start_s + t.eeg.shape[1] / sfreq_hz) for t in segments if t.song == song
        )
        joined = [spans[0]]
        for start, stop in spans[1:]:
            if start <= joined[-1][1] + 1e-6:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((start, stop))
        heard[song] = joined
    return heard
