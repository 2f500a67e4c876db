"""The second way from EEG to music: short blocks of a transformer that a ControlNet leads, EEG step by step.

```
EEG window (4 s), step by step |----------------------------------------|
new clip                       |  context 1.44 s   | block 2.56 s         | margin, thrown away: no EEG
                               end of the last clip   new
```

The steps of the newest window lie exactly over context and block. How a clip goes on from the last one, and what plays
while one is late, is as for every AudioLDM. Where a style holds no steps the transformer goes on by itself, in what
style it has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from bci_music.clock import Clock
from bci_music.generation.audioldm.echoes import CONTROL, EchoesLdm, EegCourse, control_note, load_echoes
from bci_music.generation.audioldm.flow import TransformerConfig
from bci_music.generation.audioldm.generator import AudioLdmGenerator, AudioLdmState, Near
from bci_music.generation.audioldm.loading import TRANSFORMER
from bci_music.generation.audioldm.sampler import AudioLdm, Continuation
from bci_music.generation.audioldm.sources import Sources
from bci_music.messages import AUDIO_RATE_HZ, ECHOES, EMBEDDING_DIM, EegSteps, SoundSpan, Style, UserError
from bci_music.models.pack import ENCODER_FILE, file_sha256
from bci_music.sound.loudness import DELAY

if TYPE_CHECKING:
    from bci_music.models.pack import Pack


class EchoesConfig(TransformerConfig):
    """The latent transformer with a ControlNet over it; the settings of `transformer`, and these."""

    CALLED: ClassVar = ("ControlNet", "the folder of one with its transformer as sound.echoes.checkpoint")

    block_s: float = Field(2.56, gt=0.3, le=4, description="what is new in a clip; the newest window lies over it and")
    context_s: float = Field(1.44, ge=0, le=4, description="over this much of the last clip, which it is made after")
    control_scale: float | None = Field(None, ge=0, le=10, description="how much the EEG leads; null: as it was made")

    def available(self, pack: Pack | None) -> bool:
        """Whether there is a transformer with a ControlNet: in the folder that is given, or in the pack."""
        where = self._where(pack)
        return where is not None and all((where / part / "config.json").is_file() for part in (TRANSFORMER, CONTROL))

    def open(self, pack: Pack | None = None, clock: Clock | None = None) -> EchoesGenerator:
        """Load it, if it learned from the steps of this pack's decoder.

        Raises
        ------
        UserError
            If there is none, or its EEG steps are another decoder's.
        """
        where = self._where(pack)
        if where is None or not self.available(pack):
            whose = f"Pack {pack.name}" if pack is not None and self.checkpoint is None else str(where or "This run")
            raise UserError(
                f"{whose} brings no ControlNet for --way {ECHOES}: take a pack that was built with `bci-music pack "
                f"build --way {ECHOES}`, or play without --way."
            )
        known = control_note(where / CONTROL).decoder
        if pack is not None and known and known != file_sha256(pack.file(ENCODER_FILE)):
            raise UserError(
                f"The ControlNet in {where} learned from another decoder's EEG than that of pack {pack.name}: build it "
                "for this pack, or play without --way."
            )
        made = super().open(pack, clock)
        assert isinstance(made, EchoesGenerator)
        return made

    def _where(self, pack: Pack | None) -> Path | None:
        if self.checkpoint is not None:
            return Path(self.checkpoint).expanduser()
        return pack.generator if pack is not None else None

    def _load(self, where: str | Path) -> AudioLdm:
        model, note = load_echoes(where, device=self.device, speed=self.speed), control_note(Path(where) / CONTROL)
        model.trained = model.trained and note.trained
        model.name = f"{model.name}, {note.name or 'a ControlNet'}"
        model.control_scale = note.control_scale if self.control_scale is None else self.control_scale
        return model

    def _made(
        self, model: AudioLdm, clock: Clock | None, near: Near | None, sources: Sources | None
    ) -> AudioLdmGenerator:
        assert isinstance(model, EchoesLdm)
        return EchoesGenerator(model, self, clock, near, sources)


class EchoesGenerator(AudioLdmGenerator):
    """Makes clips of one length, led by the EEG of the newest window step by step; see the head of the file.

    Its states are those of any generator over the same latents, which can go on from them, and it from theirs.
    """

    model: EchoesLdm
    config: EchoesConfig
    way = ECHOES

    def __init__(
        self, model: EchoesLdm, config: EchoesConfig | None = None, clock: Clock | None = None,
        near: Near | None = None, sources: Sources | None = None,
    ):
        super().__init__(model, config or EchoesConfig(), clock, near, sources)
        self._context = max(self._kept, self._latent_frames(self.config.context_s))
        self._new = self._latent_frames(self.config.block_s)
        self._length_s = (self._context + self._new) * self._frame / AUDIO_RATE_HZ

    def facts(self) -> dict[str, Any]:
        """What plays, and how much the EEG leads."""
        return {**super().facts(), "control_scale": self.model.control_scale}

    def warm_up(self, seconds: float | None = None) -> None:
        """Run once with few steps, led by EEG that says nothing."""
        silence = np.zeros((1, self.model.control.config.eeg_dim), np.float32)
        style = Style(
            np.full(EMBEDDING_DIM, EMBEDDING_DIM**-0.5, np.float32), steps=EegSteps(silence, self._length_s, 0.0)
        )
        self._warm(style, seconds or self._length_s + self.config.margin_s)

    def _stays(self, style: Style, state: AudioLdmState) -> bool:
        """EEG has something new to say every time."""
        return style.steps is None and super()._stays(style, state)

    def _make(self, style: Style, state: AudioLdmState | None, seconds: float, deadline: float) -> AudioLdmState:
        return super()._make(style, state, self._length_s, deadline)

    def _led(self, style: Style, start: Continuation | None) -> EchoesLdm:
        """Led by the newest window, whose end is the end of the clip."""
        if style.steps is None:
            return self.model.led_by(None)
        frames = (start.frames if start else self._context) + self._new
        course = EegCourse(style.steps.values, style.steps.seconds)
        return self.model.led_by(course, frames * self._frame / AUDIO_RATE_HZ)

    def _span(self, style: Style, after: AudioLdmState, length: int) -> SoundSpan:
        """Also says which moment of the EEG led the span's first sample."""
        span = super()._span(style, after, length)
        if style.steps is None:
            return span
        return replace(span, eeg_s=style.steps.end_s - (self._overlap + DELAY + length) / AUDIO_RATE_HZ)
