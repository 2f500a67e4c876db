"""What lies on disk: sessions and reports of runs, listed while somebody looks, exported and recorded when asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from bci_music.data.consent import consent_reference
from bci_music.engine.chance import bets_words
from bci_music.engine.packs import PackList
from bci_music.files import read_json, shown
from bci_music.messages import UserError
from bci_music.outputs.registry import make_outputs
from bci_music.sessions.folder import NOTE, RECORDING
from bci_music.sessions.look import State, look_at
from bci_music.status import Command, Failure, Shelf, Shelved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bci_music.outputs.stage import OutputStage

EVERY_S = 3.0  # between two looks at the disk
MOST_FOLDERS, MOST = 400, 60  # that are looked into; that are listed
REPORT = "report.json"
ENDINGS = {"bids": "-bids", "edf": ".edf", "fif": "_eeg.fif"}  # what an export is called beside its session


class Shelving:
    """A stage with a thread of its own, so that neither a slow disk nor an export holds anybody up.

    Parameters
    ----------
    place : Path
        The folder below which sessions and runs lie, at most two deep; new recordings go to its `sessions`.
    outputs : mapping
        The outputs' configuration of this run.
    on_failure : callable
    now : callable
        LSL time.
    pack : str
        Name or folder of the pack that runs.
    """

    def __init__(
        self, place: Path, outputs: Mapping[str, Mapping[str, Any]], on_failure: Callable[[Failure], None],
        now: Callable[[], float], pack: str = "demo",
    ):
        self._place, self._outputs, self._on_failure, self._now = place, outputs, on_failure, now
        self._asked: SimpleQueue[Command] = SimpleQueue()
        self._looking = False
        self._looked_s = float("-inf")
        self._known: dict[Path, tuple[float, Shelved]] = {}  # with the time it was changed
        self._recording: OutputStage | None = None
        self._packs, self._looks_for_packs = PackList(pack), False
        self.add: Callable[[list[OutputStage]], None] = lambda stages: None  # to the run
        self.standing: Callable[[], tuple[OutputStage, ...]] = lambda: ()
        self.shelf = Shelf(place=shown(place.resolve()))

    def take(self, command: Command) -> bool:
        """Take a command about what lies on disk; it is done by the next steps."""
        if command.name not in ("shelf", "export", "record", "look_packs"):
            return False
        self._asked.put(command)
        return True

    def step(self, now: float) -> None:
        """Do what was asked, then look at the disk if it is time."""
        while True:
            try:
                command = self._asked.get_nowait()
            except Empty:
                break
            try:
                self._do(command)
            except (UserError, OSError) as error:
                self._say(str(error))
                self._on_failure(Failure(self._now(), "shelf", str(error)))
        if (self._looking or self._looks_for_packs) and now - self._looked_s >= EVERY_S:
            self._looked_s = now
            if self._looking:
                self._list()
            if self._looks_for_packs:
                self.shelf = replace(self.shelf, packs=self._packs.look(_folders(self._place)))

    def _do(self, command: Command) -> None:
        if command.name == "shelf":
            self._looking, self._looked_s = bool(command.value), float("-inf")
        elif command.name == "look_packs":
            self._looks_for_packs, self._looked_s = bool(command.value), float("-inf")
        elif command.name == "export":
            kind, _, folder = command.text.partition(" ")
            self._export(kind, Path(folder))
        elif command.text:
            self._record(command.text.strip())
        elif self._recording is not None:
            self._recording.finish()
            self._recording = None
            self._say("the recording is being closed")

    def _say(self, text: str, busy: str = "") -> None:
        self.shelf = replace(self.shelf, outcome=text, busy=busy)

    # what there is

    def _list(self) -> None:
        found: list[Shelved] = []
        for folder in _folders(self._place):
            for name, read in ((RECORDING, _session), (REPORT, _run)):
                path = folder / name
                try:
                    changed_s = path.stat().st_mtime + _changed(folder)
                except OSError:
                    continue
                known = self._known.get(path)
                if known is None or known[0] != changed_s or known[1].state == State.RECORDING:
                    try:
                        entry = read(folder)
                    except (UserError, OSError) as error:
                        entry = Shelved(str(folder), folder.name, "run", "unreadable", "", (), (str(error),))
                    known = self._known[path] = (changed_s, entry)
                found.append(known[1])
        found.sort(key=lambda entry: entry.started, reverse=True)
        self.shelf = replace(self.shelf, entries=tuple(found[:MOST]))

    # what is asked

    def _export(self, kind: str, folder: Path) -> None:
        from bci_music.sessions.export import export_session

        self._say("", f"writing {shown(folder.name)} as {kind}")
        out = folder.with_name(folder.name + ENDINGS[kind])
        path, notes = export_session(folder, out, kind)
        self._say(" ".join([f"written to {shown(path)}", *notes]))

    def _record(self, consent: str) -> None:
        consent_reference(consent)
        if self._recording is not None or any(s.name == "recording" and s.status().text for s in self.standing()):
            raise UserError("A recording is under way: end it first.")
        folder = self._place / "sessions" / time.strftime("%Y-%m-%d-%H%M%S")
        recording = {**self._outputs.get("recording", {}), "folder": folder, "consent": consent}
        values = {**self._outputs, "recording": recording}
        stages = make_outputs(values, self._on_failure, self._now, self.standing())
        self._recording = next(stage for stage in stages if stage.name == "recording")
        self._recording.output.prepare()
        self.add(stages)
        self._say(f"recording to {shown(folder)}")


def _folders(place: Path) -> list[Path]:
    """Return the folder and those in it, two deep, without hidden ones."""
    found, level = [place], [place]
    for _ in range(2):
        inside: list[Path] = []
        for folder in level:
            try:
                inside += sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
            except OSError:
                continue
            if len(found) + len(inside) > MOST_FOLDERS:
                break
        found += inside
        level = inside
    return found[:MOST_FOLDERS]


def _changed(folder: Path) -> float:
    """When the folder's sums, counts or report last changed: what the state of a session follows from."""
    return sum((folder / name).stat().st_mtime for name in ("SHA256SUMS", NOTE) if (folder / name).exists())


def _session(folder: Path) -> Shelved:
    look = look_at(folder, compare=False)
    note, pack = look.note, look.note.get("pack")
    largest = max(look.samples.items(), key=lambda pair: pair[1], default=("", 0))
    facts = [
        ("consent", shown(note.get("consent_reference", "unknown"))),
        ("pack", shown(pack.get("name", "unknown")) if isinstance(pack, dict) else "unknown"),
        ("streams", f"{len(look.samples)}"),
        ("EEG", f"{largest[1]} samples" if largest[1] else "none"),
    ]
    if look.music_s is not None:
        facts.append(("music", f"{look.music_s:.0f} s"))
    state = str(look.state)
    if look.state is State.UNFINISHED:
        state = "unfinished: its run was killed"
    return Shelved(str(folder), folder.name or str(folder.resolve().name), "session", state, look.started,
                   tuple(facts), tuple(look.faults))


def _run(folder: Path) -> Shelved:
    """Read the report of a run into names and values."""
    path = folder / REPORT
    report = read_json(path, "leave it out, or delete it")
    found, chance, stream = (_dict(report.get(key)) for key in ("identification", "chance", "stream"))
    facts = [("EEG", f"{shown(stream.get('name'))}, {stream.get('channels')} channels")]
    if found:
        facts.append(("song found", f"{found.get('hits')} of {found.get('n')} windows"))
    if chance.get("method"):
        facts.append(("above chance", "yes" if chance.get("shown") else "not shown"))
        facts.append(("evidence", f"{_number(chance.get('highest'))} after {shown(bets_words(chance))}"))
    sham = report.get("sham")
    spans = len(sham) if isinstance(sham, list) else 0
    facts.append(("sham", {0: "none", 1: "once"}.get(spans, f"{spans} times")))
    facts.append(("windows", f"{report.get('windows_decoded')} decoded, {report.get('windows_skipped')} skipped"))
    facts.append(("gaps", f"{report.get('gaps')}, {report.get('missing_samples')} samples missing"))
    age = _dict(report.get("data_age_ms"))
    facts.append(("data age p95", f"{_number(age.get('p95'))} ms"))
    facts.append(("sound", f"{_number(report.get('audio_seconds'))} s, {report.get('underruns')} underruns"))
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(path.stat().st_mtime))
    lost = report.get("lost")
    faults = tuple(shown(text) for text in lost) if isinstance(lost, list) else ()
    return Shelved(str(folder), folder.name or str(folder.resolve().name), "run", "report", started,
                   tuple((name, shown(value)) for name, value in facts), faults)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "unknown"
