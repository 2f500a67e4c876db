"""Names that a model knows, for the electrodes of a montage that has names of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bci_music.eeg import electrodes
from bci_music.eeg.montage import Montage, map_channels
from bci_music.messages import UserError


def named_electrodes(montage: Montage, known: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Electrodes of a montage that stand where a model knows a name.

    Parameters
    ----------
    known : sequence of str
        Names of the model. Bipolar pairs, old names of a place that has a new one and names that the 10-05 system does
        not hold are left out.

    Returns
    -------
    channels : (n,) int64
        Ascending indices into the montage.
    names : tuple of str
        The model's name for each: the nearest one, as a whole one-to-one assignment, at most 20 mm away.

    Raises
    ------
    UserError
        If fewer than 8 electrodes get a name.
    """
    plain = [name for name in known if _is_plain(name)]
    try:
        source = map_channels(plain, montage).source_index
    except UserError as error:
        raise UserError(
            f"Fewer than 8 electrodes of the montage {montage.name!r} stand where the model knows a name: use a "
            "montage of the whole head, or a baseline without electrode names (eeg2mel, cbramod, eegpt)."
        ) from error
    channels = np.flatnonzero(source >= 0)
    return channels, tuple(plain[k] for k in source[channels])


def _is_plain(name: str) -> bool:
    return electrodes.clean_label(name) == name.upper() and electrodes.known(name, ("standard",)) is not None
