"""The verbs of the stage: demo, live, replay, monitor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bci_music.cli.options import (
    FileOutputs,
    HeardOptions,
    Outputs,
    ReadingOptions,
    RunOptions,
    ShowOptions,
    StreamOptions,
    shared,
)

if TYPE_CHECKING:
    from rich.console import Console

    from bci_music.cli.display import Terminal, Window
    from bci_music.cli.runs import Job, Report
    from bci_music.engine.config import LiveConfig

    Display = Terminal | Window

GOES_ON = "It goes on without a window."
MONITOR_SECONDS = 10.0  # without a window


@shared
def demo(
    run: RunOptions,
    heard: HeardOptions,
    show: ShowOptions,
    outputs: Outputs,
    session: Annotated[
        Path | None, typer.Option("--session", help="Another recording to stream.  \\[default: the sample]")
    ] = None,
) -> None:
    """Hear it now: a second process streams the (simulated) sample session over LSL, this one decodes and plays.

    Ends by itself when the session is over, after about two minutes.
    """

    def job(config: LiveConfig, display: Display, out: Path | None) -> Report:
        from bci_music.cli.display import Terminal
        from bci_music.engine.run import run_demo

        looped = not isinstance(display, Terminal) and show.seconds is None  # a window stays open
        return run_demo(config, display, out, session=session, loop=looped)

    _carry(
        job, "demo, simulated EEG", run, show, lambda: run.resolve(outputs, heard=heard), last_pack=False
    )


@shared
def live(stream: StreamOptions, run: RunOptions, heard: HeardOptions, show: ShowOptions, outputs: Outputs) -> None:
    """Decode a headset's LSL stream and play what it asks for.

    Start your amplifier's LSL app first; `bci-music doctor` shows whether streams are visible at all.
    """
    from bci_music.cli.runs import LIVE, decode_headset

    _carry(decode_headset, "live", run, show, lambda: run.resolve(outputs, stream, heard), LIVE)


@shared
def replay(
    file: Annotated[Path, typer.Argument(help="XDF, EDF, BDF, FIF, SET, BrainVision or MFF.")],
    read: ReadingOptions,
    run: RunOptions,
    heard: HeardOptions,
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

    def job(config: LiveConfig, display: Display, out: Path | None) -> Report:
        from bci_music.engine.run import run_replay

        reading = read.reading()
        return run_replay(config, display, out, file=file, reading=reading, speed=speed, loop=loop, start_s=start)

    _carry(job, file.name, run, show, lambda: run.resolve(outputs, heard=heard))


@shared
def monitor(
    stream: StreamOptions,
    heard: HeardOptions,
    show: ShowOptions,
    json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON at the end.")] = False,
) -> None:
    """Watch channel quality only: which electrode is bad, why, and what to do. Needs no pack and any rate will do."""
    from rich.console import Console

    console = Console(stderr=json)
    display = open_display("monitor", show.seconds or MONITOR_SECONDS, show, json, console)

    def work() -> None:
        from bci_music.cli.monitor import print_report
        from bci_music.engine.run import run_monitor

        query, sound = stream.query(), heard.config()
        display.look_for(query, 15.0 if stream.wait is None else stream.wait)
        print_report(run_monitor(query, display, sound), json, console)

    display.carry(work)


def open_display(
    title: str, seconds: float | None, show: ShowOptions, no_window: bool = False, console: Console | None = None
) -> Display:
    """Open the window, before anything heavy is loaded; where there is none, `seconds` end the run."""
    from bci_music.cli.display import Terminal, Window

    headless = show.headless or no_window
    reason = "" if headless else _why_no_window()
    if not headless and not reason:
        return Window(title, show.seconds, show.view or "", show.light)
    terminal = Terminal(seconds, console)
    if reason:
        terminal.log(f"{reason} {GOES_ON}", "yellow")
    return terminal


def _why_no_window() -> str:
    """Say in a sentence why no window can open, "" where one can."""
    try:
        from gui.screen import why_no_window
    except ImportError as error:  # a library that Qt is linked to
        return f"Qt cannot start ({error}): `make system` installs what it needs."
    return why_no_window()


def _carry(
    job: Job, title: str, run: RunOptions, show: ShowOptions, resolve: Callable[[], LiveConfig],
    others: tuple[str, ...] = ("open", "pack"), last_pack: bool = True,
) -> None:
    """Open where the run shows itself, then do `job` there, and of the `others` what is asked for after it.

    With `last_pack`, and where none is given, the pack is that which was chosen in the window last time.
    """
    display = open_display(title, show.seconds, show)

    def work() -> None:
        with display.busy("reading the configuration"):
            from bci_music.cli.runs import Run, carry_on, with_last_pack

            config = resolve()
            if last_pack and display.chooses and run.pack is None and run.config is None:
                config = with_last_pack(config, display)
        carry_on(Run(title, job, config, others), display, run.out)

    display.carry(work)
