"""`bci-music pretrain`, `align`, `adapt`, `evaluate`, `ablate`: the lab, one verb per stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bci_music.evaluation.results import Result
    from bci_music.training.lab.config import LabConfig

Data = Annotated[Path, typer.Option("--data", help="Folder made by `bci-music data prepare`.")]
Preset = Annotated[
    str, typer.Option(help="small (minutes on 2 cores), paper, released, or a YAML file like configs/lab-small.yaml.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps, instead of the preset's.")]
Minutes = Annotated[
    float | None, typer.Option(min=0.01, help="Learn so long at most, earlier calls included; the rate falls with it.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed, instead of the preset's.")]
Split = Annotated[
    str | None, typer.Option(help="random, time-block, song, listener, repeat, recording; default: the preset's.")
]
Genres = Annotated[
    str | None, typer.Option(help="Folder or pulled NAME@COMMIT of an audio classifier; default: fitted here.")
]
Resume = Annotated[
    bool, typer.Option("--resume/--restart", help="Go on from the checkpoint in --out, or start again.")
]


def old_restart(value: bool) -> bool:
    """Accept the name that --restart had."""
    if value:
        typer.echo("--anew is now called --restart; the old name is read until the next version.", err=True)
    return value


OldRestart = Annotated[bool, typer.Option("--anew", hidden=True, callback=old_restart)]
Board = Annotated[bool, typer.Option("--tensorboard/--no-tensorboard", help="Also log to TensorBoard.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def pretrain(
    data: Data, out: Annotated[Path, typer.Option(help="Folder of the run.")], preset: Preset = "small",
    split: Split = None, steps: Steps = None, minutes: Minutes = None, seed: Seed = None, resume: Resume = True,
    old_name: OldRestart = False, tensorboard: Board = True, device: Device = "auto",
) -> None:
    """Teach the encoder without music: multi-view self-distillation on the training side of the split.

    Several processes, on CPUs too: `accelerate launch --multi_gpu --num_processes 2 -m bci_music.cli.main pretrain
    ...`. Next: align.
    """
    from bci_music.messages import UserError
    from bci_music.training.lab.config import override
    from bci_music.training.lab.prepared import Prepared
    from bci_music.training.lab.run import experiment_data, init_encoder, new_network, run_pretrain, time_limit
    from bci_music.training.launch import join_processes, leave_processes

    config = _config(preset, _common(split, minutes, seed))
    if config.pretrain is None:
        raise UserError(f"The preset {preset!r} has no `pretrain:`: go on with `bci-music align`.")
    config = override(config, {"pretrain": {"loop": _steps(steps)}}, "--steps")
    where = join_processes(device)
    try:
        prepared = Prepared.open(data)
        experiment = experiment_data(prepared, config)
        network = new_network(config, prepared)
        init_encoder(network, experiment, config)
        resume = resume and not old_name
        _begin(out, resume)
        with _progress(out) as report:
            run_pretrain(
                network.encoder, experiment.segments, config, prepared, out, resume=resume, device=where, report=report,
                tensorboard=tensorboard, until=time_limit(minutes, out),
            )
    finally:
        leave_processes()
    _log(f"{experiment.split.describe()}\nThe encoder is in {out}.")
    _log(f"Next: bci-music align --data {data} --pretrained {out} --out {out.parent / 'align'}")


def align(
    data: Data, out: Annotated[Path, typer.Option(help="Folder of the run.")],
    pretrained: Annotated[Path | None, typer.Option(help="Folder of a `pretrain` run; default: none.")] = None,
    preset: Preset = "small", split: Split = None, steps: Steps = None, minutes: Minutes = None, seed: Seed = None,
    resume: Resume = True, old_name: OldRestart = False, tensorboard: Board = True, device: Device = "auto",
) -> None:
    """Draw windows of EEG to the embedding of the music heard in them (symmetric InfoNCE). Next: adapt."""
    from bci_music.training.lab.config import override
    from bci_music.training.lab.prepared import Prepared
    from bci_music.training.lab.run import (
        experiment_data,
        init_encoder,
        load_encoder,
        new_network,
        run_align,
        time_limit,
    )
    from bci_music.training.launch import join_processes, leave_processes
    from bci_music.training.provenance import ENCODER, pretraining_of, same_sides

    config = _config(preset, {"align": {"loop": _steps(steps)}} | _common(split, minutes, seed))
    learned = {"pretrain": None} if pretrained is None else pretraining_of(pretrained)
    config = override(config, learned, "the pretraining's settings")
    where = join_processes(device)
    try:
        prepared = Prepared.open(data)
        experiment = experiment_data(prepared, config)
        network = new_network(config, prepared)
        init_encoder(network, experiment, config)
        if pretrained is not None:
            same_sides(pretrained, config, prepared)
            load_encoder(network.encoder, pretrained / ENCODER)
        resume = resume and not old_name
        _begin(out, resume)
        with _progress(out) as report:
            run_align(
                network, experiment, config, out, pretrained=pretrained, resume=resume, device=where, report=report,
                tensorboard=tensorboard, until=time_limit(minutes, out),
            )
    finally:
        leave_processes()
    _log(f"{experiment.split.describe()}\nThe decoder is in {out}. Next: bci-music adapt --data {data} --run {out}")


def adapt(
    data: Data, run: Annotated[Path, typer.Option(help="Folder of an `align` run.")],
    alpha: Annotated[float | None, typer.Option(help="Ridge penalty; by default chosen by cross-validation.")] = None,
) -> None:
    """Fit the ridge from the shared space into the embedder's, on the training side of the split. Next: evaluate."""
    from bci_music.training.lab.config import override
    from bci_music.training.lab.run import run_adapt

    config, experiment, aligner = _finished(data, run)
    if alpha is not None:
        config = override(config, {"adapt": {"alpha": alpha}}, "--alpha")
        (run / "adapter.safetensors").unlink(missing_ok=True)
    adapter = run_adapt(aligner, experiment, config, run)
    _log(f"The adapter (alpha {adapter.alpha:g}) is in {run}. Next: bci-music evaluate --data {data} --run {run}")


def evaluate(
    data: Data, run: Annotated[Path, typer.Option(help="Folder of an `align` run that was adapted.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")] = Path("out/report"),
    robustness: Annotated[bool, typer.Option(help="Also with electrodes removed or replaced by noise.")] = True,
    generator: Annotated[
        str | None, typer.Option(help="Pack whose generator makes the sound.  \\[default: the library]")
    ] = None,
    genres: Genres = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Test all maps of the electrodes, not only the one the decoder gives.")
    ] = False,
    planted: Annotated[
        str | None, typer.Option(help="Simulated: region whose electrodes alone carry the response, e.g. right.")
    ] = None,
) -> None:
    """Evaluate a decoder: every metric with its interval by recording and its controls; writes one HTML page."""
    from rich.console import Console

    from bci_music.models.device import sleep_while_waiting

    if generator is not None:
        sleep_while_waiting()
    from bci_music.evaluation.evaluate import EvaluateConfig, metric_lines
    from bci_music.evaluation.experiment import evaluate_run
    from bci_music.evaluation.report.write import write_report

    config, experiment, aligner = _finished(data, run)
    with Console(stderr=True).status("evaluating") as status:
        values = {
            "robustness": robustness, "generator": generator, "genres": genres, "maps": maps, "planted": planted,
        }  # fmt: skip
        settings = EvaluateConfig.parse(values, "the options")
        result = evaluate_run(config, experiment, aligner, run, settings, status.update)
    write_report([result], out, experiment.prepared.montage)
    for line in metric_lines(result):
        _log(line)
    _log(f"The report is {out / 'report.html'}.")


def ablate(
    data: Data,
    also: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER: another prepared study that rows ask for; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of all runs, rows and the report.")] = Path("runs/table"),
    preset: Preset = "small",
    table: Annotated[Path | None, typer.Option(help="YAML of the rows; default: configs/lab-table.yaml.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this row, or all rows of this system; repeatable.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="The most each stage of a row (pretraining, alignment) may take.")
    ] = None,
    seed: Seed = None,
    workers: Annotated[int, typer.Option(min=1, help="Rows trained at once.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 2,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler: its workers run the rows, not this machine.")
    ] = None,
    genres: Genres = None,
) -> None:
    """Train and evaluate all rows of the table: ours, baselines, ablations, splits. What is done is not done again.

    Writes report.html and report.json, table.md, and lab.json with one record for every figure.
    """
    from bci_music.config import shipped
    from bci_music.evaluation.music.genre import HubGenres
    from bci_music.evaluation.plan import TablePlan, jobs
    from bci_music.evaluation.report.markdown import markdown_table
    from bci_music.evaluation.report.records import seeds_table, write_records
    from bci_music.evaluation.report.write import write_report
    from bci_music.evaluation.table import run_table
    from bci_music.training.lab.prepared import Prepared

    plan = TablePlan.load(table or shipped("configs/lab-table.yaml"))
    base = _config(preset, _common(None, None, seed))
    wanted = jobs(plan, base, tuple(only or ()), {} if minutes is None else {"minutes": minutes}, genres)
    montage = Prepared.open(data).montage  # a missing folder is an error at once
    if genres is not None:
        HubGenres.load(genres)  # and a classifier that is no good, not after the first row's training
    with _table_progress(len(wanted)) as (show, done):
        rows, failed = run_table(
            wanted, data, out, also=_named_folders(also or []), workers=workers, threads=threads, scheduler=scheduler,
            show=show, done=done,
        )
    if rows:
        write_report([row for row in rows if row.kind != "seed"] or rows, out, montage)
        write_records(rows, out / "lab.json")
        text = "\n".join(part for part in (markdown_table(rows), seeds_table(rows)) if part)
        (out / "table.md").write_text(text, encoding="utf-8")
        _log(f"{len(rows)} rows: {out / 'report.html'}, {out / 'table.md'}, {out / 'lab.json'}")
    for name, why in failed.items():
        _log(f"{name} has no row: {why}")
    if failed:
        raise typer.Exit(1)


def _named_folders(given: list[str]) -> dict[str, Path]:
    from bci_music.messages import UserError

    pairs = [text.partition("=") for text in given]
    for text, (name, equals, folder) in zip(given, pairs, strict=True):
        if not (name and equals and folder):
            raise UserError(
                f"--also {text!r} is no NAME=FOLDER: name a study as the table does, e.g. minus-6=prepared-6."
            )
    return {name: Path(folder) for name, _, folder in pairs}


def _config(preset: str, changes: dict[str, Any]) -> LabConfig:
    from bci_music.training.lab.config import lab_preset, reseeded

    config = lab_preset(preset, **{name: value for name, value in changes.items() if name != "seed"})
    return reseeded(config, changes["seed"]) if "seed" in changes else config


def _steps(steps: int | None) -> dict[str, int]:
    return {} if steps is None else {"steps": steps}


def _common(split: str | None, minutes: float | None, seed: int | None) -> dict[str, Any]:
    """Options that every stage has, those that are set."""
    options: dict[str, Any] = {"split": split, "minutes": minutes, "seed": seed}
    return {name: value for name, value in options.items() if value is not None}


def _begin(out: Path, resume: bool) -> None:
    """Clear what an earlier run left, unless it is resumed."""
    if not resume:
        for path in [*out.glob("*.safetensors"), out / "checkpoint.pt", out / "log.jsonl"]:
            path.unlink(missing_ok=True)


def _there(path: Path, made_by: str) -> Path:
    from bci_music.messages import UserError

    if not path.is_file():
        raise UserError(f"There is no {path}: make it with {made_by}.")
    return path


def _finished(data: Path, run: Path) -> tuple[Any, Any, Any]:
    """Settings, data and aligner of a finished alignment."""
    from bci_music.training.lab.config import LabConfig
    from bci_music.training.lab.prepared import Prepared
    from bci_music.training.lab.run import experiment_data, load_aligner, new_network
    from bci_music.training.provenance import ALIGNER, CONFIG, same_data

    _there(run / ALIGNER, "`bci-music align`")
    config = LabConfig.load(run / CONFIG)
    prepared = Prepared.open(data)
    same_data(run, prepared)
    experiment = experiment_data(prepared, config)
    return config, experiment, load_aligner(new_network(config, prepared), experiment, config, run)


def _log(text: str) -> None:
    from bci_music.models import parallel

    if parallel.rank() == 0:
        typer.echo(text)


@contextmanager
def _progress(out: Path) -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """A bar over steps, with the loss and what is left of the time."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bci_music.models import parallel

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), disable=parallel.rank() > 0)
    tasks: dict[str, Any] = {}

    def report(stage: str, step: int, of: int, metrics: dict[str, float]) -> None:
        progress.start()  # not before there is something to show: an error comes without an empty bar
        if stage not in tasks:
            tasks[stage] = progress.add_task(stage, total=of)
        progress.update(tasks[stage], completed=step, description=f"{stage} (loss {metrics['loss']:.2f})")

    try:
        yield report
    finally:
        if tasks:
            progress.stop()


@contextmanager
def _table_progress(
    n_rows: int,
) -> Iterator[tuple[Callable[[tuple[str, str, int, int]], None], Callable[[Result], None]]]:
    """One bar per row that is at work, and one for the table."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    whole = progress.add_task("rows", total=n_rows)
    tasks: dict[str, Any] = {}

    def show(progress_of: tuple[str, str, int, int]) -> None:
        progress.start()  # not before there is something to show: an error comes without an empty bar
        name, stage, step, of = progress_of
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=None)
        if of:
            progress.update(tasks[name], completed=step, total=of, description=f"{name}: {stage}")

    def done(row: Result) -> None:
        progress.start()
        if row.name in tasks:
            progress.update(tasks.pop(row.name), visible=False)
        metric = row.metrics[0]
        progress.console.print(f"{row.name}: {metric.label} {metric.value:.3f}, {row.minutes:.1f} min")
        progress.advance(whole)

    try:
        yield show, done
    finally:
        if progress.live.is_started:
            progress.stop()
