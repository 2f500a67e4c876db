"""Outlets that die, hang and catch up while the decoder decodes and the music plays."""

import signal
import time

import numpy as np
import pytest

from bci_music.messages import StreamState, Window
from bci_music.streaming.lsl import lsl_clock

pytestmark = pytest.mark.realtime

RATE = 250.0


class Watch:
    """Remember windows with the counters of the rows they cover."""

    def __init__(self, engine):
        self.engine = engine
        self.windows = []
        feed = engine.decode._feed

        def feed_and_watch(piece):
            windows = feed(piece)
            for window in windows:
                self.take(window)
            return windows

        engine.decode._feed = feed_and_watch

    def take(self, window: Window):
        ring = self.engine.ring
        piece = ring.read(window.first_sample, window.last_sample - window.first_sample + 1)
        self.windows.append((window, piece.samples[:, 0].astype(np.int64), piece.lost, lsl_clock()))

    def decoded(self):
        return [(w, counter) for w, counter, lost, _ in self.windows if w.decodable and not lost]


def assert_no_decoded_window_spans_a_jump(watch):
    decoded = watch.decoded()
    assert len(decoded) >= 3
    for window, counter in decoded:
        assert (np.diff(counter) == 1).all(), f"window {window.index} spans a jump of the counter"


def run_kills(kills, outlet, live_engine, until):
    stream = outlet(rate=RATE, channels=125, noise=15, labels=",".join(labels()))
    engine = live_engine(stream.name)
    watch = Watch(engine)
    engine.start()
    until(lambda: engine.state == StreamState.LIVE, what="the stream")
    until(lambda: len(watch.decoded()) >= 2, 20, "a decoded window")
    waits = []
    for n in range(kills):
        stream.kill()
        until(lambda: engine.state != StreamState.LIVE, what="noticing the kill")
        time.sleep(0.2 * (n % 4))
        stream.start()
        waits.append(
            until(lambda n=n: engine.state == StreamState.LIVE and engine.connection == n + 1, what="the rejoin")
        )
        time.sleep(0.3)
    until(
        lambda: watch.windows[-1][0].decodable and watch.windows[-1][0].connection == kills,
        20, "decoding after the last",
    )  # fmt: skip
    sound = engine.snapshot().sound
    engine.stop()
    assert len(waits) == kills
    assert engine.connection == kills
    assert sound.underruns == 0
    assert_no_decoded_window_spans_a_jump(watch)


def labels():
    from bci_music.eeg.montage import NMED_CHANNELS

    return NMED_CHANNELS


def test_three_kills_are_rejoined_each_time(outlet, live_engine, until):
    run_kills(3, outlet, live_engine, until)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_twenty_kills_are_rejoined_each_time(outlet, live_engine, until):
    run_kills(20, outlet, live_engine, until)


@pytest.mark.parametrize("mode", [pytest.param("skip", marks=pytest.mark.soak), "catchup"])
def test_a_hung_outlet_is_shown_and_never_decoded_as_new(mode, outlet, live_engine, until):
    run_hang(mode, 2.5, outlet, live_engine, until)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["skip", "catchup"])
def test_an_outlet_that_hangs_for_six_seconds(mode, outlet, live_engine, until):
    run_hang(mode, 6.0, outlet, live_engine, until)


def run_hang(mode, seconds, outlet, live_engine, until):
    stream = outlet(rate=RATE, channels=125, noise=15, labels=",".join(labels()), mode=mode)
    engine = live_engine(stream.name)
    watch = Watch(engine)
    engine.start()
    until(lambda: len(watch.decoded()) >= 2, 30, "a decoded window")
    stream.signal(signal.SIGSTOP)
    shown = until(lambda: engine.state == StreamState.STALLED, what="the stall")
    time.sleep(max(0.0, seconds - shown))
    stream.signal(signal.SIGCONT)
    resumed = lsl_clock()
    until(lambda: watch.windows and watch.windows[-1][3] > resumed + 6.0, 20, "windows after the hang")
    engine.stop()
    assert_no_decoded_window_spans_a_jump(watch)
    late = [made - (stream.start_s + counter[-1] / RATE) for _, counter, lost, made in watch.windows
            if made > resumed + 1.0 and not lost]  # fmt: skip
    assert len(late) >= 8
    assert max(late) < seconds  # nothing from before the hang
    assert any(w.decodable for w, _, _, made in watch.windows if made > resumed)
