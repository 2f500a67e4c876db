"""How long a clip takes: our sampler beside diffusers' own pipeline, at the sizes AudioLDM was published in.

Numbers are those of diffusers' conversion of the original checkpoints: s has 185 M parameters in its UNet, m 416 M.

Weights are random, which changes the sound and not the speed. All take turns, run by run, so that whatever else the
machine does affects them alike.
"""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bci_music.generation.audioldm.loading import PARTS, Parts, denoisers_of
from bci_music.generation.audioldm.precision import Speed, prepare, settle
from bci_music.generation.audioldm.sampler import AudioLdm
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.generation.open import open_model
from bci_music.messages import EMBEDDING_DIM, Log, UserError
from bci_music.models.device import choose_device

if TYPE_CHECKING:
    import torch


SIZES = {"s": 128, "m": 192}  # channels of the UNet's first level
MULTIPLES = (1, 2, 3, 5)


def published_parts(size: str) -> Parts:
    """Make UNet, VAE, vocoder and scheduler of AudioLDM-s or -m."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
    networks = (make_unet(SIZES[size]), make_vae(), make_vocoder())
    for network in networks:
        network.eval().requires_grad_(False)
    unconditional = np.zeros(EMBEDDING_DIM, np.float32)
    return Parts(
        *networks, scheduler, unconditional, trained=False, name=f"AudioLDM-{size}", settings=SamplerSettings()
    )


def copied(parts: Parts) -> Parts:
    """The same model once more, so that it can be brought into another form."""
    return Parts(*(copy.deepcopy(part) for part in vars(parts).values()))


def make_unet(channels: int) -> Any:
    """The UNet whose first level has so many channels."""
    from diffusers import UNet2DConditionModel

    widths = tuple(channels * multiple for multiple in MULTIPLES)
    return UNet2DConditionModel(
        sample_size=128, in_channels=8, out_channels=8, block_out_channels=widths, layers_per_block=2,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
        up_block_types=(*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"), cross_attention_dim=widths,
        class_embed_type="simple_projection", class_embeddings_concat=True,
        projection_class_embeddings_input_dim=EMBEDDING_DIM,
    )  # fmt: skip


def make_vae() -> Any:
    """The VAE of spectrograms, the same in both sizes."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=1, out_channels=1, latent_channels=8, block_out_channels=(128, 256, 512), layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3, sample_size=512,
    )  # fmt: skip


def make_vocoder() -> Any:
    """The vocoder, the same in both sizes."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    return SpeechT5HifiGan(SpeechT5HifiGanConfig(
        model_in_dim=64, sampling_rate=16_000, upsample_initial_channel=1024, upsample_rates=[5, 4, 2, 2, 2],
        upsample_kernel_sizes=[16, 16, 8, 4, 4], resblock_kernel_sizes=[3, 7, 11],
        resblock_dilation_sizes=[[1, 3, 5]] * 3, normalize_before=False,
    ))  # fmt: skip


CLIP_S, MANY_STEPS = 10.24, 100
STOCK, STOCK_MANY = "diffusers' pipeline, its defaults", f"diffusers' pipeline, {MANY_STEPS} steps"
SAME, FAST, PACK = "ours, the same settings", "ours, fast settings", "the pack's generator"
FAST_SETTINGS = SamplerSettings(solver="dpm++", steps=6, spacing="karras", guidance_from=0.9, guidance_until=0.2)
TARGETS = {"cpu": ("s", "rtf", 1.0), "cuda": ("m", "seconds", 0.15)}
VECTOR = np.full(EMBEDDING_DIM, EMBEDDING_DIM**-0.5, np.float32)


@dataclass
class Entrant:
    """One way to make a clip, its settings, and seconds by part of each run so far.

    `make` takes a number of steps; `same_sound` says whether the clip is the pipeline's, None where none is.
    """

    make: Callable[[int], dict[str, float]]
    settings: SamplerSettings
    same_sound: bool | None
    runs: list[dict[str, float]] = field(default_factory=list)

    def take_turn(self, *, warm: bool) -> None:
        """Make one clip; before the first one another of a single step, since libraries set themselves up in it."""
        if warm:
            self.make(1)
        began = time.perf_counter()
        parts = self.make(self.settings.steps)
        self.runs.append({"seconds": time.perf_counter() - began, **parts})


def bench_sound(
    seconds: float = CLIP_S, *, runs: int = 3, device: str | None = None, sizes: tuple[str, ...] = tuple(SIZES),
    many: bool | None = None, generator: Path | None = None, speed: Speed | None = None,
    build: Callable[[str], Parts] = published_parts, log: Log = lambda text: None,
) -> dict[str, Any]:
    """Measure clips by turns.

    Parameters
    ----------
    seconds : float
        Length of a clip.
    sizes : tuple of str
        "s" and "m".
    many : bool, optional
        Whether the pipeline's 100 steps are run, or estimated from the median step of its 10; run on a GPU.
    generator : Path, optional
        Directory of more denoisers, each measured with its own settings.
    speed : Speed, optional
        The form ours computes in.
    build : callable
        Makes the parts of a size.

    Returns
    -------
    dict
        `input`, `machine`, `sizes` (by size: `parameters` and `entrants`), `pack` (by denoiser). An entrant has the
        medians `seconds`, `rtf` (seconds per second of sound), `step_s`, `decode_s`, `vocode_s` where they are known
        apart, `settings`, `same_sound`, all `runs`, and `estimated` where it did not run.
    """
    import torch

    if runs < 1 or seconds <= 0 or not set(sizes) <= set(SIZES):
        raise UserError(f"{runs} runs of {seconds:g} s at {sizes} cannot be measured: sizes are {', '.join(SIZES)}.")
    chosen = choose_device(device)
    found: dict[str, Any] = {
        "input": {"seconds": seconds, "runs": runs, "weights": "random"},
        "machine": {
            "kind": chosen.torch.type, "device": chosen.name, "cores": os.cpu_count(), "load": list(os.getloadavg()),
            "threads": torch.get_num_threads(), "torch": torch.__version__,
        },
        "sizes": {}, "pack": {},
    }  # fmt: skip
    many = chosen.torch.type == "cuda" if many is None else many
    for size in sizes:
        log(f"size {size}: making the networks")
        parts = build(size)
        entrants = _entrants(parts, seconds, chosen.torch, speed or Speed(), many)
        _turns(entrants, runs, log, f"size {size}, ")
        entrants_found = {title: _summary(entrant, seconds) for title, entrant in entrants.items()}
        if not many:
            entrants_found[STOCK_MANY] = _estimated(entrants_found[STOCK], seconds)
        networks = zip(PARTS[:3], (parts.denoiser, parts.vae, parts.vocoder), strict=True)
        counts = {part: sum(p.numel() for p in network.parameters()) for part, network in networks}
        found["sizes"][size] = {"parameters": counts, "entrants": entrants_found}
    if generator is not None:
        own = {}
        for word in denoisers_of(generator):
            model = open_model(word, checkpoint=str(generator), device=str(chosen.torch), speed=speed or Speed())
            own[word] = model, Entrant(_ours(model, model.settings, seconds), model.settings, None)
        _turns({f"{PACK}, {word}": entrant for word, (_, entrant) in own.items()}, runs, log, "")
        for word, (model, entrant) in own.items():
            found["pack"][word] = {"name": model.name, "trained": model.trained, **_summary(entrant, seconds)}
    return found


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for people: what, here, target, met."""
    kind = found["machine"]["kind"]
    if kind not in TARGETS or TARGETS[kind][0] not in found["sizes"]:
        return []
    size, figure, target = TARGETS[kind]
    here = found["sizes"][size]["entrants"][FAST][figure]
    unit = "seconds per second of sound" if figure == "rtf" else f"seconds per {found['input']['seconds']:g} s clip"
    what = f"AudioLDM-{size} on {kind}, {FAST}: {unit}"
    return [{"what": what, "here": f"{here:.2f}", "target": f"≤ {target:g}", "met": here <= target}]


def _entrants(
    parts: Parts, seconds: float, device: torch.device, speed: Speed, many: bool
) -> dict[str, Entrant]:
    ours = copied(parts)
    model = AudioLdm(ours, device, prepare(ours, device, speed))
    stock, same = _stock(parts, seconds, device), SamplerSettings()  # whose defaults are the pipeline's
    entrants = {STOCK: Entrant(stock, same, True)}
    if many:
        entrants[STOCK_MANY] = Entrant(stock, same.model_copy(update={"steps": MANY_STEPS}), False)
    entrants[SAME] = Entrant(_ours(model, same, seconds), same, True)
    entrants[FAST] = Entrant(_ours(model, FAST_SETTINGS, seconds), FAST_SETTINGS, False)
    return entrants


def _turns(entrants: dict[str, Entrant], runs: int, log: Log, where: str) -> None:
    for run in range(runs):
        for title, entrant in entrants.items():
            log(f"{where}run {run + 1} of {runs}: {title}")
            entrant.take_turn(warm=run == 0)


def _ours(model: AudioLdm, settings: SamplerSettings, seconds: float) -> Callable[[int], dict[str, float]]:
    frames = model.frames(seconds)

    def make(steps: int) -> dict[str, float]:
        times = [time.perf_counter()]
        latents = model.latents(VECTOR, frames, settings=settings.model_copy(update={"steps": steps}), seed=0)
        times.append(time.perf_counter())
        mel = model.decode(latents)
        times.append(time.perf_counter())
        model.vocode(mel)
        times.append(time.perf_counter())
        all_steps, decode, vocode = np.diff(times).tolist()
        return {"step_s": all_steps / steps, "decode_s": decode, "vocode_s": vocode}

    return make


def _stock(parts: Parts, seconds: float, device: torch.device) -> Callable[[int], dict[str, float]]:
    """Diffusers' pipeline around parts; in half precision on a GPU, as its documentation shows it."""
    import torch

    pipeline = _pipeline(parts)
    pipeline.to(device, torch.float16 if device.type == "cuda" else torch.float32)
    vector = torch.from_numpy(VECTOR[None])

    def make(steps: int) -> dict[str, float]:
        times = [time.perf_counter()]

        def note(step: int, timestep: int, latents: torch.Tensor) -> None:
            settle(device)
            times.append(time.perf_counter())

        pipeline(
            audio_length_in_s=seconds, num_inference_steps=steps, prompt_embeds=vector,
            negative_prompt_embeds=torch.zeros_like(vector), generator=torch.Generator().manual_seed(0), callback=note,
        )  # fmt: skip
        return {"step_s": median(np.diff(times).tolist()), "after_s": time.perf_counter() - times[-1]}

    return make


def _pipeline(parts: Parts) -> Any:
    """Put parts into the pipeline; its text encoder, which vectors do not need, is a tiny one."""
    with warnings.catch_warnings():  # it is deprecated, which is known
        warnings.simplefilter("ignore")
        from diffusers import AudioLDMPipeline
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        words = ClapTextModelWithProjection(ClapTextConfig(
            vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        ))  # fmt: skip
        pipeline = AudioLDMPipeline(parts.vae, words, None, parts.denoiser, parts.scheduler, parts.vocoder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _summary(entrant: Entrant, seconds: float) -> dict[str, Any]:
    middle = {name: median(run[name] for run in entrant.runs) for name in entrant.runs[0]}
    return {
        **middle, "rtf": middle["seconds"] / seconds, "settings": entrant.settings.model_dump(),
        "same_sound": entrant.same_sound, "estimated": False, "runs": entrant.runs,
    }  # fmt: skip


def _estimated(stock: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the pipeline would take for 100 steps, by the median step of its 10 in the same runs."""
    more = MANY_STEPS - stock["settings"]["steps"]
    whole = stock["seconds"] + more * stock["step_s"]
    settings = {**stock["settings"], "steps": MANY_STEPS}
    return {"seconds": whole, "rtf": whole / seconds, "settings": settings, "same_sound": False, "estimated": True}
