"""Configuration of a live run: `configs/live.yaml` is the commented example."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bci_music.config import Config
from bci_music.streaming.lsl import StreamQuery


class SoundConfig(Config):
    """What plays and where to."""

    generator: Literal["auto", "library", "audioldm"] = Field(
        "auto", description="auto: AudioLDM where one is given or comes with the pack, else the library"
    )
    audioldm: str | None = Field(
        None, description="directory or hub id of an AudioLDM checkpoint, in place of the pack's own"
    )
    device: str | None = Field(None, description="name or number of the output device; none: the system's default")
    volume_db: float = Field(0.0, ge=-60, le=0)


class LiveConfig(Config):
    """Everything one live run needs."""

    stream: StreamQuery = StreamQuery()
    pack: str = "demo"
    sound: SoundConfig = SoundConfig()
    ring_seconds: float = Field(60.0, ge=10, le=600)
    wait_s: float = Field(15.0, ge=1, description="how long to look for the stream before giving up")
