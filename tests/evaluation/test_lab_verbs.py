"""The verbs of the lab in the terminal: from data to report, what they refuse, and what a run may go on as."""

import json

import pytest
import yaml

from bci_music.evaluation.report.write import EvaluationReport
from bci_music.evaluation.results import Result
from bci_music.training.lab.prepared import file_hash

pytestmark = pytest.mark.learning


def test_the_verbs_lead_from_data_to_report(data, preset, tmp_path, run):
    common = ("--data", data, "--preset", preset, "--device", "cpu")
    code, text, _ = run("pretrain", *common, "--out", tmp_path / "pre", "--steps", 4, "--no-tensorboard")
    assert (code, "The encoder is in" in text) == (0, True)
    steps = [json.loads(line)["step"] for line in (tmp_path / "pre" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
    code, text, _ = run(
        "align", *common, "--pretrained", tmp_path / "pre", "--out", tmp_path / "run", "--no-tensorboard"
    )
    assert (code, "Next: bci-music adapt" in text) == (0, True)
    run_of = ("--data", data, "--run", tmp_path / "run")
    code, _, error = run("evaluate", *run_of)
    assert code == 2
    assert "There is no adapter" in error
    code, text, _ = run("adapt", *run_of, "--alpha", "0.5")
    assert (code, "alpha 0.5" in text) == (0, True)
    code, text, _ = run("evaluate", *run_of, "--out", tmp_path / "report", "--no-robustness")
    assert code == 0
    assert "mismatched" in text
    row = Result.read(tmp_path / "run" / "result.json")
    assert (row.training.pretrain_steps, row.training.align_steps) == (4, 3)
    assert row.model.initialised == "pretrained here for 4 steps of self-distillation"
    assert {"pretrain: distil", "align: nce"} <= row.training.curves.keys()
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["pretrain"]["loop"]["steps"] == 4
    assert row.simulated
    assert "simulated" in (tmp_path / "report" / "report.html").read_text()
    origin = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert origin["pretrained"]["encoder_sha256"] == file_hash(tmp_path / "pre" / "encoder.safetensors")
    del origin["pretrained"]  # as an older program left it
    (tmp_path / "run" / "provenance.json").write_text(json.dumps(origin))
    (tmp_path / "run" / "pretrained.jsonl").unlink()
    assert run("evaluate", *run_of, "--out", tmp_path / "report", "--no-robustness")[0] == 0
    assert Result.read(tmp_path / "run" / "result.json").model.initialised == "not noted by the run"
    (result,) = EvaluationReport.parse(json.loads((tmp_path / "report" / "report.json").read_text())).results
    assert result.model.initialised == "not noted by the run"


def test_a_decoder_is_evaluated_on_what_it_was_kept_from(data, preset, tmp_path, run):
    """Neither on another study than it was trained on, nor after pretraining on the other side of another split."""
    pre, aligned = tmp_path / "pre", tmp_path / "run"
    common = ("--data", data, "--preset", preset, "--device", "cpu", "--no-tensorboard", "--steps", 1)
    assert run("pretrain", *common, "--out", pre, "--split", "random")[0] == 0
    code, _, error = run("align", *common, "--out", aligned, "--pretrained", pre)
    assert (code, f"{pre} learned under another split (random, 2.0 s windows)" in error) == (2, True)
    assert run("align", *common, "--out", aligned, "--pretrained", pre, "--split", "random", "--seed", 7)[0] == 0
    config = yaml.safe_load((aligned / "config.yaml").read_text())
    assert [config["seed"], config["pretrain"]["seed"], config["align"]["seed"]] == [7, 622, 7]  # 622: what `pre` had
    origin = json.loads((aligned / "provenance.json").read_text())
    (aligned / "provenance.json").write_text(json.dumps(origin | {"data_hash": "of another study"}))
    code, _, error = run("adapt", "--data", data, "--run", aligned)
    assert (code, "did not learn from" in error) == (2, True)


def test_a_run_goes_on_only_as_what_it_began_as(data, preset, tmp_path, run):
    """Interrupted or finished: under another split, seed, study or pretraining it would not be what it says."""
    common = ("--data", data, "--preset", preset, "--device", "cpu", "--no-tensorboard")
    out, pre = tmp_path / "run", tmp_path / "pre"
    assert run("align", *common, "--out", out)[0] == 0
    assert yaml.safe_load((out / "config.yaml").read_text())["pretrain"] is None  # there was none
    assert run("pretrain", *common, "--out", pre)[0] == 0
    kept = (out / "aligner.safetensors").read_bytes()
    for finished in (True, False):
        if not finished:  # as a killed run leaves it
            (out / "aligner.safetensors").unlink()
            (pre / "encoder.safetensors").rename(tmp_path / "encoder.safetensors")
        for changes, text in (
            (("--split", "song"), "differs in split"), (("--seed", 7), "differs in align, seed"),
            (("--steps", 4), "differs in align"),
        ):  # fmt: skip
            code, _, error = run("align", *common, "--out", out, *changes)
            assert (code, text in error, "--restart" in error, error.count("\n")) == (2, True, True, 1), error
        code, _, error = run("pretrain", *common, "--out", pre, "--split", "song")
        assert (code, f"{pre} holds a run that differs in split" in error) == (2, True)
    assert run("align", *common, "--out", out)[0] == 0  # the same goes on
    assert (out / "aligner.safetensors").read_bytes() == kept
    (tmp_path / "encoder.safetensors").rename(pre / "encoder.safetensors")
    code, _, error = run("align", *common, "--out", out, "--pretrained", pre)
    assert (code, "differs in pretrain, pretrained" in error) == (2, True)
    origin = json.loads((out / "provenance.json").read_text())
    (out / "provenance.json").write_text(json.dumps(origin | {"data_hash": "of another study"}))
    code, _, error = run("align", *common, "--out", out)
    assert (code, "differs in the study" in error) == (2, True)
    assert run("align", *common, "--out", out, "--split", "song", "--anew")[0] == 0


MISTAKES = {
    "no data": (("pretrain", "--data", "nowhere", "--out", "out"), "nowhere has no prepared.yaml"),
    "no preset": (
        ("pretrain", "--data", "DATA", "--out", "out", "--preset", "medium"),
        "There is no preset 'medium': choose small, paper, released, or give a YAML file.",
    ),
    "no file": (("align", "--data", "DATA", "--out", "out", "--preset", "x.yaml"), "There is no file x.yaml"),
    "no pretraining in it": (
        ("pretrain", "--data", "DATA", "--out", "out", "--preset", "bare.yaml", "--steps", "3"),
        "has no `pretrain:`: go on with `bci-music align`",
    ),
    "no pretrained": (
        ("align", "--data", "DATA", "--out", "out", "--pretrained", "nowhere", "--preset", "PRESET"),
        "There is no nowhere/encoder.safetensors: make it with `bci-music pretrain`.",
    ),
    "no run to adapt": (("adapt", "--data", "DATA", "--run", "nowhere"), "There is no nowhere/aligner.safetensors"),
    "no run to evaluate": (("evaluate", "--data", "DATA", "--run", "nowhere"), "make it with `bci-music align`"),
    "no split": (
        ("align", "--data", "DATA", "--out", "out", "--preset", "PRESET", "--split", "even"), "split in",
    ),
    "other normalisation": (
        ("align", "--data", "DATA", "--out", "out", "--preset", "whole.yaml"),
        "was prepared with normalise: causal, the preset wants whole-recording",
    ),
    "two lengths of windows": (
        ("align", "--data", "DATA", "--out", "out", "--preset", "long.yaml"),
        "Windows have 4 s, but align.window_s is 2: make them the same.",
    ),
    "longer than the encoder": (
        ("align", "--data", "DATA", "--out", "out", "--preset", "longer.yaml"),
        "window_s makes windows of 500 samples, the encoder takes 50 to 250: change it, or encoder.n_times.",
    ),
    "views longer than the encoder": (
        ("pretrain", "--data", "DATA", "--out", "out", "--preset", "views.yaml"),
        "pretrain.student_views.n_times makes windows of 300 samples, the encoder takes 50 to 250",
    ),
    "no device": (("align", "--data", "DATA", "--out", "out", "--preset", "PRESET", "--device", "tpu"), "'tpu'"),
    "no name of a study": (
        ("ablate", "--data", "DATA", "--out", "out", "--preset", "PRESET", "--also", "prepared-6"),
        "--also 'prepared-6' is no NAME=FOLDER: name a study as the table does, e.g. minus-6=prepared-6.",
    ),
    "no row": (("ablate", "--data", "DATA", "--out", "out", "--preset", "PRESET", "--only", "best"), "no row 'best'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake, data, minimal, preset, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump({k: v for k, v in minimal.items() if k != "pretrain"}))
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(minimal | {"normalise": "whole-recording"}))
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(minimal | {"window_s": 4.0}))
    align = minimal["align"] | {"window_s": 4.0}
    (tmp_path / "longer.yaml").write_text(yaml.safe_dump(minimal | {"window_s": 4.0, "align": align}))
    views = minimal["pretrain"] | {"student_views": {"count": 1, "n_times": 300}}
    (tmp_path / "views.yaml").write_text(yaml.safe_dump(minimal | {"pretrain": views}))
    arguments, sentence = MISTAKES[mistake]
    known = {"DATA": data, "PRESET": preset}
    code, _, error = run(*(known.get(a, a) for a in arguments))
    assert code == 2
    assert sentence in error
    assert error.startswith("bci-music: ")
    assert error.count("\n") == 1
