"""The live path under load: decoding, playing and drawing at once, on 125 channels at 1 kHz over real LSL."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import uuid
from statistics import median
from typing import Any

from bci_music.bench.ingest import ingest_cpu, loss, stall_age
from bci_music.bench.window import measure_topomap
from bci_music.messages import Log
from bci_music.processes import WATCHED

RATE_HZ = 1000.0
SECONDS = 12.0

NOISE = """
import sys, time
import numpy as np
import pylsl
from bci_music.eeg.montage import Montage
from bci_music.streaming.outlets import eeg_stream_info
name, rate = sys.argv[1], float(sys.argv[2])
montage = Montage.nmed()
outlet = pylsl.StreamOutlet(eeg_stream_info(name, montage.names, rate, name, simulated=True), 20)
noise = np.random.default_rng(0).normal(0, 15, (4000, len(montage.names))).astype(np.float32)
print("ready", flush=True)
start, sent = pylsl.local_clock(), 0
while True:
    time.sleep(0.005)
    while sent + 20 <= (pylsl.local_clock() - start) * rate:
        sent += 20
        at = sent % 4000
        outlet.push_chunk(noise[at : at + 20], start + (sent - 1) / rate)
"""


def measure_live(runs: int, pack: str, log: Log = lambda line: None) -> dict[str, Any]:
    """Run all parts; every number is a median over `runs`.

    Returns
    -------
    dict
        ingest, stall, loss, stage (decode_ms and sweep_paint_ms, each p50 and p95), topomap, machine.
    """
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    log("ingest beside StreamLSL")
    found: dict[str, Any] = {"ingest": ingest_cpu(runs)}
    log("newest data after a stall of 10 s")
    found["stall"] = stall_age()
    log("losses at 4 kHz")
    found["loss"] = loss()
    parts = []
    for n in range(runs):
        log(f"decoding, playing and drawing at once, run {n + 1} of {runs}")
        parts.append(measure_stage(pack))
    found["stage"] = {
        key: {p: median(part[key][p] for part in parts) for p in ("p50", "p95")}
        for key in ("decode_ms", "sweep_paint_ms")
    }
    found["stage"].update(
        hop_ms=parts[0]["hop_ms"], windows=sum(part["windows"] for part in parts), device=parts[0]["device"],
        underruns=sum(part["underruns"] for part in parts), runs=runs,
    )  # fmt: skip
    log("scalp map beside MNE")
    found["topomap"] = measure_topomap()
    found["machine"] = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    return found


def measure_stage(pack: str, seconds: float = SECONDS) -> dict[str, Any]:
    """One run of the whole stage with its window, on noise from another process."""
    from bci_music.clock import Clock
    from bci_music.engine.build import build_engine
    from bci_music.engine.config import LiveConfig
    from bci_music.sound.player import ClockPlayer
    from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock
    from gui.app import measure_frames

    name = f"bench-{uuid.uuid4().hex[:12]}"
    clock = Clock(lsl_clock)
    sending = [sys.executable, "-c", WATCHED + NOISE, name, str(RATE_HZ)]
    with subprocess.Popen(sending, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        try:
            assert sender.stdout is not None
            sender.stdout.readline()
            engine = build_engine(LiveConfig(pack=pack), LslSource(StreamQuery(name=name)), ClockPlayer(clock), clock)
            engine.start()
            paint = measure_frames(engine, seconds)
            snapshot = engine.snapshot()
            engine.stop()
        finally:
            sender.kill()
    assert engine.decoder is not None
    p50, p95, _ = snapshot.health.decode_ms
    return {
        "decode_ms": {"p50": p50, "p95": p95}, "sweep_paint_ms": {"p50": paint.p50_ms, "p95": paint.p95_ms},
        "windows": snapshot.health.windows_decoded, "underruns": snapshot.sound.underruns,
        "hop_ms": 1e3 * engine.decoder.manifest.signal.window.hop_s, "device": snapshot.device,
    }  # fmt: skip


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Set every figure beside its target."""
    ingest, stage, topomap = found["ingest"], found["stage"], found["topomap"]
    decode, paint, hop = stage["decode_ms"]["p95"], stage["sweep_paint_ms"]["p95"], stage["hop_ms"]
    age = found["stall"]["age_ms"] / 1e3
    rows = [
        ("ingest CPU of StreamLSL's, its defaults", f"{ingest['of_default']:.3f}", "≤ 1/6",
         ingest["of_default"] <= 1 / 6),
        ("ingest CPU of StreamLSL's, both 20 ms", f"{ingest['of_equal_period']:.2f}", "≤ 0.55",
         ingest["of_equal_period"] <= 0.55),
        ("newest data after a 10 s stall", f"{1e3 * age:.0f} ms old", "≤ 100 ms", age <= 0.1),
        ("125 channels at 4 kHz", "nothing lost" if found["loss"]["nothing_lost"] else "samples lost", "nothing lost",
         found["loss"]["nothing_lost"]),
        ("decode p95 while sound plays", f"{decode:.0f} ms", f"≤ {hop / 2:.0f} ms", decode <= hop / 2),
        ("sweep paint p95 while decoding and playing", f"{paint:.2f} ms", "< 8 ms", paint < 8),
        (f"scalp map (MNE: {topomap['mne_ms']:.0f} ms)", f"{1e3 * topomap['topomap_ms']:.0f} µs", "< 100 µs",
         topomap["topomap_ms"] < 0.1),
    ]  # fmt: skip
    return [{"what": what, "here": here, "target": target, "met": bool(met)} for what, here, target, met in rows]
