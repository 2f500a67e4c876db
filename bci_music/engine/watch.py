"""The slow beat of a run: notices the stream, follows the music, keeps the answer to "above chance?" fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bci_music.status import Chance, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from bci_music.engine.events import Events
    from bci_music.engine.history import History
    from bci_music.engine.sham import Sham
    from bci_music.messages import MusicMarker, StreamInfo
    from bci_music.sound.stage import SoundStage
    from bci_music.status import Identification
    from bci_music.streaming.markers import Markers
    from bci_music.streaming.ring import RingBuffer

    MakeMarkers = Callable[[StreamInfo, Callable[[MusicMarker], None]], Markers]

SEALED = "Sealed: a blind trial is under way, and the answer would give it away."


class Watched(Protocol):
    """What the watch needs of an engine."""

    first_sample_s: float | None
    events: Events
    history: History | None
    sound: SoundStage | None
    identification: Identification | None
    chance: Chance
    sham: Sham | None

    @property
    def info(self) -> StreamInfo | None:
        """The stream once it is found."""

    @property
    def ring(self) -> RingBuffer | None:
        """The raw EEG, None until the stream is found."""

    @property
    def blind(self) -> bool:
        """Whether a blind trial is under way."""

    def connect_outputs(self, info: StreamInfo) -> None:
        """Give the outputs the stream that was found."""


class Watch:
    """What looks after a run at a slow beat.

    Parameters
    ----------
    engine : Watched
    make_markers : callable, optional
        ``(StreamInfo, on_marker) -> Markers``, once the stream is known.
    """

    def __init__(self, engine: Watched, make_markers: MakeMarkers | None):
        self._engine = engine
        self._make_markers = make_markers
        self._markers: Markers | None = None
        self._followed = ""  # the stream whose markers these are
        self._connected = False

    def step(self, now: float) -> None:
        """Do what is due."""
        engine = self._engine
        info, ring = engine.info, engine.ring
        if info is None:
            return
        if engine.first_sample_s is None and ring is not None and ring.head > 0:
            engine.first_sample_s = min(float(ring.read(ring.tail, 1).times[0]), now)
        if not self._connected:
            self._connected = True
            engine.connect_outputs(info)
        if info.name != self._followed:
            self._drop_markers()
            self._followed = info.name
        if self._markers is None and self._make_markers is not None:
            self._markers = self._make_markers(info, engine.events.marker)
        if self._markers is not None:
            self._markers.step(now)
        if engine.history is not None:
            engine.identification = engine.history.identification()
        engine.chance = Chance(why=SEALED) if engine.blind else self._chance()
        if engine.sound is not None and engine.sound.player.lost:
            self._say_lost(engine.sound.player.lost, now)

    def _chance(self) -> Chance:
        """What is said of the sound that is given, else, or where that cannot be known, of the songs."""
        engine = self._engine
        songs = engine.history.chance() if engine.history is not None else Chance()
        heard = engine.events.heard
        if heard is None:
            return songs
        of_sound = heard.answer(engine.sham is not None and engine.sham.status().mode == "sham")
        return of_sound if of_sound.method or not songs.method else songs

    def _say_lost(self, text: str, now: float) -> None:
        if text not in self._engine.events.lost:
            self._engine.events.failure(Failure(now, "sound", text, lost=True))

    def close(self) -> None:
        """Let go of the markers and of the sound that is heard."""
        self._drop_markers()
        if self._engine.events.heard is not None:
            self._engine.events.heard.close()

    def _drop_markers(self) -> None:
        if self._markers is not None:
            self._markers.close()
        self._markers = None
