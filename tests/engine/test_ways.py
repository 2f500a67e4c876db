"""A whole run by way B: EEG steps reach the sound, the report names the way, and no music but its own is looked at."""

from functools import partial

import pytest
from random_transformer import write_random_control, write_random_transformer
from slowed import Ear, TimedProducer
from small_library import write_library
from untrained_pack import write_untrained

from bci_music.clock import ManualClock
from bci_music.engine.build import build_engine
from bci_music.engine.config import LiveConfig
from bci_music.engine.report import build_report
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.messages import ECHOES, STYLE, StreamState
from bci_music.models.confidence import FEATURES
from bci_music.models.pack import ENCODER_FILE, ConfidenceFit, DecoderConfig, GeneratorPart, Pack, file_sha256
from bci_music.models.sizes import EncoderConfig, HeadConfig
from bci_music.sound.player import ClockPlayer
from bci_music.status import Command
from bci_music.streaming.markers import FileMarkers
from bci_music.streaming.replay import SessionSource

pytestmark = pytest.mark.learning

QUICK = {"overlap_s": 0.32, "margin_s": 0.16, "fade_s": 0.16, "device": "cpu", "anytime": False}
DECODER = DecoderConfig(encoder=EncoderConfig(dim=32, depth=1, heads=2), head=HeadConfig(hidden=32, embed_dim=24))
STEPS = {"sampler": {"steps": 1, "solver": "euler"}}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pack") / "both"
    (directory / "library").mkdir(parents=True)
    write_library(directory / "library")
    made = write_untrained(directory, decoder=DECODER)
    parts = write_random_transformer(write_random_audioldm(directory / "generator", seed=1), seed=2)
    eeg_dim = DECODER.encoder.dim + DECODER.head.embed_dim
    write_random_control(parts, eeg_dim, decoder=file_sha256(directory / ENCODER_FILE), control_scale=0.5)
    (directory / "pack.yaml").unlink()
    plain = (0.0,) * len(FEATURES)
    even = ConfidenceFit(features=FEATURES, mean=plain, scale=(1.0,) * len(FEATURES), weights=plain)  # 0.5 always
    new = {"generator": GeneratorPart(name="random"), "confidence": even}
    return Pack.write(directory, made.manifest.model_copy(update=new))


def config_for(pack):
    sound = {
        "way": ECHOES, "transformer": QUICK | STEPS, "echoes": QUICK | STEPS | {"context_s": 0.64, "block_s": 1.28},
        "stage": {"clip_s": 2.0},
    }  # fmt: skip
    return LiveConfig.parse({"pack": str(pack.directory), "sound": sound})


def play(config, session, monkeypatch, commands=()):
    """Play a session on a manual clock, each clip made at once; `commands` are (second, command)."""
    from bci_music.sound import stage

    clock, ear = ManualClock(1000.0), Ear()
    monkeypatch.setattr(stage, "SoundStage", partial(
        stage.SoundStage, make_producer=lambda generator: TimedProducer(generator, clock, lambda now: 0.2)
    ))  # fmt: skip
    source, player = SessionSource(session, clock=clock), ClockPlayer(clock, threaded=False)
    player.add_listener(ear)
    engine = build_engine(config, source, player, clock, lambda info, on: FileMarkers(source, on))
    player.start()
    left, seen = list(commands), []
    while engine.state != StreamState.ENDED:
        now = clock.advance(0.05)
        if left and now >= 1000.0 + left[0][0]:
            engine.send(left.pop(0)[1])
            if opening := getattr(engine.sound.plays, "_opening", None):
                opening.join()
        engine.step(now)
        newest = engine.decode.embedding.get()
        seen.append((engine.sound.plays.way, newest is not None and newest.steps is not None))
    report = build_report(engine, clock.now())
    engine.stop()
    assert (report["underruns"], report["starved_seconds"], ear.longest_s) == (0, 0.0, 0.0)
    assert report["failures"] == []
    return report, engine, seen


def test_a_run_by_way_b_with_no_music_to_look_at(pack, noise_session, monkeypatch):
    from bci_music.models import embedder, log_mel

    def unavailable(*args, **kwargs):
        raise AssertionError("music was looked at")

    for module, name in ((embedder, "load_embedder"), (log_mel, "log_mel_torch"), (log_mel, "log_mel")):
        monkeypatch.setattr(module, name, unavailable)
    switches = [(7.5, Command("way", text=STYLE)), (8.5, Command("way", text=ECHOES))]
    report, engine, seen = play(config_for(pack), noise_session(10.5), monkeypatch, switches)
    assert report["way"] == ECHOES
    assert report["generator"]["class"] == "EchoesGenerator"
    assert report["generator"]["control_scale"] == 0.5
    assert report["clips_generated"] >= 3
    led = {span.style_made_s for span, _, _ in engine.sound.spans() if span.eeg_s == span.eeg_s}
    assert report["eeg_to_ear_s"]["n"] == len(led) >= 2
    assert 1.0 < report["eeg_to_ear_s"]["p50"] < 6.0
    of_way_a = [steps for way, steps in seen if way == STYLE]
    assert of_way_a[-1] is False  # none are made while it plays
    assert seen[-1] == (ECHOES, True)
