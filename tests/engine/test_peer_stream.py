"""A stream made by another program: mne-lsl's PlayerLSL plays a real recording."""

import subprocess
import sys
import uuid

import pytest

pytestmark = pytest.mark.realtime

PLAYER = """
import sys, time, warnings
warnings.simplefilter("ignore")
from mne_lsl.player import PlayerLSL
player = PlayerLSL(sys.argv[1], chunk_size=16, name=sys.argv[2], source_id=sys.argv[2])
player.start()
print("ready", flush=True)
time.sleep(float(sys.argv[3]))
"""


def play_and_decode(path, seconds, live_engine, until):
    pytest.importorskip("mne_lsl")
    name = f"test-{uuid.uuid4().hex[:12]}"
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYER, str(path), name, str(seconds + 60)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.stdout.readline()
        engine = live_engine(name)
        engine.start()
        until(lambda: engine.first_sample_s is not None, 30, "the first sample")
        until(lambda: engine.now() - engine.first_sample_s > seconds, seconds + 30, "the end")
        return engine, engine.snapshot()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def assert_well(engine, snapshot, seconds):
    channels = engine.decode.chain.channels
    assert channels.n_mapped >= 60
    assert (channels.source_index < 0).sum() == 125 - channels.n_mapped  # absent, not zero
    assert snapshot.stream.missing_samples == 0
    assert snapshot.stream.gaps == 0
    assert snapshot.health.windows_decoded >= 1.5 * (seconds - 8)
    assert snapshot.sound.underruns == 0
    assert snapshot.warning  # a pack trained on simulated EEG, a stream that is not
    engine.stop()


def test_a_real_recording_from_mne_lsl(shared_data, live_engine, until):
    path = shared_data / "eeg" / "physionet" / "S001R03.edf"
    assert_well(*play_and_decode(path, 15, live_engine, until), 15)


@pytest.mark.soak
def test_a_real_recording_from_mne_lsl_for_a_minute(shared_data, live_engine, until):
    path = shared_data / "eeg" / "physionet" / "S001R03.edf"
    assert_well(*play_and_decode(path, 60, live_engine, until), 60)


def nmed_layout(path):
    """64 real channels interpolated to the 125 of the pack: the NMED order, but no more information than the 64."""
    import mne
    from mne.datasets import eegbci

    raw = mne.io.read_raw_edf(path, preload=True, verbose=False)
    eegbci.standardize(raw)
    raw.set_montage("colin27_1005", verbose=False)
    raw.set_eeg_reference("average", verbose=False)
    net = mne.channels.make_standard_montage("GSN-HydroCel-129")
    raw = raw.interpolate_to(net, method="spline")
    return raw.pick([f"E{i}" for i in range(1, 125)] + ["Cz"]).resample(125, verbose=False)


def replayed(session, config):
    from dataclasses import replace

    from offline_engine import run_session

    n = round(20 * session.sfreq_hz)
    return run_session(replace(session, samples_uv=session.samples_uv[:n], times_s=session.times_s[:n]), config)


def test_the_same_recording_replayed_as_it_is_and_interpolated(shared_data, config, tmp_path):
    from bci_music.data.formats import open_session

    path = shared_data / "eeg" / "physionet" / "S001R03.edf"
    engine = replayed(open_session(path), config)
    assert engine.decode.chain.channels.n_mapped >= 60
    assert engine.snapshot().health.windows_decoded > 25
    dense = tmp_path / "interpolated_raw.fif"
    nmed_layout(path).save(dense, verbose=False)
    engine = replayed(open_session(dense), config)
    assert engine.decode.chain.channels.n_mapped == 125
    assert engine.snapshot().health.windows_decoded > 25
    assert engine.snapshot().stream.missing_samples == 0
