"""The window: owns the widgets, reads the engine on a timer, sends the operator's commands."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeySequence, QPalette, QShortcut
from PySide6.QtWidgets import QWidget

from bci_music.eeg.montage import Montage
from bci_music.messages import ChannelState, Quality, StreamState
from bci_music.status import Snapshot
from gui import theme
from gui.bridge import Bridge
from gui.frame_times import FrameStats
from gui.layout import DESIGN, arrange, scale_for
from gui.placement import Placement, place
from gui.readings import failure_sentence, stream_note
from gui.widgets.gauge import ChanceGauge
from gui.widgets.headmap import HeadMap
from gui.widgets.notice import Notice
from gui.widgets.now_playing import NowPlaying
from gui.widgets.quality import QualityMap
from gui.widgets.status_bar import StatusBar
from gui.widgets.tally import DecodedTally
from gui.widgets.traces import Traces
from gui.widgets.transport import STEP_DB

FRAME_MS = 16
MOTION, MAP, WORDS = 2, 4, 12  # every so many frames
SILENT_FRAMES = 120  # frames without a sample on a live stream after which a new cursor is asked for


class MainWindow(QWidget):
    """The Perform view.

    Parameters
    ----------
    bridge
        The engine.
    title
        What runs, e.g. "demo".
    """

    closing = Signal()  # still whole and visible

    def __init__(self, bridge: Bridge, title: str = ""):
        super().__init__()
        self._bridge = bridge
        self._frame = 0
        self._silent_frames = 0
        self._watching = False  # neither decoder nor sound
        self._stream: tuple | None = None
        self._montage: Montage | None = None
        self._placement = Placement((), (), ())
        self.setWindowTitle(f"bci-music · {title}" if title else "bci-music")
        self.setAccessibleName("bci-music")
        palette = QPalette()
        palette.setColor(QPalette.ColorRole.Window, QColor(theme.GROUND))
        self.setPalette(palette)
        self.setMinimumSize(960, 540)
        self._make_widgets(title)
        self._connect()
        self.resize(*DESIGN)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)
        self._show_all(bridge.snapshot)

    def _make_widgets(self, title: str) -> None:
        self.bar = StatusBar("bci-music", title, self)
        self.warning = Notice("Warning", theme.WARM, self)
        self.failure = Notice("Failure", theme.BAD, self)
        self.traces, self.head, self.tally = Traces(self), HeadMap(self), DecodedTally(self)
        self.quality, self.chance, self.playing = QualityMap(self), ChanceGauge(self), NowPlaying(self)
        self._parts = {
            "bar": self.bar, "traces": self.traces, "head": self.head, "tally": self.tally,
            "quality": self.quality, "chance": self.chance, "playing": self.playing,
        }  # fmt: skip
        self.warning.hide()
        self.failure.hide()

    def _connect(self) -> None:
        bridge, playing = self._bridge, self.playing
        playing.stop.clicked.connect(self._toggle_running)
        playing.mute.clicked.connect(lambda checked: bridge.set_muted(checked))
        playing.volume.moved.connect(bridge.set_volume)
        playing.prompt.asked.connect(bridge.set_prompt)
        playing.share.moved.connect(bridge.set_prompt_weight)
        for keys, action in {
            "Space": self._toggle_mute,
            "+": lambda: self._change_volume(STEP_DB),
            "=": lambda: self._change_volume(STEP_DB),
            "-": lambda: self._change_volume(-STEP_DB),
            "Up": lambda: self.traces.zoom(-1),
            "Down": lambda: self.traces.zoom(1),
            "F11": self._toggle_full_screen,
            "Esc": self.close,
            "Ctrl+Q": self.close,
        }.items():
            QShortcut(QKeySequence(keys), self).activated.connect(action)

    # the operator

    def _toggle_running(self) -> None:
        self._bridge.set_running(self._bridge.paused)
        self._show_all(self._bridge.refresh())

    def _toggle_mute(self) -> None:
        self._bridge.set_muted(not self._bridge.muted)
        self.playing.mute.setChecked(self._bridge.muted)

    def _change_volume(self, decibels: float) -> None:
        self.playing.volume.setValue(self.playing.volume.value() + round(decibels * 10))

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    # time

    def start(self) -> None:
        """Begin to move, 60 times a second."""
        self._timer.start(FRAME_MS)

    def tick(self) -> None:
        """Draw one frame: signals always, the rest less often."""
        self._frame += 1
        if self._frame % MOTION == 1:
            self._follow_stream(self._bridge.refresh())
            self.playing.show_motion(self._bridge.snapshot)
            if self._frame % WORDS == 1:
                self._show_words(self._bridge.snapshot)
        if self._frame % MAP == 0:
            self.head.show_snapshot(self._bridge.snapshot)
        self._advance_traces()

    def _advance_traces(self) -> None:
        cursor = self._bridge.cursor()
        taken = self.traces.advance(cursor) if cursor is not None else 0
        live = self._bridge.snapshot.stream.state is StreamState.LIVE
        self._silent_frames = self._silent_frames + 1 if live and not taken else 0
        if self._silent_frames > SILENT_FRAMES:
            self._silent_frames = 0
            self._bridge.drop_cursor()  # data flow, but not into the ring this cursor reads

    def _follow_stream(self, snapshot: Snapshot) -> None:
        """Rebuild what depends on the stream or the montage when either has changed."""
        info, montage = snapshot.stream.info, self._bridge.montage
        if montage is not self._montage:
            self._montage = montage
            self.head.show_montage(montage)
            self.quality.show_montage(montage)
            self._stream = None
        stream = (info.labels, info.sfreq_hz) if info is not None else None
        if info is not None and stream != self._stream:
            self._stream = stream
            self._placement = place(info, montage)
            self._bridge.drop_cursor()
            self.traces.show_stream(info.labels, info.sfreq_hz, self._placement)

    def _show_all(self, snapshot: Snapshot) -> None:
        self._follow_stream(snapshot)
        self._show_words(snapshot)

    def _show_words(self, snapshot: Snapshot) -> None:
        self.bar.show_snapshot(snapshot)
        self.playing.show_snapshot(snapshot, self._bridge.paused, self._bridge.muted)
        self.tally.show_snapshot(snapshot)
        self.chance.show_snapshot(snapshot)
        self.quality.show_quality(snapshot.quality)
        self.traces.set_note(stream_note(snapshot.stream))
        if snapshot.quality is not None and snapshot.stream.info is not None:
            self.traces.set_states(self._stream_states(snapshot.quality, snapshot.stream.info.labels))
        came = self.warning.show_sentence(snapshot.warning)
        failed = self.failure.show_sentence(failure_sentence(snapshot.failures, snapshot.now_s))
        watching = not snapshot.pack_name and not snapshot.sound.generator
        if came or failed or watching != self._watching:
            self._watching = watching
            self._lay_out()

    def _stream_states(self, quality: Quality, labels: tuple[str, ...]) -> tuple[ChannelState, ...]:
        """Verdicts in stream order; a channel nobody judged is unknown."""
        by_name = {c.name: c.state for c in quality.channels}
        states = []
        for label, electrode in zip(labels, self._placement.electrode, strict=True):
            placed = 0 <= electrode < len(quality.channels)
            states.append(quality.channels[electrode].state if placed else by_name.get(label, ChannelState.UNKNOWN))
        return tuple(states)

    def frame_stats(self) -> FrameStats:
        """Milliseconds per frame spent on the sweep display: taking, filtering, painting."""
        return self.traces.frame_times.stats()

    # Qt

    def _lay_out(self) -> None:
        strips = [n for n in (self.warning, self.failure) if n.sentence]
        parts = dict(self._parts)
        parts.update({f"strip{i}": notice for i, notice in enumerate(strips)})
        scale = scale_for(self.width(), self.height())
        boxes = arrange(self.width(), self.height(), len(strips), self._watching)
        for name, part in parts.items():
            part.setVisible(name in boxes)
        for name, box in boxes.items():
            if parts[name].scale != scale:
                parts[name].set_scale(scale)
            parts[name].setGeometry(box.x, box.y, box.w, box.h)

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Lay everything out anew."""
        self._lay_out()

    def closeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """End the engine with the window."""
        self._timer.stop()
        self.closing.emit()
        self.hide()
        self._bridge.stop_engine()
        self.head.finish()
        event.accept()
