"""A stand-in for PortAudio: modules `sounddevice` and `rtmixer` whose devices a test makes, pulls out and plugs in."""

import threading
import time
import types
from dataclasses import dataclass, field

import numpy as np


class PortAudioError(Exception):
    pass


@dataclass
class Device:
    """An output of one rate and so many channels; `heard` is what was put out, in pieces."""

    name: str
    rate_hz: int = 48_000
    channels: int = 2
    there: bool = True
    heard: list = field(default_factory=list)

    @property
    def sound(self):
        return np.concatenate(self.heard) if self.heard else np.zeros((0, self.channels), np.float32)


class RingBuffer:
    def __init__(self, elementsize, size=None, buffer=None):
        self._memory = np.zeros((size, elementsize // 4), np.float32) if buffer is None else buffer
        self._written = self._read = 0
        self._lock = threading.Lock()

    @property
    def read_available(self):
        return self._written - self._read

    def advance_write_index(self, n):
        with self._lock:
            self._written += n

    def write(self, data):
        with self._lock:
            n = min(len(data), len(self._memory) - (self._written - self._read))
            at = (self._written + np.arange(n)) % len(self._memory)
            self._memory[at] = data[:n]
            self._written += n
        return n

    def take(self, n):
        with self._lock:
            n = min(n, self._written - self._read)
            at = (self._read + np.arange(n)) % len(self._memory)
            self._read += n
            return self._memory[at].copy()


class Mixer:
    """Calls back in real time from a thread, as PortAudio does from one of its own."""

    def __init__(self, audio, device, channels, samplerate, latency, blocksize=0):
        self._device = audio.find(device)
        if (samplerate, channels) != (self._device.rate_hz, self._device.channels) or not self._device.there:
            raise PortAudioError("Invalid sample rate or number of channels")
        self._block = blocksize or samplerate // 50
        self.latency, self.active, self.actions = latency, False, []
        self._state = types.SimpleNamespace(stats=types.SimpleNamespace(blocks=0, output_underflows=0))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def play_ringbuffer(self, ring):
        action = types.SimpleNamespace(ring=ring, done_frames=0)
        self.actions = [action]
        return action

    def start(self):
        self.active = True
        self._thread.start()

    def stop(self):
        self.active = False
        if self._thread.is_alive():
            self._thread.join()

    abort = close = stop

    def _run(self):
        device, began = self._device, time.monotonic()
        while self.active:
            if not device.there:
                self.active = False
                return
            due = int((time.monotonic() - began) * device.rate_hz) // self._block
            while self._state.stats.blocks < due:
                block = np.zeros((self._block, device.channels), np.float32)
                if self.actions:
                    part = self.actions[0].ring.take(self._block)
                    block[: len(part)] = part
                    self.actions[0].done_frames += len(part)
                    if len(part) < self._block:
                        self.actions = []
                device.heard.append(block)
                self._state.stats.blocks += 1
            time.sleep(0.005)


class PortAudio:
    """The devices, and the two modules that see them."""

    def __init__(self, *devices):
        self.devices = list(devices)
        self.known = [d for d in devices if d.there]  # PortAudio sees what is there when it begins
        self.sounddevice = types.SimpleNamespace(
            PortAudioError=PortAudioError, query_devices=self._query, check_output_settings=self._check,
            query_hostapis=lambda: [{"name": "stand-in"}],
            _terminate=lambda: None, _initialize=self._initialize, get_portaudio_version=lambda: (0, "stand-in"),
        )
        self.rtmixer = types.SimpleNamespace(
            RingBuffer=RingBuffer, Mixer=lambda **options: Mixer(self, options.pop("device"), **options)
        )

    def install(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "sounddevice", self.sounddevice)
        monkeypatch.setitem(__import__("sys").modules, "rtmixer", self.rtmixer)

    def find(self, device):
        if device is None:
            device = 0
        if isinstance(device, str):
            matching = [n for n, d in enumerate(self.known) if device in d.name]
            if len(matching) > 1:
                listed = ", ".join(f"[{n}] {self.known[n].name}" for n in matching)
                raise ValueError(f"Multiple output devices found for {device!r}: {listed}")
            if not matching:
                raise ValueError(f"No output device matching {device!r}")
            device = matching[0]
        if device >= len(self.known):
            raise PortAudioError(f"Error querying device {device}")
        return self.known[device]

    def _about(self, device):
        return {"name": device.name, "index": self.known.index(device), "max_output_channels": device.channels,
                "hostapi": 0, "default_samplerate": float(device.rate_hz)}  # fmt: skip

    def _query(self, device=None, kind=None):
        if device is None and kind is None:
            return [self._about(d) for d in self.known]
        return self._about(self.find(device))

    def _check(self, device, channels, dtype, samplerate):
        found = self.find(device)
        if (samplerate, channels) != (found.rate_hz, found.channels):
            raise PortAudioError("Invalid sample rate")

    def _initialize(self):
        self.known = [d for d in self.devices if d.there]
