"""Recordings of one listener for calibration: what was heard is known by song markers, and its sound is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.compose.composer import SONGS, mono_16k
from bci_music.data.audio_map import check_length, read_audio_map
from bci_music.data.formats import open_session
from bci_music.data.own_sessions import open_sessions
from bci_music.data.session import AS_IT_IS, Reading, Session
from bci_music.data.study import Recording, Stimulus
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.messages import Log, UserError
from bci_music.models.embedder import Embedder
from bci_music.training.eeg.corpus import Segment
from bci_music.training.eeg.sessions import segments_of
from bci_music.training.eeg.simulated import session_hash
from bci_music.training.eeg.targets import AUDIO_HZ, GRID_S, embed_song, read_song


@dataclass
class ListenerData:
    """What one listener's recordings hold.

    Attributes
    ----------
    segments : list of Segment
        Prepared EEG with music, as float16.
    stimuli : mapping of song id to Stimulus
    recordings : mapping of recording name to the hash of its samples
    """

    listener: str
    segments: list[Segment] = field(default_factory=list)
    stimuli: dict[str, Stimulus] = field(default_factory=dict)
    recordings: dict[str, str] = field(default_factory=dict)
    simulated: bool = False

    def add(self, name: str, session: Session, signal: SignalConfig, montage: Montage) -> None:
        """Bring a session into the shape a decoder reads.

        Raises
        ------
        UserError
            If it has no markers for what was heard, or it was added before.
        """
        spans = session.heard()
        if not spans:
            raise UserError(
                f"{name} has no song markers for what was heard: expected JSON markers such as "
                '{"song": "id", "song_start_s": 0} in a marker stream, as `bci-music live --record` keeps them.'
            )
        digest = session_hash(session)
        if digest in self.recordings.values():
            raise UserError(f"{name} holds the same EEG as another recording given: give each recording once.")
        self.recordings[name] = digest
        self.simulated = self.simulated or session.simulated
        for span in spans:
            self.stimuli.setdefault(span.song, Stimulus(span.song, span.title, span.song))
            check_length(self.stimuli[span.song], span.song_start_s + span.stop_s - span.start_s, name)
        self.segments += segments_of(session, signal, montage, self.listener, name)


def open_listener_data(
    paths: Sequence[Path], *, audio: Path | None, listener: str | None, signal: SignalConfig, montage: Montage,
    reading: Reading = AS_IT_IS, log: Log = lambda text: None,
) -> ListenerData:
    """Read recordings, and folders of recordings, of one listener.

    Parameters
    ----------
    audio : Path, optional
        Mapping of songs to audio; songs in it that were not heard are passed over. A folder's own ``audio.yaml``
        holds for its recordings where this has no entry.
    listener : str, optional
        Whose recordings; needed where a folder holds those of several.
    """
    found = ListenerData(listener or _stem(paths[0]))
    for path in paths:
        if path.is_dir():
            study = open_sessions(path, reading=reading)
            found.stimuli.update(study.stimuli)
            opened = [(r.name.removeprefix("sessions "), r.open) for r in _of_one(study.recordings, listener, path)]
        else:
            opened = [(path.name, partial(open_session, path, reading))]
        if audio is not None:
            found.stimuli.update(_mapped(audio))
        for name, opening in opened:
            log(f"preparing {name}")
            found.add(name, opening(), signal, montage)
    return found


def heard_audio(data: ListenerData) -> dict[str, tuple[NDArray[np.float32], float]]:
    """Sound (n,) of every song heard and its rate, from the EEG's first sample on.

    The composer's songs need no file; any other song without audio is an error.
    """
    songs = sorted({segment.song for segment in data.segments})
    lost = [song for song in songs if data.stimuli[song].audio is None and song not in composed_ids()]
    if lost:
        raise UserError(
            f"There is no audio for {', '.join(lost[:3])}{' and others' if len(lost) > 3 else ''}, heard by "
            f"{data.listener}: name the file of each song under `songs:` of a YAML file and give it with --audio."
        )
    known = {song: data.stimuli[song] for song in songs}
    return {
        song: read_song(stimulus) if stimulus.audio is not None else (mono_16k(song), float(AUDIO_HZ))
        for song, stimulus in known.items()
    }


def embedded_music(
    audio: Mapping[str, tuple[NDArray[np.float32], float]], embedder: Embedder, window_s: float
) -> dict[str, NDArray[np.float32]]:
    """Embeddings (m, 512) of every song heard (`heard_audio`), one per `GRID_S` of window start."""
    return {song: embed_song(embedder, sound, rate, window_s, GRID_S) for song, (sound, rate) in audio.items()}


def composed(data: ListenerData) -> list[str]:
    """Songs heard whose sound is the composer's, for want of a file."""
    return sorted(s for s in {t.song for t in data.segments} if data.stimuli[s].audio is None)


def composed_ids() -> frozenset[str]:
    """Ids of the composed songs."""
    return frozenset(spec.id for spec in SONGS)


def audio_hashes(data: ListenerData) -> Iterator[tuple[str, str]]:
    """Song and SHA-256 of its file, of all songs that have one."""
    for song in sorted({segment.song for segment in data.segments}):
        path = data.stimuli[song].audio
        if path is not None:
            with path.open("rb") as file:
                yield song, hashlib.file_digest(file, "sha256").hexdigest()


def _of_one(recordings: Sequence[Recording], listener: str | None, folder: Path) -> list[Recording]:
    """Those of one listener."""
    names = sorted({r.listener.removeprefix("sessions ") for r in recordings})
    if listener is None and len(names) > 1:
        raise UserError(
            f"{folder} holds recordings of {len(names)} listeners ({', '.join(names[:5])}), and a calibration is for "
            "one: choose with --listener."
        )
    own = [r for r in recordings if listener is None or r.listener.removeprefix("sessions ") == listener]
    if not own:
        raise UserError(f"{folder} holds no recording of {listener!r}: there are {', '.join(names)}.")
    return own


def _mapped(path: Path) -> dict[str, Stimulus]:
    return {
        key: Stimulus(key, e.title, e.name or e.title or key, path.parent / e.file, e.offset_s, e.reversed, e.genre)
        for key, e in read_audio_map(path).items()
    }


def _stem(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.name.split(".")[0]
