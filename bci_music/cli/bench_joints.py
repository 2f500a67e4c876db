"""`bci-music bench joints`: whether the joints of generated clips can be told from what lies inside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from bci_music.models.pack import Pack


def joints(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    audioldm: Annotated[
        str | None, typer.Option("--audioldm", help="Folder or hub id of an AudioLDM.  \\[default: the pack's]")
    ] = None,
    pack: Annotated[str, typer.Option("--pack", help="Whose generator plays, in the styles of its library.")] = "demo",
    number: Annotated[int, typer.Option("--joints", min=5, help="Joints to make.")] = 100,
    seconds: Annotated[float, typer.Option("--clip-seconds", min=1.5, help="Length of a clip.")] = 5.12,
    wav: Annotated[Path | None, typer.Option("--wav", help="Also write what was judged.")] = None,
) -> None:
    """Spectral flux and energy dips at joints against stretches of the same length inside clips.

    Takes as long as it takes to generate the clips: some minutes for 100 on two cores.
    """
    import sys

    from rich.console import Console

    from bci_music.models.device import sleep_while_waiting

    sleep_while_waiting()
    from bci_music.bench.splices import JointsConfig, compare, record
    from bci_music.models.pack import Pack

    config = JointsConfig(joints=number, clip_s=seconds)
    opened = Pack.open(pack)
    generator = _generator(opened, audioldm)
    with Console(stderr=True).status(f"making {number + 1} clips"):
        recorded = record(generator, _vectors(opened), config)
        found = {"generator": generator.name, "trained": generator.trained, **compare(recorded, config)}
    if wav is not None:
        import soundfile

        from bci_music.messages import AUDIO_RATE_HZ

        soundfile.write(wav, recorded.sound, AUDIO_RATE_HZ)
    if json:
        import json as json_module

        json_module.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show(found)
    if not found["passes"]:
        raise typer.Exit(1)


def _generator(pack: Pack, where: str | None) -> Any:
    """Return AudioLDM without a deadline; every clip is made anew."""
    from bci_music.generation.audioldm.generator import AudioLdmConfig
    from bci_music.generation.open import GeneratorsConfig, open_generator
    from bci_music.messages import UserError

    found = where or pack.generator
    if found is None:
        raise UserError(f"Pack {pack.name} brings no AudioLDM: give --audioldm with a folder or a hub id.")
    config = AudioLdmConfig(checkpoint=str(found), anytime=False, most_repeats=0)
    return open_generator("audioldm", GeneratorsConfig(audioldm=config))


def _vectors(pack: Pack) -> np.ndarray:
    from bci_music.generation.library import MusicLibrary

    return MusicLibrary.load(pack.directory / "library").embeddings


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"bench joints: {found['joints']} joints, {found['stretches']} stretches of {found['stretch_s']:.2f} s"
    table = Table(title=title, title_justify="left")
    for column in ("dB", "at joints", "inside", "95 % at joints", "95 % inside", "p", ""):
        table.add_column(column)
    for name, label in (("flux", "largest spectral flux"), ("dip", "energy dip")):
        row = found[name]
        values = [row[k] for k in ("joint_mean_db", "inside_mean_db", "joint_p95_db", "inside_p95_db")]
        table.add_row(label, *(f"{v:.2f}" for v in values), f"{row['p']:.3f}", "ok" if row["passes"] else "audible")
    Console().print(table)
    trained = "" if found["trained"] else " (not trained)"
    Console().print(f"{found['generator']}{trained}. Target: p > 0.05 and 95 % within 1 dB.", highlight=False)
