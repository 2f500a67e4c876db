"""Targets of training: the embedding of what is heard, at every quarter second of every song, made once and kept."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.data.study import Stimulus
from bci_music.messages import UserError
from bci_music.models.embedder import Embedder, StatisticsEmbedder, to_mono_16k
from bci_music.models.windowed import WindowedEmbedder
from bci_music.training.eeg.bands import band_features
from bci_music.training.eeg.corpus import Music
from bci_music.training.lab.prepared import Prepared, file_hash

AUDIO_HZ = 16_000
GRID_S = 0.25
FIT_HOP_S = 0.5
BANDS_VERSION = 1  # raise when band_features changes, so that kept results are not used
AXES = 64
Report = Callable[[int, int, str], None]  # songs done, of how many, the newest


def music_of(
    prepared: Prepared, embedder: Embedder, window_s: float, grid_s: float = GRID_S, *, cache: Path | None = None,
    report: Report = lambda done, of, what: None,
) -> dict[str, Music]:
    """Targets and bands of every song that is heard in the segments.

    Row i of ``targets`` embeds the sound from ``i * grid_s`` to ``i * grid_s + window_s`` of the song, second 0 being
    what is heard at the EEG's first sample.

    Parameters
    ----------
    cache : Path, optional
        Where results are kept (default: ``targets`` in the prepared folder), under a key of embedder, audio file,
        window, grid, offset and direction: change one, and only what depends on it is made again.

    Raises
    ------
    UserError
        Where a song has no audio.
    """
    cache = prepared.directory / "targets" if cache is None else cache
    stimuli = [_with_audio(prepared, song) for song in sorted(prepared.song_seconds())]
    music: dict[str, Music] = {}
    for done, stimulus in enumerate(stimuli, 1):
        path = cache / f"{_key(stimulus, embedder, window_s, grid_s)}.npz"
        if not path.is_file():
            audio, rate = read_song(stimulus)
            _store(path, embed_song(embedder, audio, rate, window_s, grid_s), band_features(*_mono(audio, rate)))
        with np.load(path, allow_pickle=False) as stored:
            music[stimulus.id] = Music(stored["targets"], stored["bands"], grid_s)
        report(done, len(stimuli), stimulus.title)
    return music


def fit_embedder(
    prepared: Prepared, seconds: Mapping[str, Sequence[tuple[float, float]]] | None = None
) -> StatisticsEmbedder:
    """Fit the weight-free embedder on the music of the segments.

    Parameters
    ----------
    seconds : mapping of song to (start, stop) in song seconds, optional
        The training seconds, so that nothing of the test's music is fitted on; pieces shorter than 4 s are passed
        over. By default everything that is heard. With little music the embedder gets fewer than 64 axes.
    """
    if seconds is None:
        seconds = {song: [(0.0, stop)] for song, stop in prepared.song_seconds().items()}
    pieces = []
    for song in sorted(seconds):
        audio = to_mono_16k(*read_song(_with_audio(prepared, song)))
        cuts = (audio[round(a * AUDIO_HZ) : round(b * AUDIO_HZ)] for a, b in seconds[song])
        pieces += [cut for cut in cuts if len(cut) >= 4 * AUDIO_HZ]
    windows = sum(int((len(p) / AUDIO_HZ - 4.0) / FIT_HOP_S) + 1 for p in pieces)
    return StatisticsEmbedder.fit(pieces, AUDIO_HZ, n_axes=max(2, min(AXES, windows // 2)), hop_s=FIT_HOP_S)


def read_song(stimulus: Stimulus) -> tuple[NDArray[np.float32], float]:
    """Read a stimulus as it was heard, from the EEG's first sample on: (n,) mono and its rate.

    Reversed first where it was played backwards, then cut at its offset.
    """
    import soundfile

    if stimulus.audio is None or not stimulus.audio.is_file():
        raise UserError(f"There is no audio file {stimulus.audio} of {stimulus.id}: put it there and try again.")
    try:
        audio, rate = soundfile.read(str(stimulus.audio), dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise UserError(f"{stimulus.audio} cannot be read as audio ({error}): give WAV, FLAC, OGG or MP3.") from error
    mono = audio.mean(axis=1)
    if stimulus.reversed:
        mono = mono[::-1]
    return np.ascontiguousarray(mono[round(stimulus.offset_s * rate) :]), float(rate)


def embed_song(
    embedder: Embedder, audio: NDArray[np.float32], rate: float, window_s: float, grid_s: float
) -> NDArray[np.float32]:
    """(m, 512) unit rows, one for every `grid_s` at which a whole window begins."""
    if isinstance(embedder, (StatisticsEmbedder, WindowedEmbedder)):
        return embedder.embed_frames(audio, rate, window_s, grid_s)
    length = round(window_s * rate)
    count = max(1, int((len(audio) / rate - window_s) / grid_s + 1e-9) + 1)
    starts = [round(i * grid_s * rate) for i in range(count)]
    return np.stack([embedder.embed(audio[at : at + length], rate) for at in starts]).astype(np.float32)


def _mono(audio: NDArray[np.float32], rate: float) -> tuple[NDArray[np.float32], float]:
    return to_mono_16k(audio, rate), float(AUDIO_HZ)


def _with_audio(prepared: Prepared, song: str) -> Stimulus:
    stimulus = prepared.stimuli.get(song)
    if stimulus is None or stimulus.audio is None:
        raise UserError(
            f"There is no audio for {song}: name its file under `songs:` of an audio.yaml and prepare again with "
            "--audio (what is prepared stays)."
        )
    return stimulus


def _key(stimulus: Stimulus, embedder: Embedder, window_s: float, grid_s: float) -> str:
    parts = (
        embedder.sha, _file_hash(stimulus.audio), f"{window_s:g} {grid_s:g} {stimulus.offset_s:g}",
        str(stimulus.reversed), str(BANDS_VERSION),
    )  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _file_hash(path: Path | None) -> str:
    if path is None or not path.is_file():
        raise UserError(f"There is no audio file {path}: put it there, or prepare again with its new place.")
    return file_hash(path)


def _store(path: Path, targets: NDArray[np.float32], bands: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}-{uuid.uuid4().hex}.part.npz")  # other processes may be making the same
    np.savez(part, targets=targets, bands=bands)
    part.replace(path)
