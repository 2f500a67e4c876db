"""`bci-music session`: recorded sessions on disk, listed, looked at, verified and exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bci_music.sessions.look import Look

HELP = "List, look at, verify and export the sessions that `--record` made."

app = typer.Typer(help=HELP, no_args_is_help=True)

SessionArgument = Annotated[Path, typer.Argument(help="Folder of the session, as given to --record.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of the sentences.")]


@app.callback(help=HELP)
def root() -> None:
    """Root of the verbs; see `HELP`."""


@app.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(help="Folder that holds sessions.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """List the sessions in a folder: when, how long the music, whether it was closed, consent, pack.

    Exits with code 1 where there is none.
    """
    from bci_music.sessions.look import find_sessions, look_at

    looks = [look_at(path, compare=False) for path in find_sessions(folder)]
    if as_json:
        import json

        typer.echo(json.dumps([_values(look) for look in looks], indent=2, ensure_ascii=False))
    elif looks:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table("session", "started (UTC)", "state", "samples", "music", "consent", "pack", box=None)
        for look in looks:
            music = "" if look.music_s is None else f"{look.music_s:.0f} s"
            consent, pack = look.note.get("consent_reference", ""), look.note.get("pack")
            cells = (
                look.folder.name or str(look.folder.resolve()), look.started, look.state, f"{_largest(look)}", music,
                str(consent)[:40], str(pack.get("name", ""))[:40] if isinstance(pack, dict) else "",
            )  # fmt: skip
            table.add_row(*(Text(cell) for cell in cells))
        Console().print(table)
    else:
        typer.echo(f"{folder} holds no session: record one with `bci-music live --record FOLDER --consent REFERENCE`.")
    if not looks:
        raise typer.Exit(1)


@app.command()
def info(session: SessionArgument, as_json: AsJson = False) -> None:
    """Show what a session holds: streams with their samples, music, consent, pack, versions."""
    from bci_music.sessions.look import look_at

    _print(look_at(session, compare=False), as_json)


@app.command()
def verify(
    session: SessionArgument,
    repair: Annotated[
        bool, typer.Option("--repair", help="Close what a killed run left open; nothing recorded is changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare every byte of a session with its checksum, open it, and say what is whole and what is lost.

    Exits with code 1 where anything is wrong or was never closed. `sha256sum -c SHA256SUMS` compares the same.
    """
    from bci_music.sessions.look import State, look_at
    from bci_music.sessions.look import repair as repair_session

    for line in repair_session(session) if repair else ():
        typer.echo(line, err=as_json)
    look = look_at(session, compare=True)
    _print(look, as_json)
    if look.state is not State.WHOLE or look.faults:
        raise typer.Exit(1)


@app.command()
def export(
    session: SessionArgument,
    out: Annotated[Path, typer.Option("--out", help="Root of the BIDS data set, or the file to write.")],
    kind: Annotated[str, typer.Option("--format", help="bids (BrainVision inside), edf or fif.")] = "bids",
    subject: Annotated[str, typer.Option("--subject", help="BIDS subject.")] = "01",
    task: Annotated[str, typer.Option("--task", help="BIDS task.")] = "music",
    bids_session: Annotated[str | None, typer.Option("--bids-session", help="BIDS session.")] = None,
) -> None:
    """Write the EEG of a session with its markers for other programs, by the writers of MNE and mne-bids.

    What is written can identify the listener as the session does: their consent holds for it too.
    """
    from bci_music.sessions.export import export_session

    path, notes = export_session(session, out, kind, subject=subject, task=task, bids_session=bids_session)
    for note in notes:
        typer.echo(note)
    typer.echo(f"written to {path}")


def _print(look: Look, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(_values(look), indent=2, ensure_ascii=False))
        return
    from bci_music.files import shown

    note = look.note
    typer.echo(f"{look.folder}: {look.state}")
    for name, n in look.samples.items():
        typer.echo(f"  {shown(name)}: {n} samples")
    if look.music_s is not None:
        typer.echo(f"  music: {look.music_s:.1f} s")
    pack, versions = note.get("pack"), note.get("versions")
    typer.echo(f"  started {look.started or 'unknown'} UTC, consent {shown(note.get('consent_reference', 'unknown'))}")
    if isinstance(pack, dict) and pack:
        typer.echo(f"  pack {shown(pack.get('name', ''))}, sha256 {shown(pack.get('manifest_sha256', ''))}")
    if isinstance(versions, dict):
        typer.echo("  versions: " + shown(", ".join(f"{key} {value}" for key, value in versions.items())))
    for sentence in [*look.faults, *look.notes]:
        typer.echo(f"  {'FAULT: ' if sentence in look.faults else ''}{sentence}")


def _values(look: Look) -> dict[str, Any]:
    return {
        "folder": str(look.folder), "state": str(look.state), "samples": look.samples, "music_s": look.music_s,
        "faults": look.faults, "notes": look.notes, "note": look.note,
    }  # fmt: skip


def _largest(look: Look) -> int:
    streams = look.note.get("streams")
    return look.samples.get(str(streams[0]), 0) if isinstance(streams, list) and streams else 0
