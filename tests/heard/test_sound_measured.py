"""Above chance by the sound heard, measured on simulated listeners: how soon it is shown, and how often on sham."""

import numpy as np
import pytest
from hearing import ArraySound, compare, programme

from bci_music.heard.stage import SHAM_ALARMS
from bci_music.metrics.controls import derangement
from bci_music.metrics.sequential import ALARM_RATE
from bci_music.simulate.listener import SimulatedListener
from bci_music.simulate.session import make_session, program_audio

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
SECONDS, RECORDINGS, EVERY = 180.0, 40, 4  # electrode


def heard(number):
    """Three minutes of music of its own before a listener of the sample's strength: 32 electrodes, rate and sound."""
    program = programme(1000 + number, SECONDS)
    session = make_session(SimulatedListener(400 + number), program, 660_000 + number)
    return np.ascontiguousarray(session.samples_uv[:, ::EVERY]), session.sfreq_hz, program_audio(program)


def test_every_listener_is_shown_soon_and_sham_no_oftener_than_stated():
    recordings = [heard(number) for number in range(RECORDINGS)]
    found = [compare(eeg, rate, ArraySound(audio)).answer() for eeg, rate, audio in recordings]
    shown = [one.shown_s if one.shown else np.inf for one in found]
    assert np.isfinite(shown).mean() >= 0.9
    assert np.median(shown) < 60.0

    sham = [
        compare(recordings[i][0], recordings[i][1], ArraySound(recordings[j][2])).answer()
        for seed in range(5)
        for i, j in enumerate(derangement(RECORDINGS, seed))
    ]
    alarms = sum(one.shown for one in sham)
    assert alarms <= ALARM_RATE * len(sham)
    assert (alarms, len(sham)) == SHAM_ALARMS
