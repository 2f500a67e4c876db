"""Simulated recordings to learn from: composed songs, simulated listeners, seeded programs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from bci_music.compose.composer import HELD_OUT_SECONDS, SONGS, TRAIN_SECONDS, mono_16k
from bci_music.config import Config
from bci_music.data.session import Session
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.messages import Log
from bci_music.models.embedder import FrameEmbedder
from bci_music.simulate.listener import SimulatedListener
from bci_music.simulate.session import make_session
from bci_music.training.eeg.bands import band_features
from bci_music.training.eeg.corpus import Music, Segment
from bci_music.training.eeg.sessions import HeardWindows, heard_windows, segments_of

AUDIO_HZ = 16_000
GRID_S = 0.25


class SimulatedDataConfig(Config):
    """Who listens how often. Recording seeds of training start at 1000, of evaluation at 500 000.

    `snr_db` is what is evaluated; the recordings of the training have the ratios of `training_snr_db` in turn, or the
    same where it is empty.
    """

    RENAMED: ClassVar = {"stretch_s": "excerpt_s"}

    listeners: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    recordings: int = Field(3, ge=1)
    held_out_listeners: tuple[int, ...] = (101, 102)
    test_recordings: int = Field(2, ge=1)
    excerpt_s: float = Field(40.0, gt=4.0)
    snr_db: float = -10.0
    training_snr_db: tuple[float, ...] = ()

    def ratio_db(self, recording: int) -> float:
        """Signal-to-noise ratio of a recording of the training."""
        return self.training_snr_db[recording % len(self.training_snr_db)] if self.training_snr_db else self.snr_db


def demo_music(embedder: FrameEmbedder) -> dict[str, Music]:
    """All songs as targets and bands."""
    music = {}
    for spec in SONGS:
        audio = mono_16k(spec.id)
        targets = embedder.embed_frames(audio, AUDIO_HZ, hop_s=GRID_S)
        music[spec.id] = Music(targets, band_features(audio, AUDIO_HZ), GRID_S)
    return music


def training_session(listener: int, recording: int, config: SimulatedDataConfig) -> Session:
    """One recording of the training seconds of all songs, in excerpts in an order of its own."""
    start, stop = TRAIN_SECONDS
    places = [(s.id, at) for s in SONGS for at in np.arange(start, stop - 1e-6, config.excerpt_s)]
    order = np.random.default_rng((listener, recording)).permutation(len(places))
    program = [(places[i][0], float(places[i][1]), min(config.excerpt_s, stop - float(places[i][1]))) for i in order]
    return make_session(SimulatedListener(listener, config.ratio_db(recording)), program, 1000 + recording)


def held_out_session(listener: int, recording: int, snr_db: float) -> Session:
    """One recording of the held-out seconds of all songs, with a noise seed training never uses."""
    start, stop = HELD_OUT_SECONDS
    order = np.random.default_rng((listener, recording, 9)).permutation(len(SONGS))
    program = [(SONGS[i].id, start, stop - start) for i in order]
    return make_session(SimulatedListener(listener, snr_db), program, 500_000 + recording)


def session_hash(session: Session) -> str:
    """SHA-256 of a session's samples as float32: which recording it is, in whatever file it lies."""
    return hashlib.sha256(np.ascontiguousarray(session.samples_uv, "<f4").tobytes()).hexdigest()


def training_segments(
    config: SimulatedDataConfig, signal: SignalConfig, montage: Montage, cache: Path, log: Log = lambda _: None
) -> tuple[list[Segment], dict[str, str]]:
    """All segments to learn from and the hash of every recording; each is prepared once and kept in `cache`."""
    segments: list[Segment] = []
    hashes: dict[str, str] = {}
    cache.mkdir(parents=True, exist_ok=True)
    for recording in range(config.recordings):
        made = f"{config.excerpt_s} {config.ratio_db(recording)} {signal.model_dump_json()}"
        key = hashlib.sha256(made.encode()).hexdigest()[:12]
        for listener in config.listeners:
            name = f"listener {listener} recording {1000 + recording}"
            path = cache / f"{key}-{listener}-{recording}.npz"
            if not path.is_file():
                session = training_session(listener, recording, config)
                _store(path, segments_of(session, signal, montage, str(listener), name), session_hash(session))
            own, hashes[name] = _fetch(path, str(listener), name)
            segments += own
            log(name)
    return segments, hashes


def held_out_windows(
    listeners: tuple[int, ...], recordings: int, snr_db: float, signal: SignalConfig, montage: Montage,
    log: Log = lambda _: None,
) -> list[HeardWindows]:
    """Non-overlapping windows of recordings of held-out song seconds."""
    found = []
    for listener in listeners:
        for recording in range(recordings):
            name = f"listener {listener} recording {500_000 + recording} at {snr_db:g} dB"
            found.append(heard_windows(held_out_session(listener, recording, snr_db), signal, montage, name))
            log(name)
    return found


def _store(path: Path, segments: list[Segment], digest: str) -> None:
    eeg: dict[str, Any] = {f"eeg{i}": segment.eeg for i, segment in enumerate(segments)}
    used = {f"used{i}": segment.used for i, segment in enumerate(segments)}
    part = path.with_suffix(".part.npz")
    songs, starts = np.array([t.song for t in segments]), np.array([t.song_start_s for t in segments])
    named = eeg | used | {"songs": songs, "starts": starts, "digest": np.array(digest)}
    np.savez(part, **named)
    part.replace(path)


def _fetch(path: Path, listener: str, name: str) -> tuple[list[Segment], str]:
    with np.load(path, allow_pickle=False) as stored:
        segments = [
            Segment(stored[f"eeg{i}"], stored[f"used{i}"], str(song), float(start), listener, name)
            for i, (song, start) in enumerate(zip(stored["songs"], stored["starts"], strict=True))
        ]
        return segments, str(stored["digest"])
