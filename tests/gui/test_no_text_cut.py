"""In every state, at 1280 x 720, each text has its space; names that others gave may be elided, with a tooltip."""

import pytest
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QAbstractButton, QLabel, QLineEdit

from bci_music.messages import ChannelState, ChannelVerdict, Finding, Quality, SoundSpan, StreamInfo, StreamState
from bci_music.status import (
    CalibrationStatus,
    Chance,
    Failure,
    FallbackSteps,
    GateLook,
    Identification,
    PromptStatus,
    ReplayStatus,
    ShamStatus,
    Shelf,
    Shelved,
    SoundStatus,
    StreamChoice,
    StreamStatus,
    TimelineSpan,
)
from gui.bridge import Bridge, Starting
from gui.main_window import MainWindow
from gui.widgets.panel import Panel

LONG = "An exceptionally long name " + "that somebody gave " * 9
LABELS, MARKS = tuple(f"E{n}" for n in range(125)), tuple((float(n), "mark") for n in range(99))
LANES = ("heard", "decoded", "played")
TITLES = ("Night Bus", "Paper Birds", "Low Tide", "Lantern", "Cinder Blues")
ENDED = "The blind trial was sham: the music followed EEG from another time."
NO_MARKERS = "Cannot know: no music markers came with this stream, so nothing says which song is heard."
MOVED = (
    "Cannot know after a jump: whoever chooses the place chooses what is counted. `replay --start` counts from a place."
)
NOTHING = {"quality": None, "embedding": None, "playing": None, "timeline": (), "waveform": None,
           "identification": None, "chance": Chance(why=NO_MARKERS)}  # fmt: skip
WATCHING = {**NOTHING, "pack_name": "", "sound": SoundStatus(), "device": ""}
FINDINGS = (
    ("mains", "mains 34 dB above the median of all electrodes", "press the electrode, and move cables and chargers"),
    ("correlation", "agrees with no other electrode", "add gel, and check that the cable is in its place"),
    ("spread", "amplitude 12 times the median", "wait until it has settled; ask for less movement"),
)


def stream(state, **more):
    return {"stream": StreamStatus(state, StreamInfo("EGI-128", "lsl", LABELS, 1000.0),
                                   data_age_s=2.3, text=state.value, **more)}  # fmt: skip


def trouble(n):
    verdicts = []
    for k in range(n):
        found = [Finding(m, ChannelState.BAD, 123.4, 5.0, "µV", why, do) for m, why, do in FINDINGS[: 1 + k % 3]]
        metrics = {"spread_uv": 123.4, "mains_uv": 56.7, "correlation": 0.12, "predicted": 0.34, "high_times": 12.3,
                   "stuck": 0.1}  # fmt: skip
        verdicts.append(ChannelVerdict(f"E{k + 1}", ChannelState.BAD, tuple(f.sentence for f in found), metrics,
                                       tuple(found)))  # fmt: skip
    return {"quality": Quality(tuple(verdicts), 1000, 1000.0)}


ENTRIES = tuple(
    Shelved(f"/d/{n}", name, kind, state, "2026-11-28 19:30:12", facts, faults)
    for n, name, kind, state, facts, faults in (
        (1, "2026-11-28-193012", "session", "unfinished: its run was killed",
         (("consent", "FORM-2026-014"), ("pack", "demo"), ("streams", "4"), ("EEG", "41200000 samples"),
          ("music", "41200 s")), ()),
        (2, "show-2", "run", "report",
         (("EEG", "EGI-128, 129 channels"), ("song found", "14 of 38 windows"), ("above chance", "not shown"),
          ("evidence", "31 after 9 songs"), ("sham", "none"), ("windows", "1234 decoded, 12 skipped"),
          ("gaps", "12, 3456 samples missing"), ("data age p95", "123 ms"), ("sound", "612 s, 0 underruns")),
         ("recording.xdf could not be written: the disk is full.",)),
    )
)  # fmt: skip
SONGS = tuple(TimelineSpan("heard", 30.0 * n, 30.0 * n + 28, f"Song {n}") for n in range(5))
LOOKS = tuple(GateLook(60.0 * n + 60, 0.01 * n, 0.05, n > 3) for n in range(9))
CALIBRATIONS = (
    CalibrationStatus("electrodes", "Only 7 of the 125 electrodes that the pack reads are usable, at least 8 are "
                      "needed: fix them (E1: mains 34 dB above the median of all electrodes), and try again.", True,
                      "bad: E37, E38, E39, E40, E41, E42 and 12 more", lines=tuple("lines" for _ in range(40))),
    CalibrationStatus("songs", "12 of 28: Paper Birds 0:07 / 0:12", False, "no electrode of 125 is bad", "Paper Birds",
                      7.0, 12.0, 11, 28, 3599.0, "that your recording carries the sound is not shown after 12:20 "
                      "(r .04, p = .21, shifted sound up to .05)", LOOKS[:2], ("No EEG comes: the next song waits.",)),
    CalibrationStatus("fit", "window 1234 of 4321", gate="your recording carries the sound: r .07, p = .005, above its "
                      "control since 12:40", looks=LOOKS),
    CalibrationStatus("done", looks=LOOKS, gate="yes", out="packs/anna", results=("x",), compared=(
        ("within the songs, on parts that were held out", (0.6, 0.5, 0.7), (0.8, 0.7, 0.9)),) * 4),
    CalibrationStatus("ended", "12 of 28 excerpts are recorded in packs/anna-recordings: give the same command "
                      "again to hear the other 16, or fit what there is with `bci-music calibrate --session packs/a "
                      "--audio packs/anna-recordings/songs.yaml --listener anna --out packs/anna`.",
                      again="{}"),
)  # fmt: skip
STATES = {
    "all is well": {},
    **{f"calibration, {c.step}": {"calibration": c, "others": ("pack", "calibrate", "back")} for c in CALIBRATIONS},
    "may be followed": {"others": ("open", "pack", "calibrate"), "shelf": Shelf(ENTRIES, "/home/lab/eeg")},
    **{state.value: stream(state) for state in StreamState},
    "searching": {**NOTHING, "stream": StreamStatus(), "pack_name": "demo"},
    "several streams": {**NOTHING, "streams": (), "stream": StreamStatus(text=(
        "2 streams match: 'A' (EEG, 8 channels), 'B' (EEG, 8 channels); choose one with --stream \"source_id='...'\"."
    ))},
    "which stream": {**NOTHING, "stream": StreamStatus(text="2 streams match --stream"), "streams": tuple(
        StreamChoice(f"u{n}", f"EGI-{n}", "s", "lab-left", 129, 1000.0, 7320.0, True) for n in range(2))},
    "nothing can be counted": {"chance": Chance(why=NO_MARKERS), "identification": None},
    "after a jump": {"chance": Chance(why=MOVED),
                     "replay": ReplayStatus(90.0, 5400.0, 8.0, 3, SONGS, ((5.0, "eyes"),))},
    "by sound": {"chance": Chance("sound", n=145, evidence=0.2, highest=1.4, hits=12, by_chance=9.2, heard=LONG,
                                  measured=(4, 200), sham=True)},
    "sealed": {"chance": Chance(why="Sealed: a blind trial is under way, and the answer would give it away."),
               "sham": ShamStatus("blind", False, "0123456789abcdef"), "identification": None,
               "warning": ShamStatus("blind", False, "0123456789abcdef").words},
    "sham": {"sham": ShamStatus("sham", False), "chance": Chance("songs", n=9, evidence=0.2, highest=1.4, sham=True,
             measured=(6, 200)), "warning": ShamStatus("sham", False).words},
    "revealed": {"sham": ShamStatus("off", sealed="0123", revealed=ENDED), "warning": ENDED},
    "not yet": {"chance": Chance("songs", n=99, evidence=12.3, highest=18.4, measured=(6, 200)),
                "identification": Identification("songs", 14, 114, 3338, 1 / 14, (0.24, 0.53), 0.07, 0.002)},
    "failed": {"failures": (Failure(1e9, "x", "The disk is full: free some space or give --out another folder."),),
               "warning": "This decoder was trained on simulated EEG; that a real brain steers it is not shown. "
                          "Next step: calibrate on this listener."},
    "late": {"playing": SoundSpan(0, 0, "looped", "Paper Birds", "p", "waltz", 0.71, 0.0, late="loop"),
             "sound": SoundStatus(queued_s=12.1, volume_db=-38.0, generator="audioldm", underruns=1234,
                                  late_steps=FallbackSteps(99, 99, 99, 99), late_step="loop")},
    "waiting": {"playing": SoundSpan(0, 0, "waiting", "Paper Birds", "", "", float("nan"), float("nan")),
                "sound": SoundStatus(queued_s=12.1, generator="audioldm")},
    "words steer": {"sound": SoundStatus(queued_s=2.0, generator="audioldm", trained=True, prompt=PromptStatus(
        "calm piano and strings", "calm piano and strings", 0.35))},
    "trouble everywhere": trouble(125),
    "only watching": {**WATCHING, **trouble(64)},
    "old data": {"stream": StreamStatus(StreamState.STALLED, StreamInfo("EGI-128", "lsl", LABELS, 1000.0),
                                        data_age_s=123.0, clock_offset_s=0.4, text="stalled",
                                        notes=("The stamps of EGI-128 follow another clock: 12.3 s behind.",))},
    "recording": {"recording": "recording, consent FORM-2026-014", "shelf": Shelf(ENTRIES, "/home/lab/eeg", (
        "written to /home/lab/eeg/sessions/2026-11-28-193012.edf"))},
    "held replay": {"shelf": Shelf(ENTRIES, "/home/lab/eeg", "", "writing 2026-11-28-193012 as bids"),
                    "replay": ReplayStatus(4321.0, 5400.0, 0.0, 2, SONGS, MARKS), "others": ("open", "pack", "back")},
}  # fmt: skip
NAMED = {  # states with names that others gave, which may be elided
    "long stream": {"stream": StreamStatus(StreamState.LIVE, StreamInfo(LONG, "lsl", (LONG, *LABELS[1:]), 1000.0))},
    "long songs": {"playing": SoundSpan(0, 0, "retrieved", LONG, LONG, LONG, 0.71, 0.0),
                   "timeline": tuple(TimelineSpan(lane, 990.0, 1000.0, LONG) for lane in LANES)},
    "long pack and consent": {"pack_name": LONG, "device": LONG, "recording": LONG, "warning": LONG,
                              "failures": (Failure(1e9, "x", LONG),)},
    "long files": {"shelf": Shelf((Shelved(LONG, LONG, "session", LONG, LONG, ((LONG, LONG),), (LONG,)),), LONG, LONG),
                   "replay": ReplayStatus(1.0, 9.0, 1.0, 1, (TimelineSpan("heard", 0.0, 9.0, LONG),), ((1.0, LONG),))},
}  # fmt: skip


@pytest.fixture(scope="module", params=["perform", "monitor", "study", "calibrate"])
def shown(request, make_engine, qapp):
    """A window of 1280 x 720 on one view, and its engine."""
    engine = make_engine()
    engine.advance(6.0)
    window = MainWindow(Bridge(engine), "demo, simulated EEG", request.param)
    window.resize(1280, 720)
    window.show()
    yield window, engine
    window.close()
    window.deleteLater()
    qapp.processEvents()


def cut(window):
    """All texts that are not on the screen as a whole, by the part they belong to."""
    window.grab()
    found = {}
    for panel in window.findChildren(Panel):
        if panel.isVisible() and panel.cut:
            assert all(line in panel.hint for line in panel.cut)
            found[panel.accessibleName()] = panel.cut
    for line in window.findChildren(QLineEdit):
        space = line.width() - 24 * window.width() / 1600
        if line.isVisible() and QFontMetrics(line.font()).horizontalAdvance(line.placeholderText()) > space:
            found[line.accessibleName()] = (line.placeholderText(),)
    for label in window.findChildren(QLabel):
        if label.isVisible() and label.heightForWidth(label.width()) > label.height() + 1:
            found[label.text()] = (label.text(),)
    return found


def show(window, engine, changes, qapp):
    engine.changes = changes
    engine.advance(0.1)
    for _ in range(13):
        window.tick()
    qapp.processEvents()


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_cut(shown, qapp, state):
    window, engine = shown
    show(window, engine, STATES[state], qapp)
    found = cut(window)
    assert set(found.pop("Timeline", ())) <= set(TITLES)  # of songs whose bar is only just coming in
    assert found == {}
    for button in window.findChildren(QAbstractButton):
        assert button.toolTip() or not button.isVisible()


@pytest.mark.parametrize("state", NAMED)
def test_what_others_named_is_elided_with_a_tooltip(shown, qapp, state):
    window, engine = shown
    show(window, engine, NAMED[state], qapp)
    for part, lines in cut(window).items():
        assert part == "Timeline" or any("gave that" in line or LONG[:12] in line for line in lines), lines


def test_the_first_seconds(qapp):
    starting = Starting()
    for step in ("reading the configuration", "opening the pack demo", "warming up, 2 of 3", LONG):
        starting.do(step)
    window = MainWindow(Bridge(starting), "demo, simulated EEG")
    window.resize(1280, 720)
    window.show()
    qapp.processEvents()
    assert list(cut(window)) == ["Starting"]  # the long one
    window.close()
    window.deleteLater()
    qapp.processEvents()
