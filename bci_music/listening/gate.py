"""Does this recording carry the sound, as far as it has come? The tracking gate, asked again after every excerpt."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.report import wording
from bci_music.evaluation.tracking.result import TrackingSettings
from bci_music.evaluation.tracking.study import LEAST_S, RawPart, finished, make_trial
from bci_music.evaluation.tracking.track import track
from bci_music.files import opening
from bci_music.heard.features import sound_rows
from bci_music.listening.songs import Excerpt
from bci_music.messages import UserError

if TYPE_CHECKING:
    from bci_music.evaluation.tracking.study import Trial

DRAWS = 199  # of each control: p can be as small as .005
COMPONENTS = 16  # of the EEG: as the recording is short, and has to be read again and again


@dataclass(frozen=True)
class GateStatus:
    """How it stands: `since_s` is the listening time from which on every answer was yes, None where the last was no.

    `seconds` is the listening time that the last answer rests on; without one `r` is NaN.
    """

    seconds: float = 0.0
    r: float = float("nan")
    largest: float = float("nan")  # of the shifted sound
    p: float = float("nan")
    since_s: float | None = None
    looks: int = 0

    def words(self) -> str:
        """For people, and for anybody who did not read about statistics."""
        if self.looks == 0:
            return "whether your recording carries the sound cannot be said yet"
        numbers = f"r {wording.number(self.r)}, {wording.p_value(self.p)}"
        if self.since_s is None:
            control = f"{numbers}, shifted sound up to {wording.number(self.largest)}"
            return f"that your recording carries the sound is not shown after {clock(self.seconds)} ({control})"
        return f"your recording carries the sound: {numbers}, above its control since {clock(self.since_s)}"


@dataclass
class _Song:
    """What is known of one song: its sound at 64 Hz, and the EEG heard beside it."""

    rows: NDArray[np.float64]
    parts: list[RawPart] = field(default_factory=list)


class Gate:
    """A stage that looks again whenever something new was heard.

    Each look may err on its own (p < .05), so that what it says meanwhile is a sign and no proof; the proof is the
    one look at the end, at the whole of what was recorded.
    """

    def __init__(self, name: str, simulated: bool = False):
        self._name, self._simulated = name, simulated
        self._lock = threading.Lock()
        self._new: list[tuple[Excerpt, RawPart]] = []
        self._songs: dict[str, _Song] = {}
        self._heard_s = 0.0
        self.status = GateStatus()
        self.history: tuple[GateStatus, ...] = (self.status,)  # and after every look

    def add(self, excerpt: Excerpt, eeg: NDArray[np.floating], sfreq_hz: float, used: NDArray[np.bool_]) -> None:
        """Take what was recorded while an excerpt was heard (any thread).

        Parameters
        ----------
        excerpt : Excerpt
            Its path holds the whole song.
        eeg : (n, n_channels)
            From its first sample on, without a break.
        used : (n_channels,) bool
            Electrodes to be trusted.
        """
        clean = np.where(used, np.nan_to_num(eeg), 0.0)
        clean = np.where(used, clean - clean.sum(axis=1, keepdims=True) / max(1, int(used.sum())), 0.0)
        part = RawPart(clean.T.astype(np.float32), sfreq_hz, excerpt.start_s)
        with self._lock:
            self._new.append((excerpt, part))

    def step(self, now: float) -> None:
        """Look at all that was heard so far, if anything is new."""
        with self._lock:
            new, self._new = self._new, []
        if not new:
            return
        for excerpt, part in new:
            if excerpt.song not in self._songs:
                self._songs[excerpt.song] = _Song(_sound(excerpt))
            self._songs[excerpt.song].parts.append(part)
            self._heard_s += excerpt.seconds
        self._look()

    def _look(self) -> None:
        try:
            trials = [trial for song in self._songs if (trial := self._trial(song)) is not None]
            sounds = {song: own.rows for song, own in self._songs.items()}
            study = finished(self._name, trials, len(self._songs), sounds, self._simulated)
            found = track(study, TrackingSettings(DRAWS, components=COMPONENTS)).evidence[0]
        except UserError:  # too little as yet, or flat EEG, which the electrodes' verdicts say
            return
        before = self.status
        since = (before.since_s if before.since_s is not None else self._heard_s) if found.reads else None
        self.status = GateStatus(
            self._heard_s, found.r, found.shifts.largest, found.p, since, before.looks + 1
        )  # fmt: skip
        self.history = (*self.history, self.status)

    def _trial(self, song: str) -> Trial | None:
        own = self._songs[song]
        if sum(part.eeg.shape[1] / part.sfreq_hz for part in own.parts) < LEAST_S:
            return None
        return make_trial(self._name, song, song, self._name, own.parts, len(own.rows))


def clock(seconds: float) -> str:
    """Minutes and seconds, as in 2:40."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _sound(excerpt: Excerpt) -> NDArray[np.float64]:
    import soundfile

    with opening(excerpt.path, "a song of the calibration", "begin it again with another --record"):
        audio, rate = soundfile.read(excerpt.path, dtype="float32", always_2d=True)
    return sound_rows(audio.mean(axis=1), rate)
