"""A run of the lab as a pack: it opens, decodes, plays and says what it is; one that looks ahead is refused live."""

import json
from functools import partial

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from bci_music.cli.main import app
from bci_music.data.session import Event, Session, song_marker
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import NMED_CHANNELS
from bci_music.generation.library import LibraryGenerator
from bci_music.messages import Style, UserError
from bci_music.models.clap import ClapEmbedder
from bci_music.models.decoder import Decoder
from bci_music.models.embedder import StatisticsEmbedder, load_embedder
from bci_music.models.pack import Pack
from bci_music.packing.describe import describe
from bci_music.packing.run import build_run_pack
from bci_music.packing.run_library import excerpts, write_run_library
from bci_music.training.eeg.corpus import Music
from bci_music.training.eeg.targets import read_song
from bci_music.training.lab.config import LabConfig
from bci_music.training.lab.prepare import prepare
from bci_music.training.lab.prepared import Prepared
from bci_music.training.lab.run import experiment_data, new_network, run_adapt, run_align

pytestmark = pytest.mark.learning

SECONDS = 44.0
SONGS = ("nmed-t/21", "nmed-t/22")
CONFIG = LabConfig.model_validate({
    "encoder": {"dim": 16, "depth": 1, "heads": 2, "gains": False, "start": "paper"},
    "head": {"kind": "temporal", "hidden": 16, "embed_dim": 8},
    "align": {
        "batch": 4, "keep": [6, 8], "bands_weight": 0.0,
        "loop": {"steps": 2, "warmup": 1, "ema": 0.0, "bf16": False, "watch_every": 1000},
    },
    "adapt": {"alpha": 1.0},
    "splitting": {"share": 0.4, "block_s": 12.0, "guard_s": 0.0},
})  # fmt: skip


def session(seed, song):
    samples = (10.0 * np.random.default_rng(seed).standard_normal((round(125 * SECONDS), 125))).astype(np.float32)
    times = np.arange(len(samples)) / 125.0
    return Session("s", NMED_CHANNELS, 125.0, samples, times, (Event(0.0, song_marker(song)),))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two songs, two listeners each."""
    folder = tmp_path_factory.mktemp("study")
    recordings, stimuli = [], {}
    for number, song in enumerate(SONGS):
        path = folder / f"song{21 + number}.mat"
        path.write_bytes(bytes(10 + number))
        recordings += [
            Recording(
                f"nmed-t S0{who} {path.stem}", f"nmed-t S0{who}", path, partial(session, 10 * number + who, song),
                duration_s=SECONDS, songs=(song,),
            ) for who in range(2)
        ]  # fmt: skip
        rng = np.random.default_rng(number)
        tone = np.sin(np.arange(round(16_000 * SECONDS)) ** (1.05 + 0.01 * number) / 9.0)
        soundfile.write(folder / f"{number}.wav", 0.2 * tone + 0.05 * rng.standard_normal(len(tone)), 16_000)
        stimuli[song] = Stimulus(song, f"Song {number}", f"Song {number}", folder / f"{number}.wav", genre="folk")
    return Study("nmed-t", folder, tuple(recordings), stimuli, simulated=True)


def trained(study, folder, normalise):
    """A prepared study and a run on it, a few steps long: what it learned is of no account here."""
    signal = SignalConfig.model_validate({"quality": {"enabled": False}})
    prepared = prepare(study, folder / "prepared", signal=signal, normalise=normalise)
    config = CONFIG.model_copy(update={"normalise": normalise})
    experiment, run = experiment_data(prepared, config), folder / "run"
    run_adapt(run_align(new_network(config, prepared), experiment, config, run), experiment, config, run)
    return run, folder / "prepared"


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    return trained(study, tmp_path_factory.mktemp("causal"), "causal")


@pytest.fixture(scope="module")
def pack(finished, tmp_path_factory):
    out = tmp_path_factory.mktemp("packs") / "small run"
    result = CliRunner().invoke(
        app, ["pack", "build", "--run", str(finished[0]), "--data", str(finished[1]), "--out", str(out)]
    )
    assert result.exception is None, result.exception
    assert f"run 0.1.0 is in {out}" in result.output
    return Pack.open(out)


def test_the_pack_says_what_it_was_trained_on_and_how_well_it_decodes(pack, finished):
    m = pack.manifest
    assert (m.name, m.normalise, m.simulated) == ("run", "causal", True)
    assert "simulated NMED-T" in m.provenance.data
    assert m.provenance.config["align"]["batch"] == 4
    assert m.provenance.git_sha == json.loads((finished[0] / "provenance.json").read_text())["git_sha"]
    assert m.provenance.trained_seconds.keys() == set(SONGS)
    assert any("identification" in metric.label for metric in m.metrics)
    for metric in m.metrics:
        assert "time-block split" in metric.protocol
        assert "simulated EEG" in metric.protocol
        assert metric.n_recordings == 4
        assert metric.controls["mismatched"].protocol.endswith("music of another song in the test")
    assert m.confidence.weights
    assert "simulated EEG: that a real brain steers it is not shown" in describe(pack)


def test_it_decodes_what_the_run_decodes(pack, finished):
    run, data = finished
    decoder = Decoder.from_pack(pack, device="cpu")
    assert decoder.warm_up(1) > 0
    prepared = Prepared.open(data)
    experiment = experiment_data(prepared, CONFIG)
    x, used = experiment.windows.gather(experiment.split.test[:3])
    network = run_align(new_network(CONFIG, prepared), experiment, CONFIG, run).network
    import torch

    with torch.inference_mode():
        ours, _ = network.infer(torch.from_numpy(x), torch.from_numpy(used))
    made, _ = decoder.encode_many(x, used)
    assert ((made * ours.numpy()).sum(1) > 0.99).all()  # half precision
    assert pack.manifest.spaces.generator == StatisticsEmbedder.load(pack.file("embedder/statistics.npz").parent).sha


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    """A small CLAP with random weights."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    folder = tmp_path_factory.mktemp("clap")
    text = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    audio = {"patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1], "num_attention_heads": [1, 2],
             "num_hidden_layers": 2, "spec_size": 128, "patch_size": 8, "patch_stride": [8, 8]}  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ClapModel(ClapConfig(text_config=text, audio_config=audio)).save_pretrained(folder)
    hearing = {"sampling_rate": 16_000, "hop_length": 320, "max_length_s": 4, "frequency_max": 7000}
    ClapFeatureExtractor(**hearing, fft_window_size=1024, truncation="rand_trunc").save_pretrained(folder)
    return folder


def test_the_lab_can_aim_at_a_clap(finished, clap, tmp_path):
    prepared = Prepared.open(finished[1])
    experiment = experiment_data(prepared, CONFIG.model_copy(update={"embedder": str(clap)}))
    embedder = ClapEmbedder.load(clap, device="cpu")
    assert experiment.embedder.name == embedder.name == f"CLAP {embedder.sha[:12]}"
    sound, rate = read_song(prepared.stimuli[SONGS[1]])
    target = experiment.music[SONGS[1]].targets[8]
    assert target @ embedder.embed(sound[round(2 * rate) : round(6 * rate)], rate) == pytest.approx(1.0, abs=1e-4)
    experiment.embedder.save(tmp_path / "embedder")  # as a pack of such a run holds it
    assert load_embedder(tmp_path / "embedder").sha == embedder.sha


def test_its_library_plays_training_seconds_only(pack):
    library = pack.open_library()
    assert [song["title"] for song in library.songs] == ["Song 0", "Song 1"]
    spans = pack.manifest.provenance.trained_seconds
    index = json.loads((pack.directory / "library" / "index.json").read_text(encoding="utf-8"))
    for clip in index["clips"]:
        stop = clip["song_start_s"] + clip["seconds"]
        assert any(a - 0.01 <= clip["song_start_s"] and stop <= b + 0.1 for a, b in spans[clip["song"]])
    np.testing.assert_allclose(np.linalg.norm(library.prototypes, axis=1), 1.0, atol=1e-5)
    style = Style(library.prototypes[1], confidence=0.5)
    block, state = LibraryGenerator(library).generate(style, None, seconds=1.0, deadline=0.0)
    assert block.spans[-1].song == SONGS[1]
    assert np.abs(block.samples).max() > 0.01
    assert state.clips_retrieved == 1


def test_a_run_that_looks_ahead_makes_a_pack_that_live_refuses(study, tmp_path):
    run, data = trained(study, tmp_path, "whole-recording")
    pack = build_run_pack(run, data, tmp_path / "pack")
    assert pack.manifest.normalise == "whole-recording"
    assert "looks ahead, refused live" in describe(pack)
    with pytest.raises(UserError, match="scaled over the whole recording") as refused:
        Decoder.from_pack(pack.directory)
    assert "\n" not in str(refused.value)
    from bci_music.engine.build import build_engine
    from bci_music.engine.config import LiveConfig

    with pytest.raises(UserError, match="scaled over the whole recording"):
        build_engine(LiveConfig(pack=str(pack.directory)), None, None, None)


def test_wrong_wishes_are_sentences(finished, pack, tmp_path):
    run, data = finished
    with pytest.raises(UserError, match="is not empty"):
        build_run_pack(run, data, pack.directory)
    with pytest.raises(UserError, match=r"no aligner\.safetensors in .* `bci-music align`"):
        build_run_pack(tmp_path, data, tmp_path / "pack")
    assert "--data" in str(CliRunner().invoke(app, ["pack", "build", "--run", str(run)]).exception)
    both = CliRunner().invoke(app, ["pack", "build", "--demo", "--run", str(run)])
    assert isinstance(both.exception, UserError)
    other = tmp_path / "other"
    other.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes())
    noted = json.loads((run / "provenance.json").read_text())
    (other / "provenance.json").write_text(json.dumps(noted | {"data_hash": "another"}))
    with pytest.raises(UserError, match="is not the study that"):
        build_run_pack(other, data, tmp_path / "pack")


def test_clips_are_spread_over_what_is_there():
    assert excerpts([(0.0, 80.0)], 4.65, 2) == [(0.0, 9.5), (66.5, 9.5)]
    assert excerpts([(0.0, 6.0), (20.0, 27.0)], 4.65, 2) == [(20.0, 7.0)]
    assert excerpts([(0.0, 4.0)], 4.65, 2) == []


def test_a_library_keeps_to_its_size(study, tmp_path):
    """One song fits: the one with most training seconds; and of two versions the one played forwards."""
    embedder = StatisticsEmbedder.fit([np.random.default_rng(0).standard_normal(16_000 * 20)], 16_000, n_axes=4)
    music = {
        s: Music(np.random.default_rng(1).standard_normal((160, 512)).astype(np.float32), np.zeros((1, 1)), 0.25)
        for s in (*SONGS, "back")
    }
    first = study.stimuli[SONGS[0]]
    stimuli = study.stimuli | {"back": Stimulus("back", "Back", first.name, first.audio, reversed=True)}
    seconds = {SONGS[0]: [(0.0, 30.0)], SONGS[1]: [(0.0, 20.0)], "back": [(0.0, 40.0)]}
    kept = write_run_library(tmp_path / "a", stimuli, music, seconds, embedder, 4.0, max_bytes=139_000)
    assert kept == (SONGS[0],)
    assert sum(p.stat().st_size for p in (tmp_path / "a").iterdir()) <= 139_000
    with pytest.raises(UserError, match="at most 5000 are allowed"):
        write_run_library(tmp_path / "b", stimuli, music, seconds, embedder, 4.0, max_bytes=5000)
    with pytest.raises(UserError, match="nothing to play"):
        write_run_library(tmp_path / "c", stimuli, music, {SONGS[0]: [(0.0, 4.0)]}, embedder, 4.0)


def test_a_montage_of_ones_own_comes_along(tmp_path):
    from bci_music.eeg.montage import Montage
    from bci_music.packing.run import _own_montage

    (tmp_path / "net.yaml").write_text("name: net\nnames: [A]\npositions_mm: {A: [10, 20, 80]}\n")
    (tmp_path / "pack").mkdir()
    assert _own_montage("nmed", tmp_path / "pack") == "nmed"
    name = _own_montage(str(tmp_path / "net.yaml"), tmp_path / "pack")
    assert Montage.load(tmp_path / "pack" / name).names == ("A",)
