"""Above chance, measured on simulated listeners and the shipped pack: how soon it is shown, and how often on sham."""

import numpy as np
import pytest

from bci_music.compose.composer import HELD_OUT_SECONDS, SONGS
from bci_music.engine.build import make_chain
from bci_music.engine.chance import SHAM_ALARMS, SongChance
from bci_music.messages import Embedding, MusicMarker, StreamInfo, Window
from bci_music.metrics.controls import derangement
from bci_music.metrics.sequential import ALARM_RATE
from bci_music.models.decoder import Decoder
from bci_music.models.pack import Pack
from bci_music.simulate.listener import SimulatedListener
from bci_music.simulate.session import make_session

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
SONG_S, RECORDINGS = 8.5, 40


def heard(number, decoder):
    """A recording of all songs in an order of its own: embeddings, one a second, and the music.

    Even numbers are listener 1 of the training, odd ones listeners that it never saw.
    """
    rng = np.random.default_rng([18, number])
    low, high = HELD_OUT_SECONDS
    program = [(SONGS[i].id, float(rng.uniform(low, high - SONG_S)), SONG_S) for i in rng.permutation(len(SONGS))]
    listener = SimulatedListener(1 if number % 2 == 0 else 900 + number)
    session = make_session(listener, program, 880_000 + number)
    chain = make_chain(decoder, StreamInfo(session.name, "file", session.labels, session.sfreq_hz))
    windows = [
        decoder.decode(window, 0.0)
        for piece in session.grid_rows()
        for window in chain.process(piece.samples, piece.times, piece.flags, piece.first_index)
        if isinstance(window, Window) and window.decodable and window.index % 2 == 0
    ]
    return windows, [song for song, _, _ in program]


def answer(windows: list[Embedding], songs, pack):
    library = pack.open_library()
    chance = SongChance([song["id"] for song in library.songs], library.prototypes, 4.0)
    markers = [MusicMarker(SONG_S * i, song) for i, song in enumerate([*songs, None])]
    for window in windows:
        chance.add(window, markers)
    return chance.answer()


def test_every_listener_is_shown_soon_and_sham_no_oftener_than_stated():
    pack = Pack.open("demo")
    decoder = Decoder.from_pack(pack)
    recordings = [heard(number, decoder) for number in range(RECORDINGS)]
    found = [answer(windows, songs, pack) for windows, songs in recordings]
    assert all(one.shown for one in found)
    assert np.median([one.shown_s for one in found]) < 20.0

    sham = [
        answer(recordings[i][0], recordings[j][1], pack)
        for seed in range(5)
        for i, j in enumerate(derangement(RECORDINGS, seed))
    ]
    alarms = sum(one.shown for one in sham)
    assert alarms <= ALARM_RATE * len(sham)
    assert (alarms, len(sham)) == SHAM_ALARMS
