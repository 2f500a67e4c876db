"""Malformed configurations, checkpoints and recordings; packs and the mutations themselves are in `malformed`."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from malformed import (
    ARRAYS,
    FILE,
    HUGE,
    JSON,
    NAN,
    PLACE,
    WEIGHTS,
    YAML,
    Case,
    Valid,
    device,
    empty,
    folder,
    in_json,
    link_loop,
    noise,
    packs,
    pipe,
    put,
    text,
)


def configs(valid: Valid) -> Iterator[Case]:
    def case(name: str, content: str | bytes | Callable[[Path], None]) -> Case:
        def make(place: Path) -> list[str]:
            path = place / "live.yaml"
            path.write_text("pack: demo\n")
            (content if callable(content) else text(content))(path)
            return ["replay", "no-such-recording.edf", "--headless", "--config", str(path)]

        return Case(f"config: {name}", make)

    for what, mutate in YAML.items():
        yield case(what, mutate)
    for mutate in (folder, pipe, link_loop, device):
        yield case(mutate.__name__, mutate)
    for key in ("stream", "pack", "sound", "outputs", "ring_seconds", "wait_s", "sound.stage", "sound.steering.floor",
                "sound.stage.block_s", "sound.library.fade_s", "sound.audioldm.overlap_s", "sound.volume_db"):
        for value in (NAN, HUGE, -HUGE, [1], {"a": 1}, "x" * 10_000):
            values: dict = {}
            put(values, key, value)
            if not (key == "pack" and isinstance(value, str)):
                yield case(f"{key} = {str(value)[:20]}", yaml.safe_dump(values))

    def montage(name: str, content: str | bytes) -> Case:
        def make(place: Path) -> list[str]:
            (place / "net.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
            return ["monitor", "--montage", str(place / "net.yaml"), "--headless", "--wait", "1"]

        return Case(f"montage: {name}", make)

    for name, names, places in (
        ("endless range", ["E1..E999999"], {}), ("range beyond numbers", [f"E1..E{HUGE}"], {}), ("nobody", [], {}),
        ("no place", ["A", "B"], {}), ("doubled", ["Cz", "Cz"], {}), ("at the middle", ["A"], {"A": [0, 0, 0]}),
        ("nowhere", ["A"], {"A": [NAN, 0, 0]}), ("flat", ["A"], {"A": [1, 2]}), ("long", ["x" * 10_000], {}),
    ):  # fmt: skip
        yield montage(name, yaml.safe_dump({"name": "net", "names": names, "positions_mm": places}))


def checkpoints(valid: Valid) -> Iterator[Case]:
    def case(name: str, mutate: Callable[[Path], None], source: Path) -> Case:
        def make(place: Path) -> list[str]:
            given = shutil.copytree(source, place / "given")
            mutate(given)
            return ["models", "check", str(given), "--device", "cpu"]

        return Case(f"checkpoint: {name}", make)

    def files(source: Path, name: str, mutations: dict[str, Callable[[Path], None]]) -> Iterator[Case]:
        for what, mutate in mutations.items():
            yield case(f"{name}: {what}", lambda given, m=mutate: m(given / name), source)

    places = {m.__name__: m for m in PLACE}
    bad = {m.__name__: m for m in FILE}
    yield from files(valid.audioldm, "unet/diffusion_pytorch_model.safetensors", WEIGHTS | places | bad)
    yield from files(valid.audioldm, "vocoder/model.safetensors", WEIGHTS)
    yield from files(valid.clap, "model.safetensors", WEIGHTS | bad)
    numbers = (("projection_dim", HUGE), ("projection_dim", 16_000_000), ("text_config.num_hidden_layers", 10**6),
               ("text_config.vocab_size", 2**24), ("audio_config.depths", [9] * 5000), ("text_config", "none"),
               ("auto_map", {"AutoModel": "evil.Model"}), ("audio_config.num_attention_heads", [0, 0]),
               ("model_type", ["clap"]))  # fmt: skip
    yield from files(valid.clap, "config.json", {f"{k} = {str(v)[:20]}": in_json(k, v) for k, v in numbers} | JSON)
    hearing = (("sampling_rate", -1), ("hop_length", 0), ("fft_window_size", HUGE), ("feature_size", "x"))
    yield from files(valid.clap, "preprocessor_config.json", {f"{k} = {v}": in_json(k, v) for k, v in hearing} | JSON)
    sizes = (("block_out_channels", [16_000, 16_000, 16_000]), ("layers_per_block", 10**6), ("in_channels", NAN),
             ("in_channels", 7), ("attention_head_dim", 0), ("block_out_channels", "many"),
             ("projection_class_embeddings_input_dim", 3))  # fmt: skip
    changes = {f"{key} = {str(value)[:20]}": in_json(key, value) for key, value in sizes}
    yield from files(valid.audioldm, "unet/config.json", changes | JSON)
    rates = (("upsample_rates", [5, "4"]), ("upsample_rates", []), ("sampling_rate", HUGE), ("model_in_dim", 63))
    yield from files(valid.audioldm, "vocoder/config.json", {f"{k} = {str(v)[:20]}": in_json(k, v) for k, v in rates})
    yield from files(valid.audioldm, "unconditional.npy", ARRAYS)
    yield from files(valid.audioldm, "generator.json", JSON | {"steps": in_json("steps", 10**9)})
    references = {
        "itself": "name: {given}\n", "a path": "name: ../given\n", "a root": "name: /etc\n", "no name": "a: 1\n",
        "a long name": "name: " + "x" * 10_000 + "\n", "a revision": "name: a/b\nrevision: ../../x\n",
    }  # fmt: skip
    for what, content in references.items():
        yield case(f"hub.yaml: {what}", lambda given, c=content: _only(given, "hub.yaml", c), valid.clap)
    yield case("an index that leads out", _index_out, valid.clap)
    pulled = {"name": "a/b", "revision": "0" * 40, "licence": "", "source": {}, "files": {}}
    file = {"sha256": "0" * 64, "bytes": 1}
    notes = {
        "a path": {"files": {"../x": file}}, "less than none": {"files": {"config.json": file | {"bytes": -1}}},
        "a number": {"name": 5}, "a key": {"k" * 3000: 1}, "another": {"files": {"config.json": file}},
    }  # fmt: skip
    for what, change in notes.items():
        write = text(json.dumps({**pulled, **change}))
        yield case(f"pulled.json: {what}", lambda given, write=write: write(given / "pulled.json"), valid.clap)
    code = {"AutoTokenizer": ["evil.Tokenizer", None]}
    yield from files(valid.clap, "tokenizer_config.json", {"auto_map": in_json("auto_map", code)})


def _only(given: Path, name: str, content: str) -> None:
    shutil.rmtree(given)
    given.mkdir()
    (given / name).write_text(content.format(given=given))


def _index_out(given: Path) -> None:
    shutil.move(given / "model.safetensors", given.parent / "model.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "../model.safetensors"}}
    (given / "model.safetensors.index.json").write_text(json.dumps(index))


def recordings(valid: Valid) -> Iterator[Case]:
    def case(name: str, source: Path, mutate: Callable[[Path], None]) -> Case:
        def make(place: Path) -> list[str]:
            path = shutil.copy(source, place / source.name)
            mutate(Path(path))
            return ["data", "info", str(path)]

        return Case(f"recording: {name}", make)

    def field(start: int, content: str) -> Callable[[Path], None]:
        def mutate(path: Path) -> None:
            data = bytearray(path.read_bytes())
            data[start : start + len(content)] = content.encode()
            path.write_bytes(bytes(data))

        return mutate

    for mutate in (empty, noise, *PLACE[:2], link_loop):
        yield case(f"XDF {mutate.__name__}", valid.xdf, mutate)
        yield case(f"EDF {mutate.__name__}", valid.edf, mutate)
    yield case("EDF channels", valid.edf, field(252, "9999"))
    yield case("EDF no channels", valid.edf, field(252, "0   "))
    yield case("EDF channels in words", valid.edf, field(252, "many"))
    yield case("EDF record of no time", valid.edf, field(244, "-5      "))


def cases(valid: Valid) -> Iterator[Case]:
    """All of them."""
    for kind in (packs, configs, checkpoints, recordings):
        yield from kind(valid)
