"""Music by generation: AudioLDM makes clip after clip in the style of the EEG, each going on from the last one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.clock import Clock
from bci_music.generation.audioldm.loading import AUDIOLDM, MEL_HOP, SOUND_RATE_HZ, note_of
from bci_music.generation.audioldm.precision import Speed
from bci_music.generation.audioldm.sampler import AudioLdm, Budget, Continuation, Variation, load_audioldm
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.generation.audioldm.sources import Place, Sources
from bci_music.generation.config import GeneratorConfig
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, STYLE, AudioBlock, SoundSpan, Style, UserError
from bci_music.sound.generator import Generator, Rejoin
from bci_music.sound.loudness import DELAY, LimiterState, limit, loudness_lufs, to_loudness
from bci_music.sound.splice import fade_in, splice
from bci_music.sound.steering import angle, toward, unit

if TYPE_CHECKING:
    from torch import Tensor

    from bci_music.models.pack import Pack

TO_FULL_RATE = AUDIO_RATE_HZ // SOUND_RATE_HZ
Near = Callable[[NDArray[np.float32]], Mapping[str, Any]]
GAIN_S = 1.0  # a new style that would be heard sooner by less than this can wait
_SEEN = 16  # frames beyond the last one that a vocoder may look at


class AudioLdmConfig(GeneratorConfig):
    """Which AudioLDM it is, how clips are made, and how one follows another."""

    RENAMED: ClassVar[Mapping[str, str]] = {"joint_strength": "continuation_strength"}
    CALLED: ClassVar = (
        "AudioLDM", "--audioldm with a directory or a hub id (sound.audioldm.checkpoint in the configuration)",
    )  # fmt: skip

    checkpoint: str | None = Field(None, description="its folder or hub id, in place of the pack's own")
    revision: str | None = Field(None, description="commit of a checkpoint from the hub; null: the one fetched last")
    device: str | None = Field(None, description="cuda, mps or cpu; null: cuda where there is one")
    speed: Speed = Speed()
    sampler: SamplerSettings | None = Field(None, description="null: what the model was made for")
    anytime: bool = Field(True, description="fewer steps when the deadline asks for it; off: same state, same clip")
    least_steps: int = Field(3, ge=1, description="the deadline never asks for fewer: a late clip is better than mush")
    overlap_s: float = Field(1.12, gt=0, le=4, description="a clip begins with the last one's end, for this long")
    margin_s: float = Field(0.64, ge=0, le=4, description="made beyond the end and thrown away: networks fade there")
    continuation_strength: float = Field(1.0, ge=0, le=1, description="share of the denoising in which it is held")
    fade_s: float = Field(0.48, gt=0, le=4, description="crossfade within the overlap")
    turn_deg: float = Field(60.0, gt=0, le=180, description="the style turns by at most this angle from clip to clip")
    follow_deg: float = Field(30.0, gt=0, le=180, description="a style that turns by more is followed at once")
    follow_fade_s: float = Field(0.32, gt=0, le=4, description="what is queued goes on for this long before it turns")
    loudness_lufs: float = Field(-20.0, le=-10, ge=-40, description="integrated loudness of a clip, EBU R128")
    same_above: float = Field(0.98, ge=0, le=1, description="with a style nearer than this cosine the clip stays")
    most_repeats: int = Field(1, ge=0, description="a clip is played again at most this often")
    most_hold_s: float = Field(12.0, ge=0, description="and for at most this long")
    from_library: float = Field(
        0.0, ge=0, lt=1, description="share kept of the library's clip nearest to the style: 0 invents, more varies it"
    )
    seed: int = 0

    def available(self, pack: Pack | None) -> bool:
        """Whether a checkpoint is given, or the pack brings one and plays it by default."""
        return self.checkpoint is not None or (
            pack is not None and pack.generator is not None and note_of(pack.generator).plays == AUDIOLDM
        )

    def open(self, pack: Pack | None = None, clock: Clock | None = None) -> AudioLdmGenerator:
        """Load the checkpoint that is given, if the pack's vectors can lead it, or the pack's own."""
        where = self.checkpoint or (pack.generator if pack is not None else None)
        if where is None:
            called, advice = self.CALLED
            raise UserError(
                f"{f'Pack {pack.name}' if pack is not None else 'This run'} brings no {called}: give {advice}."
            )
        if self.checkpoint is not None and pack is not None:
            from bci_music.models.checkpoints.towers import require_lead

            require_lead(pack.embedder, where, pack.name, pack.manifest.spaces.targets)
        model = self._load(where)
        if self.from_library > 0 and pack is None:
            raise UserError("A variation needs the library of a pack: give --pack with its name or folder.")
        library = pack.open_library() if pack is not None else None
        sources = Sources(library, model) if library is not None and self.from_library > 0 else None
        return self._made(model, clock, library.nearest_song if library is not None else None, sources)

    def _load(self, where: str | Path) -> AudioLdm:
        return load_audioldm(where, revision=self.revision, device=self.device, speed=self.speed)

    def _made(
        self, model: AudioLdm, clock: Clock | None, near: Near | None, sources: Sources | None
    ) -> AudioLdmGenerator:
        return AudioLdmGenerator(model, self, clock, near, sources)


@dataclass(frozen=True, eq=False)
class AudioLdmState:
    """The newest clip (n, 2) with its latents and the vector it was made for, and the totals.

    The clip's last `overlap_s` were not played yet. `splice` is where in the newest block the crossfade lies, `source`
    the place in the library's clip of which the newest clip is a variation.
    """

    clip: NDArray[np.float32]
    latents: Tensor
    vector: NDArray[np.float32]
    limiter: LimiterState | None = None
    splice: tuple[int, int] = (0, 0)
    source: Place | None = None
    repeats: int = 0
    held_s: float = 0.0
    clips_generated: int = 0
    clips_retrieved: int = 0
    clips_kept: int = 0
    crossfades: int = 0
    way: str = STYLE  # of the generator that made the clip


class AudioLdmGenerator(Generator):
    """Makes clips with AudioLDM, conditioned by the style's vector.

    Parameters
    ----------
    model : AudioLdm
    config : AudioLdmConfig
    clock : Clock
        The clock deadlines are on.
    near : callable
        Gives the known song (id, title, genre) nearest to a vector (512,): what a clip is called after.
    sources : Sources
        What clips are variations of; None: they are invented.
    """

    realtime = False

    def __init__(
        self, model: AudioLdm, config: AudioLdmConfig | None = None, clock: Clock | None = None,
        near: Near | None = None, sources: Sources | None = None,
    ):
        self.model, self.config, self._clock, self._near = model, config or AudioLdmConfig(), clock or Clock(), near
        self._sources = sources
        self.name, self.trained = model.name, model.trained
        self.settings = self.config.sampler or model.settings
        self._stop = threading.Event()
        self._frame = model.downsample * MEL_HOP * TO_FULL_RATE  # samples of sound that a latent frame is long
        self._kept = max(1, self._latent_frames(self.config.overlap_s))  # with which the next clip begins
        self._context = self._kept  # with which it is made: what lies before was played
        self._margin = self._latent_frames(self.config.margin_s)
        self._overlap = self._kept * self._frame
        self._fade = min(round(self.config.fade_s * AUDIO_RATE_HZ), self._overlap)

    def _latent_frames(self, seconds: float) -> int:
        return round(seconds * SOUND_RATE_HZ / MEL_HOP / self.model.downsample)

    def generate(
        self, style: Style, state: AudioLdmState | None, *, seconds: float, deadline: float
    ) -> tuple[AudioBlock, AudioLdmState]:
        """Make a clip of about `seconds`; what is returned is shorter by the overlap, kept for the next clip."""
        again = state is not None and self._stays(style, state)
        after = self._keep(state) if state and again else self._make(style, state, seconds, deadline)
        if state is None:
            samples, place = fade_in(after.clip[: len(after.clip) - self._overlap], self._fade), (0, 0)
        else:
            spliced = splice(state.clip, after.clip, self._overlap, self._fade)
            samples, place = spliced.samples, (spliced.start + DELAY, spliced.stop + DELAY)
        limited, limiter = limit(samples, state.limiter if state else None)
        return AudioBlock(limited, (self._span(style, after, len(limited)),)), replace(
            after, limiter=limiter, splice=place, crossfades=state.crossfades + 1 if state else 0
        )

    def rejoin(self, style: Style, state: AudioLdmState | None, back: int) -> Rejoin | None:
        """Go on from the middle of the newest clip: its latents up to there are what the next clip begins with."""
        if state is None or angle(style.vector, state.vector) < np.deg2rad(self.config.follow_deg):
            return None
        return self.cut(state, back)

    def cut(self, state: AudioLdmState, back: int) -> Rejoin | None:
        """Where and from what to go on, at most `back` samples before the end of what is queued; None: not worth it."""
        frame = self._frame
        end = len(state.clip) - self._overlap - DELAY  # place in the clip of the end of what is queued
        head = min(self._overlap, round(self.config.follow_fade_s * AUDIO_RATE_HZ))
        least = -(-(end - back + head) // frame)
        kept = max(least, self._context)
        if least < self._kept or end + self._overlap - kept * frame < GAIN_S * AUDIO_RATE_HZ:
            return None
        clip, latents = state.clip[: kept * frame], state.latents[:, :, :kept]
        cut = replace(state, clip=clip, latents=latents, limiter=None, repeats=0)
        return Rejoin(cut, end - kept * frame + self._overlap, self._overlap - head)

    def warm_up(self, seconds: float = 5.12) -> None:
        """Run once with few steps, so that the first clip already knows how long steps take here."""
        self._warm(Style(np.full(EMBEDDING_DIM, EMBEDDING_DIM**-0.5, np.float32)), seconds)

    def _warm(self, style: Style, seconds: float) -> None:
        model, budget = self._led(style, None), Budget(stop=self._stop)
        for _ in range(2):  # the first run pays for what the libraries set up
            model.sample(style.vector, seconds, steps=1, settings=self.settings, seed=0, budget=budget)
        loudness_lufs(np.zeros((AUDIO_RATE_HZ, 2), np.float32))

    def interrupt(self) -> None:
        """End sampling at its next step, for good."""
        self._stop.set()

    def _stays(self, style: Style, state: AudioLdmState) -> bool:
        """Whether the style is so near to the clip's that it may be played again, and not for too long."""
        config, length_s = self.config, len(state.clip) / AUDIO_RATE_HZ
        if state.way != self.way:
            return False
        allowed = state.repeats < config.most_repeats and state.held_s + length_s <= config.most_hold_s
        return allowed and float(unit(style.vector) @ state.vector) > config.same_above

    def _keep(self, state: AudioLdmState) -> AudioLdmState:
        held_s = state.held_s + len(state.clip) / AUDIO_RATE_HZ
        return replace(state, repeats=state.repeats + 1, held_s=held_s, clips_kept=state.clips_kept + 1)

    def _make(self, style: Style, state: AudioLdmState | None, seconds: float, deadline: float) -> AudioLdmState:
        """Make the next clip: its style turns from the last one's, its beginning is the last one's end."""
        import soxr

        config, model = self.config, self.model
        vector, start, made, played = unit(style.vector), None, 0, 0
        if state is not None:
            vector = toward(state.vector, vector, np.deg2rad(config.turn_deg))
            context = min(self._context, state.latents.shape[2])
            start = Continuation(state.latents[:, :, -context:], context, config.continuation_strength)
            made, played = state.clips_generated, max(0, context - self._kept)
        frames = model.frames(max(seconds, 3 * config.overlap_s) + config.margin_s)
        source = self._source(vector, state)
        latents = self._led(style, start).latents(
            vector, frames, settings=self.settings, seed=(config.seed * 1_000_003 + made) % 2**63,
            budget=self._budget(deadline), start=start, variation=self._variation(source, frames),
        )
        end = latents.shape[2] - self._margin
        mel = model.decode(latents)[: end * model.downsample + _SEEN]
        hop = model.downsample * MEL_HOP
        latents, sound = latents[:, :, played:end], model.vocode(mel)[played * hop : end * hop]
        full = soxr.resample(sound - sound.mean(), SOUND_RATE_HZ, AUDIO_RATE_HZ).astype(np.float32)
        clip = to_loudness(np.repeat(full[:, None], 2, axis=1), config.loudness_lufs)
        return AudioLdmState(
            clip, latents, vector, source=source, clips_generated=made + 1,
            clips_kept=state.clips_kept if state else 0, way=self.way,
        )

    def _led(self, style: Style, start: Continuation | None) -> AudioLdm:
        """The model as it makes the next clip."""
        return self.model

    def _source(self, vector: NDArray[np.float32], state: AudioLdmState | None) -> Place | None:
        """Where in the library the next clip's source begins: on from the last one's while that clip is the nearest."""
        if self._sources is None:
            return None
        if state is None or state.source is None:
            return self._sources.nearest(vector, None)
        on = Place(state.source.clip, state.source.frame + state.latents.shape[2] - self._kept)
        return self._sources.nearest(vector, on)

    def _variation(self, source: Place | None, frames: int) -> Variation | None:
        if source is None or self._sources is None:
            return None
        latents = self._sources.latents(source, frames // self.model.downsample)
        return Variation(latents, 1.0 - self.config.from_library)

    def _budget(self, deadline: float) -> Budget:
        if not self.config.anytime:
            return Budget(stop=self._stop)
        least_s = self.config.least_steps * self.model.step_s + 1.3 * self.model.decode_s
        until = max(deadline, self._clock.now() + least_s)
        return Budget(lambda: until - self._clock.now(), self._stop)

    def _span(self, style: Style, after: AudioLdmState, length: int) -> SoundSpan:
        """Named after the song nearest to what it was made for; a model that is not trained follows nothing."""
        title = f"clip {after.clips_generated}" + (", again" if after.repeats else "")
        song = self._near(after.vector) if self._near is not None and self.trained else {}
        if self._sources is not None and after.source is not None:
            song = self._sources.song(after.source)
            song = song | {"title": f"variation of {song['title']}"}
        return SoundSpan(
            0, length, "generated",
            song.get("title", title) if self.trained else f"{title} of a model that is not trained",
            song.get("id", ""), song.get("genre", ""), float(unit(style.vector) @ after.vector), style.made_s,
            prompt_weight=style.prompt_weight,
        )
