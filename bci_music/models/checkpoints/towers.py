"""Two text towers, the same words: does a CLAP speak the language of a generator?

AudioLDM's checkpoints hold only the text half of the CLAP they were trained with. Embeddings of sound come from another
checkpoint that is claimed to be the same; its text half shows whether it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.files import read_json, shown
from bci_music.messages import EMBEDDING_DIM, UserError
from bci_music.models.checkpoints.store import find_checkpoint
from bci_music.models.checkpoints.weights import AGAIN
from bci_music.models.pack import MANIFEST, Pack
from bci_music.models.pretrained import load_tokenizer, load_whole, tokenize
from bci_music.models.windowed import unit

UNCONDITIONAL = "unconditional.npy"
AGREE = 0.999  # least cosine: half precision costs 1e-6, another training run much more
PROMPTS = (
    "calm ambient music with soft pads", "fast techno with a driving kick drum", "a solo piano playing a sad melody",
    "an acoustic guitar and a singing voice", "heavy metal with distorted guitars", "a jazz trio with walking bass",
    "a string orchestra, slow and solemn", "hip hop beat with a deep bass", "a church organ", "birds in a forest",
    "a man speaking", "rain and distant thunder",
)  # fmt: skip


@dataclass(frozen=True)
class TextTower:
    """A text model with projection and its tokenizer."""

    name: str
    model: Any
    tokenizer: Any

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, 512) unit rows."""
        import torch

        if self.tokenizer is None:
            raise UserError(f"{self.name} has no tokenizer, so its text tower cannot be compared: add its files.")
        rows = []
        with torch.inference_mode():
            for text in texts:
                made = self.model(**tokenize(self.tokenizer, text, self.model.config))
                rows.append(made.text_embeds[0].numpy())
        return unit(np.stack(rows))


@dataclass(frozen=True)
class Agreement:
    """Cosines between two towers.

    Attributes
    ----------
    prompts : tuple of str
    own : (n,) float32
        Each prompt with itself, through the two towers.
    others : (n,) float32
        Each prompt with the nearest other prompt: what `own` has to exceed.
    """

    prompts: tuple[str, ...]
    own: NDArray[np.float32]
    others: NDArray[np.float32]

    @property
    def agree(self) -> bool:
        """Whether both towers are one."""
        return bool(self.own.min() >= AGREE and (self.own > self.others).all())

    @property
    def verdict(self) -> str:
        """In a sentence."""
        if self.agree:
            return f"The text towers agree (least cosine {self.own.min():.4f}): this CLAP leads this generator."
        found = float((self.own > self.others).mean())
        return (
            f"The text towers differ (cosine {self.own.min():.3f} to {self.own.max():.3f}, at least {AGREE} expected; "
            f"{found:.0%} of the prompts are nearest to themselves): an adapter fitted to this CLAP would lead this "
            "generator elsewhere; take the CLAP it was trained with."
        )


def text_tower(where: str | Path, revision: str | None = None) -> TextTower:
    """Open the text tower of a generator (its `text_encoder`) or of a CLAP.

    Raises
    ------
    UserError
        If there is none, or it does not embed to 512 numbers.
    """
    from transformers import ClapTextModelWithProjection

    folder = find_checkpoint(where, revision)
    place = folder / "text_encoder" if (folder / "text_encoder").is_dir() else folder
    if not (place / "config.json").is_file():
        raise UserError(f"{where} has no text encoder to compare: give a whole checkpoint, or a CLAP.")
    kind = read_json(place / "config.json", AGAIN).get("model_type")
    if kind == "clap":
        model = _of_clap(place)
    elif kind == "clap_text_model":
        model = load_whole(ClapTextModelWithProjection, place)
    else:
        raise UserError(f"The text encoder of {where} is a {shown(kind)}, no CLAP: it cannot be compared.")
    if model.config.projection_dim != EMBEDDING_DIM:
        raise UserError(f"The text encoder of {where} embeds to {model.config.projection_dim} numbers, expected 512.")
    words = folder / "tokenizer" if (folder / "tokenizer").is_dir() else place
    return TextTower(str(where), model.eval(), load_tokenizer(words))


def compare_towers(one: TextTower, other: TextTower, prompts: Sequence[str] = PROMPTS) -> Agreement:
    """Embed the prompts by both; a tower without a tokenizer borrows the other's."""
    one = one if one.tokenizer is not None else TextTower(one.name, one.model, other.tokenizer)
    other = other if other.tokenizer is not None else TextTower(other.name, other.model, one.tokenizer)
    table = one.embed(prompts) @ other.embed(prompts).T
    elsewhere = np.where(np.eye(len(prompts), dtype=bool), -2.0, table).max(1)
    return Agreement(tuple(prompts), np.diag(table).astype(np.float32), elsewhere.astype(np.float32))


def require_agreement(clap: str | Path, generator: str | Path) -> Agreement:
    """Compare, and refuse a CLAP whose text tower is not the generator's; before an adapter is trusted."""
    found = compare_towers(text_tower(clap), text_tower(generator))
    if not found.agree:
        raise UserError(f"{clap} does not fit {generator}. {found.verdict}")
    return found


def require_lead(embedder: Path | None, generator: str | Path, pack: str, space: str = "") -> Agreement | None:
    """Refuse a generator that another embedder leads than the one whose vectors pack `pack` decodes.

    `space` is that embedder's hash, which another pack's generator is compared with. Returns None where the generator
    brings no text tower that could tell.
    """
    folder = find_checkpoint(generator)
    if (folder.parent / MANIFEST).is_file():
        other = Pack.open(folder.parent)
        if other.manifest.spaces.generator != space:
            raise UserError(
                f"The generator of pack {other.name} is conditioned on another embedder than the one pack "
                f"{pack} decodes into: take --pack {folder.parent}, or a generator that belongs to {pack}."
            )
        return None
    if not (folder / "text_encoder").is_dir():
        return None
    if embedder is None or (embedder / "statistics.npz").is_file():
        raise UserError(
            f"Pack {pack} decodes into a space of its own, {generator} is conditioned on a CLAP: take the pack's own "
            "music, or a pack that was aligned to that CLAP (docs/checkpoints.md)."
        )
    return require_agreement(embedder, folder)


def brings_clap(where: str | Path) -> bool:
    """Whether a generator's text encoder is a whole CLAP, sound tower included (MusicLDM)."""
    config = find_checkpoint(where) / "text_encoder" / "config.json"
    return config.is_file() and read_json(config, AGAIN).get("model_type") == "clap"


def write_unconditional(folder: Path) -> str | None:
    """Write what AudioLDM is guided away from, the embedding of no words, beside its parts; the file's name.

    None where the checkpoint is no generator, or has no text tower that can say it.
    """
    if not all((folder / part / "config.json").is_file() for part in ("unet", "text_encoder")):
        return None
    tower = text_tower(folder)
    if tower.tokenizer is None:
        return None
    np.save(folder / UNCONDITIONAL, tower.embed([""])[0])
    return UNCONDITIONAL


def _of_clap(place: Path) -> Any:
    """Take the text half out of a whole CLAP."""
    from transformers import ClapModel, ClapTextModelWithProjection

    whole = load_whole(ClapModel, place)
    half = ClapTextModelWithProjection(whole.config.text_config)
    half.text_model, half.text_projection = whole.text_model, whole.text_projection
    return half
