"""What any generator hands over is looked at before it can be heard, and none is waited for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, Style
from bci_music.sound.generator import Generator, Rejoin
from bci_music.sound.silence import SHORTEST_S, THRESHOLD

LOUDEST, PRESSED_RMS = 4.0, 0.63  # peak 12 dB above full scale; -4 dB: no music is that loud without a pause
FULL, CUT_OFF = 0.999, 0.05  # share of the samples at a peak of full scale from which sound counts as cut off
LEAST_S = 0.5
IDLE_S = 0.5  # a thread without a call for so long ends
TOTALS = ("crossfades", "clips_generated", "clips_retrieved", "clips_kept")


class Unfit(ValueError):
    """A generator handed over what is not to be heard; the text says why."""


def refuse_unfit(block: AudioBlock, asked_s: float, most_s: float | None = None, pause_s: float = 0.0) -> AudioBlock:
    """Return a block that may be heard.

    Parameters
    ----------
    block : AudioBlock
    asked_s : float
        What was asked for.
    most_s : float, optional
        The most can be queued, of a generator that makes clips of its own length; None: exactly what was asked.
    pause_s : float
        Silence of this length belongs to the music.

    Raises
    ------
    Unfit
        No sound, not finite, silent, at full scale, too short or too long.
    """
    if not isinstance(block, AudioBlock) or block.samples.dtype.kind != "f":
        raise Unfit("it handed over no sound")
    samples, seconds = block.samples, len(block.samples) / AUDIO_RATE_HZ
    least_s = asked_s if most_s is None else LEAST_S
    if not round(least_s * AUDIO_RATE_HZ) <= len(samples) <= round((most_s or asked_s) * AUDIO_RATE_HZ):
        raise Unfit(f"it handed over {seconds:.2f} s of sound, {asked_s:.2f} s were asked for")
    if not np.isfinite(samples).all():
        raise Unfit("its sound is not finite")
    loudness = np.abs(samples)
    peak = float(loudness.max())
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    share = float((loudness >= FULL * peak).mean()) if peak >= FULL else 0.0
    if peak > LOUDEST or rms > PRESSED_RMS or share > CUT_OFF:
        raise Unfit(f"its sound is cut off or at full scale (peak {peak:.2f}, {share:.0%} of it there)")
    if longest_silence_s(samples) > max(pause_s, min(SHORTEST_S, 0.99 * seconds)):
        raise Unfit("its sound is silent")
    return block


def longest_silence_s(samples: NDArray[np.floating]) -> float:
    """Length of the longest part of (n, 2) samples that cannot be heard: below -60 dBFS, or constant."""
    moving = np.abs(samples - np.median(samples, axis=0)) if len(samples) else samples
    loud = np.flatnonzero((np.minimum(np.abs(samples), moving) >= THRESHOLD).any(axis=1))
    edges = np.concatenate([[-1], loud, [len(samples)]])
    return float(np.diff(edges).max() - 1) / AUDIO_RATE_HZ


class Guarded(Generator):
    """A generator that is guarded.

    Whatever comes out unfit is refused; a realtime generator, which the thread of the stage calls, is given up when it
    does not answer while there is sound left. Refused twice in a row it begins from nothing, for its state may be
    what is wrong.

    Parameters
    ----------
    generator : Generator
    patience_s : callable
        How long there is to wait for a realtime generator, now.
    most_s : float
        The longest clip can be queued.
    """

    def __init__(self, generator: Generator, patience_s: Callable[[], float], most_s: float):
        self.generator = generator
        self.name, self.trained, self.realtime = generator.name, generator.trained, generator.realtime
        self.refused = 0
        self.totals = dict.fromkeys(TOTALS, 0)  # of states that were given up
        self._in_a_row = 0
        self._patience_s, self._most_s = patience_s, most_s
        self._caller = Caller()

    def generate(self, style: Style, state: Any, *, seconds: float, deadline: float) -> tuple[AudioBlock, Any]:
        """Make the next block, or raise what is wrong with it."""
        if self._in_a_row > 1 and state is not None:
            for name in TOTALS:
                self.totals[name] += getattr(state, name, 0)
            state = None

        def call() -> tuple[AudioBlock, Any]:
            return self.generator.generate(style, state, seconds=seconds, deadline=deadline)

        block, after = self._caller.call(call, self._patience_s()) if self.realtime else call()
        try:
            refuse_unfit(block, seconds, None if self.realtime else self._most_s, self.generator.pause_s)
        except Unfit:
            self.refused += 1
            self._in_a_row += 1
            raise
        self._in_a_row = 0
        return block, after

    def warm_up(self) -> None:
        """As the generator's own."""
        self.generator.warm_up()

    def interrupt(self) -> None:
        """As the generator's own."""
        self.generator.interrupt()

    def prepare(self) -> bool:
        """As the generator's own; nothing while it does not answer."""
        return not self._caller.busy and self.generator.prepare()

    def rejoin(self, style: Style, state: Any, back: int) -> Rejoin | None:
        """As the generator's own."""
        return self.generator.rejoin(style, state, back)

    def choice(self, style: Style, state: Any) -> int:
        """As the generator's own."""
        return self.generator.choice(style, state)

    def chosen(self, state: Any) -> int:
        """As the generator's own."""
        return self.generator.chosen(state)

    @property
    def answers(self) -> bool:
        """Whether it came back from the last call."""
        return not self._caller.busy

    def close(self) -> None:
        """End the thread that calls the generator."""
        self._caller.close()


class Caller:
    """Calls a function in a thread of its own, which ends by itself, and waits for it so long and no longer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._last: _Call | None = None

    @property
    def busy(self) -> bool:
        """Whether the last function has not come back."""
        return self._last is not None and not self._last.done.is_set()

    def call(self, function: Callable[[], Any], timeout_s: float) -> Any:
        """Return what `function` returns, or raise what it raises; a `TimeoutError` when it takes longer."""
        if self.busy:
            raise TimeoutError("it still does not answer")
        self._last = call = _Call(function)
        with self._lock:
            self._calls.put(call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bci-music-guard", daemon=True)
                self._thread.start()
        if not call.done.wait(timeout_s):
            raise TimeoutError(f"it did not answer within {timeout_s:.1f} s")
        if call.error is not None:
            raise call.error
        return call.result

    def close(self) -> None:
        """End the thread, unless its function has not come back: then it ends when that does."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._calls.put(None)
        if thread is not None and not self.busy:
            thread.join(1.0)

    def _run(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._calls.empty():
                        self._thread = None
                        return
                continue
            if call is None:
                return
            try:
                call.result = call.function()
            except Exception as error:  # raised again where it was called from
                call.error = error
            call.done.set()
            del call  # a clip is not kept for the wait


class _Call:
    """One call and what came of it."""

    def __init__(self, function: Callable[[], Any]):
        self.function, self.done = function, threading.Event()
        self.result: Any = None
        self.error: Exception | None = None
