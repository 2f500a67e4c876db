"""The one entry point for studies: NMED-T, NMED-H, MUSIN-G, or a folder of own sessions."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bci_music.data.session import AS_IT_IS, Reading
from bci_music.data.study import KINDS, Study
from bci_music.messages import UserError


def open_study(kind: str, directory: Path, audio: Path | None = None, reading: Reading = AS_IT_IS) -> Study:
    """Open a study; nothing but headers is read.

    Parameters
    ----------
    kind : str
        ``nmed-t``, ``nmed-h``, ``musin-g`` or ``sessions`` (a folder of XDF recordings with song markers).
    audio : Path, optional
        Mapping of song ids to audio; by default ``audio.yaml`` in the folder, if there is one.
    reading : Reading
        How own sessions are read: which EEG stream, in which unit, on which electrodes.

    Raises
    ------
    UserError
        When the folder does not hold what it should, in one sentence.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(KINDS)}."
        raise UserError(f"There is no kind of study {kind!r}: {hint}")
    if not directory.is_dir():
        raise UserError(f"There is no folder {directory}: give the folder of the {kind} recordings.")
    if kind in ("nmed-t", "nmed-h"):
        from bci_music.data.nmed import open_nmed

        return open_nmed(kind, directory, audio)
    if kind == "musin-g":
        from bci_music.data.musing import open_musing

        return open_musing(directory, audio)
    from bci_music.data.own_sessions import open_sessions

    return open_sessions(directory, audio, reading)


def join(studies: Sequence[Study]) -> Study:
    """Several studies as one; names of recordings and ids of stimuli must stay unique."""
    if not studies:
        raise ValueError("no study to join")
    if len(studies) == 1:
        return studies[0]
    names = [r.name for s in studies for r in s.recordings]
    if len(set(names)) != len(names):
        double = next(n for n in names if names.count(n) > 1)
        raise UserError(f"The recording {double!r} is in more than one of the studies: give each folder once.")
    kinds = list(dict.fromkeys(s.kind for s in studies))
    stimuli = {key: stimulus for s in studies for key, stimulus in s.stimuli.items()}
    mixed = {s.simulated for s in studies}
    notes = tuple(f"{s.kind}: {note}" for s in studies for note in s.notes)
    if len(mixed) == 2:
        notes = ("some of the EEG is simulated", *notes)
    recordings = tuple(r for s in studies for r in s.recordings)
    levels = {s.snr_db for s in studies}
    snr_db = levels.pop() if len(levels) == 1 else None
    return Study("+".join(kinds), studies[0].path, recordings, stimuli, any(mixed), notes, snr_db)


def only(study: Study, songs: Sequence[str]) -> Study:
    """The part of a study in which these songs (stimulus ids) are heard; one that is not there is an error."""
    unknown = [song for song in songs if song not in study.stimuli]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(study.stimuli), n=1)
        raise UserError(
            f"There is no EEG of {unknown[0]} in {study.path}: there are {', '.join(study.stimuli)}"
            + (f"; did you mean {near[0]}?" if near and len(study.stimuli) > 3 else ".")
        )
    kept = tuple(r for r in study.recordings if set(r.songs) & set(songs))
    stimuli = {key: study.stimuli[key] for key in study.stimuli if key in songs}
    return replace(study, recordings=kept, stimuli=stimuli)
