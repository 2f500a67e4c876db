"""The decoder: same window, same bits; bad channels do not matter; too few are refused."""

import shutil

import numpy as np
import pytest

from bci_music.messages import UserError, Window
from bci_music.models.decoder import Decoder, TooFewChannels
from bci_music.models.pack import MANIFEST, Pack


@pytest.fixture(scope="module")
def decoder(pack_directory):
    return Decoder.from_pack(pack_directory, device="cpu")


def window(seed=0, used=None):
    samples = np.random.default_rng(seed).standard_normal((125, 500)).astype(np.float32)
    used = np.ones(125, bool) if used is None else used
    return Window(samples, used, np.zeros(500, np.uint8), 3, 100, 599, 12.5, connection=2)


def test_the_same_window_gives_the_same_bits(decoder, pack_directory):
    first = decoder.decode(window(), now=13.0)
    decoder.decode(window(1), now=13.5)
    again = Decoder.from_pack(pack_directory, device="cpu").decode(window(), now=99.0)
    np.testing.assert_array_equal(first.vector, again.vector)
    np.testing.assert_array_equal(first.attention, again.attention)
    assert first.confidence == again.confidence


def test_the_place_in_memory_does_not_matter(decoder):
    samples = window().samples
    shifted = np.empty(samples.size + 3, np.float32)[3:].reshape(samples.shape)
    shifted[:] = samples
    np.testing.assert_array_equal(decoder.decode_array(shifted).vector, decoder.decode_array(samples).vector)


def test_an_embedding_says_where_it_comes_from(decoder):
    made = decoder.decode(window(), now=13.0)
    assert (made.window_index, made.first_sample, made.last_sample, made.end_s) == (3, 100, 599, 12.5)
    assert (made.made_s, made.connection) == (13.0, 2)
    assert made.vector.shape == (512,)
    assert made.vector.dtype == np.float32
    assert np.linalg.norm(made.vector) == pytest.approx(1.0, abs=1e-5)
    assert np.nansum(made.attention) == pytest.approx(1.0, abs=1e-5)
    assert made.decode_ms > 0


def test_different_windows_give_different_vectors(decoder):
    assert not np.allclose(decoder.decode(window(0), 0.0).vector, decoder.decode(window(1), 0.0).vector)


def test_a_bad_channel_is_an_absent_token_even_when_it_holds_nan(decoder):
    used = np.ones(125, bool)
    used[[4, 60]] = False
    clean, spoiled = window(used=used), window(used=used)
    spoiled.samples[[4, 60]] = np.nan
    a, b = decoder.decode(clean, 0.0), decoder.decode(spoiled, 0.0)
    np.testing.assert_array_equal(a.vector, b.vector)
    assert np.isnan(b.attention[[4, 60]]).all()
    assert np.isfinite(b.attention[used]).all()


def test_arrays_find_their_dead_channels_themselves(decoder):
    samples = window().samples.copy()
    samples[7], samples[9, 3] = 0.0, np.nan
    used = np.ones(125, bool)
    used[[7, 9]] = False
    np.testing.assert_array_equal(decoder.decode_array(samples).vector, decoder.decode(window(used=used), 0.0).vector)


def test_too_few_channels_are_refused_as_a_value_error(decoder):
    used = np.zeros(125, bool)
    used[:7] = True
    with pytest.raises(TooFewChannels, match="7 usable channels, at least 8"):
        decoder.decode(window(used=used), 0.0)
    assert issubclass(TooFewChannels, ValueError)
    used[7] = True
    assert decoder.decode(window(used=used), 0.0).vector.shape == (512,)


def test_a_wrong_shape_is_a_sentence(decoder):
    with pytest.raises(UserError, match=r"expected \(125, 500\)"):
        decoder.decode_array(np.zeros((64, 500), np.float32))


def test_batches_agree_with_single_windows(decoder):
    used = np.ones((3, 125), bool)
    used[1, 5] = used[2, :20] = False
    samples = np.stack([window(seed).samples for seed in range(3)])
    many = decoder.decode_many(samples, used)
    for row in range(3):
        one = decoder.decode(window(row, used[row]), 0.0)
        np.testing.assert_allclose(many["vector"][row], one.vector, atol=1e-5)
        np.testing.assert_allclose(many["attention"][row], one.attention, atol=1e-6)


def test_warm_up_measures(decoder):
    assert decoder.warm_up(2) > 0
    assert decoder.device_name.startswith("cpu")
    assert len(decoder.montage.names) == 125


def test_an_unknown_device_is_a_sentence(pack_directory):
    with pytest.raises(UserError, match="choose one of"):
        Decoder.from_pack(pack_directory, device="abacus")


def test_weights_of_another_size_are_a_sentence(pack_directory, tmp_path):
    copy = shutil.copytree(pack_directory, tmp_path / "copy")
    manifest = Pack.open(copy).manifest
    wrong = manifest.decoder.model_copy(update={"encoder": manifest.decoder.encoder.model_copy(update={"depth": 2})})
    (copy / MANIFEST).unlink()
    Pack.write(copy, manifest.model_copy(update={"decoder": wrong}))
    with pytest.raises(UserError, match="do not fit the sizes"):
        Decoder.from_pack(copy)


def test_a_batch_step_by_step_is_the_encoders_course_beside_the_windows_vector(decoder):
    used = np.ones((2, 125), bool)
    used[1, 3] = False
    samples = np.stack([window(0).samples, window(1).samples])
    spoiled = samples.copy()
    spoiled[1, 3] = np.nan
    steps = decoder.steps_many(samples, used)
    assert steps.shape == (2, 10, 32 + 24)
    assert steps.dtype == np.float32
    vectors, _ = decoder.encode_many(samples, used)
    np.testing.assert_array_equal(steps[:, :, 32:], np.repeat(vectors[:, None], 10, 1))
    assert (steps[:, :, :32].std(1) > 0).all()  # it moves
    np.testing.assert_array_equal(decoder.steps_many(spoiled, used), steps)


def test_steps_beside_an_embedding_change_nothing_else(decoder):
    plain, stepped = decoder.decode(window(), now=13.0), decoder.decode(window(), now=13.0, steps=True)
    assert plain.steps is None
    np.testing.assert_array_equal(plain.vector, stepped.vector)
    np.testing.assert_array_equal(plain.attention, stepped.attention)
    assert plain.confidence == stepped.confidence
    assert (stepped.steps.seconds, stepped.steps.end_s) == (4.0, 12.5)
    many = decoder.steps_many(window().samples[None], np.ones((1, 125), bool))
    np.testing.assert_array_equal(stepped.steps.values, many[0])
