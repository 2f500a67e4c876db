import dataclasses

import numpy as np
import pytest

from bci_music.evaluation.decoded import DecodedWindows, joined
from bci_music.evaluation.protocol import evaluate_decoded, split_summary
from bci_music.messages import UserError
from bci_music.metrics.metric import Metric
from bci_music.metrics.split_choice import SplitConfig, make_split
from bci_music.metrics.splits import WindowTable

pytestmark = pytest.mark.learning


def metrics(planted, **more):
    decoded, before, mean, split = planted
    return {f.name: f for f in evaluate_decoded(decoded, before=before, mean_embedding=mean, split=split, **more)}


@pytest.fixture(scope="module")
def music(plant):
    return metrics(plant("time-block", signal=0.4))


@pytest.fixture(scope="module")
def fingerprint(plant):
    return metrics(plant("random", fingerprint=0.5))


def test_every_figure_has_its_interval_controls_and_protocol(music):
    assert {"50-way", "5-way-within-song", "14-way-song-name", "50-way-clap", "cosine"} <= set(music)
    for found in music.values():
        assert set(found.controls) == {"mismatched", "before_song", "mean_embedding"}
        assert found.ci95[0] <= found.value <= found.ci95[1]
        assert all(c.ci95[0] - 1e-9 <= c.value <= c.ci95[1] + 1e-9 and c.protocol for c in found.controls.values())
        assert (found.n, found.n_recordings) == (music["50-way"].n, 70)
        assert "time-block split" in found.protocol
        assert not found.missing
        assert Metric.model_validate_json(found.model_dump_json()) == found


def test_planted_music_is_found_beyond_all_controls(music):
    for found in music.values():
        assert found.p == 0.001
        assert all(found.ci95[0] > control.ci95[1] for control in found.controls.values()), found.name
    assert abs(music["50-way"].controls["before_song"].value - 0.02) < 0.02


def test_nothing_planted_is_at_chance(plant):
    found = metrics(plant("time-block", seed=3))
    for name in ("50-way", "5-way-within-song", "14-way-song-name", "50-way-clap"):
        metric = found[name]
        assert metric.ci95[0] < metric.chance
        assert metric.value < 1.5 * metric.chance
        assert metric.p > 0.01
        for control in metric.controls.values():
            assert abs(control.value - metric.chance) < 0.25 * metric.chance + 0.01


def test_a_fingerprint_shows_in_the_random_split_and_before_the_song(fingerprint):
    for name in ("50-way", "14-way-song-name"):
        metric = fingerprint[name]
        assert metric.ci95[0] > metric.controls["mismatched"].ci95[1]  # looks like decoding of music
        assert metric.controls["before_song"].ci95[0] > 2 * metric.chance  # but the music had not begun
    within = next(f for name, f in fingerprint.items() if name.endswith("within-song"))
    assert within.ci95[0] < within.chance < within.ci95[1]


def test_what_cannot_be_had_is_named_missing(plant):
    decoded, _, _, split = plant("time-block", signal=0.4)
    alone = dataclasses.replace(decoded, eeg=None, music=None)
    found = evaluate_decoded(alone.of(alone.recording == "L0 s00"), before=None, mean_embedding=None, split=split)
    assert {f.name for f in found} == {"5-way-clap", "5-way-within-song-clap", "match-mismatch-clap", "cosine"}
    for metric in found:
        assert not metric.controls
        assert metric.ci95 is None
        assert metric.p is None
        assert {"mismatched", "before_song", "mean_embedding", "ci95", "p"} == set(metric.missing)
    assert "not have enough music for 50" in found[0].protocol


def test_overlapping_or_trained_windows_are_not_evaluated(plant):
    decoded, _, _, split = plant("time-block")
    closer = dataclasses.replace(decoded, start_s=decoded.start_s * 0.9)
    with pytest.raises(UserError, match="overlap: the evaluation needs independent"):
        evaluate_decoded(closer, before=None, mean_embedding=None, split=split)
    _, everything, _, _ = plant("time-block")
    with pytest.raises(UserError, match="overlap windows it was trained on"):
        evaluate_decoded(everything, before=None, mean_embedding=None, split=split)


def test_a_song_heard_twice_in_one_recording_is_evaluated(plant):
    decoded, before, mean, split = plant("time-block", signal=0.4)
    t = split.table
    columns = (t.recording, t.listener, t.song, t.song_start_s)
    table = WindowTable(
        np.r_[t.start_s, t.start_s + 200], np.r_[t.stop_s, t.stop_s + 200], *(np.tile(c, 2) for c in columns)
    )
    twice = make_split("time-block", table, SplitConfig(seed=1))

    def evaluated(later_s):
        both = joined([decoded, dataclasses.replace(decoded, start_s=decoded.start_s + later_s)])
        return metrics((both, before, mean, twice))

    found = evaluated(200.0)
    assert found["50-way"].n == 2 * len(decoded) == len(twice.test)
    assert found["50-way"].n_recordings == 70
    assert found["50-way"].ci95[0] > found["50-way"].controls["mismatched"].ci95[1]
    with pytest.raises(UserError, match="overlap: the evaluation needs independent"):
        evaluated(2.0)
    elsewhere = dataclasses.replace(decoded, start_s=decoded.start_s + 240)  # trained on, heard another song second
    with pytest.raises(UserError, match="overlap windows it was trained on"):
        metrics((elsewhere, before, mean, twice))


def test_windows_of_two_songs_may_not_overlap_either(plant):
    decoded, _, _, split = plant("time-block")
    other = dataclasses.replace(decoded, song=np.char.add(decoded.song, "b"), start_s=decoded.start_s + 1)
    with pytest.raises(UserError, match="overlap: the evaluation needs independent"):
        evaluate_decoded(joined([decoded, other]), before=None, mean_embedding=None, split=split)


def test_windows_on_whole_samples_may_be_one_off(plant):
    decoded, before, mean, split = plant("time-block")
    odd = np.arange(len(decoded)) % 2

    def evaluated(off_s, **more):
        rounded = dataclasses.replace(decoded, start_s=decoded.start_s + off_s * odd)
        return metrics((rounded, before, mean, split), **more)["50-way"].n

    assert evaluated(0.008, sample_s=0.008) == len(decoded)
    with pytest.raises(UserError, match="overlap: the evaluation needs independent"):
        evaluated(0.016, sample_s=0.008)
    with pytest.raises(UserError, match="overlap: the evaluation needs independent"):
        evaluated(0.008)


def test_a_split_tells_what_both_sides_share(plant):
    summary = split_summary(plant("time-block")[3], seed=1)
    assert summary.kind == "time-block"
    assert summary.shared["recordings"] == 70
    assert summary.shared["song seconds"] == 0
    summary = split_summary(plant("random")[3], seed=1)
    assert summary.shared["song seconds"] > 200


def test_outputs_come_back_from_a_file_and_bad_ones_are_refused(plant, tmp_path):
    decoded, before, _, _ = plant("random")
    decoded.save(tmp_path / "decoded.npz")
    back = DecodedWindows.load(tmp_path / "decoded.npz")
    both = joined([back.of(np.arange(5)), dataclasses.replace(before, attention=None)])
    assert len(both) == 5 + len(before)
    assert both.attention is None
    assert np.array_equal(both.clap[:5], decoded.clap[:5])
    assert both.song[0] == decoded.song[0]
    clap = decoded.clap.copy()
    clap[3, 7] = np.nan
    with pytest.raises(UserError, match="clap vectors that are no numbers in 1 of"):
        dataclasses.replace(decoded, clap=clap)
    with pytest.raises(ValueError, match="one row per window"):
        dataclasses.replace(decoded, clap=clap[:4])
