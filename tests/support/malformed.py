"""Malformed packs, configurations, checkpoints and recordings: each a mutation of a valid one, made in a folder."""

import hashlib
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

NAN, HUGE = float("nan"), 10**30
PLACE_NAME = "place"  # of the folder that a case is made in
DEEP = "[" * 3000 + "]" * 3000
BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@dataclass(frozen=True)
class Case:
    """A malformed thing: `make` writes it into a folder and returns what the program is asked to do with it."""

    name: str
    make: Callable[[Path], list[str]]


@dataclass(frozen=True)
class Valid:
    """Folders with one valid thing each, and valid recordings."""

    pack: Path
    audioldm: Path
    clap: Path
    xdf: Path
    edf: Path


def sign(pack: Path) -> None:
    """Write sizes and hashes of the files as they are now into pack.yaml, so that only their contents are wrong."""
    manifest = pack / "pack.yaml"
    values = yaml.safe_load(manifest.read_text())
    for name in values["files"]:
        data = (pack / name).read_bytes()
        values["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest.write_text(yaml.safe_dump(values))


# What can be wrong with a file, whatever it is.
def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(7).bytes(3000))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_out(path: Path) -> None:
    there = next(parent for parent in path.parents if parent.name == PLACE_NAME) / f"outside-{path.name}"
    shutil.move(path, there)
    path.symlink_to(there)


def link_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


FILE = (cut, empty, noise)
PLACE = (folder, pipe, link_out, link_loop, device)


# Tables of weights, JSON and arrays.
def tensors(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def mutate(path: Path) -> None:
        from safetensors.numpy import load_file, save_file

        table = dict(load_file(str(path)))
        change(table)
        save_file(table, str(path))

    return mutate


def largest(table: dict) -> str:
    return max((name for name in table if table[name].dtype.kind == "f"), key=lambda name: table[name].size)


def poison(value: float) -> Callable[[dict], None]:
    def change(table: dict) -> None:
        name = largest(table)
        table[name] = table[name].copy()
        table[name].flat[3] = value

    return change


def drop(table: dict) -> None:
    del table[largest(table)]


def reshape(table: dict) -> None:
    table[largest(table)] = table[largest(table)].reshape(-1)


def to_int(table: dict) -> None:
    table[largest(table)] = table[largest(table)].astype(np.int32)


def header(text: bytes, length: int | None = None) -> Callable[[Path], None]:
    """Another header before the numbers of a safetensors file."""
    def mutate(path: Path) -> None:
        data = path.read_bytes()
        old = struct.unpack("<Q", data[:8])[0]
        path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data[8 + old :])

    return mutate


CLAIM = b'{"weights":{"dtype":"F32","shape":[1000000000000,1000000],"data_offsets":[0,4000000000000000000]}}'
WEIGHTS = {
    "NaN": tensors(poison(NAN)), "infinite": tensors(poison(float("inf"))), "one less": tensors(drop),
    "flat": tensors(reshape), "long header": header(b"{}", 2**62), "no header": header(b"\xff" * 40),
    "deep header": header(b'{"a":' * 5000), "a claim": header(CLAIM), "none": header(b"{}"),
}  # fmt: skip


def array(make: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def mutate(path: Path) -> None:
        np.save(path, make(np.load(path)), allow_pickle=True)

    return mutate


def claim(shape: str, descr: str = "<f4") -> Callable[[Path], None]:
    """An array whose header promises more than there is."""
    def mutate(path: Path) -> None:
        text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
        text += b" " * (-(len(text) + 11) % 64) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 64)

    return mutate


def poisoned(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flat[5] = NAN
    return values


ARRAYS = {
    "NaN": array(poisoned), "turned": array(lambda a: a.reshape(1, 1, -1)), "short rows": array(lambda a: a[..., :-1]),
    "objects": array(lambda a: a.astype(object)), "complex": array(lambda a: a.astype(complex)),
    "a claim": claim("(1000000000, 512)"), "a claim beyond numbers": claim(f"({10**25}, 512)"),
    "negative": claim("(-1, 512)"), "code": claim("(__import__('os').getpid(), 512)"),
    "bad type": claim("(1, 512)", "<q7"),
}  # fmt: skip


def in_json(key: str, value: object) -> Callable[[Path], None]:
    """Set a value by its path, as in ``clips.0.file``; ``None`` as the value removes the key."""
    def mutate(path: Path) -> None:
        values = json.loads(path.read_text())
        put(values, key, value)
        path.write_text(json.dumps(values))

    return mutate


REMOVED = object()


def put(values: dict, key: str, value: object) -> None:
    *way, last = key.split(".")
    here = values
    for part in way:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    if value is REMOVED:
        del here[last]
    elif isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = value


def text(content: str | bytes) -> Callable[[Path], None]:
    def mutate(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return mutate


JSON = {"a list": text("[1, 2]"), "deep": text('{"a": ' + DEEP + "}"), "digits": text('{"a": ' + "9" * 6000 + "}"),
        "no text": text(b"\xff\xfe\x00"), "a word": text("null")}  # fmt: skip
YAML = {
    "a bomb": text(BOMB), "a loop": text("a: &a [*a]\n"), "a tag": text("a: !!python/object/apply:os.getpid []\n"),
    "binary": text("a: !!binary aGk=\n"), "deep": text(f"a: {DEEP}"), "large": text("a: 1\n" + "#" * 3 * 2**20),
    "many": text("a:\n" + "- {b: 1}\n" * 60_000), "twice": text("stream: {}\nstream: {}\n"), "a list": text("- a\n"),
    "no text": text(b"\xff\xfe\x00a"), "half": text("a: [1,\n"), "control": text("a: \x07\n"),
    "a key that is a map": text("{a: 1}: 2\n"), "endless number": text("a: " + "1:1" * 50_000 + "\n"),
}  # fmt: skip


def in_pack(key: str, value: object) -> Callable[[Path], None]:
    def mutate(pack: Path) -> None:
        path = pack / "pack.yaml"
        values = yaml.safe_load(path.read_text())
        put(values, key, value)
        path.write_text(yaml.safe_dump(values))

    return mutate


MANIFEST = (
    ("format", 2), ("format", None), ("name", 5), ("name", "x" * 10**6), ("name", ""), ("version", ["a"]),
    ("montage", "../../montage.yaml"), ("montage", "/etc/passwd"), ("montage", "x" * 10**5), ("montage", "egi128"),
    ("signal.preprocess.sfreq_hz", 1e300), ("signal.preprocess.sfreq_hz", NAN), ("signal.preprocess.sfreq_hz", -5),
    ("signal.preprocess.notch_hz", [0.0]), ("signal.preprocess.notch_hz", [50.0] * 10_000),
    ("signal.preprocess.zscore_s", 1e12), ("signal.window.seconds", 1e9), ("signal.window.hop_s", 1e-9),
    ("signal.window.seconds", 8.0), ("signal.quality.look_back_hops", 10**9), ("signal.quality.hop_s", 1e-7),
    ("decoder.encoder.n_channels", 10**9), ("decoder.encoder.n_channels", 0), ("decoder.encoder.n_times", 10**12),
    ("decoder.encoder.depth", 10**6), ("decoder.encoder.depth", 200), ("decoder.encoder.dim", 10**7),
    ("decoder.encoder.dim", 16_000), ("decoder.encoder.heads", 3), ("decoder.encoder.patch", 99_999),
    ("decoder.encoder.kind", "latent-queries"), ("decoder.encoder.kind", "none"), ("decoder.encoder.kind", ["a"]),
    ("decoder.head.embed_dim", HUGE), ("decoder.head.hidden", 60_000), ("decoder.head.step_dim", 10_000),
    ("decoder.min_channels", 500), ("confidence.weights", [1.0]), ("confidence.bias", NAN),
    ("confidence", {"features": list("abcde"), "mean": [0] * 5, "scale": [1] * 5, "weights": [1] * 5}),
    ("confidence", {"features": ["norm"] * 5, "mean": [0] * 5, "scale": [0] * 5, "weights": [1] * 5}),
    ("metrics", [{"name": "a"}]), ("metrics", {"a": 1}), ("provenance.kind", "dream"), ("normalise", "whole-recording"),
    ("spaces", []), ("files", []), ("files", {"../../secret": {"sha256": "0" * 64, "bytes": 1}}),
    ("files", {"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}),
    ("files", {"x" * 5000: {"sha256": "0" * 64, "bytes": 1}}),
    ("files", {f"f{n}": {"sha256": "0" * 64, "bytes": 1} for n in range(20_000)}),
    ("files.pack.yaml", {"sha256": "0", "bytes": -1}), ("y" * 5000, 1), ("montagee", "nmed"),
)  # fmt: skip
INDEX = (
    ("clips.0.file", "../low.ogg"), ("clips.0.file", "/etc/passwd"), ("clips.0.file", "a/b"), ("clips.0.file", "\0"),
    ("clips.0.song", "nobody"), ("clips.0.song", {"a": 1}), ("clips.0.rows", [5, 4]), ("clips.0.rows", [-3, 2]),
    ("clips.0.rows", [0, HUGE]), ("clips.0.rows", "ab"), ("clips.0.song_start_s", "soon"), ("clips", []), ("clips", {}),
    ("songs.0.bpm", 0), ("songs.0.bpm", 1e300), ("songs.0.bpm", "fast"), ("songs.0.id", ["a"]),
    ("songs.0.title", None), ("songs", []), ("songs", "abc"),
)  # fmt: skip


def wave(path: Path, samples: np.ndarray, rate: int = 48_000) -> None:
    """A WAV under the clip's name: float, so that it can hold what is no number."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, samples.shape[1], rate, rate * 4 * samples.shape[1], 4 * samples.shape[1], 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


CLIP = {
    "silent": lambda p: wave(p, np.zeros((9600, 2))), "NaN": lambda p: wave(p, np.full((9600, 2), NAN)),
    "no samples": lambda p: wave(p, np.zeros((0, 2))), "rate 1": lambda p: wave(p, np.ones((9600, 2)), 1),
    "100 channels": lambda p: wave(p, np.ones((960, 100))),
    "rate 400 MHz": lambda p: wave(p, np.ones((9600, 2)), 4 * 10**8),
}  # fmt: skip


def arrays_of(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def mutate(path: Path) -> None:
        with np.load(path) as stored:
            table = dict(stored)
        change(table)
        np.savez(path, **table)

    return mutate


def bomb(path: Path) -> None:
    """600 MB of zeros in a small zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("header", "mean", "scale", "whitening"):
            with archive.open(f"{name}.npy", "w") as handle:
                np.lib.format.write_array_header_1_0(
                    handle, {"descr": "<f4", "fortran_order": False, "shape": (50_000_000,)}
                )
                for _ in range(20):
                    handle.write(bytes(10_000_000))


STATISTICS = {
    "NaN": arrays_of(lambda t: t.update(mean=t["mean"] * NAN)), "no header": arrays_of(lambda t: t.pop("header")),
    "short": arrays_of(lambda t: t.update(scale=t["scale"][1:])),
    "axes": arrays_of(lambda t: t.update(whitening=np.ones((3, 3, 3)))),
    "wide": arrays_of(lambda t: t.update(whitening=np.ones((len(t["mean"]), 600), np.float32))), "a bomb": bomb,
    "header": arrays_of(lambda t: t.update(header=np.frombuffer(b"[1]", np.uint8))),
}  # fmt: skip


def packs(valid: Valid) -> Iterator[Case]:
    def case(name: str, mutate: Callable[[Path], None], signed: bool = False) -> Case:
        def make(place: Path) -> list[str]:
            pack = shutil.copytree(valid.pack, place / "pack")
            mutate(pack)
            if signed:
                sign(pack)
            return ["pack", "check", str(pack)]

        return Case(f"pack: {name}", make)

    def files(name: str, mutations: dict[str, Callable[[Path], None]]) -> Iterator[Case]:
        for what, mutate in mutations.items():
            yield case(f"{name}: {what}", lambda pack, m=mutate: m(pack / name), signed=True)

    for key, value in MANIFEST:
        yield case(f"{key[:40]} = {str(value)[:40]}", in_pack(key, value))
    for what, mutate in YAML.items():
        yield case(f"pack.yaml: {what}", lambda pack, m=mutate: m(pack / "pack.yaml"))
    for mutate in (*PLACE, *FILE):
        yield case(f"pack.yaml: {mutate.__name__}", lambda pack, m=mutate: m(pack / "pack.yaml"))
        yield case(f"encoder: {mutate.__name__}", lambda pack, m=mutate: m(pack / "encoder.safetensors"))
    yield case("a folder that is a link", lambda pack: link_out(pack / "library"))
    yield case("stands on itself", lambda pack: _loop(pack, 1))
    yield case("stands on one that stands on it", lambda pack: _loop(pack, 2))
    yield case("stands on a path", lambda pack: _overlay(pack, "../pack@0"))
    yield case("stands on a root", lambda pack: _overlay(pack, "/etc@0"))
    yield case("stands on a long name", lambda pack: _overlay(pack, "x" * 10_000))
    for name in ("encoder.safetensors", "adapter.safetensors"):
        yield from files(name, WEIGHTS | {m.__name__: m for m in FILE} | {"whole numbers": tensors(to_int)})
    for name in ("library/prototypes.npy", "library/embeddings.npy"):
        yield from files(name, ARRAYS | {m.__name__: m for m in FILE})
    yield from files("library/index.json", {f"{k} = {str(v)[:20]}": in_json(k, v) for k, v in INDEX})
    yield from files("library/index.json", JSON | {m.__name__: m for m in FILE})
    yield from files("library/low.ogg", CLIP | {m.__name__: m for m in (empty, noise)})
    yield from files("embedder/statistics.npz", STATISTICS | {m.__name__: m for m in FILE})


def _overlay(pack: Path, base: str) -> None:
    (pack / "encoder.safetensors").unlink()
    in_pack("files.encoder", None)(pack)
    path = pack / "pack.yaml"
    values = yaml.safe_load(path.read_text())
    values["files"] = {name: entry for name, entry in values["files"].items() if not name.startswith("encoder")}
    path.write_text(yaml.safe_dump(values | {"base": base}))


def _loop(pack: Path, length: int) -> None:
    _overlay(pack, "pack@0" if length == 1 else "other@")
    if length == 2:
        other = shutil.copytree(pack, pack.parent / "other")
        in_pack("base", "pack@")(other)
