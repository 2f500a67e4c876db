"""How fast the encoder reads and learns: beside braindecode's CBraMod and LaBraM, and beside the machine's best.

All models take turns, run by run, so that whatever else the machine does hits them alike.
"""

from __future__ import annotations

import copy
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bci_music.eeg.montage import Montage
from bci_music.evaluation.matrix_peak import MatrixPeak, product_shapes, timed_s
from bci_music.messages import UserError
from bci_music.models.device import choose_device
from bci_music.models.encoder import ChannelEncoder
from bci_music.models.sizes import EncoderConfig

SFREQ_HZ, PEER_HZ = 125, 200
RELEASED = "ours, released size"
SIZES = {"ours, small": EncoderConfig(), RELEASED: EncoderConfig(dim=512, depth=8, heads=16)}
PEERS = {"braindecode CBraMod": "CBraMod", "braindecode LaBraM": "Labram"}
MODES = ("forward float32", "training float32", "forward bfloat16", "training bfloat16")
AIMS = {"cpu": ("forward float32", 0.8), "cuda": ("training bfloat16", 0.45)}


@dataclass
class Entrant:
    """One model with its input, and windows per second (by the clock, and of processor time) of each run so far."""

    model: nn.Module
    x: Tensor
    features: Callable[[nn.Module, Tensor], Tensor]
    tokens: int
    flop: dict[str, float] = field(default_factory=dict)  # per window; only ours is counted
    runs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    by_processor: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def bench_lab(
    seconds: float = 4.0, *, batch: int | None = None, runs: int = 5, device: str | None = None,
    sizes: dict[str, EncoderConfig] | None = None, for_s: float = 0.5,
    square: tuple[int, ...] | None = None, say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure encoders and matrix products by turns.

    Parameters
    ----------
    seconds : float
        Length of a window of 125 channels; whole seconds, because the peers know only those.
    batch : int, optional
        Windows at a time; 2 on a CPU, 64 on a GPU.
    runs : int
        How often each takes its turn; medians are told, and single runs.
    sizes : dict of EncoderConfig, optional
        Other sizes of ours to measure.
    for_s : float
        How long each works at its turn.
    square : tuple of int, optional
        Sizes of the square products among those that find the machine's peak.

    Returns
    -------
    dict
        `input`, `machine`, `peak` (TFLOP/s by format), `models` (by title: parameters, tokens, windows_per_s,
        tokens_per_s, runs; ours also gflop_per_window and shares of the peak: share_of_peak of the median run,
        share_of_peak_fastest, and on a CPU share_of_peak_by_processor_time, which a busy machine hardly lowers),
        `missing` (title -> why), `left_out` (mode -> why), `ratios` (ours over each peer).
    """
    if seconds != int(seconds) or seconds < 1 or runs < 1:
        raise UserError(f"Windows of {seconds:g} s in {runs} runs cannot be compared: give whole seconds, and runs.")
    chosen = choose_device(device)
    batch = batch or (64 if chosen.torch.type == "cuda" else 2)
    ours = {title: c.model_copy(update={"n_times": int(SFREQ_HZ * seconds)}) for title, c in (sizes or SIZES).items()}
    entrants = {title: _ours(config, batch, chosen.torch) for title, config in ours.items()}
    missing: dict[str, str] = {}
    for title, name in PEERS.items():
        try:
            entrants[title] = _peer(name, int(seconds), batch, chosen.torch)
        except UserError as error:
            missing[title] = str(error)
    shapes = [shape for config in ours.values() for shape in product_shapes(config, batch)]
    peak = MatrixPeak(shapes, chosen.torch, for_s / 5, square)
    modes = [mode for mode in MODES if mode.split()[1] in peak.dtypes]
    left_out = {mode: f"not native on {chosen.name}: many times slower there" for mode in MODES if mode not in modes}
    for run in range(runs):
        peak.measure()
        for title, entrant in entrants.items():
            say(f"run {run + 1} of {runs}: {title}")
            for mode in modes:
                _take_turn(entrant, mode, for_s, warm=run == 0)
    return {
        "input": {"channels": 125, "seconds": seconds, "batch": batch, "runs": runs, "peers_hz": PEER_HZ},
        "machine": {
            "kind": chosen.torch.type, "device": chosen.name, "cores": os.cpu_count(),
            "threads": torch.get_num_threads(), "torch": torch.__version__,
        },
        "peak_tflops": {name: peak.best(name) / 1e12 for name in peak.dtypes},
        "models": {title: _summary(entrant, peak) for title, entrant in entrants.items()},
        "missing": missing, "left_out": left_out, "ratios": _ratios(entrants),
    }  # fmt: skip


def aims(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for people: what, here, aim, met. Fastest run over fastest product: both are bests of several."""
    kind = found["machine"]["kind"]
    if kind not in AIMS or RELEASED not in found["models"]:
        return []
    mode, aim = AIMS[kind]
    share = found["models"][RELEASED]["share_of_peak_fastest"][mode]
    what = f"{RELEASED}: {mode}, share of the matrix peak on {kind}"
    return [{"what": what, "here": f"{share:.2f}", "aim": f"≥ {aim}", "met": share >= aim}]


def _ours(config: EncoderConfig, batch: int, device: torch.device) -> Entrant:
    model = ChannelEncoder(config, Montage.nmed().positions_m)
    flop = {"forward": _count(model, training=False), "training": _count(model, training=True)}
    x = torch.randn(batch, config.n_channels, config.n_times, device=device)
    n_tokens = 1 + config.n_slots * (config.n_channels if config.tokens == "channel" else 1)
    return Entrant(model.to(device), x, _our_features, n_tokens, flop)


def _our_features(model: nn.Module, x: Tensor) -> Tensor:
    encoded = model(x)
    return torch.cat([encoded.cls[:, None], encoded.times], dim=1)


def _peer(name: str, seconds: int, batch: int, device: torch.device) -> Entrant:
    """A model of braindecode on 125 channels; `UserError` where the library is not installed."""
    from bci_music.evaluation.baselines.foundation import build_model, model_class

    model = build_model(name, n_chans=125, n_times=PEER_HZ * seconds, sfreq=float(PEER_HZ))
    x = torch.randn(batch, 125, PEER_HZ * seconds, device=device)
    more: dict[str, Any] = {}
    if name == "Labram":  # it wants names, which only choose rows of a table: any 125 do for the speed
        import sys

        more["ch_names"] = sys.modules[model_class(name).__module__].LABRAM_CHANNEL_ORDER[:125]

    def features(model: nn.Module, x: Tensor) -> Tensor:
        return model(x, return_features=True, **more)["features"]

    return Entrant(model.to(device), x, features, 125 * seconds)


def _count(model: ChannelEncoder, *, training: bool) -> float:
    """FLOP of one window, counted without computing; attention counts as the two products it is."""
    empty = copy.deepcopy(model).to("meta")
    x = torch.empty(1, model.config.n_channels, model.config.n_times, device="meta")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        out = _our_features(empty, x)
        if training:
            out.sum().backward()
    return float(counter.get_total_flops())


def _take_turn(entrant: Entrant, mode: str, for_s: float, *, warm: bool) -> None:
    """Let one entrant work for `for_s` seconds and note how many windows per second it managed."""
    training, bf16 = mode.startswith("training"), mode.endswith("bfloat16")
    device = entrant.x.device
    entrant.model.train(training)

    def step() -> None:
        grad: AbstractContextManager = torch.enable_grad() if training else torch.inference_mode()
        with grad, torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            out = entrant.features(entrant.model, entrant.x)
        if training:
            out.float().square().mean().backward()
            entrant.model.zero_grad()

    if warm:
        step()
    times = [timed_s(step, device)]
    while sum(clock for clock, _ in times) < for_s:
        times.append(timed_s(step, device))
    windows = len(times) * len(entrant.x)
    entrant.runs[mode].append(windows / sum(clock for clock, _ in times))
    entrant.by_processor[mode].append(windows / sum(processor for _, processor in times))


def _summary(entrant: Entrant, peak: MatrixPeak) -> dict[str, Any]:
    rates = {mode: median(values) for mode, values in entrant.runs.items()}
    summary: dict[str, Any] = {
        "parameters": sum(p.numel() for p in entrant.model.parameters()), "tokens": entrant.tokens,
        "windows_per_s": rates, "tokens_per_s": {mode: rate * entrant.tokens for mode, rate in rates.items()},
        "runs": entrant.runs,
    }  # fmt: skip
    if entrant.flop:
        summary["gflop_per_window"] = {kind: flop / 1e9 for kind, flop in entrant.flop.items()}
        summary |= _shares(entrant, peak)
    return summary


def _shares(entrant: Entrant, peak: MatrixPeak) -> dict[str, dict[str, float]]:
    """How near each mode comes to doing nothing but the machine's fastest matrix products."""
    shares: dict[str, dict[str, float]] = {"share_of_peak": {}, "share_of_peak_fastest": {}}
    for mode in entrant.runs:
        kind, dtype = mode.split()
        per_window = entrant.flop[kind] / peak.best(dtype)
        shares["share_of_peak"][mode] = median(entrant.runs[mode]) * per_window
        shares["share_of_peak_fastest"][mode] = max(entrant.runs[mode]) * per_window
        if entrant.x.device.type == "cpu":
            best = max(entrant.by_processor[mode]) * entrant.flop[kind] / peak.best(dtype, processor=True)
            shares.setdefault("share_of_peak_by_processor_time", {})[mode] = best
    return shares


def _ratios(entrants: dict[str, Entrant]) -> dict[str, dict[str, float]]:
    """Ours over each peer, as the median of the runs' own ratios."""
    ratios = {}
    for ours in (title for title in entrants if title not in PEERS):
        for peer in (title for title in entrants if title in PEERS):
            both = entrants[ours].runs, entrants[peer].runs
            pairs = {mode: zip(both[0][mode], both[1][mode], strict=True) for mode in both[0]}
            ratios[f"{ours} / {peer}"] = {mode: median(a / b for a, b in pair) for mode, pair in pairs.items()}
    return ratios
