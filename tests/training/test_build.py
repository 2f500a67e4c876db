"""A whole build, small: data, training, figures, pack."""

from pathlib import Path

import pytest

from bci_music.messages import UserError
from bci_music.models.decoder import Decoder
from bci_music.models.pack import Pack
from bci_music.models.sizes import EncoderConfig
from bci_music.training.build import DemoBuildConfig, build_demo_pack, require_fair_start
from bci_music.training.demo_pack import write_untrained
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


def test_an_encoder_that_knows_the_answers_is_no_start(tmp_path):
    """The figures of the new pack would be called held-out, and would not be."""
    config, demo = DemoBuildConfig(), Pack.open("demo")
    require_fair_start(demo, config)
    with pytest.raises(UserError, match="not trained on this program's songs"):
        require_fair_start(write_untrained(tmp_path / "untrained"), config)

    def changed(**provenance):
        told = demo.manifest.provenance.model_copy(update=provenance)
        return Pack(demo.directory, demo.manifest.model_copy(update={"provenance": told}))

    longer = {song: [(0.0, 120.0)] for song in demo.manifest.provenance.trained_seconds}
    strangers = demo.manifest.provenance.seeds | {"listeners": [1, 101]}
    for start in (changed(trained_seconds=longer), changed(seeds=strangers)):
        with pytest.raises(UserError, match="judged on"):
            require_fair_start(start, config)
    with pytest.raises(UserError, match="not trained on"):
        require_fair_start(changed(kind="real"), config)
    other = config.model_copy(update={"decoder": config.decoder.model_copy(update={"encoder": EncoderConfig(heads=2)})})
    with pytest.raises(UserError, match="network or signal chain"):
        require_fair_start(demo, other)


def test_the_commented_configuration_is_the_default():
    assert DemoBuildConfig.load(Path(__file__).resolve().parents[2] / "configs" / "demo-pack.yaml") == DemoBuildConfig()
