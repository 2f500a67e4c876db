"""What demo, live and replay do once their options are parsed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bci_music.cli.sample import SampleStream, find_sample
from bci_music.engine.config import LiveConfig
from bci_music.engine.recording import Recording, require_consent
from bci_music.messages import StreamState, UserError

if TYPE_CHECKING:
    from bci_music.engine.engine import Engine
    from bci_music.streaming.lsl import LslSource, StreamQuery

console = Console(stderr=True)
WARM_UP_S = 30.0  # of a session before --start: filters and running statistics settle


@dataclass(frozen=True)
class Options:
    """Options that demo, live and replay share."""

    generator: str | None = None
    audioldm: str | None = None
    headless: bool = False
    seconds: float | None = None
    out: Path | None = None
    record: Path | None = None
    consent: str | None = None
    pack: str | None = None
    device: str | None = None
    config: Path | None = None


def run_demo(options: Options, session: Path | None) -> None:
    """Stream a session from a second process over LSL, decode and play it."""
    require_consent(options.record, options.consent)
    with ExitStack() as stack:
        config = resolve(options, {}, stack)
        looped = not options.headless and options.seconds is None
        sample = stack.enter_context(SampleStream(session or find_sample(), looped))
        config = config.model_copy(update={"stream": sample.query(config.stream)})
        _lsl_run(config, options, stack, sample.ended, "demo, simulated EEG")


def run_live(options: Options, stream: dict[str, str | None], wait_s: float | None) -> None:
    """Decode an LSL stream."""
    require_consent(options.record, options.consent)
    with ExitStack() as stack:
        config = resolve(options, stream, stack)
        if wait_s is not None:
            config = config.model_copy(update={"wait_s": wait_s})
        _lsl_run(config, options, stack, lambda: False, "live")


def run_replay(options: Options, file: Path, speed: float, loop: bool, start_s: float) -> None:
    """Decode a recorded session."""
    from bci_music.data.formats import open_session
    from bci_music.engine.build import FileMarkers
    from bci_music.streaming.lsl import lsl_clock
    from bci_music.streaming.replay import SessionSource

    with ExitStack() as stack:
        config = resolve(options, {}, stack)
        session = open_session(file)
        for note in session.notes:
            console.print(f"[yellow]{note}[/yellow]")
        source = SessionSource(
            session, speed=speed, loop=loop, start_s=start_s, clock=lsl_clock, warm_up_s=WARM_UP_S
        )
        _run(
            config, options, stack, source, lambda info, on_marker: FileMarkers(source, on_marker), lambda: False,
            file.name,
        )


def resolve(options: Options, stream: dict[str, str | None], stack: ExitStack) -> LiveConfig:
    """Merge the configuration file with what the command line says; the command line wins."""
    values = LiveConfig.load(options.config).model_dump() if options.config else LiveConfig().model_dump()
    values["stream"] = query_from(stream, values["stream"]).model_dump()
    sound = {"generator": options.generator, "device": options.device}
    values["sound"].update({k: v for k, v in sound.items() if v is not None})
    if options.audioldm is not None:
        values["sound"]["audioldm"]["checkpoint"] = options.audioldm
    if options.pack is not None:
        values["pack"] = options.pack
    config = LiveConfig.parse(values, "the command line")
    given = config.sound.audioldm.checkpoint
    if config.sound.generator == "audioldm" and given is None and not _brings_generator(config.pack):
        from bci_music.generation.audioldm.loading import write_random_audioldm

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bci-music-")))
        write_random_audioldm(folder, seed=0)
        console.print(
            "[yellow]No AudioLDM checkpoint was given: a small untrained model of the same classes makes the sound, "
            "which is noise and follows no brain. Give --audioldm FOLDER for a trained one.[/yellow]"
        )
        untrained = config.sound.audioldm.model_copy(update={"checkpoint": str(folder)})
        config = config.model_copy(update={"sound": config.sound.model_copy(update={"audioldm": untrained})})
    return config


def _brings_generator(pack: str) -> bool:
    from bci_music.models.pack import Pack

    return Pack.open(pack).generator is not None


def query_from(stream: dict[str, str | None], base: dict[str, Any]) -> StreamQuery:
    """Merge the command line's words about the stream into what a configuration file says."""
    from bci_music.streaming.lsl import StreamQuery

    given = {k: v for k, v in stream.items() if v is not None}
    if (text := given.pop("stream", None)) is not None:
        found = StreamQuery.from_text(text)
        base = {**base, "name": found.name, "predicate": found.predicate}
    return StreamQuery.parse({**base, **given}, "the command line")


def lsl_source(query: StreamQuery) -> LslSource:
    """Make the source a query asks for; the names of a montage stand in for labels the stream lacks."""
    from bci_music.eeg.montage import Montage
    from bci_music.streaming.lsl import LslSource

    names = tuple(Montage.load(query.montage).names) if query.montage else None
    return LslSource(query, montage_labels=names)


def _lsl_run(
    config: LiveConfig, options: Options, stack: ExitStack, ended: Callable[[], bool], title: str
) -> None:
    from bci_music.streaming.markers import LslMarkers

    def markers(info: Any, on_marker: Any) -> LslMarkers:
        followed = LslMarkers(info.name, on_marker)
        stack.callback(followed.close)
        return followed

    _run(config, options, stack, lsl_source(config.stream), markers, ended, title)


def _run(
    config: LiveConfig, options: Options, stack: ExitStack, source: Any, markers: Any, ended: Callable[[], bool],
    title: str,
) -> None:
    from bci_music.clock import Clock
    from bci_music.engine.build import build_engine
    from bci_music.engine.run import run_headless, write_outputs
    from bci_music.sound.device import open_player
    from bci_music.streaming.lsl import lsl_clock

    out = options.out
    if out is not None:
        _writable(out)
    wav = out / "music.wav" if out else None
    clock = Clock(lsl_clock)
    with console.status("loading the decoder"):
        device = config.sound.device
        player = open_player(clock, device=int(device) if device and device.isdigit() else device, wav_path=wav)
        engine = build_engine(config, source, player, clock, markers)
    if player.note:
        console.print(f"[dim]{player.note}[/dim]")
    recording = Recording(engine, options.record, options.consent or "") if options.record else None
    stack.callback(engine.stop)
    engine.start()
    if options.headless:
        _headless(engine, config, options, ended, run_headless)
    else:
        _window(engine, options, title)
    engine.stop()
    if recording is not None and recording.path is not None:
        console.print(f"recorded to {recording.path}")
    if out is not None:
        report = write_outputs(engine, config, out, wav)
        _summary(report, out)
    _raise_fatal(engine)


def _headless(engine: Engine, config: LiveConfig, options: Options, ended: Callable[[], bool], run: Any) -> None:
    shown = console.status("looking for the stream") if console.is_terminal else nullcontext()
    with shown as status:
        log = status.update if status is not None else lambda line: None
        run(engine, options.seconds, ended, config.wait_s, log, config.stream)


def _window(engine: Engine, options: Options, title: str) -> None:
    from gui.app import run as run_window

    picture = options.out / "window.png" if options.out else None
    run_window(engine, title=title, screenshot=picture, seconds=options.seconds)


def _raise_fatal(engine: Engine) -> None:
    fatal = next((f for f in engine.failures if f.fatal), None)
    if fatal is not None:
        raise UserError(fatal.text)
    if engine.first_sample_s is None and engine.state != StreamState.ENDED:
        raise UserError("No EEG came before the run ended: check the stream with `bci-music doctor`.")


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {out} cannot be made ({error.strerror}): give --out a folder you may write to."
        ) from error


def _summary(report: dict[str, Any], out: Path) -> None:
    """Say in a few lines how it went, and where to look."""
    found = report["identification"]
    lines = [
        f"{report['windows_decoded']} windows decoded, {report['windows_skipped']} skipped, "
        f"{report['windows_masked']} masked",
        f"{report['audio_seconds']:.0f} s of sound, {report['underruns']} underruns, "
        f"{report['silent_seconds'] or 0:.2f} s silent",
    ]
    if found:
        lines.append(
            f"{found['hits']} of {found['n']} windows found the song, chance {found['n'] * found['chance']:.1f} "
            f"(p = {found['p']:.3f} against circular shifts)"
        )
    if report["warning"]:
        lines.append(report["warning"])
    for line in lines:
        console.print(line)
    console.print(f"see {out / 'overview.png'}, {out / 'report.json'} and {out / 'music.wav'}")
    sys.stdout.flush()
