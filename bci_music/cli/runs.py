"""One run after another in the same window: what the operator opens there follows the run that was begun with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bci_music.files import remember, shown
from bci_music.messages import Incomplete, UserError

if TYPE_CHECKING:
    from bci_music.cli.display import Terminal, Window
    from bci_music.engine.config import LiveConfig
    from bci_music.status import Command

    Display = Terminal | Window
    Report = dict[str, Any] | None
    Job = Callable[[LiveConfig, Display, Path | None], Report]

LIVE = ("open", "pack", "calibrate")  # what may follow a headset that is decoded
PACKS = Path("packs")  # where packs that are made in the window lie


@dataclass(frozen=True)
class Run:
    """What runs, how, and what may follow it, of the commands in `status.FOLLOWS`.

    `plays` is whether another pack can be given to it; a calibration only makes one.
    """

    title: str
    job: Job
    config: LiveConfig
    others: tuple[str, ...] = ("open", "pack")
    plays: bool = True


def carry_on(first: Run, display: Display, out: Path | None) -> None:
    """Do the first run, then whatever the operator wants after it, until there is nothing more.

    A later run that cannot begin gives way to the first, in whose window the reason stands.

    Raises
    ------
    UserError
        The first run could not begin.
    Incomplete
        One of them lost something that it was to keep.
    """
    run, sure, lost, picked = first, first, None, ""  # `sure` could begin before
    while True:
        try:
            _do(run, display, out)
        except Incomplete as error:
            lost = error
            display.fail(str(error))
        except UserError as error:
            if display.followed_by is None:
                if run is sure:
                    raise
                display.fail(str(error))
                run = first = sure
                picked = ""
                continue
        if picked:
            remember("pack", folder=picked)
        wanted, sure, picked = display.followed_by, first, ""
        if wanted is None:
            break
        if wanted.name == "pack":
            own, picked = run.plays and run is not first, str(Path(wanted.text).resolve())
            first, run = _with_pack(wanted.text, first), _with_pack(wanted.text, run)
            run = run if own else first
        else:
            run = _after(wanted, first)
    if lost is not None:
        raise lost


def _do(run: Run, display: Display, out: Path | None) -> None:
    """Do one run; everything it writes to is tried first."""
    from bci_music.cli.display import Window, print_summary
    from bci_music.engine.run_folder import may_keep, prepare

    display.begin(run.title, run.others)
    config, folder = run.config, prepare(run.config, out) if run.plays else None
    display.look_for(config.stream, config.wait_s)
    if isinstance(display, Window):
        display.keep_picture(folder / "window.png" if folder else None, lambda engine: may_keep(config, engine))
    if folder is not None and folder != out:
        display.log(f"{out} holds a run already: this one goes to {folder}")
    report = run.job(config, display, folder)
    if report is not None and folder is not None:
        print_summary(report, folder, display.console)


def decode_headset(config: LiveConfig, display: Display, out: Path | None) -> Report:
    """Decode an LSL stream; its listener can be calibrated in the window."""
    from bci_music.engine.run import run_live

    return run_live(config, display, out)


def with_last_pack(config: LiveConfig, display: Display) -> LiveConfig:
    """Take the pack that was chosen in the window last time, where it is still there."""
    from bci_music.engine.packs import last_pack

    last = last_pack()
    if last is None:
        return config
    display.log(f"The pack is {shown(last)}, as chosen last time: give --pack for another.", "dim")
    return config.model_copy(update={"pack": last})


def _with_pack(pack: str, run: Run) -> Run:
    """Do the same with another pack; a calibration is followed by the headset decoded with it."""
    config = run.config.model_copy(update={"pack": pack})
    return replace(run, config=config) if run.plays else Run("live", decode_headset, config, LIVE)


def _after(wanted: Command, first: Run) -> Run:
    """Make what follows."""
    if wanted.name == "open":
        return _replay(Path(wanted.text), first)
    if wanted.name == "calibrate" and first.plays:
        return _calibration(json.loads(wanted.text), wanted.text, first)
    return first


def _replay(folder: Path, first: Run) -> Run:
    """Replay a session of the list: it is not recorded again, goes out to nobody, and is not listened to."""
    from bci_music.sessions.folder import RECORDING

    def job(config: LiveConfig, display: Display, out: Path | None) -> Report:
        from bci_music.engine.run import run_replay

        return run_replay(config, display, out, file=folder / RECORDING)

    own = type(first.config)()
    config = first.config.model_copy(update={"outputs": own.outputs, "heard": own.heard})
    return Run(folder.resolve().name, job, config, ("open", "pack", "back"))


def _calibration(asked: dict[str, str], again: str, first: Run) -> Run:
    """Calibrate the listener who is present, with the pack and the stream of the run before."""

    def job(config: LiveConfig, display: Display, out: Path | None) -> Report:
        from bci_music.listening.folder import folder_name
        from bci_music.listening.run import ListenConfig, Wanted, calibrate_live
        from bci_music.training.calibration.listener import CalibrateConfig

        name = folder_name(asked["listener"])
        wanted = Wanted(
            config.pack, PACKS / name, PACKS / f"{name}-recordings", asked["listener"], asked["consent"],
            config.stream, Path(asked["songs"]) if asked["songs"] else None, config.sound.device,
        )  # fmt: skip
        try:
            made = calibrate_live(wanted, ListenConfig(), CalibrateConfig(), display, again)
        except Incomplete:
            if display.followed_by is None:
                raise
        else:
            for line in made.words():
                display.log(line)
        return None

    return Run("calibration", job, first.config, ("pack", "calibrate", "back"), plays=False)
