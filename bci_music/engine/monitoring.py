"""Channel quality of any stream, at any rate, without a pack."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bci_music.engine.decode_stage import DecodeStage
from bci_music.engine.engine import Engine
from bci_music.engine.events import Events
from bci_music.heard.open import HeardConfig, open_heard
from bci_music.messages import Quality, StreamInfo, UserError

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.engine.watch import MakeMarkers
    from bci_music.streaming.source import Source

NOTHING = HeardConfig()


class QualityChain:
    """Stands where the signal chain stands when nothing is decoded: raw rows in, verdicts out."""

    def __init__(self, info: StreamInfo):
        from bci_music.eeg.montage import Montage
        from bci_music.eeg.quality import QualityConfig, QualityMonitor

        self.channels = None
        try:
            self.montage: Montage | None = Montage.from_names(info.labels, info.positions_m)
        except UserError:  # quality needs no places; only the map of the window does
            self.montage = None
        positions = self.montage.positions_m if self.montage is not None else None
        named = [label.upper() for label in info.labels]
        reference = next((named.index(label) for label in ("VREF", "REF") if label in named), -1)
        self._monitor = QualityMonitor(
            QualityConfig(), info.labels, info.sfreq_hz, reference=reference, positions_m=positions
        )
        self.process = self._monitor.process


def build_monitor(
    source: Source, clock: Clock, heard: HeardConfig = NOTHING, make_markers: MakeMarkers | None = None
) -> Engine:
    """Make an engine that assesses channels and, where it is given, compares EEG with the sound that is heard."""
    from bci_music.streaming.acquire import Acquirer
    from bci_music.streaming.choosing import StreamChooser
    from bci_music.streaming.lsl import LslSource

    events = Events(clock)
    acquirer = Acquirer(source, clock, on_event=events.stream_event)
    chooser = StreamChooser(acquirer, source) if isinstance(source, LslSource) else None
    events.heard = open_heard(heard, acquirer)
    decode = DecodeStage(acquirer, None, QualityChain, live=True)
    return Engine(acquirer, decode, clock, events, chooser=chooser, make_markers=make_markers)


def quality_report(engine: Engine) -> dict[str, Any]:
    """Return the newest verdicts and the state of the stream, ready for JSON."""
    stream = engine.snapshot().stream
    quality: Quality | None = engine.decode.quality.get()
    channels = [
        {"name": c.name, "state": c.state.value, "reasons": list(c.reasons),
         "metrics": {key: value for key, value in c.metrics.items() if math.isfinite(value)},
         "findings": [asdict(finding) for finding in c.findings]}
        for c in (quality.channels if quality else ())
    ]  # fmt: skip
    return {
        "stream": {
            "name": stream.info.name if stream.info else None,
            "state": stream.state.value,
            "sfreq_hz": stream.info.sfreq_hz if stream.info else None,
            "measured_hz": stream.measured_hz,
            "excluded": list(stream.info.excluded) if stream.info else [],
            "unit": stream.info.unit if stream.info else None,
            "simulated": stream.info.simulated if stream.info else None,
            "missing": quality.missing if quality else None,
        },
        "counters": {k: v for k, v in asdict(stream).items() if isinstance(v, int) and not isinstance(v, bool)},
        "channels": channels,
        "chance": asdict(engine.events.heard.answer()) if engine.events.heard is not None else None,
    }
