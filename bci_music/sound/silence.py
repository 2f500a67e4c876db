"""How long a recording of the sound is silent: measured on what was written, not on what was meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ, UserError

THRESHOLD = 10 ** (-60 / 20)
SHORTEST_S = 0.25


def silent_spans(samples: NDArray[np.floating], sfreq_hz: float = AUDIO_RATE_HZ) -> list[tuple[int, int]]:
    """Stretches in which every channel stays below -60 dBFS for longer than 0.25 s, as (start, stop) samples."""
    quiet = np.abs(samples.reshape(len(samples), -1)).max(axis=1, initial=0.0) < THRESHOLD
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False])).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, stop) for start, stop in pairs if (stop - start) > SHORTEST_S * sfreq_hz]


class SilenceMeter:
    """Listens to a player and counts as `silent_seconds` does, from the first sample that is not silent."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.frames = 0  # taken in
        self._quiet = 0  # samples, of the stretch that has not ended
        self._begun = False

    def __call__(self, samples: NDArray[np.floating]) -> None:
        """Take the next (n, 2) samples."""
        self.frames += len(samples)
        loud = np.flatnonzero(np.abs(samples).max(axis=1, initial=0.0) >= THRESHOLD)
        if not len(loud):
            self._quiet += len(samples) * self._begun
            return
        inside = np.diff(loud) - 1
        for stretch in (self._quiet + int(loud[0]) * self._begun, *inside.tolist()):
            self._count(stretch)
        self._begun, self._quiet = True, len(samples) - 1 - int(loud[-1])

    @property
    def so_far(self) -> float:
        """Seconds of silence, the stretch that lasts included."""
        last = self._quiet / AUDIO_RATE_HZ
        return self.seconds + (last if last > SHORTEST_S else 0.0)

    def _count(self, stretch: int) -> None:
        if stretch > SHORTEST_S * AUDIO_RATE_HZ:
            self.seconds += stretch / AUDIO_RATE_HZ


def silent_seconds(sound: str | Path | NDArray[np.floating], after_s: float | None = None) -> float:
    """Seconds of silence (below -60 dBFS for longer than 0.25 s).

    Parameters
    ----------
    sound : path or (n, 2) array
        A sound file, or samples at 48 kHz.
    after_s : float, optional
        Count from here on; by default from the first sample that is not silent.
    """
    if isinstance(sound, str | Path):
        import soundfile

        try:
            samples, rate = soundfile.read(sound, dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as error:
            text = f"{sound} could not be read as a sound file ({error}): give a WAV that was played."
            raise UserError(text) from error
    else:
        samples, rate = sound, AUDIO_RATE_HZ
    if after_s is None:
        loud = np.flatnonzero(np.abs(samples.reshape(len(samples), -1)).max(axis=1, initial=0.0) >= THRESHOLD)
        first = int(loud[0]) if len(loud) else 0
    else:
        first = round(after_s * rate)
    return sum(stop - start for start, stop in silent_spans(samples[first:], rate)) / rate
