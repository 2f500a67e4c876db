"""Steering: waits, follows confident windows, holds when the decoder is silent, and has a state."""

from dataclasses import replace

import numpy as np
import pytest

from bci_music.messages import EMBEDDING_DIM, EegSteps, Embedding
from bci_music.sound.steering import Steering, SteeringConfig
from bci_music.status import PromptStatus
from bci_music.workers import Latest


def basis(number):
    return np.eye(EMBEDDING_DIM, dtype=np.float32)[number]


def embedding(vector, index, end_s, confidence, connection=0):
    return Embedding(vector, np.ones(1, np.float32), confidence, index, 0, 1, end_s, end_s + 0.1, 1.0, connection)


def test_before_the_first_embedding_it_waits():
    style = Steering(Latest()).update(5.0)
    assert not style.from_eeg
    assert np.linalg.norm(style.vector) == pytest.approx(1.0, abs=1e-5)


def test_confident_windows_pull_harder():
    latest = Latest()
    steering = Steering(latest)
    for index, (vector, confidence) in enumerate([(basis(0), 0.9), (basis(1), 0.1)]):
        latest.put(embedding(vector, index, 1.0, confidence), 1.0)
        style = steering.update(1.2)
    assert style.from_eeg
    assert style.vector[0] == pytest.approx(9 * style.vector[1], rel=1e-4)
    assert np.linalg.norm(style.vector) == pytest.approx(1.0, abs=1e-5)


def test_old_windows_fade_with_the_time_constant():
    steering = Steering(Latest(), SteeringConfig(time_constant_s=2.0))
    steering.feed(embedding(basis(0), 0, 0.0, 0.5))
    steering.feed(embedding(basis(1), 1, 2.0, 0.5))
    style = steering.style(2.0)
    assert style.vector[0] / style.vector[1] == pytest.approx(np.exp(-1), rel=1e-4)


def test_the_same_embedding_counts_once_and_one_without_confidence_not_at_all():
    latest = Latest()
    steering = Steering(latest)
    latest.put(embedding(basis(0), 3, 1.0, 0.5), 1.0)
    first = steering.update(1.1)
    before = steering.state()
    assert steering.update(1.2).confidence == pytest.approx(first.confidence)
    assert steering.state() is before
    steering.feed(embedding(basis(1), 4, 1.5, 0.0))
    steering.feed(embedding(np.full(EMBEDDING_DIM, np.nan, np.float32), 5, 2.0, 0.5))
    np.testing.assert_array_equal(steering.style(2.0).vector, first.vector)
    steering.feed(embedding(basis(1), 3, 2.0, 0.5, connection=1))  # same number, but after a reconnection
    assert steering.style(2.0).vector[1] > 0


def test_a_silent_decoder_holds_the_style_with_confidence_zero():
    steering = Steering(Latest(), SteeringConfig(max_age_s=3.0))
    steering.feed(embedding(basis(0), 0, 1.0, 0.5))
    assert steering.style(3.0).confidence == pytest.approx(0.5)
    held = steering.style(10.0)
    assert held.confidence == 0
    assert held.from_eeg
    np.testing.assert_array_equal(held.vector, basis(0))


def test_restoring_the_state_goes_on_as_before():
    rng = np.random.default_rng(0)
    a, b = Steering(Latest()), Steering(Latest())
    for index in range(5):
        a.feed(embedding(rng.standard_normal(EMBEDDING_DIM).astype(np.float32), index, index / 2, 0.4))
    b.restore(a.state())
    for steering in (a, b):
        steering.feed(embedding(basis(7), 9, 3.0, 0.2))
    np.testing.assert_array_equal(a.style(3.0).vector, b.style(3.0).vector)


def test_a_style_has_the_steps_of_the_newest_window_and_none_where_nothing_of_the_eeg_counts():
    steering = Steering(Latest())
    for index in range(2):
        steps = EegSteps(np.full((4, 3), float(index), np.float32), 4.0, float(index))
        steering.feed(replace(embedding(basis(index), index, float(index), 0.5), steps=steps))
    assert steering.style(1.2).steps is steps
    words = PromptStatus(text="piano", heard="piano", weight=0.5)
    steering.set_prompt(basis(7), words)
    assert steering.style(1.2).steps is steps
    steering.set_prompt(basis(7), replace(words, weight=1.0))
    assert steering.style(1.2).steps is None
    steering.set_prompt(None, PromptStatus())
    assert steering.style(60.0).steps is None  # too old
    steering.feed(embedding(basis(2), 2, 60.0, 0.5))
    assert steering.style(60.2).steps is None  # way A again
