"""Access to braindecode, an optional library: its model classes, and published weights for them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bci_music.messages import UserError

# Published weights know microvolts, our windows are z-scored: their standard deviation is taken to be this much.
ASSUMED_SD_UV = 20.0


def model_class(name: str) -> type[nn.Module]:
    """A class of ``braindecode.models``; raises `UserError` where the library is not installed."""
    try:
        with quiet():
            import braindecode.models as models
    except ImportError as error:
        if (error.name or "").split(".")[0] == "braindecode":
            text = "is not installed"
        else:
            text = f"does not load ({error})"
        raise UserError(
            f"The baseline needs the library braindecode, which {text}: run `sh tools/install-foundation.sh .venv`."
        ) from error
    return getattr(models, name)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings of the library and of what it imports from the user: nothing here can act on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def hub_weights(repository: str) -> tuple[dict[str, Tensor], str]:
    """Published weights, and ``"hub NAME@REVISION"``.

    Parameters
    ----------
    repository : str
        Name on the Hugging Face hub, or a directory that holds ``model.safetensors``.

    Raises
    ------
    UserError
        If the file can neither be downloaded nor found in the hub's cache.
    """
    from safetensors.torch import load_file

    if Path(repository).is_dir():
        path, revision = Path(repository) / "model.safetensors", "local"
        if not path.exists():
            raise UserError(f"{repository} holds no model.safetensors: give a directory with published weights.")
    else:
        path = _download(repository)
        revision = path.parent.name[:12]  # the cache keeps a file under the commit it belongs to
    return load_file(str(path)), f"hub {repository}@{revision}"


def _download(repository: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(repository, "model.safetensors"))
    except (HfHubHTTPError, OSError, ValueError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise UserError(
            f"The weights of {repository} could not be fetched from the Hugging Face hub{offline}: connect to the "
            "network, put them into the hub's cache beforehand, or start from random weights."
        ) from error


def fill(model: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Put published weights into a model built for another window and other channels.

    Embeddings of time slots may be longer than needed: the first rows are taken. What belongs to the
    published task or montage (its last layer, its channels and their projection) stays as it is.
    """
    own = model.state_dict()
    left_out = ("final_layer.", "chan_proj.", "chans_id")
    ours = {name for name in own if not name.startswith(left_out)}
    absent = sorted(ours - set(weights))
    shorter = {name: _first_rows(weights[name], own[name]) for name in ours & set(weights)}
    strange = sorted(name for name, t in shorter.items() if t.shape != own[name].shape)
    if absent or strange:
        raise UserError(
            f"The weights of {where} do not fit the model ({', '.join((absent + strange)[:3])} ...), as if made for "
            "another version of braindecode: install the one in tools/foundation.txt or start from random weights."
        )
    model.load_state_dict(shorter, strict=False)


def _first_rows(given: Tensor, wanted: Tensor) -> Tensor:
    """Cut axis 1 of an embedding (1, n, d) to the length that is wanted."""
    if given.ndim == 3 == wanted.ndim and given.shape[1] > wanted.shape[1]:
        return given[:, : wanted.shape[1]]
    return given


def build_model(name: str, **arguments: Any) -> nn.Module:
    """Build a class of braindecode and take its task's last layer off: `return_features` does not run it."""
    with quiet():
        model = model_class(name)(n_outputs=1, **arguments)
    model.final_layer = nn.Identity()
    return model


def as_float(tokens: Tensor) -> Tensor:
    """Float32, whatever autocast made of it: pooling adds up hundreds of tokens."""
    return tokens.to(torch.float32)
