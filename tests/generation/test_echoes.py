"""Way B: the newest window leads a block moment by moment, and nothing but EEG and style comes to it."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from random_transformer import write_random_control, write_random_transformer

from bci_music.files import read_json
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.echoes import EchoesConfig
from bci_music.generation.open import GeneratorsConfig, choose_generator, open_generator
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, EegSteps, Style, UserError
from bci_music.models.pack import file_sha256

pytestmark = pytest.mark.learning

EEG_DIM, STEPS = 24, 10
SHORT = {"overlap_s": 0.32, "context_s": 0.64, "block_s": 0.64, "margin_s": 0.16, "fade_s": 0.16, "device": "cpu"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    parts = write_random_transformer(write_random_audioldm(tmp_path_factory.mktemp("parts"), seed=1), seed=2)
    return write_random_control(parts, EEG_DIM, seed=3)


@pytest.fixture(scope="module")
def generator(directory):
    return EchoesConfig(checkpoint=str(directory), **SHORT).open()


def steps(seed, end_s=50.0, seconds=1.28):
    values = np.random.default_rng(seed).standard_normal((STEPS, EEG_DIM)).astype(np.float32)
    return EegSteps(values, seconds, end_s)


def style(seed=0, eeg=None):
    vector = np.random.default_rng(100 + seed).standard_normal(EMBEDDING_DIM)
    return Style((vector / np.linalg.norm(vector)).astype(np.float32), confidence=1.0, made_s=1.0, steps=eeg)


def clips(generator, *styles, state=None):
    made = []
    for asked in styles:
        block, state = generator.generate(asked, state, seconds=5.12, deadline=float("inf"))
        made.append(block)
    return made, state


def test_a_block_is_new_by_its_own_length_and_says_which_eeg_led_it(generator):
    made, state = clips(generator, style(eeg=steps(1)), style(eeg=steps(2, end_s=51.0)), style(eeg=steps(3, 52.0)))
    lengths = [len(block.samples) / AUDIO_RATE_HZ for block in made]
    assert lengths == pytest.approx([0.96, 0.64, 0.64], abs=0.01)  # the limiter holds a little of the first back
    assert state.latents.shape[2] == (0.32 + 0.64) / 0.04
    for end_s, block in zip((50.0, 51.0, 52.0), made, strict=True):
        led_to_s = block.spans[0].eeg_s + len(block.samples) / AUDIO_RATE_HZ
        assert led_to_s == pytest.approx(end_s - 0.32, abs=0.01)  # what is not played yet belongs to the newest EEG


def test_the_newest_window_lies_over_context_and_block(generator, monkeypatch):
    seen, led_by = [], type(generator.model).led_by
    monkeypatch.setattr(
        type(generator.model), "led_by", lambda model, course, end_s=0.0: seen.append((course, end_s)) or led_by(
            model, course, end_s
        )
    )  # fmt: skip
    eeg = steps(1)
    clips(generator, style(eeg=eeg), style(eeg=eeg))
    for course, end_s in seen:
        assert end_s == pytest.approx(0.64 + 0.64)
        np.testing.assert_array_equal(course.steps, eeg.values)
        values, there = course.tokens(18, 0.08, end_s)
        np.testing.assert_array_equal(there, [1.0] * 16 + [0.0] * 2)  # the margin behind has none
        np.testing.assert_allclose(values[15], eeg.values[-1], atol=1e-6)


def test_the_same_state_and_style_give_the_same_block_and_other_eeg_another(generator):
    _, state = clips(generator, style(eeg=steps(1)))
    (first,), _ = clips(generator, style(eeg=steps(2)), state=state)
    (again,), _ = clips(generator, style(eeg=steps(2)), state=state)
    (other,), _ = clips(generator, style(eeg=steps(3)), state=state)
    np.testing.assert_array_equal(first.samples, again.samples)
    difference = float(np.sqrt(np.mean((first.samples - other.samples)[-AUDIO_RATE_HZ // 4 :] ** 2)))
    assert difference > 0.1 * float(np.sqrt(np.mean(first.samples**2)))


def test_without_steps_the_transformer_goes_on_by_itself(generator, directory):
    alone = EchoesConfig(checkpoint=str(directory), control_scale=0.0, **SHORT).open()
    (plain, more), state = clips(generator, style(), style(1))
    (silent,), _ = clips(alone, style(eeg=steps(1)))
    np.testing.assert_array_equal(plain.samples, silent.samples)
    assert plain.spans[0].eeg_s != plain.spans[0].eeg_s
    assert np.isfinite(more.samples).all()
    assert state.clips_generated == 2


def test_a_note_says_whether_it_is_trained_and_how_much_the_eeg_leads(directory, tmp_path):
    parts = shutil.copytree(directory, tmp_path / "parts")
    write_random_control(parts, EEG_DIM, trained=True, control_scale=0.5)
    made = EchoesConfig(checkpoint=str(parts), **SHORT).open()
    assert not made.trained  # its base is not
    assert made.facts() == {
        "class": "EchoesGenerator", "name": "random transformer (not trained), random ControlNet", "trained": False,
        "control_scale": 0.5,
    }
    note = read_json(parts / "generator.json", "")
    note["transformer"]["trained"] = True
    (parts / "generator.json").write_text(json.dumps(note))
    assert EchoesConfig(checkpoint=str(parts), **SHORT).open().trained


def pack_with(generator, encoder):
    return SimpleNamespace(
        name="mine", generator=generator, file=lambda name: encoder, embedder=None,
        open_library=lambda: SimpleNamespace(nearest_song=lambda vector: {}),
    )


def test_another_decoders_steps_are_refused(directory, tmp_path):
    parts = shutil.copytree(directory, tmp_path / "parts")
    encoder = tmp_path / "encoder.safetensors"
    encoder.write_bytes(b"weights")
    write_random_control(parts, EEG_DIM, decoder=file_sha256(encoder))
    config = GeneratorsConfig(way="echoes")
    assert choose_generator(config, pack_with(parts, encoder)) == "echoes"
    assert open_generator("echoes", config, pack_with(parts, encoder)).way == "echoes"
    encoder.write_bytes(b"others")
    with pytest.raises(UserError, match="learned from another decoder's EEG than that of pack mine"):
        open_generator("echoes", config, pack_with(parts, encoder))


def test_a_pack_without_a_controlnet_is_a_sentence(directory, tmp_path):
    parts = shutil.copytree(directory, tmp_path / "parts")
    shutil.rmtree(parts / "control")
    pack = pack_with(parts, None)
    assert not EchoesConfig().available(pack)
    assert choose_generator(GeneratorsConfig(), pack) == "transformer"  # never by itself
    assert choose_generator(GeneratorsConfig(), pack_with(directory, None)) == "transformer"
    with pytest.raises(UserError, match="Pack mine brings no ControlNet for --way echoes"):
        open_generator("echoes", GeneratorsConfig(way="echoes"), pack)


def test_steps_of_another_width_are_a_sentence(generator):
    wrong = EegSteps(np.zeros((4, EEG_DIM + 1), np.float32), 1.28, 0.0)
    with pytest.raises(UserError, match="use it with the decoder it was trained with"):
        clips(generator, style(eeg=wrong))


def test_no_music_is_looked_at(generator, monkeypatch):
    """The true target is nowhere: what could make latents or a vector of heard music fails, and all goes on."""

    def unavailable(*args, **kwargs):
        raise AssertionError("music was looked at")

    from bci_music.models import embedder, log_mel

    monkeypatch.setattr(type(generator.model), "encode", unavailable)
    monkeypatch.setattr(type(generator.model.vae), "encode", unavailable)
    monkeypatch.setattr(log_mel, "log_mel_torch", unavailable)
    monkeypatch.setattr(embedder, "load_embedder", unavailable)
    made, _ = clips(generator, style(eeg=steps(1)), style(eeg=steps(2)))
    assert all(np.isfinite(block.samples).all() for block in made)
