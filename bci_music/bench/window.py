"""What drawing costs: the sweep display per frame, and the scalp map beside MNE's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bci_music.eeg.montage import Montage
from bci_music.messages import StreamInfo

FRAME_S = 1 / 60


def measure_sweep(
    n_channels: int = 125, sfreq_hz: float = 1000.0, seconds: float = 10.0, realtime: bool = True
) -> dict[str, float]:
    """Paint noise of EEG's size at 60 frames a second and return milliseconds per frame.

    The time of a frame is what the signals cost the main thread: taking from the ring, filtering, painting the
    strip and copying it to the window. With `realtime` False frames follow one another without a pause.

    Returns
    -------
    dict
        frames, p50_ms, p95_ms, max_ms, cpu_p95_ms, channels, sfreq_hz.
    """
    from bci_music.streaming.ring import Cursor, RingBuffer
    from gui.app import application
    from gui.placement import place

    app = application()
    montage = Montage.nmed()
    names = [montage.names[i % 125] + ("" if i < 125 else f"-{i}") for i in range(n_channels)]
    info = StreamInfo("simulated noise", "simulated", tuple(names), sfreq_hz, simulated=True)
    traces = _shown_traces(info, place(info, montage))
    ring = RingBuffer(n_channels, round(4 * sfreq_hz))
    cursor = Cursor(ring)
    noise = np.cumsum(np.random.default_rng(0).normal(size=(round(4 * sfreq_hz), n_channels)), axis=0)
    noise = (5.0 * (noise - noise.mean(axis=0))).astype(np.float32)
    begun, written = time.perf_counter(), 0
    for frame in range(round((seconds + 1) / FRAME_S)):
        if frame == round(1 / FRAME_S):
            traces.frame_times.clear()  # the first second finds its scale
        if realtime:
            time.sleep(max(begun + frame * FRAME_S - time.perf_counter(), 0.0))
        due = round((frame + 1) * FRAME_S * sfreq_hz)
        rows = np.arange(written, due)
        ring.write(noise[rows % len(noise)], rows / sfreq_hz, np.zeros(len(rows), np.uint8))
        written = due
        traces.advance(cursor)
        app.processEvents()
    stats = traces.frame_times.stats()
    traces.close()
    return {"frames": stats.n, "p50_ms": stats.p50_ms, "p95_ms": stats.p95_ms, "max_ms": stats.max_ms,
            "cpu_p95_ms": stats.cpu_p95_ms, "channels": n_channels, "sfreq_hz": sfreq_hz}  # fmt: skip


def measure_topomap(repeats: int = 200, mne_repeats: int = 5) -> dict[str, float]:
    """Median milliseconds of one scalp map: ours (matrix product) and ``mne.viz.plot_topomap``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from mne.viz import plot_topomap

    from bci_music.eeg.topomap import TopoMap

    montage = Montage.nmed()
    values = np.random.default_rng(0).random(len(montage.names)).astype(np.float32)
    ours = TopoMap(montage)
    figure, axes = plt.subplots()

    def by_mne() -> None:
        axes.clear()
        plot_topomap(values, 0.095 * montage.positions_2d(), axes=axes, show=False)

    result = {"topomap_ms": _median_ms(lambda: ours.image(values), repeats), "mne_ms": _median_ms(by_mne, mne_repeats)}
    plt.close(figure)
    return result


def measure_drawing(seconds: float) -> dict[str, Any]:
    """Both, the sweep for so many seconds: `sweep` and `topomap`."""
    return {"sweep": measure_sweep(seconds=seconds), "topomap": measure_topomap()}


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for people: what, here, target, met."""
    paint, topomap = found["sweep"]["p95_ms"], found["topomap"]
    mne = f"scalp map (MNE: {topomap['mne_ms']:.0f} ms)"
    return [
        {"what": "sweep paint p95, nothing else running", "here": f"{paint:.2f} ms", "target": "< 8 ms",
         "met": paint < 8},
        {"what": mne, "here": f"{1e3 * topomap['topomap_ms']:.0f} µs", "target": "< 100 µs",
         "met": topomap["topomap_ms"] < 0.1},
    ]  # fmt: skip


def _median_ms(action: Callable[[], Any], repeats: int) -> float:
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def _shown_traces(info: StreamInfo, placement):
    """Return the sweep display at its size in the 1600 × 900 window."""
    from gui.layout import arrange
    from gui.views.perform import Perform
    from gui.widgets.traces import Traces

    box = arrange(1600, 900, places=Perform.places)["traces"]
    traces = Traces()
    traces.resize(box.w, box.h)
    traces.show_stream(info.labels, info.sfreq_hz, placement)
    traces.show()
    return traces
