"""The derived streams on the network: what is decoded, how good the electrodes are, and what happened.

All streams exist from the moment the output is open, because a recorder takes only streams that were there when it
started. Every sample is stamped with the time its message is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from bci_music.messages import EMBEDDING_DIM, ChannelState, Embedding, Quality, StreamEvent
from bci_music.outputs.output import Output, OutputContext, Setting

if TYPE_CHECKING:
    import pylsl

STREAMS = ("embedding", "attention", "decoding", "quality", "events")
STATE_CODES: dict[ChannelState, float] = {
    ChannelState.GOOD: 0.0,
    ChannelState.DOUBTFUL: 1.0,
    ChannelState.BAD: 2.0,
    ChannelState.ABSENT: 3.0,
    ChannelState.UNKNOWN: 4.0,
}
DECODING_CHANNELS = (
    "confidence", "window_index", "first_sample", "last_sample", "end_s", "made_s", "decode_ms", "connection",
)  # fmt: skip


def stream_names(eeg_name: str) -> tuple[str, ...]:
    """Names of the streams derived from an EEG stream."""
    return tuple(f"{eeg_name} {key}" for key in STREAMS)


class LslOutput(Output):
    """Embedding, channel attention, decoding, quality and events as five LSL streams, named after the EEG stream.

    "decoding" holds for each embedding which window it is of: confidence, absolute sample indices, when it was made.
    """

    name = "lsl"
    settings = (
        Setting("enabled", bool, False, "--outlets", "Send embedding, attention, quality and events as LSL streams."),
    )

    def __init__(self, values: Mapping[str, Any]):
        super().__init__(values)
        self._outlets: dict[str, pylsl.StreamOutlet] = {}

    def open(self, context: OutputContext) -> None:
        """Open all outlets."""
        import pylsl

        from bci_music.streaming.outlets import text_outlet

        name, simulated, labels = context.stream.name, context.stream.simulated, context.channels
        self._outlets = {
            "embedding": _outlet(name, "embedding", [f"d{i}" for i in range(EMBEDDING_DIM)], simulated),
            "attention": _outlet(name, "attention", labels, simulated),
            "decoding": _outlet(name, "decoding", DECODING_CHANNELS, simulated, pylsl.cf_double64),
            "quality": _outlet(name, "quality", labels, simulated),
            "events": text_outlet(f"{name} events", "Markers", f"{_stem(name)}-events", simulated=simulated),
        }

    def push_embedding(self, embedding: Embedding) -> None:
        """Send vector, attention and provenance, all stamped with the end of their window."""
        self._push("embedding", embedding.vector, embedding.end_s)
        self._push("attention", embedding.attention, embedding.end_s)
        self._push("decoding", [float(getattr(embedding, name)) for name in DECODING_CHANNELS], embedding.end_s)

    def push_quality(self, quality: Quality) -> None:
        """Send one state code per channel."""
        self._push("quality", [STATE_CODES[c.state] for c in quality.channels], quality.time_s)

    def push_event(self, event: StreamEvent | str, time_s: float) -> None:
        """Send an event: a message becomes JSON, a string goes as it is."""
        text = event if isinstance(event, str) else json.dumps(_plain(event), ensure_ascii=False)
        self._push("events", [text], time_s)

    def close(self) -> None:
        """Take the streams off the network."""
        self._outlets.clear()

    def _push(self, key: str, values: Any, time_s: float) -> None:
        self._outlets[key].push_sample(values, time_s)


def _stem(name: str) -> str:
    return f"bci-music-{name}"


def _outlet(
    name: str, key: str, labels: Sequence[str], simulated: bool, sample_format: int | None = None
) -> pylsl.StreamOutlet:
    """Open one outlet with its channels labelled; quality explains its codes."""
    import pylsl

    from bci_music.streaming.outlets import describe

    info = pylsl.StreamInfo(
        f"{name} {key}", key.capitalize(), len(labels), pylsl.IRREGULAR_RATE,
        pylsl.cf_float32 if sample_format is None else sample_format, f"{_stem(name)}-{key}",
    )  # fmt: skip
    desc = describe(info, simulated)
    if key == "quality":
        codes = desc.append_child("codes")
        for state, code in STATE_CODES.items():
            codes.append_child_value(state.value, f"{code:.0f}")
    channels = desc.append_child("channels")
    for label in labels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("type", key.capitalize())
    return pylsl.StreamOutlet(info)


def _plain(message: Any) -> Any:
    return asdict(message) if is_dataclass(message) and not isinstance(message, type) else message
