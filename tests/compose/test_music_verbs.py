"""The verbs that compose: a bank of clips, and songs to hear."""

import typer
from typer.testing import CliRunner

from bci_music.cli import simulate as simulate_music
from bci_music.training.audioldm.clips import ClipBank

app = typer.Typer()
app.command("music")(simulate_music.music)
app.command("songbook")(simulate_music.songbook)


def test_a_bank_by_command(tmp_path):
    command = ["music", "--out", str(tmp_path / "b"), "--clips", "2", "--seed", "1000000", "--seconds", "1.6"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "2 clips of 2 songs, 0 recorded tracks credited" in done.output
    assert ClipBank.open(tmp_path / "b").songs == ["ambient-1000000", "blues-1000001"]


def test_every_verb_explains_itself():
    for verb in ("music", "songbook"):
        assert CliRunner().invoke(app, [verb, "--help"]).exit_code == 0
