"""The library generator: exact blocks, a state that is a value, seamless loops, the nearest song."""

import json
import shutil

import numpy as np
import pytest

from bci_music.generation.library import LibraryConfig, LibraryGenerator, read_sound
from bci_music.messages import AUDIO_RATE_HZ, Style, UserError
from bci_music.models.library import MusicLibrary
from bci_music.sound.loop import Loop
from bci_music.sound.loudness import to_db


@pytest.fixture(scope="module")
def generator(library_dir):
    return LibraryGenerator(MusicLibrary.load(library_dir))


def style(vector, confidence=0.5, from_eeg=True):
    return Style(vector, confidence=confidence, made_s=1.0, from_eeg=from_eeg)


def play(generator, style, state, seconds, block_s=0.25):
    blocks = []
    for _ in range(round(seconds / block_s)):
        block, state = generator.generate(style, state, seconds=block_s, deadline=0.0)
        blocks.append(block)
    return blocks, state


def test_blocks_are_exact_and_their_spans_cover_them(generator, prototypes):
    state = None
    for turn, seconds in enumerate((0.5, 0.333, 1.0, 0.05, 2.0)):
        block, state = generator.generate(style(prototypes[turn % 3]), state, seconds=seconds, deadline=0.0)
        assert block.samples.shape == (round(seconds * AUDIO_RATE_HZ), 2)
        assert block.samples.dtype == np.float32
        assert block.spans[0].start == 0
        assert block.spans[-1].stop == len(block.samples)


def test_same_state_and_style_give_the_same_block_and_nothing_is_left_outside(generator, library_dir, prototypes):
    _, state = play(generator, style(prototypes[0]), None, 3.0)
    first = generator.generate(style(prototypes[2]), state, seconds=1.0, deadline=0.0)
    play(generator, style(prototypes[1]), None, 5.0)
    second = generator.generate(style(prototypes[2]), state, seconds=1.0, deadline=0.0)
    fresh = LibraryGenerator(MusicLibrary.load(library_dir)).generate(
        style(prototypes[2]), state, seconds=1.0, deadline=0.0
    )
    for other in (second, fresh):
        np.testing.assert_array_equal(first[0].samples, other[0].samples)
        assert first[0].spans == other[0].spans
        assert first[1] == other[1]


def test_cutting_into_blocks_does_not_change_the_sound(generator, prototypes):
    _, state = play(generator, style(prototypes[0]), None, 2.0)
    whole, _ = generator.generate(style(prototypes[1]), state, seconds=2.0, deadline=0.0)
    parts, _ = play(generator, style(prototypes[1]), state, 2.0, 0.1)
    np.testing.assert_array_equal(np.concatenate([b.samples for b in parts]), whole.samples)


def test_it_waits_first_and_then_plays_the_nearest_song(generator, prototypes):
    blocks, state = play(generator, style(prototypes[0], from_eeg=False), None, 2.0)
    assert {s.kind for b in blocks for s in b.spans} == {"waiting"}
    assert to_db(float(blocks[-1].samples.std())) == pytest.approx(-30, abs=3)
    for number, song in enumerate(("low", "middle", "high")):
        blocks, state = play(generator, style(prototypes[number]), state, 2.5)
        span = blocks[-1].spans[-1]
        assert (span.kind, span.song, span.genre) == ("retrieved", song, "test")
        assert span.similarity > 0.9
    blocks, state = play(generator, style(prototypes[2], confidence=0.0), state, 1.0)
    assert blocks[-1].spans[-1].kind == "held"


def test_a_small_lead_does_not_change_the_song(generator, prototypes):
    _, state = play(generator, style(prototypes[0]), None, 3.0)
    between = prototypes[0] + prototypes[1]
    near = style((between + 0.005 * prototypes[1]) / np.linalg.norm(between))
    assert generator.choice(near, state) == generator.chosen(state)
    clear = style((between + 0.5 * prototypes[1]) / np.linalg.norm(between))
    assert generator.choice(clear, state) != generator.chosen(state)


def test_a_crossfade_keeps_the_level(generator, prototypes):
    _, state = play(generator, style(prototypes[0]), None, 3.0)
    block, after = generator.generate(style(prototypes[1]), state, seconds=2.0, deadline=0.0)
    assert after.crossfades == state.crossfades + 1
    level = block.samples.reshape(4, -1).std(axis=1)  # half a second is one beat of the tone
    assert 20 * np.log10(level.max() / level.min()) < 2.5
    assert [s.song for s in block.spans] == ["low", "middle"]
    assert block.spans[0].stop == pytest.approx(0.35 * AUDIO_RATE_HZ, abs=2)


def test_the_song_enters_on_the_beat(generator, prototypes):
    _, state = play(generator, style(prototypes[0]), None, 3.1)
    state = generator.generate(style(prototypes[1]), state, seconds=0.25, deadline=0.0)[1]
    beat = AUDIO_RATE_HZ // 2  # 120 beats a minute
    assert state.voice.position % beat == state.leaving.position % beat


def test_a_loop_goes_on_in_tempo_without_a_click():
    beat = AUDIO_RATE_HZ // 2
    n = round(6.3 * AUDIO_RATE_HZ)
    tone = np.sin(2 * np.pi * 200 * np.arange(n) / AUDIO_RATE_HZ).astype(np.float32)
    loop = Loop(np.stack([tone, tone], axis=1), fade_s=0.6, bpm=120)
    assert loop.period == 8 * beat  # two whole bars fit beside the fade
    out = loop.render(0, 3 * loop.period)
    assert np.abs(np.diff(out[:, 0])).max() < 1.5 * np.abs(np.diff(tone)).max()
    np.testing.assert_array_equal(out[loop.period : 2 * loop.period], out[2 * loop.period :])
    np.testing.assert_array_equal(loop.render(1234, 5000), out[1234:6234])


def test_memory_of_clips_is_bounded(library_dir, prototypes):
    generator = LibraryGenerator(MusicLibrary.load(library_dir), LibraryConfig(clips_in_memory=2))
    state = None
    for number in (0, 1, 2, 0):
        _, state = play(generator, style(prototypes[number]), state, 2.0)
    assert len(generator._loops) == 2


def test_clips_are_read_as_stereo_at_48_khz(library_dir):
    samples = read_sound(library_dir / "low.ogg")
    assert samples.shape == (6 * AUDIO_RATE_HZ, 2)


@pytest.mark.parametrize("harm", ["missing", "json", "shape", "rows", "clip"])
def test_a_damaged_library_is_one_sentence(library_dir, tmp_path, harm):
    directory = tmp_path / "library"
    shutil.copytree(library_dir, directory)
    index = json.loads((directory / "index.json").read_text())
    if harm == "missing":
        (directory / "prototypes.npy").unlink()
    elif harm == "json":
        (directory / "index.json").write_text("{")
    elif harm == "shape":
        np.save(directory / "prototypes.npy", np.zeros((2, 512), np.float32))
    elif harm == "rows":
        index["clips"][0]["rows"] = [5, 400]
        (directory / "index.json").write_text(json.dumps(index))
    else:
        (directory / "high.ogg").unlink()
    with pytest.raises(UserError, match="library"):
        MusicLibrary.load(directory)
