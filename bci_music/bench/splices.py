"""Are splices audible? Sound at the splices of clips against excerpts of the same length inside clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.sound.beat import to_mono
from bci_music.sound.generator import Generator

Floats = NDArray[np.float64]
HOP = 480  # 10 ms
WINDOW = 1024
BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 60.0, 8000.0
FLOOR_DB = -80.0  # of a band, below the loudest
ENERGY_FRAMES = 5  # 50 ms
AROUND = 100  # frames on each side: what an energy dip is measured from
PERMUTATIONS = 1999
AIM_P, AIM_DB = 0.05, 1.0


class SplicesConfig(Config):
    """How many splices are compared with how many excerpts inside clips."""

    RENAMED: ClassVar[Mapping[str, str]] = {"joints": "splices", "stretches": "excerpts"}

    splices: int = Field(100, ge=5)
    excerpts: int = Field(1000, ge=50)
    margin_s: float = Field(0.1, ge=0, description="a splice is its crossfade and this much on each side")
    clip_s: float = Field(5.12, gt=1)
    clips_per_style: int = Field(2, ge=1, description="the style changes after so many clips")
    seed: int = 0


@dataclass(frozen=True)
class Recorded:
    """Sound (n,) at 48 kHz and the crossfades in it, (start, stop) samples."""

    sound: NDArray[np.float32]
    splices: tuple[tuple[int, int], ...]


def measure_splices(
    pack: str | Path, generator: str, checkpoint: str | None, config: SplicesConfig, wav: Path | None = None
) -> dict[str, Any]:
    """Compare the splices of a pack's generator, or of another AudioLDM, in the styles of the pack's library.

    Parameters
    ----------
    generator : str
        As for `--generator`.

    Returns
    -------
    dict
        `generator`, `trained`, and what `compare` found. With `wav` the sound is written there.
    """
    from bci_music.generation.open import GeneratorsConfig, choose_generator, open_generator
    from bci_music.models.pack import Pack

    opened = Pack.open(pack)
    if checkpoint is None and opened.generator is None:
        raise UserError(f"Pack {opened.name} brings no AudioLDM: give --audioldm with a folder or a hub id.")
    plain = {"anytime": False, "most_repeats": 0}  # no deadline, no clip twice
    values = {"generator": generator, "audioldm": plain | {"checkpoint": checkpoint}, "transformer": plain}
    sounds = GeneratorsConfig.parse(values, "--generator")
    kind = choose_generator(sounds, opened)
    if kind == "library":
        raise UserError("The clips of the library are not generated: choose audioldm or transformer.")
    maker = open_generator(kind, sounds, opened if checkpoint is None else None)
    recorded = record(maker, opened.open_library().embeddings, config)
    if wav is not None:
        import soundfile

        soundfile.write(wav, recorded.sound, AUDIO_RATE_HZ)
    return {"generator": maker.name, "trained": maker.trained, **compare(recorded, config)}


def record(generator: Generator, vectors: NDArray[np.float32], config: SplicesConfig) -> Recorded:
    """Let a generator make clip after clip in styles drawn from `vectors` (n, 512), as the stage would.

    The generator's state tells where in its newest block the splice lies (`splice`), as AudioLDM's does.
    """
    from bci_music.messages import Style

    rng = np.random.default_rng(config.seed)
    state: Any = None
    blocks: list[NDArray[np.float32]] = []
    splices: list[tuple[int, int]] = []
    length, vector = 0, vectors[0]
    while len(splices) < config.splices:
        if len(blocks) % config.clips_per_style == 0:
            vector = vectors[rng.integers(len(vectors))]
        style = Style(vector, confidence=1.0, made_s=float(len(blocks)))
        block, state = generator.generate(style, state, seconds=config.clip_s, deadline=float("inf"))
        if blocks:
            splices.append((length + state.splice[0], length + state.splice[1]))
        blocks.append(to_mono(block.samples))
        length += len(blocks[-1])
    return Recorded(np.concatenate(blocks), tuple(splices))


def compare(recorded: Recorded, config: SplicesConfig | None = None) -> dict[str, Any]:
    """Compare maximum spectral flux and energy dip at splices with those inside clips.

    Returns
    -------
    dict
        For each of "flux" and "dip", in dB: means, 95th percentiles, their difference, and the one-sided p of a
        permutation test of the means; `passes` when p > 0.05 and the percentile lies within 1 dB, for both.
    """
    config = config or SplicesConfig()
    margin = round(config.margin_s * AUDIO_RATE_HZ)
    spans = [(start - margin, stop + margin) for start, stop in recorded.splices]
    frames = max(2, round(float(np.median([stop - start for start, stop in spans])) / HOP))
    last = len(recorded.sound) // HOP - frames - AROUND
    at = np.array([round((start + stop) / 2 / HOP) - frames // 2 for start, stop in spans])
    at = at[(at > AROUND) & (at < last)]
    inside = _inside(at, frames, last, config)
    flux, energy = spectral_flux_db(recorded.sound), energy_db(recorded.sound)
    rng = np.random.default_rng(config.seed)
    result: dict[str, Any] = {
        "splices": len(at), "excerpts": len(inside), "excerpt_s": frames * HOP / AUDIO_RATE_HZ,
        "flux": _verdict(_flux(flux, at, frames), _flux(flux, inside, frames), rng),
        "dip": _verdict(_dips(energy, at, frames), _dips(energy, inside, frames), rng),
        "protocol": "flux: largest mean rise of 40 log bands from 10 ms to 10 ms; dip: lowest 50 ms below the median "
        "of the second on each side; p: share of permutations of splices and excerpts with as large a mean difference",
    }  # fmt: skip
    result["passes"] = bool(result["flux"]["passes"] and result["dip"]["passes"])
    return result


def spectral_flux_db(sound: NDArray[np.float32]) -> Floats:
    """Mean rise in dB over log-spaced bands, per 10 ms; value i is the step to the frame at sample ``i * 480``."""
    n = len(sound) // HOP
    padded = np.pad(sound, (WINDOW // 2, WINDOW))
    window = np.hanning(WINDOW).astype(np.float32)
    bands = _bands()
    levels = np.empty((n, BANDS))
    for first in range(0, n, 6000):  # a minute at a time
        count = min(6000, n - first)
        views = np.lib.stride_tricks.sliding_window_view(padded[first * HOP :], WINDOW)[: count * HOP : HOP]
        levels[first : first + count] = np.square(np.abs(np.fft.rfft(views * window, axis=1))) @ bands
    loud = 10 * np.log10(np.maximum(levels, 1e-12))
    loud = np.maximum(loud, loud.max() + FLOOR_DB)
    return np.maximum(np.diff(loud, axis=0, prepend=loud[:1]), 0.0).mean(axis=1)


def energy_db(sound: NDArray[np.float32]) -> Floats:
    """Level in dB of 50 ms around each multiple of 10 ms."""
    n = len(sound) // HOP
    power = np.square(sound[: n * HOP], dtype=np.float64).reshape(n, HOP).mean(axis=1)
    smooth = np.convolve(power, np.ones(ENERGY_FRAMES) / ENERGY_FRAMES, mode="same")
    return 10 * np.log10(np.maximum(smooth, 1e-8))


def _bands() -> Floats:
    """(513, 40): which bins belong to which band, as shares."""
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / AUDIO_RATE_HZ)
    centres = np.sqrt(edges[1:] * edges[:-1])
    width = np.maximum(np.diff(edges), AUDIO_RATE_HZ / WINDOW)
    weight = np.maximum(0.0, 1 - np.abs(bins[:, None] - centres) / width)
    return weight / np.maximum(weight.sum(axis=0), 1e-12)


def _inside(splices: NDArray[np.int64], frames: int, last: int, config: SplicesConfig) -> NDArray[np.int64]:
    """First frames of excerpts of the same length that touch no splice."""
    free = np.ones(max(0, last), bool)
    free[: AROUND + 1] = False
    for at in splices:
        free[max(0, at - frames) : at + frames] = False
    places = np.flatnonzero(free)
    if len(splices) < 5 or len(places) < config.excerpts:
        raise UserError(
            f"There are {len(splices)} splices and {len(places)} places inside clips, expected at least 5 and "
            f"{config.excerpts}: record more clips."
        )
    return np.random.default_rng(config.seed).choice(places, config.excerpts, replace=False)


def _excerpts(values: Floats, at: NDArray[np.int64], frames: int) -> Floats:
    return values[at[:, None] + np.arange(frames)]


def _flux(flux: Floats, at: NDArray[np.int64], frames: int) -> Floats:
    return _excerpts(flux, at, frames).max(axis=1)


def _dips(energy: Floats, at: NDArray[np.int64], frames: int) -> Floats:
    around = np.median(_excerpts(energy, at - AROUND, frames + 2 * AROUND), axis=1)
    return around - _excerpts(energy, at, frames).min(axis=1)


def _verdict(splices: Floats, inside: Floats, rng: np.random.Generator) -> dict[str, Any]:
    difference = float(splices.mean() - inside.mean())
    high = [float(np.quantile(values, 0.95)) for values in (splices, inside)]
    p = permutation_p(splices, inside, rng)
    return {
        "splice_mean_db": float(splices.mean()), "inside_mean_db": float(inside.mean()), "difference_db": difference,
        "splice_p95_db": high[0], "inside_p95_db": high[1], "p95_difference_db": high[0] - high[1], "p": p,
        "passes": p > AIM_P and high[0] - high[1] <= AIM_DB,
    }  # fmt: skip


def permutation_p(first: Floats, second: Floats, rng: np.random.Generator, n: int = PERMUTATIONS) -> float:
    """One-sided p that the mean of `first` is no larger than that of `second`: labels are dealt again `n` times."""
    pooled, k = np.concatenate([first, second]), len(first)
    observed, as_large = float(first.mean()), 0
    for begin in range(0, n, 500):
        count = min(500, n - begin)
        dealt = np.argpartition(rng.random((count, len(pooled))), k, axis=1)[:, :k]
        as_large += int((pooled[dealt].mean(axis=1) >= observed - 1e-12).sum())
    return (1 + as_large) / (1 + n)
