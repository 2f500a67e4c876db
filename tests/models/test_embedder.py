"""The weight-free embedder: unit vectors that know their music and nothing of its loudness."""

import numpy as np
import pytest

from bci_music.messages import UserError
from bci_music.models.embedder import StatisticsEmbedder, to_mono_16k
from bci_music.models.music_features import group_sizes, window_features

pytestmark = pytest.mark.learning

RATE = 16_000


def piece(seed: int, seconds: float = 24.0) -> np.ndarray:
    """A toy song: a pulse of its own tempo on a chord of its own, over its own noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    beat = np.exp(-8 * (t % (0.3 + 0.08 * seed)))
    notes = 110 * 2 ** (rng.choice(24, 3, replace=False) / 12)
    chord = sum(np.sin(2 * np.pi * f * t) for f in notes)
    hiss = np.convolve(rng.standard_normal(t.size), np.hanning(3 + 4 * seed), "same") / (2 + seed)
    drift = 1 + 0.5 * np.sin(2 * np.pi * t / (7 + seed))
    return (0.1 * beat * chord * drift + 0.02 * hiss * np.roll(beat, seed * 900)).astype(np.float32)


@pytest.fixture(scope="module")
def embedder() -> StatisticsEmbedder:
    return StatisticsEmbedder.fit([piece(i)[: 16 * RATE] for i in range(5)], n_axes=24, hop_s=0.5)


def test_unit_vectors_of_512(embedder):
    frames = embedder.embed_frames(piece(1), RATE, hop_s=1.0)
    assert frames.shape == (21, 512)
    assert frames.dtype == np.float32
    assert np.linalg.norm(frames, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert embedder.embed(piece(1), RATE).shape == (512,)


def test_frames_equal_single_windows(embedder):
    audio = piece(2)
    frames = embedder.embed_frames(audio, RATE, hop_s=0.5)
    for i in (0, 7, 20):
        start = int(i * 0.5 * RATE)
        alone = embedder.embed(audio[start:start + 4 * RATE], RATE)
        assert frames[i] @ alone == pytest.approx(1.0, abs=1e-5)


def test_loudness_and_channels_do_not_matter(embedder):
    audio = piece(3)[: 4 * RATE]
    loud = embedder.embed(8.0 * audio, RATE)
    stereo = embedder.embed(np.stack([audio, audio], 1), RATE)
    assert loud @ embedder.embed(audio, RATE) > 0.9999
    assert stereo @ embedder.embed(audio, RATE) > 0.9999


def test_songs_are_found_from_seconds_never_fitted(embedder):
    prototypes = np.stack([embedder.embed(piece(i)[: 16 * RATE], RATE) for i in range(5)])
    hits = [
        (embedder.embed_frames(piece(i)[16 * RATE:], RATE, hop_s=1.0) @ prototypes.T).argmax(1) == i for i in range(5)
    ]
    assert np.concatenate(hits).mean() >= 0.9


def test_short_clips_are_repeated(embedder):
    audio = piece(4)[:RATE]
    assert embedder.embed(audio, RATE) @ embedder.embed(np.tile(audio, 4), RATE) == pytest.approx(1.0, abs=1e-5)


def test_resampled_audio_lands_nearby(embedder):
    import soxr

    audio = piece(1)[: 8 * RATE]
    at_48k = soxr.resample(audio, RATE, 48_000)
    assert embedder.embed(at_48k, 48_000) @ embedder.embed(audio, RATE) > 0.9


def test_save_and_load_give_the_same_embedder(embedder, tmp_path):
    embedder.save(tmp_path / "e")
    loaded = StatisticsEmbedder.load(tmp_path / "e")
    assert loaded.sha == embedder.sha
    assert loaded.embed(piece(0), RATE) @ embedder.embed(piece(0), RATE) == pytest.approx(1.0, abs=1e-5)
    other = StatisticsEmbedder.fit([piece(i)[: 16 * RATE] for i in range(1, 5)], n_axes=24)
    assert other.sha != embedder.sha


def test_fit_is_deterministic(embedder):
    again = StatisticsEmbedder.fit([piece(i)[: 16 * RATE] for i in range(5)], n_axes=24, hop_s=0.5)
    assert again.sha == embedder.sha


def test_group_sizes_add_up():
    assert sum(n for n, _ in group_sizes()) == window_features(piece(0), 1.0).shape[1]


def test_silence_is_embedded_too(embedder):
    assert np.isfinite(embedder.embed(np.zeros(RATE, np.float32), RATE)).all()


def test_refusals(embedder, tmp_path):
    with pytest.raises(UserError, match=r"statistics\.npz"):
        StatisticsEmbedder.load(tmp_path)
    with pytest.raises(UserError, match="too few"):
        StatisticsEmbedder.fit([piece(0)[: 5 * RATE]])
    with pytest.raises(UserError, match="expected"):
        to_mono_16k(np.zeros((2, 3, 4)), RATE)
    with pytest.raises(ValueError, match="10 ms"):
        embedder.embed_frames(piece(0), RATE, hop_s=0.123)
