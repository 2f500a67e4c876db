"""Where the sound that is heard comes from, as a run is told: a file or folder, an input device, or an LSL stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from bci_music.config import Config
from bci_music.files import shown
from bci_music.messages import UserError

if TYPE_CHECKING:
    from bci_music.heard.sounds import HeardSound
    from bci_music.heard.stage import HeardStage
    from bci_music.streaming.acquire import Acquirer


class HeardConfig(Config):
    """What the listener hears, where that is given; one of file, device and stream."""

    file: str | None = Field(None, description="sound file, or folder of files named like the songs of the markers")
    start_s: float | None = Field(None, ge=0, description="a file begins so long after the EEG; none: at its marker")
    device: str | None = Field(None, description="name or number of an input device: microphone or loopback")
    stream: str | None = Field(None, description="name or source id of an LSL stream of audio")
    delay_s: float = Field(0.0, ge=-1, le=2, description="from the sound as given to the ear, e.g. of headphones")

    @model_validator(mode="after")
    def _one_source(self) -> HeardConfig:
        if sum(given is not None for given in (self.file, self.device, self.stream)) > 1:
            raise ValueError("the sound that is heard comes from one of file, device and stream")
        if self.start_s is not None and self.file is None:
            raise ValueError("start_s belongs to a file")
        return self


def open_heard(
    config: HeardConfig, acquirer: Acquirer, begins: Callable[[], float] | None = None
) -> HeardStage | None:
    """Open the sound that is heard beside the EEG of `acquirer`; None where none is given.

    Parameters
    ----------
    begins : callable, optional
        LSL time from which `start_s` counts; by default that of the first sample.

    Raises
    ------
    UserError
        Where it cannot be opened.
    """
    sound = _open(config)
    if sound is None:
        return None
    from bci_music.heard.stage import HeardStage

    return HeardStage(acquirer, sound, config.delay_s, begins)


def _open(config: HeardConfig) -> HeardSound | None:
    if config.file is not None:
        from bci_music.heard.sounds import SoundFiles

        path = Path(config.file).expanduser()
        if not path.exists():
            raise UserError(f"There is no {shown(path)}: give --heard a sound file, or a folder of such files.")
        return SoundFiles(path, config.start_s)
    if config.device is not None:
        from bci_music.heard.capture import DeviceSound

        return DeviceSound(config.device)
    if config.stream is not None:
        from bci_music.heard.capture import StreamSound

        return StreamSound(config.stream)
    return None
