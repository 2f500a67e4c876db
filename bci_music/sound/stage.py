"""The sound stage: keeps sound queued ahead of the ear, in the style the EEG asks for, whatever happens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.clock import Clock
from bci_music.config import Config
from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, SoundSpan, Style
from bci_music.sound.choosing import DeviceChooser
from bci_music.sound.fallback import FallbackChain, FallbackConfig
from bci_music.sound.generator import Generator
from bci_music.sound.guard import TOTALS, Guarded
from bci_music.sound.loudness import Meter
from bci_music.sound.player import Player
from bci_music.sound.producer import Producer
from bci_music.sound.queue import CAPACITY
from bci_music.sound.revision import Revision
from bci_music.sound.span_log import SpanLog
from bci_music.sound.splice import Splicer
from bci_music.sound.steering import Steering
from bci_music.status import Failure, SoundStatus

PREPARE_S = 0.25
FIRST_S, LEAST_S, SPARE_S = 10.0, 0.5, 0.75  # patience with a realtime generator, see `SoundStage._patience_s`
log = logging.getLogger(__name__)


class StageConfig(Config):
    """How far ahead the sound is made, and what plays while it is not there."""

    block_s: float = Field(0.25, gt=0.05, le=2, description="length of a block of a realtime generator")
    low_water_s: float = Field(2.0, ge=0.5, le=3, description="at least this much sound is queued")
    late_s: float = Field(1.0, ge=0.5, le=2, description="with less queued than this, a slow generator's clip is late")
    clip_s: float = Field(5.12, gt=1, le=5.2, description="length asked of a generator that is not realtime")
    crossfade_s: float = Field(0.4, gt=0.01, le=1, description="crossfade from one generator to another")
    reserve_s: float = Field(1.5, ge=0, description="a slow generator's clip must be there this long before the end")
    rest_s: float = Field(10.0, ge=0, description="after a failure the library plays for this long")
    hung_s: float = Field(30.0, ge=5, description="a slow generator that has not answered for so long is named")
    fallback: FallbackConfig = FallbackConfig()


class SoundStage:
    """Keeps the player's queue above its low-water mark.

    Parameters
    ----------
    generator : Generator
    fallback : Generator
        A realtime one, for the time before the first clip of a slow one and for when the generator fails or is late;
        may be the same object, since a generator's state is held here.
    steering : Steering
    player : Player
    clock : Clock
    on_failure : callable
        Gets a `Failure` when the generator fails.
    config : StageConfig
    make_producer : callable
        Makes what runs a generator that is not realtime.
    """

    def __init__(
        self, generator: Generator, fallback: Generator, steering: Steering, player: Player, clock: Clock,
        on_failure: Callable[[Failure], None] = lambda failure: log.error(failure.text),
        config: StageConfig | None = None, make_producer: Callable[[Generator], Producer] = Producer,
    ):
        self.config = config or StageConfig()
        if self.config.low_water_s < player.prime_s:
            raise ValueError(f"the player starts at {player.prime_s} s, above the low-water mark")
        self.player, self.meter, self.span_log = player, Meter(), SpanLog()
        player.add_listener(self.meter)
        self.devices = DeviceChooser(player, lambda text: on_failure(Failure(clock.now(), "sound", text)))
        most_s = CAPACITY / AUDIO_RATE_HZ - self.config.low_water_s - self.config.clip_s / 2 - 2 * self.config.block_s
        guarded = {id(maker): Guarded(maker, self._patience_s, most_s) for maker in (generator, fallback)}
        self._generator, self._library = guarded[id(generator)], guarded[id(fallback)]
        self._guarded = tuple(guarded.values())
        self._steering, self._clock = steering, clock
        self._on_failure = on_failure
        self._block = round(self.config.block_s * AUDIO_RATE_HZ)
        self._producer = None if generator.realtime else make_producer(self._generator)
        self._rejoin: tuple[int, int, int] | None = None  # of what is ordered: first sample, skip, samples queued then
        self._asked_s: float | None = None  # when the slow generator was asked for what it has not answered
        self._named = False
        self._state: Any = None
        fade = round(self.config.crossfade_s * AUDIO_RATE_HZ)
        self._splicer = Splicer(player, self.span_log, fade)
        self._fallback = FallbackChain(self._library, player, self._block, fade, on_failure, self.config.fallback)
        self._revision = Revision(self._generator, player, self._splicer, self._remade)
        self._unprepared = list(self._guarded)
        self._prepared_s = self._rest_until = float("-inf")
        self._fallbacks = 0
        self._wall_s = self._made_s = 0.0
        self._volume_db, self._muted = 0.0, False
        self._first_eeg_s: float | None = None

    def step(self, now: float) -> None:
        """Bring the queue above its low-water mark, and let queued sound follow a new style."""
        self.player.poll(now)
        while self.player.changes:
            self._on_failure(Failure(now, "sound", self.player.changes.popleft()))
        style = self._steering.update(now)
        self._revise(now, style)
        self._order(now, style)
        ahead = self._producer is not None and self._splicer.source == "generator"
        due_s = self.config.low_water_s - self.config.block_s  # a step of the stage late is not late
        if ahead and self.player.queued_s < due_s and self._fallback.hold():
            self.span_log.mark_late(self.player.changeable, "hold")
        mark = self.config.late_s if ahead or self._fallback.step else self.config.low_water_s
        while self.player.queued_s < mark + self.config.block_s:
            self._next(now, style)
        self._prepare(now)

    @property
    def plays(self) -> Generator:
        """The generator itself, not the guard around it: its name, way and facts may change while it plays."""
        return self._generator.generator

    def close(self) -> bool:
        """End the generators' threads; returns whether they ended, and names one that did not."""
        self.devices.close()
        ended = self._producer.close() if self._producer else True
        hung = next((guarded for guarded in self._guarded if not guarded.answers), None if ended else self._generator)
        if hung is not None and not self._named:
            self._on_failure(Failure(self._clock.now(), "generate", f"{hung.name} did not answer to the end."))
        for guarded in self._guarded:
            guarded.close()
        return hung is None

    def set_volume(self, volume_db: float) -> None:
        """Set the volume in dB, at most 0."""
        self._volume_db = min(0.0, volume_db)
        self.player.set_gain(self._volume_db, self._muted)

    def set_muted(self, muted: bool) -> None:
        """Mute or not."""
        self._muted = muted
        self.player.set_gain(self._volume_db, muted)

    def set_way(self, way: str) -> None:
        """Go over to another way from EEG to music, where the generator has it."""
        if way in self.plays.ways:
            self.plays.switch(way)
            return
        text = "This run plays one way only: another needs a pack that holds a ControlNet, and no other generator."
        self._on_failure(Failure(self._clock.now(), "generate", text))

    def lag_s(self, now: float) -> float | None:
        """Seconds between the EEG that leads what is heard at `now`, moment by moment, and that sound."""
        span = self.span_log.at(self.player.heard.index_at(now))
        return self._lag_of(span) if span is not None else None

    def lags_s(self) -> list[float]:
        """The same for each clip that was heard or is queued, from its first sample on."""
        first = {span.style_made_s: span for span in reversed(self.span_log.all())}
        return [lag for span in reversed(first.values()) if (lag := self._lag_of(span)) is not None]

    def _lag_of(self, span: SoundSpan) -> float | None:
        heard_s = self.player.heard.heard_s(span.start)
        return None if heard_s is None or span.eeg_s != span.eeg_s else heard_s - span.eeg_s

    def status(self, now: float) -> SoundStatus:
        """Return the sound in one glance."""
        counters, states = self.player.counters, (self._state, self._fallback.state)
        total = {
            name: sum(getattr(state, name, 0) for state in states) + sum(g.totals[name] for g in self._guarded)
            for name in TOTALS
        }
        return SoundStatus(
            queued_s=self.player.queued_s, played_s=counters.played_frames / AUDIO_RATE_HZ,
            underruns=counters.underruns, starved_s=counters.starved_frames / AUDIO_RATE_HZ,
            device_underflows=counters.device_underflows, crossfades=total["crossfades"] + self._splicer.splices,
            clips_generated=total["clips_generated"], clips_retrieved=total["clips_retrieved"],
            clips_kept=total["clips_kept"], late_step=self._fallback.step, late_steps=self._fallback.steps,
            fallbacks=self._fallbacks, clips_refused=sum(g.refused for g in self._guarded),
            generation_s=self._wall_s, generated_s=self._made_s,
            peak_dbfs=self.meter.peak_dbfs(), volume_db=self._volume_db, muted=self._muted,
            first_eeg_sound_s=self._first_eeg_heard(now), generator=self.plays.name, trained=self.plays.trained,
            way=self.plays.way, ways=self.plays.ways, lag_s=self.lag_s(now), device=self.player.device,
            prompt=self._steering.prompt, devices=self.devices.choices,
        )

    def playing(self, now: float) -> SoundSpan | None:
        """What is heard at `now`; its start and stop are output frames."""
        span = self.span_log.at(self.player.heard.index_at(now))
        return self._placed(span)[0] if span else None

    def spans(self) -> list[tuple[SoundSpan, float, float]]:
        """All spans (start and stop in output frames, as in the WAV) with the times they are heard from and to."""
        return [self._placed(span) for span in self.span_log.all()]

    def waveform(self) -> NDArray[np.float32]:
        """Min and max of what was played, (n, 2), 20 per second, newest last."""
        return self.meter.waveform()

    def _placed(self, span: SoundSpan) -> tuple[SoundSpan, float, float]:
        heard = self.player.heard
        nan = float("nan")
        start, stop = heard.output_frame(span.start), heard.output_frame(span.stop - 1) + 1
        origin = heard.origin_s if heard.origin_s is not None else nan
        return replace(span, start=start, stop=stop), origin + start / AUDIO_RATE_HZ, origin + stop / AUDIO_RATE_HZ

    def _first_eeg_heard(self, now: float) -> float | None:
        if self._first_eeg_s is None and (span := self.span_log.first_from_eeg()):
            heard = self.player.heard.heard_s(span.start)
            if heard is not None and heard <= now:
                self._first_eeg_s = heard
        return self._first_eeg_s

    def _patience_s(self) -> float:
        """How long a realtime generator may take: until little is queued, and longer before anything is heard."""
        return FIRST_S if self.player.heard.origin_s is None else max(LEAST_S, self.player.queued_s - SPARE_S)

    def _revise(self, now: float, style: Style) -> None:
        try:
            self._state = self._revision.revise(style, self._state)
        except Exception as error:  # what is queued stays as it is
            self._fail(now, error)

    def _next(self, now: float, style: Style) -> None:
        """Queue one more block, from whoever can make it."""
        if now < self._rest_until:
            self._append(*self._fallback.instead(now, style))
        elif self._producer is None:
            before = self._state
            try:
                block, self._state = self._timed(style, before, now)
            except Exception as error:  # the music goes on without the generator
                self._fail(now, error)
                self._append(*self._fallback.instead(now, style))
            else:
                self._revision.note(self._append(block, "generator"), before)
        elif self._splicer.source == "generator" or self._fallback.step:
            self._append(*self._fallback.late(now, style))
        else:  # before the first clip
            self._append(*self._fallback.instead(now, replace(style, from_eeg=False)))

    def _timed(self, style: Style, state: Any, now: float) -> tuple[AudioBlock, Any]:
        began = time.perf_counter()
        made = self._generator.generate(
            style, state, seconds=self.config.block_s, deadline=now + self.player.queued_s - self.config.reserve_s
        )
        self._wall_s += time.perf_counter() - began
        self._made_s += len(made[0].samples) / AUDIO_RATE_HZ
        return made

    def _remade(self, style: Style, state: Any) -> tuple[AudioBlock, Any]:
        return self._timed(style, state, self._clock.now())

    def _fail(self, now: float, error: Exception) -> None:
        self._fallbacks += 1
        self._rest_until = now + self.config.rest_s
        self._revision.forget()
        self._fallback.in_time()
        again = f"the library plays, and it is tried again in {self.config.rest_s:g} s"
        self._on_failure(Failure(now, "generate", f"{self.plays.name} failed ({error}): {again}"))

    def _order(self, now: float, style: Style) -> None:
        """Take the slow generator's clip when it is there, and order the next in time."""
        producer = self._producer
        if producer is None:
            return
        producer.start()
        self._name_hung(now, producer)
        if producer.ready and self._rejoin is not None:
            self._take_rejoined(now, producer)
        if producer.ready and self.player.queued_s < self.config.low_water_s + self.config.clip_s / 2:
            try:
                block, self._state, wall_s = producer.take()
            except Exception as error:  # the music goes on without the generator
                self._fail(now, error)
            else:
                self._wall_s += wall_s
                self._made_s += len(block.samples) / AUDIO_RATE_HZ
                soon = self.player.changeable + self._block // 4 if self._splicer.source != "generator" else None
                self._append(block, "generator", soon)
                self._fallback.in_time()
        due = self.player.queued_s < self.config.low_water_s + producer.expected_s
        idle = not producer.busy and not producer.ready
        if not (idle and style.from_eeg and now >= self._rest_until):
            return
        if due or self._splicer.source != "generator":
            deadline = now + max(self.config.low_water_s, self.player.queued_s) - self.config.reserve_s
            producer.submit(style, self._state, self.config.clip_s, deadline)
            self._asked_s = now
        elif not self._fallback.step:
            self._follow(now, style, producer)

    def _follow(self, now: float, style: Style, producer: Producer) -> None:
        """Order a clip that goes on from what is queued, before its end, where the style has turned."""
        written = self.player.written
        back = written - self.player.changeable - round(producer.expected_s * AUDIO_RATE_HZ)
        found = self._generator.rejoin(style, self._state, back) if back > 0 else None
        if found is not None:
            at = written - found.back + found.skip
            deadline = now + producer.expected_s
            producer.submit(style, found.state, self.config.clip_s, deadline)
            self._rejoin, self._asked_s = (at, found.skip, written), now

    def _take_rejoined(self, now: float, producer: Producer) -> None:
        """Put a clip for a style that turned in the place of what is queued; one that came too late is left out."""
        assert self._rejoin is not None
        (at, skip, written), self._rejoin = self._rejoin, None
        try:
            block, state, wall_s = producer.take()
        except Exception as error:  # the music goes on without the generator
            self._fail(now, error)
            return
        self._wall_s += wall_s
        if self.player.written == written and self._splicer.rejoin(at, block, skip):
            self._state = state
            self._made_s += (self.player.written - written) / AUDIO_RATE_HZ

    def _name_hung(self, now: float, producer: Producer) -> None:
        """Say once that a slow generator does not answer: the fallback chain plays all the while."""
        if not producer.busy:
            self._asked_s, self._named = None, False
            return
        if self._asked_s is None:
            self._asked_s = now
        if now - self._asked_s > self.config.hung_s and not self._named:
            self._named = True
            self._fallbacks += 1
            text = f"{self.plays.name} has not answered for {self.config.hung_s:g} s"
            self._on_failure(Failure(now, "generate", f"{text}: the library plays until it does."))

    def _append(self, block: AudioBlock, source: str, soon: int | None = None) -> int:
        if source != "generator":
            self._revision.forget()
        return self._splicer.append(block, source, soon)

    def _prepare(self, now: float) -> None:
        """Let generators get ready, now and then, what they will need: a revision has no time to read files."""
        if now - self._prepared_s >= PREPARE_S and self._unprepared:
            self._prepared_s = now
            try:
                more = self._unprepared[0].prepare()
            except Exception as error:  # said once; what could not be got ready may fail again when it is needed
                more = False
                self._on_failure(Failure(now, "generate", f"{self._unprepared[0].name} could not get ready ({error})"))
            if not more:
                self._unprepared.pop(0)
