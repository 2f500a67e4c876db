"""Songs as files, and the verbs under `bci-music simulate`."""

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from bci_music.cli.simulate import app
from bci_music.compose.composer import render_song
from bci_music.messages import UserError


def test_song_as_a_file(tmp_path):
    refused = render_song("hollow-drum", tmp_path / "new" / "song.flac", 4.0)
    samples, rate = soundfile.read(tmp_path / "new" / "song.flac")
    assert "Hollow Drum" in refused
    assert (rate, samples.shape) == (48_000, (192_000, 2))
    assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.5


def test_only_wav_and_flac(tmp_path):
    with pytest.raises(UserError, match=r"\.wav or \.flac"):
        render_song("hollow-drum", tmp_path / "song.mp3", 4.0)


def test_songs_are_listed():
    listed = CliRunner().invoke(app, ["songs"])
    assert listed.exit_code == 0
    assert len(listed.output.strip().splitlines()) == 14
    assert "Night Bus" in listed.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["stream", "--rate", "60"], "125 to 1000"), (["song", "no-song", "--out", "x.wav"], "night-bus")],
)
def test_mistakes_are_sentences(arguments, text):
    failed = CliRunner().invoke(app, arguments)
    assert isinstance(failed.exception, UserError)
    assert text in str(failed.exception)
