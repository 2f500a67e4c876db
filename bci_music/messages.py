"""The vocabulary: frozen messages that cross threads and processes.

Streams are time-first ``(n_times, n_channels)``, windows channel-first ``(n_channels, n_times)``.
EEG is in µV, time in seconds on the LSL clock, audio float32 stereo at 48 kHz.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AUDIO_RATE_HZ = 48_000
EMBEDDING_DIM = 512

STYLE, ECHOES = "style", "echoes"
WAYS = {  # from EEG to music, each in a sentence
    STYLE: "Way A, style: each window of EEG becomes one vector, and the music is made in that style.",
    ECHOES: "Way B, Echoes: the EEG itself, step by step, leads the network that makes the music.",
}

Log = Callable[[str], None]  # is given one line about what goes on


def quiet(line: str) -> None:
    """Say nothing: a `Log` that nobody reads."""


# Flags of one EEG sample, as bits.
FILLED = 1  # invented by interpolation across a gap of at most 50 ms
HOLE = 2  # stands for data that never came; must not be decoded
BURST = 4  # came in a catching-up burst whose stamps cannot be true; must not be decoded
BREAK = 8  # first sample after a break of the stream: filters restart here
NOT_DATA = HOLE | BURST


class UserError(Exception):
    """What went wrong, what was expected and what to do, in one sentence. The terminal exits with 2."""


class Incomplete(UserError):
    """A run that was done, but not all that it was to keep is there. The terminal exits with 3."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source declares once it is open.

    `labels` are the EEG channels in stream order; everything else is in `excluded`
    as ``"label (type)"``. `positions_m` is (n_channels, 3) in head coordinates or None.
    """

    name: str
    kind: str  # "lsl" | "file" | "simulated"
    labels: tuple[str, ...]
    sfreq_hz: float
    excluded: tuple[str, ...] = ()
    source_id: str = ""
    unit: str = "µV"  # as the stream declared it; samples are always converted to µV
    positions_m: NDArray[np.float64] | None = None
    simulated: bool = False  # the stream declares its EEG simulated
    notes: tuple[str, ...] = ()  # what is different since the stream was last open (labels after a rejoin)


@dataclass(frozen=True, slots=True)
class Chunk:
    """EEG as delivered by a source: (n, n_channels) float32 µV and one LSL time per row.

    Times are corrected to the local LSL clock but otherwise raw: no de-jittering.
    """

    samples_uv: NDArray[np.float32]
    times_s: NDArray[np.float64]
    arrived_s: float


class StreamState(StrEnum):
    """Where the ingest state machine is."""

    SEARCHING = "searching"
    LIVE = "live"
    STALLED = "stalled"
    LOST = "lost"
    RECONNECTING = "reconnecting"
    ENDED = "ended"  # a file came to its end, or the operator stopped


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One change of the stream: of state, or an anomaly in the data."""

    time_s: float
    kind: str  # "state" | "rate" | "clock" | "drift" | "labels" | "skip", or the kind of a `timing.pieces.Piece`
    state: StreamState
    connection: int
    text: str
    count: int = 0  # samples concerned, where that has a meaning
    sample_index: int = -1  # absolute index in the ring at which it happened


@dataclass(frozen=True, slots=True)
class Window:
    """One model input.

    Attributes
    ----------
    samples : (n_channels, n_times) float32
        Preprocessed, robust z-scored EEG in the order of the pack's montage; absent channels are 0.
    used : (n_channels,) bool
        True where the electrode is present and good. A bad electrode is an absent token, not a zero.
    flags : (n_times,) uint8
        FILLED | HOLE | BURST per output sample.
    index : int
        Number of the window on the chain's hop grid, counted from the start of the stream.
    first_sample, last_sample : int
        Absolute source sample indices (ring index) covered, inclusive.
    end_s : float
        LSL time of the newest EEG instant in the window; filter delay is already subtracted.
    """

    samples: NDArray[np.float32]
    used: NDArray[np.bool_]
    flags: NDArray[np.uint8]
    index: int
    first_sample: int
    last_sample: int
    end_s: float
    connection: int = 0
    settled: bool = True  # False while filters or the running z-score still warm up

    @property
    def decodable(self) -> bool:
        """Whether the window holds no unreal data and the chain has settled."""
        return self.settled and not bool((self.flags & NOT_DATA).any())


class ChannelState(StrEnum):
    """What was found about one electrode."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against an electrode: the measure, its value and its limit, both in `unit`.

    `reason` says what is wrong and `remedy` what to do, e.g. "mains 14 dB above median" and "press the electrode".
    """

    measure: str
    state: ChannelState  # what it alone would make of the electrode
    value: float
    limit: float
    unit: str
    reason: str
    remedy: str

    @property
    def sentence(self) -> str:
        """Reason and remedy in one line."""
        return f"{self.reason}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class ChannelVerdict:
    """Verdict on one electrode with its reasons in words, e.g. ``"mains 14 dB above median: press the electrode"``.

    `metrics` are all measures by name, NaN where one was not made; `findings` are those that speak against it.
    """

    name: str
    state: ChannelState
    reasons: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Quality:
    """Verdicts on all channels (montage order, or stream order where no montage is used)."""

    channels: tuple[ChannelVerdict, ...]
    sample_index: int
    time_s: float
    missing: float = 0.0  # share of the last seconds' rows that never came, filled or not

    @property
    def n_usable(self) -> int:
        """Channels that are good or doubtful."""
        return sum(c.state in (ChannelState.GOOD, ChannelState.DOUBTFUL) for c in self.channels)


@dataclass(frozen=True, slots=True)
class EegSteps:
    """One window step by step, as the decoder's encoder follows it.

    Attributes
    ----------
    values : (S, E) float32
        Evenly spaced over the window: the encoder's output, then the unit vector of the whole window, on every step.
    seconds : float
        The length they cover.
    end_s : float
        LSL time at which the last step ends.
    """

    values: NDArray[np.float32]
    seconds: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the decoder made of one window.

    Attributes
    ----------
    vector : (512,) float32
        Unit vector in the generator's space.
    attention : (n_channels,) float32
        What each channel weighs, as the encoder gives it: its share of what is gathered (latent queries) or of the CLS
        token's attention in the last layer (channel tokens). NaN where the channel was no token; sums to 1.
    confidence : float
        Calibrated probability that this window is identified rightly; 0 when held or stale.
    sham : bool
        Whether it is of EEG from another time, in place of the window's own.
    steps : EegSteps, optional
        The window step by step, where something asked for it.
    """

    vector: NDArray[np.float32]
    attention: NDArray[np.float32]
    confidence: float
    window_index: int
    first_sample: int
    last_sample: int
    end_s: float
    made_s: float
    decode_ms: float
    connection: int = 0
    sham: bool = False
    steps: EegSteps | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """What the generator is asked for: a unit vector (512,), optionally frames (n, 512) over time.

    `prompt_weight` is the operator's prompt's share of the vector: 0 for the EEG alone, 1 for the prompt alone.
    `steps` is the newest window step by step; None where there is none, or nothing of the EEG counts.
    """

    vector: NDArray[np.float32]
    frames: NDArray[np.float32] | None = None
    prompt_weight: float = 0.0
    confidence: float = 0.0
    made_s: float = 0.0
    from_eeg: bool = True  # False while no embedding has come: what plays is shown as waiting
    steps: EegSteps | None = None


@dataclass(frozen=True, slots=True)
class SoundSpan:
    """What one span of sound is.

    `kind` is "waiting" | "retrieved" | "generated" | "held" (no fresh decoding) | "looped" | "faded" (the last bar).
    `late` names the step of the fallback chain it belongs to, "" while the generator is in time.
    """

    start: int  # sample offset within its block, later the absolute output sample
    stop: int
    kind: str
    title: str
    song: str = ""  # identity of the library song; of generated sound the one nearest to what it was made for
    genre: str = ""  # of that song
    similarity: float = float("nan")  # cosine of clip and style
    style_made_s: float = float("nan")
    late: str = ""  # "hold" | "loop" | "library" | "fade"
    prompt_weight: float = 0.0  # share of the operator's prompt in the style
    eeg_s: float = float("nan")  # LSL time of the EEG that led its first sample, where EEG led it moment by moment

    def from_sample(self, start: int) -> SoundSpan:
        """Return the part of it from sample `start` on."""
        if start <= self.start:
            return self
        return replace(self, start=start, eeg_s=self.eeg_s + (start - self.start) / AUDIO_RATE_HZ)


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """(n, 2) float32 stereo at 48 kHz with the spans that describe what it holds."""

    samples: NDArray[np.float32]
    spans: tuple[SoundSpan, ...] = ()

    def __post_init__(self):
        if self.samples.ndim != 2 or self.samples.shape[1] != 2:
            raise ValueError(f"an AudioBlock is (n, 2), got {self.samples.shape}")


@dataclass(frozen=True, slots=True)
class MusicMarker:
    """The music being heard changed at `time_s` (local LSL clock); `song` None: it ended."""

    time_s: float
    song: str | None
    title: str = ""
    song_start_s: float = 0.0
