"""`bci-music calibrate`: fit a pack to one listener, from recordings or with the listener present."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bci_music.cli.options import ShowOptions, StreamOptions, shared

AGAIN = "{}"  # the same command again

if TYPE_CHECKING:
    from bci_music.cli.runs import Display, Report
    from bci_music.engine.config import LiveConfig
    from bci_music.listening.run import ListenConfig, Wanted
    from bci_music.packing.listener import ListenerPack
    from bci_music.training.calibration.listener import CalibrateConfig


@shared
def calibrate(
    stream: StreamOptions,
    out: Annotated[Path, typer.Option("--out", help="Folder of the listener's pack.")],
    session: Annotated[
        list[Path] | None,
        typer.Option("--session", help="A recording with song markers, or a folder of them; repeatable."),
    ] = None,
    pack: Annotated[str, typer.Option("--pack", help="Name or folder of the pack to start from.")] = "demo",
    audio: Annotated[
        Path | None, typer.Option("--audio", help="YAML that maps each song to its audio file, for --session.")
    ] = None,
    listener: Annotated[str | None, typer.Option("--listener", help="Whose recordings; also names the pack.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Penalty around the pack's adapter; by default chosen by cross-validation.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="YAML with any of the settings of the fit.")] = None,
    consent: Annotated[
        str | None, typer.Option("--consent", help="Reference of the listener's consent to the recording.")
    ] = None,
    songs: Annotated[
        Path | None, typer.Option("--songs", help="Folder of own audio to hear.  \\[default: the pack's library]")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, max=60, help="At most so much music.")] = 8.0,
    record: Annotated[
        Path | None, typer.Option("--record", help="Folder of the recordings.  \\[default: OUT-recordings]")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--sound-device", help="Name or number, see `doctor`; 'none' plays on a clock.")
    ] = None,
    rest: Annotated[float, typer.Option("--rest", min=0, max=600, help="Seconds of rest before the songs.")] = 10.0,
    silence: Annotated[float, typer.Option("--silence", min=0, max=60, help="Seconds of silence after each.")] = 3.0,
    light: Annotated[bool, typer.Option("--light", help="Bright colours, for daylight.")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="No window; needs no display.")] = False,
) -> None:
    """Fit a pack to one listener from minutes of EEG with known music (better 5 to 10), and report whether it helps.

    Without --session the listener is here: the electrodes are checked, songs are played, recorded with --consent, and
    looked at as they come. What was ended early goes on with the songs that are missing, by the same command.
    A new adapter is fitted around the pack's own, or the encoder learns on from this EEG (a minute or two), whichever
    surely helps more on held-out parts; where neither does, the pack stays as it is. Afterwards: `bci-music live --pack
    FOLDER`.
    """
    from bci_music.config import read_yaml
    from bci_music.messages import UserError
    from bci_music.training.calibration.listener import CalibrateConfig

    values = read_yaml(config) if config else {}
    if alpha is not None:
        values["alpha"] = alpha
    settings = CalibrateConfig.parse(values, str(config) if config else "the options")
    if session:
        live = {"--consent": consent, "--songs": songs, "--record": record, "--sound-device": device}
        if given := next((name for name, value in live.items() if value is not None), None):
            raise UserError(f"{given} is for a listener who is present: leave it out, or leave --session out.")
        made = _from_files(stream, session, pack, out, audio, listener, settings)
    else:
        if audio is not None:
            raise UserError("--audio belongs to recordings: give --session, or the songs to hear with --songs.")
        if consent is None:
            raise UserError(
                "A listener's EEG is recorded only with their consent: give --consent with its reference, or "
                "recordings with --session."
            )
        from bci_music.listening.run import ListenConfig, Wanted

        wanted = Wanted(
            pack, out, record or out.with_name(f"{out.name}-recordings"), listener or out.resolve().name, consent,
            stream.query(), songs, device, 15.0 if stream.wait is None else stream.wait,
        )  # fmt: skip
        listen = ListenConfig(minutes=minutes, rest_s=rest, silence_s=silence)
        _with_listener(wanted, listen, settings, ShowOptions(None, light, headless))
        return
    _say(made, out)


def _say(made: ListenerPack, out: Path) -> None:
    for line in made.words():
        typer.echo(line)
    typer.echo(f"{made.pack.name} is in {out}. Next: bci-music live --pack {out}")


def _with_listener(wanted: Wanted, listen: ListenConfig, settings: CalibrateConfig, show: ShowOptions) -> None:
    """Calibrate in the window, where one can open; then what is asked for there."""
    from bci_music.cli.live import open_display
    from bci_music.cli.runs import Run, carry_on
    from bci_music.engine.config import LiveConfig

    display = open_display("calibration", None, show)

    def job(config: LiveConfig, display: Display, out: Path | None) -> Report:
        from bci_music.listening.run import calibrate_live

        _say(calibrate_live(wanted, listen, settings, display, AGAIN), wanted.out)
        return None

    values = {"pack": wanted.pack, "stream": wanted.query.model_dump(), "sound": {"device": wanted.device}}
    run = Run("calibration", job, LiveConfig.parse(values, "the command line"), ("pack", "calibrate"), plays=False)
    display.carry(lambda: carry_on(run, display, None))


def _from_files(
    stream: StreamOptions, session: list[Path], pack: str, out: Path, audio: Path | None, listener: str | None,
    settings: CalibrateConfig,
) -> ListenerPack:
    from rich.console import Console

    from bci_music.data.session import Reading
    from bci_music.packing.listener import make_listener_pack

    reading = Reading(stream.stream, stream.unit, stream.montage)
    with Console(stderr=True).status("opening the pack") as status:
        return make_listener_pack(
            pack, session, out, audio=audio, listener=listener, config=settings, reading=reading, log=status.update
        )
