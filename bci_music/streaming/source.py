"""Where EEG comes from: the one interface to network, file and simulation."""

from __future__ import annotations

from typing import Protocol

from bci_music.messages import Chunk, StreamInfo


class SourceLost(Exception):
    """The other end is gone; `Source.open` may be called again to look for it."""


class SourceEnded(Exception):
    """A file came to its end."""


class Source(Protocol):
    """Something that delivers EEG chunks.

    A *live* source is never held back; a file (``live = False``) may be. A source may have an
    attribute `drained`, True when its last pull took everything there was: this saves asking again.
    """

    live: bool

    def open(self, timeout_s: float) -> StreamInfo:
        """Look for the stream for at most `timeout_s` (0: only see whether it was found meanwhile).

        Raises
        ------
        TimeoutError
            There is none yet.
        UserError
            What is there is ambiguous or cannot be used.
        """

    def pull(self) -> Chunk | None:
        """Return what has come since the last pull, or None; never blocks longer than 20 ms.

        Raises
        ------
        SourceLost
            The stream is gone.
        SourceEnded
            The file is at its end.
        """

    def close(self) -> None:
        """Let go of everything; also ends helper threads."""
