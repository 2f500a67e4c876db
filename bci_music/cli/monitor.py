"""Channel quality in words: a table of the electrodes that are not good, or everything as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from bci_music.cli.display import chance_line

STYLES = {"good": "green", "doubtful": "yellow", "bad": "red", "absent": "dim", "unknown": "dim"}
GLYPHS = {"good": "●", "doubtful": "▲", "bad": "■", "absent": "·", "unknown": "?"}


def print_report(report: dict[str, Any], as_json: bool, console: Console) -> None:
    """Print the report of `engine.monitoring.quality_report`."""
    if as_json:
        json.dump(report, sys.stdout, indent=2, allow_nan=False, default=float)
        sys.stdout.write("\n")
    else:
        console.print(_table(report))
        if report["chance"] is not None:
            console.print(chance_line(report["chance"]), markup=False, soft_wrap=True)


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
        table.add_row(channel["name"], f"[{STYLES[state]}]{GLYPHS[state]} {state}[/]", "; ".join(channel["reasons"]))
    return table
