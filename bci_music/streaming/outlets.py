"""Our streams on the network: how an EEG outlet describes itself, and what we derive from the EEG.

All derived outlets exist from the moment this object does, because a recorder takes only streams that were
there when it started. Every sample is stamped with the time its message is about.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import pylsl
from numpy.typing import NDArray

from bci_music.messages import EMBEDDING_DIM, ChannelState, Embedding, Quality, StreamEvent

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


def eeg_stream_info(
    name: str, labels: Sequence[str], sfreq_hz: float, source_id: str, *,
    positions_m: NDArray[np.float64] | None = None, simulated: bool = False,
) -> pylsl.StreamInfo:
    """Describe an EEG outlet: float32 µV with labels, types, units and electrode places in mm.

    Parameters
    ----------
    positions_m : (n_channels, 3), optional
        Head coordinates in metres; NaN rows are left out.
    simulated : bool
        Written as ``desc/simulated``, so that no listener takes it for a brain.
    """
    info = pylsl.StreamInfo(name, "EEG", len(labels), sfreq_hz, pylsl.cf_float32, source_id)
    channels = _describe(info, simulated).append_child("channels")
    for row, label in enumerate(labels):
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("type", "EEG")
        channel.append_child_value("unit", "microvolts")
        if positions_m is not None and np.isfinite(positions_m[row]).all():
            location = channel.append_child("location")
            for axis, value in zip("XYZ", positions_m[row], strict=True):
                location.append_child_value(axis, f"{value * 1000.0:.3f}")
    return info


def text_outlet(name: str, kind: str, source_id: str, *, simulated: bool = False) -> pylsl.StreamOutlet:
    """Open an outlet for strings at no fixed rate."""
    info = pylsl.StreamInfo(name, kind, 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id)
    _describe(info, simulated)
    return pylsl.StreamOutlet(info)


class DerivedOutlets:
    """Embedding, channel attention, decoding, quality and events as five LSL streams.

    "decoding" tells of each embedding which window it is of: confidence, absolute sample indices, when it was made.

    Parameters
    ----------
    name : str
        Stem of the stream names: ``"<name> embedding"``, ``"<name> attention"`` and so on.
    n_channels : int
    labels : sequence of str
        Electrodes in the order of attention and quality.
    source_id : str, optional
        Stem of the source ids; by default made from `name`.
    """

    def __init__(
        self, name: str, n_channels: int, labels: Sequence[str], *, source_id: str = "", simulated: bool = False
    ):
        if len(labels) != n_channels:
            raise ValueError(f"{n_channels} channels need as many labels, got {len(labels)}")
        self.name = name
        self._stem = source_id or f"bci-music-{name}"
        self._simulated = simulated
        self._labels = list(labels)
        self._lock = threading.Lock()
        self.last_push_s = -math.inf
        self.pushed = dict.fromkeys(("embedding", "attention", "decoding", "quality", "events"), 0)
        dims = [f"d{i}" for i in range(EMBEDDING_DIM)]
        self._outlets = {
            "embedding": self._outlet("embedding", "Embedding", dims),
            "attention": self._outlet("attention", "Attention", self._labels),
            "decoding": self._outlet("decoding", "Decoding", DECODING_CHANNELS, pylsl.cf_double64),
            "quality": self._outlet("quality", "Quality", self._labels),
            "events": text_outlet(f"{name} events", "Markers", f"{self._stem}-events", simulated=simulated),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the streams, as a recorder wants them."""
        return tuple(f"{self.name} {key}" for key in self.pushed)

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
        with self._lock:
            self._outlets.clear()

    def _push(self, key: str, values: Any, time_s: float) -> None:
        with self._lock:
            outlet = self._outlets.get(key)
            if outlet is None:
                raise RuntimeError(f"the outlet {key!r} is closed")
            outlet.push_sample(values, time_s)
            self.pushed[key] += 1
            self.last_push_s = max(self.last_push_s, pylsl.local_clock())

    def _outlet(
        self, key: str, kind: str, labels: Sequence[str], sample_format: int = pylsl.cf_float32
    ) -> pylsl.StreamOutlet:
        source_id = f"{self._stem}-{key}"
        info = pylsl.StreamInfo(f"{self.name} {key}", kind, len(labels), pylsl.IRREGULAR_RATE, sample_format, source_id)
        desc = _describe(info, self._simulated)
        if key == "quality":
            codes = desc.append_child("codes")
            for state, code in STATE_CODES.items():
                codes.append_child_value(state.value, f"{code:.0f}")
        channels = desc.append_child("channels")
        for label in labels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("type", kind)
        return pylsl.StreamOutlet(info)


def _describe(info: pylsl.StreamInfo, simulated: bool) -> pylsl.XMLElement:
    desc = info.desc()
    desc.append_child_value("manufacturer", "bci-music")
    if simulated:
        desc.append_child_value("simulated", "true")
    return desc


def _plain(message: Any) -> Any:
    return asdict(message) if is_dataclass(message) and not isinstance(message, type) else message
