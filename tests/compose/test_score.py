"""The score: chords are read rightly, and what is written lies where the music says."""

import numpy as np
import pytest

from bci_music.compose.composer import SONGS
from bci_music.compose.harmony import nearest, parse_chord, pitch_class, scale_notes, voicing
from bci_music.compose.score import lay_out, write_score


@pytest.mark.parametrize(
    ("symbol", "tones", "bass"),
    [("C", {0, 4, 7}, 0), ("F#m7", {6, 9, 1, 4}, 6), ("Bb13", {10, 2, 8, 7}, 10), ("A/C#", {9, 1, 4}, 1)],
)
def test_chord_symbols(symbol, tones, bass):
    chord = parse_chord(symbol)
    assert set(chord.tones) == tones
    assert chord.bass == bass


@pytest.mark.parametrize("symbol", ["H", "Cfoo", "", "C/H"])
def test_unknown_chord_symbols_are_refused(symbol):
    with pytest.raises(ValueError, match="unknown chord"):
        parse_chord(symbol)


def test_voices_move_little():
    previous = voicing(parse_chord("C"), 60)
    following = voicing(parse_chord("F"), 60, previous)
    assert {n % 12 for n in following} == {5, 9, 0}
    assert max(min(abs(a - b) for b in previous) for a in following) <= 2


def test_nearest_note_and_scale():
    assert nearest((0,), 58) == 60
    assert nearest((11,), 60) == 59
    assert scale_notes(pitch_class("G"), "major", 67, 79) == [67, 69, 71, 72, 74, 76, 78, 79]


def test_fourteen_songs_over_ten_genres():
    assert len({s.id for s in SONGS}) == len({s.title for s in SONGS}) == 14
    assert len({s.genre for s in SONGS}) == 10
    assert len({(s.bpm, s.tonic, s.scale) for s in SONGS}) == 14


@pytest.mark.parametrize("spec", SONGS, ids=lambda s: s.id)
def test_every_song_has_a_full_score(spec):
    bars = lay_out(spec, 120.0)
    assert {"I", "A", "B", "C"} <= {b.section for b in bars}
    score = write_score(spec, 120.0)
    assert {n.part for n in score} == set(range(len(spec.parts)))  # nobody sits idle
    assert all(n.start_s >= 0 and n.seconds > 0 and 0 < n.velocity <= 1.1 for n in score)
    pitched = [n.pitch for n in score if spec.parts[n.part].role != "drums"]
    assert 24 <= min(pitched) <= max(pitched) <= 108
    starts = np.sort([n.start_s for n in score])
    assert np.diff(starts).max() < 2.2 * spec.bar_s  # no hole in the music


def test_melody_ends_its_sections_on_a_chord_tone():
    checked = 0
    for spec in SONGS:
        melodies = {i for i, p in enumerate(spec.parts) if p.role == "melody"}
        bars, score = lay_out(spec, 60.0), write_score(spec, 60.0)
        last = {(n.part, int(n.start_s / spec.bar_s + 0.02)): n for n in score if n.part in melodies}
        for (_, number), note in last.items():
            if number < len(bars) and bars[number].index % 8 == 7:
                assert note.pitch % 12 in bars[number].chords[-1].tones
                checked += 1
    assert checked > 20


def test_the_same_music_whatever_the_length():
    short, long = write_score(SONGS[0], 20.0), write_score(SONGS[0], 60.0)
    assert short[:100] == long[:100]
