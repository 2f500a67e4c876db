"""From a table of scores to a figure with its interval, its controls and its permutation test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.results import Control, Figure
from bci_music.metrics.intervals import by_recording
from bci_music.metrics.permutation import heard_there, permutation_p, wrong_song
from bci_music.metrics.rates import Musics

Floats = NDArray[np.floating]

NO_BEFORE = "there is no EEG from before the music"
NO_MEAN = "the mean embedding of the training music is not known"
ONE_RECORDING = "an interval by recording needs at least 2 recordings"


@dataclass(frozen=True)
class Trial:
    """What is judged in one space.

    Attributes
    ----------
    queries : (n, d)
        What the decoder made of each window.
    recording : (n,) str
    musics : Musics
        The distinct pieces heard, and which of them in each window.
    before : (b, d) or None
        What it made of EEG from before the music, in recordings `before_recording` (b,).
    constant : (d,) or None
        What a decoder says that always says the same; `constant_is` says what it is.
    no_before : str
        Why there is no `before`.
    """

    queries: Floats
    recording: NDArray[np.str_]
    musics: Musics
    before: Floats | None = None
    before_recording: NDArray[np.str_] | None = None
    constant: Floats | None = None
    constant_is: str = "the mean embedding of the training music"
    no_before: str = NO_BEFORE

    def of_pieces(self, pieces: NDArray[np.int64]) -> Trial:
        """Only the windows in which these pieces of music were heard."""
        rows = np.isin(self.musics.of, pieces)
        numbers = np.full(len(self.musics), -1)
        numbers[pieces] = np.arange(len(pieces))
        m = self.musics
        musics = replace(
            m, vector=m.vector[pieces], song=m.song[pieces], name=m.name[pieces], second=m.second[pieces],
            rival=m.rival[pieces], of=numbers[m.of[rows]],
        )  # fmt: skip
        return replace(self, queries=self.queries[rows], recording=self.recording[rows], musics=musics)


@dataclass(frozen=True)
class Measure:
    """One way to score. `table` gives the score (n, m) of queries (n, d) if each of the m pieces had been heard."""

    name: str
    label: str
    table: Callable[[Floats], Floats]
    protocol: str
    chance: float | None = None
    better: Literal["higher", "lower"] = "higher"


def figure(measure: Measure, trial: Trial, *, seed: int = 0, permutations: int = 999) -> Figure:
    """Judge one space by one measure."""
    musics = trial.musics
    table = measure.table(trial.queries)
    values = table[np.arange(len(table)), musics.of]
    known = ~np.isnan(values)
    recordings = trial.recording[known]
    controls, missing = _controls(measure, trial, table, seed)
    p = permutation_p(table, musics.of, trial.recording, n=permutations, seed=seed, lower=measure.better == "lower")
    if p is None:
        missing["p"] = "a permutation over recordings needs at least 4 of them"
    if len(np.unique(recordings)) < 2:
        missing["ci95"] = ONE_RECORDING
    return Figure(
        name=measure.name, label=measure.label, value=float(values[known].mean()),
        ci95=interval(values[known], recordings, seed), n=int(known.sum()), n_recordings=len(np.unique(recordings)),
        chance=measure.chance, controls=controls, missing=missing, p=p, protocol=measure.protocol,
        better=measure.better,
    )  # fmt: skip


def _controls(
    measure: Measure, trial: Trial, table: Floats, seed: int
) -> tuple[dict[str, Control], dict[str, str]]:
    """Controls that can be had, and why the others cannot."""
    musics = trial.musics
    found: dict[str, Control | None] = {}
    missing: dict[str, str] = {}
    found["deranged"] = control(
        wrong_song(table, musics.of, musics.name), trial.recording, seed,
        "mean over all pairings of the windows with music of another song in the test",
    )
    missing["deranged"] = "only one song is tested, so there is no music of another one"
    missing["before_song"] = trial.no_before
    if trial.before is not None and trial.before_recording is not None and len(trial.before):
        there = heard_there(measure.table(trial.before), trial.before_recording, musics.of, trial.recording)
        found["before_song"] = control(
            there, trial.before_recording, seed,
            "EEG from before the music, paired with all that was heard later in its recording; above chance it shows "
            "that recordings are recognised",
        )
        missing["before_song"] = f"{NO_BEFORE} of the recordings tested"
    missing["mean_embedding"] = NO_MEAN
    if trial.constant is not None:
        always = measure.table(trial.constant[None])[0][musics.of]
        found["mean_embedding"] = control(always, trial.recording, seed, f"the answer is always {trial.constant_is}")
    kept = {name: value for name, value in found.items() if value is not None}
    return kept, {name: why for name, why in missing.items() if name not in kept}


def control(values: Floats, recording: NDArray[np.str_], seed: int, protocol: str) -> Control | None:
    """Mean and interval of what is known of `values`; None if nothing is."""
    known = ~np.isnan(values)
    if not known.any():
        return None
    return Control(
        value=float(values[known].mean()), ci95=interval(values[known], recording[known], seed), protocol=protocol
    )


def interval(values: Floats, recording: NDArray[np.str_], seed: int) -> tuple[float, float] | None:
    """95 % interval by recording; None with fewer than two recordings."""
    return by_recording(values, recording, seed) if len(np.unique(recording)) >= 2 else None
