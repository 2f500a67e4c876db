import dataclasses

import numpy as np
import pytest

from bci_music.evaluation.by_song import song_attention, song_distances
from bci_music.evaluation.decoded import DecodedWindows


def test_songs_that_are_alike_are_decoded_alike_only_if_there_is_signal(plant):
    found = song_distances(plant("time-block", signal=0.5)[0])
    assert len(found["songs"]) == 14
    assert found["space"] == "shared"
    eeg, music = np.array(found["eeg"]), np.array(found["music"])
    assert np.allclose(eeg, eeg.T)
    assert not eeg.diagonal().any()
    assert music.max() > 0.5
    assert found["correlation"] > 0.5
    assert found["p"] == 0.001
    assert song_distances(plant("time-block", seed=4)[0])["p"] > 0.01


def test_distances_fall_back_to_the_embedders_space(plant):
    decoded = dataclasses.replace(plant("time-block", signal=0.5)[0], eeg=None, music=None)
    found = song_distances(decoded.of(np.isin(decoded.song, ["s00", "s01"])))
    assert found["space"] == "embedder"
    assert "correlation" not in found


def test_attention_is_a_share_per_song_with_recordings_alike(plant):
    decoded = plant("time-block")[0]
    attention = np.zeros((len(decoded), 10), np.float32)
    attention[:, 0] = 3.0
    attention[decoded.recording == "L0 s02", :2] = [0.0, 7.0]
    found = song_attention(dataclasses.replace(decoded, attention=attention))
    assert found["s01"] == pytest.approx([1.0] + [0.0] * 9)
    assert found["s02"][:2] == pytest.approx([0.8, 0.2])
    assert song_attention(dataclasses.replace(decoded, attention=None)) == {}


def test_an_absent_electrode_counts_in_the_windows_it_was_in():
    attention = np.full((4, 5), 0.2, np.float32)
    attention[0, 2] = np.nan  # bad in one window, one of two recordings
    attention[:, 4] = np.nan  # never there
    shares = song_attention(DecodedWindows(
        None, None, np.ones((4, 512), np.float32), np.ones((4, 512), np.float32), np.array(["s"] * 4),
        np.array(["Song"] * 4), np.arange(4) * 4.0, np.arange(4) * 4.0, np.array(["a", "a", "b", "b"]),
        np.array(["L"] * 4), attention,
    ))["Song"]  # fmt: skip
    assert shares[4] == 0.0
    assert sum(shares) == pytest.approx(1.0)
    assert shares[:4] == pytest.approx([0.25] * 4, abs=0.02)
    nothing = np.full((1, 5), np.nan, np.float32)
    alone = DecodedWindows(
        None, None, np.ones((1, 512), np.float32), np.ones((1, 512), np.float32), np.array(["s"]), np.array(["Song"]),
        np.zeros(1), np.zeros(1), np.array(["a"]), np.array(["L"]), nothing,
    )  # fmt: skip
    assert song_attention(alone) == {}
