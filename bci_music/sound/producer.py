"""A thread of its own for a generator that takes its time."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from bci_music.messages import AudioBlock, Style
from bci_music.sound.generator import Generator


class Producer:
    """Makes one block at a time in the background.

    Parameters
    ----------
    generator : Generator
        Its `warm_up` is what the thread begins with; `interrupt` is called when the producer closes.
    """

    def __init__(self, generator: Generator):
        self._generator = generator
        self._order: tuple[Style, Any, float, float] | None = None
        self._result: tuple[AudioBlock, Any] | None = None
        self._error: Exception | None = None
        self._wake = threading.Event()
        self._closing = False
        self._walls: deque[float] = deque(maxlen=8)
        self._thread: threading.Thread | None = None
        self.busy = False

    @property
    def ready(self) -> bool:
        """Whether a block, or an error, can be taken."""
        return not self.busy and (self._result is not None or self._error is not None)

    @property
    def expected_s(self) -> float:
        """Wall time the next block may take, from the last ones; 0 before the first."""
        return 1.3 * max(self._walls, default=0.0)

    def start(self) -> None:
        """Start the thread if it does not run yet."""
        if self._thread is None:
            self.busy = True  # warming up
            self._thread = threading.Thread(target=self._run, name="bci-music-generator", daemon=True)
            self._thread.start()

    def submit(self, style: Style, state: Any, seconds: float, deadline: float) -> None:
        """Order a block; only when the last one was taken."""
        self.start()
        if self.busy or self.ready:
            raise RuntimeError("the last block was not taken yet")
        self._order, self.busy = (style, state, seconds, deadline), True
        self._wake.set()

    def take(self) -> tuple[AudioBlock, Any, float]:
        """Return block, state and the wall time they took; raises what the generator raised."""
        error, self._error = self._error, None
        result, self._result = self._result, None
        if error is not None:
            raise error
        if result is None:
            raise RuntimeError("no block is ready")
        return *result, self._walls[-1]

    def close(self, timeout_s: float = 2.0) -> bool:
        """End the thread; returns whether it did."""
        self._closing = True
        self._generator.interrupt()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._generator.warm_up()
        except Exception as error:  # handed to the stage, which names it
            self._error = error
        self.busy = False
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._closing:
                return
            if self._order is None:
                continue
            style, state, seconds, deadline = self._order
            self._order = None
            began = time.perf_counter()
            try:
                self._result = self._generator.generate(style, state, seconds=seconds, deadline=deadline)
            except Exception as error:  # handed to the stage, which names it
                self._error = error
            self._walls.append(time.perf_counter() - began)
            self.busy = False
