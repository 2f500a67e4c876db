"""The sound's benchmark: published sizes, everybody's turn, and what was estimated is not called measured."""

import dataclasses
import json

import pytest
import torch

from bci_music.bench import generator as published
from bci_music.bench.generator import FAST, PACK, SAME, STOCK, STOCK_MANY, bench_sound, targets
from bci_music.generation.audioldm.loading import load_parts, write_random_audioldm
from bci_music.generation.audioldm.precision import Speed
from bci_music.messages import UserError

pytestmark = pytest.mark.learning

PRECISE = Speed(dtype="float32")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1)


@pytest.fixture(scope="module")
def found(directory):
    refused = []
    found = bench_sound(
        0.32, runs=2, device="cpu", sizes=("s",), generator=directory, speed=PRECISE, log=refused.append,
        build=lambda size: load_parts(directory),
    )  # fmt: skip
    return found, refused


def test_sizes_are_the_published_ones():
    """421 and 652 M parameters with everything; what is ours to run is UNet, VAE and vocoder."""
    with torch.device("meta"):
        sizes = {size: published.make_unet(channels) for size, channels in published.SIZES.items()}
        vae, vocoder = published.make_vae(), published.make_vocoder()
    millions = {size: sum(p.numel() for p in unet.parameters()) / 1e6 for size, unet in sizes.items()}
    assert millions == {"s": pytest.approx(185.0, abs=0.1), "m": pytest.approx(416.0, abs=0.1)}
    assert sum(p.numel() for p in vae.parameters()) / 1e6 == pytest.approx(55.4, abs=0.1)
    assert sum(p.numel() for p in vocoder.parameters()) / 1e6 == pytest.approx(55.3, abs=0.1)


def test_a_copy_shares_nothing(directory):
    parts = load_parts(directory)
    other = published.copied(parts)
    assert dataclasses.asdict(other).keys() == dataclasses.asdict(parts).keys()
    assert other.denoiser.conv_in.weight.data_ptr() != parts.denoiser.conv_in.weight.data_ptr()


@pytest.mark.learning
def test_all_take_their_turn_in_every_run(found):
    found, refused = found
    turns = [f"size s, run {run} of 2: {title}" for run in (1, 2) for title in (STOCK, SAME, FAST)]
    assert [text for text in refused if text in turns] == turns
    for title in (STOCK, SAME, FAST):
        entrant = found["sizes"]["s"]["entrants"][title]
        assert len(entrant["runs"]) == 2
        assert not entrant["estimated"]
        assert entrant["rtf"] == pytest.approx(entrant["seconds"] / 0.32)
        assert 0 < entrant["step_s"] * entrant["settings"]["steps"] < 1.5 * entrant["seconds"]
    own = found["pack"]["audioldm"]
    assert own["settings"] == found["sizes"]["s"]["entrants"][SAME]["settings"]
    assert not own["trained"]
    assert f"run 2 of 2: {PACK}, audioldm" in refused
    json.dumps(found)


def test_a_hundred_steps_are_estimated_from_those_that_ran_or_run(found, directory):
    entrants = found[0]["sizes"]["s"]["entrants"]
    stock, many = entrants[STOCK], entrants[STOCK_MANY]
    assert many["estimated"]
    assert "runs" not in many
    assert many["seconds"] == pytest.approx(stock["seconds"] + 90 * stock["step_s"])
    ran = bench_sound(
        0.16, runs=1, device="cpu", sizes=("s",), many=True, speed=PRECISE, build=lambda size: load_parts(directory)
    )["sizes"]["s"]["entrants"][STOCK_MANY]
    assert not ran["estimated"]
    assert ran["settings"]["steps"] == 100
    assert ran["seconds"] > 90 * min(run["step_s"] for run in ran["runs"]) > 0


def test_the_aims_are_evaluated_by_the_fast_settings():
    def met(kind, size, **figures):
        found = {"machine": {"kind": kind}, "input": {"seconds": 10.24}, "sizes": {size: {"entrants": {FAST: figures}}}}
        return [row["met"] for row in targets(found)]

    assert met("cpu", "s", rtf=0.99, seconds=10) == met("cuda", "m", rtf=9, seconds=0.14) == [True]
    assert met("cpu", "s", rtf=1.01, seconds=10) == met("cuda", "m", rtf=0, seconds=0.16) == [False]
    assert met("cpu", "m", rtf=0.5, seconds=1) == met("mps", "s", rtf=0.5, seconds=1) == []


@pytest.mark.parametrize("wrong", [{"seconds": 0.0}, {"runs": 0}, {"sizes": ("xl",)}])
def test_what_cannot_be_measured(wrong):
    with pytest.raises(UserError, match="sizes are s, m"):
        bench_sound(**wrong)


def test_the_table_says_what_was_estimated_and_whether_the_aim_is_met(found, monkeypatch):
    from typer.testing import CliRunner

    from bci_music.bench import generator as module
    from bci_music.cli import bench

    asked = {}
    monkeypatch.setattr(module, "bench_sound", lambda seconds, **options: asked.update(options) or found[0])
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(bench.app, ["sound", "--size", "s", "--runs", "2"], catch_exceptions=False).output
    assert (asked["sizes"], asked["runs"], asked["many"]) == (("s",), 2, None)
    assert shown.count("(estimated)") == 1
    for words in (STOCK, STOCK_MANY, SAME, FAST, "random AudioLDM (not trained)", "AudioLDM-s on cpu", "≤ 1"):
        assert words in shown
    refused = CliRunner().invoke(bench.app, ["sound", "--json"], catch_exceptions=False).stdout
    assert json.loads(refused)["sizes"].keys() == {"s"}
