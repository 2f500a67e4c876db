"""Putting a run together from its configuration: a live one, and one that only monitors channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bci_music.engine.config import LiveConfig
from bci_music.engine.decode_stage import DecodeStage
from bci_music.engine.engine import Engine
from bci_music.engine.events import Events
from bci_music.engine.history import History, SongLabel
from bci_music.engine.replaying import Replay
from bci_music.engine.sham import Sham
from bci_music.engine.shelving import Shelving
from bci_music.files import shown
from bci_music.messages import ECHOES, Log, StreamInfo, quiet
from bci_music.outputs.output import RunFacts
from bci_music.outputs.registry import make_outputs
from bci_music.status import Failure

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.eeg.chain import SignalChain
    from bci_music.engine.watch import MakeMarkers
    from bci_music.models.decoder import Decoder
    from bci_music.models.pack import Pack
    from bci_music.sound.player import Player
    from bci_music.sound.prompting import PromptStage
    from bci_music.sound.steering import Steering
    from bci_music.streaming.source import Source

BEHIND_S = 1.0  # a file source is held back while the decoder has more than this to do
HEARD_BEHIND_S = 20.0  # and while what compares it with the sound has more than this


def build_engine(
    config: LiveConfig,
    source: Source,
    player: Player,
    clock: Clock,
    make_markers: MakeMarkers | None = None,
    device: str | None = None,
    tell: Log = quiet,
) -> Engine:
    """Wire source, decoder and sound into an `Engine`; loads the pack and warms the decoder up.

    `tell` is given what is being done, in words; what it raises ends that.
    """
    tell("loading the libraries")
    from bci_music.models.device import share_cores, sleep_while_waiting

    sleep_while_waiting()
    from bci_music.generation.open import choose_generator, open_generator
    from bci_music.generation.ways import open_ways
    from bci_music.heard.open import open_heard
    from bci_music.models.decoder import Decoder
    from bci_music.models.pack import Pack
    from bci_music.sound.stage import SoundStage
    from bci_music.sound.steering import Steering
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.choosing import StreamChooser
    from bci_music.streaming.lsl import LslSource
    from bci_music.streaming.replay import SessionSource

    tell(f"opening the pack {shown(config.pack)}")
    pack = Pack.open(config.pack)
    library = open_generator("library", config.sound, pack, clock)
    kind = choose_generator(config.sound, pack)

    def trouble(text: str) -> None:
        events.failure(Failure(clock.now(), "generate", text))

    generator = library if kind == "library" else open_ways(config.sound, pack, clock, trouble)
    if not generator.realtime:
        share_cores(2)  # it computes beside the decoder
    tell("loading the decoder")
    decoder = Decoder.from_pack(pack, device=device)
    decoder.warm_up(tell=tell)
    if isinstance(source, LslSource):
        source.min_channels = decoder.manifest.decoder.min_channels
    history = History(*_songs(pack), decoder.manifest.signal.window.seconds, decoder.manifest.signal.window.hop_s)
    events = Events(clock, history)
    acquirer = Acquirer(source, clock, ring_seconds=config.ring_seconds, on_event=events.stream_event)
    decode = DecodeStage(
        acquirer,
        decoder,
        lambda info: make_chain(decoder, info),
        live=source.live,
        on_embedding=events.embedding,
        on_quality=events.quality,
    )
    replayed = source if isinstance(source, SessionSource) else None
    heard = events.heard = open_heard(config.heard, acquirer, (lambda: replayed.zero_s) if replayed else None)
    acquirer.hold = lambda: decode.behind_s() > BEHIND_S or (heard is not None and heard.behind_s() > HEARD_BEHIND_S)
    if replayed is not None:
        decode.not_before = lambda: replayed.begins_s
    sham = Sham(config.sham, history.heard_at, history.window_s, clock.now)
    decode.choose = sham.choose
    decode.with_steps = lambda: generator.way == ECHOES
    decode.begin_again = history.begin_again
    steering = Steering(decode.embedding, config.sound.steering)
    sound = SoundStage(
        generator,
        library,
        steering,
        player,
        clock,
        on_failure=events.failure,
        config=config.sound.stage,
    )
    sound.set_volume(config.sound.volume_db)
    return Engine(
        acquirer,
        decode,
        clock,
        events,
        decoder=decoder,
        sound=sound,
        make_markers=make_markers,
        chooser=StreamChooser(acquirer, source) if isinstance(source, LslSource) else None,
        replay=Replay(acquirer, replayed, clock, events) if replayed else None,
        shelving=Shelving(Path(), config.outputs.model_dump(), events.failure, clock.now, config.pack),
        prompter=make_prompter(pack, steering, events.failure),
        sham=sham,
        outputs=make_outputs(config.outputs.model_dump(), events.failure, clock.now),
        facts=RunFacts(config.model_dump(mode="json"), {"name": pack.name, "manifest_sha256": pack.sha256}),
    )


def make_chain(decoder: Decoder, info: StreamInfo) -> SignalChain:
    """Signal chain that brings this stream into the shape the pack was trained on."""
    from bci_music.eeg.chain import SignalChain
    from bci_music.eeg.montage import map_channels

    montage = decoder.montage
    channels = map_channels(info.labels, montage, info.positions_m, decoder.manifest.decoder.min_channels)
    return SignalChain(decoder.manifest.signal, montage, channels, info.sfreq_hz)


def _songs(pack: Pack) -> tuple[tuple[SongLabel, ...], np.ndarray]:
    library = pack.open_library()
    songs = tuple(SongLabel(s["id"], s["title"], s.get("genre", "")) for s in library.songs)
    return songs, library.prototypes


def make_prompter(pack: Pack, steering: Steering, on_failure: Callable[[Failure], None]) -> PromptStage:
    """Return what takes the operator's words; it reports it where the pack's embedder knows no text."""
    from bci_music.sound.prompting import PromptStage

    folder = pack.embedder
    if folder is None or (folder / "statistics.npz").is_file():
        reason = f"pack {pack.name} has no text tower; a pack whose embedder is a CLAP understands words"
        return PromptStage(steering, None, reason, on_failure)

    def load() -> Callable[[str], np.ndarray]:
        from bci_music.models.embedder import load_embedder

        return load_embedder(folder).embed_text

    return PromptStage(steering, load, "", on_failure)
