"""Switching ways with the models of a pack: as smooth as the splices within a way (a long form, with a real pack)."""

import os
from dataclasses import replace

import numpy as np
import pytest

from bci_music.bench.splices import HOP, spectral_flux_db
from bci_music.data.formats import open_session
from bci_music.engine.sample import find_sample
from bci_music.generation.echoes import EchoesConfig
from bci_music.generation.open import GeneratorsConfig
from bci_music.generation.ways import open_ways
from bci_music.messages import ECHOES, STYLE, Style
from bci_music.models.decoder import Decoder
from bci_music.models.pack import Pack
from bci_music.training.eeg.sessions import session_windows

SWITCHES, MARGIN = 50, 4800


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fifty_switches_are_as_smooth_as_splices():
    pack = Pack.open(os.environ.get("BCI_MUSIC_TEST_PACK", "demo"))
    if not EchoesConfig().available(pack):
        pytest.skip("this pack holds no ControlNet")
    decoder, plain = Decoder.from_pack(pack, device="cpu"), {"anytime": False, "most_repeats": 0}
    read = session_windows(open_session(find_sample()), pack.manifest.signal, pack.montage)
    windows = [window for window in read if window.decodable]
    ways = open_ways(GeneratorsConfig.parse({"audioldm": plain, "transformer": plain, "echoes": plain}, "test"), pack)
    ways.switch(ECHOES)
    ways._opening.join()
    sound, splices, state, length, before = [], [], None, 0, ""
    for number in range(2 * SWITCHES + 1):
        ways.switch(STYLE if number // 2 % 2 else ECHOES)
        window = windows[5 * number % len(windows)]
        found = decoder.decode(window, float(number), steps=True)
        style = Style(found.vector, confidence=1.0, made_s=float(number), steps=found.steps)
        block, state = ways.generate(
            style if ways.way == ECHOES else replace(style, steps=None), state, seconds=5.12, deadline=float("inf")
        )
        if before:
            at = length + (state.splice[0] + state.splice[1]) // 2
            splices.append((before != ways.way, at))
        before = ways.way
        sound.append(block.samples.mean(1))
        length += len(sound[-1])
    flux = spectral_flux_db(np.concatenate(sound))
    reach = round((0.24 * 48_000 + MARGIN) / HOP)
    highest = {True: [], False: []}
    for switched, at in splices:
        highest[switched].append(flux[at // HOP - reach : at // HOP + reach].max())
    (switch, switch_95), (splice, splice_95) = ((np.mean(at), np.percentile(at, 95)) for at in highest.values())
    print(f"flux, mean and 95 %: {switch:.2f}, {switch_95:.2f} dB at {len(highest[True])} switches; "
          f"{splice:.2f}, {splice_95:.2f} dB at {len(highest[False])} splices")  # fmt: skip
    assert len(highest[True]) == SWITCHES
    assert switch < splice + 1.0
    assert switch_95 < splice_95 + 1.0
