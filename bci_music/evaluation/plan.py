"""A table as data: which systems, under which conditions, with which training seeds; a row is what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bci_music.config import Config
from bci_music.evaluation.evaluate import EvaluateConfig
from bci_music.evaluation.results import Kind
from bci_music.messages import UserError
from bci_music.training.lab.config import LabConfig, merged, override, reseeded


class ConditionPlan(Config):
    """What rows are trained and evaluated on: a split of a study, as changes of the preset.

    `study` names a prepared study given as ``--also NAME=FOLDER``; empty: that of ``--data``. `label` is added to the
    titles of the rows. Rows that have several training seeds use all of them only where `seeds` says so.
    """

    label: str = ""
    study: str = ""
    seeds: bool = False
    set: dict[str, Any] = {}


class ExperimentPlan(Config):
    """One experiment: its title, and what it changes in the preset.

    `under` names the conditions it runs under; the first makes the row of this name, others rows NAME-CONDITION.
    Without any it runs as the preset says. `seeds` are training seeds: the first makes the row, others rows
    NAME-seedN.
    """

    title: str
    robustness: bool = False
    under: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    set: dict[str, Any] = {}


class TablePlan(Config):
    """All experiments of a table, by name; `set` is what all of them change in the preset."""

    RENAMED = {"rows": "systems"}

    set: dict[str, Any] = {}
    conditions: dict[str, ConditionPlan] = {}
    systems: dict[str, ExperimentPlan] = {}
    ablations: dict[str, ExperimentPlan] = {}
    splits: dict[str, ExperimentPlan] = {}


@dataclass(frozen=True)
class Job:
    """One experiment, resolved. `row` is the system it belongs to, `study` where its data is (`ConditionPlan`)."""

    name: str
    kind: Kind
    config: LabConfig
    settings: EvaluateConfig
    row: str = ""
    study: str = ""


def jobs(
    plan: TablePlan, base: LabConfig, only: tuple[str, ...] = (), changes: dict[str, Any] | None = None,
    genres: str | None = None,
) -> list[Job]:
    """Resolve the experiments of a plan, or some of them by name; `changes` apply to all of them on top.

    The name of a system in `only` means all its rows. `genres` names an audio classifier for all of them instead of
    the one fitted on the study's own genres.
    """
    whole = list(_resolved(plan, base, changes or {}, genres))
    names = list(dict.fromkeys(name for job in whole for name in (job.row, job.name)))
    for name in only:
        if name not in names:
            raise UserError(f"The table has no row {name!r}: choose from {', '.join(names)}.")
    doubles = [job.name for i, job in enumerate(whole) if job.name in {other.name for other in whole[:i]}]
    if doubles:
        raise UserError(f"Two rows of the table come to the same name {doubles[0]!r}: give one of them another.")
    return [job for job in whole if not only or {job.row, job.name} & set(only)]


def _resolved(plan: TablePlan, base: LabConfig, changes: dict[str, Any], genres: str | None) -> Iterator[Job]:
    groups: tuple[tuple[Kind, dict[str, ExperimentPlan]], ...] = (
        ("system", plan.systems), ("ablation", plan.ablations), ("split", plan.splits)
    )  # fmt: skip
    for kind, group in groups:
        for short, row in group.items():
            name = f"split-{short}" if kind == "split" else short
            for number, condition in enumerate(row.under or [""]):
                there = _condition(plan, condition, name)
                where = f"{name!r} of the table"
                title = f"{row.title}, {there.label}" if there.label else row.title
                own = merged(merged(merged(plan.set, there.set), row.set), {"title": title})
                config = override(override(base, own, where), changes, "the changes for all of them")
                seeds = row.seeds if there.seeds else row.seeds[:1]
                for place, seed in enumerate(seeds or [None]):
                    yield Job(
                        name + (f"-{condition}" if number else "") + (f"-seed{seed}" if place else ""),
                        "seed" if place else "split" if number else kind,
                        config if seed is None else reseeded(config, seed),
                        EvaluateConfig(robustness=row.robustness and not number and not place, genres=genres),
                        name, there.study,
                    )  # fmt: skip


def _condition(plan: TablePlan, name: str, row: str) -> ConditionPlan:
    if not name:
        return ConditionPlan()
    if name not in plan.conditions:
        there = ", ".join(plan.conditions) or "none"
        raise UserError(f"{row!r} of the table is to run under {name!r}, which is no condition: there are {there}.")
    return plan.conditions[name]
