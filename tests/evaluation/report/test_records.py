"""The table for programs has a record for every figure, and rows of several seeds one line with their mean."""

import json

import pytest

from bci_music.evaluation.report.records import records, seeds_table, write_records

WANTED = {
    "row", "split", "snr_db", "seed", "metric", "value", "ci95", "controls", "n", "n_recordings", "steps", "minutes",
    "parameters", "windows_per_s", "provenance",
}  # fmt: skip


@pytest.fixture
def seeded(row):
    def one(name, seed, value, **more):
        about = {"seed": seed, "snr_db": 3.0, "git_sha": "0123abc", "data_hash": "f00", "config": {"title": "long"}}
        return row(name, value=value, row="ours", provenance=about, **more)

    return [
        one("ours", 622, 0.4), one("ours-seed623", 623, 0.5, kind="seed"), one("ours-seed624", 624, 0.45, kind="seed"),
        one("ours-listener", 622, 0.3, kind="split", split="listener"),
    ]  # fmt: skip


def test_every_figure_is_a_record(seeded, tmp_path):
    write_records(seeded, tmp_path / "lab.json")
    found = json.loads((tmp_path / "lab.json").read_text())
    assert len(found) == sum(len(result.metrics) for result in seeded)
    assert all(record.keys() >= WANTED for record in found)
    assert {record["row"] for record in found} == {"ours"}
    first = next(r for r in found if r["name"] == "ours-seed623" and r["metric"] == "50-way")
    assert (first["value"], first["seed"], first["snr_db"], first["split"]) == (0.5, 623, 3.0, "time-block")
    assert first["controls"]["before_song"].keys() == {"value", "ci95"}
    assert first["provenance"] == {"git_sha": "0123abc", "data_hash": "f00"}
    training = seeded[0].training
    assert first["steps"] == training.pretrain_steps + training.align_steps
    assert found == json.loads(json.dumps(records(seeded)))


def test_rows_of_several_seeds_have_their_mean_and_each(seeded):
    text = seeds_table(seeded)
    (line,) = [line for line in text.splitlines() if line.startswith("| Channel")]
    assert "**.450** | .050 |" in line
    assert all(f"({seed}, " in line for seed in (622, 623, 624))
    assert seeds_table(seeded[:1] + seeded[3:]) == ""
