"""`bci-music pack train-clap` and `pack judge-clap`: the small CLAP of a pack, and what it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_clap(
    clips: Annotated[Path, typer.Option(help="Bank of training clips (bci-music simulate music).")],
    held: Annotated[Path | None, typer.Option(help="Bank of clips of other songs, for the figures.")] = None,
    models: Annotated[Path, typer.Option("--models", help="Folder: MODELS/clap is written.")] = Path(
        "runs/music-models"
    ),
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, which the learning rate falls over.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after this time; go on by the same command.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of sizes and schedule.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget the checkpoint.")] = False,
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

        def report(at: int, figures: dict[str, float]) -> None:
            status.update(
                f"step {at}/{settings.loop.steps}: loss {figures['loss']:.3f}, {figures['right']:.0%} of clips find "
                f"their caption, {figures['seconds']:.1f} s a step"
            )

        banks = ClipBank.open(clips), ClipBank.open(held) if held else None
        made = train(
            banks[0], models, settings, held=banks[1], device=device, anew=anew, report=report, say=status.update,
            until=lambda: minutes is not None and time.monotonic() - began > 60 * minutes,
        )  # fmt: skip
    count = sum(p.numel() for p in made.model.parameters()) / 1e6
    typer.echo(f"{models / 'clap'}: {count:.2f} M parameters, {made.sha[:12]}. Judge it: bci-music pack judge-clap.")


def judge_clap(
    unseen: Annotated[Path, typer.Option(help="Bank of test songs: 1000 clips from --seed 1000000 on.")],
    clips: Annotated[Path | None, typer.Option(help="Bank of training clips, to fit the genre probe.")] = None,
    embedder: Annotated[
        str, typer.Option(help="Folder of a CLAP, or a checkpoint that was pulled.")
    ] = "runs/music-models/clap",
    pool: Annotated[int, typer.Option(min=20, help="Clips of one genre to choose from.")] = 100,
    out: Annotated[Path | None, typer.Option(help="JSON file with the figures.")] = None,
) -> None:
    """Text to music within one genre, and a linear genre probe: with n, interval, chance and shuffled pairs."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from bci_music.evaluation.music_models.retrieval import (
        genre_probe,
        recall_within_genres,
        require_other_songs,
        table,
    )
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
