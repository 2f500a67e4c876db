"""Running an engine without a window, and writing what it did."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bci_music.engine.config import LiveConfig
from bci_music.messages import Log, StreamState, UserError
from bci_music.status import mix_words

if TYPE_CHECKING:
    from bci_music.engine.engine import Engine
    from bci_music.streaming.discovery import StreamQuery

REFUSED_S = 1.0  # a stream that cannot be used is given this long to be joined by one that can
PLAY_OUT_S = 4.0  # after the stream's end: what is queued is still heard


def run_headless(
    engine: Engine,
    seconds: float | None,
    ended: Callable[[], bool],
    wait_s: float,
    log: Log,
    query: StreamQuery,
) -> None:
    """Run until `seconds` of stream have passed, the stream has `ended`, or Ctrl-C.

    Raises
    ------
    UserError
        No stream was found within `wait_s`; names those that are visible.
    """
    from bci_music.streaming.discovery import find_streams, nothing_found

    stop = threading.Event()
    with _interrupts(stop):
        began = engine.now()
        while not stop.is_set():
            snapshot = engine.snapshot()
            failure = next((f for f in snapshot.failures if f.fatal), None)
            if failure is not None:
                raise UserError(failure.text)
            if engine.first_sample_s is None:
                if engine.refusal is not None and engine.now() - began > REFUSED_S:
                    raise engine.refusal
                if engine.now() - began > wait_s:
                    raise UserError(nothing_found(query, find_streams(1.0)))
            elif seconds is not None and engine.now() - engine.first_sample_s >= seconds:
                return
            if ended() or snapshot.stream.state == StreamState.ENDED:
                stop.wait(PLAY_OUT_S if seconds is None else min(PLAY_OUT_S, _left(engine, seconds)))
                return
            log(status_line(engine))
            stop.wait(0.25)


def _left(engine: Engine, seconds: float) -> float:
    return max(0.0, seconds - (engine.now() - (engine.first_sample_s or engine.now())))


def status_line(engine: Engine) -> str:
    """Describe the run in one line."""
    s = engine.snapshot()
    age = "no data yet" if s.stream.data_age_s is None else f"data age {s.stream.data_age_s:.2f} s"
    playing = f"{s.playing.kind} {s.playing.title}" if s.playing else "nothing yet"
    if s.playing and s.playing.late:
        playing += f" (late: {s.playing.late})"
    if s.playing and s.playing.prompt_weight > 0:
        playing += f", {mix_words(s.playing.prompt_weight)}"
    n = s.identification
    found = f"  ·  {n.hits}/{n.n} windows found the song" if n else ""
    return (
        f"{s.stream.state.value}  ·  {age}  ·  {s.health.windows_decoded} windows  ·  playing: {playing}"
        f"  ·  underruns {s.sound.underruns}{found}"
    )


def write_outputs(engine: Engine, config: LiveConfig, out: Path, wav: Path | None) -> dict:
    """Write report.json, overview.png, run.yaml and embeddings.npz to `out`; the engine must have stopped."""
    from bci_music.engine.build import save_run
    from bci_music.engine.overview import draw_overview
    from bci_music.engine.report import build_report, write_report

    out.mkdir(parents=True, exist_ok=True)
    now = engine.now()
    report = build_report(engine, now, wav)
    write_report(report, out / "report.json")
    save_run(out, config, engine)
    draw_overview(engine, report, now, out / "overview.png")
    return report


class _interrupts:  # noqa: N801  (a context manager that reads as one)
    """While inside, Ctrl-C and SIGTERM set `stop` instead of killing the run."""

    def __init__(self, stop: threading.Event):
        self._stop = stop
        self._old: dict[int, object] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, lambda *_: self._stop.set())

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
