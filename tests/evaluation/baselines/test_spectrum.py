"""The spectrum decoder reads a recording's own rhythm, in whatever second, and nothing where there is none."""

import numpy as np

from bci_music.evaluation.baselines.spectrum import SpectrumEeg, fit_spectrum, log_power, n_bands
from bci_music.training.eeg.corpus import Corpus, Music, Segment

RATE, CHANNELS, SECONDS = 125.0, 6, 40


def corpus(rhythm):
    """Four songs; each segment carries a rhythm of its own as strong as `rhythm` times the noise."""
    rng = np.random.default_rng(0)
    segments, music = [], {}
    at = np.arange(int(SECONDS * RATE)) / RATE
    for song in range(4):
        target = rng.standard_normal(512).astype(np.float32)
        music[f"s{song}"] = Music(
            np.tile(target / np.linalg.norm(target), (4 * SECONDS - 15, 1)), np.zeros((10 * SECONDS, 2), np.float32),
            0.25,
        )
        for listener in range(3):
            wave = np.sin(2 * np.pi * (9 + 4 * song) * at + rng.uniform(0, 6)) * rng.uniform(0.5, 1.5, (CHANNELS, 1))
            eeg = rhythm * wave + rng.standard_normal((CHANNELS, len(at)))
            used = np.ones(CHANNELS, bool)
            used[song] = False
            recording = f"L{listener} s{song}"
            segments.append(Segment(eeg.astype(np.float16), used, f"s{song}", 0.0, f"L{listener}", recording))
    return Corpus(segments, music, sfreq_hz=RATE, n_times=500, patch=50)


def share_right(made, corpus):
    batch = corpus.draw(np.random.default_rng(1), 60)
    targets = np.stack([corpus.music[s].targets[0] for s in corpus.songs])
    return float((np.argmax(made.clap(batch.x, batch.used) @ targets.T, axis=1) == batch.song).mean())


def test_a_recordings_own_rhythm_gives_its_song_away(tmp_path):
    heard = corpus(0.6)
    made = fit_spectrum(heard, hop_s=2.0)
    assert share_right(made, heard) > 0.9
    made.save(tmp_path / "s.safetensors")
    again = SpectrumEeg.load(tmp_path / "s.safetensors", n_channels=CHANNELS, sfreq_hz=RATE)
    batch = heard.draw(np.random.default_rng(2), 5)
    assert np.array_equal(made.clap(batch.x, batch.used), again.clap(batch.x, batch.used))
    harmed = np.where(batch.used[:, :, None], batch.x, 1e4).astype(np.float32)
    assert np.allclose(made.clap(harmed, batch.used), made.clap(batch.x, batch.used), atol=1e-5)


def test_bands_follow_frequency_and_no_level():
    x = np.sin(2 * np.pi * 11.0 * np.arange(500) / RATE)[None, None].astype(np.float32)
    level = log_power(x, RATE)
    assert level.shape == (1, 1, n_bands())
    assert level[0, 0].argmax() == 4  # 10 to 12 Hz
    noise = np.random.default_rng(0).standard_normal((2, 3, 500))
    assert np.allclose(log_power(noise, RATE), log_power(10 * noise, RATE), atol=1e-2)
