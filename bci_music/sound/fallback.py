"""The fallback chain: what plays while the generator's next clip is not there, so that there is never silence.

Its steps, each named and counted: `hold`, the clip is late but enough is queued; `loop`, the last bar of what was
queued goes on; `library`, the library plays; `fade`, the library fails too, and the last bar goes on and fades out,
never to nothing. `FallbackChain` decides and counts, `LastBar` finds the bar and repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, SoundSpan, Style
from bci_music.sound.beat import BEATS_PER_BAR, correlation, energy, find_beat, to_mono
from bci_music.sound.generator import Generator
from bci_music.sound.loop import Loop, waiting_pad
from bci_music.sound.player import Player
from bci_music.sound.silence import THRESHOLD
from bci_music.status import Failure, FallbackSteps

STEPS = ("hold", "loop", "library", "fade")
TITLES = {"loop": "the last bar, looped", "fade": "the last bar, fading out"}
KINDS = {"loop": "looped", "fade": "faded"}
BAR, LIBRARY = "bar", "library"  # makers, as the splicer knows them
ENTRY_S = 1.0  # of the library's sound before it is heard: it has turned to its song when the crossfade begins
SEARCH_S = 6.0  # of the newest sound, in which beat and bar are looked for
BAR_S = (1.2, 2.6)  # a bar, or two or half of it
FADE_OUT_S = 8.0  # the bar comes down to its lowest level in this time
LOWEST = 0.15


class FallbackConfig(Config):
    """How long each step lasts."""

    loop_s: float = Field(8.0, ge=0, description="the last bar is looped for this long, then the library plays")
    rest_s: float = Field(10.0, ge=0, description="a library that failed is tried again after this long")


class FallbackChain:
    """Makes the sound that the generator does not.

    Parameters
    ----------
    library : Generator
        A realtime one.
    player : Player
        Its newest sound is what is looped.
    block, fade : int
        Samples of a block, and of the crossfade from one maker to another.
    on_failure : callable
        Gets a `Failure` when the library fails.
    config : FallbackConfig
    """

    def __init__(
        self, library: Generator, player: Player, block: int, fade: int, on_failure: Callable[[Failure], None],
        config: FallbackConfig | None = None,
    ):
        self._library, self._player, self._block, self._fade = library, player, block, fade
        self._on_failure, self.config = on_failure, config or FallbackConfig()
        self.step = ""  # "" while the generator is in time
        self.state: Any = None  # of the library
        self._counts = dict.fromkeys(STEPS, 0)
        self._bar: LastBar | None = None
        self._heard = False  # whether the newest sound is the library's
        self._rest_until = float("-inf")

    @property
    def steps(self) -> FallbackSteps:
        """How often each step was taken."""
        return FallbackSteps(**self._counts)

    def hold(self) -> bool:
        """Note that the next clip is late while enough is queued; False when that was known.

        The last bar is found now, while there is time for it.
        """
        if self.step:
            return False
        self._enter("hold")
        self._bar = LastBar(self._newest(), self._fade)
        return True

    def in_time(self) -> None:
        """The generator's sound is there again: the next time it is late the chain begins with its first step."""
        self.step, self._bar, self._heard = "", None, False

    def late(self, now: float, style: Style) -> tuple[AudioBlock, str]:
        """Return the next block and its maker while the generator's clip is not there."""
        if self.step in ("", "hold", "loop") and (self._bar is None or self._bar.played_s < self.config.loop_s):
            return self._last_bar("loop"), BAR
        return self._play(now, style, "library")

    def instead(self, now: float, style: Style) -> tuple[AudioBlock, str]:
        """Return the next block and its maker where the library plays in place of the generator, not for lateness."""
        return self._play(now, style, "")

    def _play(self, now: float, style: Style, step: str) -> tuple[AudioBlock, str]:
        if now < self._rest_until:
            return self._last_bar("fade"), BAR
        try:
            block = self._from_library(now, style)
        except Exception as error:  # the music goes on without the library
            self._rest_until = now + self.config.rest_s
            text = f"{self._library.name} failed ({error}): the last bar plays on and fades out"
            self._on_failure(Failure(now, "generate", f"{text}, and it is tried again in {self.config.rest_s:g} s"))
            return self._last_bar("fade"), BAR
        self._bar, self._heard = None, True
        if step:
            self._enter(step)
        else:
            self.step = ""
        return replace(block, spans=tuple(replace(span, late=step) for span in block.spans)), LIBRARY

    def _from_library(self, now: float, style: Style) -> AudioBlock:
        deadline = now + self._player.queued_s
        if not self._heard and self._player.written:
            _, self.state = self._library.generate(style, self.state, seconds=ENTRY_S, deadline=deadline)
        block, self.state = self._library.generate(
            style, self.state, seconds=self._block / AUDIO_RATE_HZ, deadline=deadline
        )
        return block

    def _last_bar(self, step: str) -> AudioBlock:
        if self._bar is None:
            self._bar, self._heard = LastBar(self._newest(), self._fade), False
        self._enter(step)
        samples = self._bar.block(self._block, fading_out=step == "fade")
        return AudioBlock(samples, (SoundSpan(0, len(samples), KINDS[step], TITLES[step], late=step),))

    def _newest(self) -> np.ndarray:
        """Return the newest queued sound, or the waiting chord where that is silence."""
        written = self._player.written
        newest = self._player.peek(max(0, written - round(SEARCH_S * AUDIO_RATE_HZ)), written)
        return newest if len(newest) >= AUDIO_RATE_HZ and is_audible(newest[-2 * AUDIO_RATE_HZ :]) else waiting_pad()

    def _enter(self, step: str) -> None:
        if step != self.step:
            self._counts[step] += 1
            self.step = step


class LastBar:
    """Repeats the last bar of the newest (n, 2) samples.

    Its first block belongs over the last `fade` samples of what is queued.
    """

    def __init__(self, newest: NDArray[np.float32], fade: int):
        period = bar_length(newest, fade)
        self._loop = Loop(newest[len(newest) - period - fade :], fade / AUDIO_RATE_HZ)
        self._position = self._faded = 0

    @property
    def played_s(self) -> float:
        """Seconds made so far."""
        return self._position / AUDIO_RATE_HZ

    def block(self, n: int, fading_out: bool = False) -> NDArray[np.float32]:
        """Return the next `n` samples, (n, 2); `fading_out` lowers the level from here on, never to nothing."""
        samples = self._loop.render(self._position, n)
        self._position += n
        if fading_out:
            time_s = np.arange(self._faded, self._faded + n) / AUDIO_RATE_HZ
            samples *= np.maximum(LOWEST, LOWEST ** (time_s / FADE_OUT_S)).astype(np.float32)[:, None]
            self._faded += n
        return samples


def bar_length(newest: NDArray[np.float32], fade: int) -> int:
    """Samples after which the end of `newest` may follow itself: a bar, or what is most like its end.

    `fade` samples, which are crossfaded, lie on top of it.
    """
    most = min(len(newest) - fade, round(BAR_S[1] * AUDIO_RATE_HZ))
    if most <= fade:
        return max(1, most)
    beat = find_beat(newest)
    bar = round(beat.period * BEATS_PER_BAR) if beat else 0
    while bar > most:
        bar //= 2
    if beat and bar >= BAR_S[0] * AUDIO_RATE_HZ / 2:
        near = round(0.01 * AUDIO_RATE_HZ)
        return _most_alike(newest, fade, max(fade, bar - near), min(most, bar + near))
    return _most_alike(newest, fade, min(max(fade, round(BAR_S[0] * AUDIO_RATE_HZ)), most), most)


def is_audible(sound: NDArray[np.float32]) -> bool:
    """Whether every half second of (n, 2) samples is above silence."""
    half = AUDIO_RATE_HZ // 2
    parts = [sound[i : i + half] for i in range(0, max(1, len(sound) - half // 2), half)]
    return all(float(np.abs(part).max(initial=0.0)) > 2 * THRESHOLD for part in parts)


def _most_alike(newest: NDArray[np.float32], fade: int, low: int, high: int) -> int:
    """Distance from `low` to `high` samples at which what came before is most like the last `fade` samples."""
    mono = to_mono(newest)[len(newest) - fade - high :]  # its first sample lies `high` before the end's first
    ago = np.arange(low, high + 1)
    products = correlation(mono, mono[high:], high - ago)
    scale = np.sqrt(energy(mono, high - ago, high - ago + fade))
    return low + int((products / np.maximum(scale, 1e-9)).argmax())
