"""Processes that belong together: a child ends with its parent, however that ends, and only its parent ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

WATCHED = "from bci_music.processes import end_with_parent; end_with_parent()\n"  # first in the code of a child
GRACE_S = 2.0  # a child whose parent is gone gets this long to leave by itself


@contextmanager
def deaf_children(*, also_to_end: bool = False) -> Iterator[None]:
    """Start children inside that do not hear Ctrl-C or a closing terminal, which reach a whole group of processes.

    Parameters
    ----------
    also_to_end : bool
        Nor SIGTERM: for a child that its parent ends in another way.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    deaf_to = {signal.SIGINT, signal.SIGHUP, *([signal.SIGTERM] if also_to_end else [])}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, deaf_to)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process when its parent is gone: call it in a child first thing.

    A child of `multiprocessing` watches its parent; any other its standard input, a pipe that the parent holds open
    and writes nothing into.
    """
    threading.Thread(target=_watch_parent, name="bci-music-parent", daemon=True).start()


def _watch_parent() -> None:
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    else:
        try:
            while os.read(sys.stdin.fileno(), 4096):
                pass
        except (OSError, ValueError, AttributeError):
            pass  # what cannot be read is closed
    threading.Timer(GRACE_S, os._exit, (1,)).start()
    os.kill(os.getpid(), signal.SIGTERM)
