"""What reads EEG: the interface of every model the lab trains, and our own network (encoder and head)."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bci_music.files import opening
from bci_music.messages import UserError
from bci_music.models.encoder import ChannelEncoder, current_names
from bci_music.models.heads import make_head, normalised
from bci_music.models.latent_query import LatentQueryEncoder
from bci_music.models.pack import MANIFEST, DecoderConfig
from bci_music.models.sizes import AnyEncoderConfig, LatentQueryConfig

AnyEncoder = ChannelEncoder | LatentQueryEncoder


def make_encoder(config: AnyEncoderConfig, positions_m: NDArray[np.float64] | None = None) -> AnyEncoder:
    """Build the encoder that a configuration describes; the electrodes' positions are (n_channels, 3)."""
    if isinstance(config, LatentQueryConfig):
        return LatentQueryEncoder(config, positions_m)
    return ChannelEncoder(config, positions_m)


class EegModel(nn.Module):
    """EEG windows to the space EEG and music share: the lab trains ours, baselines and ablations through this."""

    @abstractmethod
    def embed(self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Vectors (B, embed_dim), not normalised.

        Parameters
        ----------
        x : (B, n_channels, n_times) tensor
        used : (B, n_channels) bool tensor, optional
            Usable channels; all when None.
        keep : (B, K) int64 tensor, optional
            Channels that stay, instead of `used`.
        """

    @abstractmethod
    def infer(self, x: Tensor, used: Tensor) -> tuple[Tensor, Tensor | None]:
        """Unit vectors (B, embed_dim), and what each channel weighs (shares, (B, n_channels)) or None."""


class Network(EegModel):
    """Our encoder and head, saved and loaded as one safetensors file."""

    def __init__(self, config: DecoderConfig, positions_m: NDArray[np.float64] | None = None):
        super().__init__()
        self.encoder = make_encoder(config.encoder, positions_m)
        self.head = make_head(config.encoder.dim, config.head)

    def embed(self, x: Tensor, used: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Vectors (B, embed_dim), not normalised; see `ChannelEncoder.forward`."""
        return self.head(self.encoder(x, used, keep))

    def infer(self, x: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
        """Unit shared vectors (B, embed_dim) and channels' shares (B, C) of windows (B, C, T) with masks (B, C)."""
        encoded = self.encoder(x, used, return_attention=True)
        assert encoded.attention is not None
        return normalised(self.head(encoded)), encoded.attention

    def infer_steps(self, x: Tensor, used: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `infer` gives, and the windows step by step: (B, S, dim + embed_dim).

        Each step of the encoder stands beside what the head makes of the whole window, the same on all steps.
        """
        encoded = self.encoder(x, used, return_attention=True)
        assert encoded.attention is not None
        vectors, times = normalised(self.head(encoded)), encoded.times.float()
        whole = vectors[:, None, : self.head.config.embed_dim].expand(-1, times.shape[1], -1)
        return vectors, encoded.attention, torch.cat([times, whole], 2)

    def save(self, path: str | Path) -> None:
        """Write the matrices in half precision, vectors and statistics as they are."""
        from safetensors.torch import save_file

        state = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        save_file({name: t.half() if t.ndim > 1 else t for name, t in state.items()}, str(path))
        Path(path).chmod(0o644)

    @classmethod
    def load(cls, path: str | Path, config: DecoderConfig) -> Network:
        """Build the network of `config` and fill it from what `save` wrote."""
        from bci_music.models.checkpoints.weights import read_shapes, read_tensors

        path, advice = Path(path), "copy the pack again or rebuild it"
        with opening(path.with_name(MANIFEST), "sizes of a network", advice), torch.device("meta"):
            empty = cls(config).state_dict()
        wanted = {name: tuple(tensor.shape) for name, tensor in empty.items()}
        if wanted != current_names(read_shapes(path, advice)):  # before anything is allocated
            raise UserError(f"The weights in {path.name} do not fit the sizes in {MANIFEST}: rebuild the pack.")
        weights = current_names(read_tensors(path, advice))
        if any(empty[name].is_floating_point() != t.is_floating_point() for name, t in weights.items()):
            raise UserError(f"The weights in {path.name} are whole numbers: rebuild the pack.")
        with torch.random.fork_rng(devices=[]):  # building draws random numbers: leave the caller's state alone
            network = cls(config)
        network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in weights.items()})
        return network
