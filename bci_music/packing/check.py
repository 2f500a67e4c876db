"""Open all that a live run opens of a pack, and let one window run through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bci_music.clock import Clock
from bci_music.engine.build import make_chain
from bci_music.files import opening, shown
from bci_music.generation.library import read_sound
from bci_music.generation.open import GeneratorsConfig, choose_generator, open_generator
from bci_music.messages import Embedding, StreamInfo, Style, UserError, Window
from bci_music.models.decoder import Decoder
from bci_music.models.embedder import load_embedder
from bci_music.models.pack import Pack
from bci_music.sound.guard import refuse_unfit
from bci_music.sound.steering import unit

if TYPE_CHECKING:
    from bci_music.sound.generator import Generator

RATE_HZ = 250.0
LONGEST_S = 90.0  # until filters and running statistics of any pack have settled
ASKED_S, MOST_S = 2.0, 6.0  # of sound
AGAIN = "rebuild the pack"


@dataclass(frozen=True)
class Checked:
    """What was opened: milliseconds a window takes and where, clips of the library, name of the generator."""

    decode_ms: float
    device: str
    clips: int
    generator: str


def check_pack(pack: Pack) -> Checked:
    """Decode noise as EEG, and make sound of what comes out.

    Raises
    ------
    UserError
        One sentence for the first thing that a live run could not use.
    """
    decoder = Decoder.from_pack(pack)
    decoder.warm_up(1)
    decoded = _decode_noise(decoder)
    clips, generator = 0, "none"
    if pack.has("library/index.json"):
        library = pack.open_library()
        for clip in library.clips:
            read_sound(clip.path)
        clips = len(library.clips)
        config = GeneratorsConfig()
        name = choose_generator(config, pack)
        opened = open_generator(name, config, pack, Clock())
        generator = opened.name
        _play(opened, decoded)
    if pack.embedder is not None:
        load_embedder(pack.embedder)
    return Checked(decoded.decode_ms, decoder.device_name, clips, generator)


def _decode_noise(decoder: Decoder) -> Embedding:
    """Let noise of 20 µV through the pack's signal path until the first window that can be decoded."""
    names = decoder.montage.names
    chain = make_chain(decoder, StreamInfo("noise", "simulated", names, RATE_HZ))
    rng, n = np.random.default_rng(0), round(RATE_HZ)
    for second in range(round(LONGEST_S)):
        rows = rng.normal(0.0, 20.0, (n, len(names))).astype(np.float32)
        times_s = second + np.arange(n) / RATE_HZ
        made = chain.process(rows, times_s, np.zeros(n, np.uint8), second * n)
        ready = [window for window in made if isinstance(window, Window) and window.decodable]
        if ready:
            return _checked(decoder, ready[0])
    raise UserError(f"Pack {shown(decoder.pack.name)} gives no window of {LONGEST_S:.0f} s of EEG: {AGAIN}.")


def _checked(decoder: Decoder, window: Window) -> Embedding:
    with opening(decoder.pack.directory, "a decoder", AGAIN):
        decoded = decoder.decode(window, window.end_s)
        if not (np.isfinite(decoded.vector).all() and np.isfinite(decoded.confidence) and decoded.vector.any()):
            raise ValueError("what it decodes is not finite")
    return decoded


def _play(generator: Generator, decoded: Embedding) -> None:
    style = Style(unit(decoded.vector), confidence=decoded.confidence)
    with opening(generator.name, "a generator", AGAIN):
        block, _ = generator.generate(style, None, seconds=ASKED_S, deadline=float("-inf"))
        refuse_unfit(block, ASKED_S, None if generator.realtime else MOST_S, generator.pause_s)
