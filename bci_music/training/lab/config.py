"""One experiment of the lab as data: what is trained, on which side of which split, for how long."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from bci_music.config import Config, read_yaml, shipped
from bci_music.messages import UserError
from bci_music.metrics.split_choice import SplitConfig, SplitKind
from bci_music.models.sizes import AnyEncoderConfig, EncoderConfig, HeadConfig
from bci_music.training.eeg.align import AlignConfig
from bci_music.training.eeg.closed_form import ClosedFormConfig
from bci_music.training.eeg.pretrain import PretrainConfig

PRESETS = ("small", "paper", "released")
ModelName = Literal["channel", "eeg2mel", "labram", "eegpt", "cbramod", "linear", "trf", "cca", "spectrum", "oracle"]


class AdaptConfig(Config):
    """The ridge into the embedder's space.

    `alpha` None: chosen by cross-validation over blocks of song time; else relative to the inputs' mean summed variance
    (`Sums.solve`).
    """

    alpha: float | None = Field(None, gt=0)
    hop_s: float = Field(1.0, gt=0)


class LabConfig(Config):
    """All of one experiment; `configs/lab-*.yaml` are the presets.

    `model` is ours (`channel`) or a baseline. `closed_form` is the closed-form init of the first filters (ours; None:
    none). `pretrain` None: no self-distillation.
    """

    RENAMED: ClassVar = {"backward": "closed_form"}
    REMOVED: ClassVar = {"mean_tokens": (None,)}

    title: str = "Channel-oriented (ours)"
    model: ModelName = "channel"
    pretrained: bool = False  # a baseline's weights from the hub
    normalise: Literal["causal", "whole-recording"] = "causal"
    window_s: float = Field(4.0, gt=0)
    embedder: str = Field("", description="directory or name of a CLAP; empty: statistics fitted on the training music")
    encoder: AnyEncoderConfig = EncoderConfig()
    head: HeadConfig = HeadConfig()
    closed_form: ClosedFormConfig | None = None
    pretrain: PretrainConfig | None = None
    align: AlignConfig = AlignConfig()
    adapt: AdaptConfig = AdaptConfig()
    split: SplitKind = "time-block"
    splitting: SplitConfig = SplitConfig()
    labelled: float = Field(1.0, gt=0, le=1)  # share of the training recordings whose music training knows
    minutes: float | None = Field(None, gt=0)  # of a thread: the most of all training; steps may end it earlier
    seed: int = 0


def lab_preset(name: str, **overrides: Any) -> LabConfig:
    """Load a shipped preset, or the YAML file of that name, with overrides on top.

    Parameters
    ----------
    **overrides
        Nested mappings are merged, e.g. ``head={"kind": "linear"}``; None takes a part out.
    """
    values = read_yaml(name) if name.endswith((".yaml", ".yml")) else _shipped_preset(name)
    return LabConfig.parse(merged(values, overrides), f"the preset {name!r}")


def override(config: LabConfig, changes: dict[str, Any], where: str) -> LabConfig:
    """Return the configuration with (nested) changes; an unknown key is an error naming the nearest right one."""
    return LabConfig.parse(merged(config.model_dump(mode="json"), changes), where)


def reseeded(config: LabConfig, seed: int) -> LabConfig:
    """Return the configuration with this seed for everything that is drawn; the split keeps its own."""
    parts = {name: getattr(config, name) for name in ("closed_form", "pretrain", "align")}
    drawn = {name: part.model_copy(update={"seed": seed}) for name, part in parts.items() if part is not None}
    return config.model_copy(update={"seed": seed, **drawn})


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; later values win. An encoder of another kind takes the place of the one before."""
    result = dict(values)
    for key, value in changes.items():
        inner = result.get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            other = key == "encoder" and value.get("kind", _kind(inner)) != _kind(inner)
            value = value if other else merged(inner, value)
        result[key] = value
    return result


def _kind(encoder: dict[str, Any]) -> str:
    return encoder.get("kind", EncoderConfig().kind)


def _shipped_preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise UserError(f"There is no preset {name!r}: choose {', '.join(PRESETS)}, or give a YAML file.")
    return read_yaml(shipped(f"configs/lab-{name}.yaml"))
