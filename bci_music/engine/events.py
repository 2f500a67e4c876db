"""What a run publishes: stages report here, and history and outputs hear of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.engine.history import History
    from bci_music.heard.stage import HeardStage
    from bci_music.messages import Embedding, MusicMarker, Quality, StreamEvent
    from bci_music.status import Failure

KEPT_FAILURES = 20


class Listener(Protocol):
    """Hears what is published. Called on the thread that publishes: it must return at once and not raise."""

    def push_embedding(self, embedding: Embedding) -> None:
        """Take the decoding of one window."""

    def push_quality(self, quality: Quality) -> None:
        """Take the verdicts on all channels."""

    def push_event(self, event: StreamEvent | str, time_s: float) -> None:
        """Take a change of the stream, or a remark, with its LSL time."""


class Events:
    """The one place between the stages and those who listen; made before both, so that neither knows the other.

    Every method may be called from any thread.

    Parameters
    ----------
    clock : Clock
        LSL's clock; stamps remarks.
    history : History, optional
        Remembers embeddings and music markers; None when only monitoring.
    """

    def __init__(self, clock: Clock, history: History | None = None):
        self._clock = clock
        self.history = history
        self.heard: HeardStage | None = None  # compares EEG with the sound that is heard; set before the stages start
        self.listeners: Sequence[Listener] = ()  # set before the stages start
        self.failures: deque[Failure] = deque(maxlen=KEPT_FAILURES)
        self.lost: deque[str] = deque(maxlen=KEPT_FAILURES)  # what the run was to keep and did not

    def embedding(self, embedding: Embedding) -> None:
        """Publish the decoding of one window (decode thread)."""
        if self.history is not None:
            self.history.add_embedding(embedding)
        for listener in self.listeners:
            listener.push_embedding(embedding)

    def quality(self, quality: Quality) -> None:
        """Publish the verdicts on all channels (decode thread)."""
        for listener in self.listeners:
            listener.push_quality(quality)

    def stream_event(self, event: StreamEvent) -> None:
        """Publish a change of the stream (acquire thread)."""
        for listener in self.listeners:
            listener.push_event(event, event.time_s)

    def marker(self, marker: MusicMarker) -> None:
        """Take a change of the music being heard (watch thread); it reaches the network by its own stream."""
        if self.history is not None:
            self.history.add_marker(marker)
        if self.heard is not None:
            self.heard.sound.marker(marker)

    def moved(self, time_s: float) -> None:
        """The operator went to another place of a recording: music announced for later than `time_s` is forgotten."""
        if self.history is not None:
            self.history.cut_markers(time_s)
        if self.heard is not None:
            self.heard.moved = True

    def log(self, text: str) -> None:
        """Publish a remark: a consent, what the operator saw."""
        for listener in self.listeners:
            listener.push_event(text, self._clock.now())

    def failure(self, failure: Failure) -> None:
        """Publish a background failure: it becomes a message, and nothing is swallowed."""
        self.failures.append(failure)
        if failure.lost and failure.text not in self.lost:
            self.lost.append(failure.text)
        for listener in self.listeners:
            listener.push_event(failure.text, failure.time_s)
