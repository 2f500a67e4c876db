"""What is decoded and what is only counted: windows with too few electrodes, and those a live run is too late for."""

from types import SimpleNamespace

import numpy as np
import pytest

from bci_music.engine.decode_stage import DecodeStage
from bci_music.messages import HOLE, Embedding, Window
from bci_music.models.decoder import TooFewChannels


def window(index, n_used=10, flags=0):
    used = np.arange(10) < n_used
    return Window(np.zeros((10, 4), np.float32), used, np.full(4, flags, np.uint8), index, 0, 3, float(index))


class Least:
    """A decoder that needs 6 of 10 electrodes."""

    def decode(self, window, now, steps=False):
        if window.used.sum() < 6:
            raise TooFewChannels("5 usable channels, at least 6 are needed")
        vector = np.zeros(512, np.float32)
        return Embedding(vector, np.zeros(10, np.float32), 0.5, window.index, 0, 3, window.end_s, now, 1.0)


@pytest.mark.parametrize(("live", "decoded", "counts"), [(True, [2], (1, 1, 2)), (False, [0, 2], (2, 0, 2))])
def test_a_window_with_too_few_electrodes_counts_as_masked(live, decoded, counts):
    found = []
    stage = DecodeStage(
        SimpleNamespace(), Least(), lambda info: None, live=live, on_embedding=lambda e: found.append(e.window_index)
    )
    stage._decode_due([window(0), window(1, flags=HOLE), window(2, n_used=6), window(3, n_used=5)], 10.0)
    assert found == decoded
    assert (stage.counters.decoded, stage.counters.skipped, stage.counters.masked) == counts
