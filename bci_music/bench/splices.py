"""Are joints audible? Sound at the joints of clips against stretches of the same length inside clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


class JointsConfig(Config):
    """How many joints are compared with how many stretches inside clips."""

    joints: int = Field(100, ge=5)
    stretches: int = Field(1000, ge=50)
    margin_s: float = Field(0.1, ge=0, description="a joint is its crossfade and this much on each side")
    clip_s: float = Field(5.12, gt=1)
    clips_per_style: int = Field(2, ge=1, description="the style changes after so many clips")
    seed: int = 0


@dataclass(frozen=True)
class Recorded:
    """Sound (n,) at 48 kHz and the crossfades in it, (start, stop) samples."""

    sound: NDArray[np.float32]
    joints: tuple[tuple[int, int], ...]


def record(generator: Generator, vectors: NDArray[np.float32], config: JointsConfig) -> Recorded:
    """Let a generator make clip after clip in styles drawn from `vectors` (n, 512), as the stage would.

    The generator's state tells where in its newest block the joint lies (`joint`), as AudioLDM's does.
    """
    from bci_music.messages import Style

    rng = np.random.default_rng(config.seed)
    state: Any = None
    blocks: list[NDArray[np.float32]] = []
    joints: list[tuple[int, int]] = []
    length, vector = 0, vectors[0]
    while len(joints) < config.joints:
        if len(blocks) % config.clips_per_style == 0:
            vector = vectors[rng.integers(len(vectors))]
        style = Style(vector, confidence=1.0, made_s=float(len(blocks)))
        block, state = generator.generate(style, state, seconds=config.clip_s, deadline=float("inf"))
        if blocks:
            joints.append((length + state.joint[0], length + state.joint[1]))
        blocks.append(to_mono(block.samples))
        length += len(blocks[-1])
    return Recorded(np.concatenate(blocks), tuple(joints))


def compare(recorded: Recorded, config: JointsConfig | None = None) -> dict[str, Any]:
    """Compare maximum spectral flux and energy dip at joints with those inside clips.

    Returns
    -------
    dict
        For each of "flux" and "dip", in dB: means, 95th percentiles, their difference, and the one-sided p of a
        permutation test of the means; `passes` when p > 0.05 and the percentile lies within 1 dB, for both.
    """
    config = config or JointsConfig()
    margin = round(config.margin_s * AUDIO_RATE_HZ)
    spans = [(start - margin, stop + margin) for start, stop in recorded.joints]
    frames = max(2, round(float(np.median([stop - start for start, stop in spans])) / HOP))
    last = len(recorded.sound) // HOP - frames - AROUND
    at = np.array([round((start + stop) / 2 / HOP) - frames // 2 for start, stop in spans])
    at = at[(at > AROUND) & (at < last)]
    inside = _inside(at, frames, last, config)
    flux, energy = spectral_flux_db(recorded.sound), energy_db(recorded.sound)
    rng = np.random.default_rng(config.seed)
    result: dict[str, Any] = {
        "joints": len(at), "stretches": len(inside), "stretch_s": frames * HOP / AUDIO_RATE_HZ,
        "flux": _verdict(_flux(flux, at, frames), _flux(flux, inside, frames), rng),
        "dip": _verdict(_dips(energy, at, frames), _dips(energy, inside, frames), rng),
        "protocol": "flux: largest mean rise of 40 log bands from 10 ms to 10 ms; dip: lowest 50 ms below the median "
        "of the second on each side; p: share of permutations of joints and stretches with as large a mean difference",
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


def _inside(joints: NDArray[np.int64], frames: int, last: int, config: JointsConfig) -> NDArray[np.int64]:
    """First frames of stretches of the same length that touch no joint."""
    free = np.ones(max(0, last), bool)
    free[: AROUND + 1] = False
    for at in joints:
        free[max(0, at - frames) : at + frames] = False
    places = np.flatnonzero(free)
    if len(joints) < 5 or len(places) < config.stretches:
        raise UserError(
            f"There are {len(joints)} joints and {len(places)} places inside clips, expected at least 5 and "
            f"{config.stretches}: record more clips."
        )
    return np.random.default_rng(config.seed).choice(places, config.stretches, replace=False)


def _stretches(values: Floats, at: NDArray[np.int64], frames: int) -> Floats:
    return values[at[:, None] + np.arange(frames)]


def _flux(flux: Floats, at: NDArray[np.int64], frames: int) -> Floats:
    return _stretches(flux, at, frames).max(axis=1)


def _dips(energy: Floats, at: NDArray[np.int64], frames: int) -> Floats:
    around = np.median(_stretches(energy, at - AROUND, frames + 2 * AROUND), axis=1)
    return around - _stretches(energy, at, frames).min(axis=1)


def _verdict(joints: Floats, inside: Floats, rng: np.random.Generator) -> dict[str, Any]:
    difference = float(joints.mean() - inside.mean())
    high = [float(np.quantile(values, 0.95)) for values in (joints, inside)]
    p = permutation_p(joints, inside, rng)
    return {
        "joint_mean_db": float(joints.mean()), "inside_mean_db": float(inside.mean()), "difference_db": difference,
        "joint_p95_db": high[0], "inside_p95_db": high[1], "p95_difference_db": high[0] - high[1], "p": p,
        "passes": p > AIM_P and high[0] - high[1] <= AIM_DB,
    }  # fmt: skip


def permutation_p(first: Floats, second: Floats, rng: np.random.Generator, n: int = PERMUTATIONS) -> float:
    """One-sided p that the mean of `first` is no larger than that of `second`: labels are dealt anew `n` times."""
    pooled, k = np.concatenate([first, second]), len(first)
    observed, as_large = float(first.mean()), 0
    for begin in range(0, n, 500):
        count = min(500, n - begin)
        dealt = np.argpartition(rng.random((count, len(pooled))), k, axis=1)[:, :k]
        as_large += int((pooled[dealt].mean(axis=1) >= observed - 1e-12).sum())
    return (1 + as_large) / (1 + n)
