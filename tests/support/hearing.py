"""Programmes of music without a common beat, and a stage that compares them with EEG, without an engine."""

import numpy as np

from bci_music.compose.composer import SONG_SECONDS, SONGS
from bci_music.heard.sounds import RATE_HZ, HeardSound
from bci_music.heard.stage import HeardStage
from bci_music.messages import BREAK, StreamInfo
from bci_music.streaming.ring import RingBuffer


def programme(seed, seconds, shortest=6.0, longest=20.0):
    """Excerpts of songs in an order of its own, of lengths and places of their own."""
    rng, program, left = np.random.default_rng([seed, 61]), [], seconds
    while left > shortest:
        length = min(float(rng.uniform(shortest, longest)), left)
        song = SONGS[rng.integers(len(SONGS))].id
        program.append((song, float(rng.uniform(0, SONG_SECONDS - length - 1)), length))
        left -= length
    return program


def tones(seconds, seed):
    """Tones of random pitch, length and loudness (n,) at 16 kHz, without a beat."""
    rng, audio, at = np.random.default_rng([seed, 62]), np.zeros(round(seconds * RATE_HZ), np.float32), 0
    while at < len(audio):
        n = int(rng.uniform(0.1, 0.5) * RATE_HZ)
        t = np.arange(min(n, len(audio) - at)) / RATE_HZ
        tone = np.sin(2 * np.pi * rng.uniform(100, 3000) * t) * np.exp(-t / 0.15) * rng.uniform(0.1, 0.8)
        audio[at : at + n] = tone
        at += n + int(rng.uniform(0.0, 0.4) * RATE_HZ)
    return audio


class ArraySound(HeardSound):
    """Sound (n,) at 16 kHz that began at a time."""

    name = "the programme"

    def __init__(self, audio, start_s=0.0):
        self._audio, self._start_s = audio, start_s

    def between(self, start_s, stop_s):
        a, n = round((start_s - self._start_s) * RATE_HZ), round((stop_s - start_s) * RATE_HZ)
        return self._audio[a : a + n] if a >= 0 and a + n <= len(self._audio) else None


class Fed:
    """Stands where the acquirer stands: a ring that is filled by hand."""

    def __init__(self, labels, sfreq_hz, seconds=60.0):
        self.info = StreamInfo("fed", "simulated", tuple(labels), sfreq_hz, simulated=True)
        self.ring = RingBuffer(len(labels), int(seconds * sfreq_hz))

    def feed(self, samples, times, flags=None):
        self.ring.write(samples, times, np.zeros(len(times), np.uint8) if flags is None else flags)


def compare(samples, sfreq_hz, sound, chunk_s=5.0, start_s=0.0, **options):
    """Run a stage over EEG (n, C) that begins at `start_s`; returns it."""
    fed = Fed([f"C{i}" for i in range(samples.shape[1])], sfreq_hz)
    stage = HeardStage(fed, sound, **options)
    times, step = start_s + np.arange(len(samples)) / sfreq_hz, round(chunk_s * sfreq_hz)
    for a in range(0, len(samples), step):
        flags = np.zeros(len(times[a : a + step]), np.uint8)
        flags[0] = BREAK if a == 0 else 0
        fed.feed(samples[a : a + step], times[a : a + step], flags)
        stage.step(float(times[min(a + step, len(times)) - 1]))
    return stage


