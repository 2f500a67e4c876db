"""Sessions and reports on disk are listed with what they hold; exports and recordings are done when asked."""

import json
from pathlib import Path

import pytest

from bci_music.engine.config import LiveConfig
from bci_music.engine.shelving import Shelving
from bci_music.messages import StreamInfo, UserError
from bci_music.outputs.output import OutputContext
from bci_music.sessions.folder import RECORDING, SessionFolder
from bci_music.status import Command

SAMPLE = Path(__file__).parents[2] / "recordings" / "sample.xdf"


@pytest.fixture
def place(tmp_path):
    session = SessionFolder(tmp_path / "sessions" / "evening", {})
    from bci_music.data.consent import write_sidecar

    (session.folder / RECORDING).write_bytes(SAMPLE.read_bytes())
    write_sidecar(session.folder / RECORDING, "FORM 7", [], pack={"name": "demo"})
    session.close({}, [])
    show = tmp_path / "out" / "show"
    show.mkdir(parents=True)
    report = {"stream": {"name": "S", "channels": 9}, "identification": {"hits": 3, "n": 8}, "chance": None,
              "sham": [{}], "lost": ["x was lost"]}  # fmt: skip
    (show / "report.json").write_text(json.dumps(report))
    broken = tmp_path / "out" / "broken"
    broken.mkdir()
    (broken / "report.json").write_text("{")
    return tmp_path


@pytest.fixture
def shelving(place):
    failures = []
    made = Shelving(place, LiveConfig().outputs.model_dump(), failures.append, lambda: 1.0)
    made.failures = failures
    return made


def test_what_lies_there_is_listed_only_while_somebody_looks(shelving, place):
    shelving.step(0.0)
    assert shelving.shelf.entries == ()
    assert shelving.take(Command("shelf", 1.0))
    shelving.step(0.1)
    found = {e.name: e for e in shelving.shelf.entries}
    assert set(found) == {"evening", "show", "broken"}
    assert (found["evening"].kind, found["evening"].state) == ("session", "whole")
    facts = dict(found["evening"].facts)
    assert (facts["consent"], facts["pack"]) == ("FORM 7", "demo")
    run = dict(found["show"].facts)
    assert (run["song found"], run["sham"]) == ("3 of 8 windows", "once")
    assert found["show"].faults == ("x was lost",)
    assert found["broken"].state == "unreadable"
    before = {e.name: e for e in shelving.shelf.entries}
    shelving.step(5.0)
    assert all(e is before[e.name] for e in shelving.shelf.entries)  # nothing changed, nothing is read again
    assert not shelving.take(Command("volume", 1.0))


def test_an_export_lies_beside_its_session_and_what_stops_it_is_said(shelving, place, monkeypatch):
    folder, written = place / "sessions" / "evening", []

    def export(folder, out, kind):
        if written:
            raise UserError(f"{out} is there already.")
        written.append((folder, out, kind))
        return out, ["No gap was filled."]

    monkeypatch.setattr("bci_music.sessions.export.export_session", export)
    outcome = []
    for step in range(2):
        shelving.take(Command("export", text=f"fif {folder}"))
        shelving.step(float(step))
        outcome.append(shelving.shelf.outcome)
    out = place / "sessions" / "evening_eeg.fif"
    assert written == [(folder, out, "fif")]
    assert outcome[0] == f"written to {out} No gap was filled."
    assert [f.text for f in shelving.failures] == [f"{out} is there already."]


def test_a_recording_is_added_to_the_run_and_ended_alone(shelving, place):
    added = []
    shelving.add, shelving.standing = added.extend, lambda: tuple(added)
    shelving.take(Command("record", text="FORM 9"))
    shelving.step(0.0)
    assert [stage.name for stage in added] == ["lsl", "recording"]
    recording = added[1].output
    assert recording.values["consent"] == "FORM 9"
    assert recording.values["folder"].parent == place / "sessions"
    shelving.take(Command("record", text="FORM 9"))
    shelving.step(0.1)
    assert "under way" in shelving.failures[0].text
    opened, closed = [], []
    recording.open, recording.close = opened.append, lambda: closed.append(True)
    for stage in added:
        stage._tried = stage is added[0]
        stage.connect(OutputContext(StreamInfo("S", "lsl", ("a",), 100.0), ("a",), print))
    added[1].step(0.2)
    assert len(opened) == 1
    shelving.take(Command("record"))
    shelving.step(0.3)
    added[1].step(0.4)
    assert closed == [True]
    shelving.take(Command("record", text="FORM 10"))
    shelving.step(0.5)
    assert [stage.name for stage in added] == ["lsl", "recording", "recording"]


def test_without_a_reference_nothing_is_recorded(shelving):
    shelving.take(Command("record", text="  .  "))
    shelving.step(0.0)
    assert "consent" in shelving.failures[0].text
