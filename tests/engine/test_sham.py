"""Sham gives the music EEG from another time, says so, and a blind trial can be checked afterwards."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from offline_engine import run_session

from bci_music.clock import ManualClock
from bci_music.data.formats import open_session
from bci_music.engine.build import build_engine
from bci_music.engine.report import build_report
from bci_music.engine.sample import find_sample
from bci_music.engine.sham import Sham, ShamConfig
from bci_music.messages import EegSteps, Embedding, MusicMarker, StreamState
from bci_music.status import Command


def embedding(number, end_s):
    vector = np.zeros(512, np.float32)
    vector[number] = 1.0
    return Embedding(vector, np.zeros(1, np.float32), 0.5, number, number, number + 1, end_s, end_s, 1.0)


def songs_of(seconds):
    """A new song every `seconds`; two of them in turn."""
    return lambda at: MusicMarker(0.0, f"s{int(at // seconds) % 2}") if at >= 0 else None


def answers(mode, heard_at=lambda at: None, n=100, lag_s=30.0):
    sham = Sham(ShamConfig(mode=mode, lag_s=lag_s), heard_at, 4.0, lambda: 0.0)
    return sham, [sham.choose(embedding(k, float(k))) for k in range(n)]


def test_sham_is_what_was_decoded_before_and_fresh_for_whatever_follows():
    _, found = answers("sham")
    assert found[:30] == [None] * 30
    for k, answer in enumerate(found[30:], 30):
        assert answer.sham
        assert answer.vector.argmax() == k - 30
        assert (answer.window_index, answer.end_s, answer.first_sample) == (k, k, k - 30)


def test_sham_is_of_another_song():
    heard_at = songs_of(40.0)
    _, found = answers("sham", heard_at, n=200)
    for k, answer in enumerate(found):
        if answer is not None:
            assert heard_at(k - 2) != heard_at(answer.vector.argmax() - 2)
    assert sum(answer is not None for answer in found) > 150


def test_without_sham_nothing_changes():
    _, found = answers("off")
    assert all(not answer.sham and answer.vector.argmax() == k for k, answer in enumerate(found))


def test_both_answers_of_a_blind_trial_wait_alike_and_the_seal_holds():
    seen = set()
    for _ in range(40):
        sham, found = answers("blind", n=60)
        assert found[:30] == [None] * 30
        assert None not in found[30:]
        assert [answer.first_sample for answer in found[30:]] == list(range(30, 60))
        shown = sham.status()
        assert shown.revealed == ""
        assert "sham" not in shown.words.replace("brain or sham", "")
        span = sham.end()[0]
        assert found[-1].sham is span.sham
        text = f"{span.key} {'sham' if span.sham else 'brain'}"
        assert hashlib.sha256(text.encode()).hexdigest() == span.sealed == shown.sealed
        assert ("sham" in sham.status().revealed) is span.sham
        seen.add(span.sham)
    assert seen == {True, False}


@pytest.fixture(scope="module")
def sample():
    return open_session(find_sample())


def sham_config(config, mode):
    return config.model_copy(update={"sham": ShamConfig(mode=mode)})


@pytest.mark.learning
@pytest.mark.timeout(400)
def test_a_run_says_sham_in_window_and_report_and_stays_at_chance(sample, config):
    engine = run_session(sample, sham_config(config, "sham"))
    assert engine.snapshot().warning.startswith("SHAM")
    report = build_report(engine, engine.ended_s)
    assert [(s["mode"], s["sham"]) for s in report["sham"]] == [("sham", True)]
    assert report["chance"]["n"] == 0  # nothing of the EEG as it came
    assert report["chance"]["on_sham"]["n"] >= 8
    assert not report["chance"]["on_sham"]["shown"]


@pytest.mark.learning
@pytest.mark.timeout(400)
def test_the_listener_of_the_sample_is_above_chance_and_a_blind_trial_is_sealed(sample, config):
    engine = run_session(sample, config)
    found = build_report(engine, engine.ended_s)["chance"]
    assert found["shown"]
    assert found["shown_s"] < 115
    assert found["on_sham"] is None
    short = replace(sample, samples_uv=sample.samples_uv[:2500], times_s=sample.times_s[:2500])
    blind = run_session(short, sham_config(config, "blind"))
    assert blind.snapshot().identification is None
    assert not [span for span in blind.snapshot().timeline if span.lane == "heard"]
    assert blind.snapshot().chance.method == ""
    report = build_report(blind, blind.ended_s)
    assert report["sham"][0]["key"] in report["sham"][0]["revealed"]


def test_sham_by_command_and_what_is_no_mode(noise_session, config):
    from bci_music.sound.player import ClockPlayer
    from bci_music.streaming.replay import SessionSource

    def run(speed, seed):
        clock = ManualClock(50.0)
        settings = config.model_copy(update={"sham": ShamConfig(mode="sham", lag_s=5.0)})
        source = SessionSource(noise_session(20.0, 160.0), speed=speed, clock=clock)
        engine = build_engine(settings, source, ClockPlayer(clock, threaded=False), clock)
        rng = np.random.default_rng(seed)
        while engine.state != StreamState.ENDED:
            engine.step(clock.advance(float(rng.uniform(0.005, 0.3))))
        engine.step(clock.advance(0.1))
        return engine

    slow, fast = run(1.0, 1), run(8.0, 2)
    a, b = slow.history.embeddings(), fast.history.embeddings()
    assert len(a) == len(b) > 10  # live is offline, sham too
    for one, other in zip(a, b, strict=True):
        assert one.sham
        assert np.array_equal(one.vector, other.vector)
        assert one.first_sample == other.first_sample
    slow.send(Command("sham", text="off"))
    assert slow.snapshot().sham.mode == "off"
    slow.send(Command("sham", text="blind"))
    assert slow.snapshot().sham.sealed
    with pytest.raises(ValueError, match="off, sham or blind"):
        slow.send(Command("sham", text="loud"))
    slow.stop()
    fast.stop()


def with_steps(number, end_s):
    steps = EegSteps(np.full((4, 3), float(number), np.float32), 4.0, end_s)
    return replace(embedding(number, end_s), steps=steps)


@pytest.mark.parametrize("mode", ["sham", "blind"])
def test_sham_gives_its_own_steps_and_brain_and_sham_wait_alike_for_them(mode):
    for _ in range(8):
        sham = Sham(ShamConfig(mode=mode), lambda at: None, 4.0, lambda: 0.0)
        for k in range(40):  # way A: no steps
            sham.choose(embedding(k, float(k)))
        found = [sham.choose(with_steps(k, float(k))) for k in range(40, 80)]
        assert found[:30] == [None] * 30  # there are no steps old enough, whatever the answer is
        for k, answer in enumerate(found[30:], 70):
            whose = k - 30 if answer.sham else k
            assert answer.vector.argmax() == whose
            assert answer.steps.values[0, 0] == whose
            assert answer.steps.end_s == k  # where it was from would give it away
