"""Parts of transformers as they lie in a folder: loaded whole or refused in one sentence, and quietly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bci_music.files import opening
from bci_music.messages import UserError

_SPARE = 10_000_000  # weights that need not be stored: indices, tied ones
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer_config.json")


def load_whole(kind: Any, folder: Path) -> Any:
    """Load a transformers model from safetensors, and refuse weights that are missing, too many or of other shapes."""
    import torch

    from bci_music.models.checkpoints.weights import check_model

    advice = "give a directory with its config.json and its weights as safetensors"
    with opening(folder, kind.__name__, advice), quiet_transformers():
        check_size(kind, folder)
        model, report = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    missing = sorted(name for name in report["missing_keys"] if not name.endswith(("position_ids", "token_type_ids")))
    if missing:
        raise UserError(
            f"The {kind.__name__} in {folder} lacks {len(missing)} weights, among them {missing[0]}: copy it again, or "
            "give another checkpoint."
        )
    check_model(model, folder)
    return model


def check_size(kind: Any, folder: Path) -> None:
    """Refuse a configuration that asks for other weights than there are, before they are allocated.

    `kind` is a model of transformers or diffusers; whatever reading its configuration raises is the caller's.
    """
    import torch
    from transformers import AutoConfig

    from bci_music.models.checkpoints.weights import read_shapes

    there = {name: shape for path in folder.glob("*.safetensors") for name, shape in read_shapes(path).items()}
    with torch.device("meta"):
        if hasattr(kind, "load_config"):
            model = kind.from_config(kind.load_config(folder, local_files_only=True))
        else:
            config = getattr(kind, "config_class", None) or AutoConfig
            described = config.from_pretrained(folder, local_files_only=True)
            model = kind.from_config(described) if config is AutoConfig else kind(described)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    odd = next((name for name in wanted if wanted[name] != there.get(name, wanted[name])), None)
    if odd is not None:
        raise ValueError(f"{odd} is {there[odd]}, and its config.json asks for {wanted[odd]}")
    asked, given = (sum(map(math.prod, table.values())) for table in (wanted, there))
    if given and asked > 2 * given + _SPARE:
        raise ValueError(f"its config.json asks for {asked:,} weights, and there are {given:,}")


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer in a directory; None where there is none."""
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return None
    from transformers import AutoTokenizer

    with opening(folder, "a tokenizer", "copy its files again"):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def tokenize(tokenizer: Any, text: str, text_config: Any) -> Any:
    """Tokens of one text, cut to what the text tower takes."""
    longest = int(text_config.max_position_embeddings) - int(text_config.pad_token_id or 0) - 1
    return tokenizer(text, return_tensors="pt", truncation=True, max_length=longest, return_token_type_ids=False)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the loader's progress bars and its report of weights off the terminal; what is wrong is reported by us."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
