"""The live composition root: wires the stages, owns their threads, answers `snapshot()` and takes `send()`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from bci_music.engine.decode_stage import DecodeStage
from bci_music.engine.history import History
from bci_music.messages import (
    Embedding,
    MusicMarker,
    Quality,
    SoundSpan,
    StreamEvent,
    StreamInfo,
    StreamState,
    UserError,
)
from bci_music.status import Command, Failure, Identification, Snapshot, SoundStatus, StreamStatus, TimelineSpan
from bci_music.workers import Stage, Worker

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.eeg.montage import Montage
    from bci_music.models.decoder import Decoder
    from bci_music.sound.prompting import PromptStage
    from bci_music.sound.stage import SoundStage
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.ring import Cursor, RingBuffer


TIMELINE_S = 45.0
SIMULATED_WARNING = (
    "This decoder was trained on simulated EEG; that a real brain steers it is not shown. "
    "Next step: calibrate on this listener."
)


def take_snapshot(engine: Engine, now: float) -> Snapshot:
    """Collect everything the window shows; cheap enough for every frame."""
    sound, decoder, decode = engine.sound, engine.decoder, engine.decode
    return Snapshot(
        now_s=now,
        started_s=engine.started_s,
        stream=engine.status(now),
        health=decode.counters.health(),
        sound=sound.status(now) if sound else SoundStatus(),
        quality=decode.quality.get(),
        embedding=decode.embedding.get(),
        playing=sound.playing(now) if sound else None,
        timeline=timeline(engine, now - TIMELINE_S, now),
        waveform=sound.waveform() if sound else None,
        identification=engine.identification,
        channel_names=_names(engine),
        pack_name=decoder.manifest.name if decoder else "",
        warning=warning(engine),
        device=decoder.device_name if decoder else "",
        recording=engine.recording,
        failures=tuple(engine.failures),
        running=engine.alive,
    )


def timeline(engine: Engine, from_s: float, to_s: float) -> tuple[TimelineSpan, ...]:
    """Bars of the lanes heard, decoded and played between two LSL times."""
    bars = engine.history.spans(from_s, to_s) if engine.history else []
    if engine.sound is not None:
        bars += [
            TimelineSpan("played", max(a, from_s), min(b, to_s), span.title, _strength(span), span.song or span.kind)
            for span, a, b in engine.sound.spans()
            if b > from_s and a < to_s
        ]
    return tuple(bars)


def warning(engine: Engine) -> str:
    """Return the sentence to show throughout when a pack trained on simulated EEG meets a source that is not."""
    info = engine.info
    if engine.decoder is None or info is None or info.simulated:
        return ""
    return SIMULATED_WARNING if engine.decoder.manifest.provenance.kind == "simulated" else ""


def _names(engine: Engine) -> tuple[str, ...]:
    """Names of the channels of quality and attention."""
    if engine.decoder is None:
        return engine.info.labels if engine.info is not None else ()
    return engine.montage.names if engine.montage is not None else ()


def _strength(span: SoundSpan) -> float:
    """Similarity as 0..1; sound that no EEG chose is pale."""
    return 0.2 if span.similarity != span.similarity else min(1.0, max(0.2, span.similarity))


MARKERS_FIRST_S = 1.0  # the marker stream is joined before anything slow (a recorder) is started


class Sink(Protocol):
    """Where derived messages also go: LSL outlets, a recording."""

    def push_embedding(self, embedding: Embedding) -> None:
        """Take an embedding."""

    def push_quality(self, quality: Quality) -> None:
        """Take verdicts."""

    def push_event(self, event: StreamEvent | str, time_s: float) -> None:
        """Take an event."""


class Engine:
    """One live run.

    Parameters
    ----------
    acquirer, decode, sound, history
        The stages, already wired to each other; `sound` and `history` are None when only monitoring.
    decoder : Decoder or None
    clock : Clock
        LSL's clock.
    markers : Stage, optional
        Follows the music being heard and calls `note_marker`.
    prompter : PromptStage, optional
        Takes the operator's words.
    """

    def __init__(
        self,
        acquirer: Acquirer,
        decode: DecodeStage,
        clock: Clock,
        *,
        decoder: Decoder | None = None,
        sound: SoundStage | None = None,
        history: History | None = None,
        make_markers: Callable[[StreamInfo, Callable[[MusicMarker], None]], Stage] | None = None,
        prompter: PromptStage | None = None,
    ):
        self._acquirer, self._decode, self._sound = acquirer, decode, sound
        self._clock, self.decoder, self.history = clock, decoder, history
        self._make_markers, self._prompter = make_markers, prompter
        self._lock = threading.Lock()
        self._sinks: list[Sink] = []
        self.events: deque[StreamEvent] = deque(maxlen=1000)
        self.failures: deque[Failure] = deque(maxlen=20)
        self.identification: Identification | None = None
        self._started_s = float("nan")
        self.recording = ""
        self._muted = self._paused = self._stopped = False
        self.ended_s: float | None = None
        self.on_stop: list[Callable[[], None]] = []  # after the stages, before the stream is let go
        self.first_sample_s: float | None = None
        self.on_stream: list[Callable[[StreamInfo], None]] = []
        beats: list[tuple[str, Stage, float]] = [
            ("acquire", acquirer, 0.010), ("watch", _Watch(self), 0.100), ("decode", decode, 0.020),
        ]  # fmt: skip
        if sound is not None:
            beats.append(("generate", sound, 0.050))
        if prompter is not None:
            beats.append(("prompt", prompter, 0.100))
        self._stages = [stage for _, stage, _ in beats]
        self._workers = [
            Worker(name, stage, clock, period_s, self.note_failure, max_failures=100) for name, stage, period_s in beats
        ]

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all threads."""
        self._started_s = self._clock.now()
        if self._sound is not None:
            self._sound.player.start()
        for worker in self._workers:
            worker.start()

    def step(self, now: float) -> None:
        """Step every stage once, without threads: for runs on a manual clock. Failures are raised."""
        if self._started_s != self._started_s:
            self._started_s = now
        for stage in self._stages:
            stage.step(now)

    def stop(self) -> None:
        """Stop all threads, let go of stream and device; safe to call twice."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        for worker in self._workers:
            worker.stop()
        self.ended_s = self._clock.now()
        if self._sound is not None:
            self._sound.player.stop()
            self._sound.close()
        for finish in self.on_stop:
            finish()
        self._sinks.clear()
        self._acquirer.close()

    def send(self, command: Command) -> None:
        """Take an operator's command; commands act in the order they come."""
        with self._lock:
            if command.name not in ("volume", "mute", "start", "stop", "prompt", "prompt_weight"):
                raise ValueError(f"unknown command {command.name!r}")
            if self._sound is None:
                return
            if command.name.startswith("prompt"):
                self._take_words(command)
                return
            if command.name == "volume":
                self._sound.set_volume(command.value)
            elif command.name == "mute":
                self._muted = bool(command.value)
            else:
                self._paused = command.name == "stop"  # the music goes on unheard, so that it comes back at once
            self._sound.set_muted(self._muted or self._paused)

    def _take_words(self, command: Command) -> None:
        if self._prompter is None:
            text = "Words cannot steer this run: it has nothing that understands them."
            self.note_failure(Failure(self._clock.now(), "prompt", text))
        elif command.name == "prompt":
            self._prompter.set_text(command.text, self._clock.now())
        else:
            self._prompter.set_weight(command.value)

    def add_sink(self, sink: Sink) -> None:
        """Also hand derived messages to `sink`."""
        self._sinks.append(sink)

    # -- what the stages report -----------------------------------------------------------------

    def note_embedding(self, embedding: Embedding) -> None:
        """Called by the decode stage."""
        if self.history is not None:
            self.history.add_embedding(embedding)
        for sink in self._sinks:
            sink.push_embedding(embedding)

    def note_quality(self, quality: Quality) -> None:
        """Called by the decode stage."""
        for sink in self._sinks:
            sink.push_quality(quality)

    def note_event(self, event: StreamEvent) -> None:
        """Called by the acquirer."""
        self.events.append(event)
        for sink in self._sinks:
            sink.push_event(event, event.time_s)

    def note_marker(self, marker: MusicMarker) -> None:
        """Called by the marker stage."""
        if self.history is not None:
            self.history.add_marker(marker)

    def note_first_sample(self) -> None:
        """Remember when the stream began, once there is a sample."""
        ring = self._acquirer.ring
        if self.first_sample_s is None and ring is not None and ring.head > 0:
            self.first_sample_s = float(ring.read(ring.tail, 1).times[0])

    def note(self, text: str) -> None:
        """Write a free event (consent, operator's remark) to the sinks."""
        for sink in self._sinks:
            sink.push_event(text, self._clock.now())

    def note_failure(self, failure: Failure) -> None:
        """Called by any stage: a background failure becomes a message."""
        self.failures.append(failure)
        for sink in self._sinks:
            sink.push_event(failure.text, failure.time_s)

    # -- what others read -----------------------------------------------------------------------

    def now(self) -> float:
        """LSL time now."""
        return self._clock.now()

    @property
    def started_s(self) -> float:
        """LSL time of the start."""
        return self._started_s

    @property
    def info(self) -> StreamInfo | None:
        """The stream once it is found."""
        return self._acquirer.info

    @property
    def ring(self) -> RingBuffer | None:
        """The raw EEG, None until the stream is found."""
        return self._acquirer.ring

    @property
    def connection(self) -> int:
        """How many times the stream was rejoined."""
        return self._acquirer.connection

    @property
    def refusal(self) -> UserError | None:
        """Why the stream that is there cannot be used."""
        return self._acquirer.error

    @property
    def state(self) -> StreamState:
        """State of the stream."""
        return self._acquirer.status(self._clock.now()).state

    @property
    def montage(self) -> Montage | None:
        """Electrode layout of quality and attention."""
        return self._decode.chain.montage if self._decode.chain is not None else None

    @property
    def sound(self) -> SoundStage | None:
        """The sound stage."""
        return self._sound

    @property
    def decode(self) -> DecodeStage:
        """The decode stage."""
        return self._decode

    def trace_cursor(self) -> Cursor | None:
        """Return a new cursor at the newest raw sample, None until the stream is found."""
        from bci_music.streaming.ring import Cursor

        ring = self._acquirer.ring
        return None if ring is None else Cursor(ring)

    def snapshot(self) -> Snapshot:
        """Everything the window shows, taken at once."""
        return take_snapshot(self, self._clock.now())

    @property
    def alive(self) -> bool:
        """Whether any stage still runs."""
        return any(worker.alive for worker in self._workers)

    def status(self, now: float) -> StreamStatus:
        """Return the stream in one glance."""
        return self._acquirer.status(now)


class _Watch:
    """Slow beat: follows the music markers and keeps the running identification fresh."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._markers: Stage | None = None
        self._found_s: float | None = None

    def step(self, now: float) -> None:
        engine = self._engine
        info = engine.info
        if info is None:
            return
        engine.note_first_sample()
        if self._markers is None and engine._make_markers is not None:
            self._markers = engine._make_markers(info, engine.note_marker)
        if self._markers is not None:
            self._markers.step(now)
        self._found_s = self._found_s if self._found_s is not None else now
        if now - self._found_s > MARKERS_FIRST_S:
            while engine.on_stream:
                engine.on_stream.pop(0)(info)
        if engine.history is not None:
            engine.identification = engine.history.identification()
