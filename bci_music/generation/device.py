"""The sound device: PortAudio's callback runs in C (rtmixer), so that no Python thread can make it late."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from bci_music.clock import Clock
from bci_music.generation.player import BLOCK, PRIME_S, PlayerCounters, QueuePlayer
from bci_music.messages import AUDIO_RATE_HZ

LATENCY_S = 0.25
AGAIN_S = 0.1  # after starvation the device goes on once this much is queued
FRAME_BYTES = 8  # two float32


class NoDevice(Exception):  # noqa: N818 (a state of the machine, not an error of ours)
    """There is no sound device that can be used; the text says why."""


class DevicePlayer(QueuePlayer):
    """Plays through PortAudio, 48 kHz stereo float32.

    The queue is mirrored into a ring that the C callback reads. When the ring runs dry the callback drops its
    order to play and puts out zeros; `poll` sees that, counts the zeros and gives the order again.

    Parameters
    ----------
    clock : Clock
    device : int, str or None
    wav_path : path, optional
        Where to write what was played.
    """

    note = ""

    def __init__(
        self, clock: Clock, *, device: int | str | None = None, wav_path: str | Path | None = None,
        subtype: str = "PCM_16",
    ):
        try:
            import rtmixer
            import sounddevice
        except OSError as error:  # the PortAudio library itself is missing
            raise NoDevice(f"{error}; `make system` installs libportaudio2") from None
        try:
            self.device = str(sounddevice.query_devices(device, "output")["name"])
            self._mixer: Any = rtmixer.Mixer(
                device=device, channels=2, samplerate=AUDIO_RATE_HZ, blocksize=BLOCK, latency=LATENCY_S
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise NoDevice(" ".join(str(error).split())) from None
        super().__init__(wav_path, subtype)
        self._clock = clock
        self._memory = np.zeros((self._queue.capacity, 2), np.float32)
        self._ring = rtmixer.RingBuffer(FRAME_BYTES, buffer=self._memory)
        self.latency_s = float(self._mixer.latency)
        self._order: Any = None
        self._told = 0  # samples already given to the listeners
        self._dry = False  # the ring ran dry and its zeros are still being counted
        self._zeros = self._dry_frames = self._short_blocks = 0
        self._running = False

    def _taken(self) -> int:
        return self._queue.written - self._ring.read_available

    def _pass_on(self, start: int, stop: int) -> None:
        if stop <= start:
            return
        samples = self._queue.get(start, stop)
        for at, part in self._queue.parts(start, stop):
            self._memory[at] = samples[part]
        if stop > self._queue.written:
            self._ring.advance_write_index(stop - self._queue.written)

    @property
    def counters(self) -> PlayerCounters:
        """Totals since the start."""
        stats = self._mixer._state.stats  # counted by the callback; `Mixer.stats` is for stopped streams only
        short = self._short_blocks + -(-self._dry_frames // BLOCK)
        return PlayerCounters(int(stats.blocks) * BLOCK, short, self._zeros, int(stats.output_underflows), self._late)

    def start(self) -> None:
        """Begin; the device starts once 2 s are queued."""
        self._running = True

    def stop(self) -> None:
        """Fade out, stop the device and finish the file."""
        if self._order is not None and self._running:
            self.set_gain(0.0, True)
            time.sleep(self.margin_s + 0.1)
            self._mixer.stop()
            self.poll(self._clock.now())
        self._running = False
        self._mixer.close()
        self._close_file()

    def poll(self, now: float) -> None:
        """Start the device when primed, count what it played, and let it go on after starvation."""
        if not self._running:
            return
        if self._order is None:
            if self.queued_s >= PRIME_S:
                self._order = self._mixer.play_ringbuffer(self._ring)
                self._mixer.start()
            return
        if self.heard.origin_s is None and self._order.done_frames:
            # PortAudio tells on its own clock when the first sample reaches the ear.
            self.heard.origin_s = self._order.actual_time + (now - self._mixer.time)
        dry = self._order not in self._mixer.actions
        if dry or self._dry:
            self._count_zeros(dry)
        else:
            self._tell_taken()
        if dry and self.queued_s >= AGAIN_S and self._mixer.active:
            self._order = self._mixer.play_ringbuffer(self._ring)

    def _count_zeros(self, dry: bool) -> None:
        """Count the zeros put out since the ring ran dry: all frames that were not taken from it."""
        if not dry and not self._order.done_frames:
            return  # the new order has not been seen yet; its zeros are counted when it has
        if dry:
            self._tell_taken()
        zeros = self._output_frames() - self._taken()
        if not dry:  # a callback may be between its count and its reading: the smaller of two looks is right
            time.sleep(0.002)
            zeros = min(zeros, self._output_frames() - self._taken())
        more = zeros - self._zeros
        if more > 0:
            self._dry_frames += more
            self._zeros = zeros
            self.heard.starve(self._told, more)
            self._tell(np.zeros((more, 2), np.float32))
        self._dry = dry
        if not dry:
            self._short_blocks += -(-self._dry_frames // BLOCK)
            self._dry_frames = 0

    def _tell_taken(self) -> None:
        taken = self._taken()
        if taken > self._told:
            self._tell(self._queue.get(self._told, taken))
            self._told = taken
            self._queue.gain = self._queue.gain.settled(taken)

    def _output_frames(self) -> int:
        return int(self._mixer._state.stats.blocks) * BLOCK
