"""The vocoder gives back what a spectrogram says, without a comb, whatever its network has learned."""

import numpy as np
import pytest
import torch

from bci_music.compose.composer import SONGS, render
from bci_music.generation.audioldm.spectral_vocoder import SpectralVocoder, peak_phases
from bci_music.metrics.comb import comb_db
from bci_music.models.log_mel import HOP, N_FFT, RATE_HZ, log_mel, log_mel_torch, normalised


@pytest.fixture(scope="module")
def vocoder():
    torch.manual_seed(0)
    return SpectralVocoder(dim=16, depth=2).eval()


def chords(seconds=7.0, seed=0):
    """Three tones that change every half second, with a noise at each change."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros(len(t))
    for first in range(0, len(t), RATE_HZ // 2):
        part = t[first : first + RATE_HZ // 2] - first / RATE_HZ
        tones = sum(np.sin(2 * np.pi * f * part) for f in rng.uniform(150, 3000, 3))
        sound[first : first + len(part)] = np.exp(-3 * part) * (tones + 0.3 * rng.standard_normal(len(part)))
    return (0.1 * sound).astype(np.float32)


def picture(sound):
    return torch.from_numpy(log_mel(sound))[None]


def test_untrained_it_sounds_as_loud_in_every_band_as_it_was_told(vocoder):
    mel = picture(chords())
    with torch.inference_mode():
        again = log_mel_torch(vocoder(mel))
    heard = mel > mel.max() - 5.0
    assert float((again - mel)[heard].abs().mean()) < 0.35
    assert abs(float((again - mel)[heard].mean())) < 0.1


def test_it_does_not_buzz(vocoder):
    with torch.inference_mode():
        made = vocoder(picture(chords(13.0)))[0].numpy()
    assert np.median(comb_db(made, RATE_HZ)) < 1.0
    assert comb_db(made, RATE_HZ).max() < 3.0


def test_true_magnitudes_become_nearly_the_sound_they_are_of(vocoder):
    sound = torch.from_numpy(chords())[None]
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(sound, N_FFT, HOP, window=window, return_complex=True)[..., : sound.shape[1] // HOP]
    made = vocoder.sound(spectrum.abs().clamp_min(1e-5).log().transpose(1, 2))
    again = torch.stft(made, N_FFT, HOP, window=window, return_complex=True)[..., : spectrum.shape[2]]
    error = (again.abs() - spectrum.abs()).norm() / spectrum.abs().norm()
    assert float(error) < 0.15


def test_a_tone_begins_with_the_phases_of_a_tone():
    """Of a steady tone each frame's phase at its peak is that of the tone, up to one constant."""
    hz = 437.0
    t = torch.arange(RATE_HZ) / RATE_HZ
    spectrum = torch.stft(torch.sin(2 * np.pi * hz * t)[None], N_FFT, HOP, window=torch.hann_window(N_FFT),
                          return_complex=True)[..., 5:-5]  # fmt: skip
    peak = round(hz / RATE_HZ * N_FFT)
    difference = (spectrum.angle() - peak_phases(spectrum.abs()))[0, peak]
    turned = torch.polar(torch.ones_like(difference), difference)
    assert float(turned.mean().abs()) > 0.8


def test_the_same_spectrogram_gives_the_same_bits_and_its_length(vocoder):
    mel = picture(chords(2.0))
    with torch.inference_mode():
        first, second = vocoder(mel), vocoder(mel)
    assert torch.equal(first, second)
    assert first.shape == (1, mel.shape[1] * HOP)


@pytest.mark.parametrize("level", [-11.52, 3.0])
def test_silence_and_noise_at_full_scale_stay_finite(vocoder, level):
    with torch.inference_mode():
        made = vocoder(torch.full((1, 64, 64), level))
    assert torch.isfinite(made).all()
    if level < 0:
        assert float(made.abs().max()) < 1e-3


def test_it_is_written_and_read_in_half_precision(vocoder, tmp_path):
    import copy

    half = copy.deepcopy(vocoder).half()
    half.save_pretrained(tmp_path / "vocoder")
    again = SpectralVocoder.from_pretrained(tmp_path / "vocoder", torch_dtype=torch.float32).eval()
    mel = picture(chords(1.0))
    with torch.inference_mode():
        np.testing.assert_allclose(again.log_magnitude(mel), vocoder.log_magnitude(mel), atol=0.05)


def test_a_composed_song_comes_back_without_a_comb(vocoder):
    sound = normalised(render(next(iter(SONGS)), 8.0, RATE_HZ).samples[:, 0])
    with torch.inference_mode():
        made = vocoder(picture(sound))[0].numpy()
    assert comb_db(made, RATE_HZ).max() < 3.0
    assert np.median(comb_db(made, RATE_HZ)) < np.median(comb_db(sound, RATE_HZ)) + 3.0
