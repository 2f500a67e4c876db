"""`bci-music bench`: what the live path and the lab cost, beside their peers, in medians of alternating runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine, beside peers.")


@app.callback()
def root() -> None:
    """Root of the benchmarks."""


@app.command()
def live(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Alternating runs; medians are shown.")] = 5,
    pack: Annotated[str, typer.Option("--pack", help="Pack that decodes meanwhile.")] = "demo",
) -> None:
    """Ingest beside mne-lsl's StreamLSL, data age after a stall, decoding and drawing while sound plays.

    Takes about six minutes with five runs; let nothing else run meanwhile.
    """
    from bci_music.bench.run import run_live

    run_live(runs, pack, as_json=json)


@app.command()
def signal(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Alternating runs; medians are shown.")] = 5,
) -> None:
    """Filters and channel quality of 125 channels at 1 kHz, beside MNE's filters and SciPy's spectra."""
    from bci_music.bench.run import run_signal

    run_signal(runs, as_json=json)


@app.command()
def rejoin(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Kills; medians are shown.")] = 5,
) -> None:
    """How soon a stream that was killed and started again flows, beside pylsl's own search for it."""
    from bci_music.bench.run import run_rejoin

    run_rejoin(runs, as_json=json)


@app.command()
def window(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long EEG is painted.")] = 10.0,
) -> None:
    """Painting 125 channels at 1 kHz while nothing else runs, and the scalp map beside MNE's."""
    from bci_music.bench.run import run_window

    run_window(seconds, as_json=json)


@app.command()
def lab(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of a window, whole seconds.")] = 1.0,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Windows at a time.")] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Alternating runs; medians are shown.")] = 5,
    device: Annotated[str | None, typer.Option("--device", help="cuda, mps or cpu; the fastest there is.")] = None,
) -> None:
    """Encoder forward and training beside braindecode's CBraMod and LaBraM, and beside the machine's matrix peak.

    Takes some three minutes on two cores; let nothing else run meanwhile.
    """
    from bci_music.bench.run import run_lab

    run_lab(seconds, batch, runs, device, as_json=json)


@app.command()
def sound(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", min=0.64, help="Length of a clip.")] = 10.24,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Alternating runs; medians are shown.")] = 3,
    size: Annotated[list[str] | None, typer.Option("--size", help="s or m; repeatable.  \\[default: both]")] = None,
    many: Annotated[bool, typer.Option("--many", help="On a processor too: run the pipeline's 100 steps.")] = False,
    pack: Annotated[str, typer.Option("--pack", help="Pack whose generator is measured too.")] = "demo",
    device: Annotated[str | None, typer.Option("--device", help="cuda, mps or cpu; the fastest there is.")] = None,
) -> None:
    """Seconds per clip at AudioLDM's published sizes (random weights), beside diffusers' own pipeline.

    Takes some ten minutes and 8 GB on two cores, a minute on a GPU; let nothing else run meanwhile.
    """
    from bci_music.bench.run import run_sound

    run_sound(seconds, runs, tuple(size or ("s", "m")), many, pack, device, as_json=json)


@app.command()
def splices(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    audioldm: Annotated[
        str | None, typer.Option("--audioldm", help="Folder or hub id of an AudioLDM.  \\[default: the pack's]")
    ] = None,
    generator: Annotated[
        str, typer.Option("--generator", help="audioldm, transformer, or auto: what is given or the pack plays.")
    ] = "auto",
    pack: Annotated[str, typer.Option("--pack", help="Whose generator plays, in the styles of its library.")] = "demo",
    number: Annotated[int, typer.Option("--splices", min=5, help="Splices to make.")] = 100,
    seconds: Annotated[float, typer.Option("--clip-seconds", min=1.5, help="Length of a clip.")] = 5.12,
    wav: Annotated[Path | None, typer.Option("--wav", help="Also write what was measured.")] = None,
) -> None:
    """Spectral flux and energy dips at splices of clips against excerpts of the same length inside clips.

    Takes as long as it takes to generate the clips: some minutes for 100 on two cores.
    """
    from bci_music.bench.run import run_splices

    if not run_splices(pack, generator, audioldm, number, seconds, wav, as_json=json):
        raise typer.Exit(1)


@app.command()
def latency(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    generator: Annotated[
        list[str] | None,
        typer.Option("--generator", help="library, audioldm, transformer; repeatable.  \\[default: all]"),
    ] = None,
    eeg: Annotated[
        bool, typer.Option("--eeg", help="Change what a simulated listener hears, not the style: the whole engine.")
    ] = False,
    changes: Annotated[int, typer.Option("--changes", min=3, help="Changes to hear; about 13 s each.")] = 20,
    pack: Annotated[str, typer.Option("--pack", help="Whose generators play, in the styles of its library.")] = "demo",
) -> None:
    """Seconds from another style (or EEG) to the moment the sound's own embedding has moved half of the way.

    Plays in real time: some five minutes for each generator; let nothing else run meanwhile.
    """
    from bci_music.bench.run import run_latency

    run_latency(pack, generator or [], changes, eeg, as_json=json)


app.command("joints", hidden=True, help="Old name of `splices`, kept until the next version.")(splices)
