"""Rows of the table of reconstructions: the same windows and noise for all, and the truth for none but the oracle."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_transformer import write_random_transformer

from bci_music.evaluation.echoes import make
from bci_music.evaluation.echoes.make import ROWS, HeldOut, make_row, other_songs, rows_of
from bci_music.evaluation.echoes.rows import load_row
from bci_music.evaluation.echoes.study import EchoesStudyConfig, Windows
from bci_music.generation.audioldm.echoes import with_control
from bci_music.generation.audioldm.flow import load_transformer
from bci_music.generation.audioldm.latent_control import LatentControl
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.audioldm.sampler import load_audioldm
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.messages import UserError

pytestmark = pytest.mark.learning
N, STEPS, WIDTH = 4, 25, 6


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A random AudioLDM and a random transformer with a ControlNet that is not silent."""
    import torch

    parts = write_random_transformer(write_random_audioldm(tmp_path_factory.mktemp("parts"), seed=1), seed=2)
    plain = load_transformer(parts, device="cpu")
    torch.manual_seed(3)
    control = LatentControl.over(plain.denoiser, WIDTH)
    with torch.no_grad():
        for linear in (*control.leave, control.enter):
            torch.nn.init.normal_(linear.weight, std=0.3)
    first = load_audioldm(parts, device="cpu")
    first.settings = SamplerSettings(steps=1)
    return first, with_control(plain, control)


@pytest.fixture
def side(models, monkeypatch):
    rng = np.random.default_rng(0)
    names, listeners = np.array(["a", "a", "b", "b"]), np.array(["kim", "lee", "kim", "new"])
    table = SimpleNamespace(
        name=names, song=names, listener=listeners, song_start_s=np.array([0.0, 4.0, 0.0, 0.0]),
        recording=np.array(["1", "2", "1", "3"]),
    )  # fmt: skip
    read = Windows(
        rng.standard_normal((N, STEPS, WIDTH)).astype(np.float32), make.unit(rng.standard_normal((N, 512)).astype("f4"))
    )
    audio = {name: rng.standard_normal(16_000 * 9).astype(np.float32) * 0.1 for name in "ab"}
    study = SimpleNamespace(
        split="time-block", window_s=2.0, audio=audio, listeners=["kim", "lee"], trained=None,
        config=EchoesStudyConfig(windows=N, before=0, sampler=SamplerSettings(steps=1, guidance=2.0, solver="euler")),
        data=SimpleNamespace(windows=SimpleNamespace(table=table), split=SimpleNamespace(test=np.arange(N))),
        prepared=SimpleNamespace(simulated=True, before=[]), pack=None, read=lambda *of: read,
        control=lambda row: (models[1], {"steps": 3.0, "minutes": 0.1}),
    )  # fmt: skip
    monkeypatch.setattr(make, "open_model", lambda *of, **more: models[0])
    found = HeldOut(study)
    monkeypatch.setattr(HeldOut, "silent", property(lambda self: Windows(np.zeros_like(read.steps), read.predicted)))
    return found


def test_the_truth_is_not_to_be_had_for_any_row_but_the_oracle(side, tmp_path, monkeypatch):
    def none(*of):
        raise AssertionError("the true target was asked for")

    monkeypatch.setattr(make, "true_targets", none)
    for row in ROWS:
        if row != "oracle":
            make_row(side, row, tmp_path, lambda done, of: None)
    with pytest.raises(AssertionError, match="the true target"):
        make_row(side, "oracle", tmp_path, lambda done, of: None)
    rows = {row: load_row(tmp_path / f"{row}--time-block.json") for row in ROWS if row != "oracle"}
    for row in rows.values():
        assert row.made.shape == (N, 32_000)
        assert row.piece.tolist() == [0, 1, 2, 2]
        assert row.heard.shape == (3, 32_000)
    ways = {row: rows[row].made for row in rows}
    for row in ("no-eeg", "silent-eeg", "shuffled-eeg", "no-music-embedding"):
        assert not np.array_equal(ways[row], ways["way-b-sequence"]), row
    # the listener is left out where the ControlNet knows one, and only there
    same = [np.array_equal(a, b) for a, b in zip(ways["no-subject"], ways["way-b-sequence"], strict=True)]
    assert same == [False, False, False, True]
    np.testing.assert_array_equal(ways["adapter"], ways["way-b-sequence"])  # the same noise in all rows


def test_rows_that_a_split_has():
    study = SimpleNamespace(split="listener")
    assert rows_of(study) == [row for row in ROWS if row != "no-subject"]
    assert rows_of(study, ["oracle"]) == ["oracle"]
    with pytest.raises(UserError, match="There is no row 'best'"):
        rows_of(study, ["best"])


@given(st.lists(st.sampled_from("abcde"), min_size=2, max_size=60).filter(lambda names: len(set(names)) > 1))
def test_shuffled_windows_are_of_other_songs(names):
    found = other_songs(np.array(names), 0)
    assert all(names[row] != names[other] for row, other in enumerate(found))


def test_shuffled_windows_need_two_songs():
    with pytest.raises(UserError, match="All windows of the test side are of one song"):
        other_songs(np.array(["a", "a"]), 0)
