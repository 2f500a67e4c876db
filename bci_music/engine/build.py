"""Putting a live run together from its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bci_music.engine.config import LiveConfig
from bci_music.engine.decode_stage import DecodeStage
from bci_music.engine.engine import Engine
from bci_music.engine.history import History, SongLabel
from bci_music.messages import MusicMarker, StreamInfo, UserError
from bci_music.status import Failure
from bci_music.workers import Stage

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.eeg.chain import SignalChain
    from bci_music.models.decoder import Decoder
    from bci_music.models.pack import Pack
    from bci_music.sound.player import Player
    from bci_music.sound.prompting import PromptStage
    from bci_music.sound.steering import Steering
    from bci_music.streaming.replay import SessionSource
    from bci_music.streaming.source import Source

MakeMarkers = Callable[[StreamInfo, Callable[[MusicMarker], None]], Stage]
BEHIND_S = 1.0  # a file source is held back while the decoder has more than this to do


def build_engine(
    config: LiveConfig,
    source: Source,
    player: Player,
    clock: Clock,
    make_markers: MakeMarkers | None = None,
    device: str | None = None,
) -> Engine:
    """Wire source, decoder and sound into an `Engine`; loads the pack and warms the decoder up."""
    from bci_music.models.device import share_cores, sleep_while_waiting

    sleep_while_waiting()
    from bci_music.generation.open import choose_generator, open_generator
    from bci_music.models.decoder import Decoder
    from bci_music.models.pack import Pack
    from bci_music.sound.stage import SoundStage
    from bci_music.sound.steering import Steering
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.replay import SessionSource

    pack = Pack.open(config.pack)
    library = open_generator("library", config.sound, pack, clock)
    kind = choose_generator(config.sound, pack)
    generator = library if kind == "library" else open_generator(kind, config.sound, pack, clock)
    if not generator.realtime:
        share_cores(2)  # it computes beside the decoder
    decoder = Decoder.from_pack(pack, device=device)
    decoder.warm_up()
    history = History(*_songs(pack), decoder.manifest.signal.window.seconds, decoder.manifest.signal.window.hop_s)
    wired: list[Engine] = []
    stages: list[DecodeStage] = []
    acquirer = Acquirer(
        source,
        clock,
        ring_seconds=config.ring_seconds,
        on_event=lambda event: wired[0].note_event(event),
        hold=lambda: stages[0].behind_s() > BEHIND_S,
    )
    decode = DecodeStage(
        acquirer,
        decoder,
        lambda info: make_chain(decoder, info),
        live=source.live,
        on_embedding=lambda e: wired[0].note_embedding(e),
        on_quality=lambda q: wired[0].note_quality(q),
    )
    stages.append(decode)
    if isinstance(source, SessionSource):
        decode.not_before = lambda: source.begins_s
    steering = Steering(decode.embedding, config.sound.steering)
    sound = SoundStage(
        generator,
        library,
        steering,
        player,
        clock,
        on_failure=lambda failure: wired[0].note_failure(failure),
        config=config.sound.stage,
    )
    sound.set_volume(config.sound.volume_db)
    prompter = make_prompter(pack, steering, lambda failure: wired[0].note_failure(failure))
    engine = Engine(
        acquirer, decode, clock, decoder=decoder, sound=sound, history=history, make_markers=make_markers,
        prompter=prompter,
    )  # fmt: skip
    wired.append(engine)
    return engine


def make_chain(decoder: Decoder, info: StreamInfo) -> SignalChain:
    """Signal chain that brings this stream into the shape the pack was trained on."""
    from bci_music.eeg.chain import SignalChain
    from bci_music.eeg.montage import map_channels

    montage = decoder.montage
    channels = map_channels(info.labels, montage, info.positions_m)
    return SignalChain(decoder.manifest.signal, montage, channels, info.sfreq_hz)


def _songs(pack: Pack) -> tuple[tuple[SongLabel, ...], np.ndarray]:
    index = json.loads((pack.directory / "library" / "index.json").read_text(encoding="utf-8"))
    songs = tuple(SongLabel(s["id"], s["title"], s.get("genre", "")) for s in index["songs"])
    prototypes = np.load(pack.directory / "library" / "prototypes.npy", allow_pickle=False).astype(np.float32)
    return songs, prototypes


def make_prompter(pack: Pack, steering: Steering, on_failure: Callable[[Failure], None]) -> PromptStage:
    """Return what takes the operator's words; it says so itself where the pack's embedder knows no text."""
    from bci_music.sound.prompting import PromptStage

    folder = pack.embedder
    if folder is None or (folder / "statistics.npz").is_file():
        reason = f"pack {pack.name} has no text tower; a pack whose embedder is a CLAP understands words"
        return PromptStage(steering, None, reason, on_failure)

    def load() -> Callable[[str], np.ndarray]:
        from bci_music.models.embedder import load_embedder

        embed_text = getattr(load_embedder(folder), "embed_text", None)
        if embed_text is None:
            raise UserError(f"The embedder of pack {pack.name} knows no text: take a pack whose embedder is a CLAP.")
        return embed_text

    return PromptStage(steering, load, "", on_failure)


class FileMarkers:
    """Stage that announces the songs of a replayed session, pass by pass, ahead of the decoder."""

    def __init__(self, source: SessionSource, on_marker: Callable[[MusicMarker], None]):
        self._source = source
        self._on_marker = on_marker
        self._passes = 0

    def step(self, now: float) -> None:
        """Hand on the markers of a pass that has begun."""
        if self._passes > self._source.loops:
            return
        self._passes = self._source.loops + 1
        spans = self._source.heard()
        for number, span in enumerate(spans):
            self._on_marker(MusicMarker(span.start_s, span.song, span.title, span.song_start_s))
            if number + 1 == len(spans) or spans[number + 1].start_s > span.stop_s + 1e-3:
                self._on_marker(MusicMarker(span.stop_s, None))


def save_run(directory: Path, config: LiveConfig, engine: Engine) -> None:
    """Write the resolved configuration and the embeddings beside the report."""
    import yaml

    (directory / "run.yaml").write_text(
        yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
    )
    embeddings = engine.history.embeddings() if engine.history else []
    if embeddings:
        np.savez_compressed(
            directory / "embeddings.npz",
            vector=np.stack([e.vector for e in embeddings]),
            attention=np.stack([e.attention for e in embeddings]),
            confidence=np.array([e.confidence for e in embeddings], np.float32),
            window_index=np.array([e.window_index for e in embeddings]),
            first_sample=np.array([e.first_sample for e in embeddings]),
            last_sample=np.array([e.last_sample for e in embeddings]),
            end_s=np.array([e.end_s for e in embeddings]),
        )
