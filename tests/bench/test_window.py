import pytest

from bci_music.bench.window import measure_sweep, measure_topomap, targets


def test_sweep_is_measured_per_frame():
    found = measure_sweep(n_channels=32, sfreq_hz=500.0, seconds=1.0, realtime=False)
    assert found["frames"] == pytest.approx(60, abs=2)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["max_ms"]
    assert 0 < found["cpu_p95_ms"] < found["max_ms"] + 1


def test_scalp_map_stands_beside_mnes():
    found = measure_topomap(repeats=50, mne_repeats=1)
    assert 0 < found["topomap_ms"] < found["mne_ms"]


def test_every_figure_stands_beside_its_aim():
    found = {"sweep": {"p95_ms": 9.0}, "topomap": {"topomap_ms": 0.05, "mne_ms": 60.0}}
    assert [row["met"] for row in targets(found)] == [False, True]
