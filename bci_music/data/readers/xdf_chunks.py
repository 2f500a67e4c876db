"""The chunks of an XDF file that are whole, and what is lost where they are not.

An XDF file is a row of chunks with their lengths. A file that was cut off, or has a hole, is whole up to there and
often from there on, too; a reader that trusts it reads nothing at all, or nonsense. `whole_chunks` walks over the
chunks, checks each, finds the next one after a damage, and hands pyxdf only what it can read.
"""

from __future__ import annotations

import io
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from bci_music.data.readers.xdf_header import NotXmlError, parse_xml, read_header
from bci_music.data.readers.xdf_rows import RowShape, fits, keep_rows, row_count
from bci_music.messages import UserError

HEADER, STREAM, SAMPLES, OFFSET, BOUNDARY, FOOTER = 1, 2, 3, 4, 5, 6
_UUID = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")  # what a boundary chunk holds
_WINDOW = 1 << 20  # bytes searched at once
_MOST_TRIES = 5000  # places at which a chunk may seem to begin and does not
_UNPACKED, _MOST_TIMES = 1 << 28, 100  # a packed file may become so large, or so many times its size


@dataclass
class Scanned:
    """What `whole_chunks` found.

    Attributes
    ----------
    pieces : list
        Bytes, or ``(offset, length)`` in the file: an XDF file without damage when put together.
    damaged : list of (start, stop)
        Bytes of the file that could not be read; the last ends where the file ends if it was cut off.
    read, counted : dict
        Samples per stream id that are in `pieces`, and that the stream's footer says there were.
    """

    size: int
    names: dict[int, str] = field(default_factory=dict)
    pieces: list[bytes | tuple[int, int]] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    read: dict[int, int] = field(default_factory=dict)
    counted: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def all_notes(self, name: str) -> list[str]:
        """Return what a reader should know, in sentences: what is damaged, and how much is lost."""
        notes = []
        for start, stop in self.damaged[:5]:
            if stop < self.size:
                notes.append(f"{name} is damaged from byte {start} to {stop}: what lay there is lost, the rest is read")
            else:
                notes.append(f"{name} breaks off or is damaged from byte {start} to its end at {stop}: that is lost")
        if len(self.damaged) > 5:
            notes.append(f"{name} is damaged in {len(self.damaged) - 5} more places")
        for stream_id, counted in self.counted.items() if self.damaged else ():
            lost = max(0, counted - self.read.get(stream_id, 0))
            notes.append(f"stream {self.names[stream_id]!r}: {lost or 'none'} of {counted} samples are lost")
        if self.damaged and self.damaged[-1][1] == self.size:
            for stream_id, read in self.read.items():
                if read and stream_id not in self.counted:
                    notes.append(
                        f"stream {self.names[stream_id]!r}: {read} samples were read; how many the file would have "
                        "held after them is not known"
                    )
        return notes + self.notes


def whole_chunks(file: IO[bytes], size: int) -> Scanned:
    """Walk over an XDF file of `size` bytes.

    Raises
    ------
    UserError
        Where it holds no stream whose header can be used though it holds something.
    """
    file.seek(0)
    if file.read(4) != b"XDF:":
        raise UserError("it does not begin as an XDF file does")
    scan = _Scan(file, size)
    scan.run()
    if not scan.shapes and (scan.refused or size > 1024):
        raise UserError(scan.refused[0] if scan.refused else "no header of a stream can be read")
    return scan.found


class _Scan:
    def __init__(self, file: IO[bytes], size: int):
        self.found = Scanned(size)
        self.shapes: dict[int, RowShape] = {}
        self.refused: list[str] = []
        self._file = file
        self._size = size
        self._unsure: set[int] = set()  # streams of which something may be lost just before
        self._tries = 0
        self._strange: dict[int, int] = {}

    def run(self) -> None:
        """Walk from the first chunk to the last."""
        self.found.pieces.append(b"XDF:")
        at = 4
        while at < self._size:
            chunk = self._head(at)
            if chunk is not None and self._take(*chunk):
                at = chunk[2]
                continue
            if chunk is not None:
                self._salvage(*chunk)
            after = self._next(at + 1)
            if self.found.damaged and self.found.damaged[-1][1] == at:
                self.found.damaged[-1] = (self.found.damaged[-1][0], after)
            else:
                self.found.damaged.append((at, after))
            self._unsure = set(self.shapes)
            at = after
        for tag, count in self._strange.items():
            chunks = "a chunk" if count == 1 else f"{count} chunks"
            self.found.notes.append(f"{chunks} of the unknown kind {tag} left out: nothing that XDF defines is lost")

    def _bytes(self, at: int, n: int) -> bytes:
        self._file.seek(at)
        return self._file.read(max(0, min(n, self._size - at)))

    def _head(self, at: int) -> tuple[int, int, int, int] | None:
        """``(start, content, end, tag)`` of the chunk at `at`, whose end may lie after the file's; None if none."""
        head = self._bytes(at, 11)
        n = head[0] if head else 0
        if n not in (1, 4, 8) or len(head) < 3 + n:
            return None
        length, tag = int.from_bytes(head[1 : 1 + n], "little"), int.from_bytes(head[1 + n : 3 + n], "little")
        return (at, at + 3 + n, at + 1 + n + length, tag) if length >= 2 else None

    def _take(self, start: int, content: int, end: int, tag: int) -> bool:
        """Keep or leave out a chunk; False where it is damaged."""
        if end > self._size:
            return False
        if tag in (STREAM, SAMPLES, OFFSET, FOOTER):
            if end - content < 4:
                return False
            stream_id = int.from_bytes(self._bytes(content, 4), "little")
            return self._take_of_stream(start, content + 4, end, tag, stream_id)
        if tag not in (HEADER, BOUNDARY):
            if end < self._size and ((after := self._head(end)) is None or not HEADER <= after[3] <= FOOTER):
                return False
            self._strange[tag] = self._strange.get(tag, 0) + 1
        return True

    def _take_of_stream(self, start: int, content: int, end: int, tag: int, stream_id: int) -> bool:
        if tag == STREAM:
            return self._take_header(self._bytes(content, end - content), stream_id)
        shape = self.shapes.get(stream_id)
        if tag == OFFSET:
            if end - content != 16:
                return False
            if shape is not None:
                self.found.pieces.append((start, end - start))
            return True
        if shape is None:
            return True  # its header is damaged or was refused, which a note tells
        if tag == FOOTER:
            return self._take_footer(self._bytes(content, end - content), stream_id)
        rows = keep_rows(self._bytes(content, end - content), shape, stream_id in self._unsure)
        if rows.whole:
            self._keep(stream_id, (start, end - start) if rows.content is None else rows.content, rows.kept)
        return rows.whole

    def _salvage(self, start: int, content: int, end: int, tag: int) -> None:
        """Keep the rows of a damaged samples chunk that are whole."""
        stream_id = int.from_bytes(self._bytes(content, 4), "little")
        shape = self.shapes.get(stream_id)
        if tag == SAMPLES and shape is not None:
            body = self._bytes(content + 4, end - content - 4)
            rows = keep_rows(body, shape, stream_id in self._unsure)
            self._keep(stream_id, rows.content or b"", rows.kept)

    def _keep(self, stream_id: int, piece: bytes | tuple[int, int], rows: int) -> None:
        """Add a chunk of `rows` rows: the bytes after the stream's number, or a place in the file."""
        if isinstance(piece, bytes) and piece:
            piece = _chunk(SAMPLES, stream_id.to_bytes(4, "little") + piece)
        if piece:
            self.found.pieces.append(piece)
        if rows:
            self._unsure.discard(stream_id)
        self.found.read[stream_id] = self.found.read.get(stream_id, 0) + rows

    def _take_header(self, xml: bytes, stream_id: int) -> bool:
        try:
            name, shape, text = read_header(xml)
        except NotXmlError:
            return False
        except UserError as error:
            self.refused.append(f"the header of stream {stream_id} {error}")
            self.found.notes.append(f"{self.refused[-1]}: the stream is left out")
            return True
        if stream_id in self.shapes:
            self.found.notes.append(f"stream {name!r} has a second header, which is left out")
            return True
        self.shapes[stream_id] = shape
        self.found.names[stream_id] = name
        self.found.read[stream_id] = 0
        self.found.pieces.append(_chunk(STREAM, stream_id.to_bytes(4, "little") + text))
        return True

    def _take_footer(self, xml: bytes, stream_id: int) -> bool:
        count = re.search(rb"<sample_count>(\d{1,18})</sample_count>", xml)
        if count:  # by which pyxdf knows the sample and the clock offset that liblsl may add as an outlet ends
            self.found.counted[stream_id] = int(count[1])
            summary = b"<info><sample_count>%d</sample_count></info>" % int(count[1])
            self.found.pieces.append(_chunk(FOOTER, stream_id.to_bytes(4, "little") + summary))
        try:
            parse_xml(xml)
        except (NotXmlError, UserError):
            self.found.notes.append(
                f"the footer of stream {self.found.names[stream_id]!r} is damaged: nothing but its summary is lost"
            )
        return True

    def _next(self, at: int) -> int:
        """Where the next whole chunk begins, or the file ends."""
        ids = b"|".join(re.escape(k.to_bytes(4, "little")) for k in self.shapes) or rb"(?!)"
        pattern = re.compile(
            rb"\x05\x00" + re.escape(_UUID) + rb"|[\x03\x04\x06]\x00(?:" + ids + rb")|\x02\x00[\s\S]{4}<\?xml"
        )
        for begin in range(at, self._size, _WINDOW):
            for match in pattern.finditer(self._bytes(begin, _WINDOW + 64)):
                for n in (8, 4, 1):
                    start = begin + match.start() - 1 - n
                    if start >= at and self._is_whole(start, n):
                        return start
                if self._tries > _MOST_TRIES:
                    return self._size
        return self._size

    def _is_whole(self, start: int, n: int) -> bool:
        """Whether a whole chunk begins here, its length written in `n` bytes."""
        chunk = self._head(start)
        if chunk is None or chunk[1] - start != 3 + n or chunk[2] > self._size:
            return False
        self._tries += 1
        _, content, end, tag = chunk
        if tag == BOUNDARY:
            return end - content == 16
        if tag == OFFSET:
            return end - content == 20
        if tag == SAMPLES:
            shape = self.shapes[int.from_bytes(self._bytes(content, 4), "little")]
            counted = row_count(self._bytes(content + 4, 9))
            if counted is None or not fits(counted[0], end - content - 4 - counted[1], shape):
                return False
            return keep_rows(self._bytes(content + 4, end - content - 4), shape).whole
        return self._bytes(content + 4, 5) == b"<?xml"


def _chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + (len(content) + 2).to_bytes(4, "little") + tag.to_bytes(2, "little") + content


def opened(path: Path) -> IO[bytes]:
    """Open the bytes of an XDF file, unpacked: what is packed shows at its first bytes, not in its name."""
    file = path.open("rb")
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file
    most = max(_UNPACKED, _MOST_TIMES * path.stat().st_size)
    whole = tempfile.TemporaryFile()  # noqa: SIM115  (the caller closes it)
    with file:
        for block in _unpacked(file):
            whole.write(block)
            if whole.tell() > most:
                whole.close()
                raise UserError(
                    f"{path.name} unpacks to more than {most / 1e6:.0f} MB, {_MOST_TIMES} times its size: that is no "
                    "recording; unpack it yourself if it is."
                )
    whole.seek(0)
    return cast("IO[bytes]", whole)


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what can be unpacked, also of a file that breaks off."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        while packed := (unpacker.unconsumed_tail or file.read(_WINDOW)):
            yield unpacker.decompress(packed, _WINDOW)
            if unpacker.eof:  # another may follow
                packed, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)
                file.seek(-len(packed), io.SEEK_CUR)
    except zlib.error:
        return


class Spliced(io.RawIOBase):
    """Pieces of a file as one file, to be read from its beginning to its end."""

    def __init__(self, file: IO[bytes], pieces: list[bytes | tuple[int, int]]):
        self._file, self._left = file, iter(pieces)
        self._bytes = b""
        self._range = (0, 0)
        self._at = 0

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer."""
        while not self._bytes:
            at, n = self._range
            if n:
                self._file.seek(at)
                self._bytes = self._file.read(min(n, _WINDOW))
                self._range = (at + len(self._bytes), n - len(self._bytes)) if self._bytes else (0, 0)
                continue
            piece = next(self._left, None)
            if piece is None:
                return 0
            if isinstance(piece, bytes):
                self._bytes = piece
            else:
                self._range = piece
        part, self._bytes = self._bytes[: len(buffer)], self._bytes[len(buffer) :]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
