"""The rows of one samples chunk of XDF: which of them are whole.

A row is a byte that says whether a stamp follows (8) or not (0), the stamp, and the values: numbers of one size, or
strings with their lengths. A reader that trusts a damaged chunk runs past its end and reads nonsense from there on.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

_STAMPED, _PLAIN = 8, 0
_LATEST_S = 1e15


@dataclass(frozen=True, slots=True)
class RowShape:
    """What a stream's header says of its rows; `value_bytes` is 0 for strings."""

    n_channels: int
    value_bytes: int

    @property
    def least(self) -> int:
        """Bytes of the shortest row."""
        return 1 + self.n_channels * max(self.value_bytes, 1 if not self.value_bytes else 0)


@dataclass(frozen=True, slots=True)
class KeptRows:
    """What a chunk yields: `content` replaces it, or None where it can stay as it is."""

    content: bytes | None
    kept: int
    whole: bool  # nothing in it is damaged


def row_count(body: bytes) -> tuple[int, int] | None:
    """``(rows declared, offset of the first)`` at the beginning of a chunk's content; None where that is no count."""
    size = body[0] if body else 0
    if size not in (1, 4, 8) or len(body) < 1 + size:
        return None
    return int.from_bytes(body[1 : 1 + size], "little"), 1 + size


def fits(n: int, space: int, shape: RowShape) -> bool:
    """Whether `n` rows can fill exactly `space` bytes, as far as that shows without reading them."""
    if shape.value_bytes:
        over = space - n * shape.least
        return 0 <= over <= 8 * n and over % 8 == 0
    return n * shape.least <= space


def keep_rows(body: bytes, shape: RowShape, stamped_first: bool = False) -> KeptRows:
    """Find the whole rows of a chunk's content, of which the end may be missing.

    Parameters
    ----------
    body : bytes
        From the number of rows on.
    stamped_first : bool
        Leave out rows before the first that carries a stamp: before the chunk something is lost, so that a stamp
        counted on from the row before would be wrong.
    """
    counted = row_count(body)
    if counted is None:
        return KeptRows(b"", 0, False)
    n, at = counted
    space = len(body) - at
    if shape.value_bytes and n:
        for flag, stride in ((_STAMPED, shape.least + 8), (_PLAIN, shape.least)):
            if space == n * stride and (flag == _STAMPED or not stamped_first):
                flags = np.frombuffer(body, np.uint8, offset=at)[::stride]
                if (flags == flag).all():
                    return KeptRows(None, n, True)
                if flag == _STAMPED and flags[0] == flag:
                    return _without(body, at, stride, flags == flag)
    starts, end, whole = _walk(body, at, n, shape)
    first = next((k for k, s in enumerate(starts) if body[s] == _STAMPED), len(starts)) if stamped_first else 0
    if whole and first == 0:
        return KeptRows(None, n, True)
    rows = _content(body[starts[first] : end], len(starts) - first) if starts[first:] else b""
    return KeptRows(rows, max(0, len(starts) - first), whole)


def _without(body: bytes, at: int, stride: int, good: np.ndarray) -> KeptRows:
    """Leave out the rows whose first byte was overwritten, and the row before each: its values may be, too."""
    good = good.copy()
    good[:-1] &= good[1:]
    rows = np.frombuffer(body, np.uint8, len(good) * stride, at).reshape(len(good), stride)
    return KeptRows(_content(rows[good].tobytes(), int(good.sum())), int(good.sum()), False)


def _walk(body: bytes, at: int, n: int, shape: RowShape) -> tuple[list[int], int, bool]:
    """Starts of the rows that are whole, where the last of them ends, and whether they are all there is."""
    starts: list[int] = []
    while len(starts) < n and (end := _row_end(body, at, shape)) is not None:
        starts.append(at)
        at = end
    if len(starts) == n and at == len(body):
        return starts, at, True
    cut = at >= len(body) or body[at] in (_STAMPED, _PLAIN)
    kinds = [body[s] for s in starts]
    same = next((k for k, kind in enumerate(kinds) if kind != kinds[0]), None)
    if same is not None:  # where something is damaged, a row of another kind is where it begins
        cut, starts, at = False, starts[:same], starts[same]
    if not cut and starts:  # the last values before what was overwritten may be, too
        at = starts.pop()
    return starts, at, False


def _row_end(body: bytes, at: int, shape: RowShape) -> int | None:
    """Where the row at `at` ends; None where it is cut off or none."""
    if at >= len(body) or body[at] not in (_STAMPED, _PLAIN):
        return None
    if body[at] == _STAMPED:
        if at + 9 > len(body):
            return None
        stamp = struct.unpack_from("<d", body, at + 1)[0]
        if not math.isfinite(stamp) or abs(stamp) > _LATEST_S:
            return None
    at += 1 + body[at]
    if shape.value_bytes:
        at += shape.n_channels * shape.value_bytes
        return at if at <= len(body) else None
    for _ in range(shape.n_channels):
        counted = row_count(body[at : at + 9])
        if counted is None:
            return None
        at += counted[1] + counted[0]
    return at if at <= len(body) else None


def _content(rows: bytes, n: int) -> bytes:
    return b"\x04" + struct.pack("<I", n) + rows
