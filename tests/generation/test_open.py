"""Which generator plays: the one that is given, the pack's own, or the library; and that a new type is one line."""

from types import SimpleNamespace

import pytest

from bci_music.engine.config import LiveConfig
from bci_music.generation.audioldm import generator as audioldm
from bci_music.generation.open import GeneratorsConfig, choose_generator, generator_names, open_generator
from bci_music.messages import UserError
from bci_music.models.library import MusicLibrary

asked = []


@pytest.fixture
def opened(monkeypatch):
    from bci_music.models.checkpoints import towers

    monkeypatch.setattr(towers, "require_lead", lambda embedder, where, pack, space: asked.append((embedder, where)))
    asked.clear()
    model = {"name": "", "trained": True, "settings": None, "downsample": 4}
    monkeypatch.setattr(audioldm, "load_audioldm", lambda where, **options: SimpleNamespace(**model | {"name": where}))


@pytest.fixture
def pack(library_dir):
    library = MusicLibrary.load(library_dir)
    manifest = SimpleNamespace(spaces=SimpleNamespace(targets="sha"))
    return SimpleNamespace(
        name="demo", generator=None, embedder="pack/embedder", manifest=manifest, open_library=lambda: library
    )


@pytest.mark.parametrize(("wanted", "given", "brought", "plays"), [
    ("auto", None, None, "library of 3 songs"), ("auto", None, "pack/generator", "pack/generator"),
    ("auto", "mine", "pack/generator", "mine"), ("library", "mine", "pack/generator", "library of 3 songs"),
    ("audioldm", None, "pack/generator", "pack/generator"), ("audioldm", "mine", None, "mine"),
])  # fmt: skip
def test_choice(opened, pack, wanted, given, brought, plays):
    pack.generator = brought
    config = LiveConfig.parse({"sound": {"generator": wanted, "audioldm": {"checkpoint": given}}}).sound
    generator = open_generator(choose_generator(config, pack), config, pack)
    assert generator.name == plays
    assert asked == [("pack/embedder", "mine")] * (plays == "mine")  # what comes with the pack fits it


def test_a_pack_without_one_is_a_sentence(opened, pack):
    config = LiveConfig.parse({"sound": {"generator": "audioldm"}}).sound
    with pytest.raises(UserError, match="Pack demo brings no AudioLDM"):
        open_generator("audioldm", config, pack)
    with pytest.raises(UserError, match="belongs to a pack"):
        open_generator("library", config)


def test_an_unknown_type_is_a_sentence():
    with pytest.raises(UserError, match=f"'audiold': expected one of auto, {', '.join(generator_names())}"):
        LiveConfig.parse({"sound": {"generator": "audiold"}})


def test_the_checkpoint_alone_is_still_read():
    assert LiveConfig.parse({"sound": {"audioldm": "mine"}}).sound.audioldm.checkpoint == "mine"
    assert LiveConfig.parse({"sound": {"audioldm": None}}).sound == LiveConfig().sound


def test_a_new_type_is_a_config_and_a_line(pack):
    """The line is the field: its name opens it, and `auto` tries it in its turn."""
    from bci_music.generation.config import GeneratorConfig

    class HumConfig(GeneratorConfig):
        note_hz: float = 110.0

        def available(self, pack):
            return True

        def open(self, pack=None, clock=None):
            return SimpleNamespace(name=f"a hum of {self.note_hz:g} Hz")

    class WithHum(GeneratorsConfig):
        hum: HumConfig = HumConfig()

    config = WithHum(generator="hum", hum=HumConfig(note_hz=220.0))
    assert open_generator(choose_generator(config, pack), config, pack).name == "a hum of 220 Hz"
    assert generator_names(WithHum) == [*generator_names(), "hum"]
