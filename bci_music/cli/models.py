"""`bci-music models`: checkpoints of AudioLDM, MusicLDM, Stable Audio and CLAP: fetching, checking, converting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from bci_music.models.checkpoints.inspect import Findings
    from bci_music.models.checkpoints.towers import Agreement

app = typer.Typer(
    no_args_is_help=True, help="Real checkpoints: AudioLDM, MusicLDM, Stable Audio, CLAP. Fetched once, then offline."
)  # fmt: skip

Where = Annotated[str, typer.Argument(help="Directory, alias (`models list`) or name on the hub.")]


@app.command("list")
def list_() -> None:
    """Show the checkpoints this program knows, their licences, and which are on this machine."""
    from rich.console import Console
    from rich.table import Table

    from bci_music.models.checkpoints.catalogue import CATALOGUE
    from bci_music.models.checkpoints.store import cache_dir, pulled_revision

    table = Table("name", "for", "licence", "GB", "here", box=None, header_style="bold")
    for entry in CATALOGUE:
        commit = pulled_revision(entry.name)
        size = f"{entry.bytes / 1e9:.1f}" if entry.bytes else "?"
        table.add_row(f"{entry.alias}\n[dim]{entry.name}[/dim]", entry.purpose, entry.licence, size,
                      commit[:12] if commit else "no")  # fmt: skip
    Console().print(table)
    typer.echo(f"Fetched checkpoints lie in {cache_dir() / 'models'}; any other name on the hub can be pulled too.")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="Alias (`models list`) or name on the hub.")],
    revision: Annotated[str | None, typer.Option(help="Commit or branch instead of the pinned one.")] = None,
    lock: Annotated[Path | None, typer.Option(help="Lock shared with others: met, or made if it lacks this.")] = None,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="Accept without being asked.")] = False,
) -> None:
    """Fetch a checkpoint, or see that every byte of it is here. An interrupted pull goes on where it broke off."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from bci_music.models.checkpoints.pull import pull as fetch

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(file: str, here: int, of: int) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file, total=of)
            progress.update(tasks[file], completed=here, total=of)

        done = fetch(
            name, revision=revision, lock=lock, accept=accept_licence, ask=_asker(progress), report=report,
            log=lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
        )  # fmt: skip
    what = f"{done.fetched / 1e6:.0f} MB fetched" if done.fetched else "it was here, every byte as it was pulled"
    if done.converted:
        what += f", {len(done.converted)} pickled files written as safetensors"
    typer.echo(
        f"{done.pulled.name} at {done.pulled.revision[:12]} ({done.pulled.licence}) is in {done.folder}: {what}."
    )


@app.command()
def check(
    where: Where,
    clap: Annotated[
        str | None, typer.Option(help="CLAP that is to lead this generator: compare the text towers.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu.")] = None,
) -> None:
    """Look a checkpoint over, open it, and prove that a CLAP speaks the generator's language. A fault: exit code 2."""
    from bci_music.models.checkpoints.catalogue import known
    from bci_music.models.checkpoints.inspect import inspect_checkpoint
    from bci_music.models.checkpoints.store import find_checkpoint

    found = inspect_checkpoint(_unverified(where) or find_checkpoint(where))
    if found.problems:
        for sentence in found.problems:
            typer.echo(f"bci-music: {sentence}", err=True)
        raise typer.Exit(2)
    typer.echo(_open(found, device))
    for note in found.notes:
        typer.echo(note)
    entry = known(where)
    if found.kind == "generator":
        _towers(clap or (entry.clap if entry and entry.clap else None), where)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Folder with pickled weights, or a .pt file of laion_clap.")],
    target: Annotated[Path, typer.Argument(help="New folder.")],
) -> None:
    """Write pickled weights as safetensors; nothing in the pickle is run."""
    if source.suffix == ".pt":
        from bci_music.models.clap import convert_laion

        convert_laion(source, target)
    else:
        from bci_music.models.checkpoints.pickled import convert_folder

        convert_folder(source, target)
    typer.echo(f"{target} holds {source} as safetensors.")


@app.command()
def control(
    where: Where,
    target: Annotated[Path, typer.Argument(help="New folder.")],
    eeg_dim: Annotated[int, typer.Option(min=1, max=65_536, help="Numbers of an EEG step.")],
    pooled: Annotated[bool, typer.Option("--pooled", help="EEG as its mean, not step by step.")] = False,
) -> None:
    """Write a ControlNet over a Stable Audio checkpoint: copies of the first half, silent until it is trained."""
    from bci_music.files import shown
    from bci_music.generation.audioldm.loading import quiet_loading
    from bci_music.generation.stable_audio.control import StableAudioControl
    from bci_music.generation.stable_audio.loading import load_stable_audio
    from bci_music.messages import UserError

    if target.exists():
        raise UserError(f"{shown(target)} is there already: name a new folder.")
    model = load_stable_audio(where)
    made = StableAudioControl.over(
        model.transformer, eeg_dim, model.text_dim, form="pooled" if pooled else "sequence"
    )  # fmt: skip
    with quiet_loading():
        made.save_pretrained(target)
    size = sum(p.numel() for p in made.parameters()) / 1e6
    typer.echo(
        f"{target} holds an untrained ControlNet over {model.name}: copies of {made.config.copied} of its "
        f"{model.transformer.config.num_layers} blocks, {size:.1f} M parameters. It adds nothing until it is trained."
    )


@app.command()
def clip(
    where: Where,
    target: Annotated[Path, typer.Argument(help="Sound file to write (.wav or .flac).")],
    seconds: Annotated[float, typer.Option(help="Length of the clip.")] = 5.0,
    words: Annotated[str, typer.Option(help="Description of the music.")] = "",
    steps: Annotated[int, typer.Option(help="Steps of the scheduler.")] = 100,
    guidance: Annotated[float, typer.Option(help="How far words and EEG lead; 1: as little as they do.")] = 7.0,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same clip.")] = 0,
    control: Annotated[Path | None, typer.Option(help="Folder of a ControlNet (`models control`).")] = None,
    eeg: Annotated[Path | None, typer.Option(help="EEG steps over the clip: .npy, steps x numbers.")] = None,
    listener: Annotated[str, typer.Option(help="Name of the listener, as in training.")] = "",
) -> None:
    """Make a clip with a Stable Audio checkpoint on the processor, led by EEG where a ControlNet is given."""
    from bci_music.files import shown, write_whole
    from bci_music.generation.stable_audio.clip import Order, Watch, make_clip
    from bci_music.generation.stable_audio.loading import load_stable_audio
    from bci_music.messages import UserError

    if target.suffix not in (".wav", ".flac"):
        raise UserError(f"{shown(target)} is no name of a sound file: let it end in .wav or .flac.")
    if (control is None) != (eeg is None) or (listener and control is None):
        raise UserError("EEG needs a ControlNet and a ControlNet EEG: give --control and --eeg together.")
    model, order = load_stable_audio(where), Order(seconds, words, steps, guidance, seed)
    lead = None
    if control is not None and eeg is not None:
        from bci_music.files import read_array
        from bci_music.generation.audioldm.echoes import EegCourse
        from bci_music.generation.stable_audio.clip import Lead
        from bci_music.generation.stable_audio.loading import load_control

        course = EegCourse(read_array(eeg, (None, None), "give steps x numbers"), seconds)
        lead = Lead(load_control(control, model), course, listener)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("steps", total=steps)
        samples = make_clip(model, order, lead, Watch(report=lambda step, of: progress.update(task, completed=step)))
    target.parent.mkdir(parents=True, exist_ok=True)
    import soundfile

    write_whole(target, lambda part: soundfile.write(part, samples, model.rate_hz))
    untrained = " The ControlNet is untrained and added nothing." if lead and lead.control.silent else ""
    typer.echo(
        f"{target} holds {len(samples) / model.rate_hz:.2f} s of {model.name}, {steps} steps, seed {seed}.{untrained}"
    )


def _asker(progress: Progress) -> Callable[[str], bool] | None:
    """Return what asks the person at the terminal; None where nobody is there."""
    import sys

    if not sys.stdin.isatty():
        return None

    def ask(question: str) -> bool:
        progress.stop()
        answer = typer.confirm(question, default=False, err=True)
        progress.start()
        return answer

    return ask


def _unverified(where: str) -> Path | None:
    """Find the folder of what was pulled without comparing hashes, which the inspection does itself."""
    from bci_music.messages import UserError
    from bci_music.models.checkpoints.catalogue import hub_name
    from bci_music.models.checkpoints.store import folder_of, pulled_revision

    if Path(where).expanduser().is_dir():
        return Path(where).expanduser()
    try:
        name = hub_name(where)
    except UserError:
        return None
    commit = pulled_revision(name)
    return folder_of(name, commit) if commit else None


def _open(found: Findings, device: str | None) -> str:
    """Load it as the program does; what it is, in a sentence."""
    if found.kind == "clap":
        from bci_music.models.checkpoints.probe import hears
        from bci_music.models.clap import ClapEmbedder

        embedder = ClapEmbedder.load(found.folder, device=device)
        size = sum(p.numel() for p in embedder.model.parameters()) / 1e6
        return f"{found.folder} is a CLAP ({size:.1f} M parameters, sha {embedder.sha[:12]}). {hears(embedder).verdict}"
    if found.kind == "stable-audio":
        from bci_music.generation.stable_audio.loading import load_stable_audio

        stable = load_stable_audio(found.folder)
        blocks = stable.transformer.config.num_layers
        return (
            f"{found.folder} opens as Stable Audio: {blocks} blocks, {stable.parameters / 1e6:.1f} M parameters in "
            f"all, {stable.longest_s:.1f} s at {stable.rate_hz} Hz. A ControlNet over it copies {blocks // 2} blocks."
        )
    from bci_music.generation.open import open_model

    model = open_model("audioldm", checkpoint=str(found.folder), device=device)
    networks = (model.denoiser, model.vae, model.vocoder)
    size = sum(p.numel() for network in networks for p in network.parameters()) / 1e6
    return f"{found.folder} opens as {model.name}: UNet, VAE and vocoder with {size:.1f} M parameters fit each other."


def _towers(clap: str | None, generator: str) -> None:
    """Compare the text towers of a generator and of the CLAP that is to lead it."""
    from bci_music.models.checkpoints.towers import brings_clap, compare_towers, text_tower

    if clap is None and brings_clap(generator):
        typer.echo("It brings its own CLAP with a sound tower: give this checkpoint as the embedder too.")
        return
    if clap is None:
        typer.echo("Which CLAP leads it is not known here: name one with --clap to compare their text towers.")
        return
    found = compare_towers(text_tower(clap), text_tower(generator))
    _show(found, clap)
    if not found.agree:
        raise typer.Exit(2)


def _show(found: Agreement, clap: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("prompt", "cosine", "nearest other", box=None, header_style="bold")
    for prompt, own, other in zip(found.prompts, found.own, found.others, strict=True):
        table.add_row(prompt, f"{own:.4f}", f"{other:.4f}")
    Console().print(f"Text towers of the generator and of {clap}, the same words through both:")
    Console().print(table)
    typer.echo(found.verdict, err=not found.agree)
