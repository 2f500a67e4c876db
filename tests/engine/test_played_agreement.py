"""Does what plays follow what is heard? Library clips at once, generated clips after the time they take."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bci_music.engine.history import History, SongLabel
from bci_music.engine.report import played_agreement
from bci_music.messages import EMBEDDING_DIM, MusicMarker, SoundSpan
from bci_music.sound.span_log import same_sound

PIECE_S, CLIP_S, WINDOW_S, LATE_S = 8.0, 4.0, 4.0, 6.0
SONGS = tuple(SongLabel(name, name.upper()) for name in "abcde")


@pytest.fixture
def history():
    history = History(SONGS, np.eye(5, EMBEDDING_DIM, dtype=np.float32), WINDOW_S, 0.5)
    for number in range(20):
        history.add_marker(MusicMarker(100.0 + number * PIECE_S, SONGS[number % 5].id, ""))
    return history


def clips(history, kind, song_at):
    """A clip every 4 s, ordered 6 s before it is heard: (span, from, to)."""
    found = []
    for start_s in np.arange(110.0, 255.0, CLIP_S):
        made_s = start_s - LATE_S
        span = SoundSpan(0, 1, kind, "", song_at(made_s - WINDOW_S / 2), style_made_s=made_s)
        found.append((span, start_s, start_s + CLIP_S))
    return found


def engine_with(history, spans):
    return SimpleNamespace(history=history, sound=SimpleNamespace(spans=lambda: spans))


def test_a_generated_clip_is_compared_with_what_it_was_made_from(history):
    def heard(time_s):
        return history.heard_at(time_s).song

    follows = played_agreement(engine_with(history, clips(history, "generated", heard)), 255.0)
    assert follows.share == 1.0
    assert follows.p < 0.01
    assert follows.shifted_share < 0.4
    at_once = played_agreement(engine_with(history, clips(history, "retrieved", heard)), 255.0)
    assert at_once.share < 0.2  # the library is asked what plays now
    of_others = played_agreement(
        engine_with(history, clips(history, "generated", lambda time_s: "ecabd"["abcde".index(heard(time_s))])), 255.0
    )
    assert of_others.share == 0.0
    assert of_others.p > 0.5


def test_each_generated_clip_keeps_its_own_span():
    one = SoundSpan(0, 10, "generated", "Tune", "tune", style_made_s=1.0)
    assert not same_sound(one, replace(one, start=10, stop=20, style_made_s=5.0))
    assert same_sound(one, replace(one, start=10, stop=20))
    library = replace(one, kind="retrieved")
    assert same_sound(library, replace(library, start=10, stop=20, style_made_s=5.0))
