"""The EEG of one trial: a listener sits still, then hears one stimulus.

An evaluation that lets windows of one trial into training and test alike rewards a decoder for knowing it: this is how
that leak is made on purpose, so that it can be shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from bci_music.simulate.background import shaped_noise
from bci_music.simulate.head import Array, dipole_maps, random_dipoles
from bci_music.simulate.listener import ListenerConfig, SimulatedListener, band_power, response_gain
from bci_music.simulate.study_plan import SFREQ_HZ, NmedSimConfig, Trial

BAND_HZ = (6.0, 40.0)
N_RHYTHMS = 6
WANDER_HZ = 0.6  # how far a rhythm strays from its own frequency
SLOW_HZ = 0.025  # frequency and strength change over some 40 s, so that neighbouring seconds are alike
SWELL = 0.5  # spread of the logarithm of a rhythm's strength


class Fingerprint:
    """Narrow-band rhythms that one trial carries throughout, before the music as well as during it.

    Each has a frequency, a place and a direction of its own, drawn again for every trial, so that neither high-pass
    filter nor scaling of single channels removes what they have in common. Frequency and strength stray slowly:
    near instants of a trial are alike, so that they also tell *when* in the trial a window was cut.

    Parameters
    ----------
    positions_m : (n_channels, 3)
    seed : int
        Which trial.
    """

    def __init__(self, positions_m: Array, seed: int):
        rng = np.random.default_rng([seed, 20])
        self.hz = np.sort(rng.uniform(*BAND_HZ, N_RHYTHMS))
        self.maps = dipole_maps(positions_m, *random_dipoles(N_RHYTHMS, rng))
        self._rng_seed = [seed, 21]

    def course(self, n: int, sfreq_hz: float) -> Array:
        """Time courses (n, 6) of the rhythms; mean power over all of them together about 1."""
        rng = np.random.default_rng(self._rng_seed)
        stray = _slow(n, sfreq_hz, rng)
        swell = _slow(n, sfreq_hz, rng)
        turns = np.cumsum(self.hz + WANDER_HZ * stray, axis=0) / sfreq_hz + rng.uniform(0, 1, N_RHYTHMS)
        level = np.exp(SWELL * swell - SWELL**2)  # E[level ** 2] = 1
        return np.sqrt(2 / N_RHYTHMS) * level * np.sin(2 * np.pi * turns)

    def samples(self, n: int, sfreq_hz: float) -> Array:
        """(n, n_channels) on the scalp, average-referenced; root mean square over channels and time about 1."""
        return self.course(n, sfreq_hz) @ self.maps.T


def _slow(n: int, sfreq_hz: float, rng: np.random.Generator) -> Array:
    """(n, 6) of unit spread that changes below `SLOW_HZ`."""
    size = max(n, int(4 * sfreq_hz / SLOW_HZ))  # long enough to hold several such changes
    return shaped_noise((size, N_RHYTHMS), sfreq_hz, rng, lambda f: (f <= SLOW_HZ).astype(float), (0, SLOW_HZ))[:n]


AUDIO_HZ = 16_000


@dataclass(frozen=True)
class TrialParts:
    """What a trial is made of, all (n_before + n, 125) in µV and referenced to the mean of the good electrodes.

    `samples_uv` is the sum, with the bad electrodes spoiled. The music starts at row `n_before`; `bad` names the
    bad electrodes' kind by channel.
    """

    samples_uv: NDArray[np.float32]
    response_uv: Array
    fingerprint_uv: Array
    background_uv: Array
    bad: dict[int, str]
    n_before: int


def simulate_trial(trial: Trial, audio: NDArray[np.float32], config: NmedSimConfig) -> TrialParts:
    """Simulate one trial.

    Parameters
    ----------
    trial : Trial
    audio : (n,) float32 at 16 kHz
        What is heard, as long as the stimulus; forwards also for a reversed stimulus.

    Returns
    -------
    TrialParts
        The same for the same arguments. Response over background, and fingerprint over background, are what the
        configuration says, measured on the good electrodes between 0.5 and 45 Hz.
    """
    listener = SimulatedListener(trial.listener_seed, config=_listener_config(config))
    n_before = round(config.before_s * SFREQ_HZ)
    n = n_before + trial.stimulus.n_samples
    enough = next_fast_len(n)  # noise is made in the frequency domain, which is slow at the published, odd lengths
    session = listener.background(trial.session_seed)
    rng = np.random.default_rng([trial.seed, 22])
    good = np.setdiff1d(np.arange(len(listener.montage.names)), list(session.bad))
    noise = session.noise(enough, SFREQ_HZ, rng)[:n] + session.mains(0, n, SFREQ_HZ)
    background = _referenced(noise, good)

    response = np.zeros_like(background)
    if np.any(audio):
        heard = audio[::-1] if trial.stimulus.reversed else audio
        response[n_before:] = _referenced(listener.respond(heard, AUDIO_HZ)[:n - n_before], good)
        music = slice(n_before, n_before + _fast_len_below(n - n_before))
        response *= response_gain(response[music, good], background[music, good], SFREQ_HZ, config.snr_db)
        response *= _group_gains(listener, config)

    fingerprint = np.zeros_like(background)
    if config.fingerprint:
        own = Fingerprint(listener.montage.positions_m, trial.seed)
        fingerprint = _referenced(own.samples(enough, SFREQ_HZ)[:n], good)
        rows = slice(_fast_len_below(n))
        power = [band_power(part[rows][:, good], SFREQ_HZ).mean() for part in (background, fingerprint)]
        fingerprint *= config.fingerprint * np.sqrt(power[0] / power[1])

    samples = response + fingerprint + background
    session.spoil(samples, rng)
    return TrialParts(samples.astype(np.float32), response, fingerprint, background, session.bad, n_before)


def _listener_config(config: NmedSimConfig) -> ListenerConfig:
    background = config.background.model_copy(
        update={"drift_uv": config.drift_uv, "min_bad": config.min_bad, "max_bad": config.max_bad}
    )
    return ListenerConfig(
        snr_db=config.snr_db, latency_spread_s=config.latency_spread_s, gain_spread=config.gain_spread,
        place_spread_m=config.place_spread_m, direction_spread=config.direction_spread, background=background,
    )  # fmt: skip


def _referenced(samples: Array, good: NDArray[np.int64]) -> Array:
    """Subtract the mean of the good electrodes, as the published files have it."""
    return samples - samples[:, good].mean(1, keepdims=True)


def _fast_len_below(n: int) -> int:
    """Largest length up to `n` at which a spectrum is quickly measured."""
    return next(size for size in range(n, 0, -1) if next_fast_len(size) == size)


def _group_gains(listener: SimulatedListener, config: NmedSimConfig) -> Array:
    """Factor (n_channels,) on the response of each electrode."""
    offsets = {str(region): db for region, db in config.snr_db_by_group.items()}
    return np.array([10 ** (offsets.get(region, 0.0) / 20) for region in listener.montage.regions()])
