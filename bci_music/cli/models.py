"""`bci-music pack`: build one, look into one, check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bci_music.cli import clap, music_models

app = typer.Typer(name="pack", no_args_is_help=True, help="Model packs: all one decoder needs, as one directory.")
app.command("train-clap")(clap.train_clap)
app.command("judge-clap")(clap.judge_clap)
app.command("train")(music_models.train)
app.command("oracle")(music_models.oracle)


@app.command()
def build(
    demo: Annotated[bool, typer.Option("--demo", help="Train on composed music and simulated listeners.")] = False,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of an `align` run that was adapted.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="With --run: the prepared study it learned from.")] = None,
    generator: Annotated[bool, typer.Option("--generator", help="With --demo: ship music models, too.")] = False,
    models: Annotated[Path, typer.Option(help="With --generator: folder of `pack train`.")] = Path("runs/music-models"),
    embedder: Annotated[
        Path | None, typer.Option("--clap", help="With --generator: the CLAP.  \\[default: MODELS/clap]")
    ] = None,
    start: Annotated[str | None, typer.Option(help="With --demo: a demo pack whose encoder goes on learning.")] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="Time for training; the rest takes longer.")] = 30.0,
    out: Annotated[Path | None, typer.Option(help="Directory of the pack.  \\[default: out/packs/NAME]")] = None,
    work: Annotated[Path, typer.Option(help="Prepared recordings, checkpoints and logs.")] = Path("runs/demo-pack"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --work.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML of the build, e.g. configs/demo-pack.yaml.")] = None,
) -> None:
    """Train a demo decoder and write it as a pack, or write a run of the lab as one (--run with --data)."""
    from bci_music.messages import UserError

    if demo == (run is not None):
        raise UserError("Say what to build: `bci-music pack build --demo`, or `--run FOLDER --data PREPARED`.")
    if run is not None:
        if data is None:
            raise UserError(f"To build a pack of {run}, give the prepared study it learned from with --data.")
        _build_of_run(run, data, out or Path("out/packs") / run.resolve().name)
        return
    from bci_music.models.pack import Pack
    from bci_music.packing.demo import DemoBuildConfig, build_demo_pack

    shipped = None
    if generator:
        from bci_music.packing.music_models import MusicModels

        shipped = MusicModels.open(models / "parts", embedder or models / "clap")
    settings = DemoBuildConfig.load(config) if config else DemoBuildConfig()
    pack = build_demo_pack(
        out or Path("out/packs/demo"), work, settings, minutes=minutes, resume=resume, models=shipped,
        start=Pack.open(start) if start else None,
    )
    typer.echo(f"{pack.name} is in {pack.directory}")


def _build_of_run(run: Path, data: Path, out: Path) -> None:
    from rich.console import Console

    from bci_music.packing.describe import describe
    from bci_music.packing.run import build_run_pack

    with Console(stderr=True).status("opening the run") as status:
        pack = build_run_pack(run, data, out, say=status.update)
    typer.echo(describe(pack))
    typer.echo(f"\n{pack.name} is in {pack.directory}")


@app.command()
def info(pack: Annotated[str, typer.Argument(help="Name or directory.")] = "demo") -> None:
    """Say what a pack is, what it was trained on and how well it decodes."""
    from bci_music.models.pack import Pack
    from bci_music.packing.describe import describe

    typer.echo(describe(Pack.open(pack)))


@app.command()
def check(pack: Annotated[str, typer.Argument(help="Name or directory.")] = "demo") -> None:
    """Verify sizes and hashes, load everything and decode one window."""
    from bci_music.models.decoder import Decoder
    from bci_music.models.pack import Pack

    opened = Pack.open(pack)
    decoder = Decoder.from_pack(opened)
    ms = decoder.warm_up()
    size = sum(entry.bytes for entry in opened.manifest.files.values())
    typer.echo(
        f"{opened.name}: {len(opened.manifest.files)} files, {size / 1e6:.1f} MB, all as listed; "
        f"one window takes {ms:.0f} ms on {decoder.device_name}"
    )
