"""Small studies with planted truth: EEG that answers the sound's flux after 100 ms, or does not hear it at all."""

import numpy as np

from bci_music.evaluation.tracking.study import RawPart, TrackingStudy, make_trial

RATE_HZ = 125.0
RESPONSE = np.array([0.0] * 12 + [0.4, 1.0, 1.0, 0.4, -0.3, -0.6, -0.3])  # at 125 Hz: the peak comes 112 ms after


def sound(seed, seconds):
    """Flux and envelope (n, 2) at 64 Hz that never repeat: what comes cannot be known from what came."""
    rng = np.random.default_rng([seed, 7])
    flux = rng.gamma(0.5, 1.0, round(seconds * 64))
    return np.column_stack([flux, np.convolve(flux, np.exp(-np.arange(32) / 12.0))[: len(flux)]])


def noise(rng, n, channels):
    """1/f noise (channels, n) with a rhythm that all channels share, as EEG has."""
    spectrum = np.fft.rfft(rng.standard_normal((channels, n)), axis=1)
    hz = np.maximum(np.fft.rfftfreq(n, 1 / RATE_HZ), 0.3)
    own = np.fft.irfft(spectrum * hz**-0.6, n, axis=1)
    mix = np.eye(channels) + 0.5 * rng.standard_normal((channels, channels)) / np.sqrt(channels)
    return mix @ (own / own.std())


def planted_study(seed, *, gain, listeners=3, pieces=3, seconds=40.0, channels=8, simulated=True, from_before=False):
    """A study in which `gain` times the response is in every electrode's 1/f noise of spread 1.

    With `from_before` the EEG moves 300 ms before the sound instead, which no ear can do.
    """
    rng = np.random.default_rng([seed, 8])
    n, trials = round(seconds * RATE_HZ), []
    sounds = {f"piece {p}": sound(1000 * seed + p, seconds) for p in range(pieces)}
    where = rng.standard_normal(channels)
    for listener in range(listeners):
        own = where + 0.3 * rng.standard_normal(channels)
        for piece, rows in sounds.items():
            heard = np.interp(np.arange(n) / RATE_HZ, np.arange(len(rows)) / 64, rows[:, 0])
            answer = np.convolve(heard - heard.mean(), RESPONSE)[:n]
            answer = np.roll(answer, -round(0.5 * RATE_HZ)) if from_before else answer
            eeg = noise(rng, n, channels) + gain * own[:, None] * answer / answer.std()
            raw = [RawPart(eeg, RATE_HZ, 0.0)]
            trials.append(make_trial(f"L{listener}", piece, piece, f"L{listener} {piece}", raw, len(rows)))
    return TrackingStudy("a planted study", tuple(trials), sounds, simulated)
