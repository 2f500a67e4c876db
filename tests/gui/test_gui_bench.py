import pytest

from gui.bench import measure_sweep, measure_topomap


def test_sweep_is_measured_per_frame(qapp):
    found = measure_sweep(n_channels=32, sfreq_hz=500.0, seconds=1.0, realtime=False)
    assert found["frames"] == pytest.approx(60, abs=2)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["max_ms"]
    assert 0 < found["cpu_p95_ms"] < found["max_ms"] + 1


def test_scalp_map_is_far_cheaper_than_mnes():
    found = measure_topomap(repeats=50, mne_repeats=1)
    assert found["topomap_ms"] < found["mne_ms"] / 20
