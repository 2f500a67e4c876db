"""From embeddings to a style: confident windows pull harder, old ones fade, silence of the decoder holds.

Step by step the EEG is not smoothed: the newest window's steps go with the style, and none once that is too old.

The operator's prompt, where there is one, turns the style its way by as much as the operator says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.config import Config
from bci_music.messages import EMBEDDING_DIM, EegSteps, Embedding, Style
from bci_music.status import PromptStatus
from bci_music.workers import Latest

Vector = NDArray[np.float32]
NEARLY_OPPOSITE = np.pi - 1e-3  # beyond this no great circle is meant


def unit(vector: NDArray[np.floating]) -> Vector:
    """Vector of length one in the direction of `vector`; zeros stay zeros."""
    wide = np.asarray(vector, np.float64)
    return (wide / max(float(np.linalg.norm(wide)), 1e-12)).astype(np.float32)


def angle(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Angle between two vectors, 0 to pi; exact also where they are nearly parallel."""
    first, second = (np.asarray(unit(v), np.float64) for v in (a, b))
    return float(2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second)))


def slerp(a: NDArray[np.floating], b: NDArray[np.floating], share: float) -> Vector:
    """Unit vector at `share` (0..1) of the way from `a` to `b` along their great circle.

    The ends are exact. Opposite vectors have no great circle of their own: the nearer one is returned.
    """
    start, stop = unit(a), unit(b)
    between = angle(start, stop)
    if share <= 0 or share >= 1 or between > NEARLY_OPPOSITE:
        return start if share < 0.5 else stop
    if between < 1e-6:
        return start
    weights = np.sin([(1 - share) * between, share * between])
    return unit(weights[0] * start.astype(np.float64) + weights[1] * stop.astype(np.float64))


def toward(a: NDArray[np.floating], b: NDArray[np.floating], most_rad: float) -> Vector:
    """Go from `a` towards `b` by at most `most_rad` on their great circle."""
    between = angle(a, b)
    return unit(b) if between <= most_rad else slerp(a, b, most_rad / between)


class SteeringConfig(Config):
    """How quickly the style follows the EEG."""

    time_constant_s: float = Field(1.0, gt=0, description="EEG seconds after which an embedding weighs 1/e")
    floor: float = Field(0.05, ge=0, le=1, description="least weight of an embedding that has any confidence")
    max_age_s: float = Field(3.0, gt=0, description="without an embedding for this long the style is held")


@dataclass(frozen=True)
class SteeringState:
    """Everything steering remembers. `total` is the weighted sum of embeddings, (512,) float64."""

    total: NDArray[np.float64] | None = None
    weight: float = 0.0
    confidence: float = 0.0  # weighted sum of confidences
    end_s: float = float("-inf")
    made_s: float = float("-inf")
    key: tuple[int, int] | None = None  # connection and window index of the newest embedding taken
    steps: EegSteps | None = None  # of the newest embedding that counts


class Steering:
    """Turns the newest embedding into a `Style`.

    Parameters
    ----------
    latest : Latest[Embedding]
        Where the decoder leaves its embeddings; look often, since only the newest is kept.
    config : SteeringConfig
    """

    def __init__(self, latest: Latest[Embedding], config: SteeringConfig | None = None):
        self._latest = latest
        self.config = config or SteeringConfig()
        self._state = SteeringState()
        nothing = PromptStatus(unavailable="this run has nothing that understands words")
        self._prompt: tuple[NDArray[np.float32] | None, PromptStatus] = None, nothing

    @property
    def prompt(self) -> PromptStatus:
        """The operator's prompt."""
        return self._prompt[1]

    def set_prompt(self, vector: NDArray[np.float32] | None, status: PromptStatus) -> None:
        """Steer by the prompt `status` tells of, whose vector is a unit one (512,); None for no prompt."""
        self._prompt = vector, status  # one assignment: another thread may look

    def update(self, now: float) -> Style:
        """Take in the newest embedding, if there is a new one, and return the style at time `now`."""
        newest = self._latest.get()
        if newest is not None:
            self.feed(newest)
        return self.style(now)

    def feed(self, embedding: Embedding) -> None:
        """Take in one embedding; the same one twice, or one without confidence, changes nothing."""
        state, key = self._state, (embedding.connection, embedding.window_index)
        if key == state.key:
            return
        if embedding.confidence <= 0 or not np.isfinite(embedding.vector).all():
            self._state = replace(state, key=key)
            return
        weight = max(embedding.confidence, self.config.floor)
        kept = float(np.exp(-max(0.0, embedding.end_s - state.end_s) / self.config.time_constant_s))
        old = state.total if state.total is not None else np.zeros(EMBEDDING_DIM)
        self._state = SteeringState(
            total=kept * old + weight * embedding.vector, weight=kept * state.weight + weight,
            confidence=kept * state.confidence + weight * embedding.confidence,
            end_s=max(state.end_s, embedding.end_s), made_s=embedding.made_s, key=key,
            steps=embedding.steps,
        )

    def style(self, now: float) -> Style:
        """Return the style at time `now`; held, with confidence 0, when the newest embedding is too old."""
        state = self._state
        if state.total is None:
            even = np.full(EMBEDDING_DIM, EMBEDDING_DIM**-0.5, np.float32)
            return Style(even, made_s=now, from_eeg=False)
        length = float(np.linalg.norm(state.total))
        vector = (state.total / max(length, 1e-12)).astype(np.float32)
        stale = now - state.made_s > self.config.max_age_s
        confidence = 0.0 if stale else state.confidence / state.weight
        prompt, status = self._prompt
        steps = None if stale else state.steps
        if prompt is None or status.weight <= 0:
            return Style(vector, confidence=confidence, made_s=state.made_s, steps=steps)
        return Style(
            slerp(vector, prompt, status.weight), prompt_weight=status.weight, confidence=confidence,
            made_s=state.made_s, steps=steps if status.weight < 1 else None,
        )

    def state(self) -> SteeringState:
        """What steering remembers, as a value."""
        return self._state

    def restore(self, state: SteeringState) -> None:
        """Go on from a saved state."""
        self._state = state
