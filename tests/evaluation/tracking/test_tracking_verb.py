"""`bci-music lab tracking`, the whole way: a prepared study, a plain folder, a real recording; or one sentence."""

import json

import numpy as np
import pytest
import soundfile
import yaml
from planted_tracking import RATE_HZ, RESPONSE, noise, sound

from bci_music.evaluation.tracking.folder import open_tracking_study

pytestmark = pytest.mark.learning

NAMES = [f"E{i}" for i in range(1, 9)]


def write_folder(folder, entries, **more):
    folder.mkdir(exist_ok=True)
    (folder / "tracking.yaml").write_text(yaml.safe_dump({"recordings": entries, **more}))
    return folder


def entry(number, **changes):
    made = {
        "eeg": f"{number}.npy", "listener": f"L{number // 2}", "piece": f"piece {number % 2}", "rate_hz": RATE_HZ,
        "electrodes": NAMES, "envelope": f"piece {number % 2}.csv", "envelope_hz": 64.0, "onset_s": 2.0,
    }  # fmt: skip
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


@pytest.fixture
def plain(tmp_path):
    """Two listeners, two pieces, a planted answer to the envelope's rise; the sound begins 2 s into the EEG."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "plain"
    folder.mkdir()
    envelopes = [sound(p, 40.0)[:, 1] for p in range(2)]
    for p, envelope in enumerate(envelopes):
        (folder / f"piece {p}.csv").write_text("envelope\n" + "\n".join(f"{v:.6f}" for v in envelope))
    where = rng.standard_normal(8)
    for number in range(4):
        n = round(42 * RATE_HZ)
        rise = np.maximum(np.diff(envelopes[number % 2], prepend=0.0), 0.0)
        heard = np.interp(np.arange(n) / RATE_HZ - 2.0, np.arange(len(rise)) / 64, rise, left=0.0, right=0.0)
        answer = np.convolve(heard, RESPONSE)[:n]
        eeg = noise(rng, n, 8) + np.outer(where, answer / answer.std())
        np.save(folder / f"{number}.npy", (20 * eeg.T).astype(np.float32))
    return write_folder(folder, [entry(number) for number in range(4)], simulated=True)


def test_a_plain_folder_reads(run, plain, tmp_path):
    code, text, _ = run("lab", "tracking", "--data", plain, "--out", tmp_path / "out", "--draws", 299)
    assert code == 0
    assert text.startswith("Tracking reads: the EEG carries the heard sound.")
    assert "simulated EEG, 4 recordings of 2 listeners with 2 pieces" in text.replace("154 s of ", "").replace(",", ",")
    stored = json.loads((tmp_path / "out" / "tracking.json").read_text())
    assert stored["reads"]
    assert stored["sentence"] in text
    assert (tmp_path / "out" / "tracking.png").stat().st_size > 10_000


def test_json_is_all_that_is_printed(run, plain):
    code, text, _ = run("lab", "tracking", "--data", plain, "--json", "--draws", 299)
    assert code == 0
    found = json.loads(text)
    assert found["simulated"]
    assert [one["target"] for one in found["evidence"]] == ["flux", "envelope"] * 2


def test_a_wrong_onset_does_not_read(run, plain):
    write_folder(plain, [entry(number, onset_s=0.2) for number in range(4)])
    code, text, _ = run("lab", "tracking", "--data", plain, "--draws", 299)
    assert code == 0
    assert text.startswith("Tracking does not read: that the EEG carries the heard sound is not shown.")


def test_electrodes_are_found_by_name_in_any_order(plain):
    order = np.random.default_rng(0).permutation(8)
    np.save(plain / "1.npy", np.load(plain / "1.npy")[:, order])
    first = open_tracking_study(plain)
    write_folder(plain, [entry(0), entry(1, electrodes=[NAMES[i] for i in order]), entry(2), entry(3)])
    turned = open_tracking_study(plain)
    assert np.array_equal(turned.trials[1].parts[0].eeg[:, order], first.trials[1].parts[0].eeg)


def test_a_prepared_study_is_opened(run, data, tmp_path):
    code, text, _ = run("lab", "tracking", "--data", data, "--draws", 299, "--json")
    assert code == 0
    found = json.loads(text)
    assert (found["listeners"], found["pieces"], found["simulated"]) == (4, 3, True)
    assert found["evidence"][0]["held_out"] == "held-out pieces"


@pytest.mark.parametrize(("change", "says"), [
    ({"eeg": "none.npy"}, "There is no file"),
    ({"eeg": "none.edf"}, "There is no file"),
    ({"rate_hz": None}, "give rate_hz and electrodes"),
    ({"electrodes": NAMES[:7]}, "expected (times, 7)"),
    ({"envelope": None}, "give either audio or envelope"),
    ({"audio": "song.wav"}, "give either audio or envelope"),
    ({"envelope": None, "envelope_hz": None, "audio": "song.wav"}, "There is no audio file"),
    ({"envelope_hz": None}, "needs envelope_hz"),
    ({"onset_s": 99.0}, "lasts 42.0 s, but piece 0 is to begin at 99 s"),
    ({"onset": 1.0}, "did you mean 'onset_s'?"),
    ({"envelope": "0.npy"}, "expected one finite column"),
    ({"seconds": 5.0}, "holds 12 s of EEG beside known sound"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence(run, plain, change, says):
    write_folder(plain, [entry(0, **change)])
    code, text, error = run("lab", "tracking", "--data", plain)
    assert (code, text) == (2, "")
    assert says in error
    assert "\n" not in error.strip()
    assert "Traceback" not in error


def test_one_piece_has_one_sound(run, plain):
    write_folder(plain, [entry(0), entry(2, envelope="piece 1.csv")])
    code, _, error = run("lab", "tracking", "--data", plain)
    assert code == 2
    assert "two sounds" in error


def test_a_folder_of_neither_kind(run, tmp_path):
    code, _, error = run("lab", "tracking", "--data", tmp_path)
    assert code == 2
    assert "neither a prepared study" in error
    (tmp_path / "tracking.yaml").write_text("recordings: {}\n")
    code, _, error = run("lab", "tracking", "--data", tmp_path)
    assert code == 2
    assert "has no list `recordings:`" in error


def test_flat_eeg_is_a_sentence(run, plain):
    for number in range(4):
        np.save(plain / f"{number}.npy", np.full_like(np.load(plain / f"{number}.npy"), 3.0))
    code, _, error = run("lab", "tracking", "--data", plain)
    assert code == 2
    assert "is flat between 1 and 8 Hz" in error


def test_real_eeg_with_a_made_up_envelope_does_not_read(run, shared_data, tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    files = sorted((shared_data / "eeg" / "physionet").glob("S001R0[3-6].edf"))
    entries = []
    for number, path in enumerate(files):
        np.save(folder / f"{number}.npy", sound(number, 100.0)[:, 1])
        entries.append({"eeg": str(path), "listener": "S001", "piece": f"made up {number}", "onset_s": 5.0,
                        "envelope": f"{number}.npy", "envelope_hz": 64.0})  # fmt: skip
    write_folder(folder, entries)
    code, text, _ = run("lab", "tracking", "--data", folder, "--draws", 299, "--json")
    found = json.loads(text)
    assert code == 0
    assert not found["reads"]
    assert not found["simulated"]
    assert found["sentence"].startswith("Tracking does not read")


def test_one_real_recording_with_a_made_up_sound_does_not_read(run, shared_data, tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    rng = np.random.default_rng(0)
    audio = rng.standard_normal(100 * 16_000) * np.repeat(rng.random(400), 4000)
    soundfile.write(folder / "made-up.wav", audio / 5, 16_000)
    path = shared_data / "eeg" / "physionet" / "S001R03.edf"
    write_folder(folder, [{"eeg": str(path), "listener": "S001", "piece": "made up", "audio": "made-up.wav"}])
    code, text, _ = run("lab", "tracking", "--data", folder, "--draws", 299)
    assert code == 0
    assert text.startswith("Tracking does not read")
