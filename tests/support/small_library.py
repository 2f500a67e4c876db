"""A small music library of synthesised tones."""

import json

import numpy as np
import pytest
import soundfile

from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM

SONGS = ("low", "middle", "high")
NOTES_HZ = (220.0, 330.0, 495.0)


def unit(vector):
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def write_library(directory, seconds=6.0, songs=SONGS):
    """Write a library in the pack's layout: one tone with a beat per song, prototypes that are well apart."""
    rng = np.random.default_rng(3)
    prototypes = np.stack([unit(rng.standard_normal(EMBEDDING_DIM)) for _ in songs])
    rows, clips = [], []
    time_s = np.arange(round(seconds * AUDIO_RATE_HZ)) / AUDIO_RATE_HZ
    for number, song in enumerate(songs):
        tone = 0.3 * np.sin(2 * np.pi * NOTES_HZ[number] * time_s) * (0.6 + 0.4 * np.cos(2 * np.pi * 2 * time_s))
        soundfile.write(directory / f"{song}.ogg", np.stack([tone, 0.8 * tone], axis=1), AUDIO_RATE_HZ,
                        format="OGG", subtype="OPUS")
        first = len(rows)
        rows += [unit(prototypes[number] + 0.01 * rng.standard_normal(EMBEDDING_DIM)) for _ in range(3)]
        clips.append({"file": f"{song}.ogg", "song": song, "seconds": seconds, "song_start_s": 0.0,
                      "rows": [first, len(rows)], "row_times_s": [0.0, 1.0, 2.0]})
    index = {
        "format": 1, "embedder": "test", "clips": clips,
        "songs": [{"id": s, "title": s.title(), "genre": "test", "bpm": 120.0, "mood": "plain"} for s in songs],
    }
    (directory / "index.json").write_text(json.dumps(index))
    np.save(directory / "embeddings.npy", np.stack(rows))
    np.save(directory / "prototypes.npy", prototypes)
    return prototypes


@pytest.fixture(scope="session")
def library_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("library")
    write_library(directory)
    return directory


@pytest.fixture(scope="session")
def prototypes(library_dir):
    return np.load(library_dir / "prototypes.npy")
