"""The sentences of the window, made from one snapshot; no Qt, so that words can be tested as words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bci_music.messages import ECHOES, STYLE, WAYS, ChannelState, ChannelVerdict, Quality, SoundSpan, StreamState
from bci_music.status import Chance, Failure, FallbackSteps, Snapshot, SoundStatus, StreamStatus, mix_words

EAR_KINDS = ("retrieved", "generated")
KIND_WORDS = {
    "waiting": "plays until the first EEG is decoded",
    "retrieved": "retrieved from the library",
    "generated": "generated from the EEG",
    "held": "held: no fresh decoding",
    "looped": "the next clip is late: the last bar is looped",
    "faded": "the next clip is late: the last bar fades out",
}
LATE_WORDS = {
    "hold": "the next clip is late, enough is queued",
    "library": "the next clip is late: from the library",
}
WAY_LETTERS = {STYLE: "A", ECHOES: "B"}
SEVERITY = {ChannelState.BAD: 0, ChannelState.DOUBTFUL: 1, ChannelState.ABSENT: 2}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Answer to "Is it above chance?": one word and two lines."""

    word: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Playing:
    """What plays now: a headline and two lines; `chosen` when the EEG chose it."""

    headline: str
    first: str
    second: str
    chosen: bool


def stream_detail(stream: StreamStatus) -> str:
    """Name, channels and rate of the stream, or what is being done about it."""
    if stream.info is None:
        return _searching(stream)
    info = stream.info
    return f"{info.name}  {len(info.labels)} ch  {info.sfreq_hz:g} Hz"


def data_age(stream: StreamStatus) -> tuple[str, str]:
    """Age of the newest data as value and remark."""
    if stream.data_age_s is None:
        return "none yet", ""
    ahead = stream.clock_offset_s
    remark = f"stamps {1e3 * ahead:.0f} ms ahead" if ahead >= 0.005 else ""
    age = max(stream.data_age_s, 0.0)
    return (f"{age:.2f} s" if age < 10 else f"{age:.0f} s"), remark


def stream_note(stream: StreamStatus) -> str:
    """What is wrong with the stream or was put right in it, "" when it flows as it should."""
    if stream.state is StreamState.LIVE:
        return stream.notes[-1] if stream.notes else ""
    if stream.state in (StreamState.STALLED, StreamState.LOST) and stream.data_age_s is not None:
        return f"{stream.state.value}: no new data for {stream.data_age_s:.1f} s"
    return _searching(stream) or stream.state.value


def _searching(stream: StreamStatus) -> str:
    """Return the stream's sentence; where it tells which option chooses a stream, the window has a list instead."""
    return "press L to choose among the streams there are" if "--stream" in stream.text else stream.text


class BrainToEar:
    """Seconds from the newest EEG behind the sound being heard to the first instant of that sound at the ear.

    Read from timestamps: when the sound began on the LSL clock, when its style was made, and how old the EEG of a
    window is once it is decoded. Measured once for each style, when its sound begins, and kept while it plays.
    """

    def __init__(self) -> None:
        self._style_made_s = float("nan")
        self._latency_s: float | None = None

    def read(self, snapshot: Snapshot) -> float | None:
        """Return the latency of what plays now, None where it is not known or no EEG chose the sound."""
        span, embedding = snapshot.playing, snapshot.embedding
        if span is None or embedding is None or span.kind not in EAR_KINDS or not math.isfinite(span.style_made_s):
            return None
        if span.style_made_s != self._style_made_s:
            began = max((t.start_s for t in snapshot.timeline if t.lane == "played"), default=float("nan"))
            latency = began - span.style_made_s + max(embedding.made_s - embedding.end_s, 0.0)
            self._style_made_s = span.style_made_s
            self._latency_s = latency if latency >= 0 else None
        return self._latency_s


def verdict(snapshot: Snapshot) -> Verdict:
    """Whether the decoder is above chance, in words; the word is "" where nothing can be counted."""
    chance = snapshot.chance
    if snapshot.stream.info is None or not chance.method:
        return Verdict("", *_not_counted(snapshot))
    return Verdict("yes" if chance.shown else "not yet", _counted(snapshot), alarm_words(chance))


def alarm_words(chance: Chance) -> str:
    """How often "yes" would be wrong, as stated and as measured on sham."""
    alarms, runs = chance.measured
    measured = f", sham: {alarms} of {runs}" if runs else ""
    return f"wrong in ≤ {100 * chance.alarm_rate:.0f} % of runs{measured}"


def _counted(snapshot: Snapshot) -> str:
    """What was counted so far."""
    if snapshot.chance.method == "sound":
        return _blocks(snapshot.chance)
    found = snapshot.identification
    if found is None or found.n == 0:
        return "counting the first windows"
    expected = found.n * found.chance
    by_chance = f"{expected:.0f}" if expected >= 1 else "below 1"
    windows = "window" if found.n == 1 else "windows"
    return f"{found.hits} of {found.n} {windows} found the song, chance {by_chance}"


def _blocks(chance: Chance) -> str:
    """How often the sound that is heard was found at its true place."""
    if chance.n == 0:
        return "learning from the first seconds"
    by_chance = f"{chance.by_chance:.0f}" if chance.by_chance >= 1 else "below 1"
    return f"{chance.hits} of {chance.n} {'block' if chance.n == 1 else 'blocks'} found, chance {by_chance}"


def method_words(chance: Chance) -> str:
    """By what it is counted, "" where nothing is."""
    return {"songs": "by songs", "sound": "by sound"}.get(chance.method, "")


def _not_counted(snapshot: Snapshot) -> tuple[str, str]:
    """Why nothing can be counted: the sentence's first part, and the reason."""
    if snapshot.stream.info is None:
        return "no stream yet", ""
    first, _, second = snapshot.chance.why.partition(": ")
    return first, second


def now_playing(snapshot: Snapshot, paused: bool = False) -> Playing:
    """What plays, how near it is, and what comes next; `paused` when the operator pressed stop."""
    span, sound = snapshot.playing, snapshot.sound
    ready = f"{sound.queued_s:.1f} s of sound ready" if sound.queued_s > 0 else ""
    if not snapshot.running:
        return Playing("stopped", "the program has ended its work", "", False)
    if not sound.generator:
        return Playing("no music", "this run only watches the signals", "", False)
    if paused:
        return Playing("stopped", "press start to hear it again", "", False)
    if span is None:
        return Playing("no sound yet", "the first clip is being made ready", ready, False)
    words = LATE_WORDS.get(span.late) or KIND_WORDS.get(span.kind, span.kind)
    if span.kind == "generated" and not sound.trained:
        words += " by an untrained model"
    if span.kind == "waiting":
        return Playing("waiting for the EEG", f"{span.title} {words}", ready, False)
    near = f"near {span.title}" if span.title else "a generated clip"
    late = span.late or span.kind in ("looped", "faded")  # then the timeline alone says what is ready
    second = "  ·  ".join(part for part in (words, "" if late else ready) if part)
    return Playing(near, _facts(span, sound.lag_s), second, span.kind in EAR_KINDS)


def way_words(sound: SoundStatus) -> str:
    """The way that plays in a sentence, and by how much it is behind the EEG."""
    behind = f" What is heard is {sound.lag_s:.1f} s behind the EEG that leads it." if sound.lag_s is not None else ""
    return f"{WAYS.get(sound.way, '')}{behind} The other way: E."


def late_words(steps: FallbackSteps) -> str:
    """How often the generator was late, and what bridged it: "3 (2 looped, 1 library)"."""
    named = (("held", steps.hold), ("looped", steps.loop), ("library", steps.library), ("faded", steps.fade))
    parts = ", ".join(f"{count} {word}" for word, count in named if count)
    return f"{steps.total} ({parts})" if parts else "0"


def _facts(span: SoundSpan, lag_s: float | None) -> str:
    facts = [span.genre] if span.genre else []
    if lag_s is not None:
        facts.append(f"EEG of {lag_s:.1f} s ago")
    if span.prompt_weight > 0:
        facts.append(mix_words(span.prompt_weight))
    if math.isfinite(span.similarity):
        facts.append(f"similarity {span.similarity:.2f}")
    return "  ·  ".join(facts)


def in_use(quality: Quality | None) -> str:
    """How many electrodes are in use."""
    if quality is None:
        return "not assessed yet"
    return f"{quality.n_usable} of {len(quality.channels)} in use"


def worst(quality: Quality | None, most: int = 3) -> list[tuple[ChannelVerdict, str, str]]:
    """Return up to `most` electrodes that need a hand, each with what is wrong and what to do."""
    if quality is None:
        return []
    troubled = [c for c in quality.channels if c.state in (ChannelState.BAD, ChannelState.DOUBTFUL)]
    troubled.sort(key=lambda c: SEVERITY[c.state])
    shown = []
    for channel in troubled[:most]:
        reason = channel.reasons[0] if channel.reasons else channel.state.value
        what, _, advice = reason.partition(": ")
        kept = "still used" if channel.state is ChannelState.DOUBTFUL else "left out until it is fixed"
        shown.append((channel, what, advice or kept))
    return shown


def unused_words(quality: Quality) -> str:
    """How many electrodes are bad and how many are not in the stream at all."""
    counts = {s: sum(c.state is s for c in quality.channels) for s in ChannelState}
    return ", ".join(f"{counts[s]} {s.value}" for s in SEVERITY if counts[s])


def failure_sentence(failures: tuple[Failure, ...], now_s: float, shown_s: float = 20.0) -> str:
    """Return the failure to show: a fatal one for good, else the newest for `shown_s` seconds; "" for none."""
    fatal = [f for f in failures if f.fatal]
    recent = [f for f in failures if now_s - f.time_s <= shown_s]
    chosen = fatal[-1] if fatal else recent[-1] if recent else None
    if chosen is None:
        return ""
    more = len(set(fatal + recent)) - 1
    stays = "  It will not be tried again." if chosen.fatal else ""
    return f"{chosen.text}{'' if chosen.text.endswith('.') else '.'}{stays}" + (f"  ({more} more)" if more else "")


def decoded_shares(snapshot: Snapshot, seconds: float) -> list[tuple[str, float]]:
    """Share of the last `seconds` of decoding that went to each song, most first."""
    since = snapshot.now_s - seconds
    totals: dict[str, float] = {}
    for span in snapshot.timeline:
        length = min(span.stop_s, snapshot.now_s) - max(span.start_s, since)
        if span.lane == "decoded" and length > 0:
            totals[span.label] = totals.get(span.label, 0.0) + length
    whole = sum(totals.values())
    return sorted(((label, t / whole) for label, t in totals.items()), key=lambda pair: -pair[1])


def heard_now(snapshot: Snapshot) -> str:
    """Title of the song the listener hears, "" when unknown."""
    spans = [s for s in snapshot.timeline if s.lane == "heard" and s.start_s <= snapshot.now_s]
    newest = max(spans, key=lambda s: s.start_s, default=None)
    return newest.label if newest and newest.stop_s >= snapshot.now_s - 2.0 else ""
