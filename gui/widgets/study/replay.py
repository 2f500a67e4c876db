"""The recording that is replayed: what was heard when, markers, where it is; a click goes to a place."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPolygonF

from bci_music.status import ReplayStatus
from gui import theme
from gui.widgets.panel import INSET, TITLE_PX, Panel
from gui.widgets.text import Run, draw, width, wrapped
from gui.widgets.transport import PillButton

STEP_S, LEAP_S = 10.0, 60.0
SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)
NO_REPLAY = (
    "Nothing is replayed. To replay a recording from a place: bci-music replay FILE --start 90. Here you can then "
    "jump, hold and change the speed."
)
MAY_OPEN = (
    "Nothing is replayed. Choose a session in the list and press Enter, or O: this run ends, and the session is "
    "replayed here with its songs and markers. Then a click goes to a place."
)
LANE = (64.0, 40.0)  # top and height of the songs
OPEN_HINT = "end this run, and replay the chosen session in this window (O, or Enter in the list)"
LEAVE_HINT = "end this replay, and go on with what this window began with (Backspace)"


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds: "1:30"."""
    whole = int(max(seconds, 0.0))
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{second:02d}" if hours else f"{minutes}:{second:02d}"


class ReplayBar(Panel):
    """Songs, markers and position; `sought` carries a place in seconds, `asked_speed` a speed, 0 to hold.

    `opened` asks for the session that is chosen, `left` for what ran before the replay.
    """

    sought = Signal(float)
    asked_speed = Signal(float)
    opened = Signal()
    left = Signal()

    def __init__(self, parent=None):
        super().__init__("Replay", parent)
        self._replay: ReplayStatus | None = None
        self._others: tuple[str, ...] = ()
        self._order: dict[str, int] = {}
        self._speed = 1.0  # to go on at
        self.hold = PillButton("Hold", "hold or go on (Space)", self)
        self.back = PillButton("− 10 s", "10 seconds back (Left; with Shift a minute)", self)
        self.on = PillButton("+ 10 s", "10 seconds on (Right; with Shift a minute)", self)
        self.slower = PillButton("Slower", "half the speed (,)", self)
        self.faster = PillButton("Faster", "twice the speed (.)", self)
        self.open = PillButton("Replay the chosen", OPEN_HINT, self)
        self.leave = PillButton("Leave", LEAVE_HINT, self)
        self.hold.clicked.connect(self.toggle)
        self.back.clicked.connect(lambda: self.step(-STEP_S))
        self.on.clicked.connect(lambda: self.step(STEP_S))
        self.slower.clicked.connect(lambda: self.change_speed(-1))
        self.faster.clicked.connect(lambda: self.change_speed(1))
        self.open.clicked.connect(self.opened)
        self.leave.clicked.connect(self.left)
        self.buttons = (self.hold, self.back, self.on, self.slower, self.faster)  # that move it

    def show_others(self, others: tuple[str, ...], chosen: bool) -> None:
        """Offer what may follow this run; `chosen` is whether one session is."""
        self.open.setVisible("open" in others)
        self.open.setEnabled(chosen)
        self.leave.setVisible("back" in others)
        if others != self._others:
            self._others = others
            self._tell()

    def show_replay(self, replay: ReplayStatus | None) -> None:
        """Show where it is."""
        if replay == self._replay:
            return
        self._replay = replay
        if replay is not None and replay.speed:
            self._speed = replay.speed
        self.hold.set_word("Go on" if replay is not None and not replay.speed else "Hold")
        for button in self.buttons:
            button.setVisible(replay is not None)
        self._tell()

    def _tell(self) -> None:
        self.describe(self._words(self._replay) if self._replay is not None else self._nothing)
        self.update()

    @property
    def _nothing(self) -> str:
        """What stands where nothing is replayed."""
        return MAY_OPEN if "open" in self._others else NO_REPLAY

    @staticmethod
    def _words(replay: ReplayStatus) -> str:
        pace = f"speed {replay.speed:g}" if replay.speed else "held"
        return f"{clock(replay.position_s)} of {clock(replay.duration_s)}, {pace}"

    # what is asked

    def seek(self, seconds: float) -> None:
        """Go to a place."""
        if self._replay is not None:
            self.sought.emit(min(max(seconds, 0.0), self._replay.duration_s))

    def step(self, seconds: float) -> None:
        """Go so much further."""
        if self._replay is not None:
            self.seek(self._replay.position_s + seconds)

    def toggle(self) -> None:
        """Hold, or go on at the speed before."""
        if self._replay is not None:
            self.asked_speed.emit(0.0 if self._replay.speed else self._speed)

    def change_speed(self, by: int) -> None:
        """Go along the list of speeds."""
        if self._replay is not None:
            nearest = min(range(len(SPEEDS)), key=lambda n: abs(SPEEDS[n] - self._speed))
            self._speed = SPEEDS[min(max(nearest + by, 0), len(SPEEDS) - 1)]
            self.asked_speed.emit(self._speed)

    def mousePressEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Go to the place under the pointer, where it is on the songs or near them."""
        top, height = LANE
        if self._replay is not None and top - 16 <= event.position().y() / self.scale <= top + height + 24:
            length = self.width() / self.scale - 2 * INSET
            self.seek((event.position().x() / self.scale - INSET) / length * self._replay.duration_s)

    # looks

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel, for the buttons too."""
        super().set_scale(scale)
        for button in (*self.buttons, self.open, self.leave):
            button.scale = scale
        self._lay_out()

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Lay out the buttons."""
        self._lay_out()

    def _lay_out(self) -> None:
        s, y = self.scale, self.height() - round(48 * self.scale)
        for n, button in enumerate(self.buttons):
            button.setGeometry(round((INSET + 88 * n) * s), y, round(80 * s), round(32 * s))
        right = self.width() / s - INSET
        self.open.setGeometry(round((right - 160) * s), y, round(160 * s), round(32 * s))
        self.leave.setGeometry(round((right - 248) * s), y, round(80 * s), round(32 * s))

    def title_runs(self) -> list[Run]:
        """Return name, place and pace."""
        if self._replay is None:
            return [Run(self.title, theme.MUTED, TITLE_PX)]
        now, hint = self._words(self._replay), "  ·  click a place to go there"
        return [Run(f"{self.title}  ·  ", theme.MUTED, TITLE_PX), Run(now, px=TITLE_PX, bold=True),
                Run(hint, theme.DIM, TITLE_PX)]  # fmt: skip

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint songs, markers and position."""
        replay = self._replay
        if replay is None:
            for row, line in enumerate(wrapped(self._nothing, 15, w - 2 * INSET, 4)):
                draw(painter, INSET, 60 + 22 * row, [Run(line, theme.MUTED, 15)], w - 2 * INSET)
            return
        top, height = LANE
        length = w - 2 * INSET
        per_s = length / max(replay.duration_s, 1e-6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour(theme.TRACK))
        painter.drawRoundedRect(QRectF(INSET, top, length, height), 4, 4)
        for span in replay.songs:
            box = QRectF(INSET + span.start_s * per_s, top, max((span.stop_s - span.start_s) * per_s - 2, 1), height)
            fill = theme.mixed(theme.song_colour(span.kind or span.label, self._order), theme.PANEL, 0.35)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(fill)
            painter.drawRoundedRect(box, 4, 4)
            if box.width() > 56:
                draw(painter, box.left() + 8, top + 25, [Run(span.label, px=13)], box.width() - 12)
        self._draw_marks(painter, replay, per_s, w, top)
        x = INSET + min(replay.position_s, replay.duration_s) * per_s
        painter.fillRect(QRectF(x - 1, top - 8, 2, height + 16), theme.colour(theme.TEXT))
        for text, at in ((clock(0), INSET), (clock(replay.duration_s), None)):
            run = [Run(text, theme.MUTED, 12)]
            draw(painter, w - INSET - width(run) if at is None else at, top + height + 18, run)

    def _draw_marks(self, painter: QPainter, replay: ReplayStatus, per_s: float, w: float, top: float) -> None:
        """A triangle above each marker, with its words where there is space."""
        free = INSET
        for at_s, text in replay.marks:
            x = INSET + at_s * per_s
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(theme.WARM))
            painter.drawPolygon(QPolygonF([QPointF(x - 4, top - 10), QPointF(x + 4, top - 10), QPointF(x, top - 3)]))
            label = [Run(text, theme.MUTED, 12)]
            if x >= free and x + 8 + width(label) <= w - INSET:
                draw(painter, x + 8, top - 5, label)
                free = x + 24 + width(label)
