"""`bci-music monitor`: channel quality in words, in a window, a table or JSON."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, nullcontext
from typing import Any

from rich.console import Console
from rich.table import Table

from bci_music.messages import UserError

STYLES = {"good": "green", "doubtful": "yellow", "bad": "red", "absent": "dim", "unknown": "dim"}
MARKS = {"good": "●", "doubtful": "▲", "bad": "■", "absent": "·", "unknown": "?"}
DEFAULT_SECONDS = 10.0


def run_monitor(
    stream: dict[str, str | None], headless: bool, seconds: float | None, as_json: bool, wait_s: float
) -> None:
    """Watch the channels of a stream."""
    from bci_music.cli.runs import lsl_source, query_from
    from bci_music.clock import Clock
    from bci_music.engine.monitoring import build_monitor, quality_report
    from bci_music.engine.run import run_headless
    from bci_music.streaming.lsl import lsl_clock

    query = query_from(stream, {})
    console = Console(stderr=as_json)
    with ExitStack() as stack:
        engine = build_monitor(lsl_source(query), Clock(lsl_clock))
        stack.callback(engine.stop)
        engine.start()
        if headless or as_json:
            shown = console.status("looking for the stream") if console.is_terminal else nullcontext()
            with shown as status:
                log = status.update if status is not None else lambda line: None
                run_headless(engine, seconds or DEFAULT_SECONDS, lambda: False, wait_s, log, query)
        else:
            from gui.app import run as run_window

            run_window(engine, title="monitor", seconds=seconds)
        report = quality_report(engine)
    if not report["channels"]:
        raise UserError(
            "No verdict was reached: the stream was watched for too short a time, give --seconds 5 or more."
        )
    if as_json:
        json.dump(report, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False, default=float)
        sys.stdout.write("\n")
    else:
        console.print(_table(report))


def _table(report: dict[str, Any]) -> Table:
    """Show what is not good, worst first; good electrodes as a count."""
    channels = report["channels"]
    good = [c for c in channels if c["state"] == "good"]
    table = Table(
        title=f"{report['stream']['name']}: {len(good)} of {len(channels)} electrodes good", title_justify="left"
    )
    table.add_column("electrode")
    table.add_column("state")
    table.add_column("why, and what to do")
    order = {"bad": 0, "doubtful": 1, "unknown": 2, "absent": 3}
    for channel in sorted((c for c in channels if c["state"] != "good"), key=lambda c: order[c["state"]]):
        state = channel["state"]
        table.add_row(channel["name"], f"[{STYLES[state]}]{MARKS[state]} {state}[/]", "; ".join(channel["reasons"]))
    return table
