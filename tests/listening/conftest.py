"""Where a calibration shows itself in tests, and the small pack."""

import threading
from contextlib import contextmanager

import pytest
from small_pack import pack_directory, small_decoder
from small_xdf import write_xdf


class Lines:
    """A display that keeps its lines; the calibration is asked to end when one begins with `end_at`."""

    chooses, followed_by = False, None

    def __init__(self, end_at=None, on_busy=lambda text: None):
        self.lines, self.busy_lines, self.asked, self._end_at = [], [], threading.Event(), end_at
        self._on_busy = on_busy

    def log(self, text, style=""):
        self.lines.append(text)
        if self._end_at and text.startswith(self._end_at):
            self.asked.set()

    def _busy(self, text):
        self.busy_lines.append(text)
        self._on_busy(text)

    @contextmanager
    def busy(self, text):
        yield self._busy

    @contextmanager
    def ending(self):
        yield self

    def watch(self, progress):
        self.progress = progress

    def stay(self, progress):
        pass

    def building(self):
        pass

    def running(self):
        pass

    def check(self):
        pass


@pytest.fixture
def lines():
    return Lines
