"""A calibration with a listener present, over real LSL: heard, marked, recorded, ended, gone on with."""

import json
import uuid
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hearing_outlet import HearingOutlet, LoudnessListener

from bci_music.data.formats import open_session
from bci_music.listening import run, songs
from bci_music.listening.folder import CalibrationFolder
from bci_music.messages import Incomplete
from bci_music.packing import listener as packing
from bci_music.sessions.look import State, look_at
from bci_music.sound import device
from bci_music.sound.player import ClockPlayer
from bci_music.status import Command
from bci_music.streaming.discovery import StreamQuery
from bci_music.training.calibration.listener import CalibrateConfig

pytestmark = pytest.mark.realtime


@pytest.fixture
def music(tmp_path, monkeypatch):
    """Two songs of three seconds that begin loud."""
    monkeypatch.setattr(songs, "LEAST_S", 3.0)
    (tmp_path / "music").mkdir()
    for seed, name in enumerate(("first", "second")):
        noise = 0.2 * np.random.default_rng(seed).standard_normal(3 * 16_000)
        soundfile.write(tmp_path / "music" / f"{name}.wav", noise.clip(-1, 1), 16_000)
    return tmp_path / "music"


@pytest.fixture
def outlet(monkeypatch):
    """A listener who hears the songs, whoever plays them."""
    made = HearingOutlet(f"ears {uuid.uuid4().hex[:8]}", LoudnessListener(), 60.0)
    monkeypatch.setattr(device, "open_player", lambda clock, **_: opened(ClockPlayer(clock)))

    def opened(player):
        made.listen(player)
        return player

    yield made
    made.close()


def test_a_calibration_goes_on_where_it_was_ended(tmp_path, music, outlet, pack_directory, lines, monkeypatch):
    name = outlet._outlet.get_info().name()
    wanted = run.Wanted(
        str(pack_directory), tmp_path / "anna", tmp_path / "recordings", "Anna B.", "FORM 7", StreamQuery(word=name),
        songs=music, device="none",
    )  # fmt: skip
    listen = run.ListenConfig(minutes=0.1, rest_s=0.5, silence_s=0.5, check_s=3.0)
    fit = CalibrateConfig(least_minutes=0.05)
    first = lines(end_at="1 of 2 heard")
    with pytest.raises(Incomplete, match=r"1 of 2 excerpts are recorded in .*: give the same command again"):
        run.calibrate_live(wanted, listen, fit, first)
    assert any(line.startswith("bad: E4: flat") for line in first.lines), first.lines
    assert any("1 of 2: " in line and "bad: E4" in line for line in first.busy_lines)

    ended = first.progress.snapshot().calibration
    assert (ended.step, ended.wanted) == ("ended", 2)
    assert ended.doing.startswith("1 of 2 excerpts are recorded")
    assert "1 of 2 heard: " in " ".join(ended.lines)

    made, pack = [], SimpleNamespace(words=lambda: ["it helps"], calibrated=SimpleNamespace(comparisons=()))
    monkeypatch.setattr(packing, "make_listener_pack", lambda *given, **more: made.append((given, more)) or pack)
    second = lines()
    second.chooses = True  # its operator says when to go on
    second.watch = lambda progress: setattr(second, "progress", progress) or progress.send(Command("start"))
    assert run.calibrate_live(wanted, listen.model_copy(update={"check_s": 1.0}), fit, second) is pack
    done = second.progress.snapshot()
    assert (done.calibration.step, done.calibration.results) == ("done", ("it helps",))
    assert done.calibration.out == str(tmp_path / "anna")
    assert done.calibration.electrodes.startswith("bad: E4")
    assert done.stream.info.labels[0] == "E1"
    assert second.lines[0] == "1 of 2 excerpts are recorded already: it goes on with the others."
    assert made[0][0] == (str(pack_directory), [tmp_path / "recordings"], tmp_path / "anna")
    assert made[0][1]["listener"] == "Anna-B"

    folder = CalibrationFolder.open(tmp_path / "recordings")
    assert not folder.missing()
    heard = set()
    for session in ("Anna-B", "Anna-B-2"):
        look = look_at(folder.path / session, compare=True)
        assert look.state is State.WHOLE, look
        recording = open_session(folder.path / session / "recording.xdf")
        assert recording.simulated
        loud = np.abs(recording.samples_uv[:, [0, 1, 2, 4, 5]]).mean(axis=1)
        for span in recording.heard():
            assert span.song_start_s == 0.0
            if session == "Anna-B" and heard:
                continue  # the second song had begun
            heard.add(span.song)
            assert span.stop_s - span.start_s == pytest.approx(3.0, abs=0.02)
            near = np.abs(recording.times_s - span.start_s) < 0.4
            begins = recording.times_s[near][np.argmax(loud[near] > 20.0)]
            assert begins == pytest.approx(span.start_s, abs=0.02), "the marker is not where the song was heard"
    assert heard == {"first", "second"}
    note = json.loads((folder.path / "Anna-B" / "recording.json").read_text())
    assert note["consent_reference"] == "FORM 7"
