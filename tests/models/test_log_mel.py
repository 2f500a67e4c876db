import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from bci_music.models.log_mel import FLOOR, RATE_HZ, SILENCE, log_mel, log_mel_torch, mel_filters, normalised


def sound(seconds=1.0, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220, 1330.0, 5000.0))
    return (0.2 * chord * np.exp(-2 * t) + 0.01 * rng.standard_normal(t.size)).astype(np.float32)


def slaney():
    return mel_filter_bank(513, 64, 0.0, 8000.0, RATE_HZ, norm="slaney", mel_scale="slaney")


def test_the_filters_are_slaneys():
    np.testing.assert_allclose(mel_filters(), slaney(), atol=2e-8)


def test_the_picture_is_that_of_another_implementation():
    mono = sound()
    theirs = spectrogram(
        mono.astype(np.float64), window_function(1024, "hann", periodic=True), 1024, 160, power=1.0, center=True,
        pad_mode="reflect", mel_filters=slaney(), mel_floor=FLOOR, log_mel="log",
    ).T  # fmt: skip
    ours = log_mel(mono)
    assert ours.shape == (100, 64)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs[:100], atol=2e-3)


def test_torch_and_numpy_agree():
    mono = np.stack([sound(0.5, seed) for seed in (1, 2)])
    mono[1, 3000:] = 0  # digital silence, too
    pictures = log_mel_torch(torch.from_numpy(mono)).numpy()
    for picture, row in zip(pictures, mono, strict=True):
        np.testing.assert_allclose(picture, log_mel(row), atol=2e-3)


def test_silence_has_the_lowest_value_and_a_finite_gradient():
    silent = torch.zeros(1, 1600, requires_grad=True)
    picture = log_mel_torch(silent)
    assert torch.allclose(picture, torch.full_like(picture, SILENCE))
    picture.sum().backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_a_frame_is_centred_on_its_first_sample():
    click = np.zeros(16_000, np.float32)
    click[40 * 160] = 1.0
    assert log_mel(click)[:, 32].argmax() == 40


def test_normalised_sound_is_centred_with_a_peak_of_one_half():
    mono = normalised(sound() * 0.01 + 0.3)
    assert abs(mono.mean()) < 1e-3
    assert np.abs(mono).max() == pytest.approx(0.5)
    assert not normalised(np.zeros(2000)).any()


@pytest.mark.parametrize("make", [log_mel, lambda x: log_mel_torch(torch.from_numpy(x)[None])])
def test_too_little_sound_is_refused(make):
    with pytest.raises(ValueError, match="too few"):
        make(np.zeros(512, np.float32))
