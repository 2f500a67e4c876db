"""`bci-music simulate`: simulated listeners, composed songs, and the studies made of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bci_music.cli import simulate as simulate_music


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
    from bci_music.evaluation.music.pictures import draw_songs
    from bci_music.sound.player import AudioFile

    out.mkdir(parents=True, exist_ok=True)
    specs = [new_song(genre, seed + k) for genre in GENRES for k in range(per_genre)]
    with Console(stderr=True).status("drawing") as status:
        draw_songs(out / "songs.png", specs, columns=per_genre)
        for spec in specs:
            status.update(f"composing {spec.id}")
            song = render(spec, seconds, 48_000, start_s=4 * spec.bar_s)
            file = AudioFile(out / f"{spec.id}.wav")
            file(song.samples)
            file.close()
            typer.echo(f"{spec.id}.wav: {caption(spec, 0)}")


app = typer.Typer(help="Simulated listeners and composed songs (no headset, no real brain).", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Simulated listeners and composed songs (no headset, no real brain)."""


app.command()(simulate_music.music)
app.command()(simulate_music.songbook)


@app.command()
def stream(
    name: Annotated[str, typer.Option(help="Name of the stream.")] = "bci-music simulated",
    rate: Annotated[float, typer.Option(help="Samples per second, 125 to 1000.")] = 125.0,
    snr_db: Annotated[float, typer.Option(help="Music response over everything else, per channel, in dB.")] = -10.0,
    seed: Annotated[int, typer.Option(min=0, help="Which listener and which recording.")] = 0,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after this much EEG.")] = None,
    source_id: Annotated[str, typer.Option(help="LSL source id (default: a new one each time).")] = "",
) -> None:
    """Stream an endless simulated listener over LSL: 125 channels of EEG and markers of the songs heard."""
    from bci_music.simulate.stream import stream_simulated

    stream_simulated(
        name=name, sfreq_hz=rate, snr_db=snr_db, seed=seed, seconds=seconds, source_id=source_id, log=typer.echo
    )


@app.command()
def song(
    song_id: Annotated[str, typer.Argument(help="Song id; see `bci-music simulate songs`.")],
    out: Annotated[Path, typer.Option("--out", help="WAV or FLAC file to write.")],
    seconds: Annotated[float, typer.Option(min=2.0, max=600.0, help="Length.")] = 120.0,
) -> None:
    """Render one composed song to a file, 48 kHz stereo."""
    from bci_music.compose.composer import render_song

    typer.echo(render_song(song_id, out, seconds))


@app.command()
def songs() -> None:
    """List the composed songs."""
    from bci_music.compose.composer import list_songs

    typer.echo(list_songs())


@app.command()
def sample(
    out: Annotated[Path, typer.Option("--out", help="XDF file to write.")] = Path("recordings/sample.xdf"),
) -> None:
    """Record the sample session again, in real time (2 min), through LSL with LabRecorder."""
    from bci_music.simulate.sample import record_sample

    typer.echo(record_sample(out))


@app.command()
def nmed(
    out: Annotated[Path, typer.Option("--out", help="Directory for nmed-t/ and nmed-h/; kept files are not remade.")],
    preset: Annotated[str, typer.Option(help="tiny, small (2 h of EEG) or full (68 listeners, 30 h).")] = "small",
    config: Annotated[Path | None, typer.Option(help="YAML with any of the settings, over the preset.")] = None,
    snr_db: Annotated[float | None, typer.Option(help="Music response over background, per channel, in dB.")] = None,
    fingerprint: Annotated[
        float | None, typer.Option(min=0, help="Strength of each trial's own rhythms; 0: none.")
    ] = None,
    listeners_t: Annotated[int | None, typer.Option(help="Listeners of NMED-T, at most 20.")] = None,
    listeners_h: Annotated[int | None, typer.Option(help="Listeners of each stimulus of NMED-H, at most 12.")] = None,
    song_seconds: Annotated[float | None, typer.Option(help="Length of every song.")] = None,
    before_s: Annotated[float | None, typer.Option(help="EEG from before each song, in s.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed, other listeners.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Listeners simulated at once.")] = 1,
) -> None:
    """Write a simulated study in the files of NMED-T and NMED-H, with composed music. Nobody was recorded."""
    from bci_music.config import read_yaml
    from bci_music.simulate.nmed import simulate_nmed
    from bci_music.simulate.study_plan import NmedSimConfig
    from bci_music.simulate.study_plan import preset as preset_of

    options = {
        "snr_db": snr_db, "fingerprint": fingerprint, "listeners_t": listeners_t, "listeners_h": listeners_h,
        "song_seconds": song_seconds, "before_s": before_s, "seed": seed,
    }  # fmt: skip
    values = preset_of(preset).model_dump() | (read_yaml(config) if config else {})
    values |= {name: value for name, value in options.items() if value is not None}
    where = str(config) if config else "the options"
    with _eeg_progress() as report:
        status = simulate_nmed(out, NmedSimConfig.parse(values, where), report, workers)
    typer.echo(status)


@contextmanager
def _eeg_progress() -> Iterator[Callable[[float, float, str], None]]:
    """A bar over minutes of EEG, with the time left and how many times faster than real time it goes."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=None, status="")

        def report(done_s: float, of_s: float, what: str) -> None:
            speed = progress.tasks[task].speed
            status = f"{done_s / 60:.0f} of {of_s / 60:.0f} min EEG" + (f", {speed:.0f} x real time" if speed else "")
            progress.update(task, completed=done_s, total=of_s, description=what, status=status)

        yield report
