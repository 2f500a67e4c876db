"""`bci-music calibrate`, the whole way: recordings and a pack in, a pack that opens out; or one sentence."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from typer.testing import CliRunner
from untrained_pack import write_untrained

from bci_music.cli.main import app
from bci_music.data.session import Event, song_marker
from bci_music.data.study import Recording, Stimulus, Study
from bci_music.eeg.chain import SignalConfig
from bci_music.eeg.montage import Montage
from bci_music.engine.build import _songs
from bci_music.messages import UserError
from bci_music.models.decoder import Decoder
from bci_music.models.embedder import StatisticsEmbedder
from bci_music.models.pack import MANIFEST, DecoderConfig, Pack, file_sha256
from bci_music.models.sizes import EncoderConfig, HeadConfig
from bci_music.packing.describe import describe
from bci_music.packing.listener import make_listener_pack
from bci_music.simulate.listener import SimulatedListener
from bci_music.simulate.session import make_session
from bci_music.training.calibration import listener as calibration
from bci_music.training.calibration import listener_data
from bci_music.training.calibration.encoder import LearnConfig
from bci_music.training.calibration.listener import CalibrateConfig
from bci_music.training.eeg.simulated import session_hash

pytestmark = pytest.mark.learning

SONGS = ("night-bus", "lantern", "ash-waltz")
KEPT = CalibrateConfig(encoder="kept")


def tune(song):
    """Two minutes of tones that change; composing takes seconds and does not matter here."""
    rng = np.random.default_rng(sum(song.encode()))
    t = np.arange(120 * 16_000) / 16_000
    pitch = np.repeat(rng.uniform(100, 2000, 240), 8_000)
    loud = np.repeat(rng.uniform(0.05, 1.0, 240), 8_000)
    return (0.2 * loud * np.sin(2 * np.pi * pitch * t) + 0.01 * rng.standard_normal(t.size)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def tunes():
    import bci_music.simulate.session as session

    made = {song: tune(song) for song in SONGS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "mono_16k", made.get)
        patch.setattr(listener_data, "mono_16k", made.get)
        yield made


@pytest.fixture(scope="module")
def heard():
    """96 s of a simulated listener the pack never heard."""
    program = [(song, 20.0, 32.0) for song in SONGS]
    return make_session(SimulatedListener(101), program, 7)


@pytest.fixture(scope="module")
def base(tmp_path_factory, tunes):
    directory = tmp_path_factory.mktemp("packs") / "base"
    (directory / "library").mkdir(parents=True)
    embedder = StatisticsEmbedder.fit(list(tunes.values()), 16_000, n_axes=8)
    embedder.save(directory / "embedder")
    prototypes = np.stack([embedder.embed(tunes[song], 16_000) for song in SONGS])
    np.save(directory / "library" / "prototypes.npy", prototypes)
    np.save(directory / "library" / "embeddings.npy", prototypes)
    (directory / "library" / "a.ogg").touch()  # no test plays it
    songs = ", ".join(f'{{"id": "{s}", "title": "{s}"}}' for s in SONGS)
    clip = f'{{"file": "a.ogg", "song": "{SONGS[0]}", "rows": [0, 1]}}'
    (directory / "library" / "index.json").write_text(f'{{"songs": [{songs}], "clips": [{clip}]}}')
    small = DecoderConfig(encoder=EncoderConfig(dim=32, depth=1, heads=2), head=HeadConfig(hidden=32, embed_dim=24))
    return write_untrained(directory, decoder=small)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """Say what a recording of a name holds, as if it had been read from a file."""
    there = {}
    monkeypatch.setattr(listener_data, "open_session", lambda path, reading: there[path])

    def record(session, name="mine.xdf"):
        there[tmp_path / name] = session
        return tmp_path / name

    return record


def changed(session, **values):
    return type(session)(**{name: getattr(session, name) for name in session.__slots__} | values)


@pytest.fixture(scope="module")
def made(base, heard, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listener_data, "open_session", lambda path, reading: heard)
        out = tmp_path_factory.mktemp("out") / "mine"
        return make_listener_pack(
            base.directory, [Path("mine.xdf")], out, listener="Anna B.", config=KEPT, device="cpu"
        )


def test_the_listeners_pack_is_whole_and_says_what_it_is(made, base, heard):
    pack = Pack.open(made.pack.directory)
    m = pack.manifest
    assert m.name == "untrained-Anna-B"
    assert m.base == f"untrained@{file_sha256(base.directory / MANIFEST)[:12]}"
    assert set(m.files) == set(base.manifest.files)
    assert m.provenance.kind == "simulated"
    assert "simulated EEG of Anna B." in m.provenance.data
    assert m.provenance.recordings == {"mine.xdf": session_hash(heard)}
    assert m.provenance.trained_seconds.keys() == set(SONGS)
    assert m.provenance.config["calibrate"]["composed_audio"] == sorted(SONGS)
    assert len(m.metrics) >= 4
    assert all("simulated EEG of Anna B." in metric.protocol and metric.controls for metric in m.metrics)
    assert "made from    untrained@" in describe(pack)
    assert Decoder.from_pack(pack, device="cpu").warm_up(1) > 0
    assert len(_songs(pack)[0]) == 3
    assert pack.file("encoder.safetensors").read_bytes() == base.file("encoder.safetensors").read_bytes()


def test_words_tell_before_and_after_and_that_it_is_simulated(made):
    text = "\n".join(made.words())
    assert "No audio was given for ash-waltz, lantern, night-bus: their sound is that of the composed songs." in text
    assert re.search(r"1\.[56] minutes of simulated EEG of Anna B\. with 3 songs\.", text)
    assert text.count("before  ") == text.count("after   ") == len(made.calibrated.comparisons)
    assert "that a real brain steers the music is not shown" in text


def test_tracking_is_said_first_and_kept(made):
    words = made.words()
    assert words[0].startswith("Tracking ")
    assert "3 recordings" in words[0] or "1 recording of 1 listener with 3 pieces" in words[0]
    assert ("nothing that follows is evidence" in words[1]) is words[0].startswith("Tracking does not")
    assert made.pack.manifest.provenance.config["calibrate"]["tracking"] == list(made.tracking)


def test_own_audio_is_used_and_named_by_its_hash(base, heard, recorded, tunes, tmp_path):
    for song in SONGS:
        soundfile.write(tmp_path / f"{song}.wav", tunes[song], 16_000)
    entries = {song: {"file": f"{song}.wav", "title": song.title()} for song in SONGS}
    entries["never-heard"] = {"file": "no-such-file.wav"}
    (tmp_path / "audio.yaml").write_text(yaml.safe_dump({"songs": entries}))
    made = make_listener_pack(
        base.directory, [recorded(heard)], tmp_path / "pack", audio=tmp_path / "audio.yaml", config=KEPT, device="cpu"
    )
    settings = made.pack.manifest.provenance.config["calibrate"]
    assert settings["composed_audio"] == []
    assert settings["audio"]["lantern"] == file_sha256(tmp_path / "lantern.wav")
    assert made.pack.manifest.name == "untrained-mine"


def test_an_encoder_that_learned_on_is_in_the_pack_and_its_adapter_is_the_bases(
    base, heard, recorded, monkeypatch, tmp_path
):
    monkeypatch.setattr(calibration, "_sure_gain", lambda *given: 0.1)
    config = CalibrateConfig(learn=LearnConfig(steps=2, batch=8, workers=1))
    made = make_listener_pack(base.directory, [recorded(heard)], tmp_path / "pack", config=config, device="cpu")
    pack = Pack.open(tmp_path / "pack")
    assert pack.file("adapter.safetensors").read_bytes() == base.file("adapter.safetensors").read_bytes()
    ours, theirs = (Decoder.from_pack(p, device="cpu").network.state_dict() for p in (pack, base))
    moved = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert any(name.startswith("encoder.") for name in moved)
    assert "basis" not in moved
    assert pack.manifest.provenance.config["calibrate"]["encoder_learned_on"] is True
    assert re.search(r"encoder, going on: 1\.[56] minutes", pack.manifest.provenance.data)
    assert any(line.startswith("The encoder learned on") for line in made.words())


def spoil(heard, kind):
    if kind == "no markers":
        return changed(heard, events=())
    if kind == "no audio":
        return changed(heard, events=(Event(0.0, song_marker("my-song", "Mine")),))
    rows = int(30 * heard.sfreq_hz)
    return changed(heard, samples_uv=heard.samples_uv[:rows], times_s=heard.times_s[:rows])


@pytest.mark.parametrize(("kind", "words"), [
    ("no markers", "mine.xdf has no song markers for what was heard"),
    ("no audio", "There is no audio for my-song"),
    ("too short", "hold 0.5 minutes of usable EEG with music, from 2 different excerpts"),
])  # fmt: skip
def test_wrong_recordings_are_sentences(base, heard, recorded, tmp_path, kind, words):
    path = recorded(spoil(heard, kind))
    result = CliRunner().invoke(
        app, ["calibrate", "--pack", str(base.directory), "--session", str(path), "--out", str(tmp_path / "pack")]
    )
    assert isinstance(result.exception, UserError)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "pack").exists()


def test_wrong_wishes_are_sentences(base, heard, recorded, made, tmp_path):
    path = recorded(heard)
    with pytest.raises(UserError, match="There is no pack 'nowhere'"):
        make_listener_pack("nowhere", [path], tmp_path / "pack")
    with pytest.raises(UserError, match="is not empty"):
        make_listener_pack(base.directory, [path], made.pack.directory)
    with pytest.raises(UserError, match=r"was trained on mine\.xdf already"):
        make_listener_pack(made.pack.directory, [path], tmp_path / "pack", device="cpu")
    with pytest.raises(UserError, match="holds the same EEG as another"):
        make_listener_pack(base.directory, [path, path], tmp_path / "pack", device="cpu")


def test_a_folder_of_several_listeners_wants_a_choice(heard, monkeypatch, tmp_path):
    names = {"anna": ("one",), "ben": ("one", "two")}
    recordings = tuple(
        Recording(f"sessions {who}/{name}", f"sessions {who}", tmp_path / who / name, lambda: heard)
        for who, own in names.items() for name in own
    )
    study = Study("sessions", tmp_path, recordings, {s: Stimulus(s, s, s) for s in SONGS}, True)
    monkeypatch.setattr(listener_data, "open_sessions", lambda path, reading: study)

    def opened(listener):
        given = {"audio": None, "signal": SignalConfig(), "montage": Montage.nmed()}
        return listener_data.open_listener_data([tmp_path], listener=listener, **given)

    with pytest.raises(UserError, match=r"2 listeners \(anna, ben\), and a calibration is for one"):
        opened(None)
    with pytest.raises(UserError, match=r"no recording of 'bert': there are anna, ben"):
        opened("bert")
    assert list(opened("anna").recordings) == ["anna/one"]
    with pytest.raises(UserError, match="the same EEG"):
        opened("ben")


def test_a_pack_that_needs_the_whole_recording_is_refused(base, tmp_path):


    directory = shutil.copytree(base.directory, tmp_path / "whole")
    (directory / MANIFEST).unlink()
    pack = Pack.write(directory, base.manifest.model_copy(update={"normalise": "whole-recording"}))
    assert "looks ahead, refused live" in describe(pack)
    with pytest.raises(UserError, match="scaled over the whole recording, which is only known when"):
        Decoder.from_pack(directory)
