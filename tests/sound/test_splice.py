"""Splices of different makers: whatever the lengths, the newest sound is the last in the queue, without a hole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.clock import ManualClock
from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, SoundSpan
from bci_music.sound.loudness import soft_limit
from bci_music.sound.player import ClockPlayer
from bci_music.sound.span_log import SpanLog
from bci_music.sound.splice import Splicer

FADE = round(0.4 * AUDIO_RATE_HZ)


def noisy(slowed, seconds, seed, start_s):
    """Music with a little noise, by which its samples are known again."""
    samples = slowed.music(seconds, start_s)
    return samples + 0.01 * np.random.default_rng(seed).standard_normal(samples.shape).astype(np.float32)


@pytest.fixture(scope="module")
def make(slowed):
    def make(queued_s, clip_s, shift_s, soon_s):
        player, span_log = ClockPlayer(ManualClock(0.0), threaded=False), SpanLog()
        splicer = Splicer(player, span_log, FADE)
        old, new = noisy(slowed, queued_s, 1, 0.0), noisy(slowed, clip_s, 2, shift_s)
        for samples, source in ((old, "library"), (new, "generator")):
            span = SoundSpan(0, len(samples), "generated", source)
            soon = None if soon_s is None else round(soon_s * AUDIO_RATE_HZ)
            start = splicer.append(AudioBlock(samples, (span,)), source, soon)
        return player, span_log, splicer, old, new, start

    return make


@settings(deadline=None, max_examples=40)
@given(
    queued_s=st.floats(0.1, 5.0), clip_s=st.floats(0.05, 6.0), shift_s=st.floats(0.0, 1.0),
    soon_s=st.none() | st.floats(0.0, 5.0),
)  # fmt: skip
def test_the_newest_sound_is_the_last(make, queued_s, clip_s, shift_s, soon_s):
    player, span_log, splicer, old, new, start = make(queued_s, clip_s, shift_s, soon_s)
    assert 0 <= start <= len(old) <= player.written
    assert np.array_equal(player.peek(0, start), soft_limit(old)[:start])  # before the splice nothing changed
    rest = len(new) - FADE  # after the crossfade it is the new sound alone, to its end
    if rest > 0:
        last = min(rest, player.written - start - FADE)
        assert last > 0
        assert np.array_equal(player.peek(player.written - last, player.written), soft_limit(new)[-last:])
    spans = span_log.all()
    assert spans[-1].stop == player.written
    assert spans[-1].title == "generator"
    assert all(a.stop == b.start for a, b in pairwise(spans))
    assert splicer.splices in (0, 1)


def test_a_clip_that_would_not_cover_the_queue_is_not_cut(make):
    """To meet on the beat it may lose its beginning, but not where its end would then come too early."""
    ways = set()
    for shift_s in np.arange(0.0, 0.5, 0.05):
        player, _, splicer, old, new, start = make(4.0, 2.0, float(shift_s), 2.0)
        assert splicer.splices == 1
        assert player.written - start <= len(new)
        assert np.array_equal(player.peek(player.written - 4800, player.written), soft_limit(new)[-4800:])
        ways.add("whole" if start == len(old) - len(new) else "on the beat")
    assert ways == {"whole", "on the beat"}
