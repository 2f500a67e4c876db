"""A simulated study in the files of NMED-T and NMED-H: same names, variables and layout; nobody was recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from bci_music.compose.composer import compose
from bci_music.config import read_yaml
from bci_music.messages import UserError
from bci_music.simulate.study_plan import SFREQ_HZ, NmedSimConfig, SimStimulus, StudyFile, files
from bci_music.simulate.trial import AUDIO_HZ, simulate_trial


def stimulus_audio(directory: Path, stimulus: SimStimulus) -> NDArray[np.float32]:
    """Music of a stimulus (n,) float32 at 16 kHz, forwards; composed and written below `directory` if not there yet.

    What is returned is what the file holds, so that EEG and file belong together to the last bit.
    """
    import soundfile

    path = directory / audio_file(stimulus)
    n = stimulus.n_samples * AUDIO_HZ // SFREQ_HZ
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        mono = compose(stimulus.song.id, n / AUDIO_HZ, AUDIO_HZ).samples.mean(1)
        part = path.with_suffix(".part")
        soundfile.write(part, mono[:n], AUDIO_HZ, format="WAV", subtype="PCM_16")
        part.replace(path)
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != AUDIO_HZ or samples.shape != (n,):
        raise UserError(
            f"{path} holds {len(samples) / rate:g} s at {rate} Hz, expected {n / AUDIO_HZ:g} s of mono at {AUDIO_HZ} "
            "Hz: it is not of this simulation; remove it, or write to another directory."
        )
    return samples


def audio_file(stimulus: SimStimulus) -> str:
    """Where a stimulus's music lies, relative to the study's directory."""
    return f"audio/song{stimulus.audio_number}.wav"


def write_audio_map(path: Path, stimuli: Iterable[SimStimulus]) -> None:
    """Write ``audio.yaml``: for each stimulus its file, title, the song's name and its genre."""
    songs: dict[str, dict[str, Any]] = {}
    for stimulus in stimuli:
        spec = stimulus.song
        songs[stimulus.id] = {
            "file": audio_file(stimulus), "offset_s": 0.0, "title": spec.title, "name": spec.title,
            "genre": spec.genre,
        }  # fmt: skip
        if stimulus.reversed:
            songs[stimulus.id] |= {"reversed": True, "title": f"{spec.title} (reversed)"}
    head = "# Composed music of a simulated study: which file was heard as which stimulus.\n"
    path.write_text(head + yaml.safe_dump({"songs": songs}, sort_keys=False, allow_unicode=True), encoding="utf-8")


MARK = "SIMULATED.yaml"
_HEADER = b"MATLAB 5.0 MAT-file, simulated EEG (no person was recorded) written by bci-music".ljust(116)
Report = Callable[[float, float, str], None]


def simulate_nmed(
    out: Path, config: NmedSimConfig, report: Report = lambda done_s, of_s, what: None, workers: int = 1
) -> str:
    """Write a simulated study below `out`: ``nmed-t/``, ``nmed-h/``, each with its music and ``SIMULATED.yaml``.

    Parameters
    ----------
    out : Path
        Files that are there already are kept, if they were made with the same configuration.
    report : callable
        Is given the seconds of EEG done, of how many, and what is being made.
    workers : int
        Listeners simulated at once, each in a thread (most of the work is in NumPy).

    Returns
    -------
    str
        What was made, in words. The same configuration gives the same bytes on one machine.
    """
    plan = files(config)
    studies = sorted({file.study for file in plan}, reverse=True)
    for study in studies:
        _mark(out / study, study, config)
        own = {file.stimulus.id: file.stimulus for file in plan if file.study == study}
        write_audio_map(out / study / "audio.yaml", own.values())
    total, done, new_s, begin = sum(file.seconds for file in plan), 0.0, 0.0, time.monotonic()
    for file in plan:
        directory, what = out / file.study, f"{file.study} {file.name}"
        if not (directory / file.name).is_file():
            report(done, total, f"composing {file.stimulus.song.title}")
            audio = stimulus_audio(directory, file.stimulus)
            for made_s in _write_file(directory, file, audio, config, workers):
                report(done + made_s, total, what)
            new_s += file.seconds
        done += file.seconds
        report(done, total, what)
    listeners = {(file.study, trial.listener) for file in plan for trial in file.trials}
    now = "all of it there before"
    if new_s:
        speed = new_s / (time.monotonic() - begin)
        now = f"{new_s / 3600:.2f} h of it made now, {speed:.0f} x real time with the composing"
    return (
        f"{out}: simulated {' and '.join(studies)}, {len(listeners)} simulated listeners, "
        f"{len({f.stimulus.id for f in plan})} stimuli, {total / 3600:.2f} h of EEG while music plays "
        f"({now})"
    )


def _write_file(
    directory: Path, file: StudyFile, audio: NDArray[np.float32], config: NmedSimConfig, workers: int
) -> Iterator[float]:
    """Write one file, and before it the EEG from before its music; yields how many seconds are made."""
    n_before, n_trials = round(config.before_s * SFREQ_HZ), len(file.trials)
    data = np.empty((125, file.stimulus.n_samples, n_trials), np.float32, order="F")
    before = np.empty((125, n_before, n_trials), np.float32, order="F")

    def make(i: int) -> None:
        samples = simulate_trial(file.trials[i], audio, config).samples_uv.T
        before[:, :, i], data[:, :, i] = samples[:, :n_before], samples[:, n_before:]

    with ThreadPoolExecutor(workers) as pool:
        for made, _ in enumerate(pool.map(make, range(n_trials)), 1):
            yield made * file.seconds / n_trials
    name = f"{file.stimulus.number}{file.suffix}"
    subs = {f"subs{name}": _cells([trial.listener for trial in file.trials]), "fs": float(SFREQ_HZ)}
    if n_before:
        _save(directory / f"before_{file.name}", {f"before{name}": before, **subs})
    _save(directory / file.name, {f"data{name}": data, **subs})


def _cells(texts: Sequence[str]) -> NDArray[np.object_]:
    """A MATLAB row of cells, 1 x n."""
    cells = np.empty((1, len(texts)), object)
    cells[0] = list(texts)
    return cells


def _save(path: Path, variables: dict[str, object]) -> None:
    """Write MATLAB v5 whose header tells no time, so that the same EEG gives the same bytes."""
    from scipy.io import savemat

    part = path.with_suffix(".part")
    savemat(part, variables, appendmat=False)
    with part.open("r+b") as file:
        file.write(_HEADER)
    part.replace(path)


def _mark(directory: Path, study: str, config: NmedSimConfig) -> None:
    """Say that this directory is simulated, with everything needed to make it again."""
    made = {"simulated": True, "study": study, "seed": config.seed, "config": config.model_dump(mode="json")}
    path = directory / MARK
    if path.is_file():
        if read_yaml(path) != made:
            raise UserError(
                f"{directory} holds EEG simulated with other settings (see {MARK} there): "
                "give another directory, or remove this one."
            )
        return
    if directory.exists() and any(directory.glob("*.mat")):
        raise UserError(f"{directory} holds .mat files that were not simulated here: give an empty directory.")
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
