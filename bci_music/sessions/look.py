"""What can be known of a session on disk: how far it is whole, what it holds, and what a killed run lost of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bci_music.files import opening, read_json, shown, write_whole
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sessions.checksums import SUMS, compare_checksums, write_checksums
from bci_music.sessions.folder import CONTENTS, COUNTS, MUSIC, NOTE, RECORDING
from bci_music.streaming.xdf_growth import XdfGrowth

GROWS_S = 10.0  # a recording that was written to so lately is still being recorded
BLOCK = 4096  # frames of FLAC, as they are encoded
ADVICE = "give a folder that `--record` made"


class State(StrEnum):
    """How far a session is whole."""

    WHOLE = "whole"  # closed, and as it was then
    FAULTY = "faulty"  # closed, and was never whole or was changed since
    RECORDING = "recording"
    UNFINISHED = "unfinished"  # its run was killed


@dataclass
class Look:
    """A session as it lies on disk. `faults` and `notes` are sentences."""

    folder: Path
    state: State
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, int] = field(default_factory=dict)  # by the name of the stream
    music_s: float | None = None
    note: dict[str, Any] = field(default_factory=dict)  # consent, pack, versions, when

    @property
    def started(self) -> str:
        """When the recording began, in UTC."""
        return str(self.note.get("started_utc", ""))[:19].replace("T", " ")


def find_sessions(folder: Path) -> list[Path]:
    """Return the session folders in a folder, or itself where it is one, by name."""
    try:
        inside = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    except OSError as error:
        reason = f"{shown(folder)} could not be looked into ({error.strerror})"
        raise UserError(f"{reason}: give a folder that holds sessions.") from error
    return [p for p in inside if (p / RECORDING).is_file() and (p / NOTE).is_file()]


def look_at(folder: Path, *, compare: bool) -> Look:
    """Look at a session without changing anything.

    Parameters
    ----------
    folder : Path
    compare : bool
        Whether every byte is compared with its checksum and the recording is opened; quick without.

    Raises
    ------
    UserError
        If `folder` holds no session.
    """
    if not any((folder / name).is_file() for name in (RECORDING, NOTE, SUMS)):
        raise UserError(f"{shown(folder)} holds no session: {ADVICE}.")
    look = Look(folder, State.WHOLE)
    _read_note(look)
    growth = XdfGrowth(folder / RECORDING)
    streams = look.note.get("streams")
    ours = {str(s) for s in streams} if isinstance(streams, list) else set()
    look.samples = {name: n for name, n in growth.look().items() if not ours or name in ours}
    if (folder / MUSIC).is_file():
        _count_music(look, whole=compare)
    if (folder / SUMS).is_file():
        _closed(look, compare)
    elif (folder / RECORDING).is_file() and time.time() - (folder / RECORDING).stat().st_mtime < GROWS_S:
        look.state = State.RECORDING
        look.notes.append("It is being recorded, or its run was killed seconds ago: nothing vouches for it yet.")
    else:
        look.state = State.UNFINISHED
        _unfinished(look, growth)
    if compare and not look.faults:
        _opens(look)
    return look


def repair(folder: Path) -> list[str]:
    """Close what a killed run left open: footers, the head of the music, counts, checksums; returns what was done.

    Nothing that was recorded is changed. A session that was closed, or is being recorded, is refused.
    """
    look = look_at(folder, compare=False)
    if look.state is State.RECORDING:
        raise UserError(f"{shown(folder)} was written to in the last {GROWS_S:g} s: wait until its run has ended.")
    if look.state is not State.UNFINISHED:
        raise UserError(f"{shown(folder)} was closed: there is nothing to repair.")
    done = []
    growth = XdfGrowth(folder / RECORDING)
    growth.look()
    if growth.damaged:
        raise UserError(f"{RECORDING} is damaged inside, which cannot be repaired: `data info` says what can be read.")
    if not growth.closed:
        growth.finish()
        done.append(f"{RECORDING} was closed: its streams have footers now")
    if (folder / MUSIC).is_file() and not _has_length(folder / MUSIC):
        write_whole(folder / MUSIC, lambda part: _copy_music(folder / MUSIC, part), private=True)
        done.append(f"{MUSIC} was given its length")
    if not (folder / COUNTS).exists():
        import json

        counts = {"ended_utc": None, "samples": look.samples, "faults": ["the run was killed", *done]}
        text = json.dumps(counts, indent=2, ensure_ascii=False) + "\n"
        write_whole(folder / COUNTS, lambda part: part.write_text(text, encoding="utf-8"), private=True)
    write_checksums(folder, CONTENTS)
    return [*done, f"{SUMS} vouches for what is there"]


def _read_note(look: Look) -> None:
    try:
        look.note = read_json(look.folder / NOTE, ADVICE)
    except UserError as error:
        look.faults.append(str(error))


def _closed(look: Look, compare: bool) -> None:
    if (look.folder / COUNTS).is_file():
        try:
            counts = read_json(look.folder / COUNTS, ADVICE)
        except UserError as error:
            look.faults.append(str(error))
        else:
            known = counts.get("faults")
            look.notes += [f"At its end: {shown(text)}" for text in known] if isinstance(known, list) else []
            wanted = counts.get("samples")
            for name, n in wanted.items() if isinstance(wanted, dict) else ():
                if look.samples.get(name, 0) != n:
                    look.faults.append(f"{shown(name)} has {look.samples.get(name, 0)} samples, {n} were recorded.")
    if compare:
        faults, others = compare_checksums(look.folder)
        look.faults += [f"{shown(name)} {words}." for name, words in faults.items()]
        look.notes += [f"{name} is not of the session." for name in others]
    if look.faults:
        look.state = State.FAULTY


def _unfinished(look: Look, growth: XdfGrowth) -> None:
    look.notes.append(f"Its run was killed: there is no {SUMS}, so a changed byte could not be told.")
    if not look.samples:
        look.faults.append(f"{RECORDING} holds nothing that can be read.")
    elif growth.damaged:
        look.faults.append(f"{RECORDING} is damaged inside: what follows is lost.")
    elif growth.closed:
        look.notes.append(f"{RECORDING} is whole up to then: its streams were closed.")
    else:
        look.notes.append(f"{RECORDING} can be read; its last second may be lost.")
    if look.music_s is not None:
        look.notes.append(f"{MUSIC} can be read up to {look.music_s:.1f} s; what followed is lost.")


def _opens(look: Look) -> None:
    """Open the recording as any other file."""
    from bci_music.data.formats import open_session

    try:
        session = open_session(look.folder / RECORDING)
    except UserError as error:
        look.faults.append(str(error))
        look.state = State.FAULTY if look.state is State.WHOLE else look.state
        return
    look.notes.append(
        f"EEG: {session.n_channels} channels, {session.sfreq_hz:g} Hz, {session.duration_s:.1f} s, "
        f"{len(session.events)} markers."
    )


def _has_length(path: Path) -> bool:
    import soundfile

    with soundfile.SoundFile(path) as file:
        return bool(file.frames < 2**40)


def _count_music(look: Look, whole: bool) -> None:
    path = look.folder / MUSIC
    try:
        with opening(path, "FLAC", "it was cut off before its first second"):
            import soundfile

            if _has_length(path):
                with soundfile.SoundFile(path) as file:
                    look.music_s = file.frames / AUDIO_RATE_HZ
            elif whole:
                look.music_s = sum(len(block) for block in _blocks(path)) / AUDIO_RATE_HZ
    except UserError as error:
        look.faults.append(str(error))


def _blocks(path: Path) -> Any:
    """Yield (n, 2) int16 blocks up to where the file was cut off."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        while True:
            try:
                block = file.read(BLOCK, dtype="int16", always_2d=True)
            except soundfile.SoundFileError:  # its last block is not whole
                return
            if not len(block):
                return
            yield block


def _copy_music(path: Path, part: Path) -> None:
    import soundfile

    with soundfile.SoundFile(part, "w", AUDIO_RATE_HZ, 2, subtype="PCM_16", format="FLAC") as out:
        for block in _blocks(path):
            out.write(block)
    os.chmod(part, 0o600)
