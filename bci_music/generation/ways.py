"""Both ways from EEG to music in one generator, which goes over from one to the other while it plays.

Both make clips of the same latents, so each goes on from the other's clip as it would from its own: a change of ways is
one more splice. The other way is opened when it is first asked for, in a thread of its own, while the first plays on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bci_music.generation.audioldm.generator import AudioLdmConfig, AudioLdmGenerator, AudioLdmState
from bci_music.generation.open import choose_generator, open_generator
from bci_music.messages import ECHOES, STYLE, AudioBlock, Log, Style, quiet
from bci_music.sound.generator import Generator, Rejoin

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.generation.open import GeneratorsConfig
    from bci_music.models.pack import Pack

END_S = 5.0  # a way that is being opened when the run ends is waited for so long


def open_ways(
    config: GeneratorsConfig, pack: Pack, clock: Clock | None = None, trouble: Log = quiet
) -> Generator:
    """Open the generator that plays: with both ways where the pack has models for them and no others are given.

    Parameters
    ----------
    trouble : callable
        Is given a sentence when the other way, asked for later, cannot be opened.
    """
    first = choose_generator(config, pack)
    opened = open_generator(first, config, pack, clock)
    way = ECHOES if config.way == STYLE else STYLE
    section = getattr(config, choose_generator(config.model_copy(update={"way": way}), pack))
    theirs = (opened.config, section) if isinstance(opened, AudioLdmGenerator) else ()
    fits = all(isinstance(one, AudioLdmConfig) and one.checkpoint is None for one in theirs)
    if not theirs or not fits or not config.echoes.available(pack):
        return opened
    assert isinstance(opened, AudioLdmGenerator)
    other = section.model_copy(update={"overlap_s": opened.config.overlap_s})  # what is not yet played of a clip
    return TwoWays(opened, way, lambda: other.open(pack, clock), trouble)


class TwoWays(Generator):
    """Makes clips by one of two ways and goes on from either's.

    Parameters
    ----------
    first : AudioLdmGenerator
        The way that plays at first.
    other : str
        Name of the other way.
    open_other : callable
        Opens it.
    trouble : callable
        Is given a sentence when it cannot be opened: the first goes on.
    """

    realtime = False
    ways = (STYLE, ECHOES)

    def __init__(
        self, first: AudioLdmGenerator, other: str, open_other: Callable[[], AudioLdmGenerator], trouble: Log = quiet
    ):
        self._opened = {first.way: first}
        self._other, self._open_other, self._trouble = other, open_other, trouble
        self._lock = threading.Lock()
        self._opening: threading.Thread | None = None
        self._ended = False
        self._asked = first.way
        self._take(first)

    def generate(
        self, style: Style, state: AudioLdmState | None, *, seconds: float, deadline: float
    ) -> tuple[AudioBlock, AudioLdmState]:
        """Make a clip by the way that plays, going on from whichever made the last one."""
        return self._plays.generate(style, state, seconds=seconds, deadline=deadline)

    def switch(self, way: str) -> None:
        """Go over to a way with its next clip; one that is not open yet is opened first, while the other plays on."""
        with self._lock:
            self._asked = way
            if way in self._opened:
                self._take(self._opened[way])
            elif self._opening is None and not self._ended:
                self._opening = threading.Thread(target=self._open, name="bci-music-way", daemon=True)
                self._opening.start()

    def rejoin(self, style: Style, state: AudioLdmState | None, back: int) -> Rejoin | None:
        """As the way that plays; the other's clip is left before its end, once there is EEG to lead the new one."""
        plays = self._plays
        if state is not None and state.way != plays.way and (plays.way != ECHOES or style.steps is not None):
            return plays.cut(state, back)
        return plays.rejoin(style, state, back)

    def facts(self) -> dict[str, Any]:
        """As the way that plays."""
        return self._plays.facts()

    def warm_up(self) -> None:
        """As the way that plays."""
        self._plays.warm_up()

    def interrupt(self) -> None:
        """End sampling, and wait for what is being opened."""
        with self._lock:
            self._ended, opening, opened = True, self._opening, tuple(self._opened.values())
        for generator in opened:
            generator.interrupt()
        if opening is not None:
            opening.join(END_S)

    def _take(self, generator: AudioLdmGenerator) -> None:
        self._plays = generator  # one assignment: other threads look
        self.name, self.trained, self.way = generator.name, generator.trained, generator.way

    def _open(self) -> None:
        try:
            found = self._open_other()
            if not self._ended:
                found.warm_up()
        except Exception as error:  # the music goes on as it was
            self._trouble(f"The other way cannot be played ({error}); the music goes on as it was.")
            with self._lock:
                self._opening, self._asked = None, self.way  # it may be asked for again
            return
        with self._lock:
            self._opened[self._other] = found
            if self._asked == self._other:
                self._take(found)
