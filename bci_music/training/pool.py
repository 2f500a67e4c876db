"""Where tasks run: processes of this machine, or the workers of a dask scheduler, on however many machines.

A task gets a `Send` to say how far it is; what it says is read with `messages`. Tasks leave what they do in folders, so
one whose process dies goes on where it was when it is given to another: the pool of a machine leaves that to the next
call, dask does it at once. With dask all machines see the folders under the same paths.
"""

from __future__ import annotations

import multiprocessing
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.managers import SyncManager
from queue import Empty, SimpleQueue
from typing import Any, Self

from bci_music.messages import UserError
from bci_music.processes import end_with_parent

Send = Callable[[Any], None]
SPAWN = multiprocessing.get_context("spawn")
JOIN_S = 30.0  # how long a scheduler may take to answer, and its first worker to join


def process_pool(count: int) -> ProcessPoolExecutor:
    """Make a pool of processes that end with this one, however it ends."""
    return ProcessPoolExecutor(count, SPAWN, end_with_parent)


class Pool(ABC):
    """Runs tasks elsewhere; a context manager."""

    send: Send  # what tasks get

    @property
    @abstractmethod
    def size(self) -> int:
        """How many tasks may run at once."""

    @abstractmethod
    def submit(self, task: Callable, *arguments: Any) -> Future:
        """Have a task done."""

    @abstractmethod
    def messages(self) -> Iterator[Any]:
        """What tasks have sent since the last call."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """Wait for what runs, and leave."""


def open_pool(workers: int = 1, scheduler: str | None = None) -> Pool:
    """Start processes here, or join a dask scheduler by its address, e.g. ``tcp://host:8786``."""
    return Processes(workers) if scheduler is None else DaskWorkers(scheduler)


class Processes(Pool):
    """Processes of this machine; where one of them dies (no memory, say) new ones take over."""

    def __init__(self, count: int):
        self._count = count
        self._pool = process_pool(count)
        self._manager = SyncManager(ctx=SPAWN)
        self._manager.start(end_with_parent)
        self._queue = self._manager.Queue()
        self.send = _ToQueue(self._queue)

    @property
    def size(self) -> int:
        """As many as were asked for."""
        return self._count

    def submit(self, task: Callable, *arguments: Any) -> Future:
        """Have a task done."""
        try:
            return self._pool.submit(task, *arguments)
        except BrokenProcessPool:
            self._pool.shutdown()
            self._pool = process_pool(self._count)
            return self._pool.submit(task, *arguments)

    def messages(self) -> Iterator[Any]:
        """What tasks have sent since the last call."""
        yield from _emptied(self._queue)

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()
        self._manager.shutdown()


class DaskWorkers(Pool):
    """Workers of a dask scheduler (the extra ``cluster``); those that join later get tasks too.

    A task whose worker dies is given to another by the scheduler, up to three times (dask's ``allowed-failures``).

    Raises
    ------
    UserError
        If distributed is not installed, nothing answers at the address, no worker is there, or one would run several
        tasks in one process: they would share the generator of random numbers.
    """

    def __init__(self, address: str):
        try:
            from distributed import Client
        except ImportError:
            raise UserError(
                "dask.distributed is not installed, and --scheduler needs it: pip install 'bci-music[cluster]', or "
                "leave --scheduler out."
            ) from None
        try:
            self._client = Client(address, timeout=JOIN_S, name="bci-music", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"No dask scheduler answers at {address} ({' '.join(str(error).split())}): start one with `dask "
                "scheduler` and give the address it prints."
            ) from error
        try:
            self._check(address)
        except BaseException:
            self._client.close()
            raise
        topic = f"bci-music-{uuid.uuid4().hex}"
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self._client.subscribe_topic(topic, lambda event: self._heard.put(event[1]))
        self.send = _ToTopic(topic)
        self._pool = self._client.get_executor(pure=False)

    def _check(self, address: str) -> None:
        try:
            self._client.wait_for_workers(1, timeout=JOIN_S)
        except TimeoutError:
            raise UserError(
                f"No worker has joined the dask scheduler at {address}: start some with `dask worker {address} "
                "--nthreads 1`, one for each task at a time."
            ) from None
        for name, worker in self._workers().items():
            if worker["nthreads"] != 1:
                raise UserError(
                    f"The dask worker {name} runs {worker['nthreads']} tasks in one process, where they would share "
                    "one generator of random numbers: start it with --nthreads 1, and several with --nworkers."
                )

    def _workers(self) -> dict[str, Any]:
        return dict(self._client.scheduler_info(n_workers=-1)["workers"])

    @property
    def size(self) -> int:
        """One for each worker that is there now."""
        return max(1, len(self._workers()))

    def submit(self, task: Callable, *arguments: Any) -> Future:
        """Have a task done."""
        future: Future = self._pool.submit(task, *arguments)
        return future

    def messages(self) -> Iterator[Any]:
        """What tasks have sent since the last call."""
        yield from _emptied(self._heard)

    def __exit__(self, *error: object) -> None:
        self._client.close()


class _ToQueue:
    """Sends from a process of this machine."""

    def __init__(self, queue: Any):
        self._queue = queue

    def __call__(self, message: Any) -> None:
        self._queue.put(message)


class _ToTopic:
    """Sends from a dask worker, through its scheduler."""

    def __init__(self, topic: str):
        self._topic = topic

    def __call__(self, message: Any) -> None:
        from distributed import get_worker

        get_worker().log_event(self._topic, message)


def _emptied(queue: Any) -> Iterator[Any]:
    while True:
        try:
            yield queue.get_nowait()
        except Empty:
            return
