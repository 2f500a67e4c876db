"""The lab from data to table on a tiny simulated study: rows, and what fails beside them."""

import psutil
import pytest

from bci_music.evaluation.evaluate import EvaluateConfig
from bci_music.evaluation.experiment import run_experiment
from bci_music.evaluation.plan import TablePlan, jobs
from bci_music.evaluation.table import run_table
from bci_music.messages import UserError
from bci_music.training.lab.config import lab_preset, override
from bci_music.training.lab.prepared import Prepared

pytestmark = pytest.mark.learning

QUERIES = {"kind": "latent-queries", "n_times": 250, "filters": 8, "queries": 2, "dim": 16, "depth": 1, "heads": 2}
PLAN = {
    "systems": {
        "endless": {"title": "Killed", "set": {"pretrain": None, "align": {"loop": {"steps": 1_000_000}}}},
        "ours": {"title": "Ours", "robustness": True},
        "queries": {"title": "Queries", "set": {"encoder": QUERIES, "head": {"kind": "pooled"}, "pretrain": None}},
        "linear": {"title": "Linear EEG", "set": {"model": "linear", "pretrain": None}},
        "oracle": {"title": "Audio oracle", "set": {"model": "oracle", "pretrain": None}},
        "other-headset": {"title": "64 channels", "set": {"encoder": {"n_channels": 64}, "pretrain": None}},
        "endless-views": {"title": "Windows of 15 minutes", "set": {"pretrain": {"window_s": 900.0}}},
    },
    "ablations": {
        "no-pretraining": {"title": "No pretraining", "set": {"pretrain": None}},
        "block-tokens": {"title": "Block tokens", "set": {"encoder": {"tokens": "block"}, "pretrain": None}},
        "endless-views-too": {"title": "Windows of 15 minutes", "set": {"pretrain": {"window_s": 900.0}}},
    },
    "splits": {
        "random": {"title": "Random windows", "set": {"pretrain": None, "split": "random"}},
        "time-block": {"title": "Blocks of song time", "set": {"pretrain": None}},
    },
}  # fmt: skip
BAD = {"endless", "other-headset", "endless-views", "endless-views-too"}


@pytest.fixture(scope="module")
def table(data, preset, tmp_path_factory):
    """All rows of a table once, in one worker: ``(jobs, folder, rows by name, why others failed, what was shown)``."""
    work = tmp_path_factory.mktemp("table")
    wanted = jobs(TablePlan.parse(PLAN), lab_preset(str(preset)))
    shown = []

    def show(event):
        if event[0] == "endless" and event[1] == "align" and not any(t[0:2] == event[0:2] for t in shown):
            processes = psutil.Process().children()  # the one at work, and those that carry messages
            max(processes, key=lambda p: p.memory_info().rss).kill()  # as a machine without memory does
        shown.append(event)

    rows, failed = run_table(wanted, data, work, show=show)
    return wanted, work, {row.name: row for row in rows}, failed, shown


def test_every_row_but_the_bad_ones_is_there_in_order(table):
    wanted, _, rows, failed, _ = table
    assert list(rows) == [job.name for job in wanted if job.name not in BAD]
    assert set(failed) == BAD
    assert "The encoder has 64 channels, the prepared study 125" in failed["other-headset"]
    assert failed["endless-views"].startswith("its pretraining failed: No segment is as long as one window")
    assert failed["endless-views-too"] == failed["endless-views"]
    assert failed["endless"].startswith("BrokenProcessPool: ")
    assert "\n" not in failed["endless-views"]


def test_rows_say_what_they_are(table):
    rows = table[2]
    assert {name: row.kind for name, row in rows.items()} == {
        "ours": "system", "queries": "system", "linear": "system", "oracle": "system",
        "no-pretraining": "ablation", "block-tokens": "ablation", "split-random": "split", "split-time-block": "split",
    }  # fmt: skip
    for row in rows.values():
        assert row.simulated
        assert row.data.startswith("simulated ")
        assert row.split.n_test > 0
        assert row.provenance["config"]["encoder"]["dim"] == 16
        assert all(0 <= c.value <= 1 for f in row.metrics if f.name.endswith("-way") for c in f.controls.values())
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
    assert rows["split-time-block"].metrics == rows["no-pretraining"].metrics


def test_every_evaluated_window_has_the_length_of_the_preset(table):
    for row in table[2].values():
        assert row.generator.endswith(" clips of the training music, 2 s each")
        ways = [f for f in row.metrics if "-way" in f.name and f.name != "genre"]
        assert [f.name for f in ways if "excerpts of 2 s" not in f.protocol] == []


def test_every_row_has_a_choice_of_two(table):
    for name, row in table[2].items():
        found = {f.name: f for f in row.metrics}
        assert found["match-mismatch-clap"].chance == 0.5
        assert ("match-mismatch" in found) == (name not in ("linear", "oracle"))


@pytest.mark.parametrize("model", ["trf", "cca"])
def test_a_tracker_takes_part_with_the_same_controls(model, data, preset, tmp_path):
    config = override(lab_preset(str(preset)), {"model": model, "pretrain": None}, "the test")
    prepared, settings = Prepared.open(data), EvaluateConfig(audio=False)
    row = run_experiment(model, "system", config, prepared, tmp_path, settings=settings)
    found = {f.name: f for f in row.metrics}
    assert found["match-mismatch"].controls.keys() == {"mismatched", "before_song", "mean_embedding"}
    assert {name for name in found if name.endswith("-way")} != set()
    assert row.training.align_steps == 0
    (tmp_path / "results").rename(tmp_path / "other")  # fitted it is, so only evaluated again
    again = run_experiment(model, "system", config, prepared, tmp_path, settings=settings)
    assert again.metrics == row.metrics


def test_the_oracle_finds_everything_and_an_untrained_decoder_does_not(table):
    rows = table[2]
    oracle = {f.name: f for f in rows["oracle"].metrics}
    found = next(f for name, f in oracle.items() if name.endswith("-way-clap"))
    assert found.value == 1.0
    assert found.controls["mismatched"].value < 0.5
    assert oracle["cosine"].value == pytest.approx(1.0)
    assert next(f.value for f in rows["ours"].metrics if f.name.endswith("-way-clap")) < 0.8


def test_what_is_done_is_not_done_again(table, data, monkeypatch):
    wanted, work, rows, _, shown = table
    assert {event[0] for event in shown} >= {"ours, pretraining", "ours", "oracle"}
    files = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    good = [job for job in wanted if job.name not in BAD]
    monkeypatch.setattr("bci_music.evaluation.table.open_pool", None)  # nobody is needed
    again, failed = run_table(good, data, work)
    assert failed == {}
    assert {row.name: row for row in again} == rows
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == files


def test_unknown_rows_and_keys_are_one_sentence(preset):
    base = lab_preset(str(preset))
    plan = TablePlan.parse(PLAN)
    with pytest.raises(UserError, match=r"no row 'our': choose from .*ours, queries, .*split-random"):
        jobs(plan, base, ("our",))
    assert [job.name for job in jobs(plan, base, ("split-random", "ours"))] == ["ours", "split-random"]
    for wrong, text in (
        ({"encodr": {}}, r"Unknown key 'encodr' in 'x' of the table: did you mean 'encoder'\?"),
        ({"align": {"loop": {"step": 3}}}, r"Unknown key 'align\.loop\.step' .*did you mean 'steps'\?"),
        ({"encoder": {"zzz": 1}}, r"Unknown key 'encoder\.zzz' .*allowed are .*depth, dim"),
        ({"head": {"kind": "cubic"}}, r"head\.kind in 'x' of the table is 'cubic'"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=text):
            jobs(TablePlan.parse({"systems": {"x": {"title": "X", "set": wrong}}}), base)
    with pytest.raises(UserError, match=r"Unknown key 'system'.*did you mean 'systems'"):
        TablePlan.parse({"system": {}})
    with pytest.raises(UserError, match="the changes for all of them"):
        jobs(plan, base, (), {"minute": 3})


@pytest.mark.soak
def test_pretraining_that_was_cut_short_goes_on_when_there_is_time(data, preset, tmp_path):
    """A first look with a tight limit must not leave its pretraining to the table that follows."""
    plan = TablePlan.parse({"systems": {"ours": {"title": "Ours", "set": {"align": {"loop": {"steps": 1}}}}}})
    base = lab_preset(str(preset))
    for minutes, steps in ((1e-6, 0), (None, 3)):
        wanted = jobs(plan, base, (), {} if minutes is None else {"minutes": minutes})
        rows, failed = run_table(wanted, data, tmp_path)
        assert not failed
        assert rows[0].training.pretrain_steps == steps
        assert rows[0].minutes >= rows[0].training.pretrain_minutes + rows[0].training.align_minutes


def test_a_row_on_another_study_needs_it_and_the_others_do_not(data, preset, tmp_path):
    plan = TablePlan.parse({
        "conditions": {"here": {}, "quiet": {"label": "-6 dB", "study": "quiet"}},
        "systems": {"oracle": {"title": "Oracle", "under": ["here", "quiet"], "set": {"model": "oracle"}}},
    })  # fmt: skip
    wanted = jobs(plan, lab_preset(str(preset)), (), {"pretrain": None})
    rows, failed = run_table(wanted, data, tmp_path)
    assert [row.name for row in rows] == ["oracle"]
    assert failed == {"oracle-quiet": "it needs the study 'quiet', which was not given: --also quiet=FOLDER."}
    rows, failed = run_table(wanted, data, tmp_path, also={"quiet": data})
    assert [(row.name, row.row, row.model.title) for row in rows] == [
        ("oracle", "oracle", "Oracle"), ("oracle-quiet", "oracle", "Oracle, -6 dB")
    ]
    assert not failed
    assert rows[0].provenance["snr_db"] == -6.0  # of the tiny study
