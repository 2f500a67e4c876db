"""Recording a live run: LabRecorder on the raw stream and on everything derived from it, only with consent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bci_music.messages import StreamInfo, UserError

if TYPE_CHECKING:
    from bci_music.engine.engine import Engine
    from bci_music.streaming.outlets import DerivedOutlets
    from bci_music.streaming.recorder import LabRecorder


def require_consent(record: Path | None, consent: str | None) -> None:
    """Refuse to record without a consent reference."""
    if record is not None and not (consent and consent.strip()):
        raise UserError(
            "Recording needs the listener's consent: add --consent with its reference (for example the number of the "
            "signed form), or leave --record out."
        )
    if consent and record is None:
        raise UserError("--consent was given but nothing is recorded: add --record FOLDER, or leave --consent out.")


class Recording:
    """Outlets for what is derived from the EEG, and a LabRecorder that starts once the stream is found.

    All outlets exist before the recorder starts, because one that comes later is never recorded.
    """

    def __init__(self, engine: Engine, directory: Path, consent: str):
        self._engine = engine
        self._directory = directory
        self._consent = consent.strip()
        self._recorder: LabRecorder | None = None
        self._outlets: DerivedOutlets | None = None
        self.path: Path | None = None
        engine.on_stream.append(self._begin)
        engine.on_stop.append(self._finish)

    def _begin(self, info: StreamInfo) -> None:
        from bci_music.streaming.outlets import DerivedOutlets
        from bci_music.streaming.recorder import LabRecorder

        labels = self._engine.decoder.montage.names if self._engine.decoder else info.labels
        self._outlets = DerivedOutlets(info.name, len(labels), labels)
        self._directory.mkdir(parents=True, exist_ok=True)
        streams = [info.name, f"{info.name} music", *self._outlets.names]
        self._recorder = LabRecorder(self._directory / "recording.xdf", streams, consent=self._consent)
        self._recorder.start()
        self.path = self._recorder.path
        self._engine.add_sink(self._outlets)
        self._engine.recording = f"recording, consent {self._consent}"
        self._engine.note(f"recording started, consent reference {self._consent}")

    def _finish(self) -> None:
        """Write the final event, then close the file and the outlets."""
        if self._recorder is None or self._outlets is None:
            return
        self._engine.note("run ended")
        self._recorder.stop()
        self._outlets.close()
        self._engine.recording = ""
