"""However a run is asked to end, it ends at once, leaves all that it was to keep, and no process."""

import os
import signal
import time
from contextlib import suppress

import psutil
import pylsl
import pytest
import pyxdf
import soundfile
from started import Run, report_of

from bci_music.engine.ending import Ending
from bci_music.streaming.xdf_growth import XdfGrowth

pytestmark = pytest.mark.realtime

BUSY = 3.0  # times slower than alone: other tests may run beside
EXIT_S = 3.0 * BUSY
ASKED = {
    "Ctrl-C": (signal.SIGINT,), "SIGTERM": (signal.SIGTERM,), "SIGHUP": (signal.SIGHUP,),
    "Ctrl-C twice": (signal.SIGINT, signal.SIGINT),
}  # fmt: skip


@pytest.fixture
def started(tmp_path):
    """Start runs; nothing is left of them after the test."""
    made = []

    def start(*words, **options):
        made.append(Run(tmp_path / f"run{len(made)}", *words, **options))
        return made[-1]

    yield start
    for run in made:
        run.kill()


def live(started, outlet, folder, *, window, record, more=()):
    """Start a run on a stream of its own and wait until it plays, and records."""
    stream = outlet(rate=250.0, channels=32, noise=15)
    words = ["live", "--stream", stream.name, "--out", folder / "out", "--sound-device", "none", *more]
    words += [] if window else ["--headless"]
    words += ["--record", folder / "rec", "--consent", "form 7"] if record else []
    run = started(*words)
    run.wait_for(lambda: size(folder / "out" / "music.wav") > 100_000)
    if record:
        growth = XdfGrowth(folder / "rec" / "recording.xdf")
        run.wait_for(lambda: growth.look().get(stream.name, 0) > 250)
    return run, stream


def size(path):
    return path.stat().st_size if path.exists() else 0


def assert_whole(folder, record, stream):
    report = report_of(folder / "out")
    sound = soundfile.info(folder / "out" / "music.wav")
    assert sound.duration == pytest.approx(report["audio_seconds"], abs=0.1)
    assert soundfile.read(folder / "out" / "music.wav")[0][-1000:].max() < 0.001  # it faded
    assert (folder / "out" / "overview.png").stat().st_size > 20_000
    assert (report["lost"], report["underruns"]) == ([], 0)
    if record:
        streams = {s["info"]["name"][0]: s for s in pyxdf.load_xdf(str(folder / "rec" / "recording.xdf"))[0]}
        assert all(int(s["footer"]["info"]["sample_count"][0]) == len(s["time_stamps"]) for s in streams.values())
        assert streams[f"{stream.name} events"]["time_series"][-1] == ["run ended"]
        assert len(streams[stream.name]["time_stamps"]) > 250


def ends_well(started, outlet, folder, asked, *, window, record):
    run, stream = live(started, outlet, folder, window=window, record=record)
    code, took_s = run.end(*ASKED[asked])
    assert code == 0, run.text()
    assert took_s < EXIT_S, run.text()
    assert run.left_after(1.0) == []
    assert "Traceback" not in run.text()
    assert_whole(folder, record, stream)


def test_a_signal_ends_a_run_whole(started, outlet, tmp_path):
    ends_well(started, outlet, tmp_path, "SIGTERM", window=True, record=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("asked", ASKED)
def test_every_signal_ends_every_run_whole_five_times(started, outlet, tmp_path, asked, window, record):
    for turn in range(5):
        ends_well(started, outlet, tmp_path / str(turn), asked, window=window, record=record)


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_streams_ends_with_the_demo_however_that_ends(started, tmp_path, number):
    run = started("demo", "--sound-device", "none", "--out", tmp_path / "out")
    run.wait_for(lambda: size(tmp_path / "out" / "music.wav") > 100_000)
    assert len(run.family()) >= 2
    run.end(number)
    assert run.left_after(3.0) == []


def test_nothing_is_left_of_a_recording_run_that_is_killed(started, outlet, tmp_path):
    run, stream = live(started, outlet, tmp_path, window=False, record=True)
    run.program("LabRecorder").suspend()
    run.end(signal.SIGKILL)
    assert run.left_after(3.0) == []
    streams = {s["info"]["name"][0]: s for s in pyxdf.load_xdf(str(tmp_path / "rec" / "recording.xdf"))[0]}
    assert len(streams[stream.name]["time_stamps"]) > 250


@pytest.mark.soak
def test_closing_the_window_ends_a_run_whole(started, outlet, tmp_path):
    """By its own timer, which closes it as the operator does."""
    run, stream = live(started, outlet, tmp_path, window=True, record=True, more=("--seconds", "12"))
    assert run.process.wait(60) == 0, run.text()
    assert run.left_after(1.0) == []
    assert_whole(tmp_path, True, stream)


def test_a_signal_before_anything_is_kept_leaves_at_once_and_nothing(started, tmp_path):
    run = started("demo", "--headless", "--sound-device", "none", "--out", tmp_path / "out")
    run.wait_for(lambda: len(run.family()) > 1)
    code, took_s = run.end(signal.SIGTERM)
    assert code in (128 + signal.SIGTERM, -signal.SIGTERM), run.text()
    assert took_s < EXIT_S
    assert run.left_after(3.0) == []
    assert "Traceback" not in run.text()
    assert not list((tmp_path / "out").glob("*"))


def test_a_demo_whose_outlet_dies_leaves_its_report_and_says_why(started, tmp_path):
    run = started("demo", "--headless", "--sound-device", "none", "--out", tmp_path / "out")
    run.wait_for(lambda: size(tmp_path / "out" / "music.wav") > 100_000)
    (child,) = psutil.Process(run.process.pid).children()
    child.kill()
    began = time.monotonic()
    assert run.process.wait(30) == 2
    assert time.monotonic() - began < EXIT_S
    assert "failed" in run.text()
    assert any("failed" in text for text in report_of(tmp_path / "out")["failures"])


@pytest.mark.soak
def test_a_run_that_is_hung_up_on_writes_its_report_though_its_terminal_is_gone(outlet, tmp_path):
    """The terminal is closed: writing to it fails from then on."""
    import pty

    stream = outlet(rate=250.0, channels=32, noise=15)
    words = ["live", "--stream", stream.name, "--out", str(tmp_path / "out"), "--sound-device", "none", "--headless"]
    pid, terminal = pty.fork()
    if pid == 0:
        from started import START, hear_hangups

        hear_hangups()
        os.execv(os.sys.executable, [os.sys.executable, "-c", START, *words])
    process = psutil.Process(pid)
    try:
        until = time.monotonic() + 90
        while size(tmp_path / "out" / "music.wav") < 100_000:
            assert time.monotonic() < until
            os.set_blocking(terminal, False)
            try:
                os.read(terminal, 65536)
            except BlockingIOError:
                time.sleep(0.05)
        os.close(terminal)  # the kernel sends SIGHUP
        assert process.wait(60) == 0
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert report_of(tmp_path / "out")["lost"] == []


def test_signals_are_heard_from_the_first_that_asks_to_the_end():
    before = signal.getsignal(signal.SIGTERM)
    with Ending(), pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        signal.raise_signal(signal.SIGTERM)
    with Ending() as ending:
        ending.running()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
        assert ending.asked.wait(1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_under_nohup_a_closing_terminal_is_not_heard():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Ending() as ending:
            ending.running()
            signal.raise_signal(signal.SIGHUP)
            assert not ending.asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.soak
def test_streams_of_a_run_that_ended_are_gone(started, outlet, tmp_path):
    """The next `monitor` must not find two."""
    run, stream = live(started, outlet, tmp_path, window=False, record=True)
    run.end(signal.SIGINT)
    time.sleep(0.5)
    names = {info.name() for info in pylsl.resolve_streams(1.0)}
    assert stream.name in names
    assert not [name for name in names if name.startswith(f"{stream.name} ")]


def test_a_signal_that_comes_while_the_run_looks_whether_it_is_asked_does_not_hang():
    """A handler interrupts the main thread wherever it is, also where it holds the event's own lock."""
    with Ending() as ending:
        ending.running()
        with ending.asked._cond:
            signal.raise_signal(signal.SIGINT)
        assert ending.asked.wait(1)
