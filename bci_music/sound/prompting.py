"""Words from the operator become a vector that steers: embedded beside the real-time path, newest words first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bci_music.sound.steering import Steering, unit
from bci_music.status import Failure, PromptStatus

EmbedText = Callable[[str], NDArray[np.float32]]


class PromptStage:
    """A stage of its own: takes orders from any thread, embeds in its step.

    Parameters
    ----------
    steering : Steering
        What the vector is given to.
    load : callable or None
        Loads the text tower at the first prompt and returns ``embed_text``; None where there is none.
    unavailable : str
        Why there is none, "" otherwise.
    on_failure : callable
        Gets a `Failure` when words cannot be used.
    """

    def __init__(
        self, steering: Steering, load: Callable[[], EmbedText] | None, unavailable: str,
        on_failure: Callable[[Failure], None],
    ):
        self._steering, self._load, self._on_failure = steering, load, on_failure
        self._embed: EmbedText | None = None
        self._lock = threading.Lock()
        self._vector: NDArray[np.float32] | None = None
        self._waiting: str | None = None
        self._status = PromptStatus(unavailable=unavailable)
        self._steer()

    @property
    def status(self) -> PromptStatus:
        """What is asked for and what steers."""
        return self._status

    def set_text(self, text: str, now: float) -> None:
        """Ask for music by these words; none, or only spaces, for the EEG alone."""
        if text.strip() and self._load is None:
            refused = f"The prompt {text.strip()!r} cannot be used: {self._status.unavailable}."
            self._on_failure(Failure(now, "prompt", refused))
            return
        with self._lock:
            self._waiting = " ".join(text.split())
            self._status = replace(self._status, text=self._waiting)
            self._steer()

    def set_weight(self, weight: float) -> None:
        """Say how much the prompt counts: 0, brain only, to 1, prompt only."""
        with self._lock:
            self._status = replace(self._status, weight=min(max(weight, 0.0), 1.0))
            self._steer()

    def step(self, now: float) -> None:
        """Embed the newest words, if there are new ones."""
        with self._lock:
            text, self._waiting = self._waiting, None
        if text is None:
            return
        vector, heard = None, ""
        if text:
            try:
                vector, heard = self._vector_of(text), text
            except Exception as error:  # the music goes on without the prompt
                reason = " ".join(str(error).split())
                self._on_failure(Failure(now, "prompt", f"The prompt {text!r} could not be embedded ({reason})."))
        with self._lock:
            self._vector = vector
            self._status = replace(self._status, heard=heard, text=self._waiting or heard)
            self._steer()

    def _vector_of(self, text: str) -> NDArray[np.float32]:
        if self._embed is None:
            assert self._load is not None  # set_text refuses words otherwise
            self._embed = self._load()
        vector = unit(self._embed(text))
        if not np.isfinite(vector).all() or not vector.any():
            raise ValueError("its vector is not finite")
        return vector

    def _steer(self) -> None:
        self._steering.set_prompt(self._vector, self._status)
