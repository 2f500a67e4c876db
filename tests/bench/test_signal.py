import pytest
from typer.testing import CliRunner

from bci_music.bench import window
from bci_music.bench.ingest import rejoin_targets
from bci_music.bench.signal import measure_signal, targets
from bci_music.cli.main import app

pytestmark = pytest.mark.learning


def test_the_signal_path_stands_beside_its_peers(monkeypatch):
    monkeypatch.setattr("bci_music.bench.signal.SECONDS", 2.0)
    found = measure_signal(runs=1)
    assert min(found["cpu_s_per_eeg_s"].values()) > 0
    assert found["of_mne"] > 0 < found["of_welch"]
    assert [row["here"].split()[1] for row in targets(found)] == ["ms/s", "ms"]


def test_the_worst_rejoin_decides():
    found = {"ours_s": [0.2, 1.4, 0.3], "of_pylsl": 0.5, "worst_s": 1.4}
    assert [row["met"] for row in rejoin_targets(found)] == [False]


def test_a_benchmark_prints_what_it_found_beside_its_targets(monkeypatch):
    found = {"sweep": {"p95_ms": 9.0}, "topomap": {"topomap_ms": 0.05, "mne_ms": 60.0}}
    monkeypatch.setattr(window, "measure_drawing", lambda seconds: found)
    done = CliRunner().invoke(app, ["bench", "window"])
    assert done.exit_code == 0
    assert "9.00 ms" in done.output
    assert "not met" in done.output
