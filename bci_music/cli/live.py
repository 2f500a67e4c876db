"""The verbs of the stage: demo, live, replay, monitor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bci_music.cli.options import FileOutputs, Outputs, ReadingOptions, RunOptions, ShowOptions, StreamOptions, shared

if TYPE_CHECKING:
    from bci_music.cli.display import Terminal, Window
    from bci_music.engine.config import LiveConfig

GOES_ON = "It goes on without a window."
MONITOR_SECONDS = 10.0  # without a window


@shared
def demo(
    run: RunOptions,
    show: ShowOptions,
    outputs: Outputs,
    session: Annotated[
        Path | None, typer.Option("--session", help="Another recording to stream.  \\[default: the sample]")
    ] = None,
) -> None:
    """Hear it now: a second process streams the (simulated) sample session over LSL, this one decodes and plays.

    Ends by itself when the session is over, after about two minutes.
    """
    from bci_music.cli.display import Terminal
    from bci_music.engine.run import run_demo

    config = run.resolve(outputs)
    display, out = _display(run, show, config, "demo, simulated EEG")
    looped = not isinstance(display, Terminal) and show.seconds is None  # a window stays open
    _summarise(run_demo(config, display, out, session=session, loop=looped), out, display)


@shared
def live(stream: StreamOptions, run: RunOptions, show: ShowOptions, outputs: Outputs) -> None:
    """Decode a headset's LSL stream and play what it asks for.

    Start your amplifier's LSL app first; `bci-music doctor` shows whether streams are visible at all.
    """
    from bci_music.engine.run import run_live

    config = run.resolve(outputs, stream)
    display, out = _display(run, show, config, "live")
    _summarise(run_live(config, display, out), out, display)


@shared
def replay(
    file: Annotated[Path, typer.Argument(help="XDF, EDF, BDF, FIF, SET, BrainVision or MFF.")],
    read: ReadingOptions,
    run: RunOptions,
    show: ShowOptions,
    outputs: FileOutputs,
    speed: Annotated[
        float, typer.Option("--speed", min=0.5, help="1 is real time; the music always plays at its own.")
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Start again at the end, which is marked as a break.")] = False,
    start: Annotated[
        float, typer.Option("--start", min=0, help="Second to start at (warms up from 30 s before).")
    ] = 0.0,
) -> None:
    """Replay a recorded session through the same path as live EEG."""
    from bci_music.engine.run import run_replay

    config = run.resolve(outputs)
    display, out = _display(run, show, config, file.name)
    report = run_replay(
        config, display, out, file=file, reading=read.reading(), speed=speed, loop=loop, start_s=start
    )
    _summarise(report, out, display)


@shared
def monitor(
    stream: StreamOptions,
    show: ShowOptions,
    json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON at the end.")] = False,
) -> None:
    """Watch channel quality only: which electrode is bad, why, and what to do. Needs no pack and any rate will do."""
    from rich.console import Console

    from bci_music.cli.display import Terminal, Window
    from bci_music.cli.monitor import print_report
    from bci_music.engine.run import run_monitor

    query, console = stream.query(), Console(stderr=json)
    wait_s = 15.0 if stream.wait is None else stream.wait
    display: Terminal | Window = Terminal(show.seconds or MONITOR_SECONDS, wait_s, query, console)
    reason = "" if show.headless or json else _why_no_window()
    if reason:
        display.log(f"{reason} {GOES_ON}", "yellow")
    elif not (show.headless or json):
        display = Window("monitor", show.seconds)
    print_report(run_monitor(query, display), json, console)


def _why_no_window() -> str:
    """Say in a sentence why no window can open, "" where one can."""
    try:
        from gui.app import why_no_window
    except ImportError as error:  # a library that Qt is linked to
        return f"Qt cannot start ({error}): `make system` installs what it needs."
    return why_no_window()


def _display(
    run: RunOptions, show: ShowOptions, config: LiveConfig, title: str
) -> tuple[Terminal | Window, Path | None]:
    """Where the run shows itself, and the folder it writes to: everything it writes to is tried first."""
    from bci_music.cli.display import Terminal, Window
    from bci_music.engine.run_folder import may_keep, prepare

    out = prepare(config, run.out)
    display: Terminal | Window = Terminal(show.seconds, config.wait_s, config.stream)
    reason = "" if show.headless else _why_no_window()
    if reason:
        display.log(f"{reason} {GOES_ON}", "yellow")
    elif not show.headless:
        picture = out / "window.png" if out is not None else None
        display = Window(title, show.seconds, picture, lambda engine: may_keep(config, engine))
    if out != run.out:
        display.log(f"{run.out} holds a run already: this one goes to {out}")
    return display, out


def _summarise(report: dict[str, Any] | None, out: Path | None, display: Terminal | Window) -> None:
    from bci_music.cli.display import print_summary

    if report is not None and out is not None:
        print_summary(report, out, display.console)
