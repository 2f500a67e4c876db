"""The sound device: PortAudio's callback runs in C (rtmixer), so that no Python thread can make it late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bci_music.clock import Clock
from bci_music.files import shown
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sound.player import (
    BLOCK,
    NOWHERE,
    PRIME_S,
    ClockPlayer,
    Follower,
    PlayerCounters,
    QueuePlayer,
)
from bci_music.sound.sink import AWAY, LATENCY_S, Form, NoDevice, Sink, SinkPlayer, find_form

AGAIN_S = 0.1  # after starvation the device goes on once this much is queued
LOOKS_S = 1.0
STUCK_S = 4.0  # a null sink may hold its first request for 2 s
TOLERANCE_S = 0.02  # the heard time is left alone below this
FRAME_BYTES = 8  # two float32


class Origin:
    """When output frame 0 was, or would have been, heard: tracked, since devices start late, drift and stumble.

    With its buffer full the device holds `latency_s` of sound, so the frame taken last is heard that much later.
    Looks between two callbacks come out late, hence the earliest of the last second counts.
    """

    def __init__(self, latency_s: float):
        self._latency_s = latency_s
        self._looks: deque[tuple[float, float]] = deque()
        self._origin_s: float | None = None

    def look(self, since_s: float, now: float) -> float:
        """Take in one look, the time now less the length of all frames taken, and return the origin."""
        self._looks.append((now, since_s))
        while self._looks[0][0] < now - LOOKS_S:
            self._looks.popleft()
        origin_s = min(since for _, since in self._looks) + self._latency_s
        if self._origin_s is None or abs(origin_s - self._origin_s) > TOLERANCE_S:
            self._origin_s = origin_s
        return self._origin_s


class DevicePlayer(QueuePlayer):
    """Plays through PortAudio, 48 kHz stereo float32.

    The queue is mirrored into a ring that the C callback reads. When the ring runs dry the callback drops its
    order to play and puts out zeros; `poll` sees that, counts the zeros and gives the order again.

    Parameters
    ----------
    clock : Clock
    device : Form, int, str or None
    wav_path : path, optional
        Where to write what was played.
    prime_s : float
        Queued before the device starts.
    reverb : float
        As of `ClockPlayer`.
    """

    note = ""
    output: int | None

    def __init__(
        self, clock: Clock, *, device: Form | int | str | None = None, wav_path: str | Path | None = None,
        subtype: str = "PCM_16", prime_s: float = PRIME_S, reverb: float = 0.0,
    ):
        form = device if isinstance(device, Form) else find_form(device)
        import rtmixer
        import sounddevice

        try:
            self.device, self.output = form.name, form.index
            self._mixer: Any = rtmixer.Mixer(
                device=form.index, channels=2, samplerate=AUDIO_RATE_HZ, blocksize=BLOCK, latency=LATENCY_S
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise NoDevice(" ".join(str(error).split())) from None
        super().__init__(wav_path, subtype, prime_s, reverb)
        self._clock = clock
        self._memory = np.zeros((self._queue.capacity, 2), np.float32)
        self._ring = rtmixer.RingBuffer(FRAME_BYTES, buffer=self._memory)
        self.latency_s = float(self._mixer.latency)
        self._order: Any = None
        self._origin = Origin(self.latency_s)
        self._reported = 0  # samples already given to the listeners
        self._dry = False  # the ring ran dry and its zeros are still being counted
        self._zeros = self._dry_frames = self._short_blocks = 0
        self._seen = 0.0, 0  # when the number of frames put out last changed, and to what
        self._running = False
        self._instead: ClockPlayer | None = None  # plays on when the device is gone

    def _taken(self) -> int:
        if self._instead is not None:
            return self._instead.taken
        return self._queue.written - self._ring.read_available

    def _pass_on(self, start: int, stop: int) -> None:
        if stop <= start or self._instead is not None:
            return
        samples = self._queue.get(start, stop)
        for at, part in self._queue.parts(start, stop):
            self._memory[at] = samples[part]
        if stop > self._queue.written:
            self._ring.advance_write_index(stop - self._queue.written)

    @property
    def counters(self) -> PlayerCounters:
        """Totals since the start."""
        if self._instead is not None:
            on, before = self._instead.counters, self._before
            return PlayerCounters(
                on.played_frames, before.underruns + on.underruns, before.starved_frames + on.starved_frames,
                before.device_underflows, self._late,
            )
        stats = self._mixer._state.stats  # counted by the callback; `Mixer.stats` is for stopped streams only
        short = self._short_blocks + -(-self._dry_frames // BLOCK)
        return PlayerCounters(int(stats.blocks) * BLOCK, short, self._zeros, int(stats.output_underflows), self._late)

    def start(self) -> None:
        """Begin; the device starts once 2 s are queued."""
        self._running = True

    def stop(self) -> None:
        """Fade out, stop the device and finish the file."""
        if self._instead is not None:
            self._instead.stop()
            self._close_file()
            return
        if self._order is not None and self._running:
            self._fade_out()
            self._mixer.stop()
            self._follow()
        self._running = False
        self._mixer.close()
        self._close_file()

    def poll(self, now: float) -> None:
        """Start the device when primed, count what it played, and let it go on after starvation."""
        with self._lock:
            self._poll(now)

    def _poll(self, now: float) -> None:
        if self._instead is not None:
            self._instead.poll(now)
            return
        if not self._running:
            return
        if self._order is None:
            if self.queued_s >= self.prime_s:
                self._order = self._mixer.play_ringbuffer(self._ring)
                self._mixer.start()
                self._seen = now, 0
            return
        if self._gone(now):
            self._go_on_without(now)
            return
        if self._order.done_frames or self.heard.origin_s is not None:
            self.heard.origin_s = self._origin.look(now - self._output_frames() / AUDIO_RATE_HZ, now)
        if self._follow() and self.queued_s >= AGAIN_S:
            self._order = self._mixer.play_ringbuffer(self._ring)

    def _follow(self) -> bool:
        """Bring counters and listeners up to what the callback did; returns whether the ring ran dry."""
        dry = self._order not in self._mixer.actions
        if dry or self._dry:
            self._count_zeros(dry)
        else:
            self._report_taken()
        return dry

    def _gone(self, now: float) -> bool:
        """Whether the device asks for nothing any more (pulled out, server gone)."""
        frames = self._output_frames()
        if frames != self._seen[1]:
            self._seen = now, frames
        return not self._mixer.active or now - self._seen[0] > STUCK_S

    def send_to(self, sink: Follower | None, number: int | None, name: str) -> Callable[[], None] | None:
        """Go on on another device, None for none; returns what closes the one before."""
        with self._lock:
            self.output, self.device = number, name or NOWHERE
            if self._instead is not None:
                return self._instead.send_to(sink, number, name)
            instead = self._hand_over(self._clock.now())
            instead.send_to(sink, number, name)
        instead.start()
        return self._let_go

    def _go_on_without(self, now: float) -> None:
        """Let a clock take what is queued from here on, and look out for the device."""
        name, number = self.device, self.output
        instead = self._hand_over(now)
        self.device = f"clock ({name} is gone)"
        self.changes.append(f"The sound device {name} takes no more sound: {AWAY}; check its cable or server.")
        instead.send_to(Sink(name, None, partial(self._heard_of, name), self._let_go), number, self.device)
        instead.start()

    def _hand_over(self, now: float) -> ClockPlayer:
        """Make the clock that takes what is queued from here on."""
        began = self._order is not None
        with self._lock:
            if began:
                self._follow()
            self._before = self.counters
            frames, taken = self._output_frames(), self._taken()
            began_s = now - frames / AUDIO_RATE_HZ if began else None
            self._instead = ClockPlayer.on(self, self._clock, taken, frames, began_s)
        return self._instead

    def _let_go(self) -> None:
        self._mixer.abort()
        self._mixer.close()

    def _heard_of(self, name: str, text: str) -> None:
        self.device = name if AWAY not in text else f"clock ({name} is gone)"
        self.changes.append(text)

    def _count_zeros(self, dry: bool) -> None:
        """Count the zeros put out since the ring ran dry: all frames that were not taken from it."""
        if not dry and not self._order.done_frames:
            return  # the new order has not been seen yet; its zeros are counted when it has
        if dry:
            self._report_taken()
        zeros = self._output_frames() - self._taken()
        if not dry:  # a callback may be between its count and its reading: the smaller of two looks is right
            time.sleep(0.002)
            zeros = min(zeros, self._output_frames() - self._taken())
        more = zeros - self._zeros
        if more > 0:
            self._dry_frames += more
            self._zeros = zeros
            self.heard.starve(self._reported, more)
            self._notify(np.zeros((more, 2), np.float32))
        self._dry = dry
        if not dry:
            self._short_blocks += -(-self._dry_frames // BLOCK)
            self._dry_frames = 0

    def _report_taken(self) -> None:
        taken = self._taken()
        if taken > self._reported:
            self._notify(self._queue.get(self._reported, taken))
            self._reported = taken
            self._queue.gain = self._queue.gain.settled(taken)

    def _output_frames(self) -> int:
        return int(self._mixer._state.stats.blocks) * BLOCK


def open_player(
    clock: Clock, *, device: int | str | None = None, wav_path: str | Path | None = None, subtype: str = "PCM_16",
    reverb: float = 0.0,
) -> DevicePlayer | ClockPlayer:
    """Open the sound device, or a `ClockPlayer` with a note in words where there is none.

    Parameters
    ----------
    clock : Clock
        Its times are the times sound is heard at.
    device : int, str or None
        Number or part of the name of an output device; "none" for no device; None for the default one.
    wav_path : path, optional
        Where to write what was played.
    reverb : float
        How much reverberation is added to the sound, 0 to 1; see `Reverb`.
    """
    if device == "none":
        note = "no sound device wanted: the sound runs on a clock"
        return ClockPlayer(clock, wav_path, subtype=subtype, reverb=reverb, note=note)
    try:
        form = find_form(device)
        if not form.usual:
            return SinkPlayer(clock, form, wav_path=wav_path, subtype=subtype, reverb=reverb)
        return DevicePlayer(clock, device=form, wav_path=wav_path, subtype=subtype, reverb=reverb)
    except NoDevice as reason:
        if device is not None:
            text = (
                f"The sound device {shown(device)!r} cannot be used ({shown(str(reason))}): `bci-music doctor` lists "
                "them with their numbers, give one of these."
            )
            raise UserError(text) from None
        note = f"no sound device ({reason}): the sound runs on a clock" + (f" and into {wav_path}" if wav_path else "")
        return ClockPlayer(clock, wav_path, subtype=subtype, reverb=reverb, note=note)
