"""Words that steer: blended on the great circle, embedded aside, refused with a reason."""

import threading

import numpy as np
import pytest

from bci_music.messages import EMBEDDING_DIM, Embedding
from bci_music.sound.prompting import PromptStage
from bci_music.sound.steering import Steering, angle
from bci_music.status import PromptStatus, mix_words
from bci_music.workers import Latest


def basis(number):
    return np.eye(EMBEDDING_DIM, dtype=np.float32)[number]


WORDS = {"slow piano": 1, "fast drums": 2}


def embed_text(text):
    return 3 * basis(WORDS[text])  # not of length one


@pytest.fixture
def steering():
    made = Steering(Latest())
    made.feed(Embedding(basis(0), np.ones(1, np.float32), 0.5, 0, 0, 1, 1.0, 1.0, 1.0))
    return made


@pytest.fixture
def failures():
    return []


@pytest.fixture
def stage(steering, failures):
    return PromptStage(steering, lambda: embed_text, "", failures.append)


def test_a_prompt_turns_the_style_by_its_weight(stage, steering):
    plain = steering.style(1.0)
    stage.set_text("slow  piano ", 1.0)
    assert stage.status == PromptStatus("slow piano", "", 0.0)
    stage.step(1.0)
    np.testing.assert_array_equal(steering.style(1.0).vector, plain.vector)  # weight 0: brain only, to the bit
    for weight in (0.25, 0.5, 1.0):
        stage.set_weight(weight)
        style = steering.style(1.0)
        assert style.prompt_weight == weight
        assert angle(plain.vector, style.vector) == pytest.approx(weight * np.pi / 2, abs=1e-5)
        assert (style.confidence, style.made_s, style.from_eeg) == (plain.confidence, plain.made_s, True)
    np.testing.assert_allclose(style.vector, basis(1), atol=1e-6)
    stage.set_text("", 2.0)
    stage.step(2.0)
    np.testing.assert_array_equal(steering.style(1.0).vector, plain.vector)
    assert steering.prompt == PromptStatus("", "", 1.0)
    assert steering.prompt.words == "brain only"


def test_before_the_eeg_the_prompt_changes_nothing(failures):
    steering = Steering(Latest())
    stage = PromptStage(steering, lambda: embed_text, "", failures.append)
    stage.set_text("slow piano", 0.0)
    stage.set_weight(1.0)
    stage.step(0.0)
    assert not steering.style(0.0).from_eeg


def test_the_newest_words_win_and_the_old_ones_steer_until_then(steering, failures):
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def slowly(text):
        seen.append(text)
        begun.set()
        go_on.wait(10)
        return embed_text(text)

    stage = PromptStage(steering, lambda: slowly, "", failures.append)
    stage.set_weight(1.0)
    stage.set_text("slow piano", 1.0)
    worker = threading.Thread(target=lambda: stage.step(1.0))
    worker.start()
    assert begun.wait(10)
    stage.set_text("fast drums", 1.1)  # returns at once, and so does a style
    assert steering.style(1.1).prompt_weight == 0.0
    go_on.set()
    worker.join()
    assert (stage.status.heard, stage.status.text) == ("slow piano", "fast drums")
    stage.step(1.2)
    stage.step(1.3)
    assert seen == ["slow piano", "fast drums"]
    np.testing.assert_allclose(steering.style(1.3).vector, basis(2), atol=1e-6)


def test_what_goes_wrong_is_reported_and_the_brain_steers_on(steering, failures):
    def broken():
        raise OSError("the folder is gone")

    stage = PromptStage(steering, broken, "", failures.append)
    stage.set_weight(0.5)
    stage.set_text("slow piano", 3.0)
    stage.step(3.0)
    assert "'slow piano' could not be embedded (the folder is gone)" in failures[0].text
    assert (failures[0].stage, failures[0].fatal) == ("prompt", False)
    assert stage.status.text == ""
    assert steering.style(1.0).prompt_weight == 0.0
    nothing = PromptStage(steering, lambda: lambda text: np.zeros(EMBEDDING_DIM), "", failures.append)
    nothing.set_text("slow piano", 4.0)
    nothing.step(4.0)
    assert "not finite" in failures[1].text


def test_without_a_text_tower_words_are_refused(steering, failures):
    stage = PromptStage(steering, None, "pack demo has no text tower", failures.append)
    stage.set_text("  ", 1.0)
    assert failures == []
    stage.set_text("slow piano", 1.0)
    stage.step(1.0)
    assert failures[0].text == "The prompt 'slow piano' cannot be used: pack demo has no text tower."
    assert steering.prompt.unavailable == "pack demo has no text tower"


def test_shares_in_words():
    assert [mix_words(w) for w in (0.0, 0.3, 1.0)] == ["brain only", "brain 70 % + prompt 30 %", "prompt only"]
