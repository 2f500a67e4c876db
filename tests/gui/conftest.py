"""An engine of simulated signals for the window: no thread, moved by hand or by the wall clock."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import dataclasses
import time

import numpy as np
import pytest

from bci_music.eeg.montage import Montage
from bci_music.messages import (
    BREAK,
    HOLE,
    ChannelState,
    ChannelVerdict,
    Embedding,
    Health,
    Identification,
    Quality,
    Snapshot,
    SoundSpan,
    SoundStatus,
    StreamInfo,
    StreamState,
    StreamStatus,
    TimelineSpan,
)
from bci_music.streaming.ring import Cursor, RingBuffer

SONGS = ("Night Bus", "Paper Birds", "Low Tide", "Lantern", "Cinder Blues")
TROUBLE = {
    36: (ChannelState.BAD, "mains 14 dB above median: press the electrode"),
    79: (ChannelState.DOUBTFUL, "drifts since 01:10"),
    100: (ChannelState.BAD, "flat for 12 s: check the cable"),
}


class FakeEngine:
    """Simulated signals, song and sound; `advance` moves its time."""

    def __init__(self, n_channels=125, sfreq_hz=1000.0, seed=0, labels=None, montage=None):
        self.montage = montage or Montage.nmed()
        self.labels = tuple(labels) if labels else self.montage.names[:n_channels]
        self.sfreq_hz = sfreq_hz
        self.now_s = 1000.0
        self.state = StreamState.LIVE
        self.commands, self.stops, self.given = [], 0, 0
        self.changes = {}  # fields of the snapshot to replace
        self._rng = np.random.default_rng(seed)
        self._made = 0
        self.ring = RingBuffer(len(self.labels), int(20 * sfreq_hz))
        n = len(self.labels)
        self._mix = self._rng.normal(size=(n, 12)) / 3
        self._slow = np.zeros(12)
        self._offset = self._rng.normal(scale=4000, size=n)

    def samples(self, n):
        """(n, C) µV: slow shared sources, alpha, noise and offsets of millivolts."""
        t = (self._made + np.arange(n)) / self.sfreq_hz
        sources = np.empty((n, 12))
        decay = np.exp(-12.0 / self.sfreq_hz)
        drive = self._rng.normal(size=(n, 12)) * np.sqrt(1 - decay**2) * 16
        for i in range(n):
            self._slow = decay * self._slow + drive[i]
            sources[i] = self._slow
        sources[:, 0] += 14 * np.sin(2 * np.pi * 10 * t) * (1 + np.sin(2 * np.pi * 0.3 * t))
        noise = self._rng.normal(scale=2.0, size=(n, len(self.labels)))
        eeg = sources @ self._mix.T + noise + self._offset
        if len(self.labels) > 36:
            eeg[:, 36] += 30 * np.sin(2 * np.pi * 50 * t)
        return eeg.astype(np.float32)

    def advance(self, seconds, mark=0, write=True):
        """Let time pass; `write` False leaves the time without samples."""
        n = round(seconds * self.sfreq_hz)
        if write:
            times = self.now_s + np.arange(n) / self.sfreq_hz
            marks = np.full(n, mark if mark == HOLE else 0, np.uint8)
            if mark == BREAK:
                marks[0] = BREAK
            self.ring.write(self.samples(n), times, marks)
            self._made += n
        self.now_s += n / self.sfreq_hz

    def trace_cursor(self):
        self.given += 1
        return Cursor(self.ring)

    def send(self, command):
        self.commands.append(command)

    def stop(self):
        self.stops += 1

    def snapshot(self):
        return dataclasses.replace(self._snapshot(), **self.changes)

    def _snapshot(self):
        now = self.now_s
        info = StreamInfo("EGI-128", "lsl", self.labels, self.sfreq_hz, simulated=True)
        age = 0.012 if self.state is StreamState.LIVE else 2.3
        return Snapshot(
            now_s=now, started_s=1000.0,
            stream=StreamStatus(self.state, info, data_age_s=age, text=self.state.value),
            health=Health(),
            sound=SoundStatus(queued_s=2.1, underruns=0, volume_db=-8.0, peak_dbfs=(-9.0 + 4 * np.sin(5 * now), -11.0),
                              generator="library"),
            quality=self._quality(), embedding=self._embedding(),
            playing=SoundSpan(0, 0, "retrieved", "Paper Birds", "paper-birds", "waltz, strings, 92 bpm", 0.71, now - 4.5),
            timeline=self._timeline(), waveform=self._waveform(),
            identification=Identification("songs", 14, 14, 38, 1 / 14, (0.24, 0.53), 0.07, 0.002),
            channel_names=self.montage.names, pack_name="demo", device="cpu",
        )  # fmt: skip

    def _quality(self):
        verdicts = []
        for i, name in enumerate(self.montage.names):
            state, reason = TROUBLE.get(i, (ChannelState.GOOD, ""))
            verdicts.append(ChannelVerdict(name, state, (reason,) if reason else ()))
        return Quality(tuple(verdicts), self.ring.head, self.now_s)

    def _embedding(self):
        xy = self.montage.positions_2d()
        weight = 0.15 + 0.1 * np.sin(3 * xy[:, 0] + self.now_s) ** 2
        for place, size in (((-0.7, -0.3), 1.4), ((0.7, -0.25), 0.9 + 0.3 * np.sin(self.now_s))):
            weight += size * np.exp(-((xy - place) ** 2).sum(axis=1) / 0.04)
        weight /= weight.sum()
        weight[36] = np.nan if len(weight) > 36 else 0.0
        index = int(2 * self.now_s)
        vector = np.zeros(512, np.float32)
        return Embedding(vector, weight.astype(np.float32), 0.7, index, 0, 0, self.now_s - 0.4, self.now_s - 0.3, 40.0)

    def _timeline(self):
        now, spans = self.now_s, []
        for i in range(int((now - 60) // 20), int(now // 20) + 1):
            spans.append(TimelineSpan("heard", 20.0 * i, min(20.0 * i + 20, now), SONGS[i % 2], 1.0, SONGS[i % 2].lower()))
        for i in range(int((now - 60) // 5), int(now // 5) + 1):
            song = SONGS[(i // 4) % 2] if i % 4 else SONGS[2 + i % 3]
            spans.append(TimelineSpan("decoded", 5.0 * i, min(5.0 * i + 5, now), song, 0.8, song.lower()))
        for i in range(int((now - 60) // 10), int(now // 10) + 1):
            song = SONGS[(i // 2) % 3]
            spans.append(TimelineSpan("played", 10.0 * i, min(10.0 * i + 11, now), song, 0.7, song.lower()))
        return tuple(spans)

    def _waveform(self):
        t = self.now_s - np.arange(1200)[::-1] / 20
        beat = 0.12 + 0.5 * np.abs(np.sin(2.1 * t)) ** 12 + 0.15 * np.abs(np.sin(7.3 * t)) * np.abs(np.sin(0.37 * t))
        return np.stack([-beat, beat], axis=1).astype(np.float32)


class WallClockEngine(FakeEngine):
    """Moves by itself whenever it is looked at; for looking at the window, and for long runs."""

    def __init__(self, **options):
        super().__init__(**options)
        self._then = time.monotonic()

    def snapshot(self):
        elapsed = time.monotonic() - self._then
        step = int(elapsed * self.sfreq_hz) / self.sfreq_hz
        if step > 0:
            self._then += step
            self.advance(step)
        return super().snapshot()


@pytest.fixture
def engine():
    """125 channels at 1 kHz."""
    return FakeEngine()


@pytest.fixture
def make_engine():
    """The class, for other shapes."""
    return FakeEngine
