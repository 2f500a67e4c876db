"""How an XDF file grows while another program writes it: samples of each stream, counted without reading them."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bci_music.messages import UserError

MAGIC = b"XDF:"
_STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _STREAM_FOOTER = 2, 3, 4, 6
_MOST_OFFSETS = 100_000  # clock offsets kept of one stream: days of them
_MOST_HEADER = 2**20  # bytes of a stream's header that are looked at for its name
_NAME = re.compile(rb"<name>([^<]*)</name>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))


@dataclass(frozen=True)
class RecordingCheck:
    """What a finished file holds: samples by the name of the stream, and what is to be said of it."""

    path: Path
    samples: dict[str, int]
    notes: tuple[str, ...]


class XdfGrowth:
    """Follow an XDF file from chunk to chunk; each call of `look` reads a few bytes of each new chunk.

    Parameters
    ----------
    path : path
        Need not be there yet.
    """

    def __init__(self, path: Path):
        self._path = path
        self._at = len(MAGIC)
        self._names: dict[int, str] = {}
        self._samples: dict[int, int] = {}
        self._first: dict[int, float] = {}  # stamp of the first sample
        self._offsets: dict[int, list[tuple[float, float]]] = {}
        self._closed: set[int] = set()
        self.damaged = False  # what follows is no chunk

    def look(self) -> dict[str, int]:
        """Count what was written so far, by the name of the stream; what cannot be read now changes nothing."""
        try:
            size = self._path.stat().st_size
            with self._path.open("rb") as file:
                while not self.damaged and self._chunk(file, size):
                    pass
        except OSError:
            pass
        found: dict[str, int] = dict.fromkeys(self._names.values(), 0)
        for stream, count in self._samples.items():
            name = self._names.get(stream, f"stream {stream}")
            found[name] = found.get(name, 0) + count
        return found

    @property
    def closed(self) -> bool:
        """Whether every stream has its footer."""
        return bool(self._names) and self._closed >= set(self._names)

    def finish(self) -> None:
        """Cut off a chunk that was not written whole, and write the footers that are missing."""
        self.look()
        with self._path.open("rb+") as file:
            if not self.damaged:
                file.truncate(self._at)
            file.seek(0, os.SEEK_END)
            for stream in sorted(set(self._names) - self._closed):
                content = struct.pack("<HI", _STREAM_FOOTER, stream) + self._footer(stream).encode()
                file.write(struct.pack("<BI", 4, len(content)) + content)
            file.flush()
            os.fsync(file.fileno())

    def _footer(self, stream: int) -> str:
        first = f"<first_timestamp>{self._first[stream]!r}</first_timestamp>" if stream in self._first else ""
        offsets = "".join(
            f"<offset><time>{time_s!r}</time><value>{value_s!r}</value></offset>"
            for time_s, value_s in self._offsets.get(stream, ())
        )
        return (
            f'<?xml version="1.0"?><info>{first}<sample_count>{self._samples.get(stream, 0)}</sample_count>'
            f"<clock_offsets>{offsets}</clock_offsets></info>"
        )

    def _chunk(self, file: BinaryIO, size: int) -> bool:
        """Take in the next chunk if all of it is there."""
        file.seek(self._at)
        length = _variable(file)
        if length is None:
            return False
        content = file.tell()
        if length < 2 or length >= 2**40:
            self.damaged = True
            return False
        if content + length > size:
            return False
        tag = int.from_bytes(file.read(2), "little")
        if tag in (_STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _STREAM_FOOTER) and length >= 6:
            self._note(tag, int.from_bytes(file.read(4), "little"), file, min(length - 6, _MOST_HEADER))
        self._at = content + length
        return True

    def _note(self, tag: int, stream: int, file: BinaryIO, length: int) -> None:
        if tag == _SAMPLES:
            self._samples[stream] = self._samples.get(stream, 0) + (_variable(file) or 0)
            if stream not in self._first and file.read(1) == b"\x08":
                self._first[stream] = struct.unpack("<d", file.read(8))[0]
        elif tag == _CLOCK_OFFSET and length >= 16:
            offsets = self._offsets.setdefault(stream, [])
            if len(offsets) < _MOST_OFFSETS:
                offsets.append(struct.unpack("<dd", file.read(16)))
        elif tag == _STREAM_FOOTER:
            self._closed.add(stream)
        elif (name := _NAME.search(file.read(length))) is not None:
            text = name.group(1).decode("utf-8", "replace")
            for entity, character in _ENTITIES:
                text = text.replace(entity, character)
            self._names[stream] = text


def check_recording(path: Path) -> RecordingCheck:
    """Walk through a finished recording; `UserError` when it is not there or holds nothing."""
    if not path.is_file() or path.stat().st_size == 0:
        raise UserError(f"Nothing was recorded: {path} is missing or empty; is the disk full?")
    growth = XdfGrowth(path)
    samples = growth.look()
    if not any(samples.values()):
        raise UserError(f"{path.name} holds no sample of any stream: the streams were silent while it was recorded.")
    notes = () if growth.closed else ("the file was not closed: it ends without the streams' footers",)
    return RecordingCheck(path, samples, notes)


def _variable(file: BinaryIO) -> int | None:
    """Read a number whose first byte says how many bytes it has; None where there is none."""
    width = file.read(1)
    if len(width) < 1 or width[0] not in (1, 4, 8):
        return None
    number = file.read(width[0])
    return int.from_bytes(number, "little") if len(number) == width[0] else None
