"""Rows as an evaluation would leave them; the numbers are made up for tests."""

import numpy as np
import pytest

from bci_music.evaluation.results import ModelSummary, Result, SplitSummary, TrainingSummary
from bci_music.metrics.metric import Control, Metric

SONGS = tuple(f"Song {i}" for i in range(1, 15))
SHARED = {"recordings": 24, "listeners": 9, "songs": 14, "song_seconds": 0}
# key, label, chance, value and half interval from how well a row does, and whether it needs a space shared with music
METRICS = (
    ("50-way", "50-way identification, shared space", 0.02, lambda v: v, 0.04, True),
    ("10-way-within-song", "10-way within the song, shared space", 0.1, lambda v: 0.1 + v / 2, 0.03, True),
    ("14-way-song-name", "14-way song name, shared space", 1 / 14, lambda v: 0.07 + v / 2, 0.04, True),
    ("50-way-clap", "50-way identification, embedder's space", 0.02, lambda v: 0.9 * v, 0.03, False),
    ("14-way-song-name-clap", "14-way song name, embedder's space", 1 / 14, lambda v: 0.07 + 0.45 * v, 0.04, False),
    ("cosine", "cosine of decoded and true embedding", None, lambda v: 0.3 + 0.5 * v, 0.03, False),
    ("clap-score", "CLAP score", None, lambda v: 0.5 + 0.3 * v, 0.02, False),
    ("genre", "genre agreement", 0.1, lambda v: 0.1 + 0.4 * v, 0.03, False),
    ("ssim", "SSIM", None, lambda v: 0.4 + 0.1 * v, 0.02, False),
    ("psnr", "PSNR in dB", None, lambda v: 14 + 4 * v, 0.5, False),
)


def make_metric(name="50-way", label="50-way identification", value=0.214, half=0.04, chance=0.02, before=None, **more):
    """A metric with its three controls; `before` is what EEG from before the song reaches."""
    base = chance if chance is not None else value * 0.8
    early = base if before is None else before

    def control(at):
        return Control(value=at, ci95=(at - half / 4, at + half / 4))

    controls = {"mismatched": control(base), "before_song": control(early), "mean_embedding": control(base * 0.99)}
    given = {"ci95": (value - half, value + half), "n": 412, "n_recordings": 24, "p": 0.0005, "chance": chance,
             "controls": controls, "protocol": "4 s windows that do not overlap"}  # fmt: skip
    return Metric(name=name, label=label, value=value, **{**given, **more})


def make_result(name="ours", title="Channel-oriented", value=0.214, kind="system", split="time-block", *, before=None,
             rich=False, **more):
    metrics = [
        make_metric(key, label, scale(value), half, chance, before if key == "50-way" else None)
        for key, label, chance, scale, half, needs in METRICS if not (needs and name in ("linear", "oracle"))
    ]  # fmt: skip
    shared = {**SHARED, "song_seconds": 3120} if split == "random" else SHARED
    extras = curves_and_maps(value) if rich else {}
    given = {
        "model": ModelSummary(title=title, parameters=1_240_000, initialised="pretrained here for 300 steps",
                              tokens_per_window=1250, windows_per_s=41.0),
        "training": training(value),
        "split": SplitSummary(kind=split, describe=f"{split} split: 9,120 windows to train, 820 to test", n_train=9120,
                              n_test=820, n_recordings=24, seed=42, shared=shared),
        "metrics": tuple(metrics), "data": "simulated NMED-T + NMED-H (composed music, simulated listeners)",
        "simulated": True, "generator": "library generator (nearest training clip)", "minutes": 11.2,
        "embedder": "weight-free statistics embedder", "provenance": {"git": "0123abc", "seed": 622},
    }  # fmt: skip
    return Result(name=name, kind=kind, **{**given, **extras, **more})


def training(value):
    steps = np.arange(0, 901, 20)
    loss = 4.1 - (3.5 * value) / (1 + np.exp(-(steps - 300) / 90)) + 0.05 * np.sin(steps)
    found = 0.02 + value / (1 + np.exp(-(steps - 400) / 90))
    curves = {
        "pretrain/loss": [(int(s), float(v)) for s, v in zip(steps[:16], 6 - loss[::-1][:16], strict=True)],
        "align/loss": [(int(s), float(v)) for s, v in zip(steps, loss, strict=True)],
        "align/validation_50_way": [(int(s), float(v)) for s, v in zip(steps[::5], found[::5], strict=True)],
    }
    return TrainingSummary(pretrain_steps=300, pretrain_minutes=4.1, align_steps=900, align_minutes=6.4, batch=64,
                           curves=curves)  # fmt: skip


def curves_and_maps(value):
    rng = np.random.default_rng(3)
    shares = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    robustness = {
        kind: [{"share": s, "value": 0.02 + (value - 0.02) * (1 - s) ** power,
                "low": 0.015 + (value - 0.05) * (1 - s) ** power, "high": 0.03 + value * (1 - s) ** power,
                "control": 0.02 + 0.002 * np.sin(9 * s), "k": 50, "n": 412} for s in shares]
        for kind, power in (("removed", 0.6), ("noise", 1.4))
    }  # fmt: skip
    raised = np.exp(-((np.arange(125) - 60) ** 2) / 400)
    attention = {song: (raised * rng.uniform(0.4, 1.4) + rng.uniform(0.3, 0.6, 125)) for song in SONGS}
    music = np.abs(np.subtract.outer(np.arange(14), np.arange(14))) / 14 + 0.1
    eeg = music + 0.2 * rng.random((14, 14))
    eeg = (eeg + eeg.T) / 2
    for square in (music, eeg):
        np.fill_diagonal(square, 0)
    return {
        "robustness": robustness,
        "song_attention": {song: (shares / shares.sum()).tolist() for song, shares in attention.items()},
        "song_distances": {"songs": list(SONGS), "eeg": eeg.tolist(), "music": music.tolist(),
                           "space": "shared", "correlation": 0.87, "p": 0.001},
    }


def make_report():
    """Seven systems, five of the six ablations and three splits."""
    systems = [make_result(rich=True)] + [
        make_result(name, title, value, rich=name == "cbramod") for name, title, value in (
            ("cbramod", "CBraMod", 0.118), ("labram", "LaBraM", 0.09), ("eegpt", "EEGPT", 0.07),
            ("eeg2mel", "EEG2Mel", 0.081), ("linear", "Linear EEG", 0.031), ("oracle", "Audio oracle", 0.998))
    ]  # fmt: skip
    ablations = [
        make_result(name, title, value, "ablation") for name, title, value in (
            ("block-tokens", "Block tokens", 0.09), ("no-pretraining", "No pretraining", 0.19),
            ("no-channel-dropout", "No channel dropout", 0.17),
            ("linear-head-fixed", "Linear head, encoder fixed", 0.06),
            ("linear-head-tuned", "Linear head, encoder tuned", 0.15))
    ]  # fmt: skip
    splits = [
        make_result("random", "Channel-oriented", 0.61, "split", "random", before=0.37),
        make_result("song", "Channel-oriented", 0.07, "split", "song"),
        make_result("listener", "Channel-oriented", 0.031, "split", "listener"),
    ]  # fmt: skip
    return [*systems, *ablations, *splits]


@pytest.fixture(scope="session")
def metric():
    return make_metric


@pytest.fixture(scope="session")
def row():
    return make_result


@pytest.fixture(scope="session")
def rows():
    return make_report()
