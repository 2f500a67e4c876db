"""The stage around an `Output`: a bounded queue before it, its failures counted, its life from open to close."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bci_music.messages import UserError
from bci_music.status import Failure, OutputStatus
from bci_music.workers import Outbox

if TYPE_CHECKING:
    from bci_music.messages import Embedding, Quality, StreamEvent
    from bci_music.outputs.output import Output, OutputContext

log = logging.getLogger(__name__)
QUEUED = 512  # messages an output may be behind: minutes of a decoder's work


class OutputStage:
    """Hand what the run publishes to one output.

    `push_*` is called by whoever publishes and never waits: what does not fit into the queue is dropped and counted.
    `step` opens the output once the stream is known and hands on what is queued; it is called on a thread of the
    output's own. The first message dropped and the first exception each become a `Failure`.

    Parameters
    ----------
    output : Output
    on_failure : callable
    now : callable
        LSL time.
    after : sequence of OutputStage
        Stages that open before this one.
    """

    def __init__(
        self,
        output: Output,
        on_failure: Callable[[Failure], None],
        now: Callable[[], float],
        after: Sequence[OutputStage] = (),
    ):
        self.output = output
        self._on_failure = on_failure
        self._now = now
        self._after = after
        self._outbox: Outbox[tuple[Callable[..., None], tuple]] = Outbox(QUEUED)
        self._context: OutputContext | None = None
        self._tried = self._open = self._ending = False
        self._warned = False
        self._problem = ""
        self.pushed = 0
        self.failed = 0

    @property
    def name(self) -> str:
        """Name of the output."""
        return self.output.name

    def connect(self, context: OutputContext) -> None:
        """Take the stream, now that it is known; the next step opens the output."""
        self._context = context

    @property
    def settled(self) -> bool:
        """Whether the output is open, or was tried and will not be."""
        return self._tried

    def status(self) -> OutputStatus:
        """Return the output in one glance."""
        return OutputStatus(self.name, self._open, self.output.status, self.pushed, self._outbox.refused, self.failed)

    def push_embedding(self, embedding: Embedding) -> None:
        """Queue an embedding."""
        self._push(self.output.push_embedding, embedding)

    def push_quality(self, quality: Quality) -> None:
        """Queue verdicts."""
        self._push(self.output.push_quality, quality)

    def push_event(self, event: StreamEvent | str, time_s: float) -> None:
        """Queue an event."""
        self._push(self.output.push_event, event, time_s)

    def step(self, now: float) -> None:
        """Open the output when it is its turn; hand on what is queued."""
        if not self._tried and self._context is not None and all(stage.settled for stage in self._after):
            self._open_output(self._context)
        if self._open:
            for method, message in self._outbox.drain():
                self.pushed += self._attempt(method, *message)
            if not self._ending:
                self._attempt(self.output.step)
                self._say_problem()
        if self._ending:
            self.close()

    def _say_problem(self) -> None:
        """Report what is wrong with the output when it changes."""
        if self.output.problem != self._problem:
            self._problem = self.output.problem
            self._report(self._problem or f"The output {self.name} is in order again.")

    def end(self) -> None:
        """Let an output that is still being opened give up: the run ends."""
        self.output.give_up()

    def finish(self) -> None:
        """Close the output with the next step, while the run goes on."""
        self._ending = True
        self.output.give_up()

    def flush(self) -> None:
        """Hand on what is left; after the thread that called `step` has ended. What is not open stays closed."""
        self._tried = True
        self.step(self._now())

    def close(self) -> None:
        """Close the output, once."""
        if self._open:
            self._open = False
            self._attempt(self.output.close, lost=self.output.required)

    def abandon(self) -> None:
        """Give up on an output whose thread did not end in time: it closes when its call comes back."""
        self._ending = True
        self._report(f"The output {self.name} did not end in time and was left behind.", self.output.required)

    def _open_output(self, context: OutputContext) -> None:
        self._open = self._attempt(self.output.open, context, lost=self.output.required)
        self._tried = True

    def _push(self, method: Callable[..., None], *message: object) -> None:
        if self._open and not self._outbox.put((method, message)) and not self._warned:
            self._warned = True  # before the report, which comes back here as an event
            self._report(f"The output {self.name} cannot keep up: what does not fit its queue is dropped.")

    def _attempt(self, method: Callable[..., None], *arguments: object, lost: bool = False) -> bool:
        """Call the output; an exception is counted, and the first one reported."""
        try:
            method(*arguments)
        except Exception as error:
            self.failed += 1
            refused = isinstance(error, UserError)
            if not refused and self.failed == 1:
                log.exception("output %s failed", self.name)
            if self.failed == 1 or lost:
                text = str(error) if refused else f"The output {self.name} failed: {type(error).__name__}: {error}"
                self._report(text, lost)
            return False
        return True

    def _report(self, text: str, lost: bool = False) -> None:
        self._on_failure(Failure(self._now(), self.name, text, lost=lost))
