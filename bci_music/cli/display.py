"""Where a run shows itself: the window, or a line in the terminal; and its report in a few lines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from bci_music.engine.ending import Ending
    from bci_music.engine.engine import Engine
    from bci_music.listening.progress import Progress
    from bci_music.messages import Log
    from bci_music.status import Command
    from bci_music.streaming.discovery import StreamQuery
    from gui.app import Picture


class _Lines(Console):
    """A console that may lose its reader: that must not end the run."""

    def on_broken_pipe(self) -> None:
        """Go on: rich would leave."""


class Terminal:
    """A run without a window: one line shows how it goes."""

    chooses = False
    followed_by: Command | None = None  # by no other run

    def __init__(self, seconds: float | None, console: Console | None = None):
        self.console = console or _Lines(stderr=True)
        self._seconds = seconds
        self._wait_s = 15.0
        self._query: StreamQuery | None = None

    def look_for(self, query: StreamQuery, wait_s: float) -> None:
        """Give up where nothing matches `query` within `wait_s`."""
        self._query, self._wait_s = query, wait_s

    def begin(self, title: str, others: tuple[str, ...]) -> None:
        """A terminal shows one run."""

    def fail(self, text: str) -> None:
        """Say what went wrong in a run that is not the end of the program."""
        self.log(text, "yellow")

    def carry(self, work: Callable[[], None]) -> None:
        """Do what a run consists of."""
        work()

    def ending(self) -> AbstractContextManager[Ending]:
        """Signals interrupt until the run begins, then ask it to end."""
        from bci_music.engine.ending import Ending

        return Ending()

    @contextmanager
    def busy(self, text: str) -> Iterator[Log]:
        """Show a spinner."""
        with self.console.status(text) as status:
            yield status.update

    def log(self, text: str, style: str = "") -> None:
        """Write a line."""
        _print(self.console, text, style)

    def watch(self, progress: Progress) -> None:
        """What a calibration says is enough."""

    def stay(self, progress: Progress) -> None:
        """It is over."""

    def show(self, engine: Engine, ended: Callable[[], bool], stop: threading.Event) -> None:
        """Show the line until the run ends."""
        from bci_music.engine.run import run_headless

        shown = self.console.status("looking for the stream") if self.console.is_terminal else nullcontext()
        assert self._query is not None
        with shown as status:
            update = status.update if status is not None else lambda line: None
            warn = partial(self.log, style="yellow")
            run_headless(engine, self._seconds, ended, self._wait_s, update, self._query, stop, warn)


class Window:
    """A run in the window, which stands before the run is built."""

    chooses = True

    def __init__(self, title: str, seconds: float | None, view: str = "", light: bool = False):
        from gui.app import Standing, nothing_to_save

        self.console = _Lines(stderr=True)
        self._seconds = seconds
        self._standing = Standing(title, view, light)
        self._picture: Picture = nothing_to_save
        self._may_show: Callable[[Engine], bool] = lambda engine: True
        self._others: tuple[str, ...] = ()
        self._failed: list[str] = []  # to be shown with the next run
        self.followed_by: Command | None = None  # what the operator wants after the run that was shown

    def look_for(self, query: StreamQuery, wait_s: float) -> None:
        """A window waits for its operator."""

    def keep_picture(self, path: Path | None, may_show: Callable[[Engine], bool]) -> None:
        """Write the last frame to `path`, if there is one and `may_show` the engine's EEG then."""
        self._picture, self._may_show = (lambda: path), may_show

    def begin(self, title: str, others: tuple[str, ...]) -> None:
        """Show a run of this title; of the commands in `status.FOLLOWS`, `others` may end it for another."""
        self._standing.title = title
        self._others, self.followed_by = others, None

    def fail(self, text: str) -> None:
        """Say what went wrong, in the window of the run that is shown next."""
        self.log(text, "yellow")
        self._failed.append(text)

    def carry(self, work: Callable[[], None]) -> None:
        """Do what a run consists of, in a thread of its own."""
        self._standing.carry(work)

    def ending(self) -> AbstractContextManager[Ending]:
        """The window is closed, or a signal comes."""
        return nullcontext(self._standing.ending)

    @contextmanager
    def busy(self, text: str) -> Iterator[Log]:
        """Show in the window what is done; leaves where that was asked for meanwhile."""

        def tell(text: str) -> None:
            self._standing.ending.check()
            self._standing.starting.do(text)

        tell(text)
        yield tell

    def log(self, text: str, style: str = "") -> None:
        """Write a line to the terminal."""
        _print(self.console, text, style)

    def watch(self, progress: Progress) -> None:
        """Show how a calibration stands."""
        progress.others = self._others
        self._standing.watch(progress)

    def stay(self, progress: Progress) -> None:
        """Show how it ended until the window is closed, or something else is to be shown."""
        asked = self._standing.ending.asked

        def goes_on() -> bool:
            self.followed_by = None if asked.is_set() else progress.next
            return self.followed_by is not None

        self._standing.show(progress, lambda: asked.is_set() or progress.next is not None, goes_on=goes_on)

    def show(self, engine: Engine, ended: Callable[[], bool], stop: threading.Event) -> None:
        """Show the engine until the window is closed, or something else is to be shown."""
        from bci_music.status import Failure

        def picture() -> Path | None:
            return self._picture() if self._may_show(engine) else None

        def over() -> bool:
            ended()  # raises where what streams has failed; its end alone leaves the window open
            return stop.is_set() or engine.commands.next is not None

        def goes_on() -> bool:
            self.followed_by = None if stop.is_set() else engine.commands.next
            return self.followed_by is not None

        engine.commands.others = self._others
        for text in self._failed:
            engine.events.failure(Failure(engine.now(), "window", text))
        self._failed.clear()
        self._standing.show(engine, over, self._seconds, picture, goes_on)


def _print(console: Console, text: str, style: str) -> None:
    """Print a line; where it goes may be gone, which must not cost the run its report."""
    with suppress(OSError):
        console.print(text, style=style or None, markup=False, soft_wrap=True)


def print_summary(report: dict[str, Any], out: Path, console: Console) -> None:
    """Print in a few lines how the run went, and where to look."""
    found = report["identification"]
    lines = [
        f"{report['windows_decoded']} windows decoded, {report['windows_skipped']} skipped, "
        f"{report['windows_masked']} masked",
        f"{report['audio_seconds']:.0f} s of sound, {report['underruns']} underruns, "
        f"{report['silent_seconds'] or 0:.2f} s silent",
    ]
    if found:
        lines.append(
            f"{found['hits']} of {found['n']} windows found the song, chance {found['n'] * found['chance']:.1f} "
            f"(p = {found['p']:.3f} against circular shifts)"
        )
    if report["chance"]:
        lines.append(chance_line(report["chance"]))
    if report["chance_of_sound"]:
        lines.append(chance_line(report["chance_of_sound"]))
    lines += [span["revealed"] or f"SHAM from {max(span['start_s'], 0.0):.0f} to {span['stop_s']:.0f} s"
              for span in report["sham"]]
    if report["warning"]:
        lines.append(report["warning"])
    for line in [*lines, f"see {out / 'overview.png'}, {out / 'report.json'} and {out / 'music.wav'}"]:
        _print(console, line, "")


def chance_line(chance: dict[str, Any]) -> str:
    """Say whether it was above chance, and how often that would be wrong."""
    if not chance["method"]:
        return str(chance["why"])
    from bci_music.engine.chance import bets_words

    rate, (alarms, runs) = chance["alarm_rate"], chance["measured"]
    measured = f", on sham {alarms} of {runs}" if runs else ""
    return (
        f"above chance: {'yes' if chance['shown'] else 'not shown'} (evidence {chance['highest']:.3g} after "
        f"{bets_words(chance)}, yes at {1 / rate:.0f}; "
        f"wrong in at most {100 * rate:.0f} % of runs{measured})"
    )
