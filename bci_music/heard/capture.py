"""Sound as it is captured: a microphone or loopback device through PortAudio, or an LSL stream of audio."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.files import shown
from bci_music.heard.sounds import HeardSound, Sound, SoundMemory
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sound.device import Origin
from bci_music.streaming.discovery import quoted

RING_FRAMES = 2**19  # 11 s at 48 kHz
SILENT_S = 4.0  # without a sample for so long, a device has left
LEAST_HZ = 1000.0  # a slower stream is no audio
LOOKS = 50  # chunks of an LSL stream by which its time is told
JUMP_S = 0.05  # by more than this a stream of audio has a hole


class DeviceSound(HeardSound):
    """An input of PortAudio, recorded by a callback in C; its own latency is taken off.

    Parameters
    ----------
    device : int or str
        Number or part of the name of an input device.

    Raises
    ------
    UserError
        Where it cannot be opened.
    """

    def __init__(self, device: int | str):
        number = int(device) if str(device).isdigit() else device
        try:
            import rtmixer
            import sounddevice
        except OSError as error:  # the PortAudio library itself is missing
            raise UserError(f"Sound cannot be captured ({error}): `make system` installs libportaudio2.") from None
        try:
            about = sounddevice.query_devices(number, "input")
            self._channels = min(2, int(about["max_input_channels"]))
            rate = _rate(about, self._channels)
            self._recorder: Any = rtmixer.Recorder(
                device=int(about["index"]), channels=self._channels, samplerate=rate, latency="high"
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            reason = shown(" ".join(str(error).split()))
            raise UserError(
                f"No sound can be captured from {shown(str(device))!r} ({reason}): `python -m sounddevice` lists the "
                "devices with their numbers, give one with inputs."
            ) from None
        self.name = str(about["name"])
        self._ring = rtmixer.RingBuffer(4 * self._channels, RING_FRAMES)
        self._memory = SoundMemory(rate)
        self._origin = Origin(-float(self._recorder.latency))
        self._order: Any = None
        self._overflows = 0
        self._seen_s = float("inf")
        self._gone = False

    def step(self, now: float) -> None:
        """Take what was recorded; begin at the first call."""
        if self._order is None:
            self._order = self._recorder.record_ringbuffer(self._ring)
            self._recorder.start()
            self._seen_s = now
            return
        self._gone = now - self._seen_s > SILENT_S
        n = self._ring.read_available
        if n:
            frames = np.frombuffer(bytes(self._ring.read(n)), np.float32).reshape(-1, self._channels)
            self._memory.add(np.nan_to_num(frames.mean(axis=1)))
            self._seen_s = now
            self._memory.origin_s = self._origin.look(now - self._memory.total / self._memory.rate_hz, now)
        overflows = int(self._recorder._state.stats.input_overflows)  # counted by the callback
        if overflows != self._overflows or self._order not in self._recorder.actions:
            self._overflows = overflows  # samples are lost: what was taken before lies elsewhere in time
            if self._order not in self._recorder.actions:
                self._order = self._recorder.record_ringbuffer(self._ring)
            self._memory = SoundMemory(self._memory.rate_hz)
            self._origin = Origin(-float(self._recorder.latency))

    def between(self, start_s: float, stop_s: float) -> Sound | None:
        """See `HeardSound`."""
        return self._memory.between(start_s, stop_s)

    @property
    def why(self) -> str:  # type: ignore[override]
        """A device that delivers nothing is said."""
        return f"no sound comes from {self.name}" if self._gone else ""

    def close(self) -> None:
        """Stop the device."""
        self._recorder.stop()
        self._recorder.close()


class StreamSound(HeardSound):
    """Audio on LSL, with the stamps of its sender; a stream that goes away is looked for again.

    Parameters
    ----------
    name : str
        Of the stream.
    """

    def __init__(self, name: str):
        import pylsl

        self.name = name
        self._resolver = pylsl.ContinuousResolver(
            pred=f"name={quoted(name)} or source_id={quoted(name)}", forget_after=2.0
        )
        self._inlet: Any = None
        self._correction_s: float | None = None
        self._memory: SoundMemory | None = None
        self._looks: deque[float] = deque(maxlen=LOOKS)
        self._unfit = ""

    def step(self, now: float) -> None:
        """Take what has come."""
        import pylsl

        if self._inlet is None and not self._connect():
            return
        try:
            if self._correction_s is None:
                self._correction_s = self._inlet.time_correction(timeout=1.0)
            values, stamps = self._inlet.pull_chunk(timeout=0.0, max_samples=4 * AUDIO_RATE_HZ)
        except (pylsl.util.LostError, pylsl.util.TimeoutError):
            self.close()
            return
        if len(stamps):
            self._take(np.asarray(values, np.float32), np.asarray(stamps) + self._correction_s)

    def between(self, start_s: float, stop_s: float) -> Sound | None:
        """See `HeardSound`."""
        return self._memory.between(start_s, stop_s) if self._memory is not None else None

    @property
    def why(self) -> str:  # type: ignore[override]
        """A stream that is not there, or no audio."""
        return self._unfit or ("" if self._memory is not None else f"no LSL stream {shown(self.name)} is there")

    def close(self) -> None:
        """Let go of the stream."""
        if self._inlet is not None:
            with suppress(Exception):
                self._inlet.close_stream()
        self._inlet = self._correction_s = self._memory = None

    def _connect(self) -> bool:
        import pylsl

        for info in self._resolver.results():
            if info.channel_format() == pylsl.cf_string or not info.nominal_srate() >= LEAST_HZ:
                self._unfit = f"stream {shown(self.name)} is no audio: {LEAST_HZ:g} Hz and more are needed"
                continue
            self._unfit = ""
            self._inlet = pylsl.StreamInlet(info, max_buflen=30, recover=False)
            self._memory = None
            self._rate_hz = float(info.nominal_srate())
            return True
        return False

    def _take(self, values: NDArray[np.float32], stamps: NDArray[np.float64]) -> None:
        if self._memory is None:
            self._memory = SoundMemory(self._rate_hz)
            self._looks.clear()
        last = self._memory.total + len(stamps) - 1
        origin_s = float(stamps[-1]) - last / self._rate_hz
        if self._looks and abs(origin_s - float(np.median(self._looks))) > JUMP_S:
            self._memory = SoundMemory(self._rate_hz)  # samples are missing, or the sender began again
            self._looks.clear()
            origin_s = float(stamps[0])
        self._looks.append(origin_s)
        self._memory.add(np.nan_to_num(values.reshape(len(stamps), -1).mean(axis=1)))
        self._memory.origin_s = float(np.median(self._looks))


def _rate(about: Any, channels: int) -> float:
    """Rate at which a device takes sound: 48 kHz rather than its own; raises PortAudio's error where none will do."""
    import sounddevice

    rates = tuple(dict.fromkeys((AUDIO_RATE_HZ, round(about["default_samplerate"]))))
    for rate in rates:
        try:
            sounddevice.check_input_settings(about["index"], channels, "float32", samplerate=rate)
        except sounddevice.PortAudioError:
            if rate == rates[-1]:
                raise
        else:
            return float(rate)
    raise ValueError("it takes no rate")
