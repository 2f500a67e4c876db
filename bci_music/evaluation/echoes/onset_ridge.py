"""The plain baseline of timing: onset flux of the music, read linearly from the EEG of the 400 ms after each instant.

The ridge of tracking (`heard.ridge`; Crosse et al., 2016, doi:10.3389/fnhum.2016.00604) on the very curve that the
table is evaluated by. What it reads is a row of its own, without any sound, and what a control could be made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bci_music.evaluation.echoes.evaluate import Report, row_files
from bci_music.evaluation.echoes.rows import Reconstructions, load_row, save_row
from bci_music.evaluation.tracking.study import TrackingStudy, Trial, from_segments
from bci_music.evaluation.tracking.track import AFTER, components
from bci_music.heard.features import RATE_HZ as ROWS_HZ
from bci_music.heard.features import eeg_rows, standardised
from bci_music.heard.ridge import LagSums, added, fit_ridge, reconstruct
from bci_music.messages import UserError
from bci_music.metrics.sound_timing import CURVE_HZ, FRAME_HZ, lag_correlation, onset_flux, slowed
from bci_music.models.embedder import to_mono_16k
from bci_music.models.log_mel import HOP, RATE_HZ, log_mel, normalised
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.prepared import Prepared

Floats = NDArray[np.float64]
COMPONENTS = 32
GUARD_S = 1.0  # of song time beside a tested window that is not learned from
PARTS = 3  # of what is learned from, to choose the penalty by
KNOWN = ("listener", "time-block")
_BLOCK, _EDGE = 6000, 8  # frames of a picture at once, and frames beside them that it needs


def song_flux(sound: ArrayLike) -> Floats:
    """(n,) onset flux of a song (m,) at 16 kHz: row k belongs to the instant k / 64 s.

    The same flux as the table's, averaged to 25 Hz, at the rate that EEG is read at.
    """
    mono = normalised(sound)
    whole = len(mono) // HOP
    parts = []
    for first in range(0, whole, _BLOCK):
        start, stop = max(0, first - _EDGE), min(whole, first + _BLOCK + _EDGE)
        if stop - start < 2 * _EDGE:  # less than a picture needs, at the song's end
            break
        parts.append(log_mel(mono[start * HOP : stop * HOP])[first - start : first - start + _BLOCK])
    if not parts:
        raise UserError(f"A song of {len(mono) / RATE_HZ:.2f} s has no onsets to read: give the whole song.")
    slow = slowed(onset_flux(np.concatenate(parts)))
    centres = (np.arange(len(slow)) + 0.5) / CURVE_HZ - 0.5 / FRAME_HZ
    return np.interp(np.arange(int(len(mono) / RATE_HZ * ROWS_HZ)) / ROWS_HZ, centres, slow)


def ridge_row(
    segments: Sequence[Segment], before: Sequence[Segment], sfreq_hz: float, flux: Mapping[str, Floats],
    names: Mapping[str, str], like: Reconstructions,
) -> Reconstructions:
    """Read the onset flux in the windows of another row, by a ridge that has not met them.

    Under the listener split nothing of the tested listeners is learned from; under the time-block split no listener's
    EEG of the tested music, with a second on either side. EEG is z-scored over the recording, and up to .4 s after a
    window are read with it: both are to the baseline's advantage.

    Parameters
    ----------
    segments, before : sequences of Segment
        Of the whole study, with music and from before it, at `sfreq_hz`.
    flux : mapping of song id to (n,)
        Its `song_flux`.
    names : mapping of song id to its name
        Versions of one song share it. Rows call songs by id or by name; which version was heard, its sound says.
    like : Reconstructions
        Whose windows are read. Those that no EEG covers whole are left out.

    Raises
    ------
    UserError
        Where nothing is left to learn from or to read, or the split is another.
    """
    if like.split not in KNOWN:
        raise UserError(f"The ridge knows the splits {' and '.join(KNOWN)}, not {like.split}: evaluate it under those.")
    sounds = {song: rows[:, None] for song, rows in flux.items()}
    known = [segment for segment in segments if segment.song in sounds]
    study = from_segments("the study", known, sfreq_hz, sounds, dict(names), simulated=like.simulated)
    fitted = _Fitted.of(study, like)
    frames = like.heard.shape[1] // HOP
    kept, curves, recordings = [], [], []
    for i, second in enumerate(like.second.tolist()):
        for trial in _trials(study, like, i):
            curve = fitted.window(trial, second, frames)
            if curve is not None:
                kept.append(i)
                curves.append(curve)
                recordings.append(trial.recording)
                break
    if len(kept) < 2:
        raise UserError("No recording has EEG through the windows of the row: give the study that they are from.")
    early, early_of = fitted.early(before, sfreq_hz, recordings, frames)
    return replace(
        like, row="ridge-onset", title="ridge onset (the curve itself)", song=like.song[kept],
        listener=like.listener[kept], second=like.second[kept], piece=like.piece[kept], made=None,
        curve=np.stack(curves), before=early, before_of=early_of, made_vector=None, heard_vector=None,
        before_vector=None, lag_s=0.0, costs=None,
        made_by=f"ridge from EEG 0 to {AFTER[-1] / ROWS_HZ:.1f} s after each instant to onset flux; no sound",
    )  # fmt: skip


def add_ridge_rows(folder: Path, data: Path, report: Report = lambda done, of, what: None) -> list[Path]:
    """Read the windows of the rows in a folder from a prepared study, and put what was read beside them.

    Under every split of `KNOWN` that has a row and no ``ridge-onset`` yet. Returns the new files.
    """
    by_split: dict[str, Path] = {}
    for path in row_files(folder):
        by_split.setdefault(path.stem.partition("--")[2], path)
    splits = [s for s in KNOWN if s in by_split and not (folder / f"ridge-onset--{s}.json").is_file()]
    if not splits:
        return []
    prepared = Prepared.open(data)
    songs = {song: s for song in sorted(prepared.song_seconds()) if (s := prepared.stimuli[song]).audio is not None}
    flux = {}
    for done, (song, stimulus) in enumerate(songs.items()):
        report(done, len(songs) + len(splits), stimulus.title)
        flux[song] = song_flux(to_mono_16k(*read_song(stimulus)))
    names, written = {song: stimulus.name for song, stimulus in songs.items()}, []
    for done, split in enumerate(splits, len(songs)):
        report(done, len(songs) + len(splits), split)
        like = load_row(by_split[split])
        row = ridge_row(prepared.segments, prepared.before, prepared.sfreq_hz, flux, names, like)
        written.append(save_row(folder, row))
    report(len(songs) + len(splits), len(songs) + len(splits), "")
    return written


def _trials(study: TrackingStudy, like: Reconstructions, i: int) -> list[Trial]:
    """Trials that a window can be from: of its listener, with its song, in the version that was heard."""
    song, listener = str(like.song[i]), str(like.listener[i])
    found = [t for t in study.trials if t.listener == listener and song in (t.sound, t.piece)]
    versions = sorted({trial.sound for trial in found})
    if len(versions) < 2:
        return found
    heard = slowed(onset_flux(log_mel(normalised(like.heard[like.piece[i]]))))
    at = float(like.second[i]) + (np.arange(len(heard)) + 0.5) / CURVE_HZ - 0.5 / FRAME_HZ
    fluxes = [study.sounds[version][:, 0] for version in versions]
    courses = [np.interp(at, np.arange(len(flux)) / ROWS_HZ, flux) for flux in fluxes]
    r = lag_correlation(np.stack(courses), np.tile(heard, (len(courses), 1)), [0])[:, 0]
    version = versions[int(np.nan_to_num(r).argmax())]
    return [trial for trial in found if trial.sound == version]


@dataclass(frozen=True)
class _Fitted:
    axes: Floats  # (C, k)
    weights: NDArray[np.floating]  # (lags, k, 1)

    @classmethod
    def of(cls, study: TrackingStudy, like: Reconstructions) -> _Fitted:
        axes = components(study.trials, COMPONENTS)
        parts: dict[int, list[LagSums]] = {}
        pieces = sorted({trial.piece for trial in study.trials})
        for number, trial in enumerate(study.trials):
            by = pieces.index(trial.piece) if len(pieces) > 1 else number
            sums = [one for one in _sums(trial, study.sounds[trial.sound][:, 0], axes, like) if one is not None]
            parts.setdefault(by % PARTS, []).extend(sums)
        learned = [added(own) for own in parts.values() if own]
        if not learned or not axes.size:
            raise UserError(
                "The ridge has nothing to learn from: give EEG of other listeners, or of other parts of the songs."
            )
        return cls(axes, fit_ridge(learned)[0])

    def read(self, eeg: NDArray) -> Floats:
        """(n,) flux from EEG (n, C)."""
        return np.asarray(reconstruct(eeg.astype(np.float64) @ self.axes, self.weights, AFTER)[:, 0], np.float64)

    def window(self, trial: Trial, second: float, frames: int) -> Floats | None:
        """(frames,) at 100 Hz from this second of the song, None where the trial has no EEG all through it."""
        at = second + np.arange(frames) / FRAME_HZ
        for part in trial.parts:
            rows = (np.arange(len(part.eeg)) + part.first) / ROWS_HZ
            if rows[0] <= at[0] + 0.5 / ROWS_HZ and at[-1] <= rows[-1] + 0.5 / ROWS_HZ:
                near = slice(max(0, int((at[0] - rows[0]) * ROWS_HZ) - 1), int((at[-1] - rows[0]) * ROWS_HZ) + 30)
                return np.interp(at, rows[near], self.read(part.eeg[near]))
        return None

    def early(
        self, before: Sequence[Segment], sfreq_hz: float, recordings: list[str], frames: int
    ) -> tuple[Floats | None, NDArray[np.int64] | None]:
        """Curves (m, frames) read from EEG before the music, each with a window (m,) of the same recording."""
        found, of = [], []
        length, at = -(-frames * ROWS_HZ // FRAME_HZ), np.arange(frames) / FRAME_HZ * ROWS_HZ
        for segment in before:
            windows = [i for i, recording in enumerate(recordings) if recording == segment.recording]
            eeg, _ = eeg_rows(np.where(segment.used[:, None], segment.eeg, 0), sfreq_hz, 0.0)
            if not windows or len(eeg) < length:
                continue
            read = self.read(standardised([eeg])[0])
            for number in range(len(eeg) // length):
                found.append(np.interp(at, np.arange(length), read[number * length : (number + 1) * length]))
                of.append(windows[number % len(windows)])
        return (np.stack(found), np.array(of, np.int64)) if found else (None, None)


def _sums(trial: Trial, flux: Floats, axes: Floats, like: Reconstructions) -> list[LagSums | None]:
    """What is learned from a trial, part by part; nothing of what is tested."""
    if like.split == "listener" and trial.listener in set(like.listener.tolist()):
        return []
    heard = np.concatenate([flux[part.rows] for part in trial.parts])
    mean, spread = heard.mean(), heard.std()
    if spread < 1e-12:
        return []
    tested = np.zeros(len(flux), bool)
    if like.split != "listener":
        for song, second in {*zip(like.song.tolist(), like.second.tolist(), strict=True)}:
            if song in (trial.sound, trial.piece):
                ends = np.array([second - GUARD_S, second + like.seconds + GUARD_S]) * ROWS_HZ
                first, last = np.clip(ends, 0, len(flux)).astype(int)
                tested[first:last] = True
    sums = []
    for part in trial.parts:
        inside = ~tested[part.rows][:, None]
        eeg = np.where(inside, part.eeg.astype(np.float64) @ axes, 0.0)
        target = np.where(inside, (flux[part.rows][:, None] - mean) / spread, 0.0)
        sums.append(LagSums.of(eeg, target, AFTER) if inside.any() else None)
    return sums
