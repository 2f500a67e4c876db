"""Queued sound of a realtime generator follows a new style: blocks not yet heard are made again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bci_music.messages import AudioBlock, Style
from bci_music.sound.generator import Generator
from bci_music.sound.player import Player
from bci_music.sound.splice import Splicer


@dataclass(frozen=True)
class Point:
    """State of the generator before a queued block, so that the block can be made again."""

    start: int
    state: Any


class Revision:
    """Remembers how queued blocks were made, and makes them again when the style leads elsewhere.

    Parameters
    ----------
    generator : Generator
        Its `choice` tells what is to be revised.
    player : Player
    splicer : Splicer
    make : callable
        ``make(style, state) -> (block, state)``.
    """

    def __init__(
        self, generator: Generator, player: Player, splicer: Splicer,
        make: Callable[[Style, Any], tuple[AudioBlock, Any]],
    ):
        self._generator, self._player, self._splicer, self._make = generator, player, splicer, make
        self._points: deque[Point] = deque()
        self._revised_for = float("nan"), 0.0

    def note(self, start: int, state: Any) -> None:
        """Remember that the block at sample `start` was made from `state`."""
        self._points.append(Point(start, state))

    def forget(self) -> None:
        """What is queued was not made by the generator."""
        self._points.clear()

    def revise(self, style: Style, state: Any) -> Any:
        """Make queued blocks again when the newest style leads elsewhere; returns the state after the last of them."""
        while self._points and self._points[0].start < self._player.changeable:
            self._points.popleft()
        asked = style.made_s, style.prompt_weight
        if asked == self._revised_for or not style.from_eeg:
            return state
        after = [*[point.state for point in self._points][1:], state]
        for number, (point, led_to) in enumerate(zip(self._points, after, strict=False)):
            if self._generator.choice(style, point.state) != self._generator.chosen(led_to):
                made = self._remake(number, style)
                if made is None:
                    return state  # too late for this block; the next step tries the one after it
                state = made[0]
                break
        self._revised_for = asked
        return state

    def _remake(self, number: int, style: Style) -> tuple[Any] | None:
        """Make queued blocks again from point `number` on; None when it is too late to replace them."""
        points = list(self._points)
        state, blocks, again = points[number].state, [], []
        for point in points[number:]:
            again.append(replace(point, state=state))
            block, state = self._make(style, state)
            blocks.append(block)
        if not self._splicer.replace(points[number].start, blocks):
            return None
        self._points = deque([*points[:number], *again])
        return (state,)
