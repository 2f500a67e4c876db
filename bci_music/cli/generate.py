"""`bci-music generate`: one clip of music from words, a sound or a vector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def generate(
    text: Annotated[str | None, typer.Option("--text", help="What it is to sound like, in words.")] = None,
    audio: Annotated[Path | None, typer.Option("--audio", help="A sound file it is to sound like.")] = None,
    embedding: Annotated[Path | None, typer.Option("--embedding", help="A .npy file of 512 numbers.")] = None,
    generator: Annotated[
        str, typer.Option("--generator", help="auto, audioldm, transformer: of the pack; or folder or name of another.")
    ] = "auto",
    pack: Annotated[str, typer.Option("--pack", help="Name or folder of the pack.")] = "demo",
    clap: Annotated[
        str | None, typer.Option("--clap", help="Folder or name of the CLAP that leads --generator.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.64, max=60, help="About how long.")] = 10.24,
    steps: Annotated[int | None, typer.Option("--steps", help="Denoising steps.  \\[default: the model's]")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="How strongly the embedding guides it.  \\[default: the model's]")
    ] = None,
    solver: Annotated[
        str | None, typer.Option("--solver", help="ddim, dpm++, lcm or euler.  \\[default: the model's]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed, another clip.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="WAV file to write.")] = Path("clip.wav"),
    picture: Annotated[Path | None, typer.Option("--picture", help="PNG file for its spectrogram.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="cuda or cpu; cuda where there is one.")] = None,
) -> None:
    """Make one clip of music like a text, a sound or an embedding, and write it as WAV."""
    from rich.console import Console
    from rich.progress import Progress

    from bci_music.models.device import sleep_while_waiting

    sleep_while_waiting()
    from bci_music.generation.audioldm.single import make_single
    from bci_music.generation.audioldm.solver import SamplerSettings
    from bci_music.generation.condition import from_file, from_sound, from_text
    from bci_music.generation.open import open_model
    from bci_music.messages import UserError

    if sum(given is not None for given in (text, audio, embedding)) != 1:
        raise UserError("Say what it is to sound like: give one of --text WORDS, --audio FILE and --embedding FILE.")
    kind, where, leads = _chosen(generator, pack, clap)
    console = Console(stderr=True)
    with console.status("loading the models"):
        if text is not None:
            vector = from_text(text, where, leads)
        elif audio is not None:
            vector = from_sound(audio, where, leads)
        else:
            assert embedding is not None
            vector = from_file(embedding)
        model = open_model(kind, checkpoint=where, device=device)
    given = {"steps": steps, "guidance": guidance, "solver": solver}
    asked = {name: value for name, value in given.items() if value is not None}
    settings = SamplerSettings.parse({**model.settings.model_dump(), **asked}, "the options")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("denoising", total=settings.steps)
        clip = make_single(
            model, vector, seconds, settings=settings, seed=seed,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )  # fmt: skip
    clip.write(out)
    if picture is not None:
        clip.draw(picture)
    for line in (*model.notes, *clip.words(), f"written to {out}" + (f" and {picture}" if picture else "")):
        typer.echo(line)


def _chosen(generator: str, name: str, clap: str | None) -> tuple[str, str, str | None]:
    """Which denoiser, the folder or name of its parts, and the embedder whose vectors lead it."""
    from bci_music.generation.audioldm.loading import note_of
    from bci_music.generation.open import AUTO, generator_names
    from bci_music.messages import UserError
    from bci_music.models.pack import Pack

    words = (AUTO, *generator_names())
    if generator not in words:
        return note_of(Path(generator)).plays, generator, clap
    pack = Pack.open(name)
    if pack.generator is None:
        raise UserError(f"Pack {pack.name} brings no music model: give one with --generator FOLDER.")
    kind = note_of(pack.generator).plays if generator == AUTO else generator
    return kind, str(pack.generator), clap or str(pack.generator.parent / "embedder")
