"""What the operator opens in the window follows the run before it in the same window; what cannot begin gives way."""

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bci_music.cli.display import Window
from bci_music.cli.runs import LIVE, Run, carry_on
from bci_music.engine.commands import Commands
from bci_music.engine.config import LiveConfig
from bci_music.listening.progress import Progress
from bci_music.messages import Incomplete, UserError
from bci_music.status import Command
from gui import app
from gui.views.calibrate import Calibrate
from gui.views.perform import Perform
from gui.views.starting import StartingView


class Screen:
    """A display whose operator has made up their mind."""

    chooses, console = True, None

    def __init__(self, *wanted):
        self.wanted, self.shown, self.failed, self.followed_by = list(wanted), [], [], None

    def begin(self, title, others):
        self.shown.append((title, others))
        self.followed_by = None

    def look_for(self, query, wait_s):
        pass

    def fail(self, text):
        self.failed.append(text)

    def log(self, text, style=""):
        pass

    def show(self, config):
        self.shown[-1] += (config.pack,)
        self.followed_by = self.wanted.pop(0) if self.wanted else None


def play(config, display, out):
    display.show(config)


@pytest.fixture
def replays(monkeypatch, tmp_path):
    """Sessions are opened by name; one of them is damaged."""
    monkeypatch.setenv("BCI_MUSIC_SETTINGS", str(tmp_path / "settings"))
    opened = []

    def run_replay(config, display, out, *, file):
        if "damaged" in str(file):
            raise UserError("It is damaged.")
        opened.append((file, config.outputs.recording.consent))
        display.show(config)

    monkeypatch.setattr("bci_music.engine.run.run_replay", run_replay)
    return opened


def test_a_session_is_replayed_and_left_again(replays):
    screen = Screen(Command("open", text="/d/evening"), Command("back"))
    config = LiveConfig.model_validate({"outputs": {"recording": {"consent": "FORM 7", "folder": "here"}}})
    carry_on(Run("live", play, config, LIVE), screen, None)
    assert screen.shown == [("live", LIVE, "demo"), ("evening", ("open", "pack", "back"), "demo"),
                            ("live", LIVE, "demo")]  # fmt: skip
    assert replays == [(Path("/d/evening/recording.xdf"), None)]  # and is not recorded again


def test_what_cannot_begin_gives_way_to_what_ran(replays):
    screen = Screen(Command("open", text="/d/damaged"))
    carry_on(Run("live", play, LiveConfig()), screen, None)
    assert [title for title, *_ in screen.shown] == ["live", "damaged", "live"]
    assert screen.failed == ["It is damaged."]
    with pytest.raises(UserError, match="no pack"):
        carry_on(Run("live", lambda *_: (_ for _ in ()).throw(UserError("no pack")), LiveConfig()), Screen(), None)


def test_another_pack_is_for_what_runs_and_for_what_it_goes_back_to(replays, tmp_path):
    anna, ben = (str(tmp_path / name) for name in ("anna", "ben"))
    screen = Screen(
        Command("pack", text=anna), Command("open", text="/d/evening"), Command("pack", text=ben), Command("back")
    )
    carry_on(Run("live", play, LiveConfig()), screen, None)
    assert [(title, pack) for title, _, pack in screen.shown] == [
        ("live", "demo"), ("live", anna), ("evening", anna), ("evening", ben), ("live", ben),
    ]  # fmt: skip
    kept = json.loads((tmp_path / "settings" / "last-pack.json").read_text())
    assert kept == {"folder": ben}


def test_a_pack_that_cannot_be_used_is_not_kept(replays, tmp_path):
    def careful(config, display, out):
        if config.pack == "/d/broken":
            raise UserError("It is broken.")
        display.show(config)

    screen = Screen(Command("pack", text="/d/broken"))
    carry_on(Run("live", careful, LiveConfig()), screen, None)
    assert [shown[-1] for shown in screen.shown] == ["demo", ("open", "pack"), "demo"]
    assert screen.failed == ["It is broken."]
    assert not (tmp_path / "settings").exists()


def test_a_listener_is_calibrated_and_plays_with_the_new_pack(replays, monkeypatch):
    asked = []

    def calibrate_live(wanted, listen, fit, display, again):
        asked.append((wanted.listener, wanted.consent, wanted.songs, str(wanted.out), again))
        display.show(SimpleNamespace(pack="-"))
        if len(asked) == 1:
            raise Incomplete("1 of 2 excerpts are recorded.")
        return SimpleNamespace(words=list)

    monkeypatch.setattr("bci_music.listening.run.calibrate_live", calibrate_live)
    text = json.dumps({"listener": "Anna B.", "consent": "FORM 7", "songs": ""})
    again = Command("calibrate", text=text)
    screen = Screen(again, again, Command("pack", text="packs/Anna-B"))
    carry_on(Run("live", play, LiveConfig(), LIVE), screen, None)
    assert asked == [("Anna B.", "FORM 7", None, "packs/Anna-B", text)] * 2
    assert [(title, pack) for title, _, pack in screen.shown] == [
        ("live", "demo"), ("calibration", "-"), ("calibration", "-"), ("live", "packs/Anna-B"),
    ]  # fmt: skip
    assert screen.failed == []


def test_something_lost_is_said_at_once_and_at_the_end(replays):
    def lossy(config, display, out):
        display.show(config)
        raise Incomplete("The disk is full.")

    screen = Screen(Command("open", text="/d/evening"))
    with pytest.raises(Incomplete, match="disk is full"):
        carry_on(Run("live", lossy, LiveConfig()), screen, None)
    assert [title for title, *_ in screen.shown] == ["live", "evening"]
    assert screen.failed == ["The disk is full."]


def test_a_recording_has_to_be_ended_first():
    failures = []
    events = SimpleNamespace(failure=failures.append)
    recording = ["recording"]
    commands = Commands(None, None, None, (), events, lambda: 3.0, recording.pop)
    commands.take(Command("open", text="x"))
    assert (commands.next, failures) == (None, [])  # whoever shows the run can show no other
    commands.others = ("open",)
    commands.take(Command("open", text="x"))
    assert commands.next is None
    assert failures[0].text.startswith("A recording is under way: end it first")
    recording.append("")
    commands.take(Command("open", text="x"))
    assert commands.next == Command("open", text="x")


def test_the_window_stays_from_one_run_to_the_next(qapp, engine, make_engine, tmp_path):
    standing, seen = app.Standing("first"), []
    other = make_engine()
    standing.window._bridge.set_muted(True)

    def work():
        standing.ending.running()
        standing.show(engine, lambda: isinstance(standing.window.view, Perform), None, lambda: tmp_path / "1.png",
                      lambda: True)  # fmt: skip
        seen.append((standing.window.isVisible(), standing.starting.snapshot().starting))
        standing.title = "second"
        standing.starting.do("loading the decoder")
        until_shown(standing, StartingView)
        standing.ending.running()
        standing.show(other, lambda: isinstance(standing.window.view, Perform))

    standing.carry(work)
    assert seen == [(True, ("ending the run before",))]
    assert (tmp_path / "1.png").stat().st_size > 10_000
    assert standing.window.windowTitle() == "bci-music · second"
    assert [c for c in other.commands if c.name == "mute"] == [Command("mute", 1.0)]


def test_leaving_between_two_runs(qapp, engine):
    standing = app.Standing("first")

    def work():
        standing.ending.running()
        standing.show(engine, lambda: True, goes_on=lambda: True)
        standing.ending.leave()
        standing.ending.check()

    with pytest.raises(SystemExit):
        standing.carry(work)


def test_a_calibration_is_shown_while_it_goes_on_and_how_it_ended(qapp):
    window, seen = Window("calibration", None), []
    standing, progress = window._standing, Progress(window, "{}")

    def work():
        window.begin("calibration", ("pack", "calibrate"))
        window.watch(progress)
        with progress.busy("finding streams"):
            until_shown(standing, Calibrate)
            until(lambda: standing.window.view.guide.accessibleDescription())
            seen.append(standing.window.view.guide.accessibleDescription())
        threading.Timer(0.3, lambda: progress.send(Command("pack", text="packs/anna"))).start()
        progress.ended("No EEG came.")
        seen.append(window.followed_by)

    window.carry(work)
    assert seen == ["electrodes; finding streams", Command("pack", text="packs/anna")]


def until_shown(standing, kind):
    until(lambda: isinstance(standing.window.view, kind))


def until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
