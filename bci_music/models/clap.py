"""CLAP as an embedder: transformers' `ClapModel` of any size, from a directory or a checkpoint that was pulled.

Equal to transformers' `ClapFeatureExtractor` (a test holds them together) in half the time, and never random: the
extractor cuts long sound at a random place and marks one of a batch at random as long.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.files import opening
from bci_music.messages import EMBEDDING_DIM, UserError
from bci_music.models.pretrained import load_tokenizer, load_whole, quiet_transformers, tokenize
from bci_music.models.windowed import WindowedEmbedder, unit

if TYPE_CHECKING:
    from bci_music.models.checkpoints.store import Reference


_FLOOR = 1e-10


def clap_input(extractor: Any, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Spectrograms of windows of mono sound at the extractor's rate: (m, 1, frames, mels), or (m, 4, ...) with fusion.

    Parameters
    ----------
    extractor : ClapFeatureExtractor
        Says rate, length, filters and how short sound is filled up.
    windows : sequence of (n,) float32
        None longer than the extractor's length.
    """
    fused = extractor.truncation == "fusion"
    filters = extractor.mel_filters if fused else extractor.mel_filters_slaney
    pictures = np.stack([_log_mel(extractor, fill_up(extractor, window), filters) for window in windows])
    return np.repeat(pictures[:, None], 4 if fused else 1, axis=1)


def fill_up(extractor: Any, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a window to the extractor's length: repeated whole times and padded, repeated and cut, or padded."""
    length = int(extractor.nb_max_samples)
    if len(window) > length:
        raise ValueError(f"a window of {len(window)} samples, at most {length} are heard at once")
    if len(window) < length and extractor.padding == "repeat":
        return np.resize(window, length)
    if len(window) < length and extractor.padding == "repeatpad":
        window = np.tile(window, length // len(window))
    elif extractor.padding not in ("repeat", "repeatpad", "pad"):
        raise UserError(f"The CLAP fills short sound up by {extractor.padding!r}: expected repeatpad, repeat or pad.")
    return np.pad(window, (0, length - len(window)))


def _log_mel(extractor: Any, sound: NDArray[np.float32], filters: NDArray[np.float64]) -> NDArray[np.float32]:
    """(frames, mels) decibels of power, frames centred, the ends mirrored."""
    n_fft, hop = int(extractor.fft_window_size), int(extractor.hop_length)
    padded = np.pad(sound.astype(np.float64), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    taper = np.hanning(n_fft + 1)[:-1]
    spectrum = np.fft.rfft(frames * taper)
    power = spectrum.real**2 + spectrum.imag**2
    return (10.0 * np.log10(np.maximum(power @ filters, _FLOOR))).astype(np.float32)


# What decides, beside the weights, which vector a sound gets.
_AUDIO_FIELDS = (
    "window_size", "num_mel_bins", "spec_size", "hidden_act", "patch_size", "patch_stride", "hidden_size",
    "projection_dim", "depths", "num_attention_heads", "enable_fusion", "fusion_type", "patch_embed_input_channels",
    "flatten_patch_embeds", "patch_embeds_hidden_size", "enable_patch_layer_norm", "qkv_bias", "mlp_ratio",
    "aff_block_r", "projection_hidden_act", "layer_norm_eps",
)  # fmt: skip
_EXTRACTOR_FIELDS = (
    "feature_size", "sampling_rate", "hop_length", "max_length_s", "fft_window_size", "frequency_min",
    "frequency_max", "truncation", "padding",
)  # fmt: skip
class ClapEmbedder(WindowedEmbedder):
    """Sound and text to one space of 512 numbers.

    Parameters
    ----------
    model : ClapModel
    extractor : ClapFeatureExtractor
        Says at which rate and for how long the model hears.
    tokenizer : PreTrainedTokenizer, optional
        Without one, text cannot be embedded.
    device : str, optional
        "cuda", "mps" or "cpu"; cuda where there is one.

    Attributes
    ----------
    origin : Reference or None
        The checkpoint on the hub it was pulled as: `save` then writes its name instead of its weights.
    """

    def __init__(self, model: Any, extractor: Any, tokenizer: Any = None, *, device: str | None = None):
        import torch

        width = int(model.config.projection_dim)
        if width != EMBEDDING_DIM:
            raise UserError(f"This CLAP embeds to {width} numbers, expected {EMBEDDING_DIM}: give another checkpoint.")
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self._device, torch.float32).eval().requires_grad_(False)
        self.extractor, self.tokenizer = extractor, tokenizer
        self.origin: Reference | None = None
        self.rate_hz, self.longest_s = float(extractor.sampling_rate), float(extractor.max_length_s)

    @classmethod
    def load(cls, where: str | Path, *, revision: str | None = None, device: str | None = None) -> Self:
        """Open a directory that holds model and processor, a pulled checkpoint by name, or laion_clap's own `.pt` file.

        Weights are read as safetensors only; a `.pt` file is read without running anything in it.
        """
        if str(where).endswith(".pt"):
            from bci_music.models.laion import read_laion

            return cls(*read_laion(where), device=device)
        from bci_music.models.checkpoints.store import find_checkpoint, origin_of

        folder = find_checkpoint(where, revision)
        model, hearing, words = folder, folder, folder
        if (folder / "text_encoder").is_dir():  # a generator that brings its CLAP (MusicLDM)
            model, hearing, words = (folder / name for name in ("text_encoder", "feature_extractor", "tokenizer"))
        made = cls(load_clap_model(model), _load_extractor(hearing), load_tokenizer(words), device=device)
        made.origin = origin_of(folder)
        return made

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"CLAP {self.origin.name if self.origin else ''} {self.sha[:12]}".replace("  ", " ")

    @cached_property
    def sha(self) -> str:
        """SHA-256 over the weights, the sizes of the sound tower and the feature extractor's settings."""
        audio = self.model.config.audio_config
        digest = hashlib.sha256(b"clap 1")
        for source, fields in ((audio, _AUDIO_FIELDS), (self.extractor, _EXTRACTOR_FIELDS)):
            digest.update(json.dumps({name: getattr(source, name) for name in fields}, sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            if tensor.is_floating_point():  # the rest are indices that follow from the sizes
                digest.update(f"{name} {tuple(tensor.shape)}".encode())
                digest.update(tensor.float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Embed a description of music: (512,) float32 of length one."""
        return self.embed_texts([text])[0]

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed descriptions: (n, 512) float32, unit rows.

        Raises
        ------
        UserError
            If this CLAP came without a tokenizer.
        """
        import torch

        if self.tokenizer is None:
            raise UserError(
                "This CLAP has no tokenizer, so text cannot be embedded: add its tokenizer files, or give sound."
            )
        rows = []
        with torch.inference_mode():
            for text in texts:
                tokens = tokenize(self.tokenizer, text, self.model.config.text_config).to(self._device)
                rows.append(self.model.get_text_features(**tokens).pooler_output[0].cpu().numpy())
        return unit(np.stack(rows))

    def save(self, directory: str | Path, *, half: bool = False) -> None:
        """Write model, feature extractor and tokenizer into `directory` (made if absent), as `load` reads them.

        With `half` the weights are rounded to 16 bits, which makes it another embedder with another `sha`. Of a pulled
        checkpoint, which may be large, only name and commit are written.
        """
        import copy

        import torch

        if self.origin is not None and not half:
            self.origin.write(Path(directory))
            return

        model = copy.deepcopy(self.model).cpu()
        with quiet_transformers():
            (model.to(torch.float16) if half else model).save_pretrained(directory, safe_serialization=True)
            self.extractor.save_pretrained(directory)
            if self.tokenizer is not None:
                self.tokenizer.save_pretrained(directory)
        for file in Path(directory).glob("*.safetensors"):
            file.chmod(0o644)  # written for their owner alone

    def _embed_batch(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        import torch

        seen = torch.from_numpy(clap_input(self.extractor, windows)).to(self._device)
        whole = torch.zeros((len(windows), 1), dtype=torch.bool, device=self._device)  # none was cut
        with torch.inference_mode():
            rows: NDArray[np.float32] = self.model.get_audio_features(seen, is_longer=whole).pooler_output.cpu().numpy()
        return rows


def load_clap_model(folder: Path) -> Any:
    """Load a `ClapModel` in single precision; every weight has to be there and of the right shape."""
    from transformers import ClapModel

    return load_whole(ClapModel, folder)


def _load_extractor(folder: Path) -> Any:
    from transformers import ClapFeatureExtractor

    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise UserError(f"The CLAP in {folder} has no preprocessor_config.json, which says how it hears: add it.")
    advice = "add its preprocessor_config.json, or copy it again"
    with opening(folder, "a CLAP that hears", advice), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of filters that settings which are refused below leave empty
        extractor = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
        rate, hop, n_fft = extractor.sampling_rate, extractor.hop_length, extractor.fft_window_size
        if not (4_000 <= rate <= 384_000 and 1 <= hop <= n_fft <= 2**16 and 0 < extractor.max_length_s <= 60):
            raise ValueError(f"a rate of {rate} Hz, a hop of {hop} and windows of {n_fft}")
        return extractor


def convert_laion(path: Path, target: Path) -> None:
    """Write a `.pt` file of laion_clap as a directory that transformers and this program open."""
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{target} is not empty: remove it or name another folder.")
    ClapEmbedder.load(path, device="cpu").save(target)
