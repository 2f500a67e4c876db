"""The bottom panel: what plays and why, the operator's controls, and the timeline."""

from __future__ import annotations

from PySide6.QtCore import QRect
from PySide6.QtGui import QPainter

from bci_music.messages import STYLE
from bci_music.status import Snapshot
from gui import theme
from gui.readings import WAY_LETTERS, late_words, now_playing, way_words
from gui.widgets.meters import LevelMeters
from gui.widgets.panel import INSET, Panel
from gui.widgets.prompt import PromptLine, ShareSlider
from gui.widgets.text import Run, draw
from gui.widgets.timeline import Timeline
from gui.widgets.transport import PillButton, VolumeSlider

LEFT_COLUMN = 336.0


class NowPlaying(Panel):
    """Headline, facts, transport and timeline."""

    def __init__(self, parent=None):
        super().__init__("Now playing", parent)
        self._snapshot: Snapshot | None = None
        self._paused = False
        self.timeline = Timeline(self)
        self.meters = LevelMeters(self)
        self.stop = PillButton("Stop", "stop or start the music", self)
        self.mute = PillButton("Mute", "mute (space)", self)
        self.mute.setCheckable(True)
        self.volume = VolumeSlider(self)
        self.way = PillButton("Way A", "", self)
        self.prompt, self.share = PromptLine(self), ShareSlider(self)

    def show_snapshot(self, snapshot: Snapshot, paused: bool, muted: bool) -> None:
        """Show what plays now; `paused` and `muted` are the operator's wishes."""
        self._snapshot, self._paused = snapshot, paused
        shown = now_playing(snapshot, paused)
        self.describe(", ".join(part for part in (shown.headline, shown.first, shown.second) if part))
        self.setToolTip(f"late clips: {late_words(snapshot.sound.late_steps)}" if snapshot.sound.generator else "")
        self.stop.set_word("Start" if paused else "Stop")
        self.mute.setChecked(muted)
        self.volume.reflect(snapshot.sound.volume_db)
        self.meters.show_device(snapshot.sound.device)
        self.prompt.show_status(snapshot.sound.prompt)
        self.share.show_status(snapshot.sound.prompt)
        self.way.set_word(f"Way {WAY_LETTERS[snapshot.sound.way or STYLE]}")
        self.way.setToolTip(way_words(snapshot.sound))
        for control in (self.stop, self.mute, self.volume, self.meters, self.prompt, self.share):
            control.setVisible(bool(snapshot.sound.generator))
        self.way.setVisible(bool(snapshot.sound.ways))
        self._lay_out()
        self.update(self._box(0, 0, LEFT_COLUMN, self.height() / self.scale))

    def show_motion(self, snapshot: Snapshot) -> None:
        """Move what moves: levels and timeline."""
        self.meters.show_peaks(snapshot.sound.peak_dbfs, snapshot.now_s)
        self.timeline.show_snapshot(snapshot)

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Lay out the children on the grid."""
        self._lay_out()

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel, for the children too."""
        super().set_scale(scale)
        self.timeline.set_scale(scale)
        self.meters.set_scale(scale)
        for control in (self.stop, self.mute, self.way, self.volume, self.share):
            control.scale = scale
        self.prompt.set_scale(scale)
        self._lay_out()

    def _box(self, x: float, y: float, w: float, h: float) -> QRect:
        s = self.scale
        return QRect(round(x * s), round(y * s), round(w * s), round(h * s))

    def _lay_out(self) -> None:
        w, h = self.width() / self.scale, self.height() / self.scale
        self.meters.setGeometry(self._box(INSET, h - 112, 304, 24))
        self.prompt.setGeometry(self._box(INSET, h - 86, 192, 24))
        self.share.setGeometry(self._box(INSET + 200, h - 86, 112, 24))
        self.stop.setGeometry(self._box(INSET, h - 58, 64, 32))
        self.mute.setGeometry(self._box(INSET + 72, h - 58, 64, 32))
        self.way.setGeometry(self._box(INSET + 144, h - 58, 72, 32))
        left = 224 if self.way.isVisibleTo(self) else 144
        self.volume.setGeometry(self._box(INSET + left, h - 58, 312 - left, 32))
        self.timeline.setGeometry(self._box(LEFT_COLUMN + 24, INSET, w - LEFT_COLUMN - 24 - INSET, h - INSET - 8))

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint the words."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        shown, sound = now_playing(snapshot, self._paused), snapshot.sound
        space = LEFT_COLUMN - INSET
        draw(painter, INSET, 52, [Run(shown.headline, theme.TEXT if shown.chosen else theme.MUTED, 26, True)], space)
        draw(painter, INSET, 75, [Run(shown.first, theme.MUTED, 14)], space)
        draw(painter, INSET, 93, [Run(shown.second, theme.MUTED, 14)], space)
        if not sound.generator:
            return
        tint = theme.WARM if sound.underruns > 0 or sound.starved_s > 0 else theme.TEXT
        late = theme.WARM if sound.late_steps.total else theme.TEXT
        level = "muted" if sound.muted else f"{sound.volume_db:+.0f} dB".replace("-", "−").replace("+0", "0")
        counters = [
            Run("volume ", theme.MUTED), Run(level, bold=True),
            Run("    underruns ", theme.MUTED), Run(str(sound.underruns), tint, bold=True),
            Run("    late ", theme.MUTED), Run(str(sound.late_steps.total), late, bold=True),
        ]
        draw(painter, INSET, h - 8, counters, space)
