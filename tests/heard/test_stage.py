"""The stage between ring and bets: what is compared, what is passed over, and what is said."""

import numpy as np
import pytest
from hearing import ArraySound, Fed, compare

from bci_music.heard.stage import LEAD_S, MOVED, HeardStage
from bci_music.messages import BREAK, HOLE


def test_sound_in_the_eeg_is_shown_and_sham_is_not(heard_tones):
    samples, sfreq_hz, audio = heard_tones
    found = compare(samples, sfreq_hz, ArraySound(audio))
    own, sham = found.answer(), found.answer(sham=True)
    assert (own.method, own.heard, own.n, own.shown) == ("sound", "the programme", 7, True)
    assert own.hits >= 4
    assert own.shown_s < 70
    assert (sham.n, sham.shown, sham.sham) == (4, False, True)


def test_chunks_and_the_time_of_the_start_change_nothing(heard_tones):
    samples, sfreq_hz, audio = heard_tones
    samples = samples[: round(60 * sfreq_hz)]
    whole = compare(samples, sfreq_hz, ArraySound(audio)).answer()
    later = compare(samples, sfreq_hz, ArraySound(audio, 1000.0), chunk_s=0.37, start_s=1000.0).answer()
    assert (later.n, later.hits) == (whole.n, whole.hits)
    assert later.evidence == pytest.approx(whole.evidence, rel=0.02)


def test_sound_that_reaches_the_ear_later_is_found_with_its_delay(heard_tones):
    samples, sfreq_hz, audio = heard_tones
    early = ArraySound(audio, -1.0)  # says it a second before it is heard
    assert compare(samples, sfreq_hz, early, delay_s=1.0).answer().shown
    assert not compare(samples, sfreq_hz, early).answer().shown


def test_a_recording_that_is_played_again_adds_nothing(heard_tones):
    samples, sfreq_hz, audio = heard_tones
    short = round(63.3 * sfreq_hz)
    again = np.concatenate([samples[:short], samples[:short]])
    once = compare(samples[:short], sfreq_hz, ArraySound(np.concatenate([audio, audio]))).answer()
    twice = compare(again, sfreq_hz, ArraySound(np.concatenate([audio[: round(63.3 * 16_000)], audio]))).answer()
    assert twice.n <= once.n + 1  # the block in which it begins again holds something new


def test_gaps_and_unknown_sound_are_passed_over(heard_tones):
    samples, sfreq_hz, audio = heard_tones
    fed = Fed([f"C{i}" for i in range(samples.shape[1])], sfreq_hz)
    stage = HeardStage(fed, ArraySound(audio))
    n = round(50 * sfreq_hz)
    times, flags = np.arange(n) / sfreq_hz, np.zeros(n, np.uint8)
    flags[round((LEAD_S + 15) * sfreq_hz)] = HOLE  # in the second block
    fed.feed(samples[:n], times, flags)
    stage.step(50.0)
    assert stage.answer().n == 1  # of four one has a hole, and two are learned from
    fed.feed(samples[:n], times + 1000.0, np.where(np.arange(n) == 0, BREAK, flags).astype(np.uint8))
    stage.step(1050.0)
    assert stage.answer().n == 1  # nothing is known of the sound there


def test_what_cannot_be_known_is_said():
    fed = Fed(["A"], 20.0)
    sound = ArraySound(np.zeros(16_000 * 60, np.float32))
    sound.why = "nobody sings"
    stage = HeardStage(fed, sound)
    assert stage.answer().why == "Cannot know: nobody sings."
    fed.feed(np.ones((600, 1), np.float32), np.arange(600) / 20.0)
    stage.step(30.0)
    assert "20 Hz is too slow" in stage.answer().why
    sound.step = lambda now: 1 / 0
    stage.step(31.0)
    assert "was lost (division by zero)" in stage.answer().why
    stage.moved = True
    assert (stage.answer().method, stage.answer().why) == ("", MOVED)
