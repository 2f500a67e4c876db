"""`bci-music pack`: make one, look into one, check one, and train and evaluate the music models in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bci_music.cli.lab import old_restart
from bci_music.cli.pack_build import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bci_music.evaluation.music.fidelity import Evaluators, Heard


def train_clap(
    clips: Annotated[Path, typer.Option(help="Bank of training clips (bci-music simulate music).")],
    held: Annotated[Path | None, typer.Option(help="Bank of clips of other songs, for the metrics.")] = None,
    models: Annotated[Path, typer.Option("--models", help="Folder: MODELS/clap is written.")] = Path(
        "runs/music-models"
    ),
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, which the learning rate falls over.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after this time; go on by the same command.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of sizes and schedule.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start again without the checkpoint.")] = False,
    old_name: Annotated[bool, typer.Option("--anew", hidden=True, callback=old_restart)] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a small CLAP on clips and their captions. An interrupted run goes on where it was."""
    import time

    import torch
    from rich.console import Console

    from bci_music.models.device import choose_device
    from bci_music.training.audioldm.clap import ClapConfig
    from bci_music.training.audioldm.clap import train_clap as train
    from bci_music.training.audioldm.clips import ClipBank

    choose_device(device)
    if threads:
        torch.set_num_threads(threads)
    settings = ClapConfig.load(config) if config else ClapConfig()
    if steps:
        settings = settings.model_copy(update={"loop": settings.loop.model_copy(update={"steps": steps})})
    began = time.monotonic()
    with Console(stderr=True).status("opening the clips") as status:

        def report(at: int, metrics: dict[str, float]) -> None:
            status.update(
                f"step {at}/{settings.loop.steps}: loss {metrics['loss']:.3f}, {metrics['right']:.0%} of clips find "
                f"their caption, {metrics['seconds']:.1f} s a step"
            )

        banks = ClipBank.open(clips), ClipBank.open(held) if held else None
        made = train(
            banks[0], models, settings, held=banks[1], device=device, restart=restart or old_name, report=report,
            log=status.update, until=lambda: minutes is not None and time.monotonic() - began > 60 * minutes,
        )  # fmt: skip
    count = sum(p.numel() for p in made.model.parameters()) / 1e6
    typer.echo(f"{models / 'clap'}: {count:.2f} M parameters, {made.sha[:12]}. Next: bci-music pack evaluate-clap.")


def evaluate_clap(
    unseen: Annotated[Path, typer.Option(help="Bank of test songs: 1000 clips from --seed 1000000 on.")],
    clips: Annotated[Path | None, typer.Option(help="Bank of training clips, to fit the genre probe.")] = None,
    embedder: Annotated[
        str, typer.Option(help="Folder of a CLAP, or a checkpoint that was pulled.")
    ] = "runs/music-models/clap",
    pool: Annotated[int, typer.Option(min=20, help="Clips of one genre to choose from.")] = 100,
    out: Annotated[Path | None, typer.Option(help="JSON file with the metrics.")] = None,
) -> None:
    """Text to music within one genre, and a linear genre probe: with n, interval, chance and shuffled pairs."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from bci_music.evaluation.music.retrieval import genre_probe, recall_within_genres, require_other_songs, table
    from bci_music.models.clap import ClapEmbedder
    from bci_music.training.audioldm.clips import ClipBank

    with Console(stderr=True).status("opening") as status:
        clap, bank = ClapEmbedder.load(embedder), ClipBank.open(unseen)
        learnt = ClipBank.open(clips) if clips else None
        if learnt:
            require_other_songs(learnt, bank)
        rates = recall_within_genres(
            clap, bank, pool=pool, progress=lambda done, of: status.update(f"embedding: {done} of {of}")
        )
        if learnt:
            rates.append(genre_probe(
                clap, learnt, bank, progress=lambda done, of: status.update(f"probe: {done} of {of}")
            ))  # fmt: skip
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps([asdict(rate) for rate in rates], indent=1) + "\n", encoding="utf-8")
    typer.echo(table(rates))


Models = Annotated[Path, typer.Option("--models", help="Folder of the training: parts, checkpoints, logs, caches.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def train(
    stage: Annotated[
        str, typer.Argument(help="all, vae, vocoder, vocoder-fit, vocoder-adversarial, unet, distil or transformer.")
    ],
    clips: Annotated[Path, typer.Option(help="Bank of training clips.")],
    held: Annotated[Path, typer.Option(help="Bank of clips of other songs, for the metrics.")],
    models: Models = Path("runs/music-models"),
    clap: Annotated[Path | None, typer.Option(help="Embedder that leads it.  \\[default: MODELS/clap]")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Time for learning; with all: for all of it.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of sizes and schedules.")] = None,
    start: Annotated[Path | None, typer.Option(help="Parts to begin from, e.g. PACK/generator.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Another round for a stage that ended.")] = False,
    more: Annotated[list[str] | None, typer.Option(help="With all: vocoder-adversarial, distil, transformer.")] = None,
    device: Device = "cpu",
) -> None:
    """Train the generator that a pack ships. Interrupted stages go on where they were. Next: pack build --generator."""
    from rich.console import Console

    from bci_music.messages import UserError
    from bci_music.models.device import choose_device
    from bci_music.models.embedder import load_embedder
    from bci_music.training.audioldm.clips import ClipBank
    from bci_music.training.audioldm.schedule import describe, run_schedule, run_stage
    from bci_music.training.audioldm.stages import MusicModelsConfig, Workspace

    choose_device(device)
    leads = clap or models / "clap"
    console = Console(stderr=True)
    with console.status("opening the clips") as status:
        workspace = Workspace(
            ClipBank.open(clips), ClipBank.open(held), models, load_embedder(leads) if leads.is_dir() else None,
            device, status.update,
        )  # fmt: skip
        settings = MusicModelsConfig.load(config) if config else MusicModelsConfig()

        def report(name: str, at: int, of: int, metrics: dict[str, float]) -> None:
            status.update(f"{name} {at}/{of}: loss {metrics['loss']:.4f}, {metrics['seconds']:.2f} s a step")

        if stage != "all":
            outcome = run_stage(
                stage, workspace, minutes=minutes, config=settings, start=start, again=again, report=report
            )
            typer.echo(describe(stage, outcome))
            return
        if minutes is None or start or again:
            raise UserError("`all` needs --minutes, and takes neither --start nor --again: those are for one stage.")
        run_schedule(
            workspace, minutes, config=settings, more=tuple(more or ()), report=report,
            tell=lambda name, outcome: typer.echo(describe(name, outcome)),
        )  # fmt: skip


def oracle(
    pack: Annotated[str, typer.Option(help="Pack whose generator is evaluated.")] = "demo",
    clips: Annotated[Path, typer.Option(help="Bank of training clips: the evaluators are fitted on them.")] = Path(
        "runs/music-models/clips"
    ),
    out: Annotated[Path, typer.Option(help="Folder for table, JSON and pictures.")] = Path("out/oracle"),
    per_genre: Annotated[int, typer.Option(min=1, help="Test songs of each genre.")] = 5,
    recordings: Annotated[int, typer.Option(min=0, help="Simulated recordings a listener; 0: no EEG.")] = 1,
    excerpts: Annotated[int, typer.Option(min=14, help="Clips from EEG, drawn evenly from the recordings.")] = 140,
    generator: Annotated[str, typer.Option(help="audioldm, transformer, or auto: what the pack plays.")] = "auto",
    evaluator: Annotated[Path | None, typer.Option(help="CLAP as evaluator.  \\[default: statistics]")] = None,
    before: Annotated[str | None, typer.Option(help="Another pack: its generator on the same pieces, beside.")] = None,
    device: Device = "cpu",
) -> None:
    """Does the generated music follow the embedding, and the EEG? On songs and recordings never learned from."""
    import json

    from rich.console import Console

    from bci_music.models.device import choose_device, sleep_while_waiting

    sleep_while_waiting()
    from bci_music.evaluation.music.excerpts import decoded_excerpts, unheard_songs
    from bci_music.evaluation.music.fidelity import compare, table, through_the_autoencoder
    from bci_music.evaluation.music.pictures import follow
    from bci_music.generation.open import open_model
    from bci_music.messages import UserError
    from bci_music.models.embedder import load_embedder
    from bci_music.models.pack import Pack
    from bci_music.training.audioldm.batches import spread_evenly

    choose_device(device)
    opened, others = Pack.open(pack), [Pack.open(before)] if before is not None else []
    for one in (opened, *others):
        if one.generator is None:
            raise UserError(f"Pack {one.name} has no generator to evaluate: build one with `pack build --generator`.")
        if one.manifest.spaces.generator != opened.manifest.spaces.generator:
            raise UserError(
                f"Another embedder leads the generator of {before}: the two cannot be given the same music."
            )
    out.mkdir(parents=True, exist_ok=True)
    with Console(stderr=True).status("fitting the evaluators") as status:
        evaluators = _evaluators(clips, evaluator, opened.manifest.spaces.generator)
        models = {"": open_model(generator, opened, device=device)}
        if others:
            models["before: "] = open_model("auto", others[0], device=device)
        leads = load_embedder(opened.directory / "embedder")
        songs = unheard_songs(per_genre, leads, lambda done, of: status.update(f"composing test songs: {done} of {of}"))
        rows = [compare("the music itself", [h.sound for h in songs], songs, evaluators)]
        rows += [
            compare(f"{name}through autoencoder and vocoder", through_the_autoencoder(model, songs), songs, evaluators)
            for name, model in models.items()
        ]
        generated = follow(
            models, songs, "generated from its own embedding", evaluators, out / "pairs.png", status.update
        )
        rows += generated
        if recordings:
            decoded = decoded_excerpts(opened, _listeners(opened), recordings, log=status.update)
            eeg: Sequence[Heard] = [decoded[i] for i in spread_evenly(len(decoded), excerpts)]
            what = "generated from simulated EEG, time-block split"
            rows += follow(models, eeg, what, evaluators, out / "pairs-eeg.png", status.update)
    (out / "oracle.json").write_text(json.dumps([r.as_dict() for r in rows], indent=1) + "\n", encoding="utf-8")
    (out / "oracle.md").write_text(table(rows) + "\n", encoding="utf-8")
    typer.echo(table(rows))
    first = generated[0]
    typer.echo(f"\n{first.name}: own and other music {'' if first.apart else 'not '}apart. Written to {out}.")


def _evaluators(clips: Path, evaluator: Path | None, leads: str) -> Evaluators:
    """Statistics (or another CLAP) and a genre classifier, fitted on real clips of the training."""
    import numpy as np

    from bci_music.compose.songbook import GENRES
    from bci_music.evaluation.music.fidelity import Evaluators
    from bci_music.models.embedder import StatisticsEmbedder, load_embedder
    from bci_music.training.audioldm.batches import FULL_SCALE, spread_evenly
    from bci_music.training.audioldm.clips import ClipBank

    bank = ClipBank.open(clips)
    known = [i for i in range(len(bank.genre)) if bank.genre[i] >= 0]  # real tracks have none of the ten
    rows = [known[i] for i in spread_evenly(len(known), 600)]
    sounds = [np.asarray(bank.sound[i], np.float32) / np.float32(FULL_SCALE) for i in rows]
    genres = [GENRES[int(bank.genre[i])] for i in rows]
    embedder = load_embedder(evaluator) if evaluator else StatisticsEmbedder.fit(sounds)
    return Evaluators.fit(sounds, genres, embedder, leads=leads)


def _listeners(pack: Any) -> tuple[int, ...]:
    """The simulated listeners the pack's decoder learned from."""
    from bci_music.messages import UserError

    seeds = pack.manifest.provenance.seeds.get("listeners")
    if not pack.manifest.simulated or not isinstance(seeds, list):
        raise UserError(f"Pack {pack.name} has no simulated listeners: give --recordings 0.")
    return tuple(seeds)


app = typer.Typer(name="pack", no_args_is_help=True, help="Model packs: all one decoder needs, as one directory.")
app.command("train-clap")(train_clap)
app.command("evaluate-clap")(evaluate_clap)
app.command("judge-clap", hidden=True, help="Old name of `evaluate-clap`, kept until the next version.")(evaluate_clap)
app.command("train")(train)
app.command("oracle")(oracle)
app.command("build")(build)


@app.command("replace-vocoder")
def replace_vocoder(
    pack: Annotated[str, typer.Argument(help="Name or directory.")],
    out: Annotated[Path, typer.Option(help="Directory of the new pack.")],
    models: Models = Path("runs/music-models"),
) -> None:
    """Write a pack that is another one with a vocoder that was trained anew; all else stays, and so do its figures."""
    from bci_music.models.pack import Pack
    from bci_music.packing.music_models import replace_vocoder as replaced

    made = replaced(Pack.open(pack), models / "parts", out)
    typer.echo(f"{made.name} is in {made.directory}; look at it with `bci-music pack check {made.directory}`")


@app.command("replace-transformer")
def replace_transformer(
    pack: Annotated[str, typer.Argument(help="Name or directory.")],
    out: Annotated[Path, typer.Option(help="Directory of the new pack.")],
    models: Models = Path("runs/music-models"),
    plays: Annotated[bool, typer.Option("--plays", help="It plays by default, in place of the UNet.")] = False,
) -> None:
    """Write a pack that is another one with another transformer beside the UNet; all else stays."""
    from bci_music.models.pack import Pack
    from bci_music.packing.music_models import replace_transformer as replaced

    made = replaced(Pack.open(pack), models / "parts", out, plays=plays)
    typer.echo(f"{made.name} is in {made.directory}; look at it with `bci-music pack check {made.directory}`")


@app.command()
def info(pack: Annotated[str, typer.Argument(help="Name or directory.")] = "demo") -> None:
    """Print what a pack is, what it was trained on and how well it decodes."""
    from bci_music.models.pack import Pack
    from bci_music.packing.describe import describe

    typer.echo(describe(Pack.open(pack)))


@app.command()
def check(pack: Annotated[str, typer.Argument(help="Name or directory.")] = "demo") -> None:
    """Verify sizes and hashes, open all that a live run opens, decode one window and make sound of it."""
    from bci_music.models.pack import Pack
    from bci_music.packing.check import check_pack

    opened = Pack.open(pack)
    found = check_pack(opened)
    size = sum(entry.bytes for entry in opened.manifest.files.values())
    music = f"{found.clips} clips and {found.generator} can be played" if found.clips else "no music comes with it"
    typer.echo(
        f"{opened.name}: {len(opened.manifest.files)} files, {size / 1e6:.1f} MB, all as listed; "
        f"one window takes {found.decode_ms:.0f} ms on {found.device}; {music}"
    )
