"""One protocol for everything that decodes: the same windows, scores, intervals and controls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.decoded import DecodedWindows
from bci_music.evaluation.music.audio import LibrarySound
from bci_music.evaluation.music.generated import GeneratedSound
from bci_music.evaluation.results import SplitSummary
from bci_music.messages import UserError
from bci_music.metrics.identification import (
    Candidates,
    Score,
    cosine,
    distinct_music,
    identification_scores,
    match_mismatch,
)
from bci_music.metrics.metric import Metric
from bci_music.metrics.scoring import NO_BEFORE, DecodedSet, compute_metric
from bci_music.metrics.splits import Split, shared_counts

WITHIN_K = 10
_EPS_S = 1e-6


def evaluate_decoded(
    decoded: DecodedWindows, *, before: DecodedWindows | None, mean_embedding: NDArray | None, split: Split,
    seed: int = 0,
    audio: LibrarySound | GeneratedSound | None = None, window_s: float = 4.0, k: int = 50, no_before: str = NO_BEFORE,
    sample_s: float = 0.0,
) -> tuple[Metric, ...]:
    """Evaluate the decoded windows of a test set.

    Parameters
    ----------
    decoded : DecodedWindows
        Windows of the split's test side that do not overlap within a recording.
    before : DecodedWindows, optional
        The same decoder on EEG from before the music of the same recordings; only its vectors and recordings count.
    mean_embedding : (512,), optional
        Mean of the training music's embeddings.
    split : Split
        What was kept apart; a evaluated window that overlaps a training window is an error.
    audio : LibrarySound or GeneratedSound, optional
        What plays what was decoded; without it there are no metrics about sound.
    k : int
        Size of the choice; where the test set has too little music, the largest possible one is taken and named.
    no_before : str
        Why there is no `before`.
    sample_s : float
        Distance of two samples of the EEG. Windows begin on whole samples, so two may be one sample nearer than the
        music heard in them; 0 where starts are exact.

    Returns
    -------
    tuple of Metric
        ``"50-way"``, ``"50-way-within-song"`` (with the k that is possible), ``"14-way-song-name"`` and
        ``"match-mismatch"`` (1 of 2) in the shared space, the same with ``-clap`` in the embedder's space, and
        ``"cosine"`` in the embedder's space; with `audio` ``"clap-score"``, ``"genre"`` (with a classifier),
        ``"ssim"``, ``"psnr"`` and, of 1,024 windows or more, ``"fad"``.

    Raises
    ------
    UserError
        If windows overlap each other or the training side, or nothing can be evaluated.
    """
    _check(decoded, split, window_s, _EPS_S + sample_s)
    where = f"{split.describe()}; interval by recording"
    metrics = []
    for tested, space, suffix in _spaces(decoded, before, mean_embedding, window_s, no_before):
        scores = list(identification_scores(tested.candidates, k, where, space=space, suffix=suffix))
        if pairs := match_mismatch(tested.candidates, where, space=space, suffix=suffix):
            scores.append(pairs)
        metrics += [compute_metric(score, tested, seed=seed) for score in scores]
    cosine_of = _cosine_score(tested.candidates, where)  # the last space is the embedder's
    metrics.append(compute_metric(cosine_of, tested, seed=seed))
    if audio is not None:
        metrics += _sound_metrics(audio, tested, where, seed)
    return tuple(metrics)


def split_summary(split: Split, seed: int) -> SplitSummary:
    """How training and test were kept apart, for a result."""
    return SplitSummary(
        kind=split.kind, describe=split.describe(), n_train=len(split.train), n_test=len(split.test),
        n_recordings=len(np.unique(split.table.recording[split.test])), seed=seed, shared=shared_counts(split),
    )  # fmt: skip


def _sound_metrics(audio: LibrarySound | GeneratedSound, tested: DecodedSet, where: str, seed: int) -> list[Metric]:
    """Metrics about the sound; where genre or Fréchet distance is lacking, the CLAP score's `missing` says why."""
    metrics = [compute_metric(score, tested, seed=seed) for score in audio.scores(tested.candidates, where)]
    some = audio.pictured(tested, seed)
    metrics += [compute_metric(score, some, seed=seed) for score in audio.picture_scores(some.candidates, where)]
    distance = audio.frechet(tested, where, seed)
    lacking = audio.lacking
    if isinstance(distance, Metric):
        metrics.append(distance)
    else:
        lacking = lacking | {"fad": distance}
    score = metrics[0]
    return [score.model_copy(update={"missing": score.missing | lacking}), *metrics[1:]]


def _cosine_score(candidates: Candidates, where: str) -> Score:
    return Score(
        "cosine", "cosine of decoded and true embedding", lambda q: cosine(q, candidates.vector),
        f"cosine of the decoded vector with the embedding of what was heard, in the embedder's space; {where}",
    )


def _spaces(
    decoded: DecodedWindows, before: DecodedWindows | None, mean: NDArray | None, window_s: float, no_before: str
) -> Iterator[tuple[DecodedSet, str, str]]:
    """The shared space, if there is one, and the embedder's."""
    places = (decoded.song, decoded.name, decoded.second, window_s)
    earlier = None if before is None else before.recording
    if decoded.eeg is not None and decoded.music is not None:
        candidates = distinct_music(decoded.music, *places)
        mean_music = np.asarray(decoded.music, np.float64).mean(0)
        theirs = None if before is None else before.eeg
        yield DecodedSet(decoded.eeg, decoded.recording, candidates, theirs, earlier, mean_music,
                         "the mean of the music tested", no_before), "shared space", ""
    candidates = distinct_music(decoded.target, *places)
    theirs = None if before is None else before.clap
    constant = None if mean is None else np.asarray(mean, np.float64)
    tested = DecodedSet(decoded.clap, decoded.recording, candidates, theirs, earlier, constant, no_before=no_before)
    yield tested, "embedder's space", "-clap"


def _check(decoded: DecodedWindows, split: Split, window_s: float, slack_s: float) -> None:
    """Raise unless windows are apart, but for `slack_s`, from each other and from the training side."""
    if not len(decoded):
        raise UserError("There is no window to evaluate: the split's test side has none that can be decoded.")
    table = split.table
    for name in np.unique(decoded.recording):
        at = np.sort(decoded.start_s[decoded.recording == name])
        if (np.diff(at) < window_s - slack_s).any():
            raise UserError(
                f"Windows of recording {name!r} overlap: the evaluation needs independent ones, {window_s:g} s apart."
            )
        rows = split.train[table.recording[split.train] == name]
        starts, stops = table.start_s[rows] + slack_s, table.stop_s[rows] - slack_s
        if ((at[:, None] < stops) & (at[:, None] + window_s > starts)).any():
            raise UserError(
                f"Windows of recording {name!r} that are evaluated overlap windows it was trained on: evaluate only "
                f"the test side of the {split.kind} split."
            )
