"""Without consent a run keeps no EEG and nothing that shows or identifies it, anywhere; with it, for the user alone."""

import stat

import numpy as np
import pytest
from started import Run

from bci_music.engine.config import LiveConfig
from bci_music.messages import UserError

pytestmark = pytest.mark.realtime

CHANNELS, RATE = 32, 250.0


def rows():
    """The bytes of some rows of the outlet: no other file holds them by chance."""
    return [np.full(CHANNELS - 1, n, np.float32).tobytes() for n in range(300, 4096, 40)]


@pytest.fixture
def run_in(outlet, tmp_path):
    """Run with everything that a program writes to inside `tmp_path`, and return the files that are there then."""
    made = []

    def run(*words, window=True):
        stream = outlet(rate=RATE, channels=CHANNELS)
        home = {name: str(tmp_path / name) for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME")}
        for folder in home.values():
            (tmp_path / folder).mkdir()
        words = ["live", "--stream", stream.name, "--sound-device", "none", "--seconds", "9", *words]
        words += [] if window else ["--headless"]
        made.append(Run(tmp_path / "cwd", *words, env=home, cwd=tmp_path))
        assert made[-1].process.wait(120) == 0, made[-1].text()
        return [path for path in tmp_path.rglob("*") if path.is_file()]

    yield run
    for one in made:
        one.kill()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def has_traces(picture):
    """Whether anything in colour, as the traces are, is drawn where the signals are."""
    from matplotlib.image import imread

    image = imread(picture)[120:500, 40:600, :3]
    return (image.max(axis=2) - image.min(axis=2) > 0.2).sum() > 100


def test_without_consent_no_eeg_and_no_embedding_is_written(run_in, tmp_path):
    files = run_in("--out", "out")
    names = {path.name for path in files if path.parent == tmp_path / "out"}
    assert names == {"report.json", "run.yaml", "overview.png", "music.wav"}  # and no picture of the window
    assert not [path for path in files if path.suffix in (".npz", ".npy", ".xdf")]
    for path in files:
        content = path.read_bytes()
        assert not [row for row in rows() if row in content], path
    assert not has_traces(tmp_path / "out" / "overview.png")


@pytest.mark.soak
def test_with_consent_what_is_kept_is_for_the_user_alone(run_in, tmp_path):
    files = run_in("--out", "out", "--record", "rec", "--consent", "form 7", "--keep-embeddings")
    kept = {path.name: path for path in files}
    for name in ("recording.xdf", "recording.json", "embeddings.npz", "overview.png", "window.png"):
        assert mode(kept[name]) == 0o600, name
    assert any(row in kept["recording.xdf"].read_bytes() for row in rows())
    with np.load(kept["embeddings.npz"]) as stored:
        assert stored["vector"].shape[1] == 512
        assert len(stored["vector"]) == len(stored["attention"]) > 0
    assert has_traces(kept["overview.png"])


@pytest.mark.soak
def test_consent_to_a_recording_is_none_to_embeddings(run_in):
    files = run_in("--out", "out", "--record", "rec", "--consent", "form 7", window=False)
    assert "recording.xdf" in {path.name for path in files}
    assert "embeddings.npz" not in {path.name for path in files}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"keep_embeddings": True}, "Keeping embeddings needs"),
        ({"keep_embeddings": True, "consent": "  "}, "Keeping embeddings needs"),
        ({"folder": "rec", "keep_embeddings": True}, "Recording needs"),
        ({"consent": "form 7"}, "nothing is kept"),
        ({"consent": "yes " * 100, "keep_embeddings": True}, "not the form itself"),
    ],
)
def test_what_is_kept_and_what_is_consented_to_must_agree(given, sentence):
    with pytest.raises(UserError, match=sentence):
        LiveConfig.parse({"outputs": {"recording": given}})
    LiveConfig.parse({"outputs": {"recording": {"keep_embeddings": True, "consent": "form 7"}}})
