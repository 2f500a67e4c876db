"""What the evaluation is given: decoded windows, each with the music heard in it."""

from functools import partial

import numpy as np
import pytest
import soundfile

from bci_music.data.audio_map import check_length
from bci_music.data.session import Event, Session, song_marker
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import NMED_CHANNELS
from bci_music.evaluation.decoded import Trained, predict
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.prepare import prepare
from bci_music.training.lab.run import experiment_data

pytestmark = pytest.mark.learning

START_S, SECONDS, SHORT_S = 0.45, 44.15, 0.2  # when the song begins in its recording, and how long it is heard
SONGS = ("nmed-t/21", "nmed-t/22")


def session(seed, song):
    n = round(125 * (START_S + SECONDS))
    samples = (10.0 * np.random.default_rng(seed).standard_normal((n, 125))).astype(np.float32)
    times = np.arange(len(samples)) / 125.0
    return Session("s", NMED_CHANNELS, 125.0, samples, times, (Event(START_S, song_marker(song)),))


@pytest.fixture
def study(tmp_path):
    """Two songs whose audio ends a little before the EEG does."""
    recordings, stimuli = [], {}
    for number, song in enumerate(SONGS):
        path = tmp_path / f"song{21 + number}.mat"
        path.write_bytes(bytes(10))
        recordings.append(Recording(
            f"S0 {path.stem}", "S0", path, partial(session, number, song), duration_s=SECONDS, songs=(song,)
        ))  # fmt: skip
        n = round(16_000 * (SECONDS - SHORT_S))
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * np.random.default_rng(number).standard_normal(n), 16_000)
        stimuli[song] = Stimulus(song, song, song, tmp_path / f"{number}.wav")
        check_length(stimuli[song], SECONDS, path.name)  # so little is allowed
    return Study("nmed-t", tmp_path, tuple(recordings), stimuli, simulated=True)


@pytest.mark.parametrize("kind", ["random", "time-block"])
def test_audio_that_ends_before_the_eeg_costs_windows_not_the_run(study, tmp_path, kind):
    signal = SignalConfig.model_validate({"quality": {"enabled": False}})
    prepared = prepare(study, tmp_path / "prepared", signal=signal)
    splitting = {"share": 0.4, "block_s": 12.0, "guard_s": 0.0}
    data = experiment_data(prepared, LabConfig.model_validate({"split": kind, "splitting": splitting}))
    trained = Trained(None, None, lambda x, used: np.ones((len(x), 512), np.float32))
    rows = np.arange(len(data.windows.table))
    decoded = predict(trained, data, rows)
    assert len(decoded.target) == len(rows) > 12
    assert max(t.song_start_s + t.eeg.shape[1] / 125.0 for t in prepared.segments) > 44.0
    assert data.windows.table.song_start_s.max() == 36.0  # from 40 s on there are 4 s of EEG, not of music
    corpus = data.corpus(50)
    assert corpus.gather(corpus.places(np.random.default_rng(0), 32)).target.shape == (32, 512)
