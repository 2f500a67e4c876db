"""`bci-music generate`: one clip of music from words, a sound, a vector or a window of EEG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bci_music.cli.options import Way

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bci_music.generation.audioldm.echoes import EchoesLdm
    from bci_music.generation.audioldm.sampler import AudioLdm

LENGTH_S = 10.24  # of a clip that no EEG leads


def generate(
    text: Annotated[str | None, typer.Option("--text", help="What it is to sound like, in words.")] = None,
    audio: Annotated[Path | None, typer.Option("--audio", help="A sound file it is to sound like.")] = None,
    embedding: Annotated[Path | None, typer.Option("--embedding", help="A .npy file of 512 numbers.")] = None,
    way: Annotated[Way, typer.Option("--way", help="echoes: EEG, step by step, leads it; give --eeg.")] = Way.STYLE,
    eeg: Annotated[Path | None, typer.Option("--eeg", help="Recording that leads a clip of --way echoes.")] = None,
    at: Annotated[float, typer.Option("--at", min=0, help="Second of the recording at which its window ends.")] = 30.0,
    generator: Annotated[
        str, typer.Option("--generator", help="auto, audioldm, transformer: of the pack; or folder or name of another.")
    ] = "auto",
    pack: Annotated[str, typer.Option("--pack", help="Name or folder of the pack.")] = "demo",
    clap: Annotated[
        str | None, typer.Option("--clap", help="Folder or name of the CLAP that leads --generator.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", min=0.64, max=60, help="About how long.  \\[default: 10.24, with --eeg the window's length]"
        ),
    ] = None,
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
    """Make one clip of music like a text, a sound or an embedding, or led by a window of EEG, and write it as WAV."""
    from rich.console import Console
    from rich.progress import Progress

    from bci_music.models.device import sleep_while_waiting

    sleep_while_waiting()
    from bci_music.generation.audioldm.single import make_single
    from bci_music.generation.audioldm.solver import SamplerSettings
    from bci_music.generation.condition import from_file, from_sound, from_text
    from bci_music.generation.open import open_model
    from bci_music.messages import UserError

    echoes = way is Way.ECHOES
    if echoes != (eeg is not None):
        raise UserError("EEG leads a clip of --way echoes: give both, --way echoes and --eeg RECORDING, or neither.")
    given_as = sum(given is not None for given in (text, audio, embedding))
    if given_as > 1 or not (given_as or echoes):
        raise UserError("Say what it is to sound like: give one of --text WORDS, --audio FILE and --embedding FILE.")
    kind, where, leads = _chosen(generator, pack, clap)
    console = Console(stderr=True)
    with console.status("loading the models"):
        if text is not None:
            vector = from_text(text, where, leads)
        elif audio is not None:
            vector = from_sound(audio, where, leads)
        elif embedding is not None:
            vector = from_file(embedding)
        model: AudioLdm
        if eeg is not None:
            model, decoded, covered_s = _led(eeg, at, pack, None if generator == "auto" else where, device)
            vector = vector if given_as else decoded
            seconds = seconds or covered_s
        else:
            model = open_model(kind, checkpoint=where, device=device)
    given = {"steps": steps, "guidance": guidance, "solver": solver}
    asked = {name: value for name, value in given.items() if value is not None}
    settings = SamplerSettings.parse({**model.settings.model_dump(), **asked}, "the options")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("denoising", total=settings.steps)
        clip = make_single(
            model, vector, seconds or LENGTH_S, settings=settings, seed=seed,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )  # fmt: skip
    clip.write(out)
    if picture is not None:
        clip.draw(picture)
    for line in (*model.notes, *clip.words(), f"written to {out}" + (f" and {picture}" if picture else "")):
        typer.echo(line)


def _led(
    eeg: Path, at: float, pack: str, checkpoint: str | None, device: str | None
) -> tuple[EchoesLdm, NDArray[np.float32], float]:
    """The ControlNet's model led by the window of a recording that ends at `at`, its vector, its length in seconds."""
    from bci_music.data.formats import open_session
    from bci_music.data.session import AS_IT_IS
    from bci_music.generation.audioldm.echoes import EegCourse
    from bci_music.generation.echoes import EchoesConfig
    from bci_music.messages import UserError
    from bci_music.models.decoder import Decoder
    from bci_music.models.pack import Pack
    from bci_music.training.eeg.sessions import session_windows

    opened = Pack.open(pack)
    made = EchoesConfig(checkpoint=checkpoint, device=device).open(opened)
    session, decoder = open_session(eeg, AS_IT_IS), Decoder.from_pack(opened, device=device)
    ends_s = float(session.times_s[0]) + at
    windows = [w for w in session_windows(session, opened.manifest.signal, opened.montage) if w.decodable]
    window = next((w for w in reversed(windows) if w.end_s <= ends_s), None)
    if window is None:
        raise UserError(f"{eeg.name} has no window of EEG that ends by second {at:g}: give a later one with --at.")
    decoded = decoder.decode(window, window.end_s, steps=True)
    assert decoded.steps is not None
    course = EegCourse(decoded.steps.values, decoded.steps.seconds)
    return made.model.led_by(course, course.seconds), decoded.vector, course.seconds


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
