"""The ridge that follows the alignment chooses its penalty by music it has not seen, or says why it cannot."""

from dataclasses import replace

import pytest

from bci_music.messages import UserError
from bci_music.models.network import Network
from bci_music.training.eeg.adapt import fit_adapter
from bci_music.training.eeg.corpus import Corpus

pytestmark = pytest.mark.learning


def first_seconds(corpus, seconds):
    """The same segments, cut short."""
    cut = [replace(segment, eeg=segment.eeg[:, : round(seconds * corpus.sfreq_hz)]) for segment in corpus.segments]
    return Corpus(cut, corpus.music, sfreq_hz=corpus.sfreq_hz, n_times=corpus.n_times, patch=corpus.patch)


def test_too_little_music_to_choose_the_penalty_is_one_sentence(world, small):
    network, short = Network(small), first_seconds(world[0], 13.0)  # windows of 2 s: the last one begins at 11 s
    with pytest.raises(UserError, match=r"within 12 s of song time.*adapt --alpha 0\.1"):
        fit_adapter(network, short)
    assert fit_adapter(network, short, alpha=0.5).alpha == 0.5
    assert fit_adapter(network, first_seconds(world[0], 20.0)).alpha > 0
