"""`bci-music pack`: says what a pack is, checks it, and answers wrong wishes with a sentence."""

import pytest
from typer.testing import CliRunner

from bci_music.cli.pack import app
from bci_music.messages import UserError


def run(*words):
    return CliRunner().invoke(app, list(words))


def test_info_of_the_shipped_pack_names_simulation_and_every_figure():
    text = run("info", "demo").output
    assert "simulated EEG: that a real brain steers it is not shown" in text
    assert "50-way identification" in text
    assert "chance 0.020" in text
    assert "mismatched pairs" in text


def test_info_of_an_untrained_pack_claims_nothing(pack_directory):
    assert "no metrics: untrained" in run("info", str(pack_directory)).output


def test_check_verifies_and_decodes(pack_directory):
    result = run("check", str(pack_directory))
    assert result.exit_code == 0
    assert "3 files" in result.output
    assert "ms on cpu" in result.output


@pytest.mark.parametrize("words", [("check", "no-such-pack"), ("build",)])
def test_wrong_wishes_are_sentences(words):
    assert isinstance(run(*words).exception, UserError)


def test_the_old_name_of_evaluate_clap_is_accepted_and_not_shown():
    assert "judge-clap" not in run("--help").output
    assert run("judge-clap", "--help").exit_code == 0
