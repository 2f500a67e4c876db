"""Music markers: which song is being heard, as announced beside an EEG stream or noted in a recording.

On LSL the marker stream is named ``"<eeg stream> music"`` and carries JSON such as
``{"song": "night-bus", "title": "Night Bus", "song_start_s": 84.0}``; ``{"song": null}`` ends the music.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from bci_music.data.session import parse_song_marker
from bci_music.messages import MusicMarker
from bci_music.streaming.discovery import quoted

if TYPE_CHECKING:
    import pylsl

    from bci_music.streaming.replay import SessionSource


class Markers(Protocol):
    """A stage that follows the music being heard."""

    def step(self, now: float) -> None:
        """Hand on the markers that came since the last step."""

    def close(self) -> None:
        """Let go of what is followed."""


def parse_music_marker(text: str, time_s: float) -> MusicMarker | None:
    """Read one marker; None when it is not about music."""
    marker = parse_song_marker(text)
    if marker is None:
        return None
    song, title, song_start_s = marker
    return MusicMarker(time_s, song, title or (song or ""), song_start_s)


class LslMarkers:
    """Stage that follows the marker stream of an EEG stream and hands on every `MusicMarker`.

    A stream that goes away is looked for again; markers pushed meanwhile are lost, as LSL has it.
    """

    def __init__(self, eeg_name: str, on_marker: Callable[[MusicMarker], None]):
        import pylsl

        self._resolver = pylsl.ContinuousResolver(pred=f"name={quoted(f'{eeg_name} music')}", forget_after=2.0)
        self._on_marker = on_marker
        self._inlet: pylsl.StreamInlet | None = None
        self._correction_s: float | None = None
        self.ignored = 0

    def step(self, now: float) -> None:
        """Take the markers that came since the last step."""
        if self._inlet is None and not self._connect():
            return
        import pylsl

        assert self._inlet is not None
        try:
            if self._correction_s is None:
                self._correction_s = self._inlet.time_correction(timeout=1.0)
            while True:
                sample, stamp = self._inlet.pull_sample(timeout=0.0)
                if sample is None:
                    return
                marker = parse_music_marker(str(sample[0]), stamp + self._correction_s)
                if marker is None:
                    self.ignored += 1
                else:
                    self._on_marker(marker)
        except (pylsl.util.LostError, pylsl.util.TimeoutError):
            self.close()

    def _connect(self) -> bool:
        import pylsl

        for info in self._resolver.results():
            if info.channel_format() == pylsl.cf_string:
                self._inlet = pylsl.StreamInlet(info, max_buflen=60, recover=False)
                self._correction_s = None
                return True
        return False

    def close(self) -> None:
        """Let go of the stream."""
        if self._inlet is not None:
            self._inlet.close_stream()
            self._inlet = None


class FileMarkers:
    """Announces the songs of a replayed session, pass by pass, ahead of the decoder."""

    def __init__(self, source: SessionSource, on_marker: Callable[[MusicMarker], None]):
        self._source = source
        self._on_marker = on_marker
        self._passes = 0

    def step(self, now: float) -> None:
        """Hand on the markers of a pass that has begun."""
        passes = self._source.passes
        if self._passes == passes or not self._source.opened:
            return
        self._passes = passes
        spans = self._source.heard()
        for number, span in enumerate(spans):
            self._on_marker(MusicMarker(span.start_s, span.song, span.title, span.song_start_s))
            if number + 1 == len(spans) or spans[number + 1].start_s > span.stop_s + 1e-3:
                self._on_marker(MusicMarker(span.stop_s, None))

    def close(self) -> None:
        """Let go of nothing: the session belongs to the caller."""
