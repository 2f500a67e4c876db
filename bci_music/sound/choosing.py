"""Which sound devices can be chosen, the operator's choice among them while it plays, and the choice of last time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from bci_music.files import remember, remembered
from bci_music.sound.sink import PORT_AUDIO, NoDevice, Sink, find_form, outputs
from bci_music.status import Choice, Command

if TYPE_CHECKING:
    from bci_music.sound.player import Player

log = logging.getLogger(__name__)
NONE = Choice("none", "No device", "the sound runs on a clock, and is heard by nobody")


class DeviceChooser:
    """Lists the output devices while somebody looks, and lets the music go on on the one that is chosen.

    Both happen in a thread that ends with it, since a driver may take its time. The device that plays goes on until
    the new one is open: where that cannot be opened, nothing has changed.

    Parameters
    ----------
    player : Player
    tell : callable
        Takes a sentence on what became of a choice.
    """

    def __init__(self, player: Player, tell: Callable[[str], None]):
        self._player, self._tell = player, tell
        self._looking = False
        self._found: tuple[Choice, ...] = ()
        self._work: threading.Thread | None = None

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What there is to choose from, while somebody looks."""
        return self._found if self._looking else ()

    def take(self, command: Command) -> bool:
        """Take a command about sound devices; returns whether it was one."""
        if command.name == "look_devices":
            self._looking = bool(command.value)
            if self._looking:
                self._begin(self._list)
        elif command.name == "device":
            self._begin(lambda: self._switch(command.text))
        return command.name in ("look_devices", "device")

    def close(self) -> None:
        """Wait until nothing goes on."""
        if self._work is not None:
            self._work.join()

    def _begin(self, work: Callable[[], None]) -> None:
        if self._work is None or not self._work.is_alive():
            self._work = threading.Thread(target=self._guarded, args=(work,), name="bci-music-devices", daemon=True)
            self._work.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except NoDevice as reason:
            self._tell(f"The sound device cannot be used: {reason}.")
        except Exception as error:  # of a driver
            log.exception("sound devices")
            self._tell(f"The sound device cannot be used: {type(error).__name__}: {error}")

    def _list(self) -> None:
        playing = self._player.output
        found = [
            Choice(f"{number}:{name}", name, f"number {number}  ·  {api}  ·  {channels} channels  ·  {rate_hz:g} Hz",
                   number == playing)
            for number, name, api, channels, rate_hz in outputs()
        ]  # fmt: skip
        none = Choice(NONE.key, NONE.name, NONE.facts, playing is None)
        self._found = (*found, none)

    def _switch(self, key: str) -> None:
        """Open the device, let the player go on with it, and close the one before."""
        sink: Sink | None = None
        number, name = None, ""
        with PORT_AUDIO:  # what looks for a device that left waits, and then knows that it is not wanted any more
            if key != NONE.key:
                form = find_form(_number(key))
                number, name = form.index, form.words
                if number == self._player.output:
                    return
                sink = Sink(form.name, form, self._player.changes.append)
            let_go = self._player.send_to(sink, number, name)
            if let_go is not None:
                let_go()
        if sink is not None:
            remember("sound-device", name=key.partition(":")[2])
        self._list()


def _number(key: str) -> int:
    """The device's number now: where the list has changed, its name is looked for."""
    number, _, name = key.partition(":")
    there = {at: called for at, called, *_ in outputs()}
    if number.isdigit() and there.get(int(number)) == name:
        return int(number)
    alike = [at for at, called in there.items() if called == name]
    if not alike:
        raise NoDevice(f"{name} is not there any more")
    return alike[0]


def chosen_last() -> int | None:
    """Number of the device that was chosen last time, None where there was none or it is not there."""
    name = remembered("sound-device", "name")
    if name is None:
        return None
    with suppress(NoDevice):
        return next((number for number, called, *_ in outputs() if called == name), None)
    return None
