"""The sound that is heard, by LSL time: from files that markers or a start put in their place, or as it is captured."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.files import opening, shown
from bci_music.messages import MusicMarker, UserError
from bci_music.models.embedder import to_mono_16k

RATE_HZ = 16_000
KEPT_S = 60.0  # of captured sound
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
MOST_MARKERS = 2000  # older ones are forgotten
ADVICE = "give a sound file such as WAV, FLAC, OGG or MP3"
Sound = NDArray[np.float32]


class HeardSound:
    """Says what was heard when; all but `between` may have nothing to do."""

    name = ""  # for people
    why = ""  # why nothing is known, "" where something is

    def between(self, start_s: float, stop_s: float) -> Sound | None:
        """Return what was heard between two LSL times, mono at 16 kHz; None where that is not known."""
        return None

    def begin(self, first_s: float) -> None:
        """Take the LSL time at which the EEG began."""

    def marker(self, marker: MusicMarker) -> None:
        """Take a change of the music (any thread)."""

    def step(self, now: float) -> None:
        """Take what has come."""

    def close(self) -> None:
        """Let go of what is open."""


class SoundFiles(HeardSound):
    """Sound files, placed in time by music markers: a folder's by the songs' names, a single one by the first song.

    Parameters
    ----------
    path : Path
        A file, or a folder of files named like the songs of the markers (``night-bus.wav``).
    start_s : float, optional
        A single file begins so many seconds after the EEG's first sample, whatever the markers say.
    """

    def __init__(self, path: Path, start_s: float | None = None):
        self.name = path.name
        self._start_s = start_s
        self._lock = threading.Lock()
        self._markers: deque[MusicMarker] = deque(maxlen=MOST_MARKERS)
        self._only: Path | None = None  # is the song announced first
        self._song: str | None = None
        self._of: dict[str, Path] = {}
        if path.is_dir():
            if start_s is not None:
                raise UserError(f"{shown(path)} is a folder, placed by song markers: give --heard-start a single file.")
            with opening(path, "a folder of sound files", ADVICE):
                self._of = {found.stem: found for found in sorted(path.iterdir()) if found.suffix.lower() in SUFFIXES}
            if not self._of:
                raise UserError(f"{shown(path)} holds no sound file: {ADVICE}s, named like the songs of the markers.")
        else:
            self._only = path
        for file in self._of.values() if self._only is None else [self._only]:
            _check(file)

    def begin(self, first_s: float) -> None:
        """A file with a start begins so many seconds later."""
        if self._start_s is not None and not self._markers:
            self._markers.append(MusicMarker(first_s + self._start_s, self.name, self.name, 0.0))

    def marker(self, marker: MusicMarker) -> None:
        """Take a change of the music (any thread); markers may come late but are kept in order."""
        if self._start_s is not None:
            return
        with self._lock:
            self._song = marker.song if self._song is None else self._song
            if self._only is not None and marker.song not in (None, self._song):
                marker = replace(marker, song="")  # another song than the file's
            self._markers = deque(sorted([*self._markers, marker], key=lambda m: m.time_s), MOST_MARKERS)

    def between(self, start_s: float, stop_s: float) -> Sound | None:
        """Put together what markers place there; None where a song's sound, or what was heard, is not known."""
        with self._lock:
            markers = list(self._markers)
        first = max((i for i, m in enumerate(markers) if m.time_s <= start_s), default=-1)
        if first < 0:
            return None
        heard = np.zeros(round((stop_s - start_s) * RATE_HZ), np.float32)
        for marker, following in zip(markers[first:], [*markers[first + 1 :], None], strict=True):
            from_s, until_s = max(marker.time_s, start_s), min(following.time_s if following else stop_s, stop_s)
            if marker.time_s >= stop_s:
                break
            if until_s <= from_s or marker.song is None:
                continue
            path = self._of.get(marker.song) if self._only is None else self._only if marker.song else None
            if path is None:
                return None
            at, n = round((from_s - start_s) * RATE_HZ), round((until_s - from_s) * RATE_HZ)
            piece = _read(path, marker.song_start_s + from_s - marker.time_s, n)
            heard[at : at + len(piece)] += piece[: len(heard) - at]
        return heard

    @property
    def why(self) -> str:  # type: ignore[override]
        """Nothing is known before a marker came."""
        return "" if self._markers else f"no music marker came yet that says when {self.name} began"


class SoundMemory:
    """The newest minute of sound that is captured (n,) mono, and when its first sample was heard.

    Parameters
    ----------
    rate_hz : float
    """

    def __init__(self, rate_hz: float):
        self.rate_hz = rate_hz
        self.origin_s: float | None = None  # LSL time of sample 0
        self.total = 0
        self._kept: deque[tuple[int, Sound]] = deque()

    def add(self, samples: Sound) -> None:
        """Append."""
        self._kept.append((self.total, samples))
        self.total += len(samples)
        while self._kept[0][0] < self.total - KEPT_S * self.rate_hz:
            self._kept.popleft()

    def between(self, start_s: float, stop_s: float) -> Sound | None:
        """Mono at 16 kHz, None where it is not all there."""
        if self.origin_s is None or not self._kept:
            return None
        a, b = (round((t - self.origin_s) * self.rate_hz) for t in (start_s, stop_s))
        if a < self._kept[0][0] or b > self.total or b <= a:
            return None
        held = [part[max(0, a - first) : max(0, b - first)] for first, part in self._kept]
        heard = to_mono_16k(np.concatenate(held), self.rate_hz)
        n = round((stop_s - start_s) * RATE_HZ)
        return np.pad(heard[:n], (0, max(0, n - len(heard))))



def _check(path: Path) -> None:
    """Refuse what is no sound file."""
    import soundfile

    with opening(path, "sound", ADVICE):
        soundfile.info(str(path))


def _read(path: Path, start_s: float, n: int) -> Sound:
    """At most `n` samples at 16 kHz from a second of the file on: fewer at its end, and before its beginning zeros."""
    import soundfile

    with opening(path, "sound", ADVICE), soundfile.SoundFile(str(path)) as file:
        rate = float(file.samplerate)
        begin, wanted = round(start_s * rate), round(n / RATE_HZ * rate)
        before, first = min(max(0, -begin), wanted), max(0, begin)
        if first >= file.frames:
            return np.zeros(0, np.float32)
        file.seek(first)
        samples = file.read(wanted - before, dtype="float32", always_2d=True).mean(axis=1)
    samples = np.concatenate([np.zeros(before, np.float32), np.nan_to_num(samples)])
    return to_mono_16k(samples, rate)[:n] if len(samples) else np.zeros(0, np.float32)
