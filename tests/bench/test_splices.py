"""The measure of splices: own clips pass, a hard cut does not, and AudioLDM's splices cannot be heard."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from bci_music.bench.splices import Recorded, SplicesConfig, compare, permutation_p, record
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, AudioBlock, UserError
from bci_music.sound.generator import Generator

pytestmark = pytest.mark.learning

CLIP = 2 * AUDIO_RATE_HZ
CONFIG = SplicesConfig(splices=40, excerpts=300, clip_s=2.0)


def clip(seed, seconds=2.0):
    """A chord of its own that swells, with soft strokes."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * AUDIO_RATE_HZ)) / AUDIO_RATE_HZ
    chord = sum(np.sin(2 * np.pi * hertz * time_s + rng.uniform(0, 6)) for hertz in rng.uniform(150, 900, 5))
    stroke = 0.4 + np.exp(-(time_s % 0.5) / 0.2)
    return (0.05 * chord * stroke + 0.002 * rng.standard_normal(len(time_s))).astype(np.float32)


def around(samples):
    return tuple((int(at) - 4800, int(at) + 4800) for at in samples)


def one_piece(n=42):
    """One chord that goes on through all "clips"; the strokes lie anywhere in the "splices"."""
    shift = np.random.default_rng(1).integers(-12_000, 12_000, n - 1)
    return Recorded(clip(0, n * 2.0), around(CLIP * np.arange(1, n) + shift))


def hard_cuts(n=42):
    return Recorded(np.concatenate([clip(k) for k in range(n)]), around(CLIP * np.arange(1, n)))


def holes(n=42):
    """Sound that comes near to silence at every splice, without a click."""
    whole = one_piece(n)
    sound = whole.sound.copy()
    for start, stop in whole.splices:
        sound[start:stop] *= (0.05 + 0.95 * np.cos(np.pi * np.arange(stop - start) / (stop - start)) ** 2)
    return Recorded(sound.astype(np.float32), whole.splices)


def test_splices_of_one_piece_pass():
    found = compare(one_piece(), CONFIG)
    assert found["splices"] == 41
    assert found["passes"]
    for name in ("flux", "dip"):
        assert found[name]["p"] > 0.05
        assert found[name]["p95_difference_db"] <= 1.0


def test_a_hard_cut_is_found():
    found = compare(hard_cuts(), CONFIG)
    assert not found["passes"]
    assert found["flux"]["p"] < 0.001
    assert found["flux"]["p95_difference_db"] > 3


def test_a_hole_is_found():
    found = compare(holes(), CONFIG)
    assert not found["dip"]["passes"]
    assert found["dip"]["p"] < 0.001


def test_p_is_even_where_nothing_differs():
    rng = np.random.default_rng(0)
    drawn = [permutation_p(*np.split(rng.standard_normal(60), [20]), rng, n=199) for _ in range(200)]
    assert 0.4 < np.mean(drawn) < 0.6
    assert np.mean(np.array(drawn) < 0.05) < 0.12
    assert permutation_p(np.ones(20) + 5, np.zeros(40), rng, n=199) == pytest.approx(1 / 200)


def test_too_little_is_said_to_be_too_little():
    with pytest.raises(UserError, match="record more clips"):
        compare(one_piece(5), CONFIG)


class Looped(Generator):
    """A generator whose clips are one piece, and that says where its splices are."""

    name, trained, realtime = "looped", True, False
    styles = ()

    def generate(self, style, state, *, seconds, deadline):
        made = state.made if state else 0
        self.styles = (*self.styles, style)
        sound = clip(0, 2.0 * (made + 1))[-CLIP:]
        return AudioBlock(np.stack([sound, sound], axis=1)), SimpleNamespace(made=made + 1, splice=(480, 960))


def test_recording_keeps_the_places_of_splices():
    vectors = np.eye(EMBEDDING_DIM, dtype=np.float32)[:3]
    generator = Looped()
    found = record(generator, vectors, SplicesConfig(splices=5, excerpts=50))
    assert len(found.sound) == 6 * CLIP
    assert found.splices == tuple((CLIP * k + 480, CLIP * k + 960) for k in range(1, 6))
    pairs = zip(generator.styles[::2], generator.styles[1::2], strict=True)
    assert all((a.vector == b.vector).all() for a, b in pairs)


def test_the_splices_of_audioldm_pass(tmp_path):
    import torch

    from bci_music.generation.audioldm.generator import AudioLdmConfig
    from bci_music.generation.audioldm.loading import write_random_audioldm
    from bci_music.generation.audioldm.solver import SamplerSettings

    torch.set_num_threads(1)
    settings = AudioLdmConfig(
        checkpoint=str(write_random_audioldm(tmp_path, 1)), device="cpu", sampler=SamplerSettings(steps=1),
        anytime=False, most_repeats=0, overlap_s=0.64, fade_s=0.2,
    )
    generator = settings.open()
    vectors = np.random.default_rng(0).standard_normal((9, EMBEDDING_DIM)).astype(np.float32)
    config = SplicesConfig(splices=8, excerpts=80, clip_s=1.92)
    found = compare(record(generator, vectors, config), config)
    assert found["passes"], json.dumps(found, indent=1)


def test_the_command_needs_a_generator():
    from bci_music.cli.bench import app

    shown = CliRunner().invoke(app, ["splices", "--help"])
    assert "--audioldm" in shown.output
    assert CliRunner().invoke(app, ["joints", "--help"]).exit_code == 0  # the old name
    assert "joints" not in CliRunner().invoke(app, ["--help"]).output
