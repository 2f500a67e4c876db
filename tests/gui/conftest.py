"""An engine of simulated signals for the window: no thread, moved by hand or by the wall clock."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import dataclasses
import threading
import time

import numpy as np
import pytest
from scipy.signal import lfilter

from bci_music.eeg.montage import Montage
from bci_music.eeg.topomap import TopoMap
from bci_music.messages import (
    BREAK,
    HOLE,
    ChannelState,
    ChannelVerdict,
    Embedding,
    Quality,
    SoundSpan,
    StreamInfo,
    StreamState,
)
from bci_music.status import Chance, Health, Identification, Snapshot, SoundStatus, StreamStatus, TimelineSpan
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
        places = self.montage.positions_2d()[:n] if n <= len(self.montage.names) else self._rng.normal(size=(n, 2))
        sources = self._rng.uniform(-1, 1, size=(12, 2))
        spread = ((places[:, None] - sources) ** 2).sum(axis=2)
        self._mix = np.exp(-spread / 0.25) * self._rng.choice([-1, 1], 12)  # neighbours hear the same
        self._slow = np.zeros((3, 1, 12))
        self._offset = self._rng.normal(scale=4000, size=n)

    def samples(self, n):
        """(n, C) µV: slow shared sources, alpha, noise and offsets of millivolts."""
        t = (self._made + np.arange(n)) / self.sfreq_hz
        sources = np.zeros((n, 12))
        for k, corner_hz in enumerate((0.5, 2.0, 8.0)):  # together nearly 1/f
            keep = np.exp(-2 * np.pi * corner_hz / self.sfreq_hz)
            drive = self._rng.normal(size=(n, 12)) * np.sqrt(1 - keep**2) * (22, 13, 7)[k]
            out, self._slow[k] = lfilter([1.0], [1.0, -keep], drive, axis=0, zi=self._slow[k])
            sources += out
        sources[:, 0] += 14 * np.sin(2 * np.pi * 10 * t) * (1 + np.sin(2 * np.pi * 0.3 * t))
        noise = self._rng.normal(scale=1.5, size=(n, len(self.labels)))
        eeg = sources @ self._mix.T + noise + self._offset
        if len(self.labels) > 36:
            eeg[:, 36] += 30 * np.sin(2 * np.pi * 50 * t)
        return eeg.astype(np.float32)

    def advance(self, seconds, flag=0, write=True):
        """Let time pass; `write` False leaves the time without samples."""
        n = round(seconds * self.sfreq_hz)
        if write:
            times = self.now_s + np.arange(n) / self.sfreq_hz
            flags = np.full(n, flag if flag == HOLE else 0, np.uint8)
            if flag == BREAK:
                flags[0] = BREAK
            self.ring.write(self.samples(n), times, flags)
            self._made += n
        self.now_s += n / self.sfreq_hz

    def trace_cursor(self):
        self.given += 1
        return Cursor(self.ring)

    def send(self, command):
        self.commands.append(command)

    def stop(self, wait=True):
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
            sound=SoundStatus(queued_s=2.1, volume_db=-8.0, peak_dbfs=(-9.0 + 4 * np.sin(5 * now), -11.0),
                              generator="library"),
            quality=self._quality(), embedding=self._embedding(),
            playing=SoundSpan(0, 0, "retrieved", "Paper Birds", "paper-birds", "waltz", 0.71, now - now % 40 - 5),
            timeline=self._timeline(), waveform=self._waveform(),
            identification=Identification("songs", 14, 14, 38, 1 / 14, (0.24, 0.53), 0.07, 0.002),
            chance=Chance("songs", n=9, evidence=31.0, highest=42.0, shown=True, shown_s=30.0),
            channel_names=self.montage.names, pack_name="demo", device="cpu",
        )  # fmt: skip

    def _quality(self):
        found = [(name, *TROUBLE.get(i, (ChannelState.GOOD, ""))) for i, name in enumerate(self.montage.names)]
        verdicts = [ChannelVerdict(name, state, (reason,) if reason else ()) for name, state, reason in found]
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
        decoded = ((0, 5, 2), (5, 20, 0), (20, 24, 3), (24, 40, 1))
        for lap in range(int((now - 44) // 40), int(now // 40) + 1):
            bars = [("heard", 0, 20, 0), ("heard", 20, 40, 1)]
            bars += [("decoded", *bar) for bar in decoded]
            bars += [("played", 0, 8, 2), ("played", 7, 24, 0), ("played", 23, 41, 1)]
            for lane, start, stop, song in bars:
                start_s, stop_s = max(40.0 * lap + start, now - 44), min(40.0 * lap + stop, now)
                if stop_s > start_s:
                    spans.append(TimelineSpan(lane, start_s, stop_s, SONGS[song], 0.8, SONGS[song].lower()))
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


@pytest.fixture(scope="session")
def make_engine():
    """The class, for other shapes."""
    return FakeEngine


@pytest.fixture(autouse=True)
def nothing_goes_on():
    """A window leaves no thread behind; a warning of Qt fails the test (`qt_log_level_fail`)."""
    yield
    until = time.time() + 5
    while (left := [t.name for t in threading.enumerate() if "bci-music" in t.name]) and time.time() < until:
        time.sleep(0.02)
    assert left == []


@pytest.fixture(autouse=True)
def each_map_is_worked_out_once(monkeypatch):
    """Tests that open a window share the matrices of the scalp map: one costs a third of a second."""
    monkeypatch.setattr("gui.widgets.headmap.TopoMap", _shared_map)


_maps = {}


def _shared_map(montage, known):
    key = (montage.name, known.tobytes())
    if key not in _maps:
        _maps[key] = TopoMap(montage, known)
    return _maps[key]
