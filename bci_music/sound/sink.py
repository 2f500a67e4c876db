"""A device that what plays on a clock is sent to, at the device's own rate and channels; it may leave and come back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.clock import Clock
from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sound.player import ClockPlayer

LATENCY_S = 0.4  # at 0.25 s ALSA underran once beside work for four times the cores
AHEAD_S = 0.4  # queued before the device is told to play, so that the clock and it may differ a little
RING_S, AGAIN_S, STUCK_S = 3.0, 2.0, 4.0
AWAY = "the sound runs on a clock until it is back"  # stands in what is told of a device that left
PORT_AUDIO = threading.RLock()  # one of our threads asks PortAudio at a time


class NoDevice(Exception):
    """There is no sound device that can be used; the text says why."""


@dataclass(frozen=True)
class Form:
    """A device and how it takes sound."""

    index: int
    name: str
    rate_hz: int
    channels: int

    @property
    def usual(self) -> bool:
        """Whether it takes sound as it is made: 48 kHz stereo."""
        return (self.rate_hz, self.channels) == (AUDIO_RATE_HZ, 2)

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.name} ({self.rate_hz / 1000:g} kHz, {'stereo' if self.channels == 2 else 'mono'})"


def find_form(device: int | str | None) -> Form:
    """Ask PortAudio how a device takes sound: stereo rather than mono, 48 kHz rather than a rate of its own.

    Raises
    ------
    NoDevice
        If there is no such device, more than one of that name, or none of these will do.
    """
    try:
        import sounddevice
    except OSError as error:  # the PortAudio library itself is missing
        raise NoDevice(f"{error}; `make system` installs libportaudio2") from None
    try:
        about = sounddevice.query_devices(device, "output")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise NoDevice(" ".join(str(error).split())) from None
    reason = "it takes no sound"
    for channels in range(min(2, int(about["max_output_channels"])), 0, -1):
        for rate in dict.fromkeys((AUDIO_RATE_HZ, round(about["default_samplerate"]), 44_100)):
            try:
                sounddevice.check_output_settings(about["index"], channels, "float32", samplerate=rate)
            except (sounddevice.PortAudioError, ValueError) as error:
                reason = " ".join(str(error).split())
            else:
                return Form(int(about["index"]), str(about["name"]), rate, channels)
    raise NoDevice(f"{about['name']}: {reason}")


def outputs() -> list[tuple[int, str, str, int, float]]:
    """Return number, name, driver, channels and own rate of every output device that PortAudio knows.

    Raises
    ------
    NoDevice
        If PortAudio itself cannot be asked.
    """
    try:
        import sounddevice
    except OSError as error:
        raise NoDevice(f"{error}; `make system` installs libportaudio2") from None
    with PORT_AUDIO:
        try:
            apis = [str(api["name"]) for api in sounddevice.query_hostapis()]
            return [
                (number, str(about["name"]), apis[about["hostapi"]], int(about["max_output_channels"]),
                 float(about["default_samplerate"]))
                for number, about in enumerate(sounddevice.query_devices()) if about["max_output_channels"]
            ]
        except sounddevice.PortAudioError as error:
            raise NoDevice(" ".join(str(error).split())) from None


def find_again(name: str) -> Form:
    """Look for a device that left: PortAudio knows no newer devices than those there were when it began."""
    import sounddevice

    with PORT_AUDIO:
        sounddevice._terminate()
        sounddevice._initialize()
    for number, about in enumerate(sounddevice.query_devices()):
        if about["name"] == name and about["max_output_channels"]:
            return find_form(number)
    raise NoDevice(f"{name} is not there")


class Sink:
    """Takes what was played.

    Parameters
    ----------
    name : str
        The device's, by which it is looked for when it has left.
    form : Form or None
        How it takes sound; None while it is away.
    tell : callable
        Is told when it leaves and comes back.
    let_go : callable, optional
        Closes what was open on the device before; it is not looked for until that has returned.
    """

    def __init__(
        self, name: str, form: Form | None, tell: Callable[[str], None], let_go: Callable[[], None] | None = None
    ):
        self._name, self._tell = name, tell
        self.latency_s = LATENCY_S + AHEAD_S if form is not None else 0.0  # away, nobody hears it
        self._closed = False
        self._closing: threading.Thread | None = None
        if let_go is not None:
            self._close_aside(let_go)
        self._lock = threading.Lock()
        self._stream: _Stream | None = None
        self._search: threading.Thread | None = None
        self._found: _Stream | None = None
        self._next_s = float("-inf")
        if form is not None:
            self._stream = _Stream(form)

    def __call__(self, played: NDArray[np.float32]) -> None:
        """Take (n, 2) samples at 48 kHz; nothing becomes of them while the device is away."""
        with self._lock:
            if self._stream is not None:
                self._stream.write(played)

    def poll(self, now: float) -> None:
        """See whether the device is still there, or there again."""
        with self._lock:
            if self._stream is not None:
                if self._stream.plays(now):
                    return
                left, self._stream = self._stream, None
                self._close_aside(left.close)
                self._next_s = now + AGAIN_S
                self._tell(f"The sound device {self._name} is gone: {AWAY}.")
            elif self._search is not None and not self._search.is_alive():
                self._search = None
                if self._found is not None:
                    self._stream, self._found = self._found, None
                    self._tell(f"The sound device {self._name} is back.")
            elif self._closing is not None and self._closing.is_alive():
                return  # PortAudio takes one call at a time
            elif self._search is None and now >= self._next_s:
                self._next_s = now + AGAIN_S
                self._search = threading.Thread(target=self._look, name="bci-music-sound-device", daemon=True)
                self._search.start()

    def _close_aside(self, close: Callable[[], None]) -> None:
        """Closing a device that is gone may take for ever."""
        self._closing = threading.Thread(target=close, name="sound-device-close", daemon=True)
        self._closing.start()

    def close(self) -> None:
        """Let go of the device."""
        self._closed = True
        if self._search is not None:
            self._search.join(1.0)
        with self._lock:
            streams, self._stream, self._found = (self._stream, self._found), None, None
        for stream in streams:
            if stream is not None:
                stream.close()

    def _look(self) -> None:
        try:
            with PORT_AUDIO:
                self._found = None if self._closed else _Stream(find_again(self._name))
        except Exception:  # it is looked for again
            self._found = None


class _Stream:
    """One opened device: a ring that PortAudio's callback, in C, reads from."""

    def __init__(self, form: Form):
        import rtmixer
        import soxr

        self._form = form
        self._mixer: Any = rtmixer.Mixer(
            device=form.index, channels=form.channels, samplerate=form.rate_hz, latency=LATENCY_S
        )
        size = 1 << (round(RING_S * form.rate_hz) - 1).bit_length()
        self._ring: Any = rtmixer.RingBuffer(4 * form.channels, size)
        self._ahead = round(AHEAD_S * form.rate_hz)
        self._resample = None
        if form.rate_hz != AUDIO_RATE_HZ:
            self._resample = soxr.ResampleStream(AUDIO_RATE_HZ, form.rate_hz, form.channels, dtype="float32")
        self._order: Any = None
        self._seen: tuple[float | None, int] = None, -1

    def write(self, played: NDArray[np.float32]) -> None:
        samples = played if self._form.channels == 2 else played.mean(axis=1, keepdims=True)
        if self._resample is not None:
            samples = self._resample.resample_chunk(samples)
        self._ring.write(np.ascontiguousarray(samples, np.float32))
        if self._order is None and self._ring.read_available >= self._ahead:
            self._order = self._mixer.play_ringbuffer(self._ring)
            self._mixer.start()
        elif (
            self._order is not None and self._order not in self._mixer.actions  # the ring ran dry
            and self._ring.read_available >= self._ahead
        ):
            self._order = self._mixer.play_ringbuffer(self._ring)

    def plays(self, now: float) -> bool:
        """Whether the device still asks for sound."""
        if self._order is None:
            return True
        blocks = int(self._mixer._state.stats.blocks)
        if blocks != self._seen[1]:
            self._seen = now, blocks
        since_s = self._seen[0]
        return bool(self._mixer.active) and (since_s is None or now - since_s <= STUCK_S)

    def close(self) -> None:
        try:
            self._mixer.abort()
        finally:
            self._mixer.close()


class SinkPlayer(ClockPlayer):
    """Plays on a clock, and on a device whose rate or channels are its own.

    Parameters
    ----------
    clock : Clock
    form : Form
        Of the device.
    wav_path, subtype, prime_s, reverb
        As of `ClockPlayer`.
    """

    def __init__(self, clock: Clock, form: Form, **options: Any):
        super().__init__(clock, note=f"{form.words}: the sound is resampled for it", **options)
        self.device = form.words
        self.send_to(Sink(form.name, form, self.changes.append), form.index, form.words)
