"""A whole build, small: data, training, figures, pack."""

from pathlib import Path

import pytest

from bci_music.models.decoder import Decoder
from bci_music.training.build import DemoBuildConfig, build_demo_pack
from bci_music.training.simulated import SimulatedDataConfig


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_short_build_gives_a_pack_that_opens_and_decodes(tmp_path):
    base = DemoBuildConfig()
    data = SimulatedDataConfig(listeners=(1, 2), recordings=1, held_out_listeners=(101, 102), test_recordings=1)

    def short(stage, steps):
        return stage.model_copy(update={"loop": stage.loop.model_copy(update={"steps": steps})})

    config = base.model_copy(
        update={"data": data, "virtual": short(base.virtual, 60), "anchored": short(base.anchored, 10)}
    )
    pack = build_demo_pack(tmp_path / "pack", tmp_path / "work", config, minutes=5)
    assert {m.name for m in pack.manifest.metrics} >= {"50-way identification", "14-way song identification"}
    assert len(pack.manifest.provenance.recordings) == 2
    assert Decoder.from_pack(pack).warm_up() > 0
    assert (tmp_path / "work" / "anchored" / "checkpoint.pt").is_file()
    further = build_demo_pack(tmp_path / "further", tmp_path / "more", config, minutes=5, start=pack)
    assert "the encoder went on from demo" in further.manifest.provenance.data
    assert not (tmp_path / "more" / "virtual").exists()


def test_the_commented_configuration_is_the_default():
    assert DemoBuildConfig.load(Path(__file__).resolve().parents[2] / "configs" / "demo-pack.yaml") == DemoBuildConfig()
