"""What plays follows the EEG: another EEG, other music; shuffled EEG, chance. On simulated listeners."""

from dataclasses import replace

import numpy as np
import pytest
from offline_engine import run_session

from bci_music.data.formats import open_session
from bci_music.engine.report import played_agreement
from bci_music.engine.sample import find_sample

pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def sample():
    """The session that ships."""
    return open_session(find_sample())


def spans_s(session):
    begin = session.times_s[0]
    return [(h, round((h.start_s - begin) * session.sfreq_hz), round((h.stop_s - begin) * session.sfreq_hz))
            for h in session.heard()]  # fmt: skip


def with_eeg_of_other_songs(session, seed):
    """The same markers, but under every song the EEG of another one (a derangement of the songs)."""
    from bci_music.metrics.controls import derangement

    spans = spans_s(session)
    order = derangement(len(spans), seed)
    samples = session.samples_uv.copy()
    for (_, start, stop), other in zip(spans, order, strict=True):
        source = spans[other][1]
        n = min(stop - start, len(samples) - source)
        samples[start : start + n] = session.samples_uv[source : source + n]
    return replace(session, samples_uv=samples)


def played_songs(engine):
    """Song number heard at every 0.1 s of the run."""
    order = {song.id: n for n, song in enumerate(engine.history.songs)}
    began = engine.first_sample_s
    track = np.full(1300, -1)
    for span, start_s, stop_s in engine.sound.spans():
        if span.kind != "waiting":
            first, last = (max(0, round((t - began) * 10)) for t in (start_s, stop_s))
            track[first:last] = order.get(span.song, -1)
    return track


@pytest.mark.timeout(400)
def test_the_right_eeg_makes_the_heard_song_play_and_mismatched_eeg_does_not(sample, config):
    right = run_session(sample, config)
    wrong = run_session(with_eeg_of_other_songs(sample, 0), config)
    follows, shuffled = played_agreement(right, right.ended_s), played_agreement(wrong, wrong.ended_s)
    assert follows.p < 0.01
    assert follows.share > 2 * follows.shifted_share
    assert shuffled.p > 0.01
    assert shuffled.share < follows.share / 2
    found = right.history.identification(refresh=True)
    assert found.n >= 25
    assert found.p < 0.01
    assert wrong.history.identification(refresh=True).p > 0.01

    # The same seed, the same clock, the same pack: only the EEG differs, and the music with it.
    a, b = played_songs(right), played_songs(wrong)
    both = (a >= 0) & (b >= 0)
    assert both.sum() > 800
    assert (a[both] != b[both]).mean() > 0.5


def test_the_same_eeg_gives_the_same_music(sample, config, tmp_path):
    short = replace(sample, samples_uv=sample.samples_uv[:1500], times_s=sample.times_s[:1500])
    for name in ("a.wav", "b.wav"):
        run_session(short, config, tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
