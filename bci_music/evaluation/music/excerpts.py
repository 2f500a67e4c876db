"""Music for the oracle: songs that no training saw, and stretches that simulated listeners heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from bci_music.compose.composer import mono_16k, render, song_spec
from bci_music.compose.songbook import GENRES, TEST_SEEDS, new_song
from bci_music.eeg.montage import Montage
from bci_music.evaluation.music.fidelity import RATE_HZ, Heard
from bci_music.messages import Log
from bci_music.models.decoder import Decoder
from bci_music.models.embedder import Embedder
from bci_music.models.log_mel import normalised
from bci_music.models.pack import Pack
from bci_music.training.eeg.sessions import HeardWindows
from bci_music.training.eeg.simulated import held_out_windows

CLIP_S = 10.24
_SKIPPED_S = 12.0  # of a song: its introduction
_STRETCH = 2  # windows of 4 s that one clip is made for


def unheard_songs(
    per_genre: int, embedder: Embedder, progress: Callable[[int, int], None] = lambda done, of: None
) -> list[Heard]:
    """A clip of each of `per_genre` songs of every genre from the seeds kept for tests, with its own embedding."""
    pieces: list[Heard] = []
    for number, genre in enumerate(GENRES):
        for k in range(per_genre):
            seed = TEST_SEEDS[number * 100_000 + k]
            song = render(new_song(genre, seed), CLIP_S, RATE_HZ, start_s=_SKIPPED_S)
            sound = normalised(song.samples.mean(1)[: round(CLIP_S * RATE_HZ)])
            pieces.append(Heard(f"{genre} {seed}", genre, sound, embedder.embed(sound, RATE_HZ)))
            progress(len(pieces), per_genre * len(GENRES))
    return pieces


def decoded_excerpts(
    pack: Pack, listeners: Iterable[int], recordings: int = 1, snr_db: float = -10.0,
    log: Log = lambda text: None,
) -> list[Heard]:
    """Stretches of held-out song seconds with the mean of the vectors decoded from a simulated listener's EEG.

    The split is by time block: neither these seconds of the songs nor these recordings were in the decoder's training.
    """
    decoder = Decoder.from_pack(pack)
    montage = Montage.load(pack.manifest.montage)
    found: list[Heard] = []
    for windows in held_out_windows(tuple(listeners), recordings, snr_db, pack.manifest.signal, montage, log):
        found += _excerpts(decoder, windows)
    return found


def _excerpts(decoder: Decoder, heard: HeardWindows) -> list[Heard]:
    length = decoder.manifest.signal.window.seconds
    made = decoder.decode_many(
        np.stack([w.samples for w in heard.windows]), np.stack([w.used for w in heard.windows])
    )["vector"]
    found = []
    for first in range(0, len(heard.songs) - _STRETCH + 1, _STRETCH):
        rows = range(first, first + _STRETCH)
        song, begins = heard.songs[first], float(heard.second[first])
        follow = all(
            heard.songs[i] == song and abs(heard.second[i] - begins - (i - first) * length) < 0.05 for i in rows
        )
        if follow:
            sound = mono_16k(song)[round(begins * RATE_HZ) : round((begins + _STRETCH * length) * RATE_HZ)]
            found.append(Heard(song, song_spec(song).genre, normalised(sound), _unit(made[list(rows)].mean(0))))
    return found


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vector / np.linalg.norm(vector)).astype(np.float32)
