"""The fast renderer: the same music as the full one, at its level, whatever excerpt is asked for."""

import numpy as np
import pytest

from bci_music.compose.composer import compose, render, song_spec
from bci_music.compose.fast import FAST_HZ, LUFS, RenderedNotes, fast_mix
from bci_music.compose.mastering import k_weighting, loudness_lufs
from bci_music.models.music_features import mel_weights, power_frames

SPEC = song_spec("night-bus")
RECORDED = {  # mean log10 mel of every eighth band, as it was when the recordings were made
    "morning-loop": (1.2186, 0.2324, -0.7070, -1.3367, -3.3553, -6.3848, -6.3718, -6.4371),
    "copper-sky": (-3.7049, -0.4699, 0.8994, -0.3615, 0.8228, -0.2168, -0.8863, -2.2025),
    "rain-temple": (1.5958, -1.0158, -1.1551, -1.2899, -3.7457, -4.5008, -5.8876, -6.9133),
}


def mel(mono):
    return np.log10(power_frames(mono, 1024, 160) @ mel_weights(64, 1024) + 1e-7)


def test_quick_and_full_rendering_are_the_same_music():
    import soxr

    fast = render(SPEC, 8.0, FAST_HZ, start_s=12.0)
    full = render(SPEC, 8.0, 48_000, start_s=12.0)
    assert fast.samples.shape == (8 * FAST_HZ, 1)
    assert full.samples.shape == (8 * 48_000, 2)
    assert np.array_equal(fast.beats_s, full.beats_s)
    a, b = mel(fast.samples[:, 0]), mel(soxr.resample(full.samples.mean(1), 48_000, FAST_HZ))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97
    later = mel(render(SPEC, 8.0, FAST_HZ, start_s=16.0).samples[:, 0])
    assert np.corrcoef(a.ravel(), later.ravel())[0, 1] < 0.9  # the comparison can tell


def test_an_excerpt_is_what_the_song_sounds_like_there():
    whole = render(SPEC, 20.0, FAST_HZ).samples[:, 0]
    piece = render(SPEC, 6.0, FAST_HZ, start_s=10.0).samples[:, 0]
    inside = whole[10 * FAST_HZ : 16 * FAST_HZ]
    assert np.corrcoef(inside, piece)[0, 1] > 0.98  # up to the level and the limiter
    assert np.abs(piece[:800]).max() > 0.01  # not faded in
    assert np.abs(piece[-800:]).max() > 0.01


def test_beats_count_from_the_excerpts_beginning():
    song = render(SPEC, 6.0, FAST_HZ, start_s=SPEC.bar_s * 2 + 0.1)
    assert song.beats_s[0] == pytest.approx(SPEC.beat_s - 0.1)
    assert song.bars_s[0] == pytest.approx(SPEC.bar_s - 0.1)


def test_level_and_determinism():
    a = fast_mix(SPEC, 6.0, rendered=RenderedNotes())
    assert loudness_lufs(a[None], FAST_HZ) == pytest.approx(LUFS, abs=0.7)
    assert np.abs(a).max() < 0.9
    assert fast_mix(SPEC, 6.0).tobytes() == a.tobytes()


def test_notes_are_rendered_once_and_cut_to_length():
    rendered = RenderedNotes()
    whole, long, short = (rendered.get("rhodes", False, 60, seconds) for seconds in (0.49, 0.45, 0.35))
    assert whole is rendered.get("rhodes", False, 60, 0.49)
    assert long.size - short.size == pytest.approx(0.10 * FAST_HZ, abs=1)
    assert short.size < long.size < whole.size
    assert np.array_equal(short[:4000], whole[:4000])
    assert np.abs(short[-5:]).max() < 1e-3


def test_the_least_used_notes_are_dropped():
    rendered = RenderedNotes(max_bytes=60_000)
    first = rendered.get("rhodes", False, 60, 0.49)
    for pitch in range(61, 64):
        rendered.get("rhodes", False, pitch, 0.49)
    assert rendered.get("rhodes", False, 60, 0.49) is not first


def test_loudness_is_the_same_at_any_rate():
    assert np.allclose(np.concatenate(k_weighting(47_999)), np.concatenate(k_weighting(48_000)), atol=1e-3)
    for rate in (16_000, 48_000):
        t = np.arange(3 * rate) / rate
        tone = 0.1 * np.sin(2 * np.pi * 997 * t)
        assert loudness_lufs(np.stack([tone, 0 * tone]), rate) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("song_id", RECORDED)
def test_the_songs_of_recordings_and_packs_have_not_changed(song_id):
    bands = mel(compose(song_id, 6.0, FAST_HZ).samples.mean(1)).mean(0)[::8]
    assert np.allclose(bands, RECORDED[song_id], atol=2e-3)
