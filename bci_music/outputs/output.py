"""`Output`: where the results of a live run go besides the window and the ears.

A new output is one file in this package with a subclass of `Output`, and its line in `registry.OUTPUTS`. Its settings
become keys under ``outputs:`` of the configuration and options of the command line; the engine opens it, hands it what
the run publishes and closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from bci_music.messages import Embedding, Quality, StreamEvent, StreamInfo
    from bci_music.sound.player import Player


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of an output: a key of the configuration and an option of the command line.

    `kind` is a plain type (bool, int, float, str, Path). With the default None the setting may be left out.
    """

    name: str
    kind: type
    default: Any
    flag: str
    help: str
    for_files: bool = False  # whether it means something where a file is replayed, even if its output does not


def _none() -> int:
    """Nothing has come."""
    return 0


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a record of the run names: its resolved configuration, and its pack with the hash of its manifest."""

    config: Mapping[str, Any] = field(default_factory=dict)
    pack: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputContext:
    """What an output needs to know of the run when it is opened.

    `channels` names the electrodes in the order of attention and quality. `log_event` writes an event into the run,
    for all outputs; `received` is how many samples of the stream have come so far; `player` plays the sound, if any
    is played.
    """

    stream: StreamInfo
    channels: tuple[str, ...]
    log_event: Callable[[str], None]
    received: Callable[[], int] = _none
    facts: RunFacts = RunFacts()
    player: Player | None = None


class Output:
    """Base of all outputs: every method does nothing until a subclass overrides it.

    All methods are called on one thread that belongs to this output, so they may take their time; what they cannot
    take in time is dropped and counted, and an exception is counted and reported once. Neither stops the run.
    """

    name: ClassVar[str]  # its key in the configuration and the report
    settings: ClassVar[tuple[Setting, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()  # outputs that are switched on with this one, and opened before it
    required: ClassVar[bool] = False  # whether a failure of it is a loss: the run goes on, its exit code says so
    network_stream_only: ClassVar[bool] = False  # whether it has nothing to do where a file is replayed

    def __init__(self, values: Mapping[str, Any]):
        self.values = values
        self.status = ""  # what the window shows of it
        self.path: Path | None = None  # the file it writes, if it writes one
        self.problem = ""  # what is wrong with it now; said each time it changes

    @classmethod
    def enabled(cls, values: Mapping[str, Any]) -> bool:
        """Whether these settings switch the output on; raises `UserError` where they make no sense together."""
        return bool(values.get("enabled"))

    def prepare(self) -> None:
        """Try, before anything starts, what can be tried; raises `UserError`."""

    def open(self, context: OutputContext) -> None:
        """Begin: the stream is known now."""

    def push_embedding(self, embedding: Embedding) -> None:
        """Take the decoding of one window."""

    def push_quality(self, quality: Quality) -> None:
        """Take the verdicts on all channels."""

    def push_event(self, event: StreamEvent | str, time_s: float) -> None:
        """Take a change of the stream, or a remark, with its LSL time."""

    def step(self) -> None:
        """Look after what was opened; called many times a second."""

    def give_up(self) -> None:
        """The run ends: an `open` that still waits should return. Called on another thread."""

    def close(self) -> None:
        """End; called once, after the last push."""
