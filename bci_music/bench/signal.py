"""The signal path measured: filters and channel quality on 125 channels at 1 kHz, beside MNE's and SciPy's own work."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.eeg.chain import SignalChain, SignalConfig
from bci_music.eeg.montage import Montage, map_channels
from bci_music.eeg.quality import QualityConfig, QualityMonitor
from bci_music.messages import Log

RATE_HZ = 1000.0
SECONDS = 10.0
CHUNK_ROWS = 20
VERDICT_ROWS = 500


def measure_signal(runs: int = 5, log: Log = lambda line: None) -> dict[str, Any]:
    """CPU seconds per second of EEG, medians of alternating runs.

    `chain` is everything from raw rows to windows in chunks of 20 ms, quality included; `mne` filters and resamples
    the same rows at once, offline. `verdict` is quality alone; `welch` is SciPy's spectrum of the same half seconds.

    Returns
    -------
    dict
        cpu_s_per_eeg_s (chain, mne, verdict, welch), of_mne, of_welch, verdict_ms, runs.
    """
    montage = Montage.nmed()
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 15, (round(SECONDS * RATE_HZ), len(montage.names))).astype(np.float32)
    times = np.arange(len(samples)) / RATE_HZ
    parts: dict[str, Callable[[], None]] = {
        "chain": lambda: _chain(montage, samples, times), "mne": lambda: _mne(samples),
        "verdict": lambda: _verdicts(montage, samples, times), "welch": lambda: _welch(samples),
    }  # fmt: skip
    spent: dict[str, list[float]] = {name: [] for name in parts}
    for run in range(runs + 1):
        log(f"run {run} of {runs}" if run else "warming up")
        for name, part in parts.items():
            before = time.process_time()
            part()
            if run:  # the first one loads libraries
                spent[name].append((time.process_time() - before) / SECONDS)
    cpu = {name: median(values) for name, values in spent.items()}
    return {
        "cpu_s_per_eeg_s": cpu, "of_mne": cpu["chain"] / cpu["mne"], "of_welch": cpu["verdict"] / cpu["welch"],
        "verdict_ms": 1e3 * cpu["verdict"] * VERDICT_ROWS / RATE_HZ, "runs": runs,
    }  # fmt: skip


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Set every figure beside its target."""
    chain, verdict = found["cpu_s_per_eeg_s"]["chain"], found["verdict_ms"]
    return [
        {"what": f"signal path ({found['of_mne']:.1f} of MNE's offline filters)", "here": f"{1e3 * chain:.0f} ms/s",
         "target": "< 50 ms/s", "met": chain < 0.05},
        {"what": f"verdict on all channels ({found['of_welch']:.1f} of SciPy's welch)", "here": f"{verdict:.1f} ms",
         "target": "< 5 ms", "met": verdict < 5},
    ]  # fmt: skip


def _chain(montage: Montage, samples: NDArray[np.float32], times: NDArray[np.float64]) -> None:
    chain = SignalChain(SignalConfig(), montage, map_channels(montage.names, montage), RATE_HZ)
    flags = np.zeros(len(samples), np.uint8)
    for at in range(0, len(samples), CHUNK_ROWS):
        rows = slice(at, at + CHUNK_ROWS)
        chain.process(samples[rows], times[rows], flags[rows], at)


def _verdicts(montage: Montage, samples: NDArray[np.float32], times: NDArray[np.float64]) -> None:
    monitor = QualityMonitor(QualityConfig(), montage.names, RATE_HZ)
    flags = np.zeros(VERDICT_ROWS, np.uint8)
    for at in range(0, len(samples), VERDICT_ROWS):
        rows = slice(at, at + VERDICT_ROWS)
        monitor.process(samples[rows], times[rows], flags, at)


def _mne(samples: NDArray[np.float32]) -> None:
    from mne.filter import filter_data, notch_filter, resample

    eeg = samples.T.astype(np.float64)
    eeg = filter_data(eeg, RATE_HZ, 0.5, 45.0, method="iir", verbose="error")
    for line_hz in (50.0, 60.0):
        eeg = notch_filter(eeg, RATE_HZ, line_hz, method="iir", verbose="error")
    resample(eeg, down=RATE_HZ / 125.0, verbose="error")


def _welch(samples: NDArray[np.float32]) -> None:
    from scipy.signal import welch

    for at in range(0, len(samples), VERDICT_ROWS):
        welch(samples[at : at + VERDICT_ROWS].T, RATE_HZ, nperseg=VERDICT_ROWS)
