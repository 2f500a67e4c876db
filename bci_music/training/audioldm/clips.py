"""A bank of clips on disk: sound, log mel, captions, genres and credits of whatever the music models learn from.

Sound is centred and its peak brought to one half, as AudioLDM hears it; the log mel is that of the rounded sound.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models.log_mel import BANDS, HOP, RATE_HZ, log_mel, normalised
from bci_music.training.audioldm.sources import Piece
from bci_music.training.pool import process_pool

SECONDS = 10.24
_PLAN, _LINES, _SOUND, _MEL = "bank.json", "clips.jsonl", "sound.npy", "mel.npy"
Made = tuple[NDArray[np.int16], NDArray[np.float16], tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class ClipBank:
    """Clips of one length.

    Attributes
    ----------
    sound : (n, samples) int16
        At 16 kHz, memory-mapped.
    mel : (n, frames, 64) float16
        Of `models.log_mel`, a frame every 10 ms, memory-mapped.
    captions : list of tuple of str
        Every clip's captions, in several wordings.
    genre : (n,) int64
        Place in `songbook.GENRES`; -1 where the music is none of the songbook's.
    songs : list of str
        What a clip was cut from: clips of one song are not independent.
    credits : list of dict
        One entry for every recorded track.
    """

    directory: Path
    seconds: float
    sound: NDArray[np.int16]
    mel: NDArray[np.float16]
    captions: list[tuple[str, ...]]
    genre: NDArray[np.int64]
    songs: list[str]
    credits: list[dict[str, str]]

    @classmethod
    def build(
        cls, directory: str | Path, pieces: Sequence[Piece], seconds: float = SECONDS, *,
        credits: Sequence[dict[str, str]] = (), workers: int = 1,
        progress: Callable[[int, int], None] = lambda done, of: None, until: Callable[[], bool] = lambda: False,
    ) -> Self:  # fmt: skip
        """Make the clips, or go on where an interrupted run stopped.

        Parameters
        ----------
        workers : int
            Processes that render at once; the clips are the same for any number.
        until : callable
            Stops early when true; the bank can be completed later, and cannot be opened before.
        """
        directory = Path(directory)
        if not pieces:
            raise UserError("A bank needs at least one clip: ask for more, or name a folder with music.")
        plan = {"seconds": seconds, "clips": len(pieces), "key": _key(pieces, seconds), "credits": list(credits)}
        sound, mel, done = _begin(directory, plan, len(pieces), seconds)
        with (directory / _LINES).open("a", encoding="utf-8") as lines:
            for i, (samples, picture, captions) in enumerate(_made(pieces[done:], seconds, workers), done):
                sound[i], mel[i] = samples, picture
                sound.flush()
                mel.flush()
                lines.write(json.dumps(_line(pieces[i], captions), ensure_ascii=False) + "\n")
                lines.flush()  # a line stands for a whole clip
                progress(i + 1, len(pieces))
                if until():
                    break
        return cls.open(directory)

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Open a complete bank."""
        directory = Path(directory)
        if not (directory / _PLAN).is_file():
            raise UserError(f"There is no bank of clips in {directory}: make one with bci-music simulate music.")
        plan = json.loads((directory / _PLAN).read_text(encoding="utf-8"))
        lines = _lines(directory)
        if len(lines) < plan["clips"]:
            raise UserError(
                f"The bank in {directory} has {len(lines)} of {plan['clips']} clips: run the same command again."
            )
        return cls(
            directory, float(plan["seconds"]), np.load(directory / _SOUND, mmap_mode="r"),
            np.load(directory / _MEL, mmap_mode="r"), [tuple(line["captions"]) for line in lines],
            np.array([line["genre"] for line in lines], np.int64), [line["song"] for line in lines], plan["credits"],
        )  # fmt: skip

    def __len__(self) -> int:
        """Clips."""
        return len(self.songs)


def _key(pieces: Sequence[Piece], seconds: float) -> str:
    """Fingerprint of what the clips depend on; where recorded music lies does not matter."""
    digest = hashlib.sha256(f"clips 2 {seconds}".encode())
    for piece in pieces:
        known = asdict(piece) | {"source": "seed" if piece.source == "seed" else piece.song}
        digest.update(json.dumps(known, sort_keys=True).encode())
    return digest.hexdigest()


def _begin(directory: Path, plan: dict, n: int, seconds: float) -> tuple[np.memmap, np.memmap, int]:
    """The arrays to fill, and how many clips they hold already."""
    samples = round(seconds * RATE_HZ) // HOP * HOP
    if (directory / _PLAN).is_file():
        found = json.loads((directory / _PLAN).read_text(encoding="utf-8"))
        if found["key"] != plan["key"]:
            raise UserError(f"{directory} holds a bank of other clips: choose another folder, or delete it.")
        lines = _lines(directory)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (directory / _LINES).write_text(text, encoding="utf-8")  # without a torn last line
        return open_memmap(directory / _SOUND, mode="r+"), open_memmap(directory / _MEL, mode="r+"), len(lines)
    directory.mkdir(parents=True, exist_ok=True)
    sound = open_memmap(directory / _SOUND, mode="w+", dtype=np.int16, shape=(n, samples))
    mel = open_memmap(directory / _MEL, mode="w+", dtype=np.float16, shape=(n, samples // HOP, BANDS))
    (directory / _LINES).write_text("", encoding="utf-8")
    (directory / _PLAN).write_text(json.dumps(plan, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return sound, mel, 0


def _line(piece: Piece, captions: tuple[str, ...]) -> dict:
    return {"song": piece.song, "genre": piece.genre, "start_s": round(piece.start_s, 4), "captions": list(captions)}


def _lines(directory: Path) -> list[dict]:
    """What is known of the clips that are done; a last line that was torn does not count."""
    whole = (directory / _LINES).read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in whole]


def _made(pieces: Sequence[Piece], seconds: float, workers: int) -> Iterator[Made]:
    """The clips in their order, whoever renders them."""
    make = partial(_make, seconds=seconds)
    if workers == 1:
        yield from map(make, pieces)
        return
    pool = process_pool(workers)
    try:
        for first in range(0, len(pieces), 16 * workers):  # never far ahead of what is written
            yield from pool.map(make, pieces[first : first + 16 * workers], chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _make(piece: Piece, seconds: float) -> Made:
    samples = round(seconds * RATE_HZ) // HOP * HOP
    sound = np.round(normalised(piece.sound(seconds)[:samples]) * 32767).astype(np.int16)
    picture = log_mel(sound.astype(np.float32) / 32768)
    return sound, picture.astype(np.float16), piece.described(seconds)
