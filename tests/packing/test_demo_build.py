"""A whole build, small: data, training, figures, pack."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from untrained_pack import write_untrained

from bci_music.messages import UserError
from bci_music.models.decoder import Decoder
from bci_music.models.network import Network
from bci_music.models.pack import ENCODER_FILE, Pack
from bci_music.models.sizes import EncoderConfig
from bci_music.packing import demo as build
from bci_music.packing.demo import DemoBuildConfig, build_demo_pack, require_fair_start
from bci_music.training.eeg.align import Aligner
from bci_music.training.eeg.simulated import SimulatedDataConfig, session_hash, training_session


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_short_build_gives_a_pack_that_opens_and_decodes(tmp_path):
    base = DemoBuildConfig()
    data = SimulatedDataConfig(listeners=(1, 2), recordings=1, held_out_listeners=(101, 102), test_recordings=1)
    loop = base.align.loop.model_copy(update={"steps": 60})
    config = base.model_copy(update={"data": data, "align": base.align.model_copy(update={"loop": loop})})
    pack = build_demo_pack(tmp_path / "pack", tmp_path / "work", config, minutes=5)
    assert {m.name for m in pack.manifest.metrics} >= {"50-way identification", "14-way song identification"}
    made = {f"listener {n} recording 1000": session_hash(training_session(n, 0, data)) for n in data.listeners}
    assert pack.manifest.provenance.recordings == made  # a recording that is made again is recognised
    assert Decoder.from_pack(pack).warm_up() > 0
    assert (tmp_path / "work" / "align" / "checkpoint.pt").is_file()
    further = build_demo_pack(tmp_path / "further", tmp_path / "more", config, minutes=5, start=pack)
    assert "the encoder went on from demo" in further.manifest.provenance.data


def test_a_build_goes_on_from_the_weights_of_its_start(tmp_path, world, small, monkeypatch):
    """Nothing begins in closed form: training begins where the start's network is."""
    corpus, began = world[0], []
    torch.manual_seed(5)
    Network(small).save(tmp_path / ENCODER_FILE)
    network = Network.load(tmp_path / ENCODER_FILE, small).eval()
    start = SimpleNamespace(name="demo", file=lambda name: tmp_path / name)

    def spied(aligner, corpus, stage, directory, **options):
        state = {key: value.clone() for key, value in aligner.network.state_dict().items()}
        began.append((directory.name, state, aligner))
        return aligner

    monkeypatch.setattr(build, "align", spied)
    config = DemoBuildConfig().model_copy(update={"decoder": small})
    build.train_demo(corpus, config, None, tmp_path, minutes=1, resume=False, log=lambda text: None, start=start)
    [(stage, state, aligner)] = began
    assert stage == "align"
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    batch = corpus.draw(np.random.default_rng(0), 64)
    with torch.no_grad():  # and the music lies where that network reads it
        read = network.embed(torch.from_numpy(batch.x), torch.from_numpy(batch.used))
        placed = aligner.place_music(torch.from_numpy(batch.target))
        fresh = Aligner(network, corpus).place_music(torch.from_numpy(batch.target))
        near, apart = (torch.cosine_similarity(read - read.mean(0), at - at.mean(0)).mean() for at in (placed, fresh))
    assert near > 0.1
    assert abs(apart) < near / 2


def test_an_encoder_that_knows_the_answers_is_no_start(tmp_path):
    """The figures of the new pack would be called held-out, and would not be."""
    demo = Pack.open("demo")
    config = DemoBuildConfig(decoder=demo.manifest.decoder)
    require_fair_start(demo, config)
    with pytest.raises(UserError, match="not trained on this program's songs"):
        require_fair_start(write_untrained(tmp_path / "untrained"), config)

    def changed(**provenance):
        origin = demo.manifest.provenance.model_copy(update=provenance)
        return Pack(demo.directory, demo.manifest.model_copy(update={"provenance": origin}))

    longer = {song: [(0.0, 120.0)] for song in demo.manifest.provenance.trained_seconds}
    strangers = demo.manifest.provenance.seeds | {"listeners": [1, 101]}
    for start in (changed(trained_seconds=longer), changed(seeds=strangers)):
        with pytest.raises(UserError, match="evaluated on"):
            require_fair_start(start, config)
    with pytest.raises(UserError, match="not trained on"):
        require_fair_start(changed(kind="real"), config)
    other = config.model_copy(update={"decoder": config.decoder.model_copy(update={"encoder": EncoderConfig(heads=2)})})
    with pytest.raises(UserError, match="network or signal chain"):
        require_fair_start(demo, other)


def test_the_commented_configuration_is_the_default():
    assert DemoBuildConfig.load(Path(__file__).resolve().parents[2] / "configs" / "demo-pack.yaml") == DemoBuildConfig()
