import os
from pathlib import Path

import pytest

from bci_music.streaming.recorder import child_config, current_config, with_loopback


def test_the_loopback_joins_the_peers_and_nothing_else_changes():
    lab = "[lab]\nSessionID = show\nKnownPeers = {10.0.0.7}\n"
    text = with_loopback("[multicast]\nResolveScope = machine\n; a remark\n" + lab)
    assert "ResolveScope = machine" in text
    assert "SessionID = show" in text
    assert "KnownPeers = {10.0.0.7, 127.0.0.1}" in text
    assert with_loopback(text) == text


@pytest.mark.parametrize("text", ["", "[lab]\nKnownPeers = {}\n", "[log]\nlevel = -2\n"])
def test_a_configuration_without_peers_gets_one(text):
    assert "KnownPeers = {127.0.0.1}" in with_loopback(text)


def test_only_children_see_it(tmp_path, monkeypatch):
    own = tmp_path / "own.cfg"
    own.write_text("[lab]\nSessionID = mine\n")
    monkeypatch.setenv("LSLAPICFG", str(own))
    with child_config():
        given = Path(os.environ["LSLAPICFG"])
        assert given != own
        assert "SessionID = mine" in given.read_text()
        assert "127.0.0.1" in current_config()
    assert os.environ["LSLAPICFG"] == str(own)
    assert not given.exists()
