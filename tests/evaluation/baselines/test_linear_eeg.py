"""Linear EEG: it finds what is linear, nothing where nothing is, and stays within its memory."""

import numpy as np
import pytest

from bci_music.evaluation.baselines.linear import LinearEeg, fit_linear, flattened
from bci_music.messages import UserError
from bci_music.training.eeg.corpus import Corpus, Music, Segment

RATE, CHANNELS, SECONDS, SONGS, DIM = 40.0, 6, 120, 4, 5


def planted(shuffled=False, seed=0):
    """Segments whose channels carry the music's slow courses, with the course over a window as its target."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((DIM, CHANNELS))
    courses, music = [], {}
    for song in range(SONGS):
        slow = np.repeat(rng.standard_normal((SECONDS, DIM)), int(RATE), axis=0)
        targets = np.stack([slow[int(k * RATE) : int((k + 2) * RATE)].mean(0) for k in range(SECONDS - 2)])
        targets /= np.linalg.norm(targets, axis=1, keepdims=True)
        courses.append(slow)
        music[f"s{song}"] = Music(targets.astype(np.float32), np.zeros((SECONDS * 10, 2), np.float32), 1.0)
    order = np.roll(np.arange(SONGS), 1) if shuffled else np.arange(SONGS)
    segments = []
    for listener in range(2):
        for song in range(SONGS):
            eeg = courses[order[song]] @ mixing + 2.0 * rng.standard_normal((len(courses[song]), CHANNELS))
            used = np.ones(CHANNELS, bool)
            used[listener] = False
            recording = f"r{listener} {song}"
            segments.append(Segment(eeg.T.astype(np.float16), used, f"s{song}", 0.0, f"l{listener}", recording))
    return segments, music


def similarity_of_unseen(shuffled):
    """Mean cosine on the last third of every song after fitting on the rest."""
    segments, music = planted(shuffled)
    cut = int(80 * RATE)

    def corpus(parts):
        return Corpus(parts, music, sfreq_hz=RATE, n_times=int(2 * RATE), patch=int(RATE))

    learn = corpus([Segment(t.eeg[:, :cut], t.used, t.song, 0.0, t.listener, t.recording) for t in segments])
    test = corpus([Segment(t.eeg[:, cut:], t.used, t.song, 80.0, t.listener, t.recording) for t in segments])
    model = fit_linear(learn, hop_s=1.0, rate_hz=5.0)
    batch = test.gather(list(test.windows(2.0)))
    out = model.clap(batch.x, batch.used)
    assert model.parameters == CHANNELS * 10 * DIM + DIM
    return float(np.mean((out * batch.target).sum(1) / np.linalg.norm(out, axis=1)))


def test_what_is_linear_is_found_and_nothing_in_other_songs():
    assert similarity_of_unseen(shuffled=False) > 0.7
    assert abs(similarity_of_unseen(shuffled=True)) < 0.2


def test_unusable_channels_count_nothing():
    x = np.random.default_rng(0).standard_normal((3, 4, 20)).astype(np.float32)
    used = np.array([[True, False, True, True]] * 3)
    other = x.copy()
    other[:, 1] = np.nan
    flat = flattened(other, used, 8)
    np.testing.assert_array_equal(flat, flattened(x, used, 8))
    assert flat.shape == (3, 4 * 2)
    np.testing.assert_allclose(flat[:, 0], x[:, 0, :8].mean(1), rtol=1e-5)


def rows(n=60, n_channels=4, n_times=20):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, n_channels, n_times)).astype(np.float32)
    return x, np.ones((n, n_channels), bool), rng.standard_normal((n, 3)).astype(np.float32), np.arange(n) % 2


def test_it_is_ridge_however_the_rows_are_dealt():
    x, used, target, fold = rows()
    model = LinearEeg.fit([(x, used, target, fold)], sfreq_hz=10.0, rate_hz=2.0, alpha=0.1)
    inputs = x.reshape(60, 4, 4, 5).mean(3).reshape(60, -1)
    centred = inputs - inputs.mean(0)
    penalty = 0.1 * (centred**2).sum() / 16
    weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(16), centred.T @ (target - target.mean(0)))
    np.testing.assert_allclose(model.clap(x, used), centred @ weights + target.mean(0), atol=1e-4)
    dealt = [(x[k : k + 7], used[k : k + 7], target[k : k + 7], fold[k : k + 7]) for k in range(0, 60, 7)]
    again = LinearEeg.fit(dealt, sfreq_hz=10.0, rate_hz=2.0, alpha=0.1)
    np.testing.assert_allclose(again.ridge.weights, model.ridge.weights, atol=1e-5)


def test_what_is_saved_decodes_the_same(tmp_path):
    x, used, target, fold = rows()
    model = LinearEeg.fit([(x, used, target, fold)], sfreq_hz=10.0, rate_hz=2.0)
    model.save(tmp_path / "linear.safetensors")
    again = LinearEeg.load(tmp_path / "linear.safetensors", n_channels=4, n_times=20)
    np.testing.assert_array_equal(again.clap(x, used), model.clap(x, used))
    with pytest.raises(UserError, match="does not fit windows of 5 channels"):
        LinearEeg.load(tmp_path / "linear.safetensors", n_channels=5, n_times=20)


def test_too_many_inputs_are_refused_before_memory_is_taken():
    x = np.zeros((1, 125, 500), np.float32)
    batch = (x, np.ones((1, 125), bool), np.zeros((1, 512), np.float32), np.zeros(1, int))
    with pytest.raises(UserError, match="62500 inputs"):
        LinearEeg.fit([batch], sfreq_hz=125.0, rate_hz=125.0)
