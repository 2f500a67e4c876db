"""A run from its beginning to its end: open what it needs, show it until it is over, write what it did."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bci_music.engine.config import LiveConfig
from bci_music.engine.report import build_report
from bci_music.engine.run_folder import RunFolder
from bci_music.files import shown
from bci_music.messages import Incomplete, Log, StreamState, UserError
from bci_music.status import Failure, mix_words

if TYPE_CHECKING:
    from bci_music.data.session import Reading
    from bci_music.engine.ending import Ending
    from bci_music.engine.engine import Engine
    from bci_music.engine.watch import MakeMarkers
    from bci_music.heard.open import HeardConfig
    from bci_music.messages import MusicMarker, StreamInfo
    from bci_music.sound.player import Player
    from bci_music.streaming.discovery import StreamQuery
    from bci_music.streaming.lsl import LslSource
    from bci_music.streaming.source import Source

REFUSED_S = 1.0  # a stream that cannot be used is given this long to be joined by one that can
PLAY_OUT_S = 4.0  # after the stream's end: what is queued is still heard
WARM_UP_S = 30.0  # of a session before its start: filters and running statistics settle
UNTRAINED = (
    "No AudioLDM checkpoint was given: a small untrained model of the same classes makes the sound, "
    "which is noise and follows no brain. Give --audioldm FOLDER for a trained one."
)


class Display(Protocol):
    """Where a run shows itself: a window or a terminal."""

    chooses: bool  # whether its operator can choose among streams

    def ending(self) -> AbstractContextManager[Ending]:
        """Return how this run is asked to end."""

    def busy(self, text: str) -> AbstractContextManager[Log]:
        """Show `text` while inside, or what is given to what this yields."""

    def log(self, text: str, style: str = "") -> None:
        """Write a line."""

    def show(self, engine: Engine, ended: Callable[[], bool], stop: threading.Event) -> None:
        """Show a started engine until the operator, the time or the stream, which has then `ended`, ends the run.

        `stop` is set when the operator ends it by a signal.
        """


def never() -> bool:
    """A network stream has no end of its own."""
    return False


def run_live(
    config: LiveConfig, display: Display, out: Path | None = None, ended: Callable[[], bool] = never
) -> dict[str, Any] | None:
    """Decode an LSL stream, until `ended` or the operator ends it.

    Returns
    -------
    dict or None
        The report, where there is a folder `out` to write it to.
    """
    from bci_music.streaming.markers import LslMarkers

    source = lsl_source(config.stream, display.chooses)
    return _run(config, display, out, source, lambda info, on: LslMarkers(info.name, on), ended)


def run_demo(
    config: LiveConfig, display: Display, out: Path | None = None, *, session: Path | None = None, loop: bool = False
) -> dict[str, Any] | None:
    """Stream a session, the sample by default, from a second process over LSL; decode and play it."""
    from bci_music.engine.sample import SampleStream, find_sample

    with display.busy("starting the simulated listener"):
        stream = SampleStream(session or find_sample(), loop)
    with stream as sample:
        config = config.model_copy(update={"stream": sample.query(config.stream)})
        return run_live(config, display, out, sample.ended)


def run_replay(
    config: LiveConfig, display: Display, out: Path | None = None, *, file: Path, reading: Reading | None = None,
    speed: float = 1.0, loop: bool = False, start_s: float = 0.0,
) -> dict[str, Any] | None:
    """Decode a recorded session at `speed`, from `start_s` seconds into it."""
    from bci_music.data.formats import open_session
    from bci_music.data.session import AS_IT_IS
    from bci_music.streaming.lsl import lsl_clock
    from bci_music.streaming.markers import FileMarkers
    from bci_music.streaming.replay import SessionSource

    with display.busy(f"opening {shown(file.name)}"):
        session = open_session(file, reading or AS_IT_IS)
    for note in session.notes:
        display.log(note, "yellow")
    source = SessionSource(session, speed=speed, loop=loop, start_s=start_s, clock=lsl_clock, warm_up_s=WARM_UP_S)
    return _run(config, display, out, source, lambda info, on: FileMarkers(source, on), never)


def run_monitor(query: StreamQuery, display: Display, heard: HeardConfig) -> dict[str, Any]:
    """Watch the channels of a stream, and whether it carries the sound that is heard; ready for JSON."""
    from bci_music.clock import Clock
    from bci_music.engine.monitoring import build_monitor, quality_report
    from bci_music.streaming.lsl import lsl_clock
    from bci_music.streaming.markers import LslMarkers

    def markers(info: StreamInfo, take: Callable[[MusicMarker], None]) -> LslMarkers:
        return LslMarkers(info.name, take)

    with display.ending() as ending:
        with display.busy("finding streams"):
            source = lsl_source(query, display.chooses)
            source.min_channels = 1  # there is no pack that needs more
            engine = build_monitor(source, Clock(lsl_clock), heard, markers if heard.file else None)
            ending.running()
        try:
            engine.start()
            display.show(engine, never, ending.asked)
            report = quality_report(engine)
        finally:
            engine.stop()
    if not report["channels"]:
        raise UserError(
            "No verdict was reached: the stream was watched for too short a time, give --seconds 5 or more."
        )
    return report


def lsl_source(query: StreamQuery, as_last_time: bool = False) -> LslSource:
    """Make the source a query asks for; the names of a montage stand in for labels the stream lacks.

    `as_last_time`: of several streams that match, the operator's choice of last time is meant.
    """
    from bci_music.eeg.montage import Montage
    from bci_music.streaming.choosing import chosen_last
    from bci_music.streaming.connector import nobody
    from bci_music.streaming.lsl import LslSource

    names = tuple(Montage.load(query.montage).names) if query.montage else None
    return LslSource(query, montage_labels=names, prefer=chosen_last if as_last_time else nobody)


def _run(
    config: LiveConfig, display: Display, out: Path | None, source: Source, make_markers: MakeMarkers,
    ended: Callable[[], bool],
) -> dict[str, Any] | None:
    """Build the engine, show it until the run ends, stop it, write what it did."""
    from bci_music.clock import Clock
    from bci_music.engine.build import build_engine
    from bci_music.sound.device import open_player
    from bci_music.streaming.lsl import lsl_clock

    losses: list[str] = []
    folder = RunFolder(out, losses.append) if out is not None else None
    wav = out / "music.wav" if out else None
    clock = Clock(lsl_clock)
    with display.ending() as ending, folder or nullcontext(), _with_generator(config, display) as config:
        with display.busy("opening the sound device") as tell, _no_empty_file(wav):
            player = open_player(clock, device=_device(config, display), wav_path=wav, reverb=config.sound.reverb)
            with _stopped_unless_run(player):
                engine = build_engine(config, source, player, clock, make_markers, tell=tell)
                ending.running()
        if player.note:
            display.log(player.note, "dim")
        if sealed := engine.sealed:
            display.log(f"The answer of the blind trial is sealed by SHA-256 {sealed}; the report gives the key.")
        wrong: Exception | None = None
        try:
            engine.start()
            display.show(engine, ended, ending.asked)
        except Exception as error:  # raised again when all that was kept is written
            wrong = error
            if isinstance(error, UserError):
                engine.events.failure(Failure(engine.now(), "run", str(error), fatal=True))
        finally:
            engine.stop(wait=False)
        report = _write(engine, config, folder, losses, wav)
        _say_where(engine, display, folder, losses)
    if wrong is not None:
        raise wrong
    _raise_fatal(engine)
    if lost := [*engine.events.lost, *losses]:
        raise Incomplete(" ".join(lost))
    return report


def _device(config: LiveConfig, display: Display) -> int | str | None:
    """The sound device that is asked for; where none is, and the operator may choose, that of last time."""
    from bci_music.sound.choosing import chosen_last

    device = config.sound.device
    if device is not None:
        return int(device) if device.isdigit() else device
    last = chosen_last() if display.chooses else None
    if last is not None:
        display.log("The sound goes to the device that was chosen last time; press A for another.", "dim")
    return last


def _write(
    engine: Engine, config: LiveConfig, folder: RunFolder | None, losses: list[str], wav: Path | None
) -> dict[str, Any] | None:
    """Write what takes long while the outputs are being closed, then the report, which says how that went."""
    now = engine.now()
    if folder is None:
        engine.stop()
        return None
    folder.write_aside(engine, config, build_report(engine, now, wav), now)
    engine.stop()
    report = build_report(engine, now, wav)
    report["lost"] += losses
    folder.write_report(report)
    return report


def _say_where(engine: Engine, display: Display, folder: RunFolder | None, losses: list[str]) -> None:
    for output in engine.outputs:
        if output.output.path is not None:
            display.log(f"recorded to {output.output.path}")
    if folder is not None and folder.report is not None and (losses or engine.events.lost):
        display.log(f"the report is {folder.report}")


@contextmanager
def _stopped_unless_run(player: Player) -> Iterator[None]:
    """A run that does not come to pass lets go of the sound device."""
    try:
        yield
    except BaseException:
        player.stop()
        raise


@contextmanager
def _no_empty_file(wav: Path | None) -> Iterator[None]:
    """A run that does not come to pass leaves no file in which nothing was played."""
    try:
        yield
    except BaseException:
        if wav is not None:
            wav.unlink(missing_ok=True)
        raise


@contextmanager
def _with_generator(config: LiveConfig, display: Display) -> Iterator[LiveConfig]:
    """Where AudioLDM is asked for and there is none, an untrained one stands in, for as long as the run lasts."""
    sound = config.sound
    if sound.generator != "audioldm" or sound.audioldm.checkpoint is not None or _brings_generator(config.pack):
        yield config
        return
    from bci_music.generation.audioldm.loading import write_random_audioldm

    with tempfile.TemporaryDirectory(prefix="bci-music-") as folder:
        write_random_audioldm(Path(folder), seed=0)
        display.log(UNTRAINED, "yellow")
        untrained = sound.audioldm.model_copy(update={"checkpoint": folder})
        yield config.model_copy(update={"sound": sound.model_copy(update={"audioldm": untrained})})


def _brings_generator(pack: str) -> bool:
    from bci_music.models.pack import Pack

    return Pack.open(pack).generator is not None


def _raise_fatal(engine: Engine) -> None:
    fatal = next((f for f in engine.failures if f.fatal), None)
    if fatal is not None:
        raise UserError(fatal.text)
    if engine.refusal is not None:
        raise engine.refusal
    if engine.first_sample_s is None and engine.state != StreamState.ENDED:
        raise UserError("No EEG came before the run ended: check the stream with `bci-music doctor`.")


def run_headless(
    engine: Engine,
    seconds: float | None,
    ended: Callable[[], bool],
    wait_s: float,
    log: Log,
    query: StreamQuery,
    stop: threading.Event,
    warn: Log,
) -> None:
    """Show a line until `seconds` of stream have passed, the stream has `ended`, or `stop` is set.

    `log` takes the line, and `warn` once each failure that is not the end of the run and each note on the stream.

    Raises
    ------
    UserError
        No stream was found within `wait_s`; names those that are visible.
    """
    began, newest_s, shown = engine.now(), float("-inf"), 0
    while not stop.is_set():
        snapshot = engine.snapshot()
        failure = next((f for f in snapshot.failures if f.fatal), None)
        if failure is not None:
            raise UserError(failure.text)
        for failure in (f for f in snapshot.failures if f.time_s > newest_s):
            newest_s = failure.time_s
            warn(failure.text)
        for note in snapshot.stream.notes[shown:]:
            warn(note)
            shown += 1
        if engine.first_sample_s is None:
            refuse_to_wait(engine, engine.now() - began, wait_s, query)
        elif seconds is not None and engine.now() - engine.first_sample_s >= seconds:
            return
        if ended() or snapshot.stream.state == StreamState.ENDED:
            stop.wait(PLAY_OUT_S if seconds is None else min(PLAY_OUT_S, _left(engine, seconds)))
            return
        log(status_line(engine))
        stop.wait(0.25)


def refuse_to_wait(engine: Engine, waited_s: float, wait_s: float, query: StreamQuery) -> None:
    """Raise where the stream that is there cannot be used, or none sends anything within `wait_s`."""
    from bci_music.streaming.discovery import find_streams, nothing_found

    if engine.refusal is not None and waited_s > REFUSED_S:
        raise engine.refusal
    stream = engine.snapshot().stream
    if waited_s > wait_s and stream.state is not StreamState.LIVE:
        raise UserError(_nothing_sent(stream.name) or nothing_found(query, find_streams(1.0)))


def _nothing_sent(name: str) -> str:
    """Say that a stream was found and is silent, "" where there is none."""
    return f"Stream {name[:200]!r} was found but sends no samples: start sending in its program." if name else ""


def _left(engine: Engine, seconds: float) -> float:
    return max(0.0, seconds - (engine.now() - (engine.first_sample_s or engine.now())))


def status_line(engine: Engine) -> str:
    """Describe the run in one line."""
    s = engine.snapshot()
    age = "no data yet" if s.stream.data_age_s is None else f"data age {s.stream.data_age_s:.2f} s"
    playing = f"{s.playing.kind} {s.playing.title}" if s.playing else "nothing yet"
    if s.playing and s.playing.late:
        playing += f" (late: {s.playing.late})"
    if s.playing and s.playing.prompt_weight > 0:
        playing += f", {mix_words(s.playing.prompt_weight)}"
    n = s.identification
    found = f"  ·  {n.hits}/{n.n} windows found the song" if n else ""
    return (
        f"{s.stream.state.value}  ·  {age}  ·  {s.health.windows_decoded} windows  ·  playing: {playing}"
        f"  ·  underruns {s.sound.underruns}{found}{f'  ·  {s.sham.words}' if s.sham.words else ''}"
    )
