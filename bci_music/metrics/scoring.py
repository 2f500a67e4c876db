"""From a table of scores to a metric with its interval, its controls and its permutation test."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bci_music.metrics.controls import heard_there, permutation_p, wrong_song
from bci_music.metrics.identification import Candidates, Score
from bci_music.metrics.metric import Control, Metric, control, summarise

Floats = NDArray[np.floating]

NO_BEFORE = "there is no EEG from before the music"
NO_MEAN = "the mean embedding of the training music is not known"
ONE_RECORDING = "an interval by recording needs at least 2 recordings"


@dataclass(frozen=True)
class DecodedSet:
    """Decoded windows and the music they are compared with, in one space.

    Attributes
    ----------
    queries : (n, d)
        What the decoder made of each window.
    recording : (n,) str
    candidates : Candidates
        The distinct excerpts heard, and which of them in each window.
    before : (b, d) or None
        What it made of EEG from before the music, in recordings `before_recording` (b,).
    constant : (d,) or None
        What a decoder gives that always gives the same; `constant_is` says what it is.
    no_before : str
        Why there is no `before`.
    """

    queries: Floats
    recording: NDArray[np.str_]
    candidates: Candidates
    before: Floats | None = None
    before_recording: NDArray[np.str_] | None = None
    constant: Floats | None = None
    constant_is: str = "the mean embedding of the training music"
    no_before: str = NO_BEFORE

    def of_candidates(self, chosen: NDArray[np.int64]) -> DecodedSet:
        """Only the windows in which these excerpts were heard."""
        c = self.candidates
        rows = np.isin(c.of, chosen)
        numbers = np.full(len(c), -1)
        numbers[chosen] = np.arange(len(chosen))
        candidates = replace(
            c, vector=c.vector[chosen], song=c.song[chosen], name=c.name[chosen], second=c.second[chosen],
            rival=c.rival[chosen], of=numbers[c.of[rows]],
        )  # fmt: skip
        return replace(self, queries=self.queries[rows], recording=self.recording[rows], candidates=candidates)


def compute_metric(score: Score, decoded: DecodedSet, *, seed: int = 0, permutations: int = 999) -> Metric:
    """Score the windows of one space, beside all controls that can be had."""
    candidates = decoded.candidates
    table = score.table(decoded.queries)
    controls, missing = _controls(score, decoded, table, seed)
    p = permutation_p(
        table, candidates.of, decoded.recording, n=permutations, seed=seed, lower=score.better == "lower"
    )
    if p is None:
        missing["p"] = "a permutation over recordings needs at least 4 of them"
    metric = summarise(
        table[np.arange(len(table)), candidates.of], decoded.recording, seed=seed, name=score.name, label=score.label,
        chance=score.chance, controls=controls, missing=missing, p=p, protocol=score.protocol, better=score.better,
    )  # fmt: skip
    if metric.n_recordings < 2:
        metric = metric.model_copy(update={"missing": missing | {"ci95": ONE_RECORDING}})
    return metric


def _controls(
    score: Score, decoded: DecodedSet, table: Floats, seed: int
) -> tuple[dict[str, Control], dict[str, str]]:
    """Controls that can be had, and why the others cannot."""
    candidates = decoded.candidates
    found: dict[str, Control | None] = {}
    missing: dict[str, str] = {}
    found["mismatched"] = control(
        wrong_song(table, candidates.of, candidates.name), decoded.recording, seed,
        "mean over all pairings of the windows with music of another song in the test",
    )
    missing["mismatched"] = "only one song is tested, so there is no music of another one"
    missing["before_song"] = decoded.no_before
    if decoded.before is not None and decoded.before_recording is not None and len(decoded.before):
        there = heard_there(
            score.table(decoded.before), decoded.before_recording, candidates.of, decoded.recording
        )
        found["before_song"] = control(
            there, decoded.before_recording, seed,
            "EEG from before the music, paired with all that was heard later in its recording; above chance it shows "
            "that recordings are recognised",
        )
        missing["before_song"] = f"{NO_BEFORE} of the recordings tested"
    missing["mean_embedding"] = NO_MEAN
    if decoded.constant is not None:
        always = score.table(decoded.constant[None])[0][candidates.of]
        protocol = f"the answer is always {decoded.constant_is}"
        found["mean_embedding"] = control(always, decoded.recording, seed, protocol)
    kept = {name: value for name, value in found.items() if value is not None}
    return kept, {name: why for name, why in missing.items() if name not in kept}
