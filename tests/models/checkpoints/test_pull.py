"""Pulling from a hub on this machine: licence first, resumed, compared byte by byte, offline ever after."""

import json
import shutil

import pytest
from safetensors.torch import load_file

from bci_music.generation.audioldm.sampler import load_audioldm
from bci_music.messages import UserError
from bci_music.models.checkpoints import catalogue
from bci_music.models.checkpoints.hub import HubFile, Listing
from bci_music.models.checkpoints.manifest import Lock
from bci_music.models.checkpoints.pull import pull
from bci_music.models.checkpoints.store import find_checkpoint, user_lock
from bci_music.models.clap import ClapEmbedder
from bci_music.models.embedder import load_embedder

pytestmark = pytest.mark.learning

NAME = "somebody/small-clap"
WEIGHTS = "model.safetensors"


@pytest.fixture
def served(hub, copy_of, clap_directory):
    """The small CLAP on the hub; its folder there."""
    folder = copy_of(clap_directory)
    (folder / "notes.py").write_text("raise SystemExit('not to be fetched')")
    (folder / "tf_model.h5").write_bytes(b"not to be fetched")
    hub.add(NAME, folder)
    return folder


def fetched(hub):
    return [path.rpartition("/")[2] for verb, path, _ in hub.requests if verb == "GET" and "/resolve/" in path]


def test_only_weights_json_and_text_come_and_then_never_again(hub, served, cache, make):
    done = pull(NAME, accept=True)
    assert set(fetched(hub)) == {p.name for p in served.iterdir()} - {"notes.py", "tf_model.h5"}
    assert done.folder == find_checkpoint(NAME)
    assert done.folder.is_relative_to(cache)
    assert ClapEmbedder.load(NAME, device="cpu").sha == ClapEmbedder.load(served, device="cpu").sha
    hub.requests.clear()
    again = pull(NAME)
    assert (again.fetched, again.pulled.files) == (0, done.pulled.files)
    assert hub.requests == []


def test_a_pulled_embedder_is_saved_by_name_and_commit(hub, served, tmp_path):
    pull(NAME, accept=True)
    embedder = ClapEmbedder.load(NAME, device="cpu")
    embedder.save(tmp_path / "pack" / "embedder")
    assert [p.name for p in (tmp_path / "pack" / "embedder").iterdir()] == ["hub.yaml"]
    again = load_embedder(tmp_path / "pack" / "embedder")
    assert (again.sha, again.name) == (embedder.sha, f"CLAP {NAME} {embedder.sha[:12]}")
    assert again.origin.revision == hub.commits[NAME]


def test_offline_what_is_here_is_used_and_what_is_not_is_named(hub, served, monkeypatch):
    pull(NAME, accept=True)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull(NAME).fetched == 0
    with pytest.raises(UserError, match="is not here and HF_HUB_OFFLINE is set"):
        pull("somebody/else", accept=True)
    with pytest.raises(UserError, match="somebody/else is not on this machine"):
        find_checkpoint("somebody/else")
    assert hub.requests == []


def test_the_licence_is_shown_and_accepted_once(hub, served):
    shown, asked = [], []
    with pytest.raises(UserError, match=r"licence of somebody/small-clap \(cc-by-nc-sa-4.0\) was not accepted"):
        pull(NAME, log=shown.append)
    with pytest.raises(UserError, match="was not accepted"):
        pull(NAME, ask=lambda question: asked.append(question) is not None)
    assert fetched(hub) == []
    assert any("cc-by-nc-sa-4.0" in text for text in shown)
    pull(NAME, ask=lambda question: asked.append(question) is None)
    shutil.rmtree(find_checkpoint(NAME))
    pull(NAME)  # remembered
    assert len(asked) == 2


def test_an_interrupted_pull_goes_on_where_it_broke_off(hub, served, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)  # what is written at a time
    size = (served / WEIGHTS).stat().st_size
    hub.cut[WEIGHTS] = size // 3
    with pytest.raises(UserError, match=r"could not be fetched.*what is here already is kept"):
        pull(NAME, accept=True)
    with pytest.raises(UserError, match="is not on this machine"):
        find_checkpoint(NAME)  # half a checkpoint is none
    hub.broken.clear()
    hub.requests.clear()
    seen = []
    done = pull(NAME, report=lambda file, here, of: seen.append((file, here, of)))
    ranges = [given for verb, path, given in hub.requests if verb == "GET" and path.endswith(WEIGHTS)]
    assert len(ranges) == 1
    assert 0 < int(ranges[0].removeprefix("bytes=").removesuffix("-")) <= size // 3
    assert (done.folder / WEIGHTS).read_bytes() == (served / WEIGHTS).read_bytes()
    assert "config.json" not in fetched(hub)  # whole files of the first attempt are kept
    assert (WEIGHTS, size, size) in seen
    assert not list(done.folder.rglob("*.part"))


def test_what_comes_has_to_be_what_the_hub_lists(hub, served, cache):
    content = bytearray((served / WEIGHTS).read_bytes())
    content[-1] ^= 1
    hub.forged[WEIGHTS] = bytes(content)
    with pytest.raises(UserError, match=r"model.safetensors of .* came with another content.*its hash is another"):
        pull(NAME, accept=True)
    shutil.rmtree(cache / "models")
    hub.forged = {"config.json": (served / "config.json").read_bytes().swapcase()}
    with pytest.raises(UserError, match=r"config.json of .* came with another content"):
        pull(NAME, accept=True)


def test_a_file_changed_here_is_noticed_and_fetched_again(hub, served):
    done = pull(NAME, accept=True)
    path = done.folder / WEIGHTS
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(UserError, match=r"model.safetensors of .* was changed"):
        ClapEmbedder.load(NAME)
    (done.folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"config.json of .* is not in"):
        ClapEmbedder.load(done.folder)
    hub.requests.clear()
    pull(NAME)
    assert path.read_bytes() == good
    assert set(fetched(hub)) >= {WEIGHTS, "config.json"}


def test_weights_beside_the_folders_of_parts_are_not_fetched():
    parts = ["transformer/diffusion_pytorch_model.safetensors", "model_index.json", "vae/config.json"]
    files = tuple(HubFile(path, 1, "", None) for path in [*parts, "model.safetensors", "model.ckpt"])
    assert [f.path for f in Listing("a/b", "c", "", files).chosen()] == parts


def test_a_lock_holds_others_to_the_same_files(hub, served, tmp_path, cache):
    lock = tmp_path / "shared.lock.json"
    done = pull(NAME, accept=True, lock=lock)
    assert Lock.read(lock) == Lock.read(user_lock())
    entry = Lock.read(lock).checkpoints[NAME]
    assert entry.revision == done.pulled.revision
    shutil.rmtree(cache)
    (served / "config.json").write_text((served / "config.json").read_text() + "\n")
    newer = hub.add(NAME, served)
    with pytest.raises(UserError, match="no such revision"):
        pull(NAME, accept=True, lock=lock)  # the lock's commit, not the newest
    with pytest.raises(UserError, match=r"not at .*: leave --revision out"):
        pull(NAME, accept=True, lock=lock, revision=newer)
    forged = entry.model_copy(update={"revision": newer})
    Lock(checkpoints={NAME: forged}).write(lock)
    with pytest.raises(UserError, match=r"config.json of .* is not the file the lock says"):
        pull(NAME, accept=True, lock=lock)
    wrong = {**forged.files, WEIGHTS: forged.files[WEIGHTS].model_copy(update={"sha256": "0" * 64})}
    Lock(checkpoints={NAME: forged.model_copy(update={"files": wrong})}).write(lock)
    hub.requests.clear()
    with pytest.raises(UserError, match=r"model.safetensors of .* has another hash than the lock"):
        pull(NAME, accept=True, lock=lock)
    assert fetched(hub) == []  # refused before anything is fetched


def test_a_pinned_hash_of_the_catalogue_is_held(hub, served, monkeypatch):
    entry = catalogue.Checkpoint(
        "small", NAME, "clap", "CC BY-NC-SA 4.0", "No trade.", "a test", 1, "", hub.commits[NAME],
        {"config.json": "0" * 64},
    )  # fmt: skip
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    shown = []
    with pytest.raises(UserError, match=r"config.json of .* is not the file public records name"):
        pull("small", accept=True, log=shown.append)
    assert any("Licence: CC BY-NC-SA 4.0. No trade." in text and "Beware" not in text for text in shown)


def test_a_generator_with_pickled_weights_becomes_safetensors_and_opens(hub, copy_of, audioldm_directory, make, cache):
    folder = copy_of(audioldm_directory)
    make.pickles(folder)
    assert not list(folder.rglob("*.safetensors"))
    hub.add("cvssp/audioldm-m-full", folder)
    done = pull("audioldm-m", accept=True)
    assert len(done.converted) == 4
    assert {p.suffix for p in done.folder.rglob("*") if p.is_file()} == {".json", ".safetensors", ".npy"}
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert load_file(done.folder / weights).keys() == load_file(audioldm_directory / weights).keys()
    model = load_audioldm(done.folder, device="cpu")
    assert model.unconditional.any()  # the embedding of no words, which the stock pipeline is guided away from
    hub.requests.clear()
    (done.folder / "unet" / "config.json").unlink()
    pull("audioldm-m")
    assert fetched(hub) == ["config.json"]  # converted weights that are whole are not fetched again


def test_wrong_wishes_are_sentences(hub, served, monkeypatch):
    def refused(match, *words, **options):
        with pytest.raises(UserError, match=match):
            pull(*words, accept=True, **options)

    refused("did you mean audioldm-m", "audioldm-mm")
    refused("The hub has no somebody/unknown", "somebody/unknown")
    refused("no such revision", NAME, revision="0" * 40)
    for path in served.glob("*.safetensors"):
        path.unlink()
    hub.add(NAME, served)
    refused("holds no weights", NAME)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody is there
    refused("could not be fetched", NAME)
    assert not user_lock().exists()


def test_half_a_note_is_a_sentence(hub, served):
    done = pull(NAME, accept=True)
    note = json.loads((done.folder / "pulled.json").read_text())
    note["files"]["../outside"] = note["files"].pop("config.json")
    (done.folder / "pulled.json").write_text(json.dumps(note))
    with pytest.raises(UserError, match="lies outside it"):
        find_checkpoint(NAME)
    (done.folder / "pulled.json").write_text("{")
    with pytest.raises(UserError, match="could not be read"):
        find_checkpoint(NAME)
