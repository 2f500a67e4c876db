"""Composed songs as files and as a list."""

from __future__ import annotations

from pathlib import Path

from bci_music.messages import UserError
from bci_music.simulate.composer import SONGS, compose
from bci_music.simulate.synthesis import RATE_HZ


def render_song(song_id: str, path: Path, seconds: float) -> str:
    """Write `seconds` of a song to a WAV or FLAC file; returns what was done, in words."""
    import soundfile

    if path.suffix.lower() not in {".wav", ".flac"}:
        raise UserError(f"{path} ends in {path.suffix or 'nothing'}: give a file that ends in .wav or .flac.")
    song = compose(song_id, seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        soundfile.write(path, song.samples, RATE_HZ, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError) as error:
        raise UserError(f"{path} could not be written ({error}): choose another place.") from error
    return f"{song.spec.title} ({song.spec.genre}, {song.spec.bpm:g} bpm): {seconds:g} s in {path}"


def list_songs() -> str:
    """One line per song."""
    return "\n".join(f"{s.id:<14} {s.title:<14} {s.genre:<11} {s.bpm:>5g} bpm  {s.mood}" for s in SONGS)
