"""A folder of rows becomes one evaluation; and the evaluation a folder: table, records, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.evaluation.echoes.figures import EARLIER, LATER, TIMING, Difference, RowFigures, difference, figures
from bci_music.evaluation.echoes.rows import SPLITS, TITLES, Reconstructions, load_row
from bci_music.evaluation.echoes.scores import Scores, score
from bci_music.files import shown
from bci_music.messages import UserError
from bci_music.models.embedder import Embedder
from bci_music.models.log_mel import RATE_HZ

Report = Callable[[int, int, str], None]  # done, of how many, what


@dataclass(frozen=True)
class Evaluation:
    """All rows, in the order of the table.

    Attributes
    ----------
    differences : the test of timing, for every split that has both conditions
    not_run : mapping of split to the keys of rows that it lacks
    """

    rows: tuple[RowFigures, ...]
    differences: tuple[Difference, ...]
    not_run: dict[str, list[str]]

    @property
    def splits(self) -> list[str]:
        """Those there are, the known ones first."""
        return list(self.not_run)

    @property
    def simulated(self) -> bool:
        """Whether the EEG of any row is."""
        return any(row.simulated for row in self.rows)

    def of_split(self, split: str) -> list[RowFigures]:
        """Rows of one split."""
        return [row for row in self.rows if row.split == split]


def row_files(directory: Path) -> list[Path]:
    """Files of all rows in a folder, in the order of the table.

    Raises
    ------
    UserError
        Where there are none.
    """
    known = list(TITLES)

    def place(path: Path) -> tuple[int, int, str]:
        row, _, split = path.stem.partition("--")
        splits = list(SPLITS)
        return (
            splits.index(split) if split in splits else len(splits), known.index(row) if row in known else len(known),
            path.stem,
        )  # fmt: skip

    found = sorted((path for path in directory.glob("*--*.json") if path.is_file()), key=place)
    if not found:
        raise UserError(
            f"{shown(directory)} holds no row of reconstructions (KEY--SPLIT.json and .npz): make some first."
        )
    return found


def evaluate_rows(
    directory: Path, embedder: Embedder | None = None, *, seed: int = 0,
    report: Report = lambda done, of, what: None,
) -> Evaluation:
    """Evaluate all rows of a folder, one after the other.

    Parameters
    ----------
    embedder : Embedder, optional
        Makes the vectors for the CLAP score of rows that bring none.
    report : callable
        Is given the rows done, of how many, and which is next.

    Raises
    ------
    UserError
        Where there is no row, or one is damaged.
    """
    paths, rows = row_files(directory), []
    timed: dict[tuple[str, str], Scores] = {}
    for done, path in enumerate(paths):
        report(done, len(paths), path.stem)
        row = load_row(path)
        row = row if embedder is None else _with_vectors(row, embedder)
        found = score(row, seed)
        rows.append(figures(row, found, seed))
        if row.row in (LATER, EARLIER):
            timed[row.row, row.split] = found
    report(len(paths), len(paths), "")
    splits = list(dict.fromkeys(row.split for row in rows))
    both = [split for split in splits if (LATER, split) in timed and (EARLIER, split) in timed]
    differences = (
        difference(timed[LATER, split], timed[EARLIER, split], name, seed) for split in both for name in TIMING
    )
    have = {(row.row, row.split) for row in rows}
    not_run = {split: [key for key in TITLES if (key, split) not in have] for split in splits}
    return Evaluation(tuple(rows), tuple(d for d in differences if d is not None), not_run)


def _with_vectors(row: Reconstructions, embedder: Embedder) -> Reconstructions:
    """The row with vectors of its sounds, where it has sounds and no vectors."""
    if row.made is None or (row.made_vector is not None and row.heard_vector is not None):
        return row

    def vectors(sounds: NDArray[np.floating] | None) -> NDArray[np.float32] | None:
        if sounds is None:
            return None
        return np.stack([embedder.embed(sound.astype(np.float32), RATE_HZ) for sound in sounds])

    return replace(
        row, made_vector=vectors(row.made), heard_vector=vectors(row.heard), before_vector=vectors(row.before)
    )
