"""The verbs of the stage: demo, live, replay, monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Headless = Annotated[bool, typer.Option("--headless", help="No window; needs no display.")]
Seconds = Annotated[float | None, typer.Option("--seconds", min=1, help="Stop after this many seconds of stream.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for report.json, music.wav, overview.png.")]
PackName = Annotated[str | None, typer.Option("--pack", help="Name or folder of the model pack.  \\[default: demo]")]
Config = Annotated[Path | None, typer.Option("--config", help="YAML file, see configs/live.yaml.")]
Record = Annotated[Path | None, typer.Option("--record", help="Folder to record into (XDF); needs --consent.")]
Consent = Annotated[str | None, typer.Option("--consent", help="Reference of the listener's consent to recording.")]
GeneratorName = Annotated[str | None, typer.Option("--generator", help="auto, library or audioldm.  \\[default: auto]")]
AudioLdm = Annotated[str | None, typer.Option("--audioldm", help="Folder or hub id of an AudioLDM checkpoint.")]
Device = Annotated[
    str | None, typer.Option("--sound-device", help="Output device; 'none' plays on a clock into music.wav.")
]


def demo(
    generator: GeneratorName = None,
    audioldm: AudioLdm = None,
    headless: Headless = False,
    seconds: Seconds = None,
    out: Out = None,
    record: Record = None,
    consent: Consent = None,
    pack: PackName = None,
    device: Device = None,
    session: Annotated[
        Path | None, typer.Option("--session", help="Another recording to stream.  \\[default: the sample]")
    ] = None,
) -> None:
    """Hear it now: a second process streams the (simulated) sample session over LSL, this one decodes and plays.

    Ends by itself when the session is over, after about two minutes.
    """
    from bci_music.cli.runs import Options, run_demo

    run_demo(Options(
        generator=generator, audioldm=audioldm, headless=headless, seconds=seconds, out=out, record=record,
        consent=consent, pack=pack, device=device,
    ), session)  # fmt: skip


def live(
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            help="Name, source id or predicate (\"source_id='x'\") of the EEG stream.  \\[default: the only one]",
        ),
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help="Unit, where the stream does not say: uV, mV or V.")
    ] = None,
    montage: Annotated[
        str | None, typer.Option("--montage", help="Electrodes of an unlabelled stream: egi128, ...")
    ] = None,
    generator: GeneratorName = None,
    audioldm: AudioLdm = None,
    headless: Headless = False,
    seconds: Seconds = None,
    out: Out = None,
    pack: PackName = None,
    config: Config = None,
    record: Record = None,
    consent: Consent = None,
    device: Device = None,
    wait: Annotated[
        float | None, typer.Option("--wait", min=1, help="How long to look for the stream.  \\[default: 15 s]")
    ] = None,
) -> None:
    """Decode a headset's LSL stream and play what it asks for.

    Start your amplifier's LSL app first; `bci-music doctor` tells whether streams are visible at all.
    """
    from bci_music.cli.runs import Options, run_live

    run_live(Options(
        generator=generator, audioldm=audioldm, headless=headless, seconds=seconds, out=out, record=record,
        consent=consent, pack=pack, device=device, config=config,
    ), {"stream": stream, "unit": unit, "montage": montage}, wait)  # fmt: skip


def replay(
    file: Annotated[Path, typer.Argument(help="XDF, EDF, BDF, FIF, SET, BrainVision or MFF.")],
    speed: Annotated[
        float, typer.Option("--speed", min=0.5, help="1 is real time; the music always plays at its own.")
    ] = 1.0,
    loop: Annotated[
        bool, typer.Option("--loop", help="Start again at the end; the seam is marked as a break.")
    ] = False,
    start: Annotated[
        float, typer.Option("--start", min=0, help="Second to start at (warms up from 30 s before).")
    ] = 0.0,
    generator: GeneratorName = None,
    audioldm: AudioLdm = None,
    headless: Headless = False,
    seconds: Seconds = None,
    out: Out = None,
    pack: PackName = None,
    device: Device = None,
) -> None:
    """Replay a recorded session through the same path as live EEG."""
    from bci_music.cli.runs import Options, run_replay

    run_replay(Options(
        generator=generator, audioldm=audioldm, headless=headless, seconds=seconds, out=out, pack=pack, device=device,
    ), file, speed, loop, start)  # fmt: skip


def monitor(
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            help="Name, source id or predicate (\"source_id='x'\") of the EEG stream.  \\[default: the only one]",
        ),
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help="Unit, where the stream does not say: uV, mV or V.")
    ] = None,
    montage: Annotated[
        str | None, typer.Option("--montage", help="Electrodes of an unlabelled stream: egi128, ...")
    ] = None,
    headless: Headless = False,
    seconds: Seconds = None,
    json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON at the end.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=1, help="How long to look for the stream, in seconds.")] = 15.0,
) -> None:
    """Watch channel quality only: which electrode is bad, why, and what to do. Needs no pack and any rate will do."""
    from bci_music.cli.monitor import run_monitor

    run_monitor({"stream": stream, "unit": unit, "montage": montage}, headless, seconds, json, wait)
