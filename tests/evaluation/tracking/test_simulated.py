"""The gate on simulated listeners: heard music is found, unheard music is not. Long forms: `make soak`."""

from functools import cache

import numpy as np
import pytest

from bci_music.evaluation.tracking.result import TrackingSettings
from bci_music.evaluation.tracking.study import RawPart, TrackingStudy, make_trial
from bci_music.evaluation.tracking.track import track
from bci_music.heard.features import sound_rows
from bci_music.simulate.study_plan import NmedSimConfig, files
from bci_music.simulate.trial import AUDIO_HZ, simulate_trial

SONGS, LISTENERS, SECONDS = 3, 3, 30.0


@cache
def music(song, seconds):
    from bci_music.compose.composer import compose

    return compose(song, seconds, AUDIO_HZ).samples.mean(1).astype(np.float32)


def simulated_study(seed, *, snr_db, heard=True, songs=SONGS, listeners=LISTENERS, seconds=SECONDS):
    """Listeners and composed songs, with every trial's own rhythms; without `heard` the music does not play."""
    config = NmedSimConfig(
        seed=seed, songs_t=songs, songs_h=0, listeners_t=listeners, song_seconds=seconds, before_s=0.0, snr_db=snr_db
    )
    trials, sounds = [], {}
    for file in files(config):
        song = file.stimulus.id
        audio = music(file.stimulus.song.id, seconds)[: file.stimulus.n_samples * AUDIO_HZ // 125]
        sounds[song] = sound_rows(audio, AUDIO_HZ)
        for trial in file.trials:
            made = simulate_trial(trial, audio if heard else np.zeros_like(audio), config)
            raw = [RawPart(made.samples_uv.T, 125.0, 0.0)]
            trials.append(
                make_trial(trial.listener, song, song, f"{trial.listener} {song}", raw, len(sounds[song]))
            )
    return TrackingStudy("a simulated study", tuple(trials), sounds, True)


@pytest.mark.learning
def test_simulated_listeners_at_0_db_are_read():
    assert track(simulated_study(0, snr_db=0.0), TrackingSettings(draws=299)).reads


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_simulated_study_at_0_db_reads():
    found = [track(simulated_study(seed, snr_db=0.0)) for seed in range(20)]
    print([round(one.evidence[0].r, 3) for one in found])
    assert sum(one.reads for one in found) == 20


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_unheard_music_is_rarely_read():
    settings = TrackingSettings(draws=199, components=8)
    studies = (simulated_study(seed, snr_db=0.0, heard=False, listeners=2, seconds=20.0) for seed in range(400))
    found = [track(study, settings) for study in studies]
    print(sum(one.evidence[0].p < 0.05 for one in found), "of 400 with p < .05")
    assert sum(one.reads for one in found) <= 28  # 7 % at a stated 5 %
