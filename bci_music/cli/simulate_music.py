"""`bci-music simulate music` and `simulate songbook`: what the music models learn from, to hear and to see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def music(
    out: Annotated[Path, typer.Option("--out", help="Folder of the bank; an interrupted one is finished.")],
    clips: Annotated[int, typer.Option("--clips", min=0, help="Clips of drawn songs, the ten genres in turn.")] = 6000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the first song; each song takes the next.")] = 0,
    per_song: Annotated[int, typer.Option("--per-song", min=1, help="Clips of each song.")] = 1,
    audio: Annotated[
        Path | None, typer.Option("--audio", help="Folder of CC0 and CC BY music with manifest.csv, added at the end.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="Length of a clip.")] = 10.24,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that render.")] = 1,
) -> None:
    """Compose music to learn from: clips with log mel and captions. Seeds from 1000000 on are kept for tests."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bci_music.compose.songbook import TEST_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS
    from bci_music.training.audioldm.clips import ClipBank
    from bci_music.training.audioldm.sources import drawn_pieces, recorded_pieces

    seeds = next(r for r in (TRAINING_SEEDS, VALIDATION_SEEDS, TEST_SEEDS) if seed < r.stop or r is TEST_SEEDS)
    console = Console(stderr=True)
    with console.status("planning"):
        pieces = drawn_pieces(range(seed, seeds.stop), clips, per_song) if clips else []
        more, credits = recorded_pieces(audio, seconds) if audio else ([], [])
    columns = (TextColumn("composing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(pieces) + len(more))
        bank = ClipBank.build(
            out, [*pieces, *more], seconds, credits=credits, workers=workers,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )  # fmt: skip
    typer.echo(f"{out}: {len(bank)} clips of {len(set(bank.songs))} songs, {len(credits)} recorded tracks credited.")


def songbook(
    out: Annotated[Path, typer.Option("--out", help="Folder for a sound file per song and songs.png.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the first song.")] = 0,
    per_genre: Annotated[int, typer.Option("--per-genre", min=1, help="Songs of each genre.")] = 2,
    seconds: Annotated[float, typer.Option("--seconds", min=4.0, help="Length of each file.")] = 30.0,
) -> None:
    """Write drawn songs to hear (WAV, 48 kHz) and to see: spectrogram with onsets and bar lines, chroma beside it."""
    from rich.console import Console

    from bci_music.compose.captions import caption
    from bci_music.compose.composer import render
    from bci_music.compose.songbook import GENRES, new_song
    from bci_music.evaluation.music_models.songs import draw_songs
    from bci_music.sound.player import WavFile

    out.mkdir(parents=True, exist_ok=True)
    specs = [new_song(genre, seed + k) for genre in GENRES for k in range(per_genre)]
    with Console(stderr=True).status("drawing") as status:
        draw_songs(out / "songs.png", specs, columns=per_genre)
        for spec in specs:
            status.update(f"composing {spec.id}")
            song = render(spec, seconds, 48_000, start_s=4 * spec.bar_s)
            file = WavFile(out / f"{spec.id}.wav")
            file(song.samples)
            file.close()
            typer.echo(f"{spec.id}.wav: {caption(spec, 0)}")
