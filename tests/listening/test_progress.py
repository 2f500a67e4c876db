"""What a calibration shows of itself, and what its operator can ask of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from bci_music.listening.gate import GateStatus
from bci_music.listening.progress import GO_ON, Progress
from bci_music.messages import UserError
from bci_music.status import Command, GateLook


@pytest.fixture
def progress(lines):
    display = lines()
    display.chooses = True
    return Progress(display, "again")


def refuse():
    raise UserError("Only 7 of the 125 electrodes are usable.")


def test_the_electrodes_wait_for_the_operator_and_have_to_do(progress):
    assert not progress.may_listen("bad: E4", refuse)
    status = progress.snapshot().calibration
    assert (status.step, status.waits, status.doing, status.electrodes) == ("electrodes", True, GO_ON, "bad: E4")
    progress.send(Command("start"))
    assert not progress.may_listen("bad: E4", refuse)
    assert progress.snapshot().calibration.lines == ("Only 7 of the 125 electrodes are usable.",)
    assert not progress.may_listen("bad: E4", lambda: None)  # asked for once, it was refused
    progress.send(Command("start"))
    assert progress.may_listen("no electrode is bad", lambda: None)


def test_without_an_operator_nothing_waits(lines):
    assert Progress(lines()).may_listen("bad: E4", refuse)


def test_music_and_gate_stand_in_it(progress):
    playback = SimpleNamespace(
        playing=SimpleNamespace(title="Low Tide", seconds=12.0), position_s=lambda now: now - 10.0,
        left_s=lambda now: 300.0,
    )  # fmt: skip
    session = SimpleNamespace(playback=playback, heard=["one"], wanted=28)
    gate = (GateStatus(), GateStatus(60.0, 0.02, 0.05, 0.4, None, 1), GateStatus(160.0, 0.07, 0.05, 0.005, 160.0, 2))
    progress.listen(session, gate, "no electrode is bad", 13.0)
    status = progress.snapshot().calibration
    assert (status.step, status.title, status.position_s, status.length_s) == ("songs", "Low Tide", 3.0, 12.0)
    assert (status.heard, status.wanted, status.left_s) == (1, 28, 300.0)
    assert status.looks == (GateLook(60.0, 0.02, 0.05, False), GateLook(160.0, 0.07, 0.05, True))
    assert status.gate.startswith("your recording carries the sound: r .070, p = .005, above its control since 2:40")
    assert not progress.stopped
    progress.send(Command("stop"))
    assert progress.stopped


def test_what_is_compared_at_the_end(progress):
    metric = SimpleNamespace(value=0.6, ci95=(0.5, 0.7))
    compared = [SimpleNamespace(question="time held out", before=metric, after=metric),
                SimpleNamespace(question="songs held out", before=metric, after=SimpleNamespace(value=1, ci95=None))]
    made = SimpleNamespace(words=lambda: ["better"], calibrated=SimpleNamespace(comparisons=compared))
    progress.done(made, "packs/anna")
    status = progress.snapshot().calibration
    assert (status.step, status.results, status.out, status.again) == ("done", ("better",), "packs/anna", "again")
    assert status.compared == (("time held out", (0.6, 0.5, 0.7), (0.6, 0.5, 0.7)),)
    assert np.isfinite(progress.snapshot().now_s)


def test_another_run_follows_only_where_the_window_can_show_it(progress):
    progress.send(Command("pack", text="packs/anna"))
    assert progress.next is None
    progress.others = ("pack", "back")
    progress.send(Command("pack", text="packs/anna"))
    assert progress.next == Command("pack", text="packs/anna")
    progress.send(Command("volume", -3.0))  # there is nothing of it
    assert progress.trace_cursor() is None
