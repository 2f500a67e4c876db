"""laion_clap's own `.pt` checkpoints as transformers' `ClapModel`: names mapped, sizes read off the weights.

Nothing in the file is run: see `checkpoints.pickled`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bci_music.messages import UserError
from bci_music.models.checkpoints.pickled import read_pickled
from bci_music.models.pretrained import load_tokenizer

HEAD_DIM = 64  # of RoBERTa, whose heads cannot be read off its weights
TOKENIZER = "tokenizer"  # folder beside a .pt file, optional: the files of roberta-base's tokenizer

# Patterns of laion_clap's names and what transformers calls them; `qkv` is split in three.
_BLOCK = r"audio_branch\.layers\.(\d+)\.blocks\.(\d+)\."
_RENAMED = tuple((re.compile(pattern), new) for pattern, new in (
    (r"audio_branch\.bn0\.(.+)", r"audio_model.audio_encoder.batch_norm.\1"),
    (r"audio_branch\.norm\.(.+)", r"audio_model.audio_encoder.norm.\1"),
    (r"audio_branch\.patch_embed\.(.+)", r"audio_model.audio_encoder.patch_embed.\1"),
    (r"audio_branch\.layers\.(\d+)\.downsample\.(.+)", r"audio_model.audio_encoder.layers.\1.downsample.\2"),
    (_BLOCK + r"norm1\.(.+)", r"audio_model.audio_encoder.layers.\1.blocks.\2.layernorm_before.\3"),
    (_BLOCK + r"norm2\.(.+)", r"audio_model.audio_encoder.layers.\1.blocks.\2.layernorm_after.\3"),
    (_BLOCK + r"attn\.proj\.(.+)", r"audio_model.audio_encoder.layers.\1.blocks.\2.attention.output.dense.\3"),
    (_BLOCK + r"attn\.(qkv\..+|relative_position_bias_table|relative_position_index)",
     r"audio_model.audio_encoder.layers.\1.blocks.\2.attention.self.\3"),
    (_BLOCK + r"mlp\.fc1\.(.+)", r"audio_model.audio_encoder.layers.\1.blocks.\2.intermediate.dense.\3"),
    (_BLOCK + r"mlp\.fc2\.(.+)", r"audio_model.audio_encoder.layers.\1.blocks.\2.output.dense.\3"),
    (r"text_branch\.(.+)", r"text_model.\1"),
    (r"(audio|text)_projection\.0\.(.+)", r"\1_projection.linear1.\2"),
    (r"(audio|text)_projection\.2\.(.+)", r"\1_projection.linear2.\2"),
    (r"(logit_scale_[at])", r"\1"),
))  # fmt: skip
# Heads for training and the spectrogram's own arithmetic: no part of the embedding.
_UNUSED = re.compile(
    r"(audio|text)_transform\.|audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\.|"
    r".*\.attn_mask$|text_branch\.embeddings\.(position_ids|token_type_ids)$"
)


def read_laion(path: str | Path) -> tuple[Any, Any, Any]:
    """Read a `.pt` file: (ClapModel, ClapFeatureExtractor, tokenizer or None).

    The tokenizer is that of roberta-base and not in the file: its files may lie in `tokenizer/` beside it.

    Raises
    ------
    UserError
        If it holds anything but weights, or not those of a CLAP with HTSAT and RoBERTa.
    """
    import torch
    from transformers import ClapFeatureExtractor, ClapModel

    path = Path(path).expanduser()
    state = map_names(read_pickled(path), path)
    config = _config(state, path)
    with torch.device("meta"):
        wanted = ClapModel(config).state_dict()
    lacking = sorted(
        name for name in wanted
        if name not in state and not name.endswith(("position_ids", "token_type_ids", "relative_position_index"))
    )  # fmt: skip
    wrong = sorted(name for name in wanted if name in state and state[name].shape != wanted[name].shape)
    if lacking or wrong:
        raise UserError(
            f"{path} does not hold a whole CLAP ({', '.join([*lacking, *wrong][:2])} missing or of another shape): "
            "expected laion_clap's HTSAT with RoBERTa."
        )
    model = ClapModel(config)
    model.load_state_dict({name: value for name, value in state.items() if name in wanted}, strict=False)
    fused = config.audio_config.enable_fusion
    extractor = ClapFeatureExtractor(
        feature_size=config.audio_config.num_mel_bins, frequency_min=50, frequency_max=14_000,
        truncation="fusion" if fused else "rand_trunc", padding="repeatpad",
    )  # fmt: skip
    return model, extractor, load_tokenizer(path.parent / TOKENIZER)


def map_names(weights: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Rename laion_clap's weights to transformers' names, queries, keys and values apart."""
    found: dict[str, Any] = {}
    for given, value in weights.items():
        name = given.removeprefix("module.")
        if _UNUSED.match(name):
            continue
        new = next((p.sub(to, name) for p, to in _RENAMED if p.fullmatch(name)), None)
        if new is None:
            raise UserError(f"{path} holds {given}, which is in no CLAP of laion_clap: give one of its checkpoints.")
        if ".qkv." in new:
            for kind, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[new.replace("qkv", kind)] = piece
        else:
            found[new] = value
    return found


def _config(state: Mapping[str, Any], path: Path) -> Any:
    """Read sizes off the weights; what cannot be read is as in all checkpoints of laion_clap."""
    from transformers import ClapConfig

    def shape(name: str) -> tuple[int, ...]:
        if name not in state:
            raise UserError(f"{path} has no {name}: it is no checkpoint of laion_clap (HTSAT with RoBERTa).")
        return tuple(state[name].shape)

    audio, text = "audio_model.audio_encoder.", "text_model."
    block = audio + "layers.{}.blocks.{}."
    table = "attention.self.relative_position_bias_table"
    depths: list[int] = []
    while block.format(len(depths), 0) + table in state:
        layer = len(depths)
        depths.append(sum(1 for j in range(99) if block.format(layer, j) + table in state))
    width, _, patch, _ = shape(audio + "patch_embed.proj.weight")
    window = (math.isqrt(shape(block.format(0, 0) + table)[0]) + 1) // 2
    fused = audio + "patch_embed.mel_conv2d.weight" in state
    vocabulary, hidden = shape(text + "embeddings.word_embeddings.weight")
    return ClapConfig(
        projection_dim=shape("text_projection.linear2.weight")[0],
        text_config={
            "vocab_size": vocabulary, "hidden_size": hidden, "num_attention_heads": max(1, hidden // HEAD_DIM),
            "num_hidden_layers": sum(1 for n in range(99) if f"{text}encoder.layer.{n}.output.dense.weight" in state),
            "intermediate_size": shape(text + "encoder.layer.0.intermediate.dense.weight")[0],
            "max_position_embeddings": shape(text + "embeddings.position_embeddings.weight")[0],
            "type_vocab_size": shape(text + "embeddings.token_type_embeddings.weight")[0], "layer_norm_eps": 1e-5,
        },
        audio_config={
            "patch_embeds_hidden_size": width, "patch_size": patch, "hidden_size": shape(audio + "norm.weight")[0],
            "depths": depths, "num_attention_heads": [shape(block.format(i, 0) + table)[1] for i in range(len(depths))],
            "num_hidden_layers": len(depths), "window_size": window, "enable_fusion": fused,
            "fusion_type": "aff_2d" if fused else None, "num_mel_bins": shape(audio + "batch_norm.weight")[0],
            "mlp_ratio": shape(block.format(0, 0) + "intermediate.dense.weight")[0] / width,
            "flatten_patch_embeds": True, "enable_patch_layer_norm": audio + "patch_embed.norm.weight" in state,
        },
    )  # fmt: skip
