"""Parts of transformers as they lie in a folder: loaded whole or refused in one sentence, and quietly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bci_music.messages import UserError

_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer_config.json")


def load_whole(kind: Any, folder: Path) -> Any:
    """Load a transformers model from safetensors, and refuse weights that are missing, too many or of other shapes."""
    import torch
    from safetensors import SafetensorError

    try:
        with quiet_transformers():
            model, report = kind.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"The {kind.__name__} in {folder} could not be loaded ({reason}): give a directory with its config.json "
            "and its weights as safetensors."
        ) from error
    missing = sorted(name for name in report["missing_keys"] if not name.endswith(("position_ids", "token_type_ids")))
    if missing:
        raise UserError(
            f"The {kind.__name__} in {folder} lacks {len(missing)} weights, among them {missing[0]}: copy it again, or "
            "give another checkpoint."
        )
    return model


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer in a directory; None where there is none."""
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return None
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:150]
        raise UserError(f"The tokenizer in {folder} could not be loaded ({reason}): copy its files again.") from error


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
