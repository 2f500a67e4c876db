"""Twenty thousand damaged files through the loaders: each is taken, or refused with the program's own exception."""

import json
import time
import warnings

import numpy as np
import pytest
import yaml
from valid_things import write_edf, write_xdf

from bci_music.data.formats import open_session
from bci_music.eeg.montage import Montage
from bci_music.engine.config import LiveConfig
from bci_music.files import read_array
from bci_music.generation.library import read_sound
from bci_music.messages import UserError
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.checkpoints.manifest import Pulled
from bci_music.models.checkpoints.weights import check_weights, read_shapes
from bci_music.models.embedder import StatisticsEmbedder
from bci_music.models.library import MusicLibrary
from bci_music.models.pack import PackManifest

pytestmark = pytest.mark.install
SLOWEST_S, LONGEST_SENTENCE = 5.0, 900
ODD = (
    b"\x00", b"\xff" * 8, b"\x7f\xff\xff\xff", b"-1", b"NaN", b"1e999", b"[[[[", b"}", b"\n", b"&a [*a]", b"!!x ",
    b"\\u0000",
)  # fmt: skip
LIVE = {
    "stream": {"montage": "nmed"}, "pack": "demo", "ring_seconds": 60.0,
    "sound": {"volume_db": -6.0, "stage": {"block_s": 0.25, "fallback": {"loop_s": 8.0}}},
}  # fmt: skip
NET = {"name": "net", "names": ["A", "B1..B3"], "positions_mm": {n: [10, 20, 80] for n in ("A", "B1", "B2", "B3")}}


def damaged(data, rng):
    """Flip, cut, insert, repeat or overwrite, once to a few times."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        way = rng.integers(0, 6)
        if way == 0 and data:
            data[at % len(data)] ^= 1 << rng.integers(0, 8)
        elif way == 1:
            data[at : at + rng.integers(1, 9)] = rng.bytes(int(rng.integers(1, 9)))
        elif way == 2:
            data[at:at] = ODD[rng.integers(len(ODD))]
        elif way == 3:
            del data[at : at + int(rng.integers(1, 200))]
        elif way == 4:
            data[at:at] = data[at : min(end, at + 300)]
        elif way == 5 and rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def loaders(place):
    """Name, how many inputs, the valid file, and what opens it."""
    (place / "live.yaml").write_text(yaml.safe_dump(LIVE))
    (place / "net.yaml").write_text(yaml.safe_dump(NET))
    manifest = PackManifest.model_validate({
        "name": "a", "version": "1", "licence": "MIT", "provenance": {"kind": "simulated", "data": "none"},
        "montage": "nmed", "reference": "average", "signal": {}, "decoder": {},
        "files": {"adapter.safetensors": {"sha256": "0" * 64, "bytes": 5}},
    })  # fmt: skip
    (place / "pack.yaml").write_text(yaml.safe_dump(manifest.model_dump(mode="json", exclude_defaults=True)))
    songs = [{"id": "a", "title": "A", "bpm": 120.0}]
    (place / "index.json").write_text(json.dumps({
        "songs": songs, "clips": [{"file": "index.json", "song": "a", "song_start_s": 0.0, "rows": [0, 2]}],
    }))  # fmt: skip
    np.save(place / "embeddings.npy", np.ones((2, 512), np.float32))
    np.save(place / "prototypes.npy", np.ones((1, 512), np.float32))
    np.save(place / "array.npy", np.ones((3, 4), np.float32))
    RidgeAdapter(np.ones((2, 3), np.float32), np.zeros(3, np.float32)).save(place / "adapter.safetensors")
    piece = np.random.default_rng(0).standard_normal(16_000 * 12).astype(np.float32)
    StatisticsEmbedder.fit([piece], n_axes=3).save(place)
    (place / "pulled.json").write_text(json.dumps({
        "format": 1, "name": "a/b", "revision": "0" * 40, "licence": "MIT", "source": {},
        "files": {"a.json": {"sha256": "0" * 64, "bytes": 3, "seen_ns": 5}},
    }))  # fmt: skip
    import soundfile

    soundfile.write(place / "clip.wav", 0.1 * np.ones((400, 2)), 48_000)
    write_xdf(place / "short.xdf", rows=40)
    write_edf(place / "short.edf")
    return (
        ("live.yaml", 3000, LiveConfig.load), ("net.yaml", 2500, Montage.load), ("pack.yaml", 2500, PackManifest.load),
        ("index.json", 2000, lambda path: MusicLibrary.load(path.parent)),
        ("array.npy", 2500, lambda path: read_array(path, None, "x")),
        ("adapter.safetensors", 2500, RidgeAdapter.load), ("adapter.safetensors", 1000, read_shapes),
        ("adapter.safetensors", 500, check_weights),
        ("statistics.npz", 800, lambda path: StatisticsEmbedder.load(path.parent)),
        ("pulled.json", 1500, lambda path: Pulled.read(path.parent)), ("clip.wav", 700, read_sound),
        ("short.xdf", 400, open_session), ("short.edf", 100, open_session),
    )  # fmt: skip


@pytest.mark.timeout(400)
def test_no_loader_raises_what_is_not_ours(tmp_path):
    rng, wrong, total, slowest = np.random.default_rng(15), [], 0, 0.0
    for name, count, load in loaders(tmp_path):
        path = tmp_path / name
        valid = path.read_bytes()
        for _ in range(count):
            content = damaged(valid, rng)
            path.write_bytes(content)
            began = time.process_time()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what a library says of a damaged file
                    load(path)
            except UserError as error:
                if "\n" in str(error) or len(str(error)) > LONGEST_SENTENCE:
                    wrong.append(f"{name}: {str(error)[:300]!r}")
            except Exception as error:
                wrong.append(f"{name}: {type(error).__name__}: {str(error)[:200]} for {content[:300]!r}")
            slowest = max(slowest, time.process_time() - began)
            total += 1
        path.write_bytes(valid)
    assert total == 20_000
    assert not wrong, f"{len(wrong)} of {total}:\n" + "\n".join(wrong[:20])
    assert slowest < SLOWEST_S
