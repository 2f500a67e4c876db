"""A variation keeps as much of the library's clip as is asked for, goes on with it, and says what it is."""

import numpy as np
import pytest
import torch

from bci_music.generation.audioldm.generator import AudioLdmConfig
from bci_music.generation.audioldm.loading import write_random_audioldm
from bci_music.generation.audioldm.sampler import Variation, load_audioldm
from bci_music.generation.audioldm.solver import Solver
from bci_music.generation.audioldm.sources import Place, Sources
from bci_music.messages import EMBEDDING_DIM, Style, UserError
from bci_music.models.pack import Pack

pytestmark = pytest.mark.learning

FRAMES = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    return load_audioldm(write_random_audioldm(tmp_path_factory.mktemp("audioldm"), seed=1), device="cpu")


@pytest.fixture(scope="module")
def library():
    return Pack.open("demo").open_library()


@pytest.fixture(scope="module")
def sources(library, model):
    return Sources(library, model)


def vector(seed=0):
    made = np.random.default_rng(seed).standard_normal(EMBEDDING_DIM)
    return (made / np.linalg.norm(made)).astype(np.float32)


def clean(model):
    return torch.randn((1, 8, FRAMES // 4, 16), generator=torch.Generator().manual_seed(5))


def similarity(model, strength):
    source = clean(model)
    made = model.latents(vector(), FRAMES, seed=3, variation=Variation(source, strength))
    return float(torch.corrcoef(torch.stack([made.flatten(), source.flatten()]))[0, 1])


def test_the_less_noise_the_more_is_kept(model):
    kept = [similarity(model, strength) for strength in (0.1, 0.4, 0.8)]
    assert kept[0] > kept[1] > kept[2]
    assert kept[0] > 0.8


def test_it_takes_as_many_steps_as_an_invention(model):
    steps = []
    hook = model.denoiser.register_forward_pre_hook(lambda module, args: steps.append(1))
    settings = model.settings.model_copy(update={"steps": 6, "guidance": 1.0})
    model.latents(vector(), FRAMES, settings=settings, seed=3, variation=Variation(clean(model), 0.5))
    hook.remove()
    assert len(steps) in (6, 7)


@pytest.mark.parametrize("solver", ["ddim", "dpm++"])
def test_a_perfect_model_comes_back_to_the_clip_from_any_level(model, solver):
    """Where the prediction is the noise itself, all steps lead to the clean latents."""
    settings = model.settings.model_copy(update={"steps": 12, "solver": solver})
    source, noise = clean(model), torch.randn((1, 8, FRAMES // 4, 16), generator=torch.Generator().manual_seed(8))
    walk = Solver(model.scheduler.config, settings, 24, torch.device("cpu"), torch.Generator())
    first = walk.first_below(0.5)
    latents = walk.noised(source, noise, first)
    for i in range(first, len(walk.levels)):
        signal, sigma = walk._scales[i]
        latents = walk.step((latents - signal * source) / sigma, latents, i)
    assert torch.allclose(latents, source, atol=0.2)  # DDIM ends at the model's last level, not at none


def test_latents_of_a_clip_are_as_long_as_it_is_and_begin_again_at_its_end(sources):
    whole = sources.latents(Place(0, 0), 400)
    n = sources._encoded(0).shape[2]
    assert n == pytest.approx(25 * 9.88, abs=2)
    assert torch.equal(whole[:, :, n : n + 20], whole[:, :, :20])
    assert torch.equal(sources.latents(Place(0, 30), 10), whole[:, :, 30:40])


def test_a_clip_goes_on_until_another_is_clearly_nearer(sources, library):
    means = library.clip_means()
    assert sources.nearest(means[4], None) == Place(4, 0)
    assert sources.nearest(means[4], Place(4, 90)) == Place(4, 90)
    other = next(k for k in range(len(means)) if library.clips[k].song != library.clips[4].song)
    assert sources.nearest(means[other], Place(4, 90)).clip == other


def test_the_generator_varies_clip_after_clip_and_says_of_what(model, library, sources):
    from bci_music.generation.audioldm.generator import AudioLdmGenerator

    model.trained = True
    config = AudioLdmConfig(from_library=0.6, anytime=False, overlap_s=0.08, fade_s=0.04, margin_s=0.0, most_repeats=0)
    generator = AudioLdmGenerator(model, config, near=library.nearest_song, sources=sources)
    style, state = Style(library.clip_means()[7], confidence=1.0, made_s=1.0), None
    places = []
    for _ in range(3):
        block, state = generator.generate(style, state, seconds=0.64, deadline=float("inf"))
        places.append(state.source)
        song = library.songs[library.clips[7].song]
        assert block.spans[0].title == f"variation of {song['title']}"
        assert block.spans[0].song == song["id"]
    model.trained = False
    steps = np.diff([place.frame for place in places])
    assert places[0] == Place(7, 0)
    assert (steps == state.latents.shape[2] - generator._kept).all()


def test_without_a_library_there_is_nothing_to_vary(tmp_path):
    with pytest.raises(UserError, match="library"):
        AudioLdmConfig(from_library=0.5, checkpoint=str(write_random_audioldm(tmp_path))).open(None)
