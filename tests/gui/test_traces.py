import numpy as np
import pytest

from bci_music.messages import BREAK, HOLE, ChannelState
from bci_music.streaming.ring import Cursor
from gui import theme
from gui.placement import place
from gui.widgets.traces import Traces

PANEL = 0xFF000000 | int(theme.PANEL[1:], 16)


@pytest.fixture
def shown(qapp, qtbot, engine):
    """Traces of the fake engine and a cursor that feeds them."""
    traces = Traces()
    qtbot.addWidget(traces)
    traces.resize(640, 600)
    info = engine.snapshot().stream.info
    traces.show_stream(info.labels, info.sfreq_hz, place(info, engine.montage))
    traces.show()
    return traces, Cursor(engine.ring), engine


def run(shown, seconds, step=1 / 30, **how):
    traces, cursor, engine = shown
    for _ in range(round(seconds / step)):
        engine.advance(step, **how)
        traces.advance(cursor)


def head_column(traces):
    return traces._painted % traces.picture().shape[1]


@pytest.mark.parametrize("seconds", [3.0, 14.0])
def test_strips_equal_a_full_redraw(shown, seconds):
    traces, _, engine = shown
    run(shown, 3.0)
    traces.zoom(1)  # the operator's scale: no change of scale from here on
    run(shown, seconds)
    run(shown, 0.3, flag=HOLE)
    engine.advance(0.4, write=False)
    run(shown, 1 / 30, flag=BREAK)
    run(shown, 0.5)
    by_strips = traces.picture().copy()
    traces.redraw()
    np.testing.assert_array_equal(by_strips, traces.picture())


def test_every_frame_paints_only_the_newest_strip(shown):
    traces, _, _ = shown
    run(shown, 3.0)
    traces.zoom(1)
    before, at = traces.picture().copy(), head_column(traces)
    run(shown, 1 / 30)
    changed = np.flatnonzero((before != traces.picture()).any(axis=0))
    assert changed.min() >= at
    assert changed.max() <= head_column(traces) + traces._bar(before.shape[1])


def test_hole_is_a_gap(shown):
    traces, _, _ = shown
    run(shown, 2.0)
    start = head_column(traces)
    run(shown, 1.0, flag=HOLE)
    stop = head_column(traces)
    run(shown, 1.0)
    assert (traces.picture()[:, start + 2 : stop - 2] == PANEL).all()
    assert (traces.picture()[:, start - 20 : start - 2] != PANEL).any(axis=0).all()
    assert (traces.picture()[:, stop + 3 : stop + 20] != PANEL).any(axis=0).all()


def test_missing_time_is_a_gap_too(shown):
    traces, _, engine = shown
    run(shown, 2.0)
    start = head_column(traces)
    engine.advance(1.5, write=False)
    run(shown, 1 / 30, flag=BREAK)
    run(shown, 0.5)
    gap = traces.picture()[:, start + 2 : start + int(1.4 * traces.picture().shape[1] / 10)]
    assert (gap == PANEL).all()


def test_overwritten_samples_are_a_gap_and_not_a_jump_in_time(shown):
    traces, cursor, engine = shown
    run(shown, 2.0)
    engine.advance(25.0)  # the ring holds 20 s
    traces.advance(cursor)
    assert traces._sweep.head == round((engine.now_s - 1000) * 1000)
    assert cursor.lost > 4000


def hue_share(pixels, name):
    """Share of painted pixels that lie nearer to `name` than to any other trace colour."""
    painted = pixels[pixels != PANEL]
    rgb = np.stack([painted >> 16 & 255, painted >> 8 & 255, painted & 255], axis=1).astype(float)
    names = [*theme.REGIONS.values(), theme.BAD]
    ground = np.array(theme.rgb(theme.PANEL))
    directions = np.array([theme.rgb(n) for n in names]) - ground
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    offset = rgb - ground
    offset = offset[np.linalg.norm(offset, axis=1) > 30]
    nearest = (offset @ directions.T / np.linalg.norm(offset, axis=1, keepdims=True)).argmax(axis=1)
    return (nearest == names.index(name)).mean()


def test_regions_have_their_colour_and_place(shown):
    traces, _, engine = shown
    run(shown, 4.0)
    picture = traces.picture()[:, : head_column(traces)]
    h = len(picture)
    regions = place(engine.snapshot().stream.info, engine.montage).regions
    share_front = regions.count("front") / len(regions)
    assert hue_share(picture[: int(0.7 * share_front * h)], theme.REGIONS["front"]) > 0.9
    share_back = regions.count("back") / len(regions)
    assert hue_share(picture[int((1 - 0.7 * share_back) * h) :], theme.REGIONS["back"]) > 0.9


def test_bad_channel_turns_red(shown):
    traces, _, engine = shown
    run(shown, 2.0)
    start = head_column(traces)
    bad = engine.labels.index("E37")
    row = place(engine.snapshot().stream.info, engine.montage).order.index(bad)
    states = [ChannelState.GOOD] * 125
    states[bad] = ChannelState.BAD
    traces.set_states(tuple(states))
    run(shown, 2.0)
    y = round((row + 1) * len(traces.picture()) / 126)
    after = hue_share(traces.picture()[y - 3 : y + 4, start + 3 : head_column(traces)], theme.BAD)
    before = hue_share(traces.picture()[y - 3 : y + 4, : start - 3], theme.BAD)
    assert before < 0.02
    assert after > 0.2


@pytest.mark.parametrize("channels", [1, 8, 64, 300])
def test_any_number_of_channels(qapp, qtbot, make_engine, channels):
    engine = make_engine(labels=[f"X{i}" for i in range(channels)], sfreq_hz=250.0)
    traces = Traces()
    qtbot.addWidget(traces)
    traces.resize(500, 400)
    info = engine.snapshot().stream.info
    traces.show_stream(info.labels, info.sfreq_hz, place(info, engine.montage))
    cursor = Cursor(engine.ring)
    engine.advance(2.0)
    traces.advance(cursor)
    assert (traces.picture()[:, 5:80] != PANEL).any(axis=0).all()
    assert not traces.grab().isNull()


def test_scale_settles_by_itself_until_the_operator_chooses(shown):
    traces, _, engine = shown
    run(shown, 3.0)
    found = traces.scale_uv
    assert 2 < found < 2000
    engine._mix *= 30
    run(shown, 5.0)
    assert traces.scale_uv > 5 * found
    traces.zoom(-1)
    chosen = traces.scale_uv
    engine._mix /= 30
    run(shown, 5.0)
    assert traces.scale_uv == chosen


def test_frame_times_are_counted(shown, qapp):
    traces, _, _ = shown
    for _ in range(20):
        run(shown, 1 / 30)
        qapp.processEvents()
    stats = traces.frame_times.stats()
    assert stats.n >= 19
    assert 0 < stats.p50_ms <= stats.p95_ms <= stats.max_ms
