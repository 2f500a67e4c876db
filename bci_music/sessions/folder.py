"""The folder of one session: what lies in it, and what writes it while a run is recorded.

`recording.xdf` holds the raw EEG as on the wire and what was derived from it, `recording.json` who allowed it and with
which pack and versions, `music.flac` what was played, `session.yaml` the resolved configuration, `samples.json` what
was counted at the end, and `SHA256SUMS`, written last, vouches for all of them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bci_music.files import write_whole
from bci_music.messages import AUDIO_RATE_HZ
from bci_music.sessions.checksums import SUMS, write_checksums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORDING, NOTE, MUSIC, CONFIG, COUNTS = "recording.xdf", "recording.json", "music.flac", "session.yaml", "samples.json"
CONTENTS = (RECORDING, NOTE, MUSIC, CONFIG, COUNTS)  # what has a checksum


def claim_folder(wanted: Path) -> Path:
    """Make `wanted`, or ``wanted-2`` and so on where a session lies there already, and take it: none is overwritten."""
    folder, number = wanted, 1
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not any((folder / name).exists() for name in (*CONTENTS, SUMS)):
            with suppress(FileExistsError):  # another run was quicker
                os.close(os.open(folder / CONFIG, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                return folder
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")


class SessionFolder:
    """Writes what lies beside the recording, for this user alone.

    Parameters
    ----------
    wanted : Path
        The folder, or where one is made beside it: see `claim_folder`.
    config : mapping
        The resolved configuration of the run.
    """

    def __init__(self, wanted: Path, config: Mapping[str, Any]):
        import yaml

        self.folder = claim_folder(wanted)
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        _write(self.folder / CONFIG, text)
        self._music: PlayedMusic | None = None

    def listen(self, add_listener: Callable[[Callable[[NDArray[np.float32]], None]], None],
               heard_from: Callable[[int], float | None]) -> None:  # fmt: skip
        """Write down what is played from now on.

        Parameters
        ----------
        add_listener : callable
            Takes what wants every (n, 2) block of sound.
        heard_from : callable
            LSL time at which a block of so many frames, the newest one, began to be heard; None before anything plays.
        """
        self._music = PlayedMusic(self.folder / MUSIC, heard_from)
        add_listener(self._music)

    @property
    def problem(self) -> str:
        """Why the music is no longer written, "" while it is."""
        return self._music.lost if self._music is not None else ""

    def close(self, samples: Mapping[str, int], faults: list[str]) -> None:
        """Finish the music, write what was counted, and the checksums last.

        Parameters
        ----------
        samples : mapping
            Samples in the recording, by the name of the stream.
        faults : list of str
            What is wrong with the recording, in sentences.
        """
        counts: dict[str, Any] = {
            "ended_utc": datetime.now(UTC).isoformat(timespec="seconds"), "samples": dict(samples), "faults": faults,
        }  # fmt: skip
        if self._music is not None:
            self._music.close()
            counts["music"] = {
                "frames": self._music.frames, "sfreq_hz": AUDIO_RATE_HZ, "began_lsl_s": self._music.began_s,
            }  # fmt: skip
            counts["faults"] = [*faults, *([self._music.lost] if self._music.lost else [])]
        _write(self.folder / COUNTS, json.dumps(counts, indent=2, ensure_ascii=False) + "\n")
        write_checksums(self.folder, CONTENTS)

    def discard(self) -> None:
        """Leave nothing of a session that could not begin."""
        for name in (CONFIG, MUSIC):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # others' files lie there
            self.folder.rmdir()


class PlayedMusic:
    """The sound of a session as FLAC; readable to within a tenth of a second of where a killed run left it.

    Called on the player's thread, closed on another.
    """

    def __init__(self, path: Path, heard_from: Callable[[int], float | None]):
        from bci_music.sound.player import AudioFile

        path.touch(mode=0o600)
        self._file = AudioFile(path)
        self._heard_from = heard_from
        self._lock = threading.Lock()
        self._closed = False
        self.frames = 0
        self.began_s: float | None = None  # LSL time at which the first frame was heard

    def __call__(self, samples: NDArray[np.float32]) -> None:
        """Append what was played, until closed."""
        with self._lock:
            if self._closed:
                return
            if self.frames == 0:
                self.began_s = self._heard_from(len(samples))
            self._file(samples)
            self.frames += len(samples)

    @property
    def lost(self) -> str:
        """Why nothing more is written, "" while all is well."""
        return self._file.lost

    def close(self) -> None:
        """Finish the file; what is played later is not of the session."""
        with self._lock:
            self._closed = True
            self._file.close()


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"), private=True)
