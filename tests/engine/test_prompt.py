"""The operator's words reach the steering through the engine, or are refused in words."""

from types import SimpleNamespace

import numpy as np
import pytest

from bci_music.clock import ManualClock
from bci_music.engine.build import make_prompter
from bci_music.engine.engine import Engine
from bci_music.engine.events import Events
from bci_music.messages import EMBEDDING_DIM
from bci_music.sound.steering import Steering
from bci_music.status import Command
from bci_music.workers import Latest


class Idle:
    """A stage with nothing to do, and no stream."""

    info = ring = None

    @property
    def devices(self):
        return self

    def step(self, now):
        pass

    def take(self, command):
        return False


def make(prompter=None):
    clock = ManualClock(5.0)
    return Engine(Idle(), Idle(), clock, Events(clock), sound=Idle(), prompter=prompter)


@pytest.fixture
def steering():
    return Steering(Latest())


def pack(folder=None):
    return SimpleNamespace(name="small", embedder=folder)


def test_a_pack_without_text_refuses_the_prompt_and_nothing_else(steering, tmp_path):
    (tmp_path / "statistics.npz").write_bytes(b"")
    for folder in (None, tmp_path):
        failures = []
        engine = make(make_prompter(pack(folder), steering, failures.append))
        engine.send(Command("prompt", text="slow piano"))
        engine.send(Command("prompt_weight", 0.4))
        assert "pack small has no text tower" in failures[0].text
        assert len(failures) == 1
        assert steering.prompt.weight == 0.4
    alone = make()
    alone.send(Command("prompt", text="slow piano"))
    assert "Words cannot steer this run" in alone.failures[0].text


def test_a_pack_with_text_embeds_beside_the_other_stages(steering, tmp_path, monkeypatch):
    vector = np.eye(EMBEDDING_DIM, dtype=np.float32)[3]
    opened = []

    def load_embedder(folder):
        opened.append(folder)
        return SimpleNamespace(embed_text=lambda text: vector)

    monkeypatch.setattr("bci_music.models.embedder.load_embedder", load_embedder)
    failures = []
    engine = make(make_prompter(pack(tmp_path), steering, failures.append))
    engine.send(Command("prompt_weight", 0.3))
    engine.send(Command("prompt", text="slow piano"))
    assert opened == []  # sending takes no time
    engine.step(5.0)
    assert (opened, failures) == ([tmp_path], [])
    assert (steering.prompt.heard, steering.prompt.words) == ("slow piano", "brain 70 % + prompt 30 %")
