"""A simulated listener who hears tones, and the sound beside the EEG."""

import numpy as np
import pytest
from hearing import tones

from bci_music.heard.sounds import RATE_HZ
from bci_music.simulate.listener import SimulatedListener


@pytest.fixture(scope="session")
def heard_tones():
    """EEG of 32 electrodes that carries the sound well: samples, rate, sound."""
    audio = tones(100.0, 1)
    eeg = SimulatedListener(5, snr_db=3.0).hear(audio, RATE_HZ, 77)
    return np.ascontiguousarray(eeg[:, ::4]), 125.0, audio
