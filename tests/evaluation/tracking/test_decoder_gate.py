"""A decoder through the same gate: one that knows the second is read, one that knows the song only is not."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import yaml
from untrained_pack import write_untrained

from bci_music.eeg.chain import SignalConfig
from bci_music.evaluation.tracking.decoder import HeardEeg, decoder_evidence, heard_eeg
from bci_music.evaluation.tracking.result import TrackingSettings
from bci_music.messages import UserError
from bci_music.models.decoder import Decoder
from bci_music.models.embedder import StatisticsEmbedder
from bci_music.models.pack import DecoderConfig
from bci_music.models.sizes import EncoderConfig, HeadConfig
from bci_music.training.eeg.corpus import Segment

pytestmark = pytest.mark.learning

SECONDS, RATE = 80, 125


@cache
def tune(seed):
    """Tones that change every second or so and never come back."""
    rng = np.random.default_rng(seed)
    pitch = np.repeat(rng.uniform(100, 3000, SECONDS * 2), 8_000)
    loud = np.repeat(rng.uniform(0.05, 1.0, SECONDS * 4), 4_000)
    t = np.arange(SECONDS * 16_000) / 16_000
    return (0.2 * loud * np.sin(2 * np.pi * pitch * t) + 0.01 * rng.standard_normal(t.size)).astype(np.float32)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("embedder")
    StatisticsEmbedder.fit([tune(0), tune(1)], 16_000, n_axes=8).save(directory)
    return directory


@pytest.fixture(scope="module")
def heard():
    """Three listeners hear two songs; the EEG is nothing but which song it is and which second."""
    segments = []
    for listener in range(3):
        for song in range(2):
            eeg = np.zeros((8, SECONDS * RATE), np.float16)
            eeg[0], eeg[1] = song, np.repeat(np.arange(SECONDS), RATE)
            name = f"L{listener} s{song}"
            segments.append(Segment(eeg, np.ones(8, bool), f"s{song}", 0.0, f"L{listener}", name))
    sounds = {f"s{song}": (tune(song), 16_000.0) for song in range(2)}
    return HeardEeg(segments, sounds, {song: song for song in sounds})


class Knowing:
    """Decodes what was heard at each window, or something that is the same all along the song, and noise."""

    def __init__(self, embedder, knows):
        self.pack = SimpleNamespace(embedder=embedder)
        self.manifest = SimpleNamespace(name="knowing", signal=SignalConfig(), decoder=SimpleNamespace(min_channels=4))
        loaded = StatisticsEmbedder.load(embedder)
        self._music, self._knows = [loaded.embed_frames(tune(song), 16_000) for song in range(2)], knows
        self._rng = np.random.default_rng(0)

    def decode_many(self, samples, used):
        vectors = []
        for window in samples:
            song, second = int(window[0, 0]), int(window[1, 0])
            vector = self._music[song][second if self._knows == "second" else 10]
            vectors.append(vector + 0.05 * self._rng.standard_normal(512))
        return {"vector": np.array(vectors, np.float32)}


@pytest.mark.parametrize(("knows", "reads"), [("second", True), ("song", False)])
def test_only_what_changes_along_the_song_counts(embedder, heard, knows, reads):
    found = decoder_evidence(Knowing(embedder, knows), heard, TrackingSettings(draws=299))
    assert found.reads is reads
    assert len(found.rows) == 6
    assert (found.r > 0.3) is reads
    assert found.target == "embedding"


@pytest.fixture(scope="module")
def small(tmp_path_factory, embedder):
    directory = tmp_path_factory.mktemp("packs") / "small"
    (directory / "library").mkdir(parents=True)
    loaded = StatisticsEmbedder.load(embedder)
    loaded.save(directory / "embedder")
    np.save(directory / "library" / "prototypes.npy", np.stack([loaded.embed(tune(s), 16_000) for s in range(2)]))
    np.save(directory / "library" / "embeddings.npy", np.stack([loaded.embed(tune(s), 16_000) for s in range(2)]))
    (directory / "library" / "a.ogg").touch()
    (directory / "library" / "index.json").write_text(
        '{"songs": [{"id": "a", "title": "a"}, {"id": "b", "title": "b"}], '
        '"clips": [{"file": "a.ogg", "song": "a", "rows": [0, 1]}]}'
    )
    config = DecoderConfig(encoder=EncoderConfig(dim=32, depth=1, heads=2), head=HeadConfig(hidden=32, embed_dim=24))
    return write_untrained(directory, decoder=config)


def test_a_pack_takes_the_gate_only_on_its_own_signal_path(small, data):
    decoder = Decoder.from_pack(small, device="cpu")
    with pytest.raises(UserError, match="was prepared for another signal path than pack untrained's"):
        heard_eeg(data, decoder)  # prepared without channel quality


def test_a_song_too_short_to_shift_is_a_sentence(small, heard):
    decoder = Decoder.from_pack(small, device="cpu")
    short = [
        Segment(np.zeros((125, 20 * RATE), np.float16), np.ones(125, bool), "s0", 0.0, "L0", "r0")
    ]
    with pytest.raises(UserError, match="No recording holds 24 s of EEG that pack untrained can decode"):
        decoder_evidence(decoder, HeardEeg(short, heard.sounds, heard.pieces))


def test_a_plain_folder_goes_the_packs_own_way(small, tmp_path):
    rng, names = np.random.default_rng(0), [f"E{i}" for i in range(1, 61)]
    entries = []
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", (20 * rng.standard_normal((46 * RATE, 60))).astype(np.float32))
        soundfile.write(tmp_path / f"{number}.wav", tune(number)[: 44 * 16_000], 16_000)
        entries.append({
            "eeg": f"{number}.npy", "rate_hz": RATE, "electrodes": names, "listener": "L0", "piece": f"s{number}",
            "audio": f"{number}.wav", "onset_s": 1.5,
        })  # fmt: skip
    (tmp_path / "tracking.yaml").write_text(yaml.safe_dump({"recordings": entries}))
    decoder = Decoder.from_pack(small, device="cpu")
    heard = heard_eeg(tmp_path, decoder)
    assert {segment.song for segment in heard.segments} == {"s0", "s1"}
    assert all(0 <= segment.song_start_s < 5 for segment in heard.segments)
    found = decoder_evidence(decoder, heard, TrackingSettings(draws=299))
    assert len(found.rows) == 2
    assert not found.reads  # its weights are random


def test_envelopes_are_no_sound_to_embed(small, tmp_path):
    entry = {"eeg": "a.npy", "rate_hz": 125, "electrodes": ["Cz"], "listener": "L", "piece": "s",
             "envelope": "a.csv", "envelope_hz": 64}  # fmt: skip
    (tmp_path / "tracking.yaml").write_text(yaml.safe_dump({"recordings": [entry]}))
    with pytest.raises(UserError, match="gives envelopes only"):
        heard_eeg(tmp_path, Decoder.from_pack(small, device="cpu"))
