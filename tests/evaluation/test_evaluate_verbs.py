"""`evaluate` and `ablate` beyond the usual: another headset than the study's of the paper, another genre classifier."""

import json

import numpy as np
import pytest
import yaml

from bci_music.data.open_study import open_study
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.evaluation.results import Result
from bci_music.training.lab.prepare import prepare

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def headset(data, minimal, tmp_path_factory):
    """``(prepared study of another montage, preset for it)``."""
    folder = tmp_path_factory.mktemp("headset")
    study = open_study("nmed-t", data.parent / "nmed-t")
    prepare(study, folder / "prepared", signal=SignalConfig(), quality=False, montage="standard1020")
    n = len(Montage.load("standard1020").names)
    own = {"encoder": minimal["encoder"] | {"n_channels": n}, "adapt": {"hop_s": 4.0, "alpha": 0.5}, "pretrain": None}
    (folder / "preset.yaml").write_text(yaml.safe_dump(minimal | own))
    return folder / "prepared", folder / "preset.yaml"


def test_a_decoder_of_another_headset_is_evaluated_to_the_report(headset, write_classifier, tmp_path, run, monkeypatch):
    monkeypatch.setenv("BCI_MUSIC_CACHE", str(tmp_path / "cache"))
    data, preset = headset
    out = tmp_path / "run"
    run_of = ("--data", data, "--run", out)
    assert run("align", "--data", data, "--preset", preset, "--out", out, "--device", "cpu", "--no-tensorboard")[0] == 0
    assert run("adapt", *run_of)[0] == 0
    verb = ("evaluate", *run_of, "--out", tmp_path / "report", "--no-robustness")
    code, _, error = run(*verb, "--genres", "someone/genres")
    assert (code, error.count("\n")) == (2, 1)
    assert "models pull someone/genres" in error
    assert not (out / "result.json").exists()
    noise = np.random.default_rng(0).standard_normal((2, 32_000)).astype(np.float32)
    genres = write_classifier(tmp_path / "two-genres", [noise[0], np.cumsum(noise[1])])
    assert run(*verb, "--genres", genres)[0] == 0
    row = Result.read(out / "result.json")
    assert "the classifier (two-genres) names" in next(f.protocol for f in row.metrics if f.name == "genre")
    assert {len(shares) for shares in row.song_attention.values()} == {len(Montage.load("standard1020").names)}
    assert "What the model weighs" in (tmp_path / "report" / "report.html").read_text()


@pytest.mark.soak
def test_a_table_of_another_headset_is_reported(headset, write_classifier, tmp_path, run, monkeypatch):
    monkeypatch.setenv("BCI_MUSIC_CACHE", str(tmp_path / "cache"))
    data, preset = headset
    table = tmp_path / "table.yaml"
    rows = {"ours": {"title": "Ours"}, "oracle": {"title": "Oracle", "set": {"model": "oracle"}}}
    table.write_text(yaml.safe_dump({"systems": rows}))
    out = tmp_path / "out"
    make = ("ablate", "--data", data, "--preset", preset, "--table", table, "--out", out)
    code, _, error = run(*make, "--genres", "someone/genres")
    assert (code, error.count("\n")) == (2, 1)
    assert "models pull someone/genres" in error
    assert not out.exists()
    noise = np.random.default_rng(0).standard_normal((2, 32_000)).astype(np.float32)
    genres = write_classifier(tmp_path / "two-genres", [noise[0], np.cumsum(noise[1])])
    code, text, _ = run(*make, "--genres", genres)
    assert (code, text.count("has no row")) == (0, 0), text
    assert "What the model weighs" in (out / "report.html").read_text()
    oracle, ours = json.loads((out / "report.json").read_text())["results"]
    assert ours["song_attention"]
    for row in (oracle, ours):
        genre = next(f for f in row["metrics"] if f["name"] == "genre")
        assert "the classifier (two-genres) names" in genre["protocol"]
    assert oracle["metrics"][0]["missing"]["before_song"] == "the oracle reads no EEG"
    assert "before_song" in ours["metrics"][0]["controls"]


def test_maps_of_the_electrodes_are_tested_and_reported(data, minimal, tmp_path, run):
    encoder = {"kind": "latent-queries", "n_channels": 125, "n_times": 250, "patch": 25, "filters": 8, "dim": 16}
    small = {"encoder": encoder | {"depth": 1, "heads": 2, "queries": 2}, "head": {"hidden": 8, "embed_dim": 8}}
    preset, out = tmp_path / "preset.yaml", tmp_path / "run"
    preset.write_text(yaml.safe_dump(minimal | small | {"pretrain": None, "adapt": {"hop_s": 4.0, "alpha": 0.5}}))
    run_of = ("--data", data, "--run", out)
    assert run("align", "--data", data, "--preset", preset, "--out", out, "--device", "cpu", "--no-tensorboard")[0] == 0
    assert run("adapt", *run_of)[0] == 0
    verb = ("evaluate", *run_of, "--out", tmp_path / "report", "--no-robustness")
    code, text, _ = run(*verb, "--maps", "--planted", "right")
    assert (code, text.count("10 removed: most weighed")) == (0, 4)
    row = Result.read(out / "result.json")
    assert [test.map for test in row.removal] == list(row.electrode_maps)
    assert list(row.electrode_maps) == ["contribution", "attention", "gradient", "deletion"]
    assert {f"auroc-{kind}" for kind in row.electrode_maps} <= {metric.name for metric in row.metrics}
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("electrodes of most weight") == 4
    assert "attention times the size of what it lets through" in page
    code, _, error = run(*verb, "--planted", "ear")
    assert (code, error.count("\n"), "planted" in error) == (2, 1, True), error
