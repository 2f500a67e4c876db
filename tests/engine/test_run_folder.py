"""What a run leaves is written file by file: one that cannot be written costs none of the others."""

import json
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest

from bci_music.engine import run_folder
from bci_music.engine.config import LiveConfig
from bci_music.engine.run_folder import RESERVED_BYTES, RunFolder
from bci_music.files import write_whole

KEEPS = {"outputs": {"recording": {"keep_embeddings": True, "consent": "form 7"}}}


@pytest.fixture
def engine():
    return SimpleNamespace(info=SimpleNamespace(simulated=False), history=SimpleNamespace(embeddings=list))


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Whether traces were drawn, by picture."""
    seen = []

    def draw(engine, report, now, path, *, traces):
        seen.append(traces)
        path.write_bytes(b"png")

    monkeypatch.setattr(run_folder, "draw_overview", draw)
    return seen


def test_all_is_there_and_the_reserve_is_not(tmp_path, engine, drawn):
    lost = []
    folder = RunFolder(tmp_path / "out", lost.append)
    folder.write_aside(engine, LiveConfig.parse(KEEPS), {}, 1.0)
    folder.write_report({"a": float("nan"), "b": np.float32(2)})
    assert lost == []
    assert drawn == [True]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "report.json", "run.yaml", "overview.png", "embeddings.npz",
    }  # fmt: skip
    assert json.loads(folder.report.read_text()) == {"a": None, "b": 2.0}
    assert folder.report == tmp_path / "out" / "report.json"


@pytest.mark.parametrize("fault", [MemoryError("no memory"), OSError(28, "No space left on device"), ValueError("odd")])
@pytest.mark.parametrize("broken", ["draw_overview", "save_embeddings"])
def test_one_that_cannot_be_written_costs_none_of_the_others(tmp_path, engine, monkeypatch, fault, broken):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(run_folder, broken, fail)
    lost = []
    folder = RunFolder(tmp_path, lost.append)
    folder.write_aside(engine, LiveConfig.parse(KEEPS), {}, 1.0)
    folder.write_report({})
    names = {"draw_overview": "overview.png", "save_embeddings": "embeddings.npz"}
    assert len(lost) == 1
    assert lost[0].startswith(f"{names[broken]} could not be written")
    assert {p.name for p in tmp_path.iterdir()} == {
        "report.json", "run.yaml", *set(names.values()) - {names[broken]},
    }  # fmt: skip


def test_without_consent_no_traces_and_no_embeddings(tmp_path, engine, drawn):
    for engine.info.simulated in (False, True):
        with RunFolder(tmp_path, print) as folder:
            folder.write_aside(engine, LiveConfig(), {}, 1.0)
    assert drawn == [False, True]
    assert not (tmp_path / "embeddings.npz").exists()


def test_a_report_without_a_folder_lies_elsewhere_and_that_is_said(tmp_path, monkeypatch):
    lost = []
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    folder = RunFolder(tmp_path / "out", lost.append)
    folder.release()
    (tmp_path / "out").rmdir()
    folder.write_report({"windows_decoded": 3})
    assert json.loads(folder.report.read_text()) == {"windows_decoded": 3}
    assert folder.report.is_relative_to(tmp_path / "tmp")
    assert len(lost) == 2
    assert "report.json could not be written" in lost[0]
    assert str(folder.report.parent) in lost[1]


def test_where_there_is_nowhere_to_write_that_is_said(tmp_path, monkeypatch):
    lost = []
    folder = RunFolder(tmp_path / "out", lost.append)
    folder.release()
    (tmp_path / "out").rmdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    folder.write_report({})
    assert folder.report is None
    assert len(lost) == 2


def test_space_for_the_report_is_held_from_the_start(tmp_path, monkeypatch):
    taken = []
    real = tempfile.TemporaryFile

    def watched(**options):
        taken.append(real(**options))
        return taken[-1]

    monkeypatch.setattr(run_folder.tempfile, "TemporaryFile", watched)
    folder = RunFolder(tmp_path, print)
    (reserve,) = taken
    assert reserve.tell() == RESERVED_BYTES
    folder.write_report({})
    assert reserve.closed


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, lambda part: part.write_text("one"), private=True)
    assert oct(path.stat().st_mode & 0o777) == "0o600"

    def half(part):
        part.write_text("tw")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]
