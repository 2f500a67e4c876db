"""The sample session, streamed by a second process through a real LSL outlet."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bci_music.messages import UserError
from bci_music.processes import WATCHED, deaf_children

if TYPE_CHECKING:
    from bci_music.streaming.lsl import StreamQuery


def find_sample() -> Path:
    """Path of the sample session: in the source tree, or where the wheel put it."""
    from bci_music.config import shipped

    return shipped("recordings/sample.xdf")


class SampleStream:
    """Context manager that runs ``bci-music stream FILE`` in a second process until left; `loop`: over and over.

    That process ends with this one, however this one ends.
    """

    def __init__(self, file: Path, loop: bool = False):
        self._file = file
        self._loop = loop
        self._source_id = f"bci-music-demo-{uuid.uuid4().hex[:8]}"
        self._name = f"bci-music demo {self._source_id[-4:]}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        start = WATCHED + "from bci_music.cli.main import main; main()"
        with deaf_children():
            self._process = subprocess.Popen(
                [sys.executable, "-c", start, "stream", str(self._file), "--name", self._name,
                 "--source-id", self._source_id, "--wait-consumer", *(["--loop"] if self._loop else [])],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
        return self

    def query(self, query: StreamQuery) -> StreamQuery:
        """Return a query for exactly this stream."""
        return query.model_copy(update={"name": self._name, "source_id": self._source_id})

    def ended(self) -> bool:
        """Whether the second process has ended; raises `UserError` with its words if it failed."""
        assert self._process is not None
        code = self._process.poll()
        if code not in (None, 0):
            assert self._process.stderr is not None
            words = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            reason = words[-1] if words else f"exit code {code}"
            raise UserError(
                f"The process that streams {self._file.name} failed ({reason}): try `bci-music stream {self._file}`."
            )
        return code is not None

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()  # nobody listens any more
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                pipe.close()
