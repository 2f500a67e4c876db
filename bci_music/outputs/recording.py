"""Recording a live run: LabRecorder on the raw stream and on everything derived from it, only with consent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bci_music.messages import UserError
from bci_music.outputs.lsl import stream_names
from bci_music.outputs.output import Output, OutputContext, Setting

if TYPE_CHECKING:
    from bci_music.streaming.recorder import LabRecorder


class RecordingOutput(Output):
    """One XDF file of the raw stream, its music markers and the derived streams, which another output sends.

    The derived streams exist before the recorder starts, because one that comes later is never recorded.
    """

    name = "recording"
    needs = ("lsl",)
    required = True
    network_stream_only = True
    settings = (
        Setting("folder", Path, None, "--record", "Folder to record into (XDF); needs --consent."),
        Setting("consent", str, None, "--consent", "Reference of the listener's consent to recording."),
    )

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(values)
        self._folder, self._consent = values["folder"], str(values["consent"]).strip()
        self._recorder: LabRecorder | None = None

    @classmethod
    def enabled(cls, values: Mapping[str, Any]) -> bool:
        """Whether there is a folder to record into; there must be a consent reference with it, and none without."""
        folder, consent = values.get("folder"), values.get("consent")
        if folder is not None and not (consent and consent.strip()):
            raise UserError(
                "Recording needs the listener's consent: add --consent with its reference (for example the number of "
                "the signed form), or leave --record out."
            )
        if consent and folder is None:
            raise UserError("--consent was given but nothing is recorded: add --record FOLDER, or leave --consent out.")
        return folder is not None

    def open(self, context: OutputContext) -> None:
        """Start the recorder on all streams of the run."""
        from bci_music.streaming.recorder import LabRecorder

        stream = context.stream
        if stream.kind == "file":
            raise UserError(f"{stream.name} is a file, and only an LSL stream can be recorded: leave --record out.")
        self._folder.mkdir(parents=True, exist_ok=True)
        streams = [stream.name, f"{stream.name} music", *stream_names(stream.name)]
        self._recorder = LabRecorder(self._folder / "recording.xdf", streams, consent=self._consent)
        self._recorder.start()
        self.path = self._recorder.path
        self.status = f"recording, consent {self._consent}"
        context.log_event(f"recording started, consent reference {self._consent}")

    def close(self) -> None:
        """Let the last events arrive, then close the file."""
        self.status = ""
        if self._recorder is not None:
            self._recorder.stop()
