"""Where clips come from: songs drawn from seeds, and recorded music that may be used and is credited."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.compose.captions import caption, heard_in
from bci_music.compose.fast import fast_mix
from bci_music.compose.songbook import GENRES, new_song
from bci_music.messages import UserError
from bci_music.models.log_mel import RATE_HZ

WORDINGS = 6  # captions of each clip
_LATEST_S = 64.0  # of a song: where its last excerpt may begin
_FREE = re.compile(r"^CC(0|-BY| BY)( \d\.\d)?(-\d\.\d)?$")
_CREDITS = ("title", "artist", "licence", "attribution", "changes")
_SILENT = 1e-3


@dataclass(frozen=True)
class Piece:
    """One clip to be: what of, and from which second on.

    Attributes
    ----------
    song : str
        What counts as independent: the drawn song, or the recorded track.
    genre : int
        Place in `GENRES`; -1 for recorded music.
    source : str
        "seed" or the path of a sound file.
    """

    song: str
    genre: int
    source: str
    seed: int = 0
    start_s: float = 0.0
    captions: tuple[str, ...] = ()

    def sound(self, seconds: float) -> NDArray[np.float32]:
        """(n,) mono at 16 kHz; a track that is too short is repeated."""
        if self.source == "seed":
            return fast_mix(new_song(GENRES[self.genre], self.seed), seconds, self.start_s)
        return _read(Path(self.source), self.start_s, seconds)

    def described(self, seconds: float) -> tuple[str, ...]:
        """Captions of this very excerpt, in several wordings."""
        if self.captions:
            return self.captions
        spec = new_song(GENRES[self.genre], self.seed)
        heard = heard_in(spec, self.start_s, seconds)
        return tuple(caption(spec, number, heard) for number in range(WORDINGS))


def drawn_pieces(seeds: range, clips: int, per_song: int = 1, genres: Sequence[str] = GENRES) -> list[Piece]:
    """Plan excerpts of drawn songs: the genres take turns, every excerpt begins on a bar line of its song."""
    n_songs = -(-clips // per_song)
    if n_songs > len(seeds):
        raise UserError(f"{clips} clips need {n_songs} songs, but there are {len(seeds)} seeds: take more of a song.")
    pieces = []
    for number in range(n_songs):
        genre = GENRES.index(genres[number % len(genres)])
        spec = new_song(GENRES[genre], seeds[number])
        n_bars = int(_LATEST_S / spec.bar_s) + 1
        bars = np.random.default_rng([seeds[number], genre]).permutation(n_bars)[:per_song]
        pieces += [Piece(spec.id, genre, "seed", seeds[number], int(bar) * spec.bar_s) for bar in sorted(bars)]
    return pieces[:clips]


def recorded_pieces(folder: str | Path, seconds: float) -> tuple[list[Piece], list[dict[str, str]]]:
    """Plan clips of the music in a folder with a ``manifest.csv``, and the credit of every track that is used.

    Only tracks under CC0 or CC BY are taken. The manifest has the columns path, title, artist, licence and attribution,
    and may have genre, bpm, feel and instruments, which make the captions.
    """
    folder = Path(folder)
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise UserError(f"There is no manifest.csv in {folder}: expected a list of tracks with their licences.")
    with manifest.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    if not rows or not {"path", "title", "artist", "licence"} <= set(rows[0]):
        raise UserError(f"{manifest} needs the columns path, title, artist and licence.")
    pieces: list[Piece] = []
    credits: list[dict[str, str]] = []
    for row in rows:
        if not _FREE.match(row["licence"].strip()):
            continue
        if row["licence"].strip() != "CC0" and "BY" in row["licence"] and not row.get("attribution"):
            raise UserError(f"{row['path']} is under {row['licence']} but has no attribution: add it to {manifest}.")
        starts = _sounding(folder / row["path"], seconds)
        captions = _captions_of(row)
        pieces += [Piece(row["path"], -1, str(folder / row["path"]), 0, start_s, captions) for start_s in starts]
        if starts:
            credits.append({key: row[key] for key in _CREDITS if row.get(key)})
    return pieces, credits


def _sounding(path: Path, seconds: float) -> list[float]:
    """Starts of the clips of a file, one after another, silent ones left out."""
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (OSError, soundfile.LibsndfileError) as error:
        raise UserError(f"{path} could not be read ({error}): take its line out of the manifest.") from error
    starts = [i * seconds for i in range(max(1, int(info.duration / seconds)))]
    return [start_s for start_s in starts if np.sqrt(np.mean(_read(path, start_s, seconds) ** 2)) > _SILENT]


def _read(path: Path, start_s: float, seconds: float) -> NDArray[np.float32]:
    import soundfile
    import soxr

    rate = soundfile.info(str(path)).samplerate
    samples, _ = soundfile.read(
        str(path), round(seconds * rate) + 1, round(start_s * rate), dtype="float32", always_2d=True
    )
    mono = np.asarray(soxr.resample(samples.mean(1), rate, RATE_HZ), np.float32)
    return np.resize(mono, round(seconds * RATE_HZ))


def _captions_of(row: dict[str, str]) -> tuple[str, ...]:
    """Captions from what the manifest says of a track."""
    genre = row.get("genre") or "instrumental"
    feels = [f.strip().lower() for f in (row.get("feel") or "").split(",") if f.strip()]
    players = [p.strip().lower() for p in (row.get("instruments") or "").split(",") if p.strip()]
    bpm = (row.get("bpm") or "").strip()
    captions = []
    for number in range(WORDINGS):
        mood = f"{feels[number % len(feels)]} " if feels else ""
        with_ = f" with {' and '.join(players[i % len(players)] for i in (number, number + 1))}" if players else ""
        at = f", {bpm} bpm" if bpm and number % 2 == 0 else ""
        captions.append(f"{mood}{genre.lower()} music{with_}{at}".capitalize() + ".")
    return tuple(captions)
