"""A small untrained pack."""

import pytest

from bci_music.models.pack import DecoderConfig
from bci_music.models.sizes import EncoderConfig, HeadConfig


@pytest.fixture(scope="session")
def small_decoder():
    """The real layout of channels and times, thin and shallow."""
    return DecoderConfig(encoder=EncoderConfig(dim=32, depth=1, heads=2), head=HeadConfig(hidden=32, embed_dim=24))


@pytest.fixture(scope="session")
def pack_directory(tmp_path_factory, small_decoder):
    """A valid untrained pack with prototypes; never written to by a test."""
    import numpy as np
    from untrained_pack import write_untrained

    directory = tmp_path_factory.mktemp("pack") / "small"
    (directory / "library").mkdir(parents=True)
    prototypes = np.random.default_rng(0).standard_normal((5, 512)).astype(np.float32)
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    np.save(directory / "library" / "prototypes.npy", prototypes)
    write_untrained(directory, decoder=small_decoder)
    return directory
