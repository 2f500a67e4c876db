"""One live run: owns its threads, answers `snapshot()` and takes `send()`; `build.py` puts it together.

Threads of a run, each a `Worker` that calls ``stage.step(now)`` unless its row has another cause:

| thread | owns | wakes | when late | when it fails |
|---|---|---|---|---|
| acquire | source, write side of the ring | 10 ms | takes a bigger chunk | reported; fatal after 100 in a row |
| watch | music markers, identification so far | 100 ms | the timeline is late | as acquire |
| decode | signal chain, windower, model | 20 ms | live: newest window only; a file is held back | as acquire |
| generate | steering, fallback chain, queue | 50 ms | plays what is queued, then falls back | as acquire |
| choose | the list of streams | 500 ms | is old | as acquire |
| shelf | the list of sessions, exports | 250 ms | is old | as acquire |
| heard | EEG and sound of a block, what was learned | 250 ms | the answer is late; a file is held back | as acquire |
| prompt | the text model | 100 ms | the words steer later | as acquire |
| output-NAME | one output | 20 ms | drops what its queue cannot hold, counted | counted, reported once |
| generator (`sound.producer`) | a slow generator | an order | the fallback chain plays | the library plays |
| player (`sound.player`) | a clock in place of a device | a block | zeros, counted | - |
| device callback | read side of the queue | the device | zeros, counted | no Python in it |
| lsl-connector (`streaming.connector`) | the search for a stream | always | - | `Source.open` raises it |
| recorder-stderr, -stdout (`streaming.recorder`) | LabRecorder's messages | a line | - | - |
| closing | the end of the outputs | the end of the run | left behind after 5 s | reported |
| main | the window or the terminal | its timer | drops a frame | ends the run |

What crosses them: the ring (every sample), `Latest` (newest wins), the outputs' queues, and `Events` and `History`
behind their locks. A fatal failure stands in `failures`; whoever runs the engine ends the run.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bci_music.engine.commands import Commands
from bci_music.engine.watch import Watch
from bci_music.messages import SoundSpan, StreamInfo, StreamState, UserError
from bci_music.outputs.output import OutputContext, RunFacts
from bci_music.status import (
    Chance,
    Command,
    Failure,
    Identification,
    ShamStatus,
    Snapshot,
    SoundStatus,
    StreamStatus,
    TimelineSpan,
)
from bci_music.workers import Stage, Worker

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.eeg.montage import Montage
    from bci_music.engine.decode_stage import DecodeStage
    from bci_music.engine.events import Events
    from bci_music.engine.replaying import Replay
    from bci_music.engine.sham import Sham
    from bci_music.engine.shelving import Shelving
    from bci_music.engine.watch import MakeMarkers
    from bci_music.models.decoder import Decoder
    from bci_music.outputs.stage import OutputStage
    from bci_music.sound.prompting import PromptStage
    from bci_music.sound.stage import SoundStage
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.choosing import StreamChooser
    from bci_music.streaming.ring import Cursor, RingBuffer

log = logging.getLogger(__name__)
TIMELINE_S = 45.0
OUTPUT_STOP_S = 5.0  # an output that has not ended by then is left behind
MAX_FAILURES = 100
SIMULATED_WARNING = (
    "This decoder was trained on simulated EEG; that a real brain steers it is not shown. "
    "Next step: calibrate on this listener."
)


class Engine:
    """One live run.

    Parameters
    ----------
    acquirer, decode
        The first stages, already wired to each other and to `events`.
    clock : Clock
        LSL's clock.
    events : Events
        Where all stages report.
    decoder, sound : optional
        None when only monitoring.
    make_markers : callable, optional
        ``(StreamInfo, on_marker) -> Markers``: follows the music being heard, once the stream is known.
    prompter : PromptStage, optional
        Takes the operator's words.
    sham : Sham, optional
        Answers windows with EEG from another time.
    chooser : StreamChooser, optional
        Lists the streams there are and joins another one.
    replay : Replay, optional
        Moves the recording that is replayed.
    shelving : Shelving, optional
        Lists and exports what lies on disk, and begins recordings.
    outputs : sequence of OutputStage
        Where results also go, in order of opening.
    facts : RunFacts
        What a record of the run names.
    """

    def __init__(
        self,
        acquirer: Acquirer,
        decode: DecodeStage,
        clock: Clock,
        events: Events,
        *,
        decoder: Decoder | None = None,
        sound: SoundStage | None = None,
        make_markers: MakeMarkers | None = None,
        prompter: PromptStage | None = None,
        sham: Sham | None = None,
        chooser: StreamChooser | None = None,
        replay: Replay | None = None,
        shelving: Shelving | None = None,
        outputs: Sequence[OutputStage] = (),
        facts: RunFacts = RunFacts(),  # noqa: B008 (frozen)
    ):
        self._facts = facts
        self._acquirer, self.decode, self.sound = acquirer, decode, sound
        self._clock, self.events, self.decoder = clock, events, decoder
        self.history = events.history
        self.outputs = tuple(outputs)
        self._chooser, self._replay, self._shelving, self.sham = chooser, replay, shelving, sham
        takers = tuple(taker for taker in (chooser, replay, shelving) if taker is not None)
        self.commands = Commands(sound, prompter, sham, takers, events, clock.now, lambda: self.recording)
        self._watch = Watch(self, make_markers)
        self._lock = threading.Lock()
        self._closing = threading.Thread(target=self._stop_outputs, name="bci-music-closing", daemon=True)
        self._stopped = False
        self.started_s = float("nan")
        self.ended_s: float | None = None
        self.first_sample_s: float | None = None
        self.identification: Identification | None = None
        self.chance = Chance()
        events.listeners = self.outputs
        beats: list[tuple[str, Stage | None, float]] = [
            ("acquire", acquirer, 0.010), ("watch", self._watch, 0.100), ("decode", decode, 0.020),
            ("generate", sound, 0.050), ("prompt", prompter, 0.100), ("choose", chooser, 0.500),
            ("shelf", shelving, 0.250), ("heard", events.heard, 0.250),
        ]  # fmt: skip
        self._stages: list[Stage] = [*(stage for _, stage, _ in beats if stage is not None), *self.outputs]
        self._workers = [
            Worker(name, stage, clock, period_s, events.failure, MAX_FAILURES)
            for name, stage, period_s in beats
            if stage is not None
        ]
        self._output_workers = [self._output_worker(output) for output in self.outputs]
        if shelving is not None:
            shelving.add, shelving.standing = self._add_outputs, lambda: self.outputs

    # -- from start to stop ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the sound, then all threads. The watch opens the outputs once the stream is known."""
        self.started_s = self._clock.now()
        if self.sound is not None:
            self.sound.player.start()
        for worker in [*self._workers, *self._output_workers]:
            worker.start()

    def step(self, now: float) -> None:
        """Step every stage once, without threads: for runs on a manual clock. Failures are raised."""
        if self.started_s != self.started_s:
            self.started_s = now
        for stage in self._stages:
            stage.step(now)

    def connect_outputs(self, info: StreamInfo) -> None:
        """Give the outputs the stream that was found (watch thread)."""
        self._connect(self.outputs, info)

    def _connect(self, outputs: Sequence[OutputStage], info: StreamInfo) -> None:
        channels = self.decoder.montage.names if self.decoder is not None else info.labels
        for output in outputs:
            player = self.sound.player if self.sound is not None else None
            output.connect(
                OutputContext(info, tuple(channels), self.events.log, self._received, self._facts, player)
            )

    def _add_outputs(self, outputs: Sequence[OutputStage]) -> None:
        """Take outputs that the operator switched on while the run goes on."""
        with self._lock:
            if self._stopped:
                return
            workers = [self._output_worker(output) for output in outputs]
            self._stages += outputs
            self.outputs = (*self.outputs, *outputs)
            self.events.listeners = self.outputs
            self._output_workers += workers
            for worker in workers if self.alive else ():
                worker.start()
        if self.info is not None:
            self._connect(outputs, self.info)

    def _output_worker(self, output: OutputStage) -> Worker:
        return Worker(f"output-{output.name}", output, self._clock, 0.020, self.events.failure, MAX_FAILURES)

    def stop(self, wait: bool = True) -> None:
        """Stop all threads, let the sound fade, let go of stream, device and outputs; safe to call again.

        Parameters
        ----------
        wait : bool
            False returns while the outputs are still being closed: call it again to wait for them.
        """
        with self._lock:
            first, self._stopped = not self._stopped, True
        if first:
            self._end()
        if wait and self._closing.is_alive():
            self._closing.join()

    def _end(self) -> None:
        """Stop, each part guarded from the others: a device that fails must not cost the recording."""
        for output in self.outputs:
            output.end()
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.stop()
        self.ended_s = self._clock.now()
        self.events.log("run ended")
        self._closing.start()
        closing: list[tuple[str, Callable[[], object]]] = [
            ("stream", self._acquirer.close), ("markers", self._watch.close),
        ]  # fmt: skip
        if self.sound is not None:
            closing = [("sound", self.sound.player.stop), ("generator", self.sound.close), *closing]
        for name, close in closing:
            try:
                close()
            except Exception as error:
                log.exception("%s could not be closed", name)
                text = f"{name} could not be closed: {type(error).__name__}: {error}"
                self.events.failure(Failure(self._clock.now(), name, text))

    def _received(self) -> int:
        return self._acquirer.status(self._clock.now()).samples

    def _stop_outputs(self) -> None:
        """Let every output take what is queued, then close them: the last opened first."""
        left = []
        for output, worker in zip(self.outputs, self._output_workers, strict=True):
            if worker.stop(OUTPUT_STOP_S):
                output.flush()
                left.append(output)
            else:
                output.abandon()
        for output in reversed(left):
            output.close()

    def send(self, command: Command) -> None:
        """Take an operator's command; commands act in the order they come."""
        with self._lock:
            self.commands.take(command)

    # -- what others read -----------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything the window shows, taken at once; cheap enough for every frame."""
        now, sound, decoder, decode = self._clock.now(), self.sound, self.decoder, self.decode
        outputs = tuple(output.status() for output in self.outputs)
        sham = self.sham.status() if self.sham else ShamStatus()
        return Snapshot(
            now_s=now,
            started_s=self.started_s,
            stream=self._acquirer.status(now),
            health=decode.counters.health(),
            sound=sound.status(now) if sound else SoundStatus(),
            quality=decode.quality.get(),
            embedding=decode.embedding.get(),
            playing=sound.playing(now) if sound else None,
            timeline=tuple(s for s in self.timeline(now - TIMELINE_S, now) if s.lane != "heard" or not self.blind),
            waveform=sound.waveform() if sound else None,
            identification=None if self.blind else self.identification,
            chance=self.chance,
            sham=sham,
            channel_names=self._channel_names(),
            pack_name=decoder.manifest.name if decoder else "",
            warning="  ".join(text for text in (sham.words, self.warning) if text),
            device=decoder.device_name if decoder else "",
            recording=self.recording,
            outputs=outputs,
            failures=tuple(self.events.failures),
            running=self.alive, others=self.commands.others,
            replay=self._replay.status() if self._replay else None,
            shelf=self._shelving.shelf if self._shelving else None,
            streams=self._chooser.streams if self._chooser and not (self.outputs and self.info) else None,
        )

    @property
    def sealed(self) -> str:
        """SHA-256 of the answer of a blind trial, "" where there is none."""
        return self.sham.status().sealed if self.sham is not None else ""

    @property
    def blind(self) -> bool:
        """Whether a blind trial is under way."""
        return self.sham is not None and self.sham.status().mode == "blind"

    def timeline(self, from_s: float, to_s: float) -> tuple[TimelineSpan, ...]:
        """Bars of the lanes heard, decoded and played between two LSL times."""
        bars = self.history.spans(from_s, to_s) if self.history else []
        if self.sound is not None:
            for span, start_s, stop_s in self.sound.spans():
                if stop_s > from_s and start_s < to_s:
                    start_s, stop_s = max(start_s, from_s), min(stop_s, to_s)
                    song = span.song or span.kind
                    bars.append(TimelineSpan("played", start_s, stop_s, span.title, _strength(span), song))
        return tuple(bars)

    @property
    def warning(self) -> str:
        """The sentence to show throughout when a pack trained on simulated EEG meets a source that is not."""
        if self.decoder is None or self.info is None or self.info.simulated:
            return ""
        return SIMULATED_WARNING if self.decoder.manifest.provenance.kind == "simulated" else ""

    @property
    def recording(self) -> str:
        """What the outputs show in the window, "" for nothing."""
        return "; ".join(text for output in self.outputs if (text := output.status().text))

    def now(self) -> float:
        """LSL time now."""
        return self._clock.now()

    @property
    def failures(self) -> deque[Failure]:
        """The newest background failures."""
        return self.events.failures

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
        return self.decode.chain.montage if self.decode.chain is not None else None

    def trace_cursor(self) -> Cursor | None:
        """Return a new cursor at the newest raw sample, None until the stream is found."""
        from bci_music.streaming.ring import Cursor

        ring = self._acquirer.ring
        return None if ring is None else Cursor(ring)

    @property
    def alive(self) -> bool:
        """Whether any stage still runs."""
        return any(worker.alive for worker in self._workers)

    def status(self, now: float) -> StreamStatus:
        """Return the stream in one glance."""
        return self._acquirer.status(now)

    def _channel_names(self) -> tuple[str, ...]:
        """Names of the channels of quality and attention."""
        if self.decoder is None:
            return self.info.labels if self.info is not None else ()
        return self.montage.names if self.montage is not None else ()


def _strength(span: SoundSpan) -> float:
    """Similarity as 0..1; sound that no EEG chose is pale."""
    return 0.2 if span.similarity != span.similarity else min(1.0, max(0.2, span.similarity))
