import dataclasses

import numpy as np
import pytest
from PySide6.QtCore import Qt

from bci_music.messages import ChannelState, StreamState
from bci_music.status import Command, Failure, SoundStatus, StreamStatus
from gui.bridge import Bridge
from gui.main_window import MainWindow
from gui.views.monitor import Monitor


@pytest.fixture
def open_window(qtbot):
    """Show a window on an engine; the test turns its time by hand."""

    def show(engine):
        window = MainWindow(Bridge(engine), "test")
        qtbot.addWidget(window)
        with qtbot.waitActive(window):
            window.show()
            window.activateWindow()
        return window

    return show


def run(window, engine, seconds=1.0, qapp=None, **how):
    for _ in range(round(60 * seconds)):
        engine.advance(1 / 60, **how)
        window.tick()
        if qapp is not None:
            qapp.processEvents()


def colours(widget):
    image = widget.grab().toImage()
    return len({image.pixel(x, y) for x in range(0, image.width(), 5) for y in range(0, image.height(), 5)})


def test_every_panel_draws_and_speaks(open_window, engine, qapp):
    window = open_window(engine)
    run(window, engine, 1.5, qapp)
    output = {}
    for name in ("bar", "traces", "head", "tally", "quality", "chance", "playing"):
        widget = window.bar if name == "bar" else window.view.parts[name]
        assert widget.accessibleName(), name
        assert colours(widget) > 8, name
        output[name] = widget.accessibleDescription()
    assert output["bar"] == "live: EGI-128  125 ch  1000 Hz, data age 0.01 s"
    assert output["chance"].startswith("yes, 14 of 38 windows found the song")
    assert output["quality"].startswith("123 of 125 in use; E37 mains 14 dB above median: press the electrode")
    assert output["head"].startswith("most weight on E")
    assert output["playing"].startswith("near Paper Birds")
    assert "not brain activity" in window.view.head.accessibleName()


def test_nothing_known_yet(open_window, engine, qapp):
    montage, engine.montage = engine.montage, None
    engine._snapshot = lambda: dataclasses.replace(engine_snapshot(engine, montage), **NOTHING)
    engine.trace_cursor = lambda: None
    window = open_window(engine)
    for _ in range(30):
        window.tick()
        qapp.processEvents()
    assert window.view.chance.accessibleDescription() == "no stream yet"
    assert window.bar.accessibleDescription().startswith("searching: looking for a stream")
    assert window.view.playing.accessibleDescription().startswith("no music")
    assert colours(window) > 8


NOTHING = {
    "stream": StreamStatus(), "quality": None, "embedding": None, "playing": None, "timeline": (), "waveform": None,
    "identification": None, "channel_names": (), "sound": SoundStatus(),
}  # fmt: skip


def engine_snapshot(engine, montage):
    engine.montage = montage
    made = type(engine)._snapshot(engine)
    engine.montage = None
    return made


@pytest.mark.parametrize("field", ["quality", "embedding", "playing", "waveform", "identification"])
def test_each_field_may_be_missing(open_window, engine, qapp, field):
    engine.changes = {field: None}
    window = open_window(engine)
    run(window, engine, 0.4, qapp)
    assert colours(window) > 8


@pytest.mark.parametrize("state", list(StreamState))
def test_each_state_is_stated_in_a_word(open_window, engine, qapp, state):
    window = open_window(engine)
    run(window, engine, 0.3, qapp)
    engine.state = state
    run(window, engine, 0.3, qapp)
    assert window.bar.accessibleDescription().startswith(state.value)
    assert bool(window.view.traces.note) == (state is not StreamState.LIVE)


def test_states_look_different_without_colour(open_window, engine, qapp):
    window = open_window(engine)
    seen = {}
    for state in StreamState:
        engine.state = state
        run(window, engine, 0.3, qapp)
        left = round(window.bar._lists["streams"].left())
        grey = window.bar.grab().toImage().convertToFormat(window.bar.grab().toImage().Format.Format_Grayscale8)
        x = [(grey.pixel(i, j) & 255) > 70 for i in range(left, left + 124) for j in range(10, 30)]
        seen[state] = tuple(x)
    assert len(set(seen.values())) == len(StreamState)


def test_failure_and_warning_strips_come_and_go(open_window, engine, qapp):
    window = open_window(engine)
    run(window, engine, 0.3, qapp)
    top = window.view.traces.y()
    engine.changes = {"warning": "This decoder was trained on simulated EEG.",
                      "failures": (Failure(engine.now_s, "generate", "generate: the disk is full"),)}  # fmt: skip
    run(window, engine, 0.3, qapp)
    assert window.failure.isVisible()
    assert window.failure.accessibleDescription() == "generate: the disk is full."
    assert window.warning.sentence.startswith("This decoder was trained on simulated EEG")
    assert window.view.traces.y() == top + 80
    engine.changes = {}
    run(window, engine, 0.3, qapp)
    assert not window.failure.isVisible()
    assert window.view.traces.y() == top


def test_volume_mute_and_stop_are_sent(open_window, engine, qtbot):
    window = open_window(engine)
    run(window, engine, 0.1)
    qtbot.keyClick(window, Qt.Key.Key_Plus)
    assert engine.commands[-1] == Command("volume", -6.0)
    qtbot.keyClick(window, Qt.Key.Key_Minus)
    assert engine.commands[-1] == Command("volume", -8.0)
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert engine.commands[-1] == Command("mute", 1.0)
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert engine.commands[-1] == Command("mute", 0.0)
    qtbot.mouseClick(window.view.playing.stop, Qt.MouseButton.LeftButton)
    assert engine.commands[-1] == Command("stop")
    assert window.view.playing.stop.text() == "Start"
    assert window.view.playing.accessibleDescription().startswith("stopped")
    qtbot.mouseClick(window.view.playing.stop, Qt.MouseButton.LeftButton)
    assert engine.commands[-1] == Command("start")
    slider = window.view.playing.volume
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=slider.rect().center())
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=slider.rect().center())
    assert engine.commands[-1].name == "volume"
    assert engine.commands[-1].value == pytest.approx(-20.0, abs=1.0)


def test_reflecting_the_engines_volume_sends_nothing(open_window, engine):
    window = open_window(engine)
    run(window, engine, 0.5)
    assert engine.commands == []
    assert window.view.playing.volume.decibels == -8.0


def test_resize_scales_everything(open_window, engine, qapp):
    window = open_window(engine)
    run(window, engine, 1.0, qapp)
    for size in ((960, 540), (1920, 1080), (1600, 900)):
        window.resize(*size)
        run(window, engine, 0.2, qapp)
        assert window.view.traces.scale == pytest.approx(size[1] / 900)
        picture = window.view.traces.picture()
        assert picture.shape[1] == window.view.traces.picture_rect().width()
        assert len(np.unique(picture)) > 50


def test_without_decoder_and_sound_signals_and_electrodes_take_the_space(open_window, engine, qapp):
    engine.changes = {"pack_name": "", "sound": SoundStatus(), "embedding": None, "playing": None, "timeline": ()}
    window = open_window(engine)
    run(window, engine, 1.0, qapp)
    assert isinstance(window.view, Monitor)
    assert {name for name, part in window.view.parts.items() if part.isVisible()} == {"traces", "quality", "electrode"}
    assert window.view.traces.width() > 1000
    engine.changes = {}
    run(window, engine, 0.3, qapp)
    assert window.view.head.isVisible()
    assert window.view.playing.volume.isVisible()


def test_new_stream_is_followed(open_window, engine, make_engine, qapp):
    window = open_window(engine)
    run(window, engine, 0.5, qapp)
    other = make_engine(labels=["Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2", "Pz"], sfreq_hz=250.0)
    engine.labels, engine.sfreq_hz, engine.ring, engine.samples = other.labels, 250.0, other.ring, other.samples
    run(window, engine, 1.0, qapp)
    assert window.bar.accessibleDescription().startswith("live: EGI-128  9 ch  250 Hz")
    assert window.view.traces._sweep.head > 100
    assert window.view.traces._placement.regions[:2] == ("front", "front")


def test_ring_that_was_replaced_is_found(open_window, engine, make_engine, qapp):
    window = open_window(engine)
    run(window, engine, 0.5, qapp)
    engine.ring = make_engine().ring
    before = window.view.traces._sweep.head
    run(window, engine, 4.0)
    assert window.view.traces._sweep.head > before


def test_held_attention_is_stated_to_be_held(open_window, engine, qapp):
    window = open_window(engine)
    run(window, engine, 0.3, qapp)
    assert "held" not in "".join(r.text for r in window.view.head.title_runs())
    old = engine.snapshot().embedding
    engine.changes = {"embedding": old}
    engine.advance(8.0, write=False)
    run(window, engine, 0.3, qapp)
    assert "held for 9 s" in "".join(r.text for r in window.view.head.title_runs())


def test_masked_channels_leave_the_map(open_window, engine, qtbot):
    window = open_window(engine)
    run(window, engine, 0.3)
    qtbot.waitUntil(lambda: window.view.head._making is None or window.view.head._making.done())
    run(window, engine, 0.1)
    assert not window.view.head._map.good[36]
    assert np.isfinite(window.view.head._grid[window.view.head._map.inside]).all()
    fewer = engine.snapshot().embedding
    attention = fewer.attention.copy()
    attention[:60] = np.nan
    engine.changes = {"embedding": dataclasses.replace(fewer, attention=attention, made_s=engine.now_s)}
    run(window, engine, 1.5)
    qtbot.waitUntil(lambda: window.view.head._making is None or window.view.head._making.done())
    run(window, engine, 0.1)
    assert window.view.head._map.good.sum() == np.isfinite(attention).sum()
    attention[:] = np.nan
    run(window, engine, 0.3)
    assert window.view.head._grid is None


def test_stream_states_follow_the_electrodes(open_window, engine, qapp):
    window = open_window(engine)
    run(window, engine, 0.3, qapp)
    assert window.view.traces._states[36] is ChannelState.BAD
    assert window.view.traces._states[79] is ChannelState.DOUBTFUL
    assert window.view.traces._states[0] is ChannelState.GOOD


@pytest.mark.parametrize("key", ["close", Qt.Key.Key_Escape])
def test_closing_is_said_once(open_window, engine, qtbot, key):
    window = open_window(engine)
    heard = []
    window.closing.connect(lambda: heard.append(window.isVisible()))
    window.start()
    if key == "close":
        window.close()
    else:
        qtbot.keyClick(window, key)
    assert heard == [True]
    window.close()
    assert heard == [True]
    assert not window.isVisible()
    assert not window._timer.isActive()


def test_full_screen_and_back(open_window, engine, qtbot):
    window = open_window(engine)
    qtbot.keyClick(window, Qt.Key.Key_F11)
    assert window.isFullScreen()
    qtbot.keyClick(window, Qt.Key.Key_F11)
    assert not window.isFullScreen()
