"""`report.json`: what a run did, in numbers with the protocol they were made by."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bci_music.engine.decode_stage import percentiles
from bci_music.engine.history import History
from bci_music.engine.sham import revealed
from bci_music.metrics.agreement import Agreement, agreement

if TYPE_CHECKING:
    from bci_music.engine.engine import Engine
    from bci_music.sound.stage import SoundStage
    from bci_music.status import Chance

STEP_S = 0.1
PACKAGES = (
    "bci-music", "numpy", "scipy", "torch", "transformers", "diffusers", "mne", "pylsl", "pyxdf", "sounddevice",
    "rtmixer",
)  # fmt: skip


def build_report(engine: Engine, now: float, wav: Path | None = None) -> dict[str, Any]:
    """Collect the report of a run.

    Parameters
    ----------
    engine : Engine
    now : float
        LSL time at which the run ended.
    wav : Path, optional
        Where the sound that was played was written; `silent_seconds` is measured on it while it was.
    """
    snapshot = engine.snapshot()
    status, health = snapshot.stream, engine.decode.counters
    report: dict[str, Any] = {
        "stream": _stream(engine),
        "windows_decoded": health.decoded,
        "windows_skipped": health.skipped,
        "windows_masked": health.masked,
        "ring_overwritten": health.overwritten,
        "gaps": status.gaps,
        "missing_samples": status.missing_samples,
        "bursts": status.bursts,
        "connections": status.connection + 1,
        "data_age_ms": _named(percentiles(health.age_ms)),
        "decode_ms": _named(percentiles(health.decode_ms)),
        **_sound(engine, wav),
        "device": engine.decoder.device_name if engine.decoder else None,
        "pack": _pack(engine),
        "identification": _identification(engine.history),
        "chance": _chance(engine),
        "chance_of_sound": _chance_of_sound(engine),
        "sham": _sham(engine),
        "played_agreement": _agreement(played_agreement(engine, now)),
        "warning": engine.warning or None,
        "outputs": {o.name: {"pushed": o.pushed, "dropped": o.dropped, "failed": o.failed} for o in snapshot.outputs},
        "failures": _failures(engine),
        "lost": list(engine.events.lost),
        "versions": versions(),
    }
    return report


def report_text(report: dict[str, Any]) -> str:
    """Return the report as JSON; NaN becomes null."""
    return json.dumps(_clean(report), indent=2, ensure_ascii=False) + "\n"


def versions() -> dict[str, str]:
    """Versions of what made the figures."""
    import platform

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def played_agreement(engine: Engine, now: float) -> Agreement | None:
    """Share of playing time in which the clip belongs to the song being heard, beside all shifts by >= 10 s.

    A generated clip counts as the song that is nearest to the vector it was made for (its sound is not assessed here),
    and since it is ordered seconds ahead, it is compared with what was heard in the EEG it was made from.
    """
    if engine.history is None or engine.sound is None or not engine.history.markers():
        return None
    order = {song.id: i for i, song in enumerate(engine.history.songs)}
    markers = engine.history.markers()
    times = np.arange(markers[0].time_s, min(now, _music_end(engine.history, now)), STEP_S)
    played, listened = np.full(len(times), -1), times.copy()  # which second's music each moment is compared with
    for span, start_s, stop_s in engine.sound.spans():
        within = (times >= start_s) & (times < stop_s)
        if span.kind != "waiting":
            played[within] = order.get(span.song, -1)
        if span.kind == "generated" and math.isfinite(span.style_made_s):
            listened[within] = span.style_made_s - engine.history.window_s / 2
    heard = np.full(len(times), -1)
    for marker, until in zip(markers, [*[m.time_s for m in markers[1:]], now], strict=True):
        heard[(listened >= marker.time_s) & (listened < until)] = order.get(marker.song or "", -1)
    return agreement(heard, played, STEP_S)


def _failures(engine: Engine) -> list[str]:
    """What failed in the background, and why a stream that is there is not used."""
    texts = [f.text for f in engine.failures]
    refusal = str(engine.refusal) if engine.refusal is not None else ""
    return [*texts, refusal] if refusal and refusal not in texts else texts


def _music_end(history: History, now: float) -> float:
    last = history.markers()[-1]
    return last.time_s if last.song is None else now


def _stream(engine: Engine) -> dict[str, Any]:
    status, info = engine.snapshot().stream, engine.info
    return {
        "name": info.name if info else None,
        "kind": info.kind if info else None,
        "simulated": info.simulated if info else None,
        "channels": len(info.labels) if info else 0,
        "sfreq_hz": info.sfreq_hz if info else None,
        "measured_hz": status.measured_hz,
        "excluded": list(info.excluded) if info else [],
        "samples": status.samples,
        "clock_offset_ms": 1e3 * status.clock_offset_s,
        "lost": status.lost_count,
        "clock_jumps": status.clock_jumps,
        "notes": list(status.notes),
        "channels_mapped": _mapped(engine),
    }


def _mapped(engine: Engine) -> int:
    chain = engine.decode.chain
    return chain.channels.n_mapped if chain is not None and chain.channels is not None else 0


def _sound(engine: Engine, wav: Path | None) -> dict[str, Any]:
    if engine.sound is None:
        return {}
    sound = engine.sound.status(engine.now())
    first = sound.first_eeg_sound_s
    began = engine.first_sample_s
    return {
        "generator": engine.sound.plays.facts(),
        "way": sound.way,
        "eeg_to_ear_s": _eeg_to_ear(engine.sound),
        "clips_generated": sound.clips_generated,
        "clips_retrieved": sound.clips_retrieved,
        "generation_rtf": sound.generation_s / sound.generated_s if sound.generated_s else None,
        "crossfades": sound.crossfades,
        "clips_kept": sound.clips_kept,
        "late_steps": asdict(sound.late_steps),
        "fallbacks": sound.fallbacks,
        "clips_refused": sound.clips_refused,
        "steered_by": sound.prompt.words,
        "underruns": sound.underruns,
        "starved_seconds": sound.starved_s,
        "device_underflows": sound.device_underflows,
        "audio_seconds": sound.played_s,
        "audio_device": sound.device,
        "silent_seconds": engine.sound.player.silent_s if wav is not None else None,
        "first_eeg_chosen_sound_s": first - began if first is not None and began is not None else None,
    }


def _eeg_to_ear(sound: SoundStage) -> dict[str, Any] | None:
    """By how much what is heard is behind the EEG that leads it moment by moment; None where nothing is led so."""
    lags = sound.lags_s()
    if not lags:
        return None
    return {
        "protocol": "from the moment of EEG that leads a moment of sound until that is heard: context and block, what "
        "is queued, decoding and making; one figure a clip",
        "n": len(lags), **_named(percentiles(lags)),
    }


def _pack(engine: Engine) -> dict[str, Any] | None:
    if engine.decoder is None:
        return None
    manifest = engine.decoder.manifest
    return {"name": manifest.name, "version": manifest.version, "provenance": manifest.provenance.kind}


def _identification(history: History | None) -> dict[str, Any] | None:
    result = history.identification(refresh=True) if history is not None else None
    if result is None:
        return None
    values = asdict(result)
    return {**values, "top1": result.top1, "ci95": list(result.ci95)}


def _chance(engine: Engine) -> dict[str, Any] | None:
    """Is it above chance: the bets on the EEG as it came, and on sham where there was some."""
    if engine.history is None:
        return None
    found, of_sham = engine.history.chance(sham=False), engine.history.chance(sham=True)
    return {
        "protocol": "bets on ranks, a bet for each piece of evidence; above chance once a stake of 1 has grown to "
        "1 / alarm_rate, which under chance happens in at most that share of runs, however often one looks",
        **_bets(found, engine),
        "on_sham": _bets(of_sham, engine) if of_sham.n else None,
    }


def _chance_of_sound(engine: Engine) -> dict[str, Any] | None:
    """Is the sound that is heard in the EEG: where that sound is given."""
    if engine.events.heard is None:
        return None
    found, of_sham = engine.events.heard.answer(sham=False), engine.events.heard.answer(sham=True)
    return {
        "protocol": "blocks of 10 s; the sound turned round to 13 to 19 even places, the decoder of each place learned "
        "from the blocks before; a bet on the rank of the true place",
        **_bets(found, engine),
        "on_sham": _bets(of_sham, engine) if of_sham.n else None,
    }


def _sham(engine: Engine) -> list[dict[str, Any]]:
    """When the music followed EEG from another time; of blind trials the answer with its key."""
    began = engine.first_sample_s or engine.started_s
    return [
        {**asdict(span), "start_s": span.start_s - began, "stop_s": (span.stop_s or engine.now()) - began,
         "revealed": revealed(span)}
        for span in (engine.sham.end() if engine.sham is not None else ())
    ]


def _bets(found: Chance, engine: Engine) -> dict[str, Any]:
    began = engine.first_sample_s
    shown_s = found.shown_s - began if found.shown_s is not None and began is not None else None
    return {**asdict(found), "shown_s": shown_s}


def _agreement(result: Agreement | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "protocol": "share of playing time in which the clip's song is the song being heard, no lag allowed for; a "
        "generated clip's song is the one nearest to the vector it was made for (its sound is not assessed), compared "
        "with the one heard in the EEG it was made from; control: all circular shifts by >= 10 s",
        **asdict(result),
    }


def _named(values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("p50", "p95", "p99"), values, strict=True))


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
