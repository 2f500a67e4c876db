"""What is planted in reconstructions is found, and no more: the segment's spectrum, its timing, both, nothing."""

import json

import numpy as np
import pytest

from bci_music.evaluation.echoes import figures as figures_of_rows
from bci_music.evaluation.echoes.evaluate import evaluate_rows
from bci_music.evaluation.echoes.figures import difference, figures
from bci_music.evaluation.echoes.rows import save_row
from bci_music.evaluation.echoes.scores import score

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def spectrum_only(row, coloured):
    made = row("way-b-pooled", "listener", coloured, before=coloured[[5, 9]], before_of=np.array([0, 20]))
    return made, score(made)


def test_a_shift_of_200_ms_is_found_in_lag_curve_and_onsets(row, late):
    made = row("way-b-sequence", "listener", late)
    found = figures(made, score(made))
    flux, f = found.curves["flux-r"], {ms: found.metrics[f"onset-f-{ms}"] for ms in (50, 200)}
    assert flux.best_s == found.curves["envelope-r"].best_s == pytest.approx(0.2)
    assert flux.r.max() > 0.9
    assert found.metrics["flux-r"].value < 0.1
    assert f[50].value < 0.1
    assert f[200].value > 0.95
    assert f[200].value > f[200].controls["mismatched"].value


def test_with_its_lag_known_the_same_row_is_in_time(row, late):
    made = row("way-b-sequence", "listener", late, lag_s=0.2, every=3)
    found = figures(made, score(made))
    assert found.metrics["flux-r"].value > 0.9
    assert found.metrics["onset-f-50"].value > 0.95
    assert found.metrics["flux-r"].apart()


def test_noise_of_the_own_spectrum_is_identified_and_has_no_timing(spectrum_only):
    found = figures(*spectrum_only)
    rank, flux = found.metrics["spectrum-rank"], found.metrics["flux-r"]
    assert rank.value < 1.0
    assert rank.chance == 14.5
    assert rank.apart()
    assert rank.controls["mismatched"].value == pytest.approx(14.5, abs=2.0)
    assert set(rank.controls) == {"mismatched", "before_song"}
    assert found.metrics["spectrum-other-song"].value > 0.2
    assert found.metrics["spectrum-same-song"].ci95[0] > 0
    assert flux.ci95[0] < 0.02 < flux.ci95[1] + 0.05
    assert (flux.n, flux.n_songs, flux.n_listeners) == (33, 11, 2)


def test_the_test_of_timing_is_on_the_same_windows_and_has_a_control(row, heard, spectrum_only):
    found = difference(score(row("way-b-sequence", "listener", heard, every=3)), spectrum_only[1], "flux-r")
    assert found.metric.ci95[0] > 0.8
    assert found.metric.n == 11
    assert abs(found.metric.controls["mismatched"].value) < 0.2
    assert "it is above zero" in found.sentence()
    same = difference(spectrum_only[1], spectrum_only[1], "flux-r")
    assert same.metric.value == 0.0
    assert "not shown to differ" in same.sentence()


def test_a_folder_becomes_table_records_and_pictures(tmp_path, run, row, heard, late, coloured):
    folder, out = tmp_path / "rows", tmp_path / "out"
    curve = np.random.default_rng(0).random((6, 225))
    for key, split, more in (
        ("way-b-pooled", "listener", {"by_piece": coloured}), ("way-b-pooled", "time-block", {"by_piece": late}),
        ("way-b-sequence", "listener", {"by_piece": heard, "costs": {"steps": 30, "minutes": 1.5}}),
        ("ridge-onset", "listener", {"curve": curve}),
    ):  # fmt: skip
        save_row(folder, row(key, split, every=6, **more))
    code, text, error = run("lab", "reconstructions", folder, "--out", out)
    assert code == 0, error
    assert "onset flux, listener split" in text
    assert "by mean spectrum" in text
    page = (out / "echoes.md").read_text()
    for words in ("The EEG is simulated", "Not run: way A", "Subject-dependent beside subject-independent",
                  "30 steps; 1.5 min of training"):  # fmt: skip
        assert words in page
    assert page.index("way B, pooled condition") < page.index("way B, sequence condition")
    records = json.loads((out / "echoes.json").read_text())
    one = next(r for r in records if (r["row"], r["metric"]) == ("way-b-sequence", "flux-r"))
    assert one["value"] == pytest.approx(1.0, abs=1e-3)
    assert (one["steps"], one["minutes"], one["n"], len(one["lag_curve"]["lags_s"])) == (30, 1.5, 6, 51)
    assert one["controls"]["mismatched"]["value"] < 0.3
    ridge = {r["metric"]: r for r in records if r["row"] == "ridge-onset"}
    assert ridge["flux-r"]["value"] == pytest.approx(0.0, abs=0.3)
    assert ridge["ssim"]["missing"] == "the row is a curve of onsets and no sound"
    assert any(r["row"] == "way-b-sequence - way-b-pooled" for r in records)
    assert {r["missing"] for r in records if r["row"] == "oracle"} == {"not run"}
    for name in ("echoes-lags.png", "echoes-pairs.png"):
        assert (out / name).stat().st_size > 10_000


def test_a_folder_without_rows_is_one_sentence(tmp_path, run):
    code, _, error = run("lab", "reconstructions", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "holds no row of reconstructions" in error


class Spectra:
    """An embedder: the spectrum in 16 bands, as a unit vector."""

    sha = "spectra"

    def embed(self, audio, sfreq_hz):
        power = np.abs(np.fft.rfft(audio))[1 : 8000 // 16 * 16 + 1].reshape(16, -1).mean(axis=1)
        return (power / np.linalg.norm(power)).astype(np.float32)


def test_vectors_are_made_where_a_row_brings_none(tmp_path, monkeypatch, row, coloured):
    monkeypatch.setattr(figures_of_rows, "ENOUGH", 10)
    save_row(tmp_path, row("adapter", "listener", coloured, every=3))
    found = evaluate_rows(tmp_path, Spectra()).rows[0]
    clap, distance = found.metrics["clap"], found.metrics["fad"]
    assert clap.value > 0.9
    assert clap.value > clap.controls["mismatched"].value + 0.1
    assert 0 <= distance.ci95[0] <= distance.ci95[1] < 1
    assert "before_song" in clap.missing
    assert evaluate_rows(tmp_path).rows[0].missing["clap"] == "the row has no vectors of its sounds"
