"""What the seed article printed, and which results and ablations a complete table has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bci_music.evaluation.results import Result

SOURCE = "Qing, Lu and Li, Channel-Oriented Design for EEG-to-Music Reconstruction, arXiv 2606.04040"
SETTING = (
    "real EEG (NMED-T and NMED-H), 1 s windows divided at random, audio by AudioLDM-m: another data set, an easier "
    "split and another generator than here, so compare the order of systems, not the sizes"
)


@dataclass(frozen=True)
class Expected:
    """One line that a complete table has: its words, the names it may carry, and its published metrics."""

    title: str
    names: tuple[str, ...]
    metrics: dict[str, float]


# Metrics: 50-way, 14-way, CLAP score and genre agreement.
SYSTEMS = (
    Expected("Latent queries (ours)", ("ours",), {}),
    Expected("The paper's encoder", ("paper", "channel", "channel-oriented", "proposed"),
             {"50-way": 0.487, "14-way": 0.692, "clap": 0.683, "genre": 0.203}),
    Expected("CBraMod", ("cbramod",), {"50-way": 0.402, "14-way": 0.690, "clap": 0.641, "genre": 0.169}),
    Expected("LaBraM", ("labram",), {"50-way": 0.380, "14-way": 0.681, "clap": 0.657, "genre": 0.162}),
    Expected("EEGPT", ("eegpt",), {"50-way": 0.326, "14-way": 0.643, "clap": 0.625, "genre": 0.141}),
    Expected("EEG2Mel", ("eeg2mel",),
             {"50-way": 0.259, "14-way": 0.478, "clap": 0.588, "genre": 0.132, "ssim": 0.762, "psnr": 24.37}),
    Expected("Linear EEG", ("linear", "linear-eeg"), {"50-way": 0.018, "14-way": 0.067, "clap": 0.576, "genre": 0.126}),
    Expected("Ridge TRF (spectral flux)", ("trf",), {}),
    Expected("CCA (spectral flux)", ("cca",), {}),
    Expected("Power spectra only", ("spectrum",), {}),
    Expected("Audio oracle", ("oracle", "audio-oracle"),
             {"50-way": 0.598, "14-way": 0.775, "clap": 0.752, "genre": 0.276}),
)  # fmt: skip
ABLATIONS = (
    Expected("Block tokens", ("block", "block-tokens"), {"50-way": 0.141, "14-way": 0.406}),
    Expected("No pretraining", ("no-pretraining", "no-pretrain"), {"50-way": 0.050, "14-way": 0.155}),
    Expected("No channel dropout", ("no-channel-dropout", "no-dropout"), {"50-way": 0.411, "14-way": 0.598}),
    Expected("Linear head, encoder fixed", ("linear-head-fixed",), {}),
    Expected("Linear head, encoder tuned", ("linear-head-tuned",), {}),
    Expected("Encoder fixed", ("encoder-fixed", "fixed-encoder"), {}),
)
OURS = SYSTEMS[0]
ORACLE = SYSTEMS[-1]
SLOTS = ("50-way", "50-way-clap", "14-way", "14-way-clap", "clap", "genre")
PRINTED = {"50-way": "50-way", "14-way": "14-way song name", "clap": "CLAP score", "genre": "genre"}


def key_of(name: str) -> str:
    """Name of a result without case, spaces and signs: ``"Linear EEG"`` is ``"linear-eeg"``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def expected(result: Result) -> Expected | None:
    """Line of the complete table that `result` fills, by its name or its model's title; None for one of its own."""
    lines = ABLATIONS if result.kind == "ablation" else SYSTEMS
    keys = {key_of(result.name), key_of(result.model.title)}
    return next((line for line in lines if keys & {*line.names, key_of(line.title)}), None)


def missing(results: list[Result], lines: tuple[Expected, ...], kind: str) -> list[str]:
    """Titles of the lines that no result of `kind` fills."""
    there = {line.title for result in results if result.kind == kind and (line := expected(result))}
    return [line.title for line in lines if line.title not in there]


def published(result: Result, key: str) -> float | None:
    """Return the article's metric of this key for this result, where it printed one."""
    line = expected(result)
    return line.metrics.get(key) if line else None


def slot(name: str) -> str | None:
    """Column of the main table a metric belongs in: one of `SLOTS`, or None for a further metric.

    A test set with too little music for fifty has a smaller k; that metric still takes the first column.
    """
    if found := re.fullmatch(r"(\d+)-way(-song-name)?(-clap)?", name):
        return ("14-way" if found[2] or found[1] == "14" else "50-way") + (found[3] or "")
    same = {"clap": "clap", "clap-score": "clap", "genre": "genre", "genre-agreement": "genre"}
    return same.get(key_of(name))
