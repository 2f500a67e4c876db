"""A study: many recordings of listeners hearing known music, whatever files they lie in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bci_music.data.session import Session

KINDS = ("nmed-t", "nmed-h", "musin-g", "sessions")


@dataclass(frozen=True)
class Stimulus:
    """One piece of music as it was played.

    Attributes
    ----------
    id : str
        Unique in the study, e.g. ``"nmed-t/21"``; what song markers and `HeardSpan.song` carry.
    name : str
        Name of the song: versions of one song (one played backwards, for example) share it.
    audio : Path or None
        The user's own file; None where no audio is known.
    offset_s : float
        Second of the file that is heard at the EEG's first sample.
    reversed : bool
        Whether the file is played backwards.
    genre : str
        Empty where it is not known.
    """

    id: str
    title: str
    name: str
    audio: Path | None = None
    offset_s: float = 0.0
    reversed: bool = False
    genre: str = ""


@dataclass(frozen=True)
class Recording:
    """One listener in one session, opened only when asked.

    Attributes
    ----------
    name : str
        Unique in the study, e.g. ``"nmed-t S02 song21"``.
    listener : str
        Unique over studies, e.g. ``"nmed-t S02"``.
    repeat : str
        Which hearing of the same music, e.g. ``"a"``, ``"b"``; empty where there is only one.
    songs : tuple of str
        Stimulus ids heard in it.
    open : callable
        Gives the session; its song markers carry stimulus ids.
    open_before : callable or None
        Gives EEG of the same session from before the music started (no song markers); None where there is none.
    """

    name: str
    listener: str
    path: Path
    open: Callable[[], Session]
    open_before: Callable[[], Session] | None = None
    repeat: str = ""
    duration_s: float = 0.0
    songs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Recordings and the music heard in them.

    Attributes
    ----------
    kind : str
        ``nmed-t``, ``nmed-h``, ``musin-g`` or ``sessions``; a study made of several joins them by ``+``.
    notes : tuple of str
        What a reader should know, in sentences.
    snr_db : float or None
        Of a simulated study: the music's response over everything else in a channel.
    """

    kind: str
    path: Path
    recordings: tuple[Recording, ...]
    stimuli: dict[str, Stimulus]
    simulated: bool
    notes: tuple[str, ...] = field(default=())
    snr_db: float | None = None
