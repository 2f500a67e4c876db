"""From style to ear: how long after the decoder asks for another music the sound is that other music.

Styles are songs of a pack's library; every so often a song of another genre is asked for, as a decoder would, twice a
second. What was heard is embedded in windows; the moment of change is where two levels, fitted to the windows' place
between the two songs, meet: half of the way.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.messages import AUDIO_RATE_HZ, Embedding, UserError

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.models.embedder import FrameEmbedder
    from bci_music.models.pack import Pack
    from bci_music.sound.player import ClockPlayer
    from bci_music.sound.stage import SoundStage
    from bci_music.status import SoundStatus
    from bci_music.workers import Latest

STEP_S = 0.02
HOP_S = 0.5  # between embeddings, as the decoder makes them
CONFIDENCE = 0.9
SMALLEST_STEP = 0.25  # of the way between the songs: less is no change


class LatencyConfig(Config):
    """How often the style changes, and how the sound is looked at."""

    changes: int = Field(20, ge=3)
    gap_s: tuple[float, float] = (11.0, 15.0)
    window_s: float = Field(2.0, gt=0.5, description="of the embeddings of what was heard")
    hop_s: float = Field(0.1, gt=0.0)
    seed: int = 0


@dataclass(frozen=True)
class Change:
    """A change of style: when it was asked for, in seconds of the sound heard, and between which songs."""

    at_s: float
    before: int
    after: int


def measure_latency(
    pack: str | Path, generator: str, config: LatencyConfig, *, eeg: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Let a pack's stage play in real time while the music asked for changes.

    Parameters
    ----------
    generator : str
        As for `--generator`.
    eeg : bool
        The music that a simulated listener hears changes, and the whole engine decodes it; False: the style does.

    Returns
    -------
    dict
        Seconds to the ear (`p50_s`, `p95_s`), how many of the changes were heard, and how it played.
    """
    from bci_music.clock import Clock
    from bci_music.models.embedder import load_embedder
    from bci_music.models.pack import Pack
    from bci_music.sound.player import ClockPlayer

    opened = Pack.open(pack)
    if opened.embedder is None:
        raise UserError(f"Pack {opened.name} has no embedder, so what is heard cannot be placed: give another pack.")
    library, clock = opened.open_library(), Clock()
    player = ClockPlayer(clock)
    heard: list[NDArray[np.float32]] = []
    player.add_listener(lambda samples: heard.append(samples.mean(axis=1)))
    by = by_eeg if eeg else by_style
    changes, status = by(opened, generator, player, clock, config, progress)
    embedder = load_embedder(opened.embedder)
    seconds = latencies(np.concatenate(heard), changes, library.prototypes, embedder, config)
    late = dataclasses.asdict(status.late_steps)
    return {
        "changed": "EEG" if eeg else "style", "generator": status.generator, "changes": len(changes),
        **summary(seconds), "seconds": seconds,
        "rtf": status.generation_s / status.generated_s if status.generated_s else None,
        "clips": status.clips_generated, "underruns": status.underruns, "silent_s": player.silent_s, "late": late,
        "protocol": f"changes between songs of two genres, {config.gap_s[0]:g} to {config.gap_s[1]:g} s apart; heard "
        f"where two levels fitted to embeddings of windows of {config.window_s:g} s meet",
    }  # fmt: skip


def by_style(
    pack: Pack, generator: str, player: ClockPlayer, clock: Clock, config: LatencyConfig,
    progress: Callable[[float], None],
) -> tuple[list[Change], SoundStatus]:
    """Ask a stage for one song after the other, as a decoder would that is sure of it."""
    from bci_music.generation.open import GeneratorsConfig, choose_generator, open_generator
    from bci_music.models.device import share_cores
    from bci_music.sound.stage import SoundStage
    from bci_music.sound.steering import Steering
    from bci_music.workers import Latest

    sounds = GeneratorsConfig.parse({"generator": generator}, "--generator")
    fallback = open_generator("library", sounds, pack, clock)
    kind = choose_generator(sounds, pack)
    maker = fallback if kind == "library" else open_generator(kind, sounds, pack, clock)
    if not maker.realtime:
        share_cores(2)
    latest: Latest[Embedding] = Latest()
    stage = SoundStage(maker, fallback, Steering(latest), player, clock)
    songs = pack.open_library()
    order = song_order([song.get("genre", "") for song in songs.songs], config)
    player.start()
    try:
        return _ask(stage, latest, songs.prototypes, order, config, progress), stage.status(clock.now())
    finally:
        stage.close()
        player.stop()


def _ask(
    stage: SoundStage, latest: Latest[Embedding], vectors: NDArray[np.float32], order: list[int],
    config: LatencyConfig, progress: Callable[[float], None],
) -> list[Change]:
    rng, heard = np.random.default_rng(config.seed), stage.player.heard
    changes: list[Change] = []
    next_s, asked_s, n = float("inf"), float("-inf"), 0
    while True:
        now = time.monotonic()
        if now >= next_s:
            if len(changes) == config.changes:
                return changes
            at = len(changes)
            changes.append(Change(heard.index_at(now) / AUDIO_RATE_HZ, order[at], order[at + 1]))
            asked_s, next_s = float("-inf"), now + float(rng.uniform(*config.gap_s))
            progress(len(changes) / config.changes)
        if now >= asked_s + HOP_S:
            asked_s, n = now, n + 1
            latest.put(_embedding(vectors[order[len(changes)]], n, now), now)
        stage.step(now)
        if next_s == float("inf") and stage.status(now).first_eeg_sound_s is not None:
            next_s = now + config.gap_s[1]
        time.sleep(STEP_S)


def by_eeg(
    pack: Pack, generator: str, player: ClockPlayer, clock: Clock, config: LatencyConfig,
    progress: Callable[[float], None],
) -> tuple[list[Change], SoundStatus]:
    """Let the engine decode a simulated listener who hears one song after the other."""
    from bci_music.compose.composer import HELD_OUT_SECONDS
    from bci_music.engine.build import build_engine
    from bci_music.engine.config import LiveConfig
    from bci_music.messages import StreamState
    from bci_music.simulate.listener import SimulatedListener
    from bci_music.simulate.session import SAMPLE_LISTENER, SAMPLE_SEED, make_session
    from bci_music.streaming.replay import SessionSource

    songs = pack.open_library().songs
    order = song_order([song.get("genre", "") for song in songs], config)
    rng = np.random.default_rng(config.seed)
    lengths = [2 * config.gap_s[1], *rng.uniform(*config.gap_s, config.changes)]
    program = [(songs[k]["id"], HELD_OUT_SECONDS[0], float(s)) for k, s in zip(order, lengths, strict=True)]
    session = make_session(SimulatedListener(SAMPLE_LISTENER), program, SAMPLE_SEED + 1)
    source = SessionSource(session, clock=clock)
    settings = LiveConfig.parse({"pack": str(pack.directory), "sound": {"generator": generator}}, "the benchmark")
    engine = build_engine(settings, source, player, clock)
    assert engine.sound is not None
    engine.start()
    begun_s = clock.now()
    try:
        while engine.status(clock.now()).state is not StreamState.ENDED:
            progress(min(1.0, (clock.now() - begun_s) / session.duration_s))
            time.sleep(0.2)
        status = engine.sound.status(clock.now())
    finally:
        engine.stop()
    ends = source.begins_s + np.cumsum(lengths)[:-1]
    return [
        Change(player.heard.index_at(float(at)) / AUDIO_RATE_HZ, a, b)
        for at, a, b in zip(ends, order, order[1:], strict=False)
    ], status


def song_order(genres: list[str], config: LatencyConfig) -> list[int]:
    """Songs, one more than there are changes, each of another genre than the one before.

    Raises
    ------
    UserError
        If all songs are of one genre.
    """
    if len(set(genres)) < 2:
        raise UserError("All songs of the pack's library are of one genre, so no style can change: give another pack.")
    rng = np.random.default_rng(config.seed)
    order = [int(rng.integers(len(genres)))]
    while len(order) <= config.changes:
        order.append(int(rng.choice([k for k, genre in enumerate(genres) if genre != genres[order[-1]]])))
    return order


def latencies(
    sound: NDArray[np.float32], changes: list[Change], vectors: NDArray[np.float32], embedder: FrameEmbedder,
    config: LatencyConfig,
) -> list[float]:
    """Seconds from each change to where the sound (n,) at 48 kHz is half way; NaN where it does not get there."""
    rows = embedder.embed_frames(sound, AUDIO_RATE_HZ, config.window_s, config.hop_s)
    centre_s = np.arange(len(rows)) * config.hop_s + config.window_s / 2
    stops = [*(change.at_s for change in changes[1:]), len(sound) / AUDIO_RATE_HZ]
    found = []
    for change, stop_s in zip(changes, stops, strict=True):
        near = (centre_s >= change.at_s - 3.0) & (centre_s <= stop_s)
        way = vectors[change.after] - vectors[change.before]
        place = (rows[near] @ way - vectors[change.before] @ way) / float(way @ way)
        found.append(step_at(place, centre_s[near]) - change.at_s)
    return found


def step_at(place: NDArray[np.floating], time_s: NDArray[np.floating]) -> float:
    """Where the step from one level to a higher one lies that fits `place` (n,) best; NaN where it does not rise."""
    n = len(place)
    if n < 4:
        return float("nan")
    total, squares = np.cumsum(place), np.cumsum(np.square(place))
    at = np.arange(1, n)
    low, high = total[:-1] / at, (total[-1] - total[:-1]) / (n - at)
    left = squares[-1] - at * low**2 - (n - at) * high**2
    best = int(np.argmin(np.where(high - low >= SMALLEST_STEP, left, np.inf)))
    if high[best] - low[best] < SMALLEST_STEP:
        return float("nan")
    return float(time_s[best] + time_s[best + 1]) / 2


def summary(seconds: list[float]) -> dict[str, Any]:
    """Median, 95th percentile and extremes of the changes heard, and their share."""
    heard = np.array([s for s in seconds if np.isfinite(s)])
    if not len(heard):
        return {"heard": 0, "p50_s": None, "p95_s": None, "least_s": None, "most_s": None}
    return {
        "heard": len(heard), "p50_s": float(np.median(heard)), "p95_s": float(np.quantile(heard, 0.95)),
        "least_s": float(heard.min()), "most_s": float(heard.max()),
    }  # fmt: skip


def _embedding(vector: NDArray[np.float32], n: int, at: float) -> Embedding:
    nothing = np.empty(0, np.float32)
    return Embedding(vector, nothing, CONFIDENCE, n, 0, 0, at, at, 0.0)
