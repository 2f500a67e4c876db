"""Random draws that belong to a sample, not to a process: the same whatever runs it, and after any restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models import parallel
from bci_music.training.eeg.corpus import Batch, Corpus

T = TypeVar("T")


def rng_of(seed: int, step: int, sample: int = -1) -> np.random.Generator:
    """Generator of one sample of one step, or of what a whole step shares (sample -1)."""
    return np.random.default_rng((seed, step, sample + 1))


def own_samples(batch: int) -> range:
    """Which samples of a global batch this process computes."""
    size, left = divmod(batch, parallel.world())
    if left:
        raise UserError(
            f"A batch of {batch} cannot be shared evenly by {parallel.world()} processes: start another number, "
            "or change `batch` in the preset."
        )
    return range(parallel.rank() * size, (parallel.rank() + 1) * size)


def draw_batch(corpus: Corpus, seed: int, step: int, batch: int, jitter_s: float = 0.0) -> Batch:
    """Draw this process's rows of step `step`, each keyed by its number in the global batch."""
    places: list[tuple[int, float]] = []
    shift: list[int] = []
    for sample in own_samples(batch):
        rng = rng_of(seed, step, sample)
        places += corpus.places(rng, 1)
        shift.append(round(rng.uniform(-jitter_s, jitter_s) * corpus.sfreq_hz))
    return corpus.gather(places, np.array(shift))


def least_used(corpus: Corpus, seed: int, step: int, batch: int) -> int:
    """Count the usable channels of the row of step `step` that has fewest, among the rows of all processes."""
    segments = {corpus.places(rng_of(seed, step, sample), 1)[0][0] for sample in range(batch)}
    return min(int(corpus.segments[i].used.sum()) for i in segments)


def noise_like(x: NDArray[np.float32], seed: int, step: int, samples: range, std: float) -> NDArray[np.float32]:
    """Add white noise to rows (B, ...), each row from its own generator."""
    if not std:
        return x
    return np.stack([
        row + np.float32(std) * rng_of(seed, step, sample).standard_normal(row.shape, dtype=np.float32)
        for row, sample in zip(x, samples, strict=True)
    ])


class Prefetcher(Generic[T]):
    """Make what the next steps need in a thread while the current one runs.

    Parameters
    ----------
    make : callable
        ``step -> T``; must depend on nothing but the step.
    first, stop : int
        Steps wanted, in order.

    Attributes
    ----------
    waited_s : float
        How long the last `get` waited: near 0 as long as making keeps up with the steps.
    """

    def __init__(self, make: Callable[[int], T], first: int, stop: int, depth: int = 2):
        self._queue: Queue[tuple[int, T | None, BaseException | None]] = Queue(depth)
        self.waited_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(make, first, stop), name="bci-music-loader", daemon=True
        )
        self._thread.start()

    def get(self, step: int) -> T:
        """Wait for what was made for this step; steps come in order."""
        began = time.perf_counter()
        made, value, error = self._queue.get()
        self.waited_s = time.perf_counter() - began
        if error is not None:
            raise error
        if made != step or value is None:
            raise ValueError(f"step {step} was asked for, {made} comes next")
        return value

    def close(self) -> None:
        """Stop making; returns when the thread is gone."""
        self._over.set()
        self._thread.join(10.0)

    def _run(self, make: Callable[[int], T], first: int, stop: int) -> None:
        for step in range(first, stop):
            value, error = None, None
            try:
                value = make(step)
            except BaseException as caught:
                error = caught
            while not self._over.is_set():
                try:
                    self._queue.put((step, value, error), timeout=0.1)
                    break
                except Full:
                    continue
            if self._over.is_set() or error is not None:
                return

    def __del__(self) -> None:
        self._over.set()
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass
