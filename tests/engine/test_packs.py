"""Every pack that is found, with what it holds; one that cannot be read is listed with the reason."""

import os
import shutil

import pytest

from bci_music.engine.packs import PackList, last_pack
from bci_music.files import remember
from bci_music.models.pack import MANIFEST, SHIPPED


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("BCI_MUSIC_SETTINGS", str(tmp_path / "settings"))
    for name in ("anna", "broken"):
        (tmp_path / name).mkdir()
    shutil.copy(SHIPPED / "demo" / MANIFEST, tmp_path / "anna")
    (tmp_path / "broken" / MANIFEST).write_text("format: 1\n")
    (tmp_path / "nothing").mkdir()
    return tmp_path


def test_packs_are_listed_with_what_they_hold(place):
    packs = PackList("demo")
    found = packs.look([place / name for name in ("anna", "broken", "nothing")])
    assert [(c.name, c.chosen) for c in found] == [("demo 0.1.0", True), ("demo 0.1.0", False), ("broken", False)]
    assert found[0].facts == "simulated EEG  ·  14 songs in 28 clips, makes music  ·  montage nmed"
    assert "no music of its own" in found[1].facts
    assert found[2].facts.startswith("cannot be read: ")
    assert found[1].key == str(place / "anna")
    manifest = place / "anna" / MANIFEST
    manifest.write_text(manifest.read_text().replace("version: 0.1.0", "version: 0.2.0"))
    os.utime(manifest, (1, 1))
    assert packs.look([place / "anna"])[1].name == "demo 0.2.0"


def test_the_pack_of_last_time_is_listed_wherever_it_lies(place):
    assert last_pack() is None
    remember("pack", folder=str(place / "anna"))
    assert last_pack() == str(place / "anna")
    assert [c.key for c in PackList("demo").look([])] == [str(SHIPPED / "demo"), str(place / "anna")]
    shutil.rmtree(place / "anna")
    assert last_pack() is None
