"""A plan becomes rows: one for each condition and training seed, under names that say which."""

import pytest

from bci_music.config import shipped
from bci_music.evaluation.plan import TablePlan, jobs
from bci_music.messages import UserError
from bci_music.training.lab.config import LabConfig, lab_preset

PLAN = {
    "set": {"minutes": 2, "pretrain": None},
    "conditions": {
        "block": {"seeds": True},
        "listener": {"seeds": True, "set": {"split": "listener", "splitting": {"share": 0.25}}},
        "quiet": {"label": "-6 dB", "study": "quiet", "set": {"split": "listener", "splitting": {"share": 0.25}}},
    },
    "systems": {
        "ours": {"title": "Ours", "robustness": True, "under": ["block", "listener", "quiet"], "seeds": [1, 2, 3]},
        "labram": {"title": "LaBraM", "under": ["block", "quiet"], "set": {"model": "labram", "minutes": 10}},
        "plain": {"title": "As the preset says"},
    },
    "splits": {"song": {"title": "Ours", "set": {"split": "song"}}},
}


def test_rows_are_named_by_condition_and_seed():
    made = {job.name: job for job in jobs(TablePlan.parse(PLAN), LabConfig())}
    assert {name: job.kind for name, job in made.items()} == {
        "ours": "system", "ours-seed2": "seed", "ours-seed3": "seed",
        "ours-listener": "split", "ours-listener-seed2": "seed", "ours-listener-seed3": "seed",
        "ours-quiet": "split", "labram": "system", "labram-quiet": "split", "plain": "system", "split-song": "split",
    }  # fmt: skip
    assert {job.row for job in made.values()} == {"ours", "labram", "plain", "split-song"}
    assert [made[name].config.align.seed for name in ("ours", "ours-seed3", "ours-listener-seed2", "plain")] == [
        1, 3, 2, 0
    ]
    assert {job.config.splitting.seed for job in made.values()} == {42}  # the split is the same for all of them
    assert made["ours-quiet"].config.title == "Ours, -6 dB"
    assert (made["ours-quiet"].study, made["ours-listener"].study) == ("quiet", "")
    assert made["ours-quiet"].config.split == "listener"
    assert {name: job.config.minutes for name, job in made.items() if job.config.minutes != 2} == {
        "labram": 10, "labram-quiet": 10
    }
    assert [name for name, job in made.items() if job.settings.robustness] == ["ours"]


def test_a_system_is_all_its_rows_and_a_row_one_of_them():
    plan = TablePlan.parse(PLAN)
    assert [job.name for job in jobs(plan, LabConfig(), ("labram",))] == ["labram", "labram-quiet"]
    assert [job.name for job in jobs(plan, LabConfig(), ("ours-quiet",))] == ["ours-quiet"]


@pytest.mark.parametrize(("systems", "sentence"), [
    ({"x": {"title": "X", "under": ["loud"]}}, "'x' of the table is to run under 'loud', which is no condition: there"),
    ({"x": {"title": "X", "under": ["block", "quiet"]}, "x-quiet": {"title": "Y"}}, "come to the same name 'x-quiet'"),
])
def test_what_cannot_be_is_one_sentence(systems, sentence):
    with pytest.raises(UserError, match=sentence):
        jobs(TablePlan.parse(PLAN | {"systems": systems}), LabConfig())


def test_the_shipped_table_resolves():
    plan = TablePlan.load(shipped("configs/lab-table.yaml"))
    made = {job.name: job for job in jobs(plan, lab_preset("small"))}
    assert {"ours", "trf", "cca", "spectrum", "linear", "oracle", "eeg2mel-listener-seed623"} <= made.keys()
    trained = {name: j.config.minutes for name, j in made.items() if j.config.model in ("channel", "eeg2mel")}
    assert len({m for name, m in trained.items() if made[name].kind != "ablation"}) == 1  # equal minutes


def test_the_search_offers_every_trained_row_of_the_table_the_same_rates():
    tune = {job.name: job for job in jobs(TablePlan.load(shipped("configs/lab-tune.yaml")), lab_preset("small"))}
    table = {job.name: job for job in jobs(TablePlan.load(shipped("configs/lab-table.yaml")), lab_preset("small"))}
    rates = {}
    for job in tune.values():
        rates.setdefault(job.row, set()).add(job.config.align.loop.lr)
    assert len({frozenset(tried) for tried in rates.values()}) == 1
    for row, tried in rates.items():
        ours, best = tune[row].config, table[row].config
        assert best.align.loop.lr in tried
        assert (ours.encoder, ours.head, ours.align.batch, ours.align.keep) == (
            best.encoder, best.head, best.align.batch, best.align.keep
        )


def test_rows_of_the_pretraining_table_learn_for_equal_minutes():
    plan = TablePlan.load(shipped("configs/lab-table-pretraining.yaml"))
    made = jobs(plan, lab_preset("small"))
    stages = [2 if job.config.pretrain is not None else 1 for job in made]
    assert {n * (job.config.minutes or 0.0) for n, job in zip(stages, made, strict=True)} == {4.0}
    assert {job.config.labelled for job in made} == {1.0, 0.1}
