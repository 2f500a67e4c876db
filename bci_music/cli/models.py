"""`bci-music pack`: build the demo pack, look into a pack, check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="pack", no_args_is_help=True, help="Model packs: all one decoder needs, as one directory.")


@app.command()
def build(
    demo: Annotated[bool, typer.Option("--demo", help="Train on composed music and simulated listeners.")] = False,
    minutes: Annotated[float, typer.Option(min=0.05, help="Time for training; the rest takes longer.")] = 30.0,
    out: Annotated[Path, typer.Option(help="Directory of the pack.")] = Path("out/packs/demo"),
    work: Annotated[Path, typer.Option(help="Prepared recordings, checkpoints and logs.")] = Path("runs/demo-pack"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --work.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML of the build, e.g. configs/demo-pack.yaml.")] = None,
) -> None:
    """Train a decoder and write it as a pack."""
    from bci_music.messages import UserError

    if not demo:
        raise UserError("Only the demo pack can be built so far: say `bci-music pack build --demo`.")
    from bci_music.training.build import DemoBuildConfig, build_demo_pack

    settings = DemoBuildConfig.load(config) if config else DemoBuildConfig()
    pack = build_demo_pack(out, work, settings, minutes=minutes, resume=resume)
    typer.echo(f"{pack.name} is in {pack.directory}")


@app.command()
def info(pack: Annotated[str, typer.Argument(help="Name or directory.")] = "demo") -> None:
    """Say what a pack is, what it was trained on and how well it decodes."""
    from bci_music.models.pack import Pack
    from bci_music.models.pack_report import describe

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
