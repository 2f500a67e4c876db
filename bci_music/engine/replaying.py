"""The operator's hand on a replay: another place, another speed, hold and go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bci_music.data.session import parse_song_marker
from bci_music.status import Command, ReplayStatus, TimelineSpan

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.engine.events import Events
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.replay import SessionSource

MOST_MARKS = 200  # markers of a recording that are shown
LONGEST = 40  # characters of one


class Replay:
    """Moves a recording that is replayed; what it holds is read once.

    Every move gives the acquirer a new ring and the decoder a new signal chain, warmed up with what lies before the
    place, as at a start there.

    Parameters
    ----------
    acquirer : Acquirer
    source : SessionSource
        The acquirer's.
    clock : Clock
    events : Events
        Told of each move.
    """

    def __init__(self, acquirer: Acquirer, source: SessionSource, clock: Clock, events: Events):
        self._acquirer, self._source, self._clock, self._events = acquirer, source, clock, events
        session = source.session
        began_s = float(session.times_s[0]) if len(session.times_s) else 0.0
        self._duration_s = session.duration_s
        self._songs = tuple(
            TimelineSpan("heard", h.start_s - began_s, h.stop_s - began_s, h.title, 1.0, h.song)
            for h in session.heard()
        )
        others = (e for e in session.events if parse_song_marker(e.text) is None)
        self._marks = tuple(
            (e.time_s - began_s, e.text[:LONGEST]) for _, e in zip(range(MOST_MARKS), others, strict=False)
        )
        self._wanted_s: float | None = None  # a place that was asked for and is not reached yet

    def take(self, command: Command) -> bool:
        """Take a command about the replay; returns whether it was one."""
        source, held = self._source, self._source.held
        if command.name == "seek":
            self._move(command.value, 0.0 if held else source.speed)
        elif command.name == "speed":
            at_s = source.position_s if self._wanted_s is None else self._wanted_s
            self._move(at_s, command.value)
        return command.name in ("seek", "speed")

    def status(self) -> ReplayStatus:
        """Where it is."""
        source = self._source
        wanted = self._wanted_s
        return ReplayStatus(
            source.position_s if wanted is None else wanted, self._duration_s, 0.0 if source.held else source.speed,
            source.passes, self._songs, self._marks,
        )  # fmt: skip

    def _move(self, to_s: float, speed: float) -> None:
        self._wanted_s = to_s = min(max(to_s, 0.0), self._duration_s)

        def move() -> None:
            self._source.seek(to_s, speed)
            self._events.moved(self._clock.now())
            self._wanted_s = None

        words = "held" if speed <= 0 else f"at speed {speed:g}"
        self._events.log(f"the replay goes on from {to_s:.1f} s, {words}")
        self._acquirer.switch(move)
