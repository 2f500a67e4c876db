"""How fast the encoder reads and learns: beside CBraMod, LaBraM, torch's own, and the machine's best.

All models take turns, run by run, so that whatever else the machine does hits them alike.
"""

from __future__ import annotations

import copy
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bci_music.eeg.montage import Montage
from bci_music.messages import Log, UserError
from bci_music.models.device import choose_device, native_bf16
from bci_music.models.network import AnyEncoder, make_encoder
from bci_music.models.sizes import AnyEncoderConfig, EncoderConfig, LatentQueryConfig

Shape = tuple[int, int, int]  # (m, k, n) of a product (m, k) @ (k, n)
SQUARE = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def product_shapes(config: EncoderConfig, batch: int) -> list[Shape]:
    """The products of a transformer block's layers for a batch of whole windows."""
    rows = batch * (1 + config.n_slots * (config.n_channels if config.tokens == "channel" else 1))
    dim, wide = config.dim, config.mlp_ratio * config.dim
    return [(rows, dim, 3 * dim), (rows, dim, dim), (rows, dim, wide), (rows, wide, dim)]


class Turn(NamedTuple):
    """Work per second of one turn: by the clock, by processor time, and of its fastest single run."""

    by_clock: float
    by_processor: float
    fastest: float


class MatrixPeak:
    """Rates of matrix products in FLOP/s (a product of (m, k) and (k, n) counts ``2 m k n``), turn by turn.

    What is compared with the peak works for a whole turn too, and its median turn counts: so does the product's. The
    fastest single product of all (`burst`) is higher by the luck of a few milliseconds. bfloat16 is left out where
    the machine does not multiply it itself.

    Parameters
    ----------
    shapes : iterable of (m, k, n)
    device : torch.device
    for_s : float
        How long each product is repeated at its turn.
    square : tuple of int, optional
        Sizes of square products measured besides; those of `SQUARE` by default.

    Attributes
    ----------
    turns : dict
        Format -> shape -> `Turn` of each call of `measure`.
    """

    def __init__(
        self, shapes: Iterable[Shape], device: torch.device, for_s: float = 0.1, square: tuple[int, ...] | None = None
    ):
        sizes = SQUARE.get(device.type, (2048,)) if square is None else square
        self._shapes = list(dict.fromkeys([*((n, n, n) for n in sizes), *shapes]))
        self._device, self._for_s = device, for_s
        self.dtypes = {name: t for name, t in DTYPES.items() if t is torch.float32 or native_bf16(device.type)}
        self.turns: dict[str, dict[Shape, list[Turn]]] = {name: {s: [] for s in self._shapes} for name in self.dtypes}

    def measure(self) -> None:
        """Let every product take its turn once more."""
        for name, dtype in self.dtypes.items():
            for shape in self._shapes:
                m, k, n = shape
                a = torch.randn(m, k, device=self._device, dtype=dtype)
                b = torch.randn(k, n, device=self._device, dtype=dtype)
                out = torch.empty(m, n, device=self._device, dtype=dtype)
                turn = take_turn(_product(a, b, out), 2.0 * m * k * n, self._device, self._for_s)
                self.turns[name][shape].append(turn)

    def sustained(self, dtype: str, *, processor: bool = False) -> float:
        """FLOP/s of the best product's median turn in ``"float32"`` or ``"bfloat16"``.

        By the clock, or per second of processor time (of all threads), which hardly depends on what else the
        processor does meanwhile.
        """
        rates = [[t.by_processor if processor else t.by_clock for t in turns] for turns in self.turns[dtype].values()]
        return max(median(rate) for rate in rates)

    def burst(self, dtype: str) -> float:
        """FLOP/s of the fastest single product there was."""
        return max(turn.fastest for turns in self.turns[dtype].values() for turn in turns)


def synchronise(device: torch.device) -> None:
    """Wait until what was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def take_turn(step: Callable[[], object], work: float, device: torch.device, for_s: float) -> Turn:
    """Repeat `step`, which does `work`, for `for_s` seconds (three times at least), after one run that warms up."""
    step()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + for_s
    while len(times) < 3 or time.perf_counter() < end:
        times.append(timed_s(step, device))
    clock, processor = zip(*times, strict=True)
    done = work * len(times)
    return Turn(done / sum(clock), done / sum(processor), work / min(clock))


def timed_s(step: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of one run of `step`: by the clock, and of processor time in all threads together."""
    synchronise(device)
    start, processor = time.perf_counter(), time.process_time()
    step()
    synchronise(device)
    return time.perf_counter() - start, max(time.process_time() - processor, 1e-9)


def _product(a: Tensor, b: Tensor, out: Tensor) -> Callable[[], object]:
    return lambda: torch.mm(a, b, out=out)


SFREQ_HZ, PEER_HZ = 125, 200
RELEASED = "ours, released size"
QUERIES = "ours, latent queries"
SIZES = {"ours, small": EncoderConfig(), RELEASED: EncoderConfig(dim=512, depth=8, heads=16)}
PEERS = {"braindecode CBraMod": "CBraMod", "braindecode LaBraM": "Labram"}
MODES = ("forward float32", "training float32", "forward bfloat16", "training bfloat16")
PLAIN_TARGET = 0.8 / 0.84  # the target where torch's own reaches .84 of the peak: whatever the peak is measured with
TARGETS = {"cpu": ("forward float32", 0.8), "cuda": ("training bfloat16", 0.45)}


@dataclass
class Entrant:
    """One model with its input, and the windows per second of each run so far."""

    model: nn.Module
    x: Tensor
    features: Callable[[nn.Module, Tensor], Tensor]
    tokens: int
    flop: dict[str, float] = field(default_factory=dict)  # per window; not counted for the peers
    turns: dict[str, list[Turn]] = field(default_factory=lambda: defaultdict(list))

    def runs(self, mode: str) -> list[float]:
        """Windows per second by the clock."""
        return [turn.by_clock for turn in self.turns[mode]]


def bench_lab(
    seconds: float = 1.0, *, batch: int | None = None, runs: int = 5, device: str | None = None,
    sizes: dict[str, EncoderConfig] | None = None, for_s: float = 0.5,
    square: tuple[int, ...] | None = None, log: Log = lambda text: None,
) -> dict[str, Any]:
    """Measure encoders and matrix products by turns.

    Parameters
    ----------
    seconds : float
        Length of a window of 125 channels; whole seconds, because the peers know only those.
    batch : int, optional
        Windows at a time; 8 on a CPU, 64 on a GPU.
    runs : int
        How often each takes its turn; medians are given, and single runs.
    sizes : dict of EncoderConfig, optional
        Other sizes of ours to measure.
    for_s : float
        How long each works at its turn.
    square : tuple of int, optional
        Sizes of the square products among those that find the machine's peak.

    Returns
    -------
    dict
        `input`, `machine`, `peak_tflops` (by format; `burst_tflops` of the fastest single product), `models` (by
        title: parameters, tokens, windows_per_s, tokens_per_s, runs; ours and torch's own also gflop_per_window,
        share_of_peak, share_of_burst and on a CPU share_of_peak_by_processor_time, which a busy machine hardly lowers),
        `missing` (title -> why), `left_out` (mode -> why), `ratios` (ours over each peer, and over torch's own).
    """
    if seconds != int(seconds) or seconds < 1 or runs < 1:
        raise UserError(f"Windows of {seconds:g} s in {runs} runs cannot be compared: give whole seconds, and runs.")
    chosen = choose_device(device)
    batch = batch or (64 if chosen.torch.type == "cuda" else 8)
    ours = {title: c.model_copy(update={"n_times": int(SFREQ_HZ * seconds)}) for title, c in (sizes or SIZES).items()}
    entrants = {title: _ours(config, batch, chosen.torch) for title, config in ours.items()}
    if sizes is None:
        entrants[QUERIES] = _ours(LatentQueryConfig(n_times=int(SFREQ_HZ * seconds)), batch, chosen.torch)
    for title, config in ours.items():
        entrants[plain_title(title)] = _plain(config, entrants[title])
    missing: dict[str, str] = {}
    for title, name in PEERS.items():
        try:
            entrants[title] = _peer(name, int(seconds), batch, chosen.torch)
        except UserError as error:
            missing[title] = str(error)
    shapes = [shape for config in ours.values() for shape in product_shapes(config, batch)]
    peak = MatrixPeak(shapes, chosen.torch, for_s, square)
    modes = [mode for mode in MODES if mode.split()[1] in peak.dtypes]
    left_out = {mode: f"not native on {chosen.name}: many times slower there" for mode in MODES if mode not in modes}
    for run in range(runs):
        peak.measure()
        for title, entrant in entrants.items():
            log(f"run {run + 1} of {runs}: {title}")
            for mode in modes:
                _compute(entrant, mode, for_s)
    return {
        "input": {"channels": 125, "seconds": seconds, "batch": batch, "runs": runs, "peers_hz": PEER_HZ},
        "machine": {
            "kind": chosen.torch.type, "device": chosen.name, "cores": os.cpu_count(),
            "threads": torch.get_num_threads(), "torch": torch.__version__,
        },
        "peak_tflops": {name: peak.sustained(name) / 1e12 for name in peak.dtypes},
        "burst_tflops": {name: peak.burst(name) / 1e12 for name in peak.dtypes},
        "models": {title: _summary(entrant, peak) for title, entrant in entrants.items()},
        "missing": missing, "left_out": left_out, "ratios": _ratios(entrants),
    }  # fmt: skip


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for people: what, here, target, met. Median run over the best product's median turn of the same length."""
    kind = found["machine"]["kind"]
    if kind not in TARGETS or RELEASED not in found["models"]:
        return []
    mode, target = TARGETS[kind]
    share = found["models"][RELEASED]["share_of_peak"][mode]
    what = f"{RELEASED}: {mode}, share of the matrix peak on {kind}"
    rows = [{"what": what, "here": f"{share:.2f}", "target": f"≥ {target}", "met": share >= target}]
    if kind == "cpu":
        pair = f"{RELEASED} / {plain_title(RELEASED)}"
        ratio = found["ratios"][pair][mode]
        what = f"{pair}: {mode}, windows per second"
        met = ratio >= PLAIN_TARGET
        rows.append({"what": what, "here": f"{ratio:.2f}", "target": f"≥ {PLAIN_TARGET:.2f}", "met": met})
    return rows


def plain_title(title: str) -> str:
    """What torch's own transformer of the size of ours is called."""
    return f"plain torch ({title.removeprefix('ours, ')})"


def _ours(config: AnyEncoderConfig, batch: int, device: torch.device) -> Entrant:
    model = make_encoder(config, Montage.nmed().positions_m)
    flop = {"forward": _count(model, training=False), "training": _count(model, training=True)}
    x = torch.randn(batch, config.n_channels, config.n_times, device=device)
    return Entrant(model.to(device), x, _our_features, 1 + model.tokens_of(config.n_channels, config.n_times), flop)


def _our_features(model: nn.Module, x: Tensor) -> Tensor:
    encoded = model(x)
    return torch.cat([encoded.cls[:, None], encoded.times], dim=1)


class PlainEncoder(nn.Module):
    """Torch's own transformer, as anybody would write it: of the size of ours, on as many tokens."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.size = config.patch
        self.patch = nn.Linear(config.patch, config.dim)
        self.cls = nn.Parameter(torch.zeros(config.dim))
        layer = nn.TransformerEncoderLayer(
            config.dim, config.heads, config.mlp_ratio * config.dim, 0.0, nn.functional.gelu, batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.blocks = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """Windows (B, C, T) to CLS and tokens (B, 1 + C * slots, D)."""
        tokens = self.patch(x.unflatten(2, (-1, self.size))).flatten(1, 2)
        return self.blocks(torch.cat([self.cls.expand(len(x), 1, -1), tokens], dim=1))


def _plain(config: EncoderConfig, ours: Entrant) -> Entrant:
    """Torch's own with the input of ours; the FLOP are those of the same products."""
    model = PlainEncoder(config).to(ours.x.device)
    cut = ours.x[:, :, : config.n_slots * config.patch]
    return Entrant(model, cut, lambda module, x: module(x), ours.tokens, ours.flop)


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


def _count(model: AnyEncoder, *, training: bool) -> float:
    """FLOP of one window, counted without computing; attention counts as the two products it is."""
    empty = copy.deepcopy(model).to("meta")
    x = torch.empty(1, model.config.n_channels, model.config.n_times, device="meta")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        out = _our_features(empty, x)
        if training:
            out.sum().backward()
    return float(counter.get_total_flops())


def _compute(entrant: Entrant, mode: str, for_s: float) -> None:
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

    entrant.turns[mode].append(take_turn(step, len(entrant.x), device, for_s))


def _summary(entrant: Entrant, peak: MatrixPeak) -> dict[str, Any]:
    rates = {mode: median(entrant.runs(mode)) for mode in entrant.turns}
    summary: dict[str, Any] = {
        "parameters": sum(p.numel() for p in entrant.model.parameters()), "tokens": entrant.tokens,
        "windows_per_s": rates, "tokens_per_s": {mode: rate * entrant.tokens for mode, rate in rates.items()},
        "runs": {mode: entrant.runs(mode) for mode in entrant.turns},
    }  # fmt: skip
    if entrant.flop:
        summary["gflop_per_window"] = {kind: flop / 1e9 for kind, flop in entrant.flop.items()}
        summary |= _shares(entrant, peak)
    return summary


def _shares(entrant: Entrant, peak: MatrixPeak) -> dict[str, dict[str, float]]:
    """How near each mode comes to doing nothing but the machine's best matrix products (median turns)."""
    shares: dict[str, dict[str, float]] = {"share_of_peak": {}, "share_of_burst": {}}
    for mode, turns in entrant.turns.items():
        kind, dtype = mode.split()
        rate = median(turn.by_clock for turn in turns) * entrant.flop[kind]
        shares["share_of_peak"][mode] = rate / peak.sustained(dtype)
        shares["share_of_burst"][mode] = rate / peak.burst(dtype)
        if entrant.x.device.type == "cpu":
            rate = median(turn.by_processor for turn in turns) * entrant.flop[kind]
            share = rate / peak.sustained(dtype, processor=True)
            shares.setdefault("share_of_peak_by_processor_time", {})[mode] = share
    return shares


def _ratios(entrants: dict[str, Entrant]) -> dict[str, dict[str, float]]:
    """Ours over each peer and over torch's own, as the median of the runs' own ratios."""
    ratios = {}
    for title in (title for title in entrants if plain_title(title) in entrants):
        for other in (name for name in entrants if name in PEERS or name == plain_title(title)):
            one, two = entrants[title], entrants[other]
            pairs = {mode: zip(one.runs(mode), two.runs(mode), strict=True) for mode in one.turns}
            ratios[f"{title} / {other}"] = {mode: median(a / b for a, b in pair) for mode, pair in pairs.items()}
    return ratios
