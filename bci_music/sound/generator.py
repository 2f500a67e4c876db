"""What every maker of sound is: the interface `Generator`.

A new type of generator is one new file in `bci_music/generation/` that holds a `Generator` and its config, and one line
in the registry `bci_music/generation/open.py`. That line gives it a name for `--generator`, a section under `sound:` in
the configuration of a live run, and makes the engine, the benchmarks and the evaluation open it. Nothing else has to
know it: the sound stage sees no more than what stands here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from bci_music.messages import STYLE, AudioBlock, Style


@dataclass(frozen=True)
class Rejoin:
    """A state to go on from before the end of what is queued.

    The next block's first sample belongs `back` samples before that end; its first `skip` repeat what is queued there.
    """

    state: Any
    back: int
    skip: int


class Generator(ABC):
    """Makes sound in a given style, block by block. All but `generate` may be left as it is here.

    Attributes
    ----------
    name : str
        What the operator reads.
    trained : bool
        False when the weights are random: such sound says nothing about the style.
    realtime : bool
        True when a block is made in a small fraction of its length: it is made when it is needed, by the thread of the
        stage. Any other generator runs in a thread of its own, ahead of time.
    pause_s : float
        Silence of up to this length belongs to its music; a block with more is refused (`sound/guard.py`).
    way : str
        Which of the two ways from EEG to music it goes.
    ways : tuple of str
        Ways between which it can `switch`; none where it has one only.

    Notes
    -----
    The state is a value: with the same state and style `generate` gives the same block. None starts from nothing.
    A state carries the running totals `clips_generated`, `clips_retrieved` and `crossfades`.
    """

    name: str
    trained: bool
    realtime: bool
    pause_s: float = 0.0
    way: str = STYLE
    ways: tuple[str, ...] = ()

    @abstractmethod
    def generate(self, style: Style, state: Any, *, seconds: float, deadline: float) -> tuple[AudioBlock, Any]:
        """Make the next block.

        Parameters
        ----------
        style : Style
            What is asked for.
        state : object
            What the last call returned, or None.
        seconds : float
            Length wanted; realtime generators keep to it exactly, others may return a clip of their own length.
        deadline : float
            Time on the generator's clock at which the block must be there.
        """

    def facts(self) -> dict[str, Any]:
        """Say for reports what plays."""
        return {"class": type(self).__name__, "name": self.name, "trained": self.trained}

    def switch(self, way: str) -> None:  # noqa: B027
        """Go over to another of its `ways`, as soon as that can be heard well; called from any thread."""

    def warm_up(self) -> None:  # noqa: B027 (nothing to do unless a generator says so)
        """Do once what would make the first block late; called in the generator's own thread."""

    def interrupt(self) -> None:  # noqa: B027
        """Give up the block that is being made, for good; called from another thread when the program ends."""

    def prepare(self) -> bool:
        """Get one more thing ready for later, such as a file to read; False when there is nothing left to do."""
        return False

    def rejoin(self, style: Style, state: Any, back: int) -> Rejoin | None:
        """Say where a block for another style may go on before the end of what is queued; None: at the end will do.

        Asked of generators that are not realtime. What is queued may change from `back` samples before its end on.
        """
        return None

    def choice(self, style: Style, state: Any) -> int:
        """Say cheaply which clip a block made now from `state` would lead to.

        Where it differs from what is `chosen`, queued blocks of a realtime generator are made again before they are
        heard. By default nothing differs.
        """
        return 0

    def chosen(self, state: Any) -> int:
        """Say which clip `state` leads to."""
        return 0
