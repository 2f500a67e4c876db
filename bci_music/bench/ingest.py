"""Ingest measured: CPU beside mne-lsl's StreamLSL, age of the newest data after a stall, and loss at 4 kHz.

Every figure comes from fresh processes: one sends, one receives, so that nothing warm or shared flatters either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from statistics import median
from typing import Any

from bci_music.messages import UserError
from bci_music.processes import WATCHED

N_CHANNELS = 125
SECONDS = 6.0  # measured per run, after the first two
CHUNK_S = 0.02

SENDER = """
import sys, time
import numpy as np
import pylsl
name, n_channels, rate, chunk = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
info = pylsl.StreamInfo(name, "EEG", n_channels, rate, "float32", name)
channels = info.desc().append_child("channels")
for i in range(n_channels):
    channel = channels.append_child("channel")
    for key, value in (("label", f"E{i + 1}"), ("type", "EEG"), ("unit", "uV")):
        channel.append_child_value(key, value)
outlet = pylsl.StreamOutlet(info, chunk)
print("ready", flush=True)
start, sent = pylsl.local_clock(), 0
rows = np.zeros((chunk, n_channels), np.float32)
while True:
    while (pylsl.local_clock() - start) * rate - sent >= chunk:
        rows[:] = (np.arange(sent, sent + chunk) % 2**23)[:, None]
        sent += chunk
        outlet.push_chunk(rows, start + (sent - 1) / rate)
    time.sleep(0.002)
"""

OURS = """
import json, sys, time
from bci_music.clock import Clock
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock
from bci_music.workers import Worker
name, seconds, period = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
clock = Clock(lsl_clock)
acquirer = Acquirer(LslSource(StreamQuery(name=name)), clock)
worker = Worker("acquire", acquirer, clock, period, print)
worker.start()
while acquirer.ring is None or acquirer.ring.head == 0:
    time.sleep(0.05)
cursor_at = acquirer.ring.head
time.sleep(2.0)
before, cpu, wall = acquirer.ring.head, time.process_time(), time.monotonic()
for _ in range(int(seconds * 4)):
    time.sleep(0.25)
    acquirer.ring.read(max(0, acquirer.ring.head - 1000))
cpu, wall = time.process_time() - cpu, time.monotonic() - wall
status = acquirer.status(clock.now())
worker.stop()
acquirer.close()
print(json.dumps({"cpu": cpu / wall, "hz": (acquirer.ring.head - before) / wall, "missing": status.missing_samples}))
"""

STREAM_LSL = """
import json, sys, time
from mne_lsl.stream import StreamLSL
name, seconds, period = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
stream = StreamLSL(bufsize=5.0, name=name)  # it moves its whole buffer at each pull: no longer than a window needs
stream.connect(acquisition_delay=period, timeout=20)
time.sleep(2.0)
cpu, wall, newest = time.process_time(), time.monotonic(), None
for _ in range(int(seconds * 4)):
    time.sleep(0.25)
    data, stamps = stream.get_data(1.0)
cpu, wall = time.process_time() - cpu, time.monotonic() - wall
stream.disconnect()
print(json.dumps({"cpu": cpu / wall, "newest": float(stamps[-1])}))
"""

STALL = """
import json, sys, time
from bci_music.clock import Clock
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock
name, stall, rate = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
acquirer = Acquirer(LslSource(StreamQuery(name=name)), Clock(lsl_clock))
def run(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        acquirer.step(lsl_clock())
        time.sleep(0.02)
while acquirer.ring is None or acquirer.ring.head < rate:
    run(0.1)
time.sleep(stall)
begin = lsl_clock()
acquirer.step(begin)
done = lsl_clock()
newest = acquirer.ring.read(acquirer.ring.head - 1).times[0]
status = acquirer.status(done)
acquirer.close()
print(json.dumps({"age_ms": 1e3 * (done - newest), "step_ms": 1e3 * (done - begin), "missing": status.missing_samples}))
"""

LOSS = """
import json, sys, time
import numpy as np
from bci_music.clock import Clock
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock
from bci_music.streaming.ring import Cursor
name, seconds = sys.argv[1], float(sys.argv[2])
acquirer = Acquirer(LslSource(StreamQuery(name=name)), Clock(lsl_clock), ring_seconds=5)
cursor, last, wrong, rows, end = None, None, 0, 0, time.monotonic() + 30
while time.monotonic() < end:
    acquirer.step(lsl_clock())
    if cursor is None and acquirer.ring is not None:
        cursor, end = Cursor(acquirer.ring, 0), time.monotonic() + seconds
    if cursor is not None and len(piece := cursor.pull()):
        count = piece.samples[:, 0].astype(np.int64)
        count = count if last is None else np.concatenate(([last], count))
        wrong += int((np.diff(count) % 2**23 != 1).sum())
        last, rows = count[-1], rows + len(piece)
    time.sleep(0.02)
status = acquirer.status(lsl_clock())
lost = cursor.lost if cursor else -1
acquirer.close()
print(json.dumps({"rows": rows, "jumps": wrong, "missing": status.missing_samples, "overwritten": lost}))
"""


REJOIN = """
import json, subprocess, sys, time
import pylsl
from bci_music.clock import Clock
from bci_music.streaming.acquire import Acquirer
from bci_music.streaming.lsl import LslSource, StreamQuery, lsl_clock
name, runs, sending = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
def start():
    sender = subprocess.Popen(sending, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    sender.stdout.readline()
    return sender
acquirer = Acquirer(LslSource(StreamQuery(name=name)), Clock(lsl_clock))
sender, ours, theirs = start(), [], []
def wait(done, limit=30):
    end = time.monotonic() + limit
    while not done():
        assert time.monotonic() < end, "waited in vain"
        acquirer.step(lsl_clock())
        time.sleep(0.01)
wait(lambda: acquirer.ring is not None and acquirer.ring.head > 0)
for run in range(runs):
    sender.kill(); sender.wait()
    wait(lambda: str(acquirer.state.value) != "live")
    sender = start()
    begun, head = time.monotonic(), acquirer.ring.head
    wait(lambda: acquirer.connection == run + 1 and acquirer.ring.head > head)
    ours.append(time.monotonic() - begun)
    begun = time.monotonic()
    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=20)[0])
    inlet.pull_chunk(timeout=20)
    theirs.append(time.monotonic() - begun)
    inlet.close_stream()
sender.kill()
acquirer.close()
print(json.dumps({"ours_s": ours, "pylsl_s": theirs}))
"""


def ingest_cpu(runs: int = 5, seconds: float = SECONDS, rate: float = 1000.0) -> dict[str, Any]:
    """CPU seconds per stream-second at 125 channels, ours and StreamLSL's, medians of alternating runs.

    Our period is 20 ms, gap detection included; StreamLSL runs at its default of 1 ms and at 20 ms. All readers
    take the newest second four times a second.
    """
    rows: dict[str, list[float]] = {"ours": [], "stream_lsl_default": [], "stream_lsl_20ms": []}
    hz = []
    for _ in range(runs):
        for key, code, period in (
            ("ours", OURS, CHUNK_S), ("stream_lsl_default", STREAM_LSL, 0.001), ("stream_lsl_20ms", STREAM_LSL, CHUNK_S)
        ):  # fmt: skip
            result = _measure(code, [str(seconds), str(period)], rate)
            rows[key].append(result["cpu"])
            if key == "ours":
                hz.append(result["hz"])
    medians = {key: median(values) for key, values in rows.items()}
    return {
        "n_channels": N_CHANNELS, "rate_hz": rate, "runs": runs, "measured_hz": median(hz),
        "cpu_s_per_stream_s": medians, "all_runs": rows,
        "of_default": medians["ours"] / medians["stream_lsl_default"],
        "of_equal_period": medians["ours"] / medians["stream_lsl_20ms"],
    }  # fmt: skip


def stall_age(stall_s: float = 10.0, rate: float = 1000.0) -> dict[str, Any]:
    """Age of the newest data in the ring after one step, when nobody pulled for `stall_s`."""
    return {"stall_s": stall_s, "rate_hz": rate, **_measure(STALL, [str(stall_s), str(rate)], rate)}


def loss(seconds: float = 10.0, rate: float = 4000.0) -> dict[str, Any]:
    """Jumps of the sender's sample counter in what a reader got from the ring at `rate`."""
    result = _measure(LOSS, [str(seconds)], rate)
    return {"rate_hz": rate, "seconds": seconds, "nothing_lost": _is_whole(result, seconds * rate), **result}


def rejoin(runs: int = 5, rate: float = 1000.0) -> dict[str, Any]:
    """Seconds from the start of a killed outlet's successor to its first row in the ring; beside pylsl finding it.

    Returns
    -------
    dict
        ours_s, pylsl_s (all runs), median_s, worst_s, of_pylsl.
    """
    name = f"bench-{uuid.uuid4().hex[:12]}"
    sending = [sys.executable, "-c", WATCHED + SENDER, name, str(N_CHANNELS), str(rate), str(round(CHUNK_S * rate))]
    found = _receive([REJOIN, name, str(runs), *sending], timeout_s=60 + 30 * runs)
    ours, theirs = found["ours_s"], found["pylsl_s"]
    return {**found, "median_s": median(ours), "worst_s": max(ours), "of_pylsl": median(ours) / median(theirs)}


def rejoin_targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Set the worst rejoin beside its target."""
    worst = found["worst_s"]
    what = f"killed stream flows again, worst of {len(found['ours_s'])} ({found['of_pylsl']:.1f} of pylsl's search)"
    return [{"what": what, "here": f"{worst:.2f} s", "target": "≤ 1 s", "met": worst <= 1.0}]


def _is_whole(result: dict[str, Any], expected: float) -> bool:
    clean = result["jumps"] == result["missing"] == result["overwritten"] == 0
    return bool(clean and result["rows"] >= 0.9 * expected)


def _measure(code: str, args: list[str], rate: float) -> dict[str, Any]:
    """Run one receiver process against one sender process."""
    name = f"bench-{uuid.uuid4().hex[:12]}"
    chunk = str(max(1, round(CHUNK_S * rate)))
    sending = [sys.executable, "-c", WATCHED + SENDER, name, str(N_CHANNELS), str(rate), chunk]
    pipe = subprocess.PIPE
    with subprocess.Popen(sending, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as sender:
        try:
            assert sender.stdout is not None
            sender.stdout.readline()
            return _receive([code, name, *args])
        finally:
            sender.kill()


def _receive(code_and_arguments: list[str], timeout_s: float = 120.0) -> dict[str, Any]:
    """Run one receiver process and return what it prints."""
    receiving = [sys.executable, "-W", "ignore", "-c", *code_and_arguments]
    done = subprocess.run(receiving, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"The ingest benchmark could not run ({reason}); install the extra `test` for mne-lsl.")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
