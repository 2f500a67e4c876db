"""`bci-music calibrate`: fit a pack's adapter to one listener."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bci_music.cli.options import ReadingOptions, shared


@shared
def calibrate(
    read: ReadingOptions,
    session: Annotated[
        list[Path], typer.Option("--session", help="A recording with song markers, or a folder of them; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the listener's pack.")],
    pack: Annotated[str, typer.Option("--pack", help="Name or folder of the pack to start from.")] = "demo",
    audio: Annotated[
        Path | None, typer.Option("--audio", help="YAML that maps each song to its audio file.")
    ] = None,
    listener: Annotated[str | None, typer.Option("--listener", help="Whose recordings; also names the pack.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Penalty around the pack's adapter; by default chosen by cross-validation.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="YAML with any of the settings of the fit.")] = None,
) -> None:
    """Fit a pack to one listener from minutes of EEG with known music (better 5 to 10), and report whether it helps.

    The encoder stays; a new adapter is fitted around the pack's own. Afterwards: `bci-music live --pack FOLDER`.
    """
    from rich.console import Console

    from bci_music.config import read_yaml
    from bci_music.packing.listener import make_listener_pack
    from bci_music.training.calibration.listener import CalibrateConfig

    values = read_yaml(config) if config else {}
    if alpha is not None:
        values["alpha"] = alpha
    settings = CalibrateConfig.parse(values, str(config) if config else "the options")
    with Console(stderr=True).status("opening the pack") as status:
        made = make_listener_pack(
            pack, session, out, audio=audio, listener=listener, config=settings, reading=read.reading(),
            log=status.update,
        )
    for line in made.words():
        typer.echo(line)
    typer.echo(f"{made.pack.name} is in {out}. Next: bci-music live --pack {out}")
