"""The user's own music: a YAML file with the audio that belongs to which song, checked against the EEG."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from bci_music.config import Config, read_yaml
from bci_music.data.nmed_published import published_version
from bci_music.data.study import KINDS, Stimulus
from bci_music.messages import UserError

FILE_NAME = "audio.yaml"
TOLERANCE_S = 0.5  # by so much audio may be shorter than the EEG: the last windows then have no target


class AudioEntry(Config):
    """One song of ``audio.yaml``: `file` relative to it.

    `offset_s` is the second, in playing order (so from the end of a `reversed` song), heard at the EEG's first sample.
    """

    file: str
    offset_s: float = Field(0.0, ge=0)
    reversed: bool = False
    title: str = ""
    name: str = ""
    genre: str = ""


def find_audio_map(directory: Path, audio: Path | None) -> Path | None:
    """Return the mapping to use: the one given, else the one in the directory, if any."""
    if audio is not None:
        return audio
    beside = directory / FILE_NAME
    return beside if beside.is_file() else None


def read_audio_map(path: Path) -> dict[str, AudioEntry]:
    """Read a mapping file; a `UserError` names what is wrong in it."""
    values = read_yaml(path)
    unknown = [key for key in values if key != "songs"]
    if unknown or not isinstance(values.get("songs"), dict):
        what = f"has the key {unknown[0]!r}" if unknown else "has no `songs:` with one entry per song"
        raise UserError(f"{path} {what}: expected `songs:` and under it lines like `nmed-t/21: {{file: song21.wav}}`.")
    entries = {}
    for key, entry in values["songs"].items():
        if not isinstance(entry, dict):
            raise UserError(f"{key} in {path} is {entry!r}: expected {{file: ..., offset_s: ...}}.")
        entries[str(key)] = AudioEntry.parse(entry, f"{path} under {key}")
    return entries


def with_audio(
    stimuli: dict[str, Stimulus], path: Path | None, *, kind: str = "", all_ids: Iterable[str] = (), where: str = ""
) -> dict[str, Stimulus]:
    """Give the stimuli the audio that a mapping names for them.

    Parameters
    ----------
    stimuli : mapping
        Those of which there is EEG.
    path : Path or None
        The mapping file; None leaves all without audio.
    kind : str
        Entries of other kinds (``nmed-h/...`` beside ``nmed-t/...``) belong to another study and are passed over;
        empty where the ids carry no kind.
    all_ids : iterable of str
        Every id the data set has, to distinguish a song without EEG from a typing error.
    where : str
        Where the EEG was looked for.
    """
    if path is None:
        return stimuli
    entries = read_audio_map(path)
    found = dict(stimuli)
    for key, entry in entries.items():
        if kind and not key.startswith(f"{kind}/") and key.partition("/")[0] in KINDS:
            continue
        if key not in stimuli:
            known = set(all_ids) | set(stimuli)
            if key in known:
                raise UserError(
                    f"{path} gives music for {key}, but there is no EEG of it in {where}: fetch its file, or take "
                    f"{key} out of the mapping."
                )
            near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}."
            raise UserError(f"{path} gives music for {key!r}, which is no song of this study: {hint}")
        old = stimuli[key]
        title = "" if published_version(key) else entry.title  # versions of a published song share the name it has
        found[key] = replace(
            old, audio=(path.parent / entry.file), offset_s=entry.offset_s, reversed=entry.reversed,
            title=entry.title or old.title, name=entry.name or title or old.name, genre=entry.genre or old.genre,
        )  # fmt: skip
    return found


def audio_seconds(path: Path) -> float:
    """Length of an audio file; a `UserError` if it cannot be read."""
    import soundfile

    if not path.is_file():
        raise UserError(f"There is no audio file {path}: put it there, or fix its line in the audio mapping.")
    try:
        about = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as audio ({reason}): give WAV, FLAC, OGG or MP3.") from error
    return float(about.frames / about.samplerate)


def check_length(stimulus: Stimulus, eeg_s: float, eeg_name: str) -> float | None:
    """Seconds of the stimulus' audio, None if it has none; a `UserError` if it ends before the EEG does."""
    if stimulus.audio is None:
        return None
    seconds = audio_seconds(stimulus.audio)
    needed = stimulus.offset_s + eeg_s
    if seconds < needed - TOLERANCE_S:
        offset = f" after an offset of {stimulus.offset_s:g} s" if stimulus.offset_s else ""
        raise UserError(
            f"{stimulus.audio} lasts {seconds:.1f} s, but {eeg_name} holds {eeg_s:.1f} s of EEG{offset}: expected at "
            f"least {needed:.1f} s of audio; give the whole song, or fix offset_s."
        )
    return seconds
