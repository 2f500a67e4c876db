"""An EEG outlet whose listener hears what a player of this process plays, in real time."""

import threading

import numpy as np
import pylsl

from bci_music.messages import AUDIO_RATE_HZ
from bci_music.streaming.outlets import eeg_stream_info

RATE_HZ = 125.0
MEMORY_S = 12.0  # of sound that a response is made of
LATE_S = 0.2  # by so much EEG is sent after its time, as chunks of an amplifier are


class LoudnessListener:
    """Every electrode shows how loud it is, at once; one of them is flat."""

    labels = tuple(f"E{k}" for k in range(1, 17))
    flat = 3
    positions_m = None

    def rest(self, n):
        noise = 10.0 * np.random.default_rng(0).standard_normal((n, len(self.labels)))
        noise[:, self.flat] = 0.0
        return noise

    def respond(self, sound):
        frames = len(sound) * RATE_HZ / AUDIO_RATE_HZ
        power = np.square(sound).mean(axis=1)[: int(frames) * int(AUDIO_RATE_HZ / RATE_HZ)]
        loud = 400.0 * np.sqrt(power.reshape(-1, int(AUDIO_RATE_HZ / RATE_HZ)).mean(axis=1))
        rows = np.repeat(loud[:, None], len(self.labels), axis=1)
        rows[:, self.flat] = 0.0
        return rows


class SimulatedEars:
    """A `SimulatedListener` who hears in pieces; the gain is what `typical` music asks for."""

    def __init__(self, listener, recording, typical):
        self._listener, self._recording = listener, recording
        self.labels, self.positions_m = listener.montage.names, listener.montage.positions_m
        heard = listener.listen(typical, AUDIO_RATE_HZ, recording)
        raw = listener.respond(typical, AUDIO_RATE_HZ)
        self._gain = float(np.sqrt(np.square(heard.response_uv).mean() / np.square(raw).mean()))

    def rest(self, n):
        background = self._listener.background(self._recording)
        rng = np.random.default_rng(self._recording)
        made = background.noise(n, RATE_HZ, rng) + background.mains(0, n, RATE_HZ)
        background.spoil(made, rng)
        self._good = np.setdiff1d(np.arange(len(self.labels)), list(background.bad))
        return made

    def respond(self, sound):
        rows = np.zeros((int(len(sound) / AUDIO_RATE_HZ * RATE_HZ), len(self.labels)))
        response = self._gain * self._listener.respond(sound.astype(np.float32), AUDIO_RATE_HZ)
        rows[: len(response), self._good] = response[: len(rows), self._good]
        return rows


class HearingOutlet:
    """Sends rest from the start, and answers to what the player plays that was given to `listen`."""

    def __init__(self, name, ears, seconds):
        self._ears = ears
        self._rest = ears.rest(round(seconds * RATE_HZ))
        info = eeg_stream_info(name, ears.labels, RATE_HZ, name, positions_m=ears.positions_m, simulated=True)
        self._outlet = pylsl.StreamOutlet(info, max_buffered=60)
        self._sound = np.zeros((0, 2), np.float32)
        self._frames, self._player = 0, None
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="hearing-outlet", daemon=True)
        self._thread.start()

    def listen(self, player):
        """Hear this player from now on, from its first block."""
        with self._lock:
            self._sound, self._frames, self._player = np.zeros((0, 2), np.float32), 0, player
        player.add_listener(self._hear)

    def close(self):
        self._stop.set()
        self._thread.join()
        self._outlet = None

    def _hear(self, block):
        with self._lock:
            self._sound = np.concatenate([self._sound, block])[-round((MEMORY_S + 2) * AUDIO_RATE_HZ) :]
            self._frames += len(block)

    def _run(self):
        began, sent = pylsl.local_clock(), 0
        while not self._stop.wait(0.1):
            due = min(len(self._rest), int((pylsl.local_clock() - began - LATE_S) * RATE_HZ))
            if due > sent:
                rows = self._rest[sent:due] + self._answer(began + sent / RATE_HZ, due - sent)
                stamps = began + (sent + np.arange(due - sent)) / RATE_HZ
                self._outlet.push_chunk(rows.astype(np.float32), stamps.tolist())
                sent = due

    def _answer(self, from_s, n):
        """Rows that answer to the sound up to each of them."""
        with self._lock:
            player, sound, frames = self._player, self._sound, self._frames
        if player is None or player.heard.origin_s is None:
            return 0.0
        before = round(MEMORY_S * RATE_HZ)
        first = round((from_s - before / RATE_HZ - player.heard.origin_s) * AUDIO_RATE_HZ)
        heard = np.zeros((round((before + n) / RATE_HZ * AUDIO_RATE_HZ), 2), np.float32)
        at = first - (frames - len(sound))  # of `heard` in the sound that is kept
        a, b = max(0, at), min(len(sound), at + len(heard))
        if b > a:
            heard[a - at : b - at] = sound[a:b]
        return self._ears.respond(heard)[before : before + n]
