"""The music of a simulated study: composed songs as files, and the mapping from stimuli to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.simulate.composer import compose
from bci_music.simulate.study_plan import SFREQ_HZ, SimStimulus
from bci_music.simulate.trial import AUDIO_HZ


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
