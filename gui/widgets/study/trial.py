"""Record with consent, export what is chosen, and brain, sham or blind."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QPainter

from bci_music.status import Snapshot
from gui import theme
from gui.widgets.panel import INSET, Panel
from gui.widgets.prompt import WordLine
from gui.widgets.text import Run, draw, wrapped
from gui.widgets.transport import PillButton

MODES = {"off": "Brain", "sham": "Sham", "blind": "Blind"}
HINTS = {
    "off": "the music follows the EEG as it comes (B)",
    "sham": "the music follows EEG from another time, and everything says so (S)",
    "blind": "brain or sham by the toss of a coin, sealed until it ends (D)",
}
FORMATS = {"bids": "BIDS", "edf": "EDF", "fif": "FIF"}
ASK_CONSENT = "reference of the consent"


class TrialPanel(Panel):
    """Signals carry what is asked: `recorded` a consent or "", `exported` a format, `sham_asked` a mode."""

    recorded = Signal(str)
    exported = Signal(str)
    sham_asked = Signal(str)

    def __init__(self, parent=None):
        super().__init__("Record, export, sham", parent)
        self._outcome = self._words = self._why = ""
        self.consent = WordLine(ASK_CONSENT, "Consent", self)
        self.consent.asked.connect(self._begin)
        self.record = PillButton("Record", "record EEG, music and what is derived (R); ends a recording", self)
        self.record.clicked.connect(self.toggle)
        self.modes = {mode: PillButton(word, HINTS[mode], self) for mode, word in MODES.items()}
        for mode, button in self.modes.items():
            button.setCheckable(True)
            button.clicked.connect(lambda _checked=False, mode=mode: self.sham_asked.emit(mode))
        self.formats = {kind: PillButton(word, f"export the chosen session as {word}", self)
                        for kind, word in FORMATS.items()}  # fmt: skip
        for kind, button in self.formats.items():
            button.clicked.connect(lambda _checked=False, kind=kind: self.exported.emit(kind))

    @property
    def controls(self) -> tuple[PillButton, ...]:
        """All buttons."""
        return (self.record, *self.modes.values(), *self.formats.values())

    def show_snapshot(self, snapshot: Snapshot, may_export: bool) -> None:
        """Show how recording, export and sham stand."""
        shelf, live = snapshot.shelf, snapshot.replay is None
        recording = bool(snapshot.recording)
        self.record.set_word("End" if recording else "Record")
        self.record.setEnabled(live and shelf is not None)
        self.consent.setEnabled(live and shelf is not None and not recording)
        for button in self.formats.values():
            button.setEnabled(may_export)
        for mode, button in self.modes.items():
            button.setChecked(snapshot.sham.mode == mode)
            button.setEnabled(bool(snapshot.pack_name))
        outcome = (shelf.busy or shelf.outcome) if shelf is not None else ""
        first = snapshot.recording or ("not recording" if live else "a replay is not recorded again")
        own = "the music follows the EEG" if snapshot.pack_name else "nothing is decoded here"
        words = snapshot.sham.words or own
        if (first, outcome, words) != (self._why, self._outcome, self._words):
            self._why, self._outcome, self._words = first, outcome, words
            self.describe("; ".join(part for part in (first, outcome, words) if part))
            self.setToolTip(self.accessibleDescription())
            self.update()

    def toggle(self) -> None:
        """End the recording, or ask for the consent and begin one."""
        if self.record.text() == "End":
            self.recorded.emit("")
        elif self.record.isEnabled():
            self._begin(self.consent.text())

    def _begin(self, consent: str) -> None:
        if consent.strip():
            self.recorded.emit(consent.strip())
        else:
            self.consent.setFocus()

    def set_scale(self, scale: float) -> None:
        """Set widget pixels per design pixel, for the controls too."""
        super().set_scale(scale)
        for button in self.controls:
            button.scale = scale
        self.consent.set_scale(scale)
        self._lay_out()

    def resizeEvent(self, event) -> None:  # noqa: N802 (Qt's name)
        """Lay out the controls."""
        self._lay_out()

    def _lay_out(self) -> None:
        s = self.scale

        def put(widget, x: float, y: float, w: float, h: float) -> None:
            widget.setGeometry(round(x * s), round(y * s), round(w * s), round(h * s))

        put(self.consent, INSET, 44, 232, 30)
        put(self.record, INSET + 244, 43, 80, 32)
        for n, button in enumerate(self.formats.values()):
            put(button, INSET + 360 + 72 * n, 43, 64, 32)
        for n, button in enumerate(self.modes.values()):
            put(button, INSET + 88 * n, 122, 80, 32)

    def draw(self, painter: QPainter, w: float, h: float) -> None:
        """Paint how each stands, below its controls."""
        tint = theme.WARM if self.record.text() == "End" else theme.MUTED
        lines = wrapped(self._outcome, 13, w - 2 * INSET - 360, 4)
        draw(painter, INSET, 98, [Run(self._why, tint, 13)], 340)
        for row, line in enumerate(lines if self._outcome else ["export the chosen session"]):
            draw(painter, INSET + 360, 98 + 18 * row, [Run(line, theme.MUTED, 13)], w - 2 * INSET - 360)
        for row, line in enumerate(wrapped(self._words, 14, w - 2 * INSET)):
            draw(painter, INSET, 180 + 19 * row, [Run(line, px=14)], w - 2 * INSET)
