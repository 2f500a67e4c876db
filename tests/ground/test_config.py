"""A wrong configuration is refused in one sentence that names the nearest right key."""

import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bci_music.config import Config, read_yaml, shipped
from bci_music.messages import UserError


class Inner(Config):
    seconds: float = 4.0
    hop_s: float = 0.5


class Outer(Config):
    name: str = "demo"
    window: Inner = Inner()
    spare: Inner | None = None


def test_known_keys_arrive_and_nothing_can_be_changed_later():
    config = Outer.parse({"name": "lab", "window": {"seconds": 2}})
    assert (config.name, config.window.seconds, config.window.hop_s) == ("lab", 2.0, 0.5)
    with pytest.raises(ValidationError):
        config.name = "other"


@pytest.mark.parametrize(("values", "key", "nearest"), [
    ({"nmae": "x"}, "'nmae'", "'name'"),
    ({"window": {"second": 2}}, "'window.second'", "'seconds'"),
    ({"spare": {"hop": 2}}, "'spare.hop'", "'hop_s'"),
])
def test_unknown_key_names_the_nearest(values, key, nearest):
    with pytest.raises(UserError) as raised:
        Outer.parse(values, "live.yaml")
    sentence = str(raised.value)
    assert key in sentence
    assert f"did you mean {nearest}?" in sentence
    assert "live.yaml" in sentence
    assert "\n" not in sentence


def test_key_that_resembles_nothing_lists_what_is_allowed():
    with pytest.raises(UserError, match="allowed are name, spare, window"):
        Outer.parse({"zzzzzz": 1})


def test_wrong_value_is_named_with_its_key():
    with pytest.raises(UserError, match=r"window\.seconds in live\.yaml is 'four'"):
        Outer.parse({"window": {"seconds": "four"}}, "live.yaml")


def test_all_mistakes_are_counted():
    with pytest.raises(UserError, match=r"\(1 more like this\)"):
        Outer.parse({"nmae": 1, "widnow": 2})


def test_yaml_file_is_read(tmp_path):
    path = tmp_path / "live.yaml"
    path.write_text("name: lab  # a comment\nwindow:\n  hop_s: 0.25\n")
    assert Outer.load(path).window.hop_s == 0.25
    path.write_text("")
    assert Outer.load(path) == Outer()


@pytest.mark.parametrize(("content", "raised"), [
    ("- a\n- b\n", "holds a list"),
    ("name: [1,\n", "could not be read as YAML"),
    (b"\xff\xfe\x00", "could not be read"),
])
def test_bad_files_are_refused_in_one_line(tmp_path, content, raised):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read_yaml(path)
    assert raised in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="could not be read"):
        read_yaml(tmp_path)


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_mapping_is_taken_or_refused_with_a_sentence(values):
    known = set(values) <= set(Outer.model_fields)
    try:
        Outer.parse(values)
        refused = False
    except UserError:
        refused = True
    assert known or refused


def test_shipped_files_are_found_and_others_are_not():
    assert (shipped("configs")).is_dir()
    with pytest.raises(UserError, match="does not ship"):
        shipped("configs/no-such-net.yaml")


class Renamed(Config):
    RENAMED = {"old_s": "new_s"}
    RENAMED_VALUES = {"kind": {"before": "after"}}
    new_s: float = 1.0
    kind: str = "after"


def test_old_names_are_read_with_one_note(caplog):
    first = Renamed.parse({"old_s": 2.0, "kind": "before"})
    assert (first.new_s, first.kind) == (2.0, "after")
    assert Renamed.parse({"old_s": 2.0}).new_s == 2.0
    assert [record.message.count("'old_s' is now called 'new_s'") for record in caplog.records].count(1) == 1


def test_an_old_and_a_new_name_together_are_refused():
    with pytest.raises(UserError, match="old_s"):
        Renamed.parse({"old_s": 2.0, "new_s": 3.0})


@pytest.mark.parametrize(("pattern", "owner"), [
    ("lab-[prs]*.yaml", "training.lab.config:LabConfig"), ("lab-[lt]*.yaml", "evaluation.plan:TablePlan"),
    ("live.yaml", "engine.config:LiveConfig"), ("signal.yaml", "eeg.chain:SignalConfig"),
    ("demo-pack.yaml", "packing.demo:DemoBuildConfig"),
    ("music-models-gpu.yaml", "training.audioldm.stages:MusicModelsConfig"),
])  # fmt: skip
def test_what_ships_has_the_names_of_today(pattern, owner, caplog, monkeypatch):
    monkeypatch.setattr("bci_music.config._noted", set())
    module, _, name = owner.partition(":")
    config = getattr(importlib.import_module(f"bci_music.{module}"), name)
    files = sorted(shipped("configs").glob(pattern))
    assert files
    for file in files:
        config.load(file)
    assert caplog.records == []
