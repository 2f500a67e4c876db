"""Rows of the table of reconstructions: music is made for the test windows of a study, in every way there is.

All rows of a split are made for the same windows from the same noise, so that two of them differ in nothing but what
they are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.decoded import true_targets
from bci_music.evaluation.echoes.rows import Reconstructions, distinct_pieces, save_row
from bci_music.evaluation.echoes.study import EchoesStudy, Windows, read_steps, unit
from bci_music.generation.audioldm.echoes import EchoesLdm, EegCourse
from bci_music.generation.audioldm.sampler import AudioLdm
from bci_music.generation.open import open_model
from bci_music.messages import UserError
from bci_music.models.log_mel import HOP, RATE_HZ
from bci_music.models.network import Network
from bci_music.training.audioldm.batches import spread_evenly
from bci_music.training.lab.windows import lab_windows

ROWS = (
    "way-a", "way-b-pooled", "way-b-sequence", "no-music-embedding", "no-eeg", "no-subject", "adapter", "silent-eeg",
    "shuffled-eeg", "oracle",
)  # fmt: skip
TRAINED = {"way-b-pooled": "way-b-pooled", "adapter": "adapter"}  # all others are made by the sequence form


@dataclass(frozen=True)
class HeldOut:
    """Windows of a study's test side that music is made for, as the decoder reads them."""

    study: EchoesStudy

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the study's windows, evenly spread over the test side."""
        test = self.study.data.split.test
        return test[spread_evenly(len(test), self.study.config.windows)]

    @cached_property
    def read(self) -> Windows:
        """What the decoder reads in them."""
        return self.study.read(self.study.trained, self.study.data.windows, self.rows)

    @cached_property
    def silent(self) -> Windows:
        """What the decoder reads where there is nothing: zeros in every channel."""
        return self._of_array(np.zeros_like(self.study.data.windows.gather(self.rows[:1])[0])).of(
            np.zeros(len(self.rows), np.int64)
        )

    @cached_property
    def shuffled(self) -> Windows:
        """What it reads in EEG of another song, another one for every window."""
        return self.read.of(other_songs(self.study.data.windows.table.name[self.rows], self.study.config.seed))

    @cached_property
    def before(self) -> tuple[Windows, NDArray[np.int64]] | None:
        """What it reads before the music, and the window (m,) of the same recording that each stands beside."""
        study, w = self.study, self.study.data.windows
        segments = [s for s in study.prepared.before if s.eeg.shape[1] >= w.n_times]
        recordings = w.table.recording[self.rows].tolist()
        segments = [s for s in segments if s.recording in recordings]
        if not segments or not study.config.before:
            return None
        there = lab_windows(segments, {}, window_s=study.window_s, sfreq_hz=w.sfreq_hz)
        chosen = spread_evenly(len(there.table), study.config.before)
        beside = np.array([recordings.index(r) for r in there.table.recording[chosen].tolist()])
        return study.read(study.trained, there, chosen), beside

    @cached_property
    def truth(self) -> NDArray[np.float32]:
        """Embeddings (n, 512) of the music heard: for the oracle alone."""
        return true_targets(self.study.data, self.rows)

    @cached_property
    def subjects(self) -> NDArray[np.int64]:
        """Rows (n,) of the ControlNet's table; -1 where it has not learned from the listener."""
        known = {name: place for place, name in enumerate(self.study.listeners)}
        return np.array([known.get(name, -1) for name in self.study.data.windows.table.listener[self.rows].tolist()])

    @cached_property
    def heard(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Pieces of music (p, samples) that were heard, each once, and which of them (n,) each window heard."""
        table = self.study.data.windows.table
        first, piece = distinct_pieces(table.song[self.rows], table.song_start_s[self.rows])
        length = round(self.study.window_s * RATE_HZ)
        sounds = []
        for row in self.rows[first]:
            begin = round(float(table.song_start_s[row]) * RATE_HZ)
            sounds.append(self.study.audio[str(table.song[row])][begin : begin + length])
        return np.stack(sounds), piece

    def _of_array(self, x: NDArray[np.float32]) -> Windows:
        trained = self.study.trained
        assert trained.aligner is not None
        assert trained.adapter is not None
        network = trained.aligner.network
        assert isinstance(network, Network)
        shared, _, steps = read_steps(network, x, np.ones(x.shape[:2], bool))
        return Windows(steps, unit(trained.adapter(shared)))


def other_songs(name: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """For every window (n,) a window of another song; every window is drawn about equally often."""
    rng, n = np.random.default_rng((seed, 21)), len(name)
    if len(set(name.tolist())) < 2:
        raise UserError("All windows of the test side are of one song: shuffled EEG needs another one.")
    found, order = np.empty(n, np.int64), rng.permutation(n)
    for place, row in enumerate(order):
        at = place + 1
        while name[order[at % n]] == name[row]:
            at += 1
        found[row] = order[at % n]
    return found


def make_row(side: HeldOut, row: str, directory: Path, report: Callable[[int, int], None]) -> Path:
    """Make one row and write it; `report` gets how many of how many pieces are made."""
    study, table = side.study, side.study.data.windows.table
    model, cost = (open_model("auto", study.pack, device="cpu"), {}) if row == "way-a" else \
        study.control(TRAINED.get(row, "way-b-sequence"))
    windows, subjects = side.read, side.subjects
    if row == "silent-eeg":
        windows = side.silent
    elif row == "shuffled-eeg":
        windows = side.shuffled
    elif row == "no-subject":
        subjects = np.full_like(subjects, -1)
    style = windows.predicted
    if row == "oracle":
        style = side.truth
    elif row == "no-music-embedding":
        style = np.tile(model.denoiser.style_mean.float().numpy(), (len(style), 1))
    before = side.before if row.startswith("way-") else None
    n, more = len(side.rows), 0 if before is None else len(before[1])
    made = np.stack([
        sound for done, sound in _counted(_sounds(study, model, row, windows.steps, style, subjects), n + more, report)
    ])
    early = None
    if before is not None:
        read, beside = before
        sounds = _sounds(study, model, row, read.steps, read.predicted, subjects[beside])
        early = np.stack([sound for done, sound in _counted(sounds, n + more, report, n)])
    pieces, piece = side.heard
    return save_row(directory, Reconstructions(
        row, study.split, table.name[side.rows], table.listener[side.rows], table.song_start_s[side.rows], pieces,
        piece, made, before=early, before_of=None if before is None else before[1],
        made_by=f"{model.name}, {settings_of(study, model)}", simulated=study.prepared.simulated, costs=cost,
    ))  # fmt: skip


def settings_of(study: EchoesStudy, model: AudioLdm) -> str:
    """Sampler settings in words."""
    chosen = study.config.sampler if study.config.sampler is not None and isinstance(model, EchoesLdm) else None
    chosen = chosen or model.settings
    return f"{chosen.steps} steps of {chosen.solver}, guidance {chosen.guidance:g}"


def _sounds(
    study: EchoesStudy, model: AudioLdm, row: str, steps: NDArray[np.float32], style: NDArray[np.float32],
    subjects: NDArray[np.int64],
) -> Iterator[NDArray[np.float32]]:
    """One sound (samples,) for every window; the same noise for a window's number in every row."""
    frames = round(study.window_s * RATE_HZ / HOP)
    unit_frames = -(-frames // model.frame_unit) * model.frame_unit
    for number in range(len(steps)):
        led = model
        if isinstance(model, EchoesLdm) and row != "no-eeg":
            led = model.led_by(EegCourse(steps[number], study.window_s, int(subjects[number])), study.window_s)
        sampler = study.config.sampler if isinstance(model, EchoesLdm) else None
        latents = led.latents(style[number], unit_frames, settings=sampler, seed=study.config.seed * 100_003 + number)
        yield led.vocode(led.decode(latents)[:frames])


def _counted(
    sounds: Iterator[NDArray[np.float32]], of: int, report: Callable[[int, int], None], before: int = 0
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for number, sound in enumerate(sounds, start=before + 1):
        report(number, of)
        yield number, sound


def rows_of(study: EchoesStudy, only: Iterable[str] = ()) -> list[str]:
    """Rows that are made under a split: unknown listeners have no vector that could be left out."""
    chosen = tuple(only) or ROWS
    if unknown := [row for row in chosen if row not in ROWS]:
        raise UserError(f"There is no row {unknown[0]!r}: choose from {', '.join(ROWS)}.")
    return [row for row in chosen if not (row == "no-subject" and study.split == "listener")]
