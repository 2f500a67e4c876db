"""Published state: what the stages report, for window, terminal and report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bci_music.messages import Embedding, Quality, SoundSpan, StreamInfo, StreamState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """The stream in one glance. `data_age_s` is None until the first sample."""

    state: StreamState = StreamState.SEARCHING
    info: StreamInfo | None = None
    connection: int = 0
    since_s: float = 0.0
    data_age_s: float | None = None
    clock_offset_s: float = 0.0  # by how much stamps run ahead of now (> 0: ahead)
    measured_hz: float | None = None
    text: str = "looking for a stream"
    samples: int = 0
    gaps: int = 0
    missing_samples: int = 0
    bursts: int = 0
    backwards: int = 0
    duplicates: int = 0
    future_stamps: int = 0
    lost_count: int = 0  # times the stream was lost
    name: str = ""  # of the stream that was joined, before all is known of it
    clock_jumps: int = 0  # times the sender's clock jumped
    notes: tuple[str, ...] = ()  # what was put right or should be known, in sentences


@dataclass(frozen=True, slots=True)
class StreamChoice:
    """An EEG stream on the network. `age_s` is since it was made, where `here`; else since it was seen first."""

    uid: str
    name: str
    source_id: str
    host: str
    n_channels: int
    sfreq_hz: float
    age_s: float
    here: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A sound device or a pack to choose: `key` is what its command takes, `facts` are for people."""

    key: str
    name: str
    facts: str
    chosen: bool = False  # it is what runs


@dataclass(frozen=True, slots=True)
class FallbackSteps:
    """How often each step of the fallback chain was taken while the generator's next clip was not there."""

    hold: int = 0  # it is late, but enough is queued
    loop: int = 0  # the last bar is looped
    library: int = 0  # the library plays
    fade: int = 0  # no library either: the last bar goes on and fades out

    @property
    def total(self) -> int:
        """All steps."""
        return self.hold + self.loop + self.library + self.fade


@dataclass(frozen=True, slots=True)
class PromptStatus:
    """The operator's words for the music, and how much they count beside the EEG.

    `text` is what was asked for and `heard` what steers: it follows when the text is embedded.
    """

    text: str = ""
    heard: str = ""
    weight: float = 0.0
    unavailable: str = ""  # why there can be no prompt, "" when there can

    @property
    def words(self) -> str:
        """What steers, in words: "brain 70 % + prompt 30 %"."""
        return mix_words(self.weight if self.heard else 0.0)


def mix_words(prompt_weight: float) -> str:
    """Describe how much of a style is the EEG's and how much the prompt's."""
    share = round(100 * prompt_weight)
    if share <= 0:
        return "brain only"
    return f"brain {100 - share} % + prompt {share} %" if share < 100 else "prompt only"


@dataclass(frozen=True, slots=True)
class SoundStatus:
    """The sound in one glance: counters are totals since the start."""

    queued_s: float = 0.0
    played_s: float = 0.0
    underruns: int = 0  # blocks the device asked for that were not (fully) there
    starved_s: float = 0.0  # zeros played for want of sound
    device_underflows: int = 0  # reported by the driver
    crossfades: int = 0
    clips_generated: int = 0
    clips_retrieved: int = 0
    clips_kept: int = 0  # played again, since the style had hardly changed
    late_step: str = ""  # step of the fallback chain the newest queued sound belongs to, "" while in time
    late_steps: FallbackSteps = FallbackSteps()
    fallbacks: int = 0  # times the generator failed
    clips_refused: int = 0  # clips and blocks that were not fit to be heard
    generation_s: float = 0.0  # wall time spent generating
    generated_s: float = 0.0  # seconds of sound made by it
    peak_dbfs: tuple[float, float] = (-120.0, -120.0)
    volume_db: float = 0.0
    muted: bool = False
    first_eeg_sound_s: float | None = None  # LSL time at which the first EEG-chosen sound is heard
    generator: str = ""
    trained: bool = False
    device: str = ""
    devices: tuple[Choice, ...] = ()  # to choose from, while looked for
    prompt: PromptStatus = PromptStatus(unavailable="no text prompt here")
    way: str = ""  # of `messages.WAYS`, the one that plays; `ways`: those the operator may switch between
    ways: tuple[str, ...] = ()
    lag_s: float | None = None  # by how much what is heard is behind the EEG that leads it moment by moment


@dataclass(frozen=True, slots=True)
class TimelineSpan:
    """One bar of the timeline: lane is "heard" | "decoded" | "played"."""

    lane: str
    start_s: float
    stop_s: float
    label: str
    strength: float = 1.0  # 0..1: confidence or similarity
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Identification:
    """How far the decoder is above chance: `hits` of `n` independent windows found the song."""

    protocol: str
    k: int
    hits: int
    n: int
    chance: float
    ci95: tuple[float, float]
    shuffled_top1: float
    p: float

    @property
    def top1(self) -> float:
        """Share of windows that found the song."""
        return self.hits / self.n if self.n else float("nan")


@dataclass(frozen=True, slots=True)
class Chance:
    """Is it above chance? Bets against chance; see `metrics.sequential`.

    Attributes
    ----------
    method : str
        What is bet on: "songs", "sound" (that is heard, against EEG), or "" where it cannot be known: `why` says so in
        a sentence.
    n : int
        Pieces of evidence so far: songs, or blocks of sound.
    evidence, highest : float
        What a stake of 1 is worth now and was worth at most.
    shown : bool
        Whether `highest` reached 1 / `alarm_rate`: it is above chance.
    shown_s : float or None
        LSL time at which it did.
    alarm_rate : float
        Share of runs under chance in which it ever says so, at most.
    measured : (int, int)
        Sham runs in which it did, of how many.
    sham : bool
        Whether these are bets on sham.
    hits, by_chance : int, float
        Blocks of sound whose true place was the best one, and how many that would be by chance.
    heard : str
        Where the sound that is heard comes from.
    """

    method: str = ""
    why: str = ""
    n: int = 0
    evidence: float = 1.0
    highest: float = 1.0
    shown: bool = False
    shown_s: float | None = None
    alarm_rate: float = 0.05
    measured: tuple[int, int] = (0, 0)
    sham: bool = False
    hits: int = 0
    by_chance: float = 0.0
    heard: str = ""


@dataclass(frozen=True, slots=True)
class ShamStatus:
    """What may be shown of sham: `mode` is "off" | "sham" | "blind", whose answer is sealed."""

    mode: str = "off"
    ready: bool = False  # False while there is no EEG old enough
    sealed: str = ""  # SHA-256 of the answer of a blind trial
    revealed: str = ""  # what the last blind trial was, once it has ended

    @property
    def words(self) -> str:
        """What stands on the window, "" for nothing."""
        if self.mode == "off":
            return self.revealed
        wait = "" if self.ready else ", begins once there is EEG old enough"
        if self.mode == "sham":
            return f"SHAM: the music follows EEG from another time{wait}"
        return f"BLIND: brain or sham, sealed as {self.sealed[:12]}{wait}"


@dataclass(frozen=True, slots=True)
class ReplayStatus:
    """A recording that is replayed; seconds are from its beginning, and its `speed` is 0 while it is held.

    `passes` counts up with every start over and every move; `songs` are what was heard, `marks` other markers: when and
    what.
    """

    position_s: float
    duration_s: float
    speed: float = 1.0
    passes: int = 1
    songs: tuple[TimelineSpan, ...] = ()
    marks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Shelved:
    """A recorded session or the report of a run on disk; `facts` are names and values to show and to compare."""

    path: str
    name: str
    kind: str  # "session" | "run"
    state: str = ""
    started: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shelf:
    """What lies on disk, newest first, and what became of the last thing asked of it: `outcome`."""

    entries: tuple[Shelved, ...] = ()
    place: str = ""
    outcome: str = ""
    busy: str = ""  # what is being done
    packs: tuple[Choice, ...] = ()  # to choose from, while looked for


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """One output in one glance: counters are totals since the start."""

    name: str
    open: bool = False
    text: str = ""  # what the window shows of it
    pushed: int = 0  # messages it took
    dropped: int = 0  # messages it was too slow for
    failed: int = 0  # calls that ended with an exception


@dataclass(frozen=True, slots=True)
class Failure:
    """A background failure, in words an operator can use."""

    time_s: float
    stage: str
    text: str
    fatal: bool = False
    lost: bool = False  # something the run was to keep will not be there: its exit code says so


@dataclass(frozen=True, slots=True)
class Health:
    """Decoder-side counters."""

    windows_decoded: int = 0
    windows_skipped: int = 0
    windows_masked: int = 0
    ring_overwritten: int = 0
    decode_ms: tuple[float, float, float] = (float("nan"),) * 3  # p50, p95, p99
    data_age_ms: tuple[float, float, float] = (float("nan"),) * 3


@dataclass(frozen=True, slots=True)
class GateLook:
    """Whether a recording carried the sound after `seconds` of listening: r, and the largest of the shifted sound."""

    seconds: float
    r: float
    largest: float
    reads: bool


@dataclass(frozen=True, slots=True)
class CalibrationStatus:
    """How the calibration of a listener stands: `step` is "electrodes" | "songs" | "fit" | "done" | "ended"."""

    step: str
    doing: str = ""  # in words, what goes on
    waits: bool = False  # for the operator's "start"
    electrodes: str = ""  # in words
    title: str = ""  # of what is heard now
    position_s: float = 0.0
    length_s: float = 0.0
    heard: int = 0  # excerpts
    wanted: int = 0
    left_s: float = 0.0  # of listening
    gate: str = ""  # its sentence
    looks: tuple[GateLook, ...] = ()
    lines: tuple[str, ...] = ()  # for people, newest last
    results: tuple[str, ...] = ()
    compared: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...] = ()  # what; value, low, high before, after
    out: str = ""  # folder of the listener's pack
    again: str = ""  # what "calibrate" needs to go on


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the window shows, taken at once; cheap to make 60 times a second."""

    now_s: float
    started_s: float
    stream: StreamStatus
    health: Health
    sound: SoundStatus
    quality: Quality | None = None
    embedding: Embedding | None = None
    playing: SoundSpan | None = None
    timeline: tuple[TimelineSpan, ...] = ()
    waveform: NDArray[np.float32] | None = None  # (n, 2) min/max of the played sound, 20 per second, newest last
    identification: Identification | None = None
    chance: Chance = Chance()
    sham: ShamStatus = ShamStatus()
    channel_names: tuple[str, ...] = ()  # montage order of quality and attention
    pack_name: str = ""
    warning: str = ""  # e.g. the pack was trained on simulated EEG
    device: str = "cpu"
    recording: str = ""
    outputs: tuple[OutputStatus, ...] = ()
    failures: tuple[Failure, ...] = ()
    running: bool = True
    streams: tuple[StreamChoice, ...] | None = None  # to choose from, while looked for; None: this run has no choice
    replay: ReplayStatus | None = None  # where a recording is replayed
    shelf: Shelf | None = None  # sessions and runs on disk, while looked for
    calibration: CalibrationStatus | None = None  # where a listener is calibrated
    others: tuple[str, ...] = ()  # commands that end this run for another in the same window, of those in `FOLLOWS`
    starting: tuple[str, ...] = ()  # what was done to build the run, and last what is being done; none once it runs


FOLLOWS = ("open", "back", "pack", "calibrate")


@dataclass(frozen=True, slots=True)
class Command:
    """From the operator to the engine, handled in order.

    `name` is "volume" (dB) | "mute" (0 or 1) | "stop" | "start" | "prompt" (text; "" for none) | "prompt_weight" (0,
    brain only, to 1) | "way" (text: of `messages.WAYS`) | "sham" (text: "off", "sham" or "blind") | "look" (for
    streams: 0 or 1) | "choose" (text: a stream's uid) | "seek" (s into the recording) | "speed" (of the replay, 0 holds
    it) | "shelf" (look at sessions on disk: 0 or 1) | "export" (text: format, space, folder of a session) | "record"
    (text: reference of the consent; "" ends the recording) | "look_devices" | "look_packs" (0 or 1) | "device" (text:
    key of a sound device).
    Those in `FOLLOWS` end the run, and the same window shows another: "open" (text: folder of a recorded session, which
    is replayed) | "back" (to what was begun with) | "pack" (text: name or folder of another pack for it) |
    "calibrate" (text: JSON with "listener", "consent" and "songs", a folder, "" for the pack's).
    """

    name: str
    value: float = 0.0
    text: str = ""
