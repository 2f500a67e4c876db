"""The lab from data to table on a tiny simulated study: rows, what fails beside them, and the verbs of the terminal."""

import json

import psutil
import pytest
import torch
import yaml

from bci_music.cli import main as cli
from bci_music.data.studies import join, open_study
from bci_music.eeg.chain import SignalConfig
from bci_music.evaluation.results import ResultRow
from bci_music.evaluation.table import TablePlan, jobs, run_table
from bci_music.messages import UserError
from bci_music.simulate.nmed import simulate_nmed
from bci_music.simulate.study_plan import preset as study_preset
from bci_music.training.lab_config import lab_preset
from bci_music.training.prepare import prepare

LOOP = {"steps": 3, "lr": 1e-3, "warmup": 1, "ema": 0.5, "checkpoint_every": 2, "watch_every": 1000}
VIEW = {"n_times": 200, "keep_share": 0.1}
MINIMAL = {
    "window_s": 2.0,
    "encoder": {
        "n_channels": 125, "n_times": 250, "patch": 50, "dim": 16, "depth": 1, "heads": 2, "gains": False,
        "start": "paper",
    },
    "head": {"kind": "temporal", "hidden": 16, "shared": 8},
    "pretrain": {
        "window_s": 2.0, "batch": 4, "teacher_views": {"count": 1, **VIEW}, "student_views": {"count": 1, **VIEW},
        "hidden": 16, "bottleneck": 8, "prototypes": 8, "loop": LOOP,
    },
    "align": {"window_s": 2.0, "batch": 8, "keep": [6, 8], "bands_weight": 0.0, "loop": LOOP},
    "adapt": {"hop_s": 4.0},
    "split": "time-block",
    "splitting": {"share": 0.4, "block_s": 4.0, "guard_s": 0.0},
}  # fmt: skip
PLAN = {
    "rows": {
        "endless": {"title": "Killed", "set": {"pretrain": None, "align": {"loop": {"steps": 1_000_000}}}},
        "ours": {"title": "Ours", "robustness": True},
        "linear": {"title": "Linear EEG", "set": {"model": "linear", "pretrain": None}},
        "oracle": {"title": "Audio oracle", "set": {"model": "oracle", "pretrain": None}},
        "other-headset": {"title": "64 channels", "set": {"encoder": {"n_channels": 64}, "pretrain": None}},
        "odd-heads": {"title": "3 heads of 16 dimensions", "set": {"encoder": {"heads": 3}}},
    },
    "ablations": {
        "no-pretraining": {"title": "No pretraining", "set": {"pretrain": None}},
        "block-tokens": {"title": "Block tokens", "set": {"encoder": {"tokens": "block"}, "pretrain": None}},
        "odd-heads-too": {"title": "3 heads of 16 dimensions", "set": {"encoder": {"heads": 3}}},
    },
    "splits": {
        "random": {"title": "Random windows", "set": {"pretrain": None, "split": "random"}},
        "time-block": {"title": "Blocks of song time", "set": {"pretrain": None}},
    },
}  # fmt: skip
BAD = {"endless", "other-headset", "odd-heads", "odd-heads-too"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared study: three songs of 20 s, four simulated listeners."""
    folder = tmp_path_factory.mktemp("study")
    simulate_nmed(folder, study_preset("tiny"))
    study = join([open_study(kind, folder / kind) for kind in ("nmed-t", "nmed-h")])
    prepare(study, folder / "prepared", signal=SignalConfig(), quality=False)
    return folder / "prepared"


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    path = tmp_path_factory.mktemp("preset") / "minimal.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    return path


@pytest.fixture(scope="module")
def table(data, preset, tmp_path_factory):
    """All rows of a table once, in one worker: ``(jobs, folder, rows by name, why others failed, what was shown)``."""
    work = tmp_path_factory.mktemp("table")
    wanted = jobs(TablePlan.parse(PLAN), lab_preset(str(preset)))
    shown = []

    def show(told):
        if told[0] == "endless" and told[1] == "align" and not any(t[0:2] == told[0:2] for t in shown):
            processes = psutil.Process().children()  # the one at work, and those that carry messages
            max(processes, key=lambda p: p.memory_info().rss).kill()  # as a machine without memory does
        shown.append(told)

    rows, failed = run_table(wanted, data, work, show=show)
    return wanted, work, {row.name: row for row in rows}, failed, shown


def test_every_row_but_the_bad_ones_is_there_in_order(table):
    wanted, _, rows, failed, _ = table
    assert list(rows) == [job.name for job in wanted if job.name not in BAD]
    assert set(failed) == BAD
    assert "The encoder has 64 channels, the prepared study 125" in failed["other-headset"]
    assert failed["odd-heads"].startswith("its pretraining failed: RuntimeError: ")
    assert failed["odd-heads-too"] == failed["odd-heads"]
    assert failed["endless"].startswith("BrokenProcessPool: ")
    assert "\n" not in failed["odd-heads"]


def test_rows_say_what_they_are(table):
    rows = table[2]
    assert {name: row.kind for name, row in rows.items()} == {
        "ours": "row", "linear": "row", "oracle": "row", "no-pretraining": "ablation", "block-tokens": "ablation",
        "split-random": "split", "split-time-block": "split",
    }  # fmt: skip
    for row in rows.values():
        assert row.simulated
        assert row.data.startswith("simulated ")
        assert row.split.n_test > 0
        assert row.provenance["config"]["encoder"]["dim"] == 16
        assert all(0 <= c.value <= 1 for f in row.figures if f.name.endswith("-way") for c in f.controls.values())
    assert rows["ours"].training.pretrain_steps == rows["ours"].training.align_steps == 3
    assert rows["ours"].model.initialised == "pretrained here for 3 steps of self-distillation"
    assert rows["no-pretraining"].training.pretrain_steps == 0
    assert rows["ours"].model.tokens_per_window == 625
    assert rows["block-tokens"].model.tokens_per_window == 5
    assert rows["ours"].robustness
    assert not rows["no-pretraining"].robustness
    assert rows["split-random"].split.kind == "random"
    assert rows["split-random"].split.shared["recordings"] > 0
    assert rows["split-time-block"].split.shared["song seconds"] == 0
    assert rows["split-time-block"].model.title == "Blocks of song time"  # computed once, with `no-pretraining`
    assert rows["split-time-block"].figures == rows["no-pretraining"].figures


def test_every_window_judged_has_the_length_of_the_preset(table):
    for row in table[2].values():
        assert row.generator.endswith(" clips of the training music, 2 s each")
        assert all("pieces of 2 s" in f.protocol for f in row.figures if "-way" in f.name and f.name != "genre")


def test_the_oracle_finds_everything_and_an_untrained_decoder_does_not(table):
    rows = table[2]
    oracle = {f.name: f for f in rows["oracle"].figures}
    found = next(f for name, f in oracle.items() if name.endswith("-way-clap"))
    assert found.value == 1.0
    assert found.controls["deranged"].value < 0.5
    assert oracle["cosine"].value == pytest.approx(1.0)
    assert next(f.value for f in rows["ours"].figures if f.name.endswith("-way-clap")) < 0.8


def test_what_is_done_is_not_done_again(table, data, monkeypatch):
    wanted, work, rows, _, shown = table
    assert {told[0] for told in shown} >= {"ours, pretraining", "ours", "oracle"}
    files = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    good = [job for job in wanted if job.name not in BAD]
    monkeypatch.setattr("bci_music.evaluation.table._Workers", None)  # nobody is needed
    again, failed = run_table(good, data, work)
    assert failed == {}
    assert {row.name: row for row in again} == rows
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == files


def test_unknown_rows_and_keys_are_one_sentence(preset):
    base = lab_preset(str(preset))
    plan = TablePlan.parse(PLAN)
    with pytest.raises(UserError, match=r"no row 'our': choose from .*ours, linear, .*split-random"):
        jobs(plan, base, ("our",))
    assert [job.name for job in jobs(plan, base, ("split-random", "ours"))] == ["ours", "split-random"]
    for wrong, said in (
        ({"encodr": {}}, r"Unknown key 'encodr' in row 'x' of the table: did you mean 'encoder'\?"),
        ({"align": {"loop": {"step": 3}}}, r"Unknown key 'align\.loop\.step' .*did you mean 'steps'\?"),
        ({"encoder": {"zzz": 1}}, r"Unknown key 'encoder\.zzz' .*allowed are .*depth, dim"),
        ({"head": {"kind": "cubic"}}, r"head\.kind in row 'x' of the table is 'cubic'"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            jobs(TablePlan.parse({"rows": {"x": {"title": "X", "set": wrong}}}), base)
    with pytest.raises(UserError, match=r"Unknown key 'row'.*did you mean 'rows'"):
        TablePlan.parse({"row": {}})
    with pytest.raises(UserError, match="the changes for all rows"):
        jobs(plan, base, (), {"minute": 3})


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: ``(exit code, what it said, what it said about mistakes)``."""
    threads = torch.get_num_threads()

    def verb(*arguments):
        monkeypatch.setattr("sys.argv", ["bci-music", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    yield verb
    torch.set_num_threads(threads)


def test_the_verbs_lead_from_data_to_report(data, preset, tmp_path, run):
    common = ("--data", data, "--preset", preset, "--device", "cpu")
    code, said, _ = run("pretrain", *common, "--out", tmp_path / "pre", "--steps", 4, "--no-tensorboard")
    assert (code, "The encoder is in" in said) == (0, True)
    steps = [json.loads(line)["step"] for line in (tmp_path / "pre" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
    code, said, _ = run(
        "align", *common, "--pretrained", tmp_path / "pre", "--out", tmp_path / "run", "--no-tensorboard"
    )
    assert (code, "Next: bci-music adapt" in said) == (0, True)
    run_of = ("--data", data, "--run", tmp_path / "run")
    code, _, error = run("evaluate", *run_of)
    assert code == 2
    assert "There is no adapter" in error
    code, said, _ = run("adapt", *run_of, "--alpha", "0.5")
    assert (code, "alpha 0.5" in said) == (0, True)
    code, said, _ = run("evaluate", *run_of, "--out", tmp_path / "report", "--no-robustness")
    assert code == 0
    assert "deranged" in said
    row = ResultRow.read(tmp_path / "run" / "row.json")
    assert row.training.align_steps == 3
    assert row.simulated
    assert "simulated" in (tmp_path / "report" / "report.html").read_text()
    assert len(json.loads((tmp_path / "report" / "report.json").read_text())) > 0


def test_a_decoder_is_judged_on_what_it_was_kept_from(data, preset, tmp_path, run):
    """Neither on another study than it was trained on, nor after pretraining on the other side of another split."""
    pre, aligned = tmp_path / "pre", tmp_path / "run"
    common = ("--data", data, "--preset", preset, "--device", "cpu", "--no-tensorboard", "--steps", 1)
    assert run("pretrain", *common, "--out", pre, "--split", "random")[0] == 0
    code, _, error = run("align", *common, "--out", aligned, "--pretrained", pre)
    assert (code, f"{pre} learned under another split (random, 2.0 s windows)" in error) == (2, True)
    assert run("align", *common, "--out", aligned, "--pretrained", pre, "--split", "random", "--seed", 7)[0] == 0
    config = yaml.safe_load((aligned / "config.yaml").read_text())
    assert [config["seed"], config["pretrain"]["seed"], config["align"]["seed"]] == [7, 7, 7]
    told = json.loads((aligned / "provenance.json").read_text())
    (aligned / "provenance.json").write_text(json.dumps(told | {"data_hash": "of another study"}))
    code, _, error = run("adapt", "--data", data, "--run", aligned)
    assert (code, "did not learn from" in error) == (2, True)


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
    "no run to judge": (("evaluate", "--data", "DATA", "--run", "nowhere"), "make it with `bci-music align`"),
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
    "no device": (("align", "--data", "DATA", "--out", "out", "--preset", "PRESET", "--device", "tpu"), "'tpu'"),
    "no row": (("ablate", "--data", "DATA", "--out", "out", "--preset", "PRESET", "--only", "best"), "no row 'best'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake, data, preset, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump({k: v for k, v in MINIMAL.items() if k != "pretrain"}))
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(MINIMAL | {"normalise": "whole-recording"}))
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(MINIMAL | {"window_s": 4.0}))
    arguments, sentence = MISTAKES[mistake]
    known = {"DATA": data, "PRESET": preset}
    code, _, error = run(*(known.get(a, a) for a in arguments))
    assert code == 2
    assert sentence in error
    assert error.startswith("bci-music: ")
    assert error.count("\n") == 1
