"""`bci-music simulate`: simulated listeners and the music they hear."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Simulated listeners and composed songs (no headset, no real brain).", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Simulated listeners and composed songs (no headset, no real brain)."""


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
        name=name, sfreq_hz=rate, snr_db=snr_db, seed=seed, seconds=seconds, source_id=source_id, say=typer.echo
    )


@app.command()
def song(
    song_id: Annotated[str, typer.Argument(help="Song id; see `bci-music simulate songs`.")],
    out: Annotated[Path, typer.Option("--out", help="WAV or FLAC file to write.")],
    seconds: Annotated[float, typer.Option(min=2.0, max=600.0, help="Length.")] = 120.0,
) -> None:
    """Render one composed song to a file, 48 kHz stereo."""
    from bci_music.simulate.render import render_song

    typer.echo(render_song(song_id, out, seconds))


@app.command()
def songs() -> None:
    """List the composed songs."""
    from bci_music.simulate.render import list_songs

    typer.echo(list_songs())


@app.command()
def sample(
    out: Annotated[Path, typer.Option("--out", help="XDF file to write.")] = Path("recordings/sample.xdf"),
) -> None:
    """Record the sample session anew, in real time (2 min), through LSL with LabRecorder."""
    from bci_music.simulate.sample import record_sample

    typer.echo(record_sample(out))
