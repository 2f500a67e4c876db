"""The folder of a run: found and tried before it starts; what is written there at the end, each file on its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from bci_music.engine.overview import draw_overview, load_drawing
from bci_music.engine.report import report_text
from bci_music.files import try_folder, write_whole
from bci_music.messages import Log, UserError
from bci_music.outputs.registry import enabled_outputs

if TYPE_CHECKING:
    from bci_music.engine.config import LiveConfig
    from bci_music.engine.engine import Engine

OF_A_RUN = ("report.json", "music.wav", "run.yaml", "overview.png", "embeddings.npz", "window.png")
RESERVED_BYTES = 2**20  # held on the disk from the start, for the report


def prepare(config: LiveConfig, out: Path | None) -> Path | None:
    """Try every folder that the run will write to, and return the one for its report.

    A folder that holds a run already is left as it is: ``out-2`` and so on is taken. Nothing has started yet.

    Raises
    ------
    UserError
        Where a folder cannot be made or written to.
    """
    for output in enabled_outputs(config.outputs.model_dump()):
        output.prepare()
    if out is None:
        return None
    free, number = out, 1
    while any((free / name).exists() for name in OF_A_RUN):
        number += 1
        free = out.with_name(f"{out.name}-{number}")
    try_folder(free, "--out")
    return free


def may_keep(config: LiveConfig, engine: Engine) -> bool:
    """Whether what shows the listener's EEG may be kept: with consent, or where no person gave it."""
    info = engine.info
    return config.outputs.recording.consent is not None or (info is not None and info.simulated)  # type: ignore[attr-defined]


class RunFolder:
    """Context manager that writes what a run leaves; what cannot be written is said, and costs nothing else.

    Parameters
    ----------
    folder : Path
    lost : callable
        Takes a sentence for each file that could not be written.
    """

    def __init__(self, folder: Path, lost: Log):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.report: Path | None = None  # where it was written
        self._lost = lost
        self._reserve: IO[bytes] | None = None
        try:
            self._reserve = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `release`)
            self._reserve.write(bytes(RESERVED_BYTES))
            self._reserve.flush()
        except OSError as error:
            raise UserError(
                f"The disk of {folder} has no space ({error.strerror}): free some or give --out another folder."
            ) from error

        with suppress(Exception):  # said when there is something to draw
            load_drawing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def write_aside(self, engine: Engine, config: LiveConfig, report: dict[str, Any], now: float) -> None:
        """Write run.yaml, overview.png and, where that was asked for, embeddings.npz."""
        import yaml

        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        keep, simulated = may_keep(config, engine), engine.info is not None and engine.info.simulated
        self._write("run.yaml", lambda path: path.write_text(text, encoding="utf-8"))
        if config.outputs.recording.keep_embeddings:  # type: ignore[attr-defined]
            self._write("embeddings.npz", lambda path: save_embeddings(engine, path), private=True)
        self._write(
            "overview.png", lambda path: draw_overview(engine, report, now, path, traces=keep),
            private=keep and not simulated,
        )  # fmt: skip

    def write_report(self, report: dict[str, Any]) -> None:
        """Write report.json, in a temporary folder where there is no space in its own, which is said."""
        self.release()
        text = report_text(report)

        def write(path: Path) -> None:
            path.write_text(text, encoding="utf-8")

        if self._write("report.json", write):
            self.report = self.folder / "report.json"
            return
        elsewhere = Path(tempfile.gettempdir())
        try:
            elsewhere = Path(tempfile.mkdtemp(prefix="bci-music-"))
            write_whole(elsewhere / "report.json", write)
        except OSError as error:
            self._lost(f"Nor could the report be written to {elsewhere} ({error.strerror}).")
            return
        self.report = elsewhere / "report.json"
        self._lost(f"The report lies in {elsewhere} instead.")

    def release(self) -> None:
        """Give back the space that was held for the report."""
        if self._reserve is not None:
            reserve, self._reserve = self._reserve, None
            reserve.close()

    def _write(self, name: str, write: Callable[[Path], object], *, private: bool = False) -> bool:
        try:
            write_whole(self.folder / name, write, private=private)
        except Exception as error:  # of any library that draws or packs: the other files are written all the same
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._lost(f"{name} could not be written to {self.folder} ({' '.join(reason.split())}).")
            return False
        return True


def save_embeddings(engine: Engine, path: Path) -> None:
    """Write the newest embeddings of the run with their attention and where they are from."""
    embeddings = engine.history.embeddings() if engine.history else []
    np.savez_compressed(
        path,
        vector=np.array([e.vector for e in embeddings], np.float32),
        attention=np.array([e.attention for e in embeddings], np.float32),
        confidence=np.array([e.confidence for e in embeddings], np.float32),
        window_index=np.array([e.window_index for e in embeddings]),
        first_sample=np.array([e.first_sample for e in embeddings]),
        last_sample=np.array([e.last_sample for e in embeddings]),
        end_s=np.array([e.end_s for e in embeddings]),
    )

