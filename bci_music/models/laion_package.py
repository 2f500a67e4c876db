"""The laion-clap package itself as an embedder: an optional extra in an environment of its own (`make laion`).

Nothing needs it: `ClapEmbedder` reads the same checkpoints. It is here to compare with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import UserError
from bci_music.models.checkpoints.pickled import read_pickled
from bci_music.models.windowed import WindowedEmbedder, unit

_WIDTHS = {96: "HTSAT-tiny", 128: "HTSAT-base"}  # of the first layer, by which the package names its sound towers


class LaionPackageEmbedder(WindowedEmbedder):
    """`laion_clap.CLAP_Module` with the interface of the other embedders.

    Parameters
    ----------
    module : laion_clap.CLAP_Module
    weights : dict of tensors
        What was loaded into it.
    """

    rate_hz, longest_s = 48_000.0, 10.0

    def __init__(self, module: Any, weights: dict[str, Any]):
        self._module, self._weights = module, weights

    @classmethod
    def load(cls, path: str | Path, *, device: str | None = None) -> Self:
        """Open a `.pt` file with the package; the file is read by us, since the package would unpickle it.

        Raises
        ------
        UserError
            If the package is not installed, or the file is not one of its checkpoints.
        """
        weights = {name.removeprefix("module."): value for name, value in read_pickled(path).items()}
        first = weights.get("audio_branch.patch_embed.proj.weight")
        tower = _WIDTHS.get(int(first.shape[0])) if first is not None else None
        if tower is None:
            raise UserError(f"{path} has no sound tower of laion_clap ({' or '.join(_WIDTHS.values())}): give another.")
        try:
            import laion_clap
        except ImportError as error:
            raise UserError(
                f"The package laion-clap is not installed here ({error}): `make laion` makes an environment for it, or "
                "open the file without it (ClapEmbedder)."
            ) from error
        fused = "audio_branch.patch_embed.mel_conv2d.weight" in weights
        module = laion_clap.CLAP_Module(enable_fusion=fused, amodel=tower, device=device)
        weights.pop("text_branch.embeddings.position_ids", None)  # a buffer that newer RoBERTas do not keep
        module.model.load_state_dict(weights)
        return cls(module, weights)

    @cached_property
    def sha(self) -> str:
        """SHA-256 over the weights."""
        digest = hashlib.sha256(b"laion-clap package 1")
        for name, value in sorted(self._weights.items()):
            digest.update(name.encode() + value.float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"CLAP by the laion-clap package {self.sha[:12]}"

    def save(self, directory: str | Path) -> None:
        """Refuse: the package's checkpoint stays where it is, and `convert_laion` makes a directory of it."""
        raise UserError("The laion-clap package saves nothing: `bci-music models convert FILE.pt FOLDER` does.")

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Embed a description of music: (512,) float32 of length one."""
        return unit(np.asarray(self._module.get_text_embedding([text, text]), np.float32)[0])

    def _embed_batch(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        rows = [self._module.get_audio_embedding_from_data(x=[w], use_tensor=False) for w in windows]
        return np.concatenate([np.asarray(row, np.float32) for row in rows])
