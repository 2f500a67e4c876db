"""TRF and CCA find the flux that was planted in EEG, at its lag, and nothing where it is another song's."""

import numpy as np
import pytest

from bci_music.evaluation.baselines.cca import Cca
from bci_music.evaluation.baselines.courses import LaggedEeg, MusicCourses, fit_style, music_course, unit_courses
from bci_music.evaluation.baselines.trf import Trf
from bci_music.messages import UserError
from bci_music.training.eeg.corpus import Corpus, Music, Segment

RATE, CHANNELS, SECONDS, SONGS, N_TIMES = 125.0, 5, 96, 3, 500
LAGS = LaggedEeg(RATE, N_TIMES)


def clicks(seed):
    """Noise in bursts at random times, on no grid that songs would share: sound with onsets."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(SECONDS * 8000)
    for at in rng.integers(0, len(sound) - 800, SECONDS * 3):
        sound[at : at + 800] += 0.1 * rng.standard_normal(800)
    return sound.astype(np.float32)


@pytest.fixture(scope="module")
def music():
    return MusicCourses({f"s{k}": music_course(clicks(k), 8000.0, RATE) for k in range(SONGS)}, LAGS)


def study(music, wrong=0):
    """Training and test side: channels carry the flux of 120 ms ago; with `wrong` that of another song."""
    rng = np.random.default_rng(9)
    mixing = rng.standard_normal((CHANNELS, 1))
    sides = []
    for start, stop in ((0, 64), (68, 96)):
        segments = []
        for k in range(SONGS):
            for listener in range(2):
                flux = np.roll(music.songs[f"s{(k + wrong) % SONGS}"], 15)[int(start * RATE) : int(stop * RATE)]
                eeg = mixing * flux + 1.5 * rng.standard_normal((CHANNELS, len(flux)))
                used = np.ones(CHANNELS, bool)
                used[listener] = False
                name = f"l{listener} s{k}"
                segments.append(Segment(eeg.astype(np.float16), used, f"s{k}", float(start), f"l{listener}", name))
        targets = np.ones((4 * (SECONDS - 4) + 1, 512), np.float32) / np.sqrt(512)
        heard = {f"s{k}": Music(targets, np.zeros((10 * SECONDS, 2), np.float32), 0.25) for k in range(SONGS)}
        sides.append(Corpus(segments, heard, sfreq_hz=RATE, n_times=N_TIMES, patch=50))
    return sides


def correlations(made, corpus):
    """(own, another second of the same song): mean cosine over all test windows."""
    places = list(corpus.windows(4.0))
    batch = corpus.gather(places)
    names = np.array(corpus.songs)[batch.song]
    read = made.read(batch.x, batch.used)
    own, other = made.heard(names, batch.second), made.heard(names, 160.0 - batch.second - 4.0)
    assert np.allclose(np.linalg.norm(read, axis=1), 1.0, atol=1e-4)
    return float((read * own).sum(1).mean()), float((read * other).sum(1).mean())


@pytest.mark.parametrize("kind", [Trf, Cca])
def test_the_planted_flux_is_found_in_music_never_trained_on(kind, music):
    learn, test = study(music)
    own, other = correlations(kind.fit(learn, music), test)
    assert own > (0.5 if kind is Trf else 0.25)
    assert abs(other) < 0.15


@pytest.mark.parametrize("kind", [Trf, Cca])
def test_nothing_is_found_in_eeg_of_other_music(kind, music):
    learn, test = study(music, wrong=1)
    own, _ = correlations(kind.fit(learn, music), test)
    assert abs(own) < 0.15


def test_the_weights_lie_at_the_planted_lag(music):
    weights = np.abs(Trf.fit(study(music)[0], music).ridge.weights).reshape(CHANNELS, LAGS.n_lags).sum(0)
    assert weights.argmax() in (3, 4)  # 96 and 128 ms


@pytest.mark.parametrize("kind", [Trf, Cca])
def test_what_is_saved_reads_the_same_and_absent_channels_count_nothing(kind, music, tmp_path):
    learn, test = study(music)
    made = kind.fit(learn, music)
    made.save(tmp_path / "made.safetensors")
    again = kind.load(tmp_path / "made.safetensors", music, CHANNELS)
    batch = test.draw(np.random.default_rng(0), 6)
    np.testing.assert_array_equal(made.read(batch.x, batch.used), again.read(batch.x, batch.used))
    harmed = np.where(batch.used[:, :, None], batch.x, np.nan)
    np.testing.assert_allclose(made.read(harmed, batch.used), made.read(batch.x, batch.used), atol=1e-6)
    with pytest.raises(UserError, match="does not fit windows of 4 channels"):
        kind.load(tmp_path / "made.safetensors", music, 4)
    assert made.parameters > 0


def test_what_is_read_leads_on_to_an_embedding(music):
    learn, test = study(music)
    made = Trf.fit(learn, music)
    ridge = fit_style(learn, made.read, hop_s=4.0)
    batch = test.draw(np.random.default_rng(0), 6)
    assert ridge(made.read(batch.x, batch.used)).shape == (6, 512)


def test_the_cosine_is_the_mean_correlation():
    a, b = (np.random.default_rng(k).standard_normal((1, 40, 3)) for k in (1, 2))
    cosine = float((unit_courses(a) * unit_courses(b)).sum())
    each = [np.corrcoef(a[0, :, k], b[0, :, k])[0, 1] for k in range(3)]
    assert cosine == pytest.approx(np.mean(each), abs=1e-6)


def test_windows_that_are_too_short_are_refused():
    with pytest.raises(UserError, match=r"A window of 1\.00 s leaves 20 instants"):
        LaggedEeg(RATE, 125)
