"""The live engine on a manual clock: the same stages, stepped as fast as they go, no thread and no device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bci_music.clock import ManualClock
from bci_music.engine.build import build_engine
from bci_music.engine.config import LiveConfig
from bci_music.messages import StreamState

if TYPE_CHECKING:
    from bci_music.data.session import Session
    from bci_music.engine.engine import Engine

BEAT_S = 0.02
PLAY_OUT_S = 4.0


def run_session(session: Session, config: LiveConfig | None = None, wav: Path | None = None) -> Engine:
    """Decode and play a whole session as live, in a fraction of its time.

    Parameters
    ----------
    session : Session
    config : LiveConfig, optional
    wav : Path, optional
        Where to write the sound.

    Returns
    -------
    Engine
        Stopped; its history, reports and counters are those of a live run without any delay of the machine.
    """
    from bci_music.sound.player import ClockPlayer
    from bci_music.streaming.markers import FileMarkers
    from bci_music.streaming.replay import SessionSource

    clock = ManualClock(1000.0)
    source = SessionSource(session, clock=clock)
    player = ClockPlayer(clock, wav, threaded=False)
    engine = build_engine(
        config or LiveConfig(), source, player, clock, lambda info, on_marker: FileMarkers(source, on_marker)
    )
    player.start()
    left_s = PLAY_OUT_S
    try:
        while left_s > 0:
            engine.step(clock.advance(BEAT_S))
            if engine.state == StreamState.ENDED:
                left_s -= BEAT_S
    finally:
        engine.stop()
    return engine
