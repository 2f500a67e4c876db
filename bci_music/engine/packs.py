"""Which packs can be chosen: those that ship and those on disk, with what each holds; and the choice of last time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bci_music.files import read_json, remembered, shown
from bci_music.messages import UserError
from bci_music.models.library import INDEX
from bci_music.models.pack import MANIFEST, SHIPPED, PackManifest
from bci_music.status import Choice

MOST = 60  # that are listed


class PackList:
    """Reads each manifest once, and again when it has changed; files are verified when a pack is opened.

    Parameters
    ----------
    running : str
        Name or folder of the pack that runs.
    """

    def __init__(self, running: str):
        self._running = _place(running)
        self._known: dict[Path, tuple[float, Choice]] = {}

    def look(self, folders: Iterable[Path]) -> tuple[Choice, ...]:
        """Return what runs, what ships, what was chosen last, and the packs among `folders`."""
        last = last_pack()
        shipped = sorted(path.parent for path in SHIPPED.glob(f"*/{MANIFEST}"))
        places = [self._running, *shipped, *([Path(last)] if last else []), *folders]
        found = []
        for folder in dict.fromkeys(place.resolve() for place in places):
            try:
                changed_s = (folder / MANIFEST).stat().st_mtime
            except OSError:
                continue
            known = self._known.get(folder)
            if known is None or known[0] != changed_s:
                known = self._known[folder] = (changed_s, self._choice(folder))
            found.append(known[1])
        return tuple(found[:MOST])

    def _choice(self, folder: Path) -> Choice:
        chosen = folder == self._running.resolve()
        try:
            m = PackManifest.load(folder / MANIFEST)
            facts = [f"{m.provenance.kind} EEG", _music(folder, m), f"montage {m.montage}"]
            name = f"{m.name} {m.version}"
        except (UserError, OSError) as error:
            return Choice(str(folder), folder.name, f"cannot be read: {shown(str(error))}", chosen)
        return Choice(str(folder), name, "  ·  ".join(shown(fact) for fact in facts), chosen)


def _music(folder: Path, manifest: PackManifest) -> str:
    """What it plays: songs of its own, and whether it makes music."""
    base = "" if manifest.base is None else f"stands on {manifest.base.partition('@')[0]}"
    with suppress(UserError, OSError):
        index = read_json(folder / "library" / INDEX, "build the pack again")
        songs, clips = len(index.get("songs", ())), len(index.get("clips", ()))
        makes = ", makes music" if manifest.generator is not None else ""
        return f"{songs} songs in {clips} clips{makes}"
    return base or "no music of its own"


def _place(name_or_dir: str) -> Path:
    """The folder of a pack that is given as on the command line."""
    given = Path(name_or_dir)
    return given if (given / MANIFEST).is_file() else SHIPPED / name_or_dir


def last_pack() -> str | None:
    """Folder of the pack that was chosen last time, None where there was none or it is not there."""
    folder = remembered("pack", "folder")
    return folder if folder is not None and (Path(folder) / MANIFEST).is_file() else None
