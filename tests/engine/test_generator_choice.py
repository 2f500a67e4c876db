"""Which generator plays: the one that is given, the pack's own, or the library."""

from types import SimpleNamespace

import pytest

from bci_music.engine import build
from bci_music.engine.config import LiveConfig
from bci_music.messages import UserError

asked = []


@pytest.fixture
def opened(monkeypatch):
    from bci_music.generation.audioldm.generator import AudioLdmGenerator
    from bci_music.models.checkpoints import towers

    monkeypatch.setattr(towers, "require_lead", lambda embedder, where, pack, space: asked.append((embedder, where)))
    asked.clear()
    monkeypatch.setattr(AudioLdmGenerator, "from_directory", lambda where, *more, **options: f"AudioLDM of {where}")


@pytest.mark.parametrize(("wanted", "given", "brought", "plays"), [
    ("auto", None, None, "library"), ("auto", None, "pack/generator", "AudioLDM of pack/generator"),
    ("auto", "mine", "pack/generator", "AudioLDM of mine"), ("library", "mine", "pack/generator", "library"),
    ("audioldm", None, "pack/generator", "AudioLDM of pack/generator"), ("audioldm", "mine", None, "AudioLDM of mine"),
])  # fmt: skip
def test_choice(opened, wanted, given, brought, plays):
    config = LiveConfig.parse({"sound": {"generator": wanted, "audioldm": given}})
    manifest = SimpleNamespace(spaces=SimpleNamespace(targets="sha"))
    pack = SimpleNamespace(name="demo", generator=brought, embedder="pack/embedder", manifest=manifest)
    library = SimpleNamespace(library=SimpleNamespace(nearest_song=None))
    assert build._generator(config, pack, library) == (library if plays == "library" else plays)
    assert asked == [("pack/embedder", "mine")] * plays.endswith("mine")  # what comes with the pack fits it


def test_a_pack_without_one_is_a_sentence(opened):
    config = LiveConfig.parse({"sound": {"generator": "audioldm"}})
    with pytest.raises(UserError, match="brings no AudioLDM"):
        build._generator(config, SimpleNamespace(name="demo", generator=None), "library")
