"""The seam every maker of sound fits into."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from bci_music.messages import AudioBlock, Style


@runtime_checkable
class Generator(Protocol):
    """Makes sound in a given style, block by block.

    Attributes
    ----------
    name : str
        What the operator reads.
    trained : bool
        False when the weights are random: such sound says nothing about the style.
    quick : bool
        True when a block is made in a small fraction of its length. A generator that is not quick
        runs in a thread of its own, ahead of time.

    Notes
    -----
    The state is a value: with the same state and style `generate` gives the same block. None starts anew.
    A state carries the running totals `clips_generated`, `clips_retrieved` and `crossfades`.
    """

    name: str
    trained: bool
    quick: bool

    def generate(self, style: Style, state: Any, *, seconds: float, deadline: float) -> tuple[AudioBlock, Any]:
        """Make the next block.

        Parameters
        ----------
        style : Style
            What is asked for.
        state : object
            What the last call returned, or None.
        seconds : float
            Length wanted; quick generators keep to it exactly, others may return a clip of their own length.
        deadline : float
            Time on the generator's clock at which the block must be there.
        """


@runtime_checkable
class Choosing(Protocol):
    """A generator that can say cheaply what it would play, so that queued sound can be revised before it is heard."""

    def choice(self, style: Style, state: Any) -> int:
        """Return what a block made now from `state` would lead to."""

    def chosen(self, state: Any) -> int:
        """Return what `state` leads to."""
