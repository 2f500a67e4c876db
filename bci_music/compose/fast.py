"""The composer's music at 16 kHz in mono, some hundred times faster than real time: for training.

Notes are rendered at 48 kHz as ever, but only once: they are kept at 16 kHz in a few lengths, and a note is the next
longer one, faded out where it ends.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import cache, lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bci_music.compose.mastering import limit, loudness_lufs, reverb
from bci_music.compose.orchestra import ORCHESTRA, WIDE
from bci_music.compose.percussion import stroke
from bci_music.compose.score import KICKS, Note, SongSpec, section_gain, write_score
from bci_music.compose.synthesis import RATE_HZ, Wave

FAST_HZ = 16_000
LUFS, CEILING_DB = -19.0, -1.5  # as loud as the two channels of a song at -16
_RUN_UP_S = 3.0  # before an excerpt: notes and echoes that ring into it
_SHORTEST_S, _LENGTH_STEP = 0.1, 1.7
_LEAST_RELEASE_S = 0.05


class RenderedNotes:
    """Notes as they sound at 16 kHz, the least used dropped when `max_bytes` are full."""

    def __init__(self, max_bytes: int = 512_000_000):
        self._waves: OrderedDict[tuple[str, int, int], Wave] = OrderedDict()
        self._max_bytes, self._bytes = max_bytes, 0

    def get(self, instrument: str, drum: bool, pitch: int, seconds: float) -> Wave:
        """One note or stroke (n,), with what rings on after `seconds`."""
        if drum:
            return self._kept(instrument, True, 0, 0)
        step = max(0, math.ceil(math.log(max(seconds, 1e-3) / _SHORTEST_S) / math.log(_LENGTH_STEP) - 1e-6))
        wave, length_s = self._kept(instrument, False, pitch, step), _SHORTEST_S * _LENGTH_STEP**step
        release = int(max(_LEAST_RELEASE_S, wave.size / FAST_HZ - length_s) * FAST_HZ)
        stop = int(seconds * FAST_HZ) + release
        if seconds > 0.97 * length_s or stop >= wave.size:
            return wave
        note = wave[:stop].copy()
        note[stop - release :] *= _fall(release)
        return note

    def _kept(self, instrument: str, drum: bool, pitch: int, step: int) -> Wave:
        key = (instrument, pitch, step)
        wave = self._waves.get(key)
        if wave is None:
            wave = _rendered(instrument, drum, pitch, _SHORTEST_S * _LENGTH_STEP**step)
            wave.flags.writeable = False
            self._waves[key] = wave
            self._bytes += wave.nbytes
            while self._bytes > self._max_bytes and len(self._waves) > 1:
                self._bytes -= self._waves.popitem(last=False)[1].nbytes
        else:
            self._waves.move_to_end(key)
        return wave


@lru_cache(maxsize=256)
def _fall(n: int) -> NDArray[np.float32]:
    return (0.5 + 0.5 * np.cos(np.pi * np.arange(1, n + 1) / n)).astype(np.float32)


@cache
def _rendered_notes() -> RenderedNotes:
    return RenderedNotes()


def _rendered(instrument: str, drum: bool, pitch: int, seconds: float) -> Wave:
    if drum:
        wave = stroke(instrument)
    else:
        freq = 440.0 * 2 ** ((pitch - 69) / 12)
        wave = ORCHESTRA[instrument](freq, seconds)
        if instrument in WIDE:  # what left and right sound like together
            other = ORCHESTRA[instrument](freq * 1.0011, seconds)
            wave = 0.5 * (wave + other[: wave.size])
    return np.asarray(soxr.resample(wave, RATE_HZ, FAST_HZ), np.float32)


def fast_mix(
    spec: SongSpec, seconds: float, start_s: float = 0.0, rendered: RenderedNotes | None = None
) -> NDArray[np.float32]:
    """Render an excerpt of a song: (n,) at 16 kHz, from `start_s` on, brought to `LUFS`.

    The excerpt begins and ends as it does inside the song: what rings into it is heard, and nothing is faded.
    """
    rendered = rendered or _rendered_notes()
    first_s = max(0.0, start_s - _RUN_UP_S)
    score = [n for n in write_score(spec, start_s + seconds) if first_s - 1.0 <= n.start_s < start_s + seconds]
    n = round((start_s + seconds - first_s) * FAST_HZ)
    straight, ducked, send = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    for note in score:
        part = spec.parts[note.part]
        wave = rendered.get(part.instrument, part.role == "drums", note.pitch, note.seconds)
        loud = note.velocity * 10 ** (part.gain_db / 20) * section_gain(spec, note.start_s)
        angle = (part.pan + 1) * np.pi / 4
        centre = 0.6 * (np.cos(angle) + np.sin(angle))  # of both channels, as the stereo mix pans
        target = ducked if part.duck else straight
        for late_s, share in _strokes(spec, part.echo):
            first = int((note.start_s + late_s - first_s) * FAST_HZ)
            skip = max(0, -first)
            piece = wave[skip : max(skip, n - first)]
            if piece.size:
                at = slice(first + skip, first + skip + piece.size)
                target[at] += np.float32(loud * share * centre) * piece
                if part.send:
                    send[at] += np.float32(loud * share * part.send) * piece
    mix = straight + ducked * _pump(spec, score, first_s, n)
    wet = reverb(send, spec.reverb_s, spec.seed, FAST_HZ, ears=1)[0]
    mix += wet * np.float32(1.5 * math.sqrt(0.5))  # two tails that differ, heard as one channel
    if spec.dull_hz:
        mix = sosfilt(_low_pass(spec.dull_hz), mix).astype(np.float32)
    return _mastered(mix)[n - round(seconds * FAST_HZ) :]


def _strokes(spec: SongSpec, echo: tuple[float, float] | None) -> list[tuple[float, float]]:
    """How late and how loud a note and its echoes are."""
    if echo is None:
        return [(0.0, 1.0)]
    beats, fall = echo
    return [(k * beats * spec.beat_s, fall**k) for k in range(4)]


@cache
def _dip() -> NDArray[np.float32]:
    t = np.arange(int(0.26 * FAST_HZ)) / FAST_HZ
    dip = 1 - 0.55 * np.minimum(1, t / 0.006) * np.exp(-t * 11) * np.minimum(1, (0.26 - t) / 0.05)
    return dip.astype(np.float32)


def _pump(spec: SongSpec, score: list[Note], first_s: float, n: int) -> NDArray[np.float32]:
    """Gain that dips at each kick."""
    gain, dip = np.ones(n, np.float32), _dip()
    for note in score:
        if spec.parts[note.part].instrument in KICKS:
            first = int((note.start_s - first_s) * FAST_HZ)
            stop = min(n, first + dip.size)
            if first >= 0 and stop > first:
                gain[first:stop] = np.minimum(gain[first:stop], dip[: stop - first])
    return gain


@cache
def _low_pass(cutoff_hz: float) -> NDArray[np.float64]:
    return butter(2, cutoff_hz, fs=FAST_HZ, output="sos")


@cache
def _rumble() -> NDArray[np.float64]:
    return butter(2, 28, btype="high", fs=FAST_HZ, output="sos")


def _mastered(mix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring (n,) to `LUFS`, its peaks under the ceiling."""
    mix = sosfilt(_rumble(), mix).astype(np.float32)
    gain = 10 ** ((LUFS - loudness_lufs(mix[None], FAST_HZ)) / 20)
    return limit(mix[None] * np.float32(gain), 10 ** (CEILING_DB / 20), FAST_HZ)[0]
