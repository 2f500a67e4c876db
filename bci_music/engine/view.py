"""What the window and the report see of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bci_music.messages import SoundSpan
from bci_music.status import Snapshot, SoundStatus, TimelineSpan

if TYPE_CHECKING:
    from bci_music.engine.engine import Engine

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
