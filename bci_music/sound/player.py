"""Players take sound and let it be heard: on a device through a C callback, or on a clock when there is none."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from bci_music.clock import Clock
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sound.loudness import from_db
from bci_music.sound.queue import HeardTime, PlayQueue
from bci_music.sound.reverb import Reverb
from bci_music.sound.silence import SilenceMeter

if TYPE_CHECKING:
    from soundfile import SoundFile


class AudioFile:
    """Writes what was played: WAV as float32 (exact) or 16 bit PCM, or FLAC, readable wherever it is cut off."""

    def __init__(self, path: str | Path, subtype: str = "PCM_16"):
        import soundfile

        path = self._path = Path(path)
        kind = "FLAC" if path.suffix == ".flac" else "WAV"
        self.lost = ""  # why writing ended early
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: SoundFile = soundfile.SoundFile(path, "w", AUDIO_RATE_HZ, 2, subtype=subtype, format=kind)
        except (OSError, soundfile.SoundFileError) as error:
            text = f"The sound cannot be written to {path} ({error}): give a folder you may write to."
            raise UserError(text) from error

    def __call__(self, samples: NDArray[np.float32]) -> None:
        """Append (n, 2) samples; the first time that fails, `lost` says so, and nothing more is written."""
        if not self.lost:
            self._try(lambda: self._file.write(samples))

    def close(self) -> None:
        """Finish the file."""
        self._try(self._file.close)

    def _try(self, action: Callable[[], object]) -> None:
        """The sound must not end for want of a file."""
        try:
            action()
        except Exception as error:  # soundfile asserts that all was written
            reason = " ".join(str(error).split()) or "the disk is full"
            self.lost = self.lost or f"The sound is no longer written to {self._path} ({reason}): it plays on."


log = logging.getLogger(__name__)
BLOCK = 960  # frames the device asks for at a time: 20 ms
FADE_S = 0.1  # from the order to be silent until silence
PRIME_S = 2.0  # queued before the first sample is played
Listener = Callable[[NDArray[np.float32]], None]
NOWHERE = "clock (no sound device)"


@dataclass(frozen=True)
class PlayerCounters:
    """Totals since the start: a counter that moves means that something was heard that was not music."""

    played_frames: int = 0  # zeros included
    underruns: int = 0  # blocks that were not (fully) there
    starved_frames: int = 0  # zeros played for want of sound
    device_underflows: int = 0  # reported by the driver
    late_changes: int = 0  # changes of queued sound that came too late to be made


class Follower(Protocol):
    """A device that what plays on a clock is sent to."""

    latency_s: float

    def __call__(self, played: NDArray[np.float32]) -> None:
        """Take (n, 2) samples at 48 kHz."""

    def poll(self, now: float) -> None:
        """See whether the device is there."""

    def close(self) -> None:
        """Let go of the device."""


class Player(Protocol):
    """What the sound stage plays through. Samples have absolute indices, counted as they are written."""

    device: str
    note: str
    latency_s: float
    prime_s: float
    heard: HeardTime
    changes: deque[str]
    output: int | None  # number of the device that has the sound, None for none

    @property
    def lost(self) -> str:
        """Why what is played is no longer written to its file, "" while it is."""

    @property
    def silent_s(self) -> float:
        """Seconds of silence that were played, from the first sound on."""

    @property
    def put_out(self) -> int:
        """Frames that the listeners were given so far, zeros included."""

    @property
    def written(self) -> int:
        """Samples written so far."""

    @property
    def queued_s(self) -> float:
        """Seconds written and not yet taken by the device."""

    @property
    def changeable(self) -> int:
        """First sample that may still be replaced."""

    @property
    def counters(self) -> PlayerCounters:
        """Totals since the start."""

    def start(self) -> None:
        """Begin; sound is heard once enough is queued."""

    def stop(self) -> None:
        """End, close the device and finish the file."""

    def write(self, samples: NDArray[np.float32]) -> int:
        """Queue (n, 2) samples; returns how many were taken."""

    def replace(self, start: int, samples: NDArray[np.float32]) -> bool:
        """Change queued samples from absolute index `start` on; False, and nothing changed, when it is too late."""

    def peek(self, start: int, stop: int) -> NDArray[np.float32]:
        """Queued samples `start` to `stop`, before reverberation and the operator's gain."""

    def set_gain(self, volume_db: float, muted: bool) -> None:
        """Glide to another volume (at most 0 dB); queued sound follows."""

    def poll(self, now: float) -> None:
        """Do what the player has to do from time to time."""

    def send_to(self, sink: Follower | None, number: int | None, name: str) -> Callable[[], None] | None:
        """Go on on another device, None for none; returns what closes the one before, if there is one."""

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` with every (n, 2) block that was played, zeros included."""


class QueuePlayer(ABC):
    """What all players share: the queue with its gain, the heard time, the listeners."""

    margin_s = 0.15  # queued sound nearer to the ear than this is left alone

    def __init__(self, wav_path: str | Path | None, subtype: str, prime_s: float = PRIME_S, reverb: float = 0.0):
        self.prime_s = prime_s
        self.heard = HeardTime()
        self._queue = PlayQueue(reverb=Reverb(reverb))
        self._lock = threading.RLock()
        self._silence = SilenceMeter()
        self._listeners: list[Listener] = [self._silence]
        self._wav = AudioFile(wav_path, subtype) if wav_path else None
        if self._wav:
            self._listeners.append(self._wav)
        self._late = 0
        self.changes: deque[str] = deque()  # what happened to the device, for the stage to take and report

    @property
    def written(self) -> int:
        """Samples written so far."""
        return self._queue.written

    @abstractmethod
    def _taken(self) -> int:
        """Return the index of the next sample the device will take."""

    @property
    def queued_s(self) -> float:
        """Seconds written and not yet taken by the device."""
        return (self._queue.written - self._taken()) / AUDIO_RATE_HZ

    @property
    def changeable(self) -> int:
        """First sample that may still be replaced."""
        return min(self._queue.written, self._taken() + round(self.margin_s * AUDIO_RATE_HZ))

    @property
    def silent_s(self) -> float:
        """Seconds of silence that were played, from the first sound on."""
        return self._silence.so_far

    @property
    def put_out(self) -> int:
        """Frames that the listeners were given so far, zeros included."""
        return self._silence.frames

    @property
    def lost(self) -> str:
        """Why what is played is no longer written to its file, "" while it is."""
        return self._wav.lost if self._wav else ""

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` with every (n, 2) block that was played, zeros included."""
        self._listeners.append(listener)

    def write(self, samples: NDArray[np.float32]) -> int:
        """Queue (n, 2) samples; returns how many were taken."""
        with self._lock:
            space = self._queue.capacity - (self._queue.written - self._taken())
            samples = samples[: max(0, space - BLOCK - self._queue.reverb.reach)]
            start = self._queue.written
            self._queue.put(start, samples)
            self._pass_on(start, start + len(samples))
            self._queue.written += len(samples)
        return len(samples)

    def replace(self, start: int, samples: NDArray[np.float32]) -> bool:
        """Change queued samples from absolute index `start` on; False, and nothing changed, when it is too late."""
        with self._lock:
            stop = start + len(samples)
            if stop > self._queue.written:
                raise ValueError("only queued sound can be replaced")
            if start < self._taken() + round(self.margin_s / 2 * AUDIO_RATE_HZ):
                self._late += 1
                return False
            self._queue.put(start, samples)
            self._pass_on(start, self._queue.touched(stop))
        return True

    def peek(self, start: int, stop: int) -> NDArray[np.float32]:
        """Queued samples `start` to `stop`, before reverberation and the operator's gain."""
        return self._queue.raw(start, stop)

    def set_gain(self, volume_db: float, muted: bool) -> None:
        """Glide to another volume (at most 0 dB); queued sound follows after 0.15 s."""
        target = 0.0 if muted else min(1.0, from_db(volume_db))
        with self._lock:
            start = self.changeable
            self._queue.gain = self._queue.gain.toward(target, start)
            self._pass_on(start, self._queue.written)

    def _fade_out(self) -> None:
        """Fade, and wait until the device has taken some silence: it may be late, and what is left would be cut off."""
        with self._lock:
            self.set_gain(0.0, True)
            silent = min(self._queue.written, self.changeable + round(FADE_S * AUDIO_RATE_HZ) + 2 * BLOCK)
        until_s = time.monotonic() + 4 * (self.margin_s + FADE_S)
        while self._taken() < silent and time.monotonic() < until_s:
            time.sleep(0.005)

    def _pass_on(self, start: int, stop: int) -> None:  # noqa: B027 (nothing to do unless there is a device)
        """Samples `start` to `stop` of the queue are new or changed."""

    def _notify(self, played: NDArray[np.float32]) -> None:
        for listener in self._listeners:
            listener(played)

    def _close_file(self) -> None:
        if self._wav:
            self._wav.close()


class ClockPlayer(QueuePlayer):
    """Plays on a clock: takes blocks exactly as a device would, and zeros, counted, when none is there.

    Parameters
    ----------
    clock : Clock
    wav_path : path, optional
        Where to write what was played.
    subtype : str
        "PCM_16", or "FLOAT" for a bit-exact copy.
    threaded : bool
        False: no thread, `poll` takes what is due (manual clocks, runs faster than real time).
    note : str
        Why there is no device, in words.
    prime_s : float
        Queued before the first sample is played.
    reverb : float
        How much reverberation is added to the sound, 0 to 1; see `Reverb`.
    """

    latency_s = 0.0
    device = NOWHERE
    output: int | None = None

    def __init__(
        self, clock: Clock, wav_path: str | Path | None = None, *, subtype: str = "PCM_16", threaded: bool = True,
        note: str = "", prime_s: float = PRIME_S, reverb: float = 0.0,
    ):
        super().__init__(wav_path, subtype, prime_s, reverb)
        self.note = note
        self._clock = clock
        self._began_s: float | None = None  # clock time of the first frame; it is heard once the device lets it
        self._sink: Follower | None = None
        self._taken_index = self._frames = self._underruns = self._starved = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bci-music-player", daemon=True) if threaded else None

    @classmethod
    def on(cls, player: QueuePlayer, clock: Clock, taken: int, frames: int, began_s: float | None) -> ClockPlayer:
        """Take over the queue of another player that has taken `taken` samples and put out `frames` since `began_s`."""
        made = cls(clock)
        for name in ("_queue", "_lock", "heard", "_listeners"):
            setattr(made, name, getattr(player, name))
        made._taken_index, made._frames, made._began_s = taken, frames, began_s
        return made

    @property
    def taken(self) -> int:
        """Index of the next sample that is taken."""
        return self._taken_index

    def _taken(self) -> int:
        return self._taken_index

    @property
    def counters(self) -> PlayerCounters:
        """Totals since the start."""
        return PlayerCounters(self._frames, self._underruns, self._starved, 0, self._late)

    def start(self) -> None:
        """Begin; the first block is taken once 2 s are queued."""
        if self._thread:
            self._thread.start()

    def stop(self) -> None:
        """Fade out, end and finish the file."""
        if self._thread and self._thread.is_alive() and self._began_s is not None:
            self._fade_out()
        self._stop.set()
        if self._thread and self._thread.is_alive():
            self._thread.join()
        if self._sink is not None:
            self._sink.close()
        self._close_file()

    def poll(self, now: float) -> None:
        """Without a thread: take all blocks due at `now`; see whether the device is still there."""
        if not self._thread:
            self._pull_due(now)
        if self._sink is not None:
            self._sink.poll(now)

    def send_to(self, sink: Follower | None, number: int | None, name: str) -> Callable[[], None] | None:
        """Go on on another device, None for none; returns what closes the one before, if there is one."""
        before, self._sink = self._sink, sink
        self.output, self.device = number, name or NOWHERE
        self.latency_s = sink.latency_s if sink is not None else 0.0
        if self._began_s is not None:
            self.heard.origin_s = self._began_s + self.latency_s
        return before.close if before is not None else None

    def _run(self) -> None:
        while not self._stop.wait(BLOCK / AUDIO_RATE_HZ / 2):
            try:
                self._pull_due(self._clock.now())
            except Exception:
                log.exception("the clock player ended")
                raise

    def _pull_due(self, now: float) -> None:
        if self._began_s is None:
            if self.queued_s < self.prime_s:
                return
            self._began_s, self.heard.origin_s = now, now + self.latency_s
        due = int((now - self._began_s) * AUDIO_RATE_HZ / BLOCK + 1e-6) * BLOCK
        while self._frames < due:
            self._pull()

    def _pull(self) -> None:
        with self._lock:
            start = self._taken_index
            stop = min(self._queue.written, start + BLOCK)
            block = np.zeros((BLOCK, 2), np.float32)
            block[: stop - start] = self._queue.get(start, stop)
            self._taken_index = stop
            self._queue.gain = self._queue.gain.settled(stop)
            self._frames += BLOCK
            if (missing := BLOCK - (stop - start)) > 0:
                self._underruns += 1
                self._starved += missing
                self.heard.starve(stop, missing)
        self._notify(block)
        if (sink := self._sink) is not None:
            sink(block)
