"""Music by generation: AudioLDM makes clip after clip in the style of the EEG, each fading into the next."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.clock import Clock
from bci_music.config import Config
from bci_music.generation.crossfade import fade_in, mix
from bci_music.generation.loudness import to_level
from bci_music.generation.sampler import SOUND_RATE_HZ, AudioLdm, Budget, load_audioldm
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, AudioBlock, SoundSpan, Style


class AudioLdmConfig(Config):
    """How clips are made."""

    steps: int = Field(10, ge=1, le=200, description="denoising steps where there is time for them")
    anytime: bool = Field(True, description="fewer steps when the deadline asks for it; off: same state, same clip")
    guidance: float = Field(2.5, ge=1, description="how strongly the embedding leads")
    fade_s: float = Field(0.64, gt=0, le=2, description="crossfade from clip to clip")
    level_db: float = Field(-23.0, le=-6, description="RMS level clips are brought to")
    same_above: float = Field(0.98, ge=0, le=1, description="with a style nearer than this cosine the clip stays")
    most_repeats: int = Field(1, ge=0, description="a clip is played again at most this often")
    seed: int = 0


@dataclass(frozen=True, eq=False)
class AudioLdmState:
    """The newest clip (n, 2), what it was made for, and the totals. Its last `fade_s` were not played yet."""

    clip: NDArray[np.float32]
    vector: NDArray[np.float32]
    repeats: int = 0
    clips_generated: int = 0
    clips_retrieved: int = 0
    crossfades: int = 0


class AudioLdmGenerator:
    """Makes clips with AudioLDM, conditioned by the style's vector.

    Parameters
    ----------
    model : AudioLdm
    config : AudioLdmConfig
    clock : Clock
        The clock deadlines are on.
    """

    quick = False

    def __init__(self, model: AudioLdm, config: AudioLdmConfig | None = None, clock: Clock | None = None):
        self.model, self.config, self._clock = model, config or AudioLdmConfig(), clock or Clock()
        self.name, self.trained = model.name, model.trained
        self._fade = round(self.config.fade_s * AUDIO_RATE_HZ)
        self._stop = threading.Event()

    @classmethod
    def from_directory(
        cls, where: str | Path, config: AudioLdmConfig | None = None, clock: Clock | None = None, *,
        revision: str | None = None, device: str | None = None,
    ) -> AudioLdmGenerator:
        """Load AudioLDM's parts from a directory, or by a name on the hub such as ``cvssp/audioldm-m-full``."""
        return cls(load_audioldm(where, revision=revision, device=device), config, clock)

    def generate(
        self, style: Style, state: AudioLdmState | None, *, seconds: float, deadline: float
    ) -> tuple[AudioBlock, AudioLdmState]:
        """Make a clip of about `seconds`; what is returned is shorter by one crossfade, kept for the next clip."""
        keep = state is not None and state.repeats < self.config.most_repeats and self._same(style, state)
        made = state.clips_generated if state else 0
        if state is not None and keep:
            clip, vector, repeats = state.clip, state.vector, state.repeats + 1
        else:
            clip = self._clip(style, seconds, deadline, made)
            vector, repeats, made = style.vector, 0, made + 1
        body = clip[: len(clip) - self._fade]
        if state is None:
            samples = fade_in(body, self._fade)
        else:
            over = mix(state.clip[len(state.clip) - self._fade :], body[: self._fade], self._fade)
            samples = np.concatenate([over, body[self._fade :]])
        title = f"clip {made}" if self.trained else f"clip {made} of a model that is not trained"
        span = SoundSpan(0, len(samples), "generated", title, style_made_s=style.made_s)
        after = AudioLdmState(clip, vector, repeats, made, crossfades=state.crossfades + 1 if state else 0)
        return AudioBlock(samples, (span,)), after

    def warm_up(self, seconds: float = 5.12) -> None:
        """Run once with a single step, so that the first clip already knows how long steps take here."""
        vector = np.full(EMBEDDING_DIM, EMBEDDING_DIM**-0.5, np.float32)
        for _ in range(2):  # the first run pays for what the libraries set up
            budget = Budget(lambda: float("inf"), self._stop)
            self.model.sample(vector, seconds, steps=1, guidance=self.config.guidance, seed=0, budget=budget)

    def interrupt(self) -> None:
        """End sampling at its next step, for good."""
        self._stop.set()

    def _same(self, style: Style, state: AudioLdmState) -> bool:
        lengths = float(np.linalg.norm(style.vector) * np.linalg.norm(state.vector))
        return float(style.vector @ state.vector) > self.config.same_above * lengths

    def _clip(self, style: Style, seconds: float, deadline: float, number: int) -> NDArray[np.float32]:
        import soxr

        config, model = self.config, self.model
        left_s = (lambda: deadline - self._clock.now()) if config.anytime else (lambda: float("inf"))
        steps = config.steps
        if config.anytime and model.step_s:
            steps = int(np.clip((left_s() - 1.2 * model.decode_s) / model.step_s, 1, steps))
        sound = model.sample(
            style.vector, max(seconds, 3 * config.fade_s), steps=steps, guidance=config.guidance,
            seed=(config.seed * 1_000_003 + number) % 2**63, budget=Budget(left_s, self._stop),
        )
        full = soxr.resample(sound - sound.mean(), SOUND_RATE_HZ, AUDIO_RATE_HZ)
        return to_level(np.repeat(full[:, None], 2, axis=1).astype(np.float32), config.level_db)
