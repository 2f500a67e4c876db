"""Small checkpoints of the real classes with random weights, and a hub on this machine that serves them."""

import hashlib
import json
import re
import shutil
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from small_clap import small_clap, small_extractor, small_tokenizer


def piece(seed, seconds, rate_hz=16_000):
    """Notes of different pitch over a little noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    notes = 220.0 * 2 ** (rng.integers(0, 24, size=int(seconds * 4) + 1) / 12)
    tone = np.sin(2 * np.pi * np.cumsum(notes[(time_s * 4).astype(int)]) / rate_hz)
    return (0.4 * tone + 0.05 * rng.standard_normal(time_s.size)).astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small models are done sooner by one thread, above all where something else wants the other cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make():
    """What tests make small things with."""
    return SimpleNamespace(
        clap=small_clap, extractor=small_extractor, tokenizer=small_tokenizer, piece=piece, pickles=pickle_weights
    )


@pytest.fixture(scope="session")
def clap_directory(tmp_path_factory):
    """A whole small CLAP, as transformers saves it; not to be written to."""
    directory = tmp_path_factory.mktemp("clap") / "small"
    small_clap().save_pretrained(directory)
    small_extractor().save_pretrained(directory)
    small_tokenizer().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def audioldm_directory(tmp_path_factory):
    """A whole small AudioLDM as diffusers' pipeline saves it, with the text half of `clap_directory`; read only."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import ClapTextModelWithProjection, SpeechT5HifiGan

    from bci_music.generation.audioldm.loading import write_random_audioldm

    given = write_random_audioldm(tmp_path_factory.mktemp("parts"), seed=3)
    kinds = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "vocoder": SpeechT5HifiGan, "scheduler": DDIMScheduler}
    parts = {name: kind.from_pretrained(given, subfolder=name) for name, kind in kinds.items()}
    whole = small_clap()
    words = ClapTextModelWithProjection(whole.config.text_config)
    words.text_model, words.text_projection = whole.text_model, whole.text_projection
    directory = tmp_path_factory.mktemp("hub") / "audioldm"
    with warnings.catch_warnings():  # the pipeline is deprecated; here it only shows what a checkpoint looks like
        warnings.simplefilter("ignore")
        from diffusers import AudioLDMPipeline

        pipeline = AudioLDMPipeline(text_encoder=words, tokenizer=small_tokenizer(), **parts)
        pipeline.save_pretrained(directory)
    return directory


@pytest.fixture
def copy_of(tmp_path):
    """A function that copies a directory to where a test may write."""
    def copy(directory):
        return shutil.copytree(directory, tmp_path / f"{directory.name}-copy")

    return copy


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty place for what is fetched, and no word from the user's own environment."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BCI_MUSIC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pickle_weights(directory):
    """Turn the safetensors of a checkpoint into pickles, as old repositories hold them."""
    import torch
    from safetensors.torch import load_file

    for path in list(directory.rglob("*.safetensors")):
        name = "diffusion_pytorch_model.bin" if path.name.startswith("diffusion") else "pytorch_model.bin"
        torch.save(load_file(path), path.with_name(name))
        path.unlink()


class Hub:
    """A server of the hub's addresses that a pull uses: a repository's info, its tree, and its files with ranges.

    Attributes
    ----------
    folders : dict of repository name to folder
    requests : list of (verb, path, range)
    cut : dict of file path to bytes after which the connection breaks; the file is refused from then on
    forged : dict of file path to bytes served in place of the file
    """

    def __init__(self):
        self.folders, self.requests, self.cut, self.forged, self.commits = {}, [], {}, {}, {}
        self.broken = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self, body=True)

            def do_HEAD(self):
                hub.answer(self, body=False)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def add(self, name, folder):
        """Serve `folder` as repository `name`; its commit."""
        self.folders[name] = folder
        listing = [(path, *self.hashes(folder / path)) for path in self.files(folder)]
        self.commits[name] = hashlib.sha1(repr(listing).encode()).hexdigest()
        return self.commits[name]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    @staticmethod
    def files(folder):
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    @staticmethod
    def hashes(path):
        content = path.read_bytes()
        large = path.suffix in (".safetensors", ".bin")
        git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        return len(content), git, hashlib.sha256(content).hexdigest() if large else None

    def answer(self, request, body):
        path = request.path.partition("?")[0]
        self.requests.append((request.command, path, request.headers.get("Range")))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+|/tree/[^/]+)?", path):
            self.answer_api(request, found[1], found[2] or "")
        elif (found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]+)/(.+)", path)) and found[1] in self.folders:
            self.answer_file(request, found[1], found[3], body)
        else:
            self.send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def answer_api(self, request, name, what):
        revision = what.rpartition("/")[2]
        if name not in self.folders:
            return self.send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if what and revision not in ("main", self.commits[name]):
            return self.send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        folder = self.folders[name]
        if "tree" in what:
            values = []
            for path in self.files(folder):
                size, git, sha256 = self.hashes(folder / path)
                lfs = {"lfs": {"oid": sha256, "size": size, "pointerSize": 130}} if sha256 else {}
                values.append({"type": "file", "path": path, "size": size, "oid": git, **lfs})
        else:
            siblings = [{"rfilename": path} for path in self.files(folder)]
            values = {"_id": "1", "id": name, "sha": self.commits[name], "siblings": siblings, "private": False,
                      "tags": [], "downloads": 0, "cardData": {"license": "cc-by-nc-sa-4.0"}}  # fmt: skip
        return self.send(request, 200, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def answer_file(self, request, name, path, body):
        if path in self.broken:
            return self.send(request, 503, b"out of order", {})
        size, git, sha256 = self.hashes(self.folders[name] / path)
        content = self.forged.get(path, (self.folders[name] / path).read_bytes())
        tags = {"X-Repo-Commit": self.commits[name], "ETag": f'"{sha256 or git}"', "X-Linked-Size": str(size),
                "Accept-Ranges": "bytes"}  # fmt: skip
        start, status = 0, 200
        if body and (wanted := request.headers.get("Range")):
            start, status = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]), 206
            tags["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        stop = self.cut.pop(path, None) if body else None
        if stop is None:
            return self.send(request, status, content[start:], tags, body)
        self.broken.add(path)
        self.send(request, status, content[start:], tags, body=False)
        request.wfile.write(content[start:stop])
        request.wfile.flush()
        request.close_connection = True
        return None

    @staticmethod
    def send(request, status, content, tags, body=True):
        request.send_response(status)
        for tag, value in {**tags, "Content-Length": str(len(content))}.items():
            request.send_header(tag, value)
        request.end_headers()
        if body and request.command == "GET":
            request.wfile.write(content)


@pytest.fixture
def hub(cache, monkeypatch):
    """A hub on this machine that the pull is pointed to."""
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits between its attempts
    yield server
    server.close()
