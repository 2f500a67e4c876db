"""Songs through the player, silence between them, and markers that say when each was heard, not when it was asked for.

A marker is given once its instant has come, with the time at which the player let the sample be heard. Where the sound
stumbled, or a device changed its mind about its latency, another marker says where in the song the listener is now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bci_music.data.session import song_marker
from bci_music.listening.songs import Excerpt
from bci_music.messages import AUDIO_RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bci_music.sound.player import Player

AHEAD_S = 2.5  # queued: more than a player needs to begin
STEP_S = 0.25  # written at a time
OFF_S = 0.005  # by more than this an onset is said again


@dataclass(frozen=True)
class Heard:
    """An excerpt whose end has come. `whole` is whether it was heard without a stumble."""

    excerpt: Excerpt
    start_s: float
    stop_s: float
    whole: bool


@dataclass
class _Placed:
    """An excerpt in the queue: its samples by absolute index, and where its marker put it."""

    excerpt: Excerpt
    first: int
    stop: int
    announced: tuple[int, float] | None = None  # sample, and the time at which it was heard
    start_s: float = 0.0
    whole: bool = True


class Playback:
    """A stage that plays excerpts in order.

    Parameters
    ----------
    player : Player
        Started by whoever owns it.
    excerpts : sequence of Excerpt
    sound_of : callable
        (n, 2) float32 at 48 kHz of an excerpt.
    mark : callable
        Is given the text of a song marker and the time that it is true of.
    on_heard : callable
        Is given every excerpt that came to its end.
    rest_s, silence_s : float
        Silence before the first, and after each.
    """

    def __init__(
        self, player: Player, excerpts: Sequence[Excerpt], sound_of: Callable[[Excerpt], NDArray[np.float32]], *,
        mark: Callable[[str, float], None], on_heard: Callable[[Heard], None], rest_s: float, silence_s: float,
    ):
        self._player, self._sound_of, self._mark, self._on_heard = player, sound_of, mark, on_heard
        self._silence = round(silence_s * AUDIO_RATE_HZ)
        self.waiting = deque(excerpts)
        self.held = False  # no further excerpt begins while this is set
        self._buffer = _silent(round(rest_s * AUDIO_RATE_HZ))
        self._placed: deque[_Placed] = deque()
        self._ends = 0  # first sample after everything that was wanted

    @property
    def playing(self) -> Excerpt | None:
        """What is heard now."""
        return self._placed[0].excerpt if self._placed and self._placed[0].announced is not None else None

    def position_s(self, now: float) -> float:
        """Seconds of the playing excerpt that were heard; negative where it is still to come."""
        if not self._placed:
            return 0.0
        return (self._player.heard.index_at(now) - self._placed[0].first) / AUDIO_RATE_HZ

    def left_s(self, now: float) -> float:
        """Seconds until all was heard, as it looks now."""
        ahead = sum(own.excerpt.seconds + self._silence / AUDIO_RATE_HZ for own in self._placed)
        ahead += sum(excerpt.seconds + self._silence / AUDIO_RATE_HZ for excerpt in self.waiting)
        return max(0.0, ahead - max(0.0, self.position_s(now)))

    def over(self, now: float) -> bool:
        """Whether everything was heard, the silence after it too."""
        return not self.waiting and not self._placed and self._player.heard.index_at(now) >= self._ends

    def step(self, now: float) -> None:
        """Keep the queue filled and say what is being heard."""
        self._feed()
        self._player.poll(now)
        self._announce(now)

    def spoil(self) -> None:
        """What plays now is not heard."""
        for own in self._placed:
            own.whole = False

    def end(self, now: float) -> None:
        """Say that the music is over, whatever was to come."""
        if self._placed and self._placed[0].announced is not None:
            self._mark(song_marker(None), now)
        self.waiting.clear()
        self._placed.clear()

    def _feed(self) -> None:
        """Write ahead of the ear; silence while no excerpt may begin."""
        while self._player.queued_s < AHEAD_S:
            if not len(self._buffer):
                self._next()
            part = self._buffer[: round(STEP_S * AUDIO_RATE_HZ)]
            taken = self._player.write(part)
            if not taken:
                return
            self._buffer = self._buffer[taken:]

    def _next(self) -> None:
        if self.waiting and not self.held:
            excerpt = self.waiting.popleft()
            sound, first = self._sound_of(excerpt), self._player.written
            self._placed.append(_Placed(excerpt, first, first + len(sound)))
            self._buffer = np.concatenate([sound, _silent(self._silence)])
            self._ends = first + len(self._buffer)
        else:
            self._buffer = _silent(round(STEP_S * AUDIO_RATE_HZ))

    def _announce(self, now: float) -> None:
        heard = self._player.heard
        taken = round(self._player.written - self._player.queued_s * AUDIO_RATE_HZ)
        index = min(heard.index_at(now), taken)  # what was not there was not heard
        while self._placed and index >= self._placed[0].first:
            own = self._placed[0]
            at = min(index, own.stop)
            time_s = heard.heard_s(own.first if own.announced is None else at)
            if time_s is None:
                return
            if own.announced is None:
                own.announced, own.start_s = (own.first, time_s), time_s
                self._mark(song_marker(own.excerpt.song, own.excerpt.title, own.excerpt.start_s), time_s)
                continue
            expected_s = own.announced[1] + (at - own.announced[0]) / AUDIO_RATE_HZ
            if abs(time_s - expected_s) > OFF_S:
                own.announced, own.whole = (at, time_s), False
                song_s = own.excerpt.start_s + (at - own.first) / AUDIO_RATE_HZ
                if at < own.stop:
                    self._mark(song_marker(own.excerpt.song, own.excerpt.title, song_s), time_s)
            if index < own.stop:
                return
            self._placed.popleft()
            self._mark(song_marker(None), time_s)
            self._on_heard(Heard(own.excerpt, own.start_s, time_s, own.whole))


def _silent(n: int) -> NDArray[np.float32]:
    return np.zeros((n, 2), np.float32)
