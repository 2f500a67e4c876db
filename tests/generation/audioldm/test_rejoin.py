"""A style that turns is followed at once: the next clip goes on from the middle of what is queued."""

import numpy as np
import pytest
import torch

from bci_music.clock import ManualClock
from bci_music.generation.audioldm.generator import AudioLdmConfig, AudioLdmGenerator
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.audioldm.sampler import load_audioldm
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, AudioBlock, SoundSpan, Style
from bci_music.sound.player import ClockPlayer
from bci_music.sound.span_log import SpanLog
from bci_music.sound.splice import Splicer

pytestmark = pytest.mark.learning

CONFIG = AudioLdmConfig(
    sampler=SamplerSettings(steps=2), anytime=False, overlap_s=0.32, fade_s=0.16, follow_fade_s=0.2, margin_s=0.0,
    most_repeats=0,
)  # fmt: skip


def style(seed):
    vector = np.random.default_rng(seed).standard_normal(EMBEDDING_DIM)
    return Style((vector / np.linalg.norm(vector)).astype(np.float32), confidence=1.0, made_s=float(seed))


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    torch.set_num_threads(1)
    model = load_audioldm(write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1), device="cpu")
    return AudioLdmGenerator(model, CONFIG)


def queued(generator):
    """Two clips in one style, written to a player, and the state after them."""
    player = ClockPlayer(ManualClock(0.0), threaded=False)
    splicer = Splicer(player, SpanLog(), 4800)
    state = None
    for _ in range(2):
        block, state = generator.generate(style(1), state, seconds=2.88, deadline=float("inf"))
        splicer.append(block, "generator")
    return player, splicer, state


def test_the_new_clip_repeats_what_is_queued_until_it_turns(generator):
    player, splicer, state = queued(generator)
    back = round(2.0 * AUDIO_RATE_HZ)
    found = generator.rejoin(style(2), state, back)
    block, _ = generator.generate(style(2), found.state, seconds=2.88, deadline=float("inf"))
    written = player.written
    at = written - found.back + found.skip
    assert written - back <= at <= written - back + 0.04 * AUDIO_RATE_HZ
    ahead = round(0.1 * AUDIO_RATE_HZ)
    before = player.peek(written - found.back, written - found.back + found.skip + ahead)
    same = block.samples[: len(before)]
    assert np.corrcoef(before[:, 0], same[:, 0])[0, 1] > 0.99
    assert splicer.rejoin(at, block, found.skip)
    assert player.written == at + len(block.samples) - found.skip
    after = player.peek(at, player.written)
    assert np.abs(np.diff(after[:4800, 0])).max() <= 1.5 * np.abs(np.diff(block.samples[:9600, 0])).max() + 1e-3


def test_a_style_that_hardly_turns_and_a_gain_that_is_small_can_wait(generator):
    _, _, state = queued(generator)
    assert generator.rejoin(style(1), state, 2 * AUDIO_RATE_HZ) is None
    assert generator.rejoin(style(2), state, AUDIO_RATE_HZ // 4) is None
    assert generator.rejoin(style(2), None, 2 * AUDIO_RATE_HZ) is None


def test_too_late_or_too_short_changes_nothing():
    player = ClockPlayer(ManualClock(0.0), threaded=False)
    log = SpanLog()
    splicer = Splicer(player, log, 480)
    block = AudioBlock(np.full((AUDIO_RATE_HZ, 2), 0.1, np.float32), (SoundSpan(0, AUDIO_RATE_HZ, "generated", "a"),))
    splicer.append(block, "generator")
    before = player.peek(0, player.written).copy()
    assert not splicer.rejoin(0, block, 0)  # about to be heard
    assert not splicer.rejoin(20_000, block, 30_000)  # would end before what is queued
    assert np.array_equal(player.peek(0, player.written), before)
    assert [span.title for span in log.all()] == ["a"]
