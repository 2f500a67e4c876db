"""`bci-music lab echoes`: the second way trained on a study, and its table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bci_music.cli.tracking import compare_rows


def echoes(
    data: Annotated[Path, typer.Option("--data", help="Folder that `data prepare` made, with its music.")],
    pack: Annotated[str, typer.Option("--pack", help="Pack with a transformer: name or folder.")] = "demo",
    out: Annotated[Path, typer.Option("--out", help="Folder for table, records and pictures.")] = Path("out/echoes"),
    work: Annotated[
        Path, typer.Option("--work", help="Trainings and sounds: what is there is not made again.")
    ] = Path("runs/echoes"),
    split: Annotated[
        list[str] | None, typer.Option("--split", help="listener, time-block; repeatable.  \\[default: both]")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Row of the table to make; repeatable.  \\[default: all]")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="YAML of trainings and windows.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what the comparison draws.")] = 0,
) -> None:
    """Train the second way on a study and compare it with its controls, its ablations and the first way.

    Decoder and ControlNets learn on the training side of each split, some minutes of a thread each; then music is made
    for windows of the test side, the listeners' and seconds never learned from, and compared with what was heard, as
    `lab reconstructions` does. An interrupted run goes on where it was.
    """
    from rich.console import Console

    from bci_music.evaluation.echoes.make import HeldOut, make_row, rows_of
    from bci_music.evaluation.echoes.study import SPLITS, EchoesStudy, EchoesStudyConfig
    from bci_music.files import try_folder
    from bci_music.messages import UserError
    from bci_music.models.device import sleep_while_waiting
    from bci_music.models.pack import Pack
    from bci_music.training.lab.prepared import Prepared

    sleep_while_waiting()
    wanted = tuple(name for name in SPLITS if name in (split or SPLITS))
    if unknown := [name for name in split or () if name not in SPLITS]:
        raise UserError(f"There is no split {unknown[0]!r} here: choose from {', '.join(SPLITS)}.")
    try_folder(out, "--out")
    settings = EchoesStudyConfig.load(config) if config else EchoesStudyConfig()
    opened, prepared = Pack.open(pack), Prepared.open(data)
    with Console(stderr=True).status("opening") as status:
        for name in wanted:
            study = EchoesStudy(prepared, opened, name, settings, work, status.update)
            side = HeldOut(study)
            for row in rows_of(study, only or ()):

                def report(done: int, of: int, where: str = f"{name}, {row}") -> None:
                    status.update(f"{where}: {done} of {of} pieces")

                if not (study.rows / f"{row}--{name}.json").is_file():
                    make_row(side, row, study.rows, report)
    compare_rows(study.rows, out, data, pack, seed)
