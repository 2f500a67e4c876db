"""Does a recording carry the heard sound at all? Sound reconstructed from EEG of held-out pieces and listeners."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.tracking.controls import Course
from bci_music.evaluation.tracking.result import Evidence, Tracking, TrackingSettings, weigh
from bci_music.evaluation.tracking.study import MIN_SHIFT_S, Report, TrackingStudy, Trial
from bci_music.heard.features import RATE_HZ, TARGETS, in_band
from bci_music.heard.ridge import (
    LagSums,
    added,
    autocorrelation,
    fit_ridge,
    held_out_r,
    reconstruct,
    shifted_cross,
)
from bci_music.messages import UserError

AFTER = range(0, 27, 2)  # rows at 64 Hz: 0 to 406 ms after the sound; every second one, for EEG ends at 8 Hz
BEFORE = range(-32, -5, 2)  # as many: 500 to 94 ms before it
_FIFTHS = 5  # of one recording of one piece, each held out in turn
_GUARD = RATE_HZ  # rows at the beginning of a fifth that are left out: EEG there answers the one before
_INNER = 3  # parts of what is learned from, to choose the penalty by
_LEAST_EIGENVALUE = 1e-6  # of the largest; components below are numerical noise


@dataclass(frozen=True)
class _Unit:
    """A trial, or a fifth of one; `group` is held out together.

    The targets of its sums are, for every alignment (the true one, then the shifted ones), those of `TARGETS` against
    EEG after the sound, and last those of the true alignment against EEG from before it. `fit` has the sound as it is,
    `held` its part in the band.
    """

    trial: int
    group: str
    fit: LagSums
    held: LagSums


def track(
    study: TrackingStudy, settings: TrackingSettings | None = None, report: Report = lambda done, of, what: None
) -> Tracking:
    """Reconstruct flux and envelope from held-out EEG, against all controls.

    Whole pieces are held out, then whole listeners; with one of either, that way is left out and the notes say so. With
    one piece and one listener, fifths of the recording are. The first way there is, on flux, decides.

    A circular shift goes the whole way: decoders are fitted, and penalties chosen, with the shifted sound as well.
    Shifting it in what is held out alone would not do: folds learn from each other, so that under chance their
    correlations go together, and the mean of them strays by up to half as much again as such shifts tell.

    Parameters
    ----------
    report : callable
        Is given the folds done, of how many, and what is held out.

    Raises
    ------
    UserError
        Where no electrode moves.
    """
    settings = settings or TrackingSettings()
    ways, notes = _ways(study)
    axes = components(study.trials, settings.components)
    if not axes.size:
        raise UserError(f"The EEG of {study.name} is flat between 1 and 8 Hz: look at it with `bci-music data info`.")
    rng = np.random.default_rng([settings.seed, 41])
    whole = [unit for i in range(len(study.trials)) for unit in _units(study, i, ways[0], axes, settings, rng)]
    units = {ways[0]: whole} | {
        way: [replace(unit, group=str(getattr(study.trials[unit.trial], way))) for unit in whole] for way in ways[1:]
    }
    of, done = sum(len({unit.group for unit in own}) for own in units.values()), 0
    evidence: list[Evidence] = []
    for way, own in units.items():
        r, weights = np.zeros((len(own), own[0].fit.cross.shape[2])), {}
        for group in dict.fromkeys(unit.group for unit in own):
            report(done, of, f"held out: {group}")
            learned = [unit for unit in own if unit.group != group]
            fitted, _ = fit_ridge([added([unit.fit for unit in part]) for part in _inner(learned)])
            for number, unit in enumerate(own):
                if unit.group == group:
                    r[number] = held_out_r(fitted, unit.held)
            weights[group] = fitted[..., : len(TARGETS)]
            done += 1
        evidence += _evidence(study, own, way, r, weights, axes, settings)
    report(of, of, "")
    return Tracking(
        study.name, study.simulated, sum(trial.seconds for trial in study.trials), len(study.names("recording")),
        len(study.names("listener")), len(study.names("piece")), tuple(evidence), notes=(*study.notes, *notes),
    )  # fmt: skip


def _ways(study: TrackingStudy) -> tuple[list[str], list[str]]:
    """What can be held out, and in words what cannot."""
    ways = [what for what in ("piece", "listener") if len(study.names(what)) > 1]
    notes = [f"there is one {what} only, so none can be held out" for what in ("piece", "listener") if what not in ways]
    return ways or ["fifth"], notes


def components(trials: Iterable[Trial], most: int) -> NDArray[np.float64]:
    """(C, k) axes of the electrodes' covariance, the strongest first. They know EEG alone, nothing of the sound."""
    parts = (part.eeg.astype(np.float32) for trial in trials for part in trial.parts)
    covariance = sum(eeg.T @ eeg for eeg in parts)
    values, axes = np.linalg.eigh(np.asarray(covariance, np.float64))
    kept = values > _LEAST_EIGENVALUE * max(float(values[-1]), np.finfo(float).tiny)
    return axes[:, kept][:, ::-1][:, :most]


def _units(
    study: TrackingStudy, i: int, way: str, axes: NDArray[np.float64], settings: TrackingSettings,
    rng: np.random.Generator,
) -> list[_Unit]:
    """Correlate one trial with its sound under the true alignment and under shifts of its own."""
    trial = study.trials[i]
    eeg = [part.eeg.astype(np.float64) @ axes for part in trial.parts]
    fit, held = _heard(trial, study.sounds[trial.sound])
    n, least = len(fit), round(MIN_SHIFT_S * RATE_HZ)
    shifts = np.concatenate([[0], rng.integers(least, n - least + 1, settings.draws)])
    if way != "fifth":
        return [_unit(i, str(getattr(trial, way)), eeg, np.ones(n, bool), fit, held, shifts)]
    edges = np.linspace(0, n, _FIFTHS + 1).astype(int)
    row, units = np.arange(n), []
    for k in range(_FIFTHS):
        inside = (row >= edges[k] + (_GUARD if k else 0)) & (row < edges[k + 1])
        units.append(_unit(i, f"fifth {k + 1}", eeg, inside, fit, held, shifts))
    return units


def _heard(trial: Trial, sound: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sound beside the trial's EEG (n, 2) as it is and its part in the band, each column about its mean."""
    band = in_band(sound)
    made = []
    for rows in (sound, band):
        heard = np.concatenate([rows[part.rows] for part in trial.parts])
        heard = heard - heard.mean(axis=0)
        spread = heard.std(axis=0)
        made.append(heard / np.where(spread > 1e-12, spread, np.inf))
    return made[0], made[1]


def _unit(
    trial: int, group: str, eeg: list[NDArray[np.float64]], inside: NDArray[np.bool_], fit: NDArray[np.float64],
    held: NDArray[np.float64], shifts: NDArray[np.int64],
) -> _Unit:
    """Correlate the EEG of the rows `inside` with the sound, which is shifted round the whole trial."""
    ends = np.cumsum([len(part) for part in eeg])
    cut = [np.where(own[:, None], part, 0.0) for part, own in zip(eeg, np.split(inside, ends[:-1]), strict=True)]
    auto, whole = sum(autocorrelation(part, AFTER) for part in cut), np.concatenate(cut)

    def sums(sound: NDArray[np.float64]) -> LagSums:
        after = shifted_cross(whole, sound, AFTER, shifts)
        cross = np.concatenate([after, shifted_cross(whole, sound, BEFORE, shifts[:1])], axis=2)
        power = (sound * sound).sum(axis=0) * inside.mean()
        return LagSums(np.asarray(auto), cross, np.tile(power, cross.shape[2] // len(power)))

    return _Unit(trial, group, sums(fit), sums(held))


def _inner(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """Part what is learned from, whole groups together where there are several."""
    groups = sorted({unit.group for unit in units})
    keys = [groups.index(unit.group) if len(groups) > 1 else number for number, unit in enumerate(units)]
    parts: dict[int, list[_Unit]] = {}
    for unit, key in zip(units, keys, strict=True):
        parts.setdefault(key % _INNER, []).append(unit)
    return list(parts.values())


def _evidence(
    study: TrackingStudy, units: Sequence[_Unit], way: str, r: NDArray[np.float64],
    weights: dict[str, NDArray[np.floating]], axes: NDArray[np.float64], settings: TrackingSettings,
) -> list[Evidence]:
    """Weigh each target: r (units, alignments and targets) is taken together by trial."""
    of = np.array([unit.trial for unit in units])
    trials = list(dict.fromkeys(of.tolist()))
    by_trial = np.stack([r[of == i].mean(axis=0) for i in trials]).reshape(len(trials), -1, len(TARGETS))
    pieces = {trial.sound: trial.piece for trial in study.trials}
    found = []
    for k, target in enumerate(TARGETS):
        courses = [_course(study, [u for u in units if u.trial == i], i, k, weights, axes) for i in trials]
        found.append(weigh(
            courses, by_trial[:, 0, k], by_trial[:, -1, k], by_trial[:, 1:-1, k].mean(axis=0), target=target,
            held_out={"fifth": "held-out fifths of the recording"}.get(way, f"held-out {way}s"), pieces=pieces,
            settings=settings,
        ))  # fmt: skip
    return found


def _course(
    study: TrackingStudy, units: Sequence[_Unit], i: int, k: int, weights: dict[str, NDArray[np.floating]],
    axes: NDArray[np.float64],
) -> Course:
    """What is made of a trial, for the controls that need it in time; of fifths, each by its own decoder."""
    trial = study.trials[i]
    fit = [weights[unit.group][..., k : k + 1] for unit in units]
    made = [
        [reconstruct(part.eeg.astype(np.float64) @ axes, w, AFTER) for part in trial.parts] for w in fit
    ]  # fmt: skip
    rows = [np.concatenate(parts) for parts in made]
    edges = np.linspace(0, len(rows[0]), len(rows) + 1).astype(int)
    joined = np.concatenate([own[a:b] for own, a, b in zip(rows, edges[:-1], edges[1:], strict=True)])
    heard = _heard(trial, study.sounds[trial.sound])[1][:, k : k + 1]
    return Course(joined, heard, trial.listener, trial.sound, trial.recording, round(MIN_SHIFT_S * RATE_HZ))
