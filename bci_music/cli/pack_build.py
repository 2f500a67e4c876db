"""`bci-music pack build`: a demo decoder, a run of the lab, or the second way, as a pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def build(
    demo: Annotated[bool, typer.Option("--demo", help="Train on composed music and simulated listeners.")] = False,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of an `align` run that was adapted.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="With --run: the prepared study it learned from.")] = None,
    generator: Annotated[bool, typer.Option("--generator", help="With --demo: ship music models, too.")] = False,
    models: Annotated[Path, typer.Option(help="With --generator: folder of `pack train`.")] = Path("runs/music-models"),
    embedder: Annotated[
        Path | None, typer.Option("--clap", help="With --generator: the CLAP.  \\[default: MODELS/clap]")
    ] = None,
    way: Annotated[
        str | None, typer.Option("--way", help="echoes: the second way for the pack of --music-of, a ControlNet.")
    ] = None,
    music_of: Annotated[
        str | None, typer.Option(help="With --demo: ship the music models of this pack. With --way: this pack.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="With --demo: a demo pack whose encoder goes on learning.")] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="Time for training; the rest takes longer.")] = 30.0,
    out: Annotated[Path | None, typer.Option(help="Directory of the pack.  \\[default: out/packs/NAME]")] = None,
    work: Annotated[Path, typer.Option(help="Prepared recordings, checkpoints and logs.")] = Path("runs/demo-pack"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --work.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML of the build, e.g. configs/demo-pack.yaml.")] = None,
) -> None:
    """Train a demo decoder and write it as a pack.

    Or write a run of the lab as one (--run with --data), or train the second way for a pack (--way echoes).
    """
    from bci_music.messages import UserError

    if [demo, run is not None, way is not None].count(True) != 1:
        raise UserError(
            "Say what to build: `bci-music pack build --demo`, `--run FOLDER --data PREPARED`, or `--way echoes`."
        )
    if way is not None:
        if way != "echoes":
            raise UserError(f"There is no way {way!r} to build: `--way echoes` is the one that is trained here.")
        _build_echoes(music_of or "demo", out or Path("out/packs/echoes"), work, minutes, config)
        return
    if run is not None:
        if data is None:
            raise UserError(f"To build a pack of {run}, give the prepared study it learned from with --data.")
        _build_of_run(run, data, out or Path("out/packs") / run.resolve().name)
        return
    from bci_music.models.pack import Pack
    from bci_music.packing.demo import DemoBuildConfig, build_demo_pack
    from bci_music.packing.music_models import MusicModels, PackMusic

    if generator and music_of:
        raise UserError("--generator ships the models in --models, --music-of those of a pack: give one of them.")
    shipped: MusicModels | PackMusic | None = None
    if generator:
        shipped = MusicModels.open(models / "parts", embedder or models / "clap")
    elif music_of:
        shipped = PackMusic.of(Pack.open(music_of))
    settings = DemoBuildConfig.load(config) if config else DemoBuildConfig()
    pack = build_demo_pack(
        out or Path("out/packs/demo"), work, settings, minutes=minutes, resume=resume, models=shipped,
        start=Pack.open(start) if start else None,
    )
    typer.echo(f"{pack.name} is in {pack.directory}")


def _build_echoes(pack: str, out: Path, work: Path, minutes: float, config: Path | None) -> None:
    from rich.console import Console

    from bci_music.models.pack import Pack
    from bci_music.packing.echoes import EchoesBuildConfig, build_echoes_pack

    settings = EchoesBuildConfig.load(config) if config else EchoesBuildConfig()
    with Console(stderr=True).status("opening the pack") as status:

        def report(at: int, metrics: dict[str, float]) -> None:
            of = settings.control.loop.steps
            status.update(f"step {at}/{of}: loss {metrics['loss']:.4f}, {metrics['seconds']:.2f} s a step")

        made, took = build_echoes_pack(
            Pack.open(pack), out, work, settings, minutes=minutes, log=status.update, report=report
        )
    stages = ", ".join(f"{stage} {spent:.1f} min" for stage, spent in took.items())
    typer.echo(f"{made.name} is in {made.directory} ({stages}). Next: bci-music demo --pack {out} --way echoes.")


def _build_of_run(run: Path, data: Path, out: Path) -> None:
    from rich.console import Console

    from bci_music.packing.describe import describe
    from bci_music.packing.run import build_run_pack

    with Console(stderr=True).status("opening the run") as status:
        pack = build_run_pack(run, data, out, log=status.update)
    typer.echo(describe(pack))
    typer.echo(f"\n{pack.name} is in {pack.directory}")
