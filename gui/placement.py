"""Where the channels of a stream sit: their region and their electrode of the montage."""

from __future__ import annotations

from dataclasses import dataclass

from bci_music.eeg.montage import Montage, map_channels
from bci_music.messages import StreamInfo, UserError

ORDER = ("front", "left", "centre", "right", "back", "")


@dataclass(frozen=True, slots=True)
class Placement:
    """One entry per stream channel: `regions` ("" where unknown), `electrode` (montage index or -1).

    `order` lists stream channels from the top of the display to its bottom.
    """

    regions: tuple[str, ...]
    electrode: tuple[int, ...]
    order: tuple[int, ...]


def place(info: StreamInfo, montage: Montage | None) -> Placement:
    """Place the channels of `info` on `montage`; what cannot be placed has no region."""
    n = len(info.labels)
    electrode = [-1] * n
    if montage is not None:
        try:
            channels = map_channels(info.labels, montage, info.positions_m)
        except UserError:
            channels = None  # fewer than 8 known places: all are drawn, without regions
        if channels is not None:
            for index, source in enumerate(channels.source_index):
                if source >= 0:
                    electrode[int(source)] = index
    named = montage.regions() if montage is not None else ()
    regions = tuple(named[e] if e >= 0 else "" for e in electrode)
    order = sorted(range(n), key=lambda i: ORDER.index(regions[i]))
    return Placement(regions, tuple(electrode), tuple(order))
