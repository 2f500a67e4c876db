"""What the operator may ask of a run, each command handed to the part that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bci_music.messages import WAYS
from bci_music.status import FOLLOWS, Command, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from bci_music.engine.events import Events
    from bci_music.engine.sham import Sham
    from bci_music.sound.prompting import PromptStage
    from bci_music.sound.stage import SoundStage

COMMANDS = (
    "volume", "mute", "start", "stop", "prompt", "prompt_weight", "sham", "look", "choose", "seek", "speed", "shelf",
    "export", "record", "look_devices", "device", "look_packs", "way", *FOLLOWS,
)  # fmt: skip


class Taker(Protocol):
    """A part that knows some commands."""

    def take(self, command: Command) -> bool:
        """Take a command; returns whether it was one of its own."""


class Commands:
    """Takes commands in the order they come; never waits.

    Parameters
    ----------
    sound, prompter, sham
        None where the run has none.
    takers : tuple of Taker
        Parts that know commands of their own, asked first.
    events : Events
    now : callable
        LSL time.
    recording : callable
        What is being recorded, "" for nothing: another run would end that.
    """

    def __init__(
        self, sound: SoundStage | None, prompter: PromptStage | None, sham: Sham | None, takers: tuple[Taker, ...],
        events: Events, now: Callable[[], float], recording: Callable[[], str],
    ):
        self._sound, self._prompter, self._sham = sound, prompter, sham
        self._takers, self._events, self._now, self._recording = takers, events, now, recording
        self.others: tuple[str, ...] = ()  # of `FOLLOWS`, what whoever shows the run can follow
        self.next: Command | None = None  # what is to follow this run
        self._muted = self._paused = False

    def take(self, command: Command) -> None:
        """Do what is asked, or have it done."""
        if command.name not in COMMANDS:
            raise ValueError(f"unknown command {command.name!r}")
        if command.name in FOLLOWS:
            self._follow(command)
            return
        if any(taker.take(command) for taker in self._takers) or self._sound is None:
            return
        if self._sound.devices.take(command):
            return
        if command.name == "sham":
            self._take_sham(command.text)
        elif command.name.startswith("prompt"):
            self._take_words(command)
        elif command.name == "way":
            self._take_way(command.text)
        elif command.name == "volume":
            self._sound.set_volume(command.value)
        elif command.name in ("mute", "start", "stop"):
            if command.name == "mute":
                self._muted = bool(command.value)
            else:
                self._paused = command.name == "stop"  # the music goes on unheard, so that it comes back at once
            self._sound.set_muted(self._muted or self._paused)

    def _follow(self, command: Command) -> None:
        """Note what is to follow; whoever shows the run ends it."""
        if command.name not in self.others:
            return
        if self._recording():
            text = "A recording is under way: end it first, then another run can begin."
            self._events.failure(Failure(self._now(), "window", text))
            return
        self.next = command

    def _take_sham(self, mode: str) -> None:
        if mode not in ("off", "sham", "blind"):
            raise ValueError(f"sham is off, sham or blind, not {mode!r}")
        if self._sham is not None:
            status = self._sham.set(mode)  # type: ignore[arg-type]
            self._events.log(f"sham: {status.words or mode}")

    def _take_way(self, way: str) -> None:
        if way not in WAYS:
            raise ValueError(f"a way is {' or '.join(WAYS)}, not {way!r}")
        assert self._sound is not None
        self._sound.set_way(way)
        self._events.log(f"way: {way}")

    def _take_words(self, command: Command) -> None:
        if self._prompter is None:
            text = "Words cannot steer this run: it has nothing that understands them."
            self._events.failure(Failure(self._now(), "prompt", text))
        elif command.name == "prompt":
            self._prompter.set_text(command.text, self._now())
        else:
            self._prompter.set_weight(command.value)
