"""Silence counted as it is played is silence measured on the file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.sound.silence import SilenceMeter, silent_seconds

STRETCHES = st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.6)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(STRETCHES, st.integers(1, 9000))
def test_it_is_the_same_however_it_comes(spans, block):
    parts = [np.full((int(seconds * 48_000), 2), 0.1 * loud) for loud, seconds in spans]
    sound = np.concatenate([np.full((1, 2), 0.5), *parts])
    meter = SilenceMeter()
    for start in range(0, len(sound), block):
        meter(sound[start : start + block])
    assert meter.so_far == pytest.approx(silent_seconds(sound))
