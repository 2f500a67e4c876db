"""The demo library: excerpts on bar lines from training seconds, and a small library that can be read back."""

import json

import numpy as np
import pytest
import soundfile

from bci_music.compose.composer import SONG_SECONDS, SONGS, TRAIN_SECONDS, Song, song_spec
from bci_music.models.embedder import StatisticsEmbedder
from bci_music.packing import excerpts as library
from bci_music.packing.excerpts import MAX_BYTES, excerpts, write_library


def toy(song_id: str) -> np.ndarray:
    """A stand-in for a song: its tempo and a tone of its own, 16 kHz."""
    spec = song_spec(song_id)
    t = np.arange(int(SONG_SECONDS * 16_000)) / 16_000
    tone = np.sin(2 * np.pi * 110 * 2 ** (spec.seed % 31 / 12) * t)
    return (0.2 * tone * np.exp(-5 * (t % spec.beat_s)) * (1 + 0.3 * np.sin(t / 3))).astype(np.float32)


@pytest.fixture
def few_songs(monkeypatch):
    import soxr

    def compose(song_id: str) -> Song:
        mono = soxr.resample(toy(song_id), 16_000, 48_000)
        return Song(np.stack([mono, mono], 1), 48_000, song_spec(song_id), np.zeros(1), np.zeros(1))

    monkeypatch.setattr(library, "SONGS", SONGS[:2])
    monkeypatch.setattr(library, "compose", compose)
    monkeypatch.setattr(library, "mono_16k", toy)


@pytest.mark.parametrize("spec", SONGS, ids=lambda s: s.id)
def test_excerpts_are_whole_bars_of_training_seconds(spec):
    found = excerpts(spec)
    assert len(found) == 2
    for start, length in found:
        bars = (length - library.TAIL_S) / spec.bar_s
        assert bars == pytest.approx(round(bars))
        assert start / spec.bar_s == pytest.approx(round(start / spec.bar_s))
        assert round(bars * spec.beats_per_bar) % 4 == 0  # the player's bars have four beats
        assert 7 < length < 12
        assert start + length <= TRAIN_SECONDS[1]


@pytest.mark.learning
@pytest.mark.usefixtures("few_songs")
def test_library_is_complete(tmp_path):
    from bci_music.models.library import MusicLibrary

    embedder = StatisticsEmbedder.fit([toy(s.id)[: 20 * 16_000] for s in SONGS[:2]], n_axes=12)
    write_library(tmp_path, embedder)
    index = json.loads((tmp_path / "index.json").read_text())
    rows, prototypes = np.load(tmp_path / "embeddings.npy"), np.load(tmp_path / "prototypes.npy")
    assert index["embedder"] == embedder.sha
    assert [s["id"] for s in index["songs"]] == [s.id for s in SONGS[:2]]
    assert np.linalg.norm(prototypes, axis=1) == pytest.approx(1.0, abs=1e-5)
    last = 0
    for clip in index["clips"]:
        samples, rate = soundfile.read(tmp_path / clip["file"])
        assert (rate, samples.shape[1]) == (48_000, 2)
        assert len(samples) / rate == pytest.approx(clip["seconds"], abs=1e-3)
        assert clip["rows"][0] == last
        last = clip["rows"][1]
        assert last - clip["rows"][0] == len(clip["row_times_s"]) == int(clip["seconds"] - 4) + 1
    assert last == len(rows)
    assert len(MusicLibrary.load(tmp_path).clips) == 4


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_real_library_fits_its_budget_and_finds_its_songs(tmp_path):
    from bci_music.compose.composer import HELD_OUT_SECONDS, mono_16k

    stop, again = int(TRAIN_SECONDS[1] * 16_000), int(HELD_OUT_SECONDS[0] * 16_000)
    embedder = StatisticsEmbedder.fit([mono_16k(s.id)[:stop] for s in SONGS])
    write_library(tmp_path, embedder)
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) <= MAX_BYTES
    prototypes = np.load(tmp_path / "prototypes.npy")
    held_out = [embedder.embed_frames(mono_16k(s.id)[again:], 16_000) for s in SONGS]
    found = np.concatenate([(rows @ prototypes.T).argmax(1) == i for i, rows in enumerate(held_out)])
    assert found.mean() >= 0.9  # the audio oracle over 14 songs
    for rows in held_out:  # and windows of one song can still be told apart
        alike = rows @ rows.T - np.eye(len(rows))
        assert alike.max(1).mean() < 0.99
