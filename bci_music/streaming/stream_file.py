"""`bci-music stream FILE`: a recording on the network until its end or a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from bci_music.data.formats import open_session
from bci_music.streaming.discovery import liblsl
from bci_music.streaming.session_outlet import SessionOutlet


def stream_file(
    file: Path, *, eeg: str | None = None, name: str | None = None, source_id: str | None = None, speed: float = 1.0,
    loop: bool = False, start_s: float = 0.0, wait: bool = False, seconds: float | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Stream `file` until its end, `seconds`, SIGTERM or SIGINT; says in one line what it streams."""
    liblsl()  # a sentence when it is missing, and no chatter of its own on the terminal
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        session = open_session(file, eeg)
        outlet = SessionOutlet(session, name=name, source_id=source_id, speed=speed, loop=loop, start_s=start_s)
        try:
            say(outlet.describe() + (", waiting for a consumer" if wait else ""))
            if not wait or outlet.wait_for_consumer(stop=stop):
                outlet.run(stop, seconds=float("inf") if seconds is None else seconds)
                stop.wait(0.5)  # liblsl sends from a thread of its own: let it empty its buffer
        finally:
            outlet.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
