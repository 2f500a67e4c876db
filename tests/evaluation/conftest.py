"""A small test set with planted truth: what the decoder says holds as much of music and fingerprint as asked.

And a tiny simulated study with the smallest settings that go the whole way of the lab.
"""

import numpy as np
import pytest
import torch
import yaml

from bci_music.cli import main as cli
from bci_music.data.open_study import join, open_study
from bci_music.eeg.chain import SignalConfig
from bci_music.evaluation.decoded import DecodedWindows
from bci_music.metrics.split_choice import SplitConfig, make_split
from bci_music.metrics.splits import WindowTable
from bci_music.simulate.nmed import simulate_nmed
from bci_music.simulate.study_plan import preset as study_preset
from bci_music.training.lab.prepare import prepare

LISTENERS, SONGS, PIECES = 5, 14, 22
LOOP = {"steps": 3, "lr": 1e-3, "warmup": 1, "ema": 0.5, "checkpoint_every": 2, "watch_every": 1000}
VIEW = {"n_times": 200, "keep_share": 0.1}
MINIMAL = {
    "window_s": 2.0,
    "encoder": {
        "n_channels": 125, "n_times": 250, "patch": 50, "dim": 16, "depth": 1, "heads": 2, "gains": False,
        "start": "paper",
    },
    "head": {"kind": "temporal", "hidden": 16, "embed_dim": 8},
    "pretrain": {
        "window_s": 2.0, "batch": 4, "teacher_views": {"count": 1, **VIEW}, "student_views": {"count": 1, **VIEW},
        "hidden": 16, "bottleneck": 8, "prototypes": 8, "loop": LOOP,
    },
    "align": {"window_s": 2.0, "batch": 8, "keep": [6, 8], "bands_weight": 0.0, "loop": LOOP},
    "adapt": {"hop_s": 4.0},
    "split": "time-block",
    "splitting": {"share": 0.4, "block_s": 4.0, "guard_s": 0.0},
}  # fmt: skip


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def planted(kind, *, signal=0.0, fingerprint=0.0, seed=0):
    """``(decoded, before, mean_embedding, split)``: five listeners, 14 songs of 22 windows, four of them before each.

    `signal` is how much of the music heard is in the decoded vectors, `fingerprint` how much of the song the
    recording was made with, which a decoder may have learned from the recordings themselves.
    """
    rng = np.random.default_rng(seed)
    place = np.array([(a, s, p) for a in range(LISTENERS) for s in range(SONGS) for p in range(PIECES)])
    song = np.array([f"s{s:02d}" for s in place[:, 1]])
    second = 4.0 * place[:, 2]
    listener = np.array([f"L{a}" for a in place[:, 0]])
    recording = np.char.add(np.char.add(listener, " "), song)
    split = make_split(kind, WindowTable(second, second + 4, recording, listener, song, second), SplitConfig(seed=1))
    songs, pieces = rng.standard_normal((SONGS, 32)), rng.standard_normal((SONGS, PIECES, 32))
    target = unit(songs[place[:, 1]] + pieces[place[:, 1], place[:, 2]])
    known = fingerprint * songs[place[:, 1]]
    during = signal * 6 * target + known + rng.standard_normal(target.shape)
    earlier = known + rng.standard_normal(target.shape)
    to_clap = rng.standard_normal((32, 512)) / 6

    def decoded(vectors, rows):
        return DecodedWindows(
            unit(vectors[rows]), target[rows], (vectors[rows] @ to_clap).astype(np.float32),
            unit(target[rows] @ to_clap), song[rows], song[rows], second[rows], second[rows], recording[rows],
            listener[rows], np.full((len(rows), 10), 0.1, np.float32),
        )  # fmt: skip

    mean = unit(target[split.train] @ to_clap).mean(0)
    first_four = np.flatnonzero(place[:, 2] < 4)
    return decoded(during, split.test), decoded(earlier, first_four), mean, split


@pytest.fixture(scope="session")
def plant():
    return planted


@pytest.fixture(scope="session")
def minimal():
    """The smallest settings, as a preset holds them."""
    return MINIMAL


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared study: three songs of 20 s, four simulated listeners."""
    folder = tmp_path_factory.mktemp("study")
    simulate_nmed(folder, study_preset("tiny"))
    study = join([open_study(kind, folder / kind) for kind in ("nmed-t", "nmed-h")])
    prepare(study, folder / "prepared", signal=SignalConfig(), quality=False)
    return folder / "prepared"


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A preset file of the smallest settings."""
    path = tmp_path_factory.mktemp("preset") / "minimal.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    return path


@pytest.fixture(scope="session")
def write_classifier():
    """Write a small audio classifier of a real class: nearest centroid, on random features, of given sounds."""

    def write(folder, sounds):
        import torch
        from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

        genres = ("blues", "folk", "jazz", "rock")[: len(sounds)]
        config = Wav2Vec2Config(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(16, 16),
            conv_kernel=(20, 8), conv_stride=(10, 8), num_feat_extract_layers=2, num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2, classifier_proj_size=16, feat_extract_norm="layer", mask_time_prob=0.0,
            id2label=dict(enumerate(genres)), label2id={g: i for i, g in enumerate(genres)},
        )  # fmt: skip
        extractor = Wav2Vec2FeatureExtractor()
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(0)
            model = Wav2Vec2ForSequenceClassification(config).eval()
            heard = [extractor(s, sampling_rate=16_000, return_tensors="pt").input_values for s in sounds]
            centres = torch.cat([model.projector(model.wav2vec2(x).last_hidden_state).mean(1) for x in heard])
            model.classifier.weight.copy_(1000 * centres)
            model.classifier.bias.copy_(-500 * centres.square().sum(1))
        model.save_pretrained(folder)
        extractor.save_pretrained(folder)
        return folder

    return write


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process: ``(exit code, what it said, what it said about mistakes)``."""
    threads = torch.get_num_threads()

    def verb(*arguments):
        monkeypatch.setattr("sys.argv", ["bci-music", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        text = capsys.readouterr()
        return left.value.code or 0, text.out, text.err

    yield verb
    torch.set_num_threads(threads)
