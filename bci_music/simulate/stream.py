"""An endless LSL stream of a simulated listener who hears one composed song after the other."""

from __future__ import annotations

import logging
import queue
import signal
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import numpy as np
import pylsl
from numpy.typing import NDArray

from bci_music.compose.composer import HELD_OUT_SECONDS, SONGS, mono_16k
from bci_music.data.session import song_marker
from bci_music.messages import Log, UserError
from bci_music.simulate.head import Array
from bci_music.simulate.listener import SimulatedListener, response_gain
from bci_music.streaming.outlets import eeg_stream_info, text_outlet

_logger = logging.getLogger(__name__)
CHUNK_S = 0.02
SONG_S = 20.0  # how long each song is heard
_OVERLAP_S = 2.0  # neighbouring blocks of background flow into each other
_AHEAD = 2  # blocks made before they are due
_AUDIO_HZ = 16_000


@dataclass(frozen=True)
class Block:
    """EEG of one stretch of music: (n, 125) float32 µV, and the marker of its start."""

    samples_uv: NDArray[np.float32]
    marker: str


class EndlessListener:
    """Makes the EEG of an endless programme, block by block, without a break.

    Parameters
    ----------
    listener : SimulatedListener
    sfreq_hz : float
        125 to 1000 Hz.
    seed : int
        Draws the order of the songs, the noise, and the recording's bad electrodes.
    """

    def __init__(self, listener: SimulatedListener, sfreq_hz: float, seed: int, song_s: float = SONG_S):
        if not 125 <= sfreq_hz <= 1000:
            raise UserError(f"A simulated stream cannot have {sfreq_hz:g} Hz: give a rate from 125 to 1000 Hz.")
        self._listener, self._sfreq_hz, self._seed, self._song_s = listener, sfreq_hz, seed, song_s
        self._background = listener.background(seed)
        self._overlap = round(_OVERLAP_S * sfreq_hz)

    def blocks(self) -> Iterator[Block]:
        """Yield blocks for ever; sample n of all of them together belongs to time n / rate."""
        n = round(self._song_s * self._sfreq_hz)
        fade_in = np.sin(0.5 * np.pi * (np.arange(self._overlap) + 0.5) / self._overlap)[:, None]
        noise_tail: Array | None = None
        response_tail: Array | None = None
        gain = 0.0
        for number, (spec, start_s) in enumerate(self._programme()):
            rng = np.random.default_rng([self._seed, 4, number])
            noise = self._background.noise(n + self._overlap, self._sfreq_hz, rng)
            response = self._response(spec.id, start_s, n + self._overlap)
            if noise_tail is None or response_tail is None:
                good = np.setdiff1d(np.arange(noise.shape[1]), list(self._background.bad))
                gain = response_gain(response[:, good], noise[:, good], self._sfreq_hz, self._listener.config.snr_db)
            else:
                noise[:self._overlap] = noise[:self._overlap] * fade_in + noise_tail * fade_in[::-1]
                response[:self._overlap] = response[:self._overlap] * fade_in**2 + response_tail * fade_in[::-1] ** 2
            noise_tail, response_tail = noise[n:], response[n:]
            samples = noise[:n] + gain * response[:n] + self._background.mains(number * n, n, self._sfreq_hz)
            self._background.spoil(samples, rng)
            yield Block(samples.astype(np.float32), song_marker(spec.id, spec.title, start_s))

    def _programme(self):
        """Songs in shuffled rounds, each from a random place of the seconds that training never hears."""
        rng = np.random.default_rng([self._seed, 5])
        low, high = HELD_OUT_SECONDS
        latest = max(low, high - 2.0 - self._song_s - _OVERLAP_S)
        while True:
            for number in rng.permutation(len(SONGS)):
                yield SONGS[number], round(float(rng.uniform(low, latest)), 3)

    def _response(self, song: str, start_s: float, n: int) -> Array:
        first = round(start_s * _AUDIO_HZ)
        audio = mono_16k(song)[first:first + round(n / self._sfreq_hz * _AUDIO_HZ)]
        response = self._listener.respond(audio, _AUDIO_HZ, self._sfreq_hz)
        missing = n - len(response)
        return np.pad(response, ((0, missing), (0, 0)), mode="edge") if missing > 0 else response[:n]


class SimulatedOutlet:
    """The endless listener as LSL outlets: EEG, and song markers named ``"<name> music"``.

    Blocks are made ahead of time in a thread of their own; the stamps count samples from the first one,
    so they are exact however late a chunk goes out.
    """

    def __init__(
        self, name: str = "bci-music simulated", *, sfreq_hz: float = 125.0, snr_db: float = -10.0, seed: int = 0,
        source_id: str = "", song_s: float = SONG_S,
    ):
        listener = SimulatedListener(seed, snr_db)
        self.name, self.sfreq_hz = name, sfreq_hz
        self.pushed = 0
        self.late_s = 0.0  # how long the stream waited for blocks that were not ready
        self._blocks = EndlessListener(listener, sfreq_hz, seed, song_s)
        self._made: queue.Queue[Block | Exception] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        source_id = source_id or f"bci-music-simulated-{uuid.uuid4().hex[:8]}"
        info = eeg_stream_info(
            name, listener.montage.names, sfreq_hz, source_id,
            positions_m=listener.montage.positions_m, simulated=True,
        )  # fmt: skip
        self._eeg: pylsl.StreamOutlet | None = pylsl.StreamOutlet(info, max_buffered=60)
        self._music: pylsl.StreamOutlet | None = text_outlet(
            f"{name} music", "Markers", f"{source_id}-music", simulated=True
        )
        self._maker = threading.Thread(target=self._make, name="bci-music-simulated", daemon=True)
        self._maker.start()

    def run(self, stop: threading.Event, seconds: float = float("inf")) -> None:
        """Push in real time until `stop` is set or `seconds` of EEG have gone out."""
        block = self._next(stop)
        start_s, wanted = pylsl.local_clock(), seconds * self.sfreq_hz
        at = 0
        beat = 0
        while block is not None and self.pushed < wanted and self._eeg is not None and self._music is not None:
            if at == 0:
                self._music.push_sample([block.marker], start_s + self.pushed / self.sfreq_hz)
            due = int(min((pylsl.local_clock() - start_s) * self.sfreq_hz + 1, wanted)) - self.pushed
            rows = block.samples_uv[at:at + max(0, due)]
            if len(rows):
                stamps = start_s + (self.pushed + np.arange(len(rows))) / self.sfreq_hz
                self._eeg.push_chunk(rows, stamps.tolist())
                self.pushed += len(rows)
                at += len(rows)
            if at == len(block.samples_uv):
                asked = pylsl.local_clock()
                block, at = self._next(stop), 0
                self.late_s += max(0.0, pylsl.local_clock() - asked - CHUNK_S)
                continue
            beat += 1
            if stop.wait(max(0.0, start_s + beat * CHUNK_S - pylsl.local_clock())):
                break
        if self._music is not None:
            self._music.push_sample([song_marker(None)], start_s + self.pushed / self.sfreq_hz)

    def close(self) -> None:
        """End the maker and take the streams off the network."""
        self._stop.set()
        self._maker.join()
        self._eeg = self._music = None

    def _make(self) -> None:
        try:
            for block in self._blocks.blocks():
                while not self._stop.is_set():
                    try:
                        self._made.put(block, timeout=0.1)
                        break
                    except queue.Full:
                        continue
                if self._stop.is_set():
                    return
        except Exception as error:  # raised where the next block is waited for
            _logger.exception("the simulated listener failed")
            self._made.put(error)

    def _next(self, stop: threading.Event) -> Block | None:
        while not stop.is_set():
            try:
                made = self._made.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(made, Exception):
                raise made
            return made
        return None


def stream_simulated(
    *, name: str, sfreq_hz: float, snr_db: float, seed: int, seconds: float | None, source_id: str = "",
    log: Log = print,
) -> None:
    """Stream until `seconds` have passed, SIGTERM or SIGINT; says in one line what it streams."""
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    outlet = SimulatedOutlet(name, sfreq_hz=sfreq_hz, snr_db=snr_db, seed=seed, source_id=source_id)
    try:
        log(f"streaming simulated EEG {name!r}: 125 channels, {sfreq_hz:g} Hz, {snr_db:g} dB, songs of {SONG_S:g} s")
        outlet.run(stop, float("inf") if seconds is None else seconds)
        stop.wait(0.5)  # liblsl sends from a thread of its own: let it empty its buffer
    finally:
        outlet.close()
        for number, handler in before.items():
            signal.signal(number, handler)
