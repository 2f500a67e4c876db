"""Which EEG streams can be chosen, the operator's choice among them, and the choice of last time."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bci_music.files import remember, remembered
from bci_music.status import Command, StreamChoice
from bci_music.streaming.discovery import FoundStream, find_streams

if TYPE_CHECKING:
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.lsl import LslSource

LOOK_S = 0.7
MOST = 64  # streams that are listed


class StreamChooser:
    """A stage that lists the EEG streams on the network while somebody looks, and joins the one that is chosen.

    Parameters
    ----------
    acquirer : Acquirer
    source : LslSource
        The acquirer's.
    """

    def __init__(self, acquirer: Acquirer, source: LslSource):
        self._acquirer, self._source = acquirer, source
        self._looking = False
        self._first_seen_s: dict[str, float] = {}
        self._found: dict[str, FoundStream] = {}
        self.streams: tuple[StreamChoice, ...] = ()

    def step(self, now: float) -> None:
        """Look for streams; costs nothing while nobody wants to see them."""
        if not self._looking:
            return
        found = [s for s in find_streams(LOOK_S) if s.type.lower() == "eeg"][:MOST]
        self._found = {s.uid: s for s in found}
        self._first_seen_s = {s.uid: self._first_seen_s.get(s.uid, now) for s in found}
        self.streams = tuple(self._choice(s, now) for s in found)

    def take(self, command: Command) -> bool:
        """Take a command about streams; returns whether it was one."""
        if command.name == "look":
            self._looking = bool(command.value)
        elif command.name == "choose":
            stream = self._found.get(command.text)
            if stream is not None:
                remember_stream(stream)
                self._acquirer.switch(lambda: self._source.choose(stream))
        return command.name in ("look", "choose")

    def _choice(self, stream: FoundStream, now: float) -> StreamChoice:
        here = stream.hostname == socket.gethostname()  # only here the clock it was made on is ours
        since_s = float(stream.handle.created_at()) if here else self._first_seen_s[stream.uid]
        return StreamChoice(
            stream.uid, stream.name, stream.source_id, stream.hostname, stream.n_channels, stream.sfreq_hz,
            max(0.0, now - since_s), here,
        )


def remember_stream(stream: FoundStream) -> None:
    """Keep a choice for next time: source id and name, nothing else."""
    if stream.source_id:
        remember("stream", source_id=stream.source_id, name=stream.name)


def chosen_last(streams: Sequence[FoundStream]) -> FoundStream | None:
    """Of several streams that match, the one that was chosen last time; None where it is not (alone) among them."""
    source_id = remembered("stream", "source_id")
    alike = [s for s in streams if s.source_id and s.source_id == source_id]
    return alike[0] if len(alike) == 1 else None
