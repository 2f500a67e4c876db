"""Configuration of a live run: `configs/live.yaml` is the commented example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bci_music.config import Config
from bci_music.engine.sham import ShamConfig
from bci_music.generation.open import GeneratorsConfig
from bci_music.heard.open import HeardConfig
from bci_music.outputs.registry import outputs_config
from bci_music.sound.stage import StageConfig
from bci_music.sound.steering import SteeringConfig
from bci_music.streaming.discovery import StreamQuery

if TYPE_CHECKING:
    OutputsConfig = Config
else:
    OutputsConfig = outputs_config()  # one section for each output there is


class SoundConfig(GeneratorsConfig):
    """What plays, where to, and how it follows the EEG."""

    device: str | None = Field(None, description="name or number of the output device; none: the system's default")
    volume_db: float = Field(0.0, ge=-60, le=0)
    reverb: float = Field(0.35, ge=0, le=1, description="width and reverberation added to what is heard; 0: none")
    steering: SteeringConfig = SteeringConfig()
    stage: StageConfig = StageConfig()


class LiveConfig(Config):
    """Everything one live run needs."""

    stream: StreamQuery = StreamQuery()
    pack: str = "demo"
    sound: SoundConfig = SoundConfig()
    outputs: OutputsConfig = OutputsConfig()
    sham: ShamConfig = ShamConfig()
    heard: HeardConfig = HeardConfig()
    ring_seconds: float = Field(60.0, ge=10, le=600)
    wait_s: float = Field(15.0, ge=1, le=86_400, description="how long to look for the stream before giving up")
