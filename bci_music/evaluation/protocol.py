"""One protocol for everything that decodes: the same windows, measures, intervals and controls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.measure import NO_BEFORE, Measure, Trial, figure
from bci_music.evaluation.music.audio import AudioJudge
from bci_music.evaluation.music.generated import GeneratedJudge
from bci_music.evaluation.outputs import Outputs
from bci_music.evaluation.results import Figure, SplitSummary
from bci_music.messages import UserError
from bci_music.metrics.metrics import cosine
from bci_music.metrics.rates import Musics, distinct_music, largest_k, name_rates, pick_rates
from bci_music.metrics.splits import Split, shared_counts

WITHIN_K = 10
_EPS_S = 1e-6


def judge_outputs(
    outputs: Outputs, *, before: Outputs | None, mean_embedding: NDArray | None, split: Split, seed: int = 0,
    audio: AudioJudge | GeneratedJudge | None = None, window_s: float = 4.0, k: int = 50, no_before: str = NO_BEFORE,
    sample_s: float = 0.0,
) -> tuple[Figure, ...]:
    """Judge the decoded windows of a test set.

    Parameters
    ----------
    outputs : Outputs
        Windows of the split's test side that do not overlap within a recording.
    before : Outputs, optional
        The same decoder on EEG from before the music of the same recordings; only its vectors and recordings count.
    mean_embedding : (512,), optional
        Mean of the training music's embeddings.
    split : Split
        What was kept apart; a judged window that overlaps a training window is an error.
    audio : AudioJudge or GeneratedJudge, optional
        What plays what was decoded; without it there are no figures about sound.
    k : int
        Size of the choice; where the test set has too little music, the largest possible one is taken and named.
    no_before : str
        Why there is no `before`.
    sample_s : float
        Distance of two samples of the EEG. Windows begin on whole samples, so two may be one sample nearer than the
        music heard in them; 0 where starts are exact.

    Returns
    -------
    tuple of Figure
        ``"50-way"``, ``"50-way-within-song"`` (with the k that is possible) and ``"14-way-song-name"`` in the shared
        space, the same with ``-clap`` in the embedder's space, and ``"cosine"`` in the embedder's space; with `audio`
        ``"clap-score"``, ``"genre"`` (with a classifier), ``"ssim"``, ``"psnr"`` and, of 1,024 windows or more,
        ``"fad"``.

    Raises
    ------
    UserError
        If windows overlap each other or the training side, or nothing can be judged.
    """
    _check(outputs, split, window_s, _EPS_S + sample_s)
    where = f"{split.describe()}; interval by recording"
    figures = []
    for trial, space, suffix in _trials(outputs, before, mean_embedding, window_s, no_before):
        measures = identification_measures(trial.musics, k, space, suffix, where)
        figures += [figure(measure, trial, seed=seed) for measure in measures]
    figures.append(figure(_cosine_measure(trial.musics, where), trial, seed=seed))  # the last is the embedder's space
    if audio is not None:
        figures += _sound_figures(audio, trial, where, seed)
    return tuple(figures)


def split_summary(split: Split, seed: int) -> SplitSummary:
    """How training and test were kept apart, for a result."""
    return SplitSummary(
        kind=split.kind, describe=split.describe(), n_train=len(split.train), n_test=len(split.test),
        n_recordings=len(np.unique(split.table.recording[split.test])), seed=seed, shared=shared_counts(split),
    )  # fmt: skip


def identification_measures(musics: Musics, k: int, space: str, suffix: str, where: str) -> Iterator[Measure]:
    """k-way among all music, k-way within the song, and the song's name; as far as there is music enough."""
    length = f"{musics.window_s:g} s"
    if found := largest_k(musics, k):
        fewer = "" if found == k else f" (the test set has not music enough for {k})"
        yield Measure(
            f"{found}-way{suffix}", f"{found}-way identification, {space}",
            lambda q: pick_rates(q, musics, found),
            f"which of {found} pieces of {length} was heard{fewer}; rivals are distinct and never overlap what was "
            f"heard, exact expectation over their draw; {where}", 1.0 / found,
        )  # fmt: skip
    if inside := largest_k(musics, WITHIN_K, within_song=True):
        yield Measure(
            f"{inside}-way-within-song{suffix}", f"{inside}-way identification within the song, {space}",
            lambda q: pick_rates(q, musics, inside, within_song=True),
            f"which of {inside} pieces of {length} of the same song was heard: knowing the song, or the recording, "
            f"does not help; {where}", 1.0 / inside,
        )  # fmt: skip
    names = len(np.unique(musics.name))
    if names >= 2:
        yield Measure(
            f"{names}-way-song-name{suffix}", f"{names}-way song name, {space}", lambda q: name_rates(q, musics),
            f"which of {names} pieces of {length}, one of each song name, was heard; exact expectation over which "
            f"piece stands for a name; {where}", 1.0 / names,
        )  # fmt: skip


def _sound_figures(audio: AudioJudge | GeneratedJudge, trial: Trial, where: str, seed: int) -> list[Figure]:
    """Figures about the sound; where genre or Fréchet distance is lacking, the CLAP score's `missing` says why."""
    figures = [figure(measure, trial, seed=seed) for measure in audio.measures(trial.musics, where)]
    some = audio.pictured(trial, seed)
    figures += [figure(measure, some, seed=seed) for measure in audio.picture_measures(some.musics, where)]
    distance = audio.frechet(trial, where, seed)
    lacking = audio.lacking
    if isinstance(distance, Figure):
        figures.append(distance)
    else:
        lacking = lacking | {"fad": distance}
    score = figures[0]
    return [score.model_copy(update={"missing": score.missing | lacking}), *figures[1:]]


def _cosine_measure(musics: Musics, where: str) -> Measure:
    return Measure(
        "cosine", "cosine of decoded and true embedding", lambda q: cosine(q, musics.vector),
        f"cosine of the decoded vector with the embedding of what was heard, in the embedder's space; {where}",
    )


def _trials(
    outputs: Outputs, before: Outputs | None, mean: NDArray | None, window_s: float, no_before: str
) -> Iterator[tuple[Trial, str, str]]:
    """The shared space, if there is one, and the embedder's."""
    places = (outputs.song, outputs.name, outputs.second, window_s)
    earlier = None if before is None else before.recording
    if outputs.eeg is not None and outputs.music is not None:
        musics = distinct_music(outputs.music, *places)
        mean_music = np.asarray(outputs.music, np.float64).mean(0)
        theirs = None if before is None else before.eeg
        yield Trial(outputs.eeg, outputs.recording, musics, theirs, earlier, mean_music,
                    "the mean of the music tested", no_before), "shared space", ""
    musics = distinct_music(outputs.target, *places)
    theirs = None if before is None else before.clap
    constant = None if mean is None else np.asarray(mean, np.float64)
    trial = Trial(outputs.clap, outputs.recording, musics, theirs, earlier, constant, no_before=no_before)
    yield trial, "embedder's space", "-clap"


def _check(outputs: Outputs, split: Split, window_s: float, slack_s: float) -> None:
    """Raise unless windows are apart, but for `slack_s`, from each other and from the training side."""
    if not len(outputs):
        raise UserError("There is no window to judge: the split's test side has none that can be decoded.")
    table = split.table
    for name in np.unique(outputs.recording):
        at = np.sort(outputs.start_s[outputs.recording == name])
        if (np.diff(at) < window_s - slack_s).any():
            raise UserError(
                f"Windows of recording {name!r} overlap: the judge needs independent ones, {window_s:g} s apart."
            )
        rows = split.train[table.recording[split.train] == name]
        starts, stops = table.start_s[rows] + slack_s, table.stop_s[rows] - slack_s
        if ((at[:, None] < stops) & (at[:, None] + window_s > starts)).any():
            raise UserError(
                f"Windows of recording {name!r} that are judged overlap windows it was trained on: judge only the "
                f"test side of the {split.kind} split."
            )
