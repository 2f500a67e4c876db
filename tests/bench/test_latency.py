"""The measure of latency: a planted step is found where it is, and a stage that changes at once is heard at once."""

from itertools import pairwise

import numpy as np
import pytest

from bci_music.bench.latency import Change, LatencyConfig, latencies, measure_latency, song_order, step_at, summary
from bci_music.messages import AUDIO_RATE_HZ, UserError

pytestmark = pytest.mark.learning


class Tones:
    """Embeds by how much of the sound is the low and how much the high tone."""

    def embed_frames(self, audio, sfreq_hz, window_s, hop_s):
        n, hop = round(window_s * sfreq_hz), round(hop_s * sfreq_hz)
        rows = []
        for at in range(0, len(audio) - n + 1, hop):
            spectrum = np.abs(np.fft.rfft(audio[at : at + n]))
            level = [spectrum[round(hz * n / sfreq_hz)] for hz in (200.0, 1500.0)]
            rows.append(np.array(level) / max(np.hypot(*level), 1e-9))
        return np.array(rows)


def tone(hz, seconds):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * AUDIO_RATE_HZ)) / AUDIO_RATE_HZ).astype(np.float32)


@pytest.mark.parametrize("late_s", [0.4, 1.7, 4.3])
def test_a_planted_change_is_found_where_it_is_heard(late_s):
    sound = np.concatenate([tone(200, 8 + late_s), tone(1500, 9)])
    found = latencies(sound, [Change(8.0, 0, 1)], np.eye(2), Tones(), LatencyConfig())
    assert found == pytest.approx([late_s], abs=0.15)


def test_sound_that_stays_as_it_was_is_not_heard_to_change():
    sound = tone(200, 20)
    assert np.isnan(latencies(sound, [Change(8.0, 0, 1)], np.eye(2), Tones(), LatencyConfig())).all()
    assert summary([float("nan"), 2.0, 3.0])["heard"] == 2
    assert summary([float("nan")])["p50_s"] is None


def test_noise_shifts_the_step_little_and_a_fall_is_none():
    rng = np.random.default_rng(0)
    times = np.arange(120) / 10
    rise = 0.2 * rng.standard_normal(120) + (times > 5.0)
    assert step_at(rise, times) == pytest.approx(5.0, abs=0.3)
    assert np.isnan(step_at(1.0 - rise, times))


def test_songs_change_their_genre_each_time():
    genres = ["a", "a", "b", "c"]
    order = song_order(genres, LatencyConfig(changes=30))
    assert len(order) == 31
    assert all(genres[a] != genres[b] for a, b in pairwise(order))


def test_without_another_genre_or_generator_it_says_so():
    with pytest.raises(UserError, match="one genre"):
        song_order(["a", "a"], LatencyConfig())
    with pytest.raises(UserError, match="library"):
        measure_latency("demo", "libary", LatencyConfig())


@pytest.mark.soak
@pytest.mark.realtime
def test_the_library_of_the_pack_follows_within_seconds():
    found = measure_latency("demo", "library", LatencyConfig(changes=3, gap_s=(4.5, 5.0)))
    assert found["heard"] >= 2
    assert 0 < found["p50_s"] < 4.5
    assert found["silent_s"] == 0.0
