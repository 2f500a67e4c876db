import numpy as np
import pytest

from bci_music.evaluation.robustness import TestWindows, robustness
from bci_music.messages import UserError


@pytest.fixture
def windows():
    """Six listeners hear four songs of 12 pieces; every one of 40 channels holds the music's vector in noise."""
    rng = np.random.default_rng(0)
    place = np.array([(a, s, p) for a in range(6) for s in range(4) for p in range(12)])
    pieces = rng.standard_normal((4, 12, 30))
    target = pieces[place[:, 1], place[:, 2]]
    x = target[:, None] + 6.0 * rng.standard_normal((len(place), 40, 30))
    used = np.ones((len(place), 40), bool)
    used[:, :4] = False
    song = np.array([f"s{s}" for s in place[:, 1]])
    recording = np.array([f"L{a} s{s}" for a, s, _ in place])
    return TestWindows(x.astype(np.float32), used, target, song, song, recording, 4.0 * place[:, 2])


def mean_of_used(x, used):
    return (x * used[:, :, None]).sum(1) / used.sum(1, keepdims=True)


def test_decoding_falls_with_the_electrodes_lost_and_ends_above_its_control(windows):
    seen = []
    curves = robustness(mean_of_used, windows, k=20, report=lambda done, of: seen.append((done, of)))
    for kind in ("removed", "noise"):
        points = curves[kind]
        values = [p["value"] for p in points]
        assert [p["share"] for p in points] == [0.0, 0.1, 0.3, 0.5, 0.7, 0.9]
        assert all(p["low"] <= p["value"] <= p["high"] for p in points)
        assert np.all(np.diff(values) < 0.03)
        assert values[0] > values[3] > values[-1]
        assert all(p["low"] > p["control"] for p in points[:4])
        assert all(p["k"] == 20 and p["n"] == len(windows.song) for p in points)
    assert curves["removed"][0] == curves["noise"][0]
    assert curves["removed"][3]["value"] > curves["noise"][3]["value"] + 0.05  # knowing what is bad is worth something
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_losses_are_nested_and_never_touch_what_was_not_in_use(windows):
    kept = {}

    def note(x, used):
        share = 1 - used[0].sum() / 36
        kept.setdefault(round(share, 1), []).append(used)
        assert not (x[~used & windows.used[: len(x)]]).any()
        return mean_of_used(x, used)

    robustness(note, windows, k=20, kinds=("removed",), shares=(0.0, 0.3, 0.7), repeats=1, batch=999)
    some, many = kept[0.3][0], kept[0.7][0]
    assert not (many & ~some).any()
    assert not some[:, :4].any()
    assert len(np.unique(some, axis=0)) > 10  # drawn for every recording


def test_one_piece_of_music_gives_no_curve(windows):
    one = TestWindows(*(getattr(windows, name)[:1] for name in TestWindows.__dataclass_fields__))
    with pytest.raises(UserError, match="at least two pieces"):
        robustness(mean_of_used, one)
