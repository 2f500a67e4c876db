"""What tracking found: numbers, the rule by which they read or do not, one sentence, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.report import wording
from bci_music.evaluation.tracking.controls import (
    LEVEL,
    Course,
    Spread,
    other_piece_draws,
    p_value,
)
from bci_music.metrics.metric import interval

Values = Sequence[float] | NDArray[np.floating]
RULE = f"reads where p < {LEVEL:g} against circular shifts and r is above that of EEG from before the sound"
UNITS_FROM = 5  # with so many listeners the interval draws listeners, with fewer recordings


@dataclass(frozen=True)
class TrackingSettings:
    """How many draws of each control, from which seed, and how many spatial components of the EEG are used."""

    draws: int = 499
    seed: int = 0
    components: int = 32


@dataclass(frozen=True)
class RecordingRow:
    """One recording's correlation."""

    recording: str
    listener: str
    sound: str
    r: float
    before: float


@dataclass(frozen=True)
class Evidence:
    """One decoder under one way of holding out, against its controls.

    Attributes
    ----------
    held_out : str
        What the decoder had not met, in words.
    target : str
    r : float
        Mean over recordings of the correlation in time of what was decoded and what was heard.
    before, before_ci95
        The same where only EEG from before the sound may be used.
    draws : (n,)
        Mean correlation under circular shifts.
    """

    held_out: str
    target: str
    r: float
    ci95: tuple[float, float] | None
    before: float
    before_ci95: tuple[float, float] | None
    draws: NDArray[np.float64] = field(repr=False)
    mismatched: Spread | None
    rows: tuple[RecordingRow, ...]

    @property
    def p(self) -> float:
        """Against circular shifts."""
        return p_value(self.r, self.draws)

    @property
    def shifts(self) -> Spread:
        """Circular shifts, summarised."""
        return Spread.of(self.draws)

    @property
    def reads(self) -> bool:
        """Whether this is evidence by `RULE`."""
        return self.p < LEVEL and self.r > self.before

    def by_listener(self) -> dict[str, float]:
        """Mean correlation of each listener."""
        own: dict[str, list[float]] = {}
        for row in self.rows:
            own.setdefault(row.listener, []).append(row.r)
        return {listener: float(np.mean(values)) for listener, values in own.items()}

    def words(self) -> str:
        """The numbers, without what follows from them."""
        other = f"; other pieces {_spread(self.mismatched)}" if self.mismatched else ""
        return (
            f"r = {wording.number(self.r)} ({_interval(self.ci95)}), {wording.p_value(self.p)}; circular shifts "
            f"{_spread(self.shifts)}{other}; EEG from before the sound {wording.number(self.before)}"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "held_out": self.held_out, "target": self.target, "r": self.r, "ci95": self.ci95, "p": self.p,
            "reads": self.reads, "before": {"r": self.before, "ci95": self.before_ci95},
            "shifts": vars(self.shifts), "mismatched": vars(self.mismatched) if self.mismatched else None,
            "by_listener": self.by_listener(), "recordings": [vars(row) for row in self.rows],
        }  # fmt: skip


@dataclass(frozen=True)
class Tracking:
    """Whether a study's EEG carries the heard sound; `evidence[0]` decides, the others stand beside it."""

    study: str
    simulated: bool
    seconds: float
    recordings: int
    listeners: int
    pieces: int
    evidence: tuple[Evidence, ...]
    decoder: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def reads(self) -> bool:
        """Whether the evidence that decides is one."""
        return self.evidence[0].reads

    def sentence(self) -> str:
        """Say it with its numbers."""
        first = self.evidence[0]
        what = "reads: the EEG carries the heard sound" if self.reads else \
            "does not read: that the EEG carries the heard sound is not shown"
        return (
            f"Tracking {what}. Sound's {first.target} from {first.held_out}: {first.words()}; {self.extent()}."
        )

    def extent(self) -> str:
        """On how much it rests."""
        kind = "simulated EEG" if self.simulated else "EEG"
        return (
            f"{self.seconds:,.0f} s of {kind}, {_some(self.recordings, 'recording')} of "
            f"{_some(self.listeners, 'listener')} with {_some(self.pieces, 'piece')}"
        )

    def decoder_sentences(self) -> list[str]:
        """Say the same of the decoders that went through the gate."""
        return [
            f"The decoder {one.held_out} {'reads' if one.reads else 'does not read'}. Decoded against heard "
            f"{one.target}: {one.words()}; {_some(len(one.rows), 'recording')}."
            for one in self.decoder
        ]

    def lines(self) -> list[str]:
        """All of it for people, the sentence first."""
        more = [
            f"  {one.target}, {one.held_out}: {one.words()}: {'reads' if one.reads else 'does not read'}"
            for one in self.evidence[1:]
        ]
        return [
            self.sentence(), *self.decoder_sentences(), *(["Beside it:"] if more else []), *more,
            f"The rule: {RULE}.", *(f"Note: {note}." for note in self.notes),
        ]  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "format": 1, "study": self.study, "simulated": self.simulated, "reads": self.reads, "rule": RULE,
            "sentence": self.sentence(), "seconds": self.seconds, "recordings": self.recordings,
            "listeners": self.listeners, "pieces": self.pieces,
            "evidence": [one.as_json() for one in self.evidence], "decoder": [one.as_json() for one in self.decoder],
            "decoder_sentences": self.decoder_sentences(), "notes": list(self.notes),
        }  # fmt: skip


def weigh(
    courses: Sequence[Course], r: Values, before: Values, draws: Values, *, held_out: str, target: str,
    pieces: dict[str, str], settings: TrackingSettings,
) -> Evidence:
    """Put a decoder's correlations beside all controls.

    Parameters
    ----------
    courses : sequence of Course
        One per recording.
    r, before : (n_recordings,)
        Correlation of each, and where only EEG from before the sound may be used.
    draws : (n,)
        Mean correlation over recordings under circular shifts.
    pieces : mapping of sound to piece
    """
    listeners = np.array([course.listener for course in courses])
    recordings = np.array([f"{course.recording} {course.sound}" for course in courses])
    unit = listeners if len(np.unique(listeners)) >= UNITS_FROM else recordings
    other = other_piece_draws(courses, pieces, settings.draws, np.random.default_rng([settings.seed, 43]))
    rows = tuple(
        RecordingRow(c.recording, c.listener, c.sound, float(own), float(earlier))
        for c, own, earlier in zip(courses, r, before, strict=True)
    )
    return Evidence(
        held_out, target, float(np.mean(r)), interval(np.asarray(r), unit, settings.seed), float(np.mean(before)),
        interval(np.asarray(before), unit, settings.seed), np.asarray(draws),
        None if other is None else Spread.of(other), rows,
    )  # fmt: skip


def write_tracking(tracking: Tracking, directory: Path) -> Path:
    """Write ``tracking.json``, whole or not at all."""
    path = directory / "tracking.json"
    directory.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(tracking.as_json(), indent=1, ensure_ascii=False), encoding="utf-8")
    part.replace(path)
    return path


def _spread(spread: Spread) -> str:
    return f"{wording.number(spread.mean)} ± {wording.number(spread.sd)}, largest {wording.number(spread.largest)}"


def _interval(ci95: tuple[float, float] | None) -> str:
    return "one recording, no interval" if ci95 is None else f"95 % {wording.interval(ci95)}"


def _some(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
