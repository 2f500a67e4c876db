"""In which form the parts of a model compute fastest here, and how long they take."""

from __future__ import annotations

import copy
import shutil
import time
from collections import defaultdict, deque
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bci_music.config import Config
from bci_music.models.device import native_bf16

if TYPE_CHECKING:
    import torch

    from bci_music.generation.audioldm.loading import Parts


_WIDE_LEVELS = 2  # of a UNet: further down the latents are few and the weights many


class Speed(Config):
    """In which form a model computes."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="auto: float16 on a GPU; on a processor bfloat16 where it is faster here, else float32"
    )
    channels_last: bool = Field(True, description="channels beside each other in memory, as convolutions like it")
    fast_convolutions: bool = Field(
        True, description="on a processor, in float32: wide ones with fewer multiplications (up to twice the memory)"
    )
    compile: bool = Field(False, description="compile the denoiser: minutes at first; on a GPU with CUDA graphs")


def prepare(parts: Parts, device: torch.device, speed: Speed) -> tuple[str, ...]:
    """Bring a model's networks to a device, in place; returns what was asked for and cannot be had."""
    import torch

    from bci_music.generation.audioldm.fast_conv import put_channels_last, put_fast

    denoiser, vae, vocoder = parts.denoiser, parts.vae, parts.vocoder
    spectral = hasattr(vocoder, "log_magnitude")  # works at frame rate, where there is little to save
    dtype = getattr(torch, fastest_dtype(denoiser, device) if speed.dtype == "auto" else speed.dtype)
    # A vocoder in bfloat16 hisses (8 bits), and on a processor half precision is the slow way.
    sounding = torch.float32 if dtype == torch.bfloat16 or device.type == "cpu" else dtype
    for model, form in ((denoiser, dtype), (vae, dtype), (vocoder, sounding)):
        torch.nn.Module.to(model, device, form)  # diffusers' own method warns for no reason
    if speed.channels_last:
        denoiser.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    if device.type == "cpu" and speed.fast_convolutions:
        if not spectral:
            put_fast(vocoder)
        if dtype == torch.float32:
            for part in (vae.decoder, *_wide(denoiser)):
                put_fast(part)
    if device.type == "cpu" and speed.channels_last and not spectral:
        put_channels_last(vocoder)  # what is left of it
    if not speed.compile:
        return ()
    if (why := missing_compiler(device)) is not None:
        return (f"The denoiser runs as it is, not compiled: {why}.",)
    denoiser.compile(mode="reduce-overhead" if device.type == "cuda" else "default", dynamic=False)
    return ()


def _wide(denoiser: Any) -> list[Any]:
    """Blocks of a UNet whose convolutions are wide; a transformer has none."""
    if not hasattr(denoiser, "down_blocks"):
        return []
    return [*denoiser.down_blocks[:_WIDE_LEVELS], *denoiser.up_blocks[-_WIDE_LEVELS:]]


def missing_compiler(device: torch.device) -> str | None:
    """Why nothing can be compiled for a device, or None."""
    if device.type == "cuda":
        return None if find_spec("triton") else "the package triton is not installed"
    return None if any(shutil.which(name) for name in ("g++", "clang++", "c++", "cl")) else "there is no C++ compiler"


def fastest_dtype(denoiser: Any, device: torch.device) -> str:
    """Number format in which a denoiser on a device is fastest; on a processor one of its own blocks is measured."""
    if device.type == "cuda":
        return "float16"
    if device.type != "cpu" or not native_bf16("cpu"):
        return "float32"
    block = denoiser.mid_block.resnets[0] if hasattr(denoiser, "mid_block") else denoiser.blocks[0]
    took = {dtype: _block_s(copy.deepcopy(block), dtype) for dtype in ("float32", "bfloat16")}
    return min(took, key=lambda dtype: took[dtype])


def _block_s(block: Any, dtype: str) -> float:
    """Seconds of one residual block at about the size it has in a 10 s clip."""
    import torch

    block = block.to(getattr(torch, dtype))
    given = _block_input(block)
    walls = []
    with torch.inference_mode():
        for _ in range(4):
            began = time.perf_counter()
            block(*given)
            walls.append(time.perf_counter() - began)
    return min(walls)


def _block_input(block: Any) -> tuple[Any, ...]:
    import torch

    if hasattr(block, "conv1"):
        x = torch.zeros(2, block.in_channels, 32, 4).to(block.conv1.weight.dtype)
        return x, torch.zeros(2, block.time_emb_proj.in_features).to(x.dtype)
    from bci_music.models.latent_query import rotation

    dim = block.out.in_features
    tokens = torch.zeros(2, 128, dim).to(block.out.weight.dtype)
    return tokens, tokens[:, :7], rotation(128, dim // block.heads)


class Walls:
    """Wall times by kind of work: running medians, per frame of spectrogram."""

    def __init__(self, keep: int = 9):
        self._per_frame: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=keep))
        self.frames = 0  # of the newest clip

    def note(self, kind: str, seconds: float, frames: int) -> None:
        """Add one measurement."""
        self._per_frame[kind].append(seconds / frames)

    def expect(self, kind: str, frames: int) -> float:
        """Seconds this will take for so many frames; 0 when it was never measured."""
        times = self._per_frame.get(kind)
        return frames * median(list(times)) if times else 0.0


def settle(device: torch.device) -> None:
    """Wait until a GPU has done what this thread gave it, so that a wall time means something."""
    if device.type == "cuda":
        import torch

        torch.cuda.current_stream(device).synchronize()
