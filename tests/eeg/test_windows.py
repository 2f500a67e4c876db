"""Windows lie on the hop grid, scaled by what came before them."""

import numpy as np
import pytest

from bci_music.eeg.preprocess import CleanRows, PreprocessConfig
from bci_music.eeg.windows import RunningScale, WindowConfig, Windower
from bci_music.messages import HOLE


def rows(samples: np.ndarray, start: int = 0, flags: np.ndarray | None = None) -> CleanRows:
    n = samples.shape[1]
    number = np.arange(start, start + n)
    return CleanRows(
        samples.astype(np.float32), np.zeros(samples.shape, bool), 1000 + number / 125,
        np.zeros(n, np.uint8) if flags is None else flags, 8 * number, 8 * number + 7,
    )


def windower(present=(0, 2), n_channels=3, **settings) -> Windower:
    return Windower(WindowConfig(**settings), PreprocessConfig(), np.array(present), n_channels)


def feed(stage: Windower, all_rows: CleanRows, size: int = 100) -> list:
    windows = []
    for i in range(0, len(all_rows.newest), size):
        part = slice(i, i + size)
        piece = CleanRows(
            all_rows.samples[:, part], all_rows.broken[:, part], all_rows.times_s[part], all_rows.flags[part],
            all_rows.oldest[part], all_rows.newest[part],
        )
        windows += stage.process(piece, np.array([True, True]), 0)
    return windows


def test_windows_begin_at_the_floor_of_the_hop_grid():
    windows = feed(windower(), rows(np.random.default_rng(0).standard_normal((2, 3000))))
    assert [w.index for w in windows] == list(range(len(windows)))
    assert len(windows) == 1 + int((3000 - 500) / 62.5)
    for window in windows:
        start = int(np.floor(window.index * 62.5))
        assert window.samples.shape == (3, 500)
        assert window.first_sample == 8 * start
        assert window.last_sample == 8 * (start + 499) + 7
        assert window.end_s == pytest.approx(1000 + (start + 499) / 125)


def test_content_is_scaled_and_absent_channels_are_not_used():
    data = np.array([[50.0], [3.0]]) + np.array([[20.0], [0.5]]) * np.random.default_rng(0).standard_normal((2, 9000))
    last = feed(windower(), rows(data))[-1]
    assert last.settled
    assert last.used.tolist() == [True, False, True]
    assert not last.samples[1].any()
    for channel in (0, 2):
        assert abs(np.median(last.samples[channel])) < 0.2
        assert last.samples[channel].std() == pytest.approx(1.0, abs=0.15)


def test_outliers_are_clipped_and_move_no_scale():
    data = np.random.default_rng(1).standard_normal((2, 6000))
    spiked = data.copy()
    spiked[:, 700:6000:400] += 1e5
    plain, clipped = feed(windower(), rows(data)), feed(windower(), rows(spiked))
    assert max(np.abs(w.samples).max() for w in clipped) == 20.0
    near = np.abs(clipped[-1].samples) < 15
    np.testing.assert_allclose(clipped[-1].samples[near], plain[-1].samples[near], atol=0.15)


def test_the_scale_forgets_what_lies_further_back_than_its_memory():
    rng = np.random.default_rng(2)
    old, new = 40 * rng.standard_normal((2, 125 * 40)), rng.standard_normal((2, 125 * 30))
    long, short = RunningScale(2, 30), RunningScale(2, 30)
    for second in np.split(np.concatenate([old, new], axis=1), 70, axis=1):
        long.add(second)
    for second in np.split(new, 30, axis=1):
        short.add(second)
    for a, b in zip(long.now(), short.now(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_seconds_with_holes_do_not_enter_the_scale():
    data = np.random.default_rng(3).standard_normal((2, 1250))
    flags = np.zeros(1250, np.uint8)
    flags[300:320] = HOLE
    stage = windower()
    feed(stage, rows(data, flags=flags))
    assert stage.scale.count == 9


def test_a_window_settles_after_the_minimum_of_seconds():
    settled = [w.settled for w in feed(windower(seconds=1.0), rows(np.ones((2, 1000)) * np.arange(1000)))]
    assert settled == [False] * 4 + [True] * (len(settled) - 4)


def test_a_flat_channel_gives_zeros_not_infinities():
    last = feed(windower(), rows(np.zeros((2, 2000))))[-1]
    assert not last.samples.any()
