"""AudioLDM from its parts: the right classes, the right mathematics, in time, and honest about what is not trained."""

import json
import shutil
import threading
import time

import numpy as np
import pytest

from bci_music.clock import Clock, ManualClock
from bci_music.generation.audioldm.generator import AudioLdmConfig, AudioLdmGenerator
from bci_music.generation.audioldm.loading import NAME, write_random_audioldm
from bci_music.generation.audioldm.sampler import Interrupted, load_audioldm
from bci_music.generation.audioldm.solver import SamplerSettings
from bci_music.generation.library import LibraryGenerator
from bci_music.messages import AUDIO_RATE_HZ, EMBEDDING_DIM, Embedding, Style, UserError
from bci_music.models.library import MusicLibrary
from bci_music.sound.loudness import DELAY, loudness_lufs
from bci_music.sound.player import ClockPlayer
from bci_music.sound.silence import silent_seconds
from bci_music.sound.splice import find_splice_point
from bci_music.sound.stage import SoundStage, StageConfig
from bci_music.sound.steering import Steering, angle
from bci_music.workers import Latest

pytestmark = pytest.mark.learning

SHORT = AudioLdmConfig(sampler=SamplerSettings(steps=2), anytime=False, overlap_s=0.08, fade_s=0.04)
SECONDS = 0.64
OVERLAP = round(0.08 * AUDIO_RATE_HZ)


def unit(seed):
    vector = np.random.default_rng(seed).standard_normal(EMBEDDING_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On a busy machine, threads of one small model wait for each other longer than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1)


@pytest.fixture(scope="module")
def model(directory):
    return load_audioldm(directory, device="cpu")


def make(generator, seed, state):
    return generator.generate(Style(unit(seed), made_s=1.0), state, seconds=SECONDS, deadline=0.0)


def test_the_random_model_is_seeded_safe_and_not_trained(directory, tmp_path, model):
    again, other = (write_random_audioldm(tmp_path / str(seed), seed) for seed in (1, 2))
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (again / weights).read_bytes() == (directory / weights).read_bytes()
    assert (other / weights).read_bytes() != (directory / weights).read_bytes()
    assert {p.suffix for p in directory.rglob("*") if p.is_file()} == {".json", ".safetensors"}
    assert not model.trained
    assert model.name == NAME
    block, _ = make(AudioLdmGenerator(model, SHORT), 0, None)
    assert "not trained" in block.spans[0].title


def test_clips_follow_each_other_at_one_loudness_and_are_reproducible(model):
    generator = AudioLdmGenerator(model, SHORT)
    first, state = make(generator, 1, None)
    second, after = make(generator, 2, state)
    again, _ = make(AudioLdmGenerator(model, SHORT), 2, state)
    np.testing.assert_array_equal(second.samples, again.samples)
    assert len(state.clip) == model.frames(SECONDS) * 160 * 3
    assert len(first.samples) == len(state.clip) - OVERLAP - DELAY
    assert second.samples.shape[1] == 2
    assert loudness_lufs(state.clip) == pytest.approx(-20.0, abs=0.1)
    assert (after.clips_generated, after.crossfades, after.clips_retrieved) == (2, 1, 0)
    # The new clip begins with the last one's latents, so the sound goes on in phase and the splice is no click.
    np.testing.assert_array_equal(after.latents[:, :, :2], state.latents[:, :, -2:])
    joined = np.concatenate([first.samples, second.samples])
    at = len(first.samples) + after.splice[0]
    assert 0 < after.splice[0] < after.splice[1] <= OVERLAP + DELAY
    steps = np.abs(np.diff(joined[:, 0]))
    assert steps[at - 2 : len(first.samples) + after.splice[1] + 2].max() <= np.quantile(steps, 0.9999)


def test_a_clip_goes_on_in_phase(model):
    generator = AudioLdmGenerator(model, AudioLdmConfig(sampler=SamplerSettings(steps=2), anytime=False))
    _, state = generator.generate(Style(unit(1)), None, seconds=3.84, deadline=0.0)
    _, after = generator.generate(Style(unit(2)), state, seconds=3.84, deadline=0.0)
    overlap, fade = (round(s * AUDIO_RATE_HZ) for s in (generator.config.overlap_s, generator.config.fade_s))
    found = find_splice_point(state.clip, after.clip, overlap, fade)
    assert (found.by, found.leave) == ("same", found.enter)
    assert found.similarity > 0.95


def test_the_style_turns_by_at_most_so_much_from_clip_to_clip(model):
    config = SHORT.model_copy(update={"turn_deg": 30.0})
    generator, state, similar = AudioLdmGenerator(model, config), None, []
    for seed in (1, 2, 2, 2, 2):
        before = state
        block, state = make(generator, seed, state)
        similar.append(block.spans[0].similarity)
        if before is not None:
            assert angle(before.vector, state.vector) <= np.deg2rad(30) + 1e-4
    assert similar[0] == pytest.approx(1.0)
    assert similar[1] < similar[2] < similar[3] <= similar[4] == pytest.approx(1.0)


def test_the_same_style_keeps_its_clip_once_and_is_not_counted(model):
    generator, state, counts = AudioLdmGenerator(model, SHORT), None, []
    for seed in (1, 1, 1, 2):
        _, state = make(generator, seed, state)
        counts.append((state.clips_generated, state.clips_kept))
    assert counts == [(1, 0), (1, 1), (2, 1), (3, 1)]


def test_a_clip_is_not_held_for_longer_than_allowed(model):
    config = SHORT.model_copy(update={"most_repeats": 100, "most_hold_s": 1.5})
    generator, state = AudioLdmGenerator(model, config), None
    titles = []
    for _ in range(5):
        block, state = make(generator, 1, state)
        titles.append(block.spans[0].title.removesuffix(" of a model that is not trained"))
    assert titles == ["clip 1", "clip 1, again", "clip 1, again", "clip 2", "clip 2, again"]  # 0.64 s each


def test_a_trained_model_s_clip_is_named_after_the_song_it_was_made_for(directory, tmp_path):
    """The vector turns towards the style, so for a while the clip belongs to the song the style has left."""
    trained = shutil.copytree(directory, tmp_path / "trained")
    (trained / "generator.json").write_text('{"trained": true, "name": "so it says"}')
    songs = {1: {"id": "one", "title": "One", "genre": "folk"}, 2: {"id": "two", "title": "Two"}}

    def near(vector):
        return songs[max(songs, key=lambda seed: vector @ unit(seed))]

    config = SHORT.model_copy(update={"turn_deg": 30.0})
    generator, state, spans = AudioLdmGenerator(load_audioldm(trained, device="cpu"), config, near=near), None, []
    for seed in (1, 2, 2, 2):
        block, state = make(generator, seed, state)
        spans.append(block.spans[0])
    assert [(s.kind, s.title, s.song, s.genre) for s in spans] == [
        ("generated", "One", "one", "folk"), ("generated", "One", "one", "folk"),
        ("generated", "Two", "two", ""), ("generated", "Two", "two", ""),
    ]  # fmt: skip
    generator = AudioLdmGenerator(load_audioldm(directory, device="cpu"), config, near=near)
    block, _ = make(generator, 1, None)
    assert (block.spans[0].song, block.spans[0].title) == ("", "clip 1 of a model that is not trained")


def test_steps_follow_the_deadline_but_not_below_the_least(directory):
    clock = ManualClock()
    model = load_audioldm(directory, device="cpu")
    calls = []
    model.denoiser.register_forward_pre_hook(lambda *_: calls.append(1))
    config = AudioLdmConfig(sampler=SamplerSettings(steps=10), overlap_s=0.1, fade_s=0.1, least_steps=3)
    generator = AudioLdmGenerator(model, config, clock)
    generator.warm_up(SECONDS)
    for left_s, least, most in ((100.0, 10, 10), (-1.0, 1, 4)):
        calls.clear()
        block, _ = generator.generate(Style(unit(4)), None, seconds=SECONDS, deadline=clock.now() + left_s)
        assert least <= len(calls) <= most
        assert silent_seconds(block.samples) == 0


def test_interrupting_ends_at_the_next_step(model):
    generator = AudioLdmGenerator(model, SHORT.model_copy(update={"sampler": SamplerSettings(steps=200)}))
    threading.Timer(0.2, generator.interrupt).start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        make(generator, 1, None)
    assert time.monotonic() - began < 3.0


def test_what_is_missing_is_named_in_one_sentence(directory, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="There is no AudioLDM"):
        AudioLdmConfig(checkpoint=str(tmp_path / "nothing")).open()
    broken = tmp_path / "broken"
    shutil.copytree(directory, broken)
    weights = broken / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match="safetensors"):
        AudioLdmConfig(checkpoint=str(broken)).open()
    shutil.rmtree(broken / "vae")
    with pytest.raises(UserError, match="no vae/"):
        AudioLdmConfig(checkpoint=str(broken)).open()
    shutil.copytree(directory / "vae", broken / "vae")
    (broken / "vae" / weights.name).write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match=r"vae.*could not be read as weights"):
        AudioLdmConfig(checkpoint=str(broken)).open()
    shutil.copytree(directory / "vae", broken / "vae", dirs_exist_ok=True)
    config = broken / "vocoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sampling_rate": 22_050}))
    with pytest.raises(UserError, match="vocoder"):
        AudioLdmConfig(checkpoint=str(broken)).open()


@pytest.mark.realtime
def test_in_the_stage_the_next_clip_is_there_in_time(model, library_dir, tmp_path):
    clock, latest = Clock(), Latest()
    config = AudioLdmConfig(sampler=SamplerSettings(steps=3), overlap_s=0.5, fade_s=0.3)
    generator = AudioLdmGenerator(model, config, clock)
    player = ClockPlayer(clock, tmp_path / "a.wav", subtype="FLOAT", prime_s=0.5)
    fallback = LibraryGenerator(MusicLibrary.load(library_dir))
    stage = SoundStage(generator, fallback, Steering(latest), player, clock, config=StageConfig(clip_s=2.0))
    player.start()
    number = 0
    until = time.monotonic() + 90  # a busy machine warms up for long; then by what was played
    while time.monotonic() < until and (
        stage.status(clock.now()).clips_generated < 2 or player.counters.played_frames < 5.0 * AUDIO_RATE_HZ
    ):
        now = clock.now()
        vector = unit(number // 40)
        latest.put(Embedding(vector, np.ones(1, np.float32), 0.5, number, 0, 1, now, now, 1.0), now)
        number += 1
        stage.step(now)
        time.sleep(0.02)
    player.stop()
    assert stage.close()
    status = stage.status(clock.now())
    assert status.clips_generated >= 2
    assert status.clips_retrieved == status.fallbacks == status.underruns == 0
    assert status.first_eeg_sound_s is not None
    assert not status.trained
    assert silent_seconds(tmp_path / "a.wav") == 0


def test_a_clips_edge_is_made_and_thrown_away(model):
    """What ends a clip is its inside: the same clip with the edge, less the edge, in latents and in sound."""
    without, with_edge = (AudioLdmGenerator(model, SHORT.model_copy(update={"margin_s": s})) for s in (0.0, 0.16))
    style = Style(unit(5), made_s=1.0)
    _, whole = without.generate(style, None, seconds=SECONDS + 0.16, deadline=0.0)
    _, cut = with_edge.generate(style, None, seconds=SECONDS, deadline=0.0)
    edge = whole.latents.shape[2] - cut.latents.shape[2]
    assert edge * model.downsample == 16  # frames of 10 ms
    assert np.array_equal(whole.latents[:, :, :-edge], cut.latents)
    assert len(whole.clip) - len(cut.clip) == round(0.16 * AUDIO_RATE_HZ)
    inside = slice(0, len(cut.clip) - 2400)  # up to the loudness, and resampling at the very end
    assert np.corrcoef(whole.clip[inside, 0], cut.clip[inside, 0])[0, 1] > 0.999
