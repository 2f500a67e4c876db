"""The state machine of a stream: what is shown, and when a silence becomes a stall and a loss."""

from __future__ import annotations

from collections import deque
from statistics import median

from bci_music.messages import StreamState

STALL_S = 0.5
LOST_S = 3.0


class Link:
    """searching → live → stalled → lost → reconnecting → live, with the connection counted up.

    Each method returns the changes it caused as ``(state, sentence)``, oldest first.
    """

    def __init__(self, now: float):
        self.state = StreamState.SEARCHING
        self.since_s = now
        self.connection = 0
        self.lost_count = 0
        self.text = "looking for a stream"
        self._last_s = now
        self._intervals: deque[float] = deque(maxlen=32)
        self._was_live = False

    @property
    def connected(self) -> bool:
        """Whether samples are expected."""
        return self.state in (StreamState.LIVE, StreamState.STALLED)

    @property
    def stall_after_s(self) -> float:
        """Silence that is shown as a stall: 0.5 s, or 3 times the median interval between chunks."""
        return max(STALL_S, 3 * median(self._intervals)) if self._intervals else STALL_S

    def opened(self, name: str) -> None:
        """A connection stands; that is not yet a living stream, only a sample is."""
        self.text = f"connected to {name}, waiting for {'its first sample' if not self._was_live else 'samples'}"

    def arrived(self, now: float, name: str) -> list[tuple[StreamState, str]]:
        """A chunk came."""
        changes = []
        if self.state is StreamState.STALLED:
            changes = self._to(StreamState.LIVE, now, f"{name} goes on after {now - self._last_s:.1f} s")
        elif not self.connected:
            self.connection += self._was_live
            self._was_live = True
            self._intervals.clear()
            changes = self._to(StreamState.LIVE, now, f"{name} is {'back' if self.connection else 'live'}")
        else:
            self._intervals.append(now - self._last_s)
        self._last_s = now
        return changes

    def silent(self, now: float, name: str) -> list[tuple[StreamState, str]]:
        """Nothing came in this step."""
        silence = now - self._last_s
        if self.state is StreamState.LIVE and silence > STALL_S and silence > self.stall_after_s:
            return self._to(StreamState.STALLED, now, f"{name} is silent for {silence:.1f} s")
        if self.state is StreamState.STALLED and silence >= max(LOST_S, 2 * self.stall_after_s):
            return self.lost(now, f"{name} is lost: silent for {silence:.1f} s")
        return []

    def lost(self, now: float, text: str) -> list[tuple[StreamState, str]]:
        """The stream is gone."""
        self.lost_count += 1
        return self._to(StreamState.LOST, now, text)

    def looking(self, now: float, name: str) -> list[tuple[StreamState, str]]:
        """The search for the lost stream begins."""
        return self._to(StreamState.RECONNECTING, now, f"looking for {name} again")

    def searching(self, now: float, text: str) -> list[tuple[StreamState, str]]:
        """Another stream was chosen."""
        self.text = text
        return self._to(StreamState.SEARCHING, now, text)

    def ended(self, now: float, text: str) -> list[tuple[StreamState, str]]:
        """A file is at its end, or the operator stopped."""
        return self._to(StreamState.ENDED, now, text)

    def _to(self, state: StreamState, now: float, text: str) -> list[tuple[StreamState, str]]:
        if state is self.state:
            return []
        self.state, self.since_s, self.text = state, now, text
        return [(state, text)]
