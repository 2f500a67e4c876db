"""`bci-music doctor`: is this machine ready, and what to do where it is not."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of the table.")] = False,
) -> None:
    """Check this machine and say how to mend what is not right.

    Looks at Python, the Qt pair, LSL and whether streams are found, sound, GPU, recorder, demo pack and disk.
    Leaves with exit code 1 if something that every run needs does not work.
    """
    from bci_music.cli.doctor_checks import Verdict

    findings = _examine_all(quiet=as_json)
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps({"checks": [asdict(f) for f in findings]}, indent=2, ensure_ascii=False))
    else:
        _show(findings)
    if any(f.verdict is Verdict.FAIL for f in findings):
        raise typer.Exit(1)


def _examine_all(quiet: bool) -> list:
    """Run the checks side by side, since most wait for a process of their own; the answers keep their order."""
    from concurrent.futures import ThreadPoolExecutor

    from rich.console import Console

    from bci_music.cli.doctor_checks import CHECKS, examine

    with (
        Console(stderr=True, quiet=quiet).status("Looking at this machine ..."),
        ThreadPoolExecutor(4, thread_name_prefix="bci-music-doctor") as pool,
    ):
        answers = pool.map(lambda check: examine(*check), CHECKS)
        return [finding for answer in answers for finding in answer]


def _show(findings: list) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from bci_music.cli.doctor_checks import Verdict

    looks = {Verdict.OK: ("green", "✓"), Verdict.WARN: ("yellow", "!"), Verdict.FAIL: ("red", "✗")}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "", "checked", "found"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        colour, symbol = looks[finding.verdict]
        found = escape(finding.found)
        if finding.mend:
            found += f"\n[dim]→ {escape(finding.mend)}[/dim]"
        table.add_row(f"[{colour}]{symbol}[/]", f"[{colour}]{finding.verdict}[/]", finding.item, found)
    console = Console(highlight=False)
    console.print(table)
    failed = [f.item for f in findings if f.verdict is Verdict.FAIL]
    warned = [f.item for f in findings if f.verdict is Verdict.WARN]
    if failed:
        console.print(f"\n[red]Not ready:[/] {', '.join(failed)}.")
    elif warned:
        console.print(f"\n[green]Ready[/], with limits: {', '.join(warned)}.")
    else:
        console.print("\n[green]Ready.[/]")
