"""The file of what was played."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ, UserError

if TYPE_CHECKING:
    from soundfile import SoundFile


class WavFile:
    """Writes what was played, as float32 (exact) or 16 bit PCM."""

    def __init__(self, path: str | Path, subtype: str = "PCM_16"):
        import soundfile

        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: SoundFile = soundfile.SoundFile(path, "w", AUDIO_RATE_HZ, 2, subtype=subtype, format="WAV")
        except (OSError, soundfile.SoundFileError) as error:
            text = f"The sound cannot be written to {path} ({error}): give a folder you may write to."
            raise UserError(text) from error

    def __call__(self, samples: NDArray[np.float32]) -> None:
        """Append (n, 2) samples."""
        self._file.write(samples)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
