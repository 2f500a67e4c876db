"""The pack: what was written opens; whatever was done to it since is one sentence."""

import shutil

import pytest
import yaml

from bci_music.messages import UserError
from bci_music.models.pack import MANIFEST, Pack, file_sha256


@pytest.fixture
def copied(pack_directory, tmp_path):
    return shutil.copytree(pack_directory, tmp_path / "copy")


def edit(directory, change):
    path = directory / MANIFEST
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def test_round_trip(pack_directory):
    pack = Pack.open(pack_directory)
    assert pack.manifest.simulated
    assert set(pack.manifest.files) == {"encoder.safetensors", "adapter.safetensors", "library/prototypes.npy"}
    assert pack.file("encoder.safetensors").is_file()
    again = type(pack.manifest).model_validate(yaml.safe_load((pack_directory / MANIFEST).read_text(encoding="utf-8")))
    assert again == pack.manifest


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def stand_on(directory, base):
    """Make an overlay: without an encoder of its own."""
    (directory / "encoder.safetensors").unlink()

    def change(values):
        values["files"].pop("encoder.safetensors")
        values["base"] = base

    edit(directory, change)


SPOILED = {
    "a file is gone": (lambda d: (d / "adapter.safetensors").unlink(), "lacks adapter.safetensors"),
    "a file too many": (lambda d: (d / "more.bin").write_bytes(b"x"), "holds more.bin"),
    "a shorter file": (lambda d: (d / "encoder.safetensors").write_bytes(b"short"), "has 5 bytes, expected"),
    "one bit": (lambda d: flip(d / "encoder.safetensors"), "was changed"),
    "a bit of the library": (lambda d: flip(d / "library" / "prototypes.npy"), "was changed"),
    "another format": (lambda d: edit(d, lambda v: v.update(format=2)), "format"),
    "a misspelt key": (lambda d: edit(d, lambda v: v.update(montagee="nmed")), "did you mean 'montage'"),
    "a missing key": (lambda d: edit(d, lambda v: v.pop("montage")), "montage"),
    "a path that leads out": (
        lambda d: edit(d, lambda v: v["files"].update({"../secret": {"sha256": "0" * 64, "bytes": 1}})), "outside"),
    "no YAML": (lambda d: (d / MANIFEST).write_text("a: [", encoding="utf-8"), "could not be read as YAML"),
    "no manifest": (lambda d: (d / MANIFEST).unlink(), "There is no pack"),
    "a base that is not there": (lambda d: stand_on(d, "nowhere@abc"), "There is no pack"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPOILED)
def test_each_corruption_is_one_sentence(copied, kind):
    spoil, words = SPOILED[kind]
    spoil(copied)
    with pytest.raises(UserError) as caught:
        Pack.open(copied)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_what_ships():
    with pytest.raises(UserError, match="packs that ship"):
        Pack.open("no-such-pack")


def test_an_overlay_takes_what_it_lacks_from_its_base(pack_directory, tmp_path):
    shutil.copytree(pack_directory, tmp_path / "base")
    overlay = shutil.copytree(pack_directory, tmp_path / "mine")
    digest = file_sha256(tmp_path / "base" / MANIFEST)
    stand_on(overlay, f"base@{digest[:12]}")
    pack = Pack.open(overlay)
    assert pack.file("encoder.safetensors") == tmp_path / "base" / "encoder.safetensors"
    assert pack.file("adapter.safetensors") == overlay / "adapter.safetensors"
    edit(overlay, lambda v: v.update(base="base@" + "0" * 12))
    with pytest.raises(UserError, match="get the pack it was made on"):
        Pack.open(overlay)


def test_a_whole_pack_opens_without_the_one_it_was_made_from(copied):
    edit(copied, lambda v: v.update(base="nowhere@abc"))
    pack = Pack.open(copied)
    assert pack.base is None
    assert pack.manifest.base == "nowhere@abc"


def test_a_file_no_pack_has_is_a_sentence(pack_directory):
    with pytest.raises(UserError, match=r"has no generator/unet\.safetensors"):
        Pack.open(pack_directory).file("generator/unet.safetensors")
