"""What the columns of a stream are: EEG with its labels, unit and positions, and everything else excluded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bci_music.data.channels import split_channels, uv_per_unit
from bci_music.messages import UserError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray


def microvolts_per(unit: str, where: str = "the stream") -> float:
    """Return how many µV one `unit` is.

    Accepts µV, uV, microvolts, mV, V, volts, nV ... and the power-of-ten multipliers that mne-lsl
    writes (``0`` is V, ``-3`` mV, ``-6`` µV); anything else raises `UserError`.
    """
    # MV would be megavolt by the letter, but case is not kept by all amplifiers' software and no EEG has megavolts.
    factor = uv_per_unit(unit)
    if factor is not None:
        return factor
    given = f"gives its unit as {unit.strip()!r}" if unit.strip() else "does not give its unit"
    raise UserError(f"{where} {given}; set it with `unit:` (or --unit), one of µV, mV, V or nV.")


MIN_CHANNELS = 8  # where no pack says how many it needs

@dataclass(frozen=True)
class ChannelLayout:
    """EEG columns of a stream.

    Attributes
    ----------
    labels : tuple of str
    columns : (n_channels,) int
        Column of each label in the stream, -1 where the stream has it no longer.
    to_uv : (n_channels,) float32
        Factor to µV.
    positions_m : (n_channels, 3) float64 or None
    """

    labels: tuple[str, ...]
    columns: NDArray[np.int64]
    to_uv: NDArray[np.float32]
    unit: str
    excluded: tuple[str, ...] = ()
    positions_m: NDArray[np.float64] | None = None
    simulated: bool = False
    notes: tuple[str, ...] = ()

    @property
    def contiguous(self) -> slice | None:
        """The columns as a slice, where they are neighbours in order."""
        first = int(self.columns[0])
        if first >= 0 and np.array_equal(self.columns, np.arange(first, first + len(self.columns))):
            return slice(first, first + len(self.columns))
        return None


def read_layout(
    xml: str, name: str, n_columns: int, *, unit: str | None = None, montage_labels: tuple[str, ...] | None = None,
    min_channels: int = MIN_CHANNELS,
) -> ChannelLayout:
    """Read the channels of stream `name` from its LSL description.

    Parameters
    ----------
    xml : str
        ``StreamInfo.as_xml()``.
    n_columns : int
        Values per sample.
    unit : str, optional
        Overrides what the stream declares.
    montage_labels : tuple of str, optional
        Names for a stream that has none.
    min_channels : int
        A stream with fewer EEG channels is refused.
    """
    desc = _description(xml, name)
    channels = [] if desc is None else desc.findall("channels/channel")
    labels = [_text(c, "label") or _text(c, "name") for c in channels]
    kinds = [_text(c, "type") for c in channels]
    stream = f"Stream {name!r}"
    if channels and len(channels) != n_columns:
        raise UserError(
            f"{stream} describes {len(channels)} channels but sends {n_columns} values per sample; "
            "fix the labels in the sending program."
        )
    if not any(labels):
        labels, kinds = _named_by_montage(stream, n_columns, kinds, montage_labels)
    if not all(labels):
        raise UserError(f"{stream} has no label for channel {labels.index('') + 1}; name it in the sending program.")
    keep, excluded = split_channels(labels, kinds)
    names = [labels[i] for i in keep]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UserError(f"{stream} has two channels {twice[0]!r}; give each its own label in the sending program.")
    if len(keep) < min_channels:
        raise UserError(
            f"{stream} has {_channels(len(keep))}, at least {min_channels} {_are(min_channels)} needed; "
            "choose another stream with --stream or label its EEG channels as type EEG."
        )
    units = [unit or (_text(channels[i], "unit") if channels else "") for i in keep]
    return ChannelLayout(
        labels=tuple(names),
        columns=np.array(keep),
        to_uv=np.array([microvolts_per(u, stream) for u in units], np.float32),
        unit=units[0] if len(set(units)) == 1 else "mixed",
        excluded=excluded,
        positions_m=_positions_m(channels, keep),
        simulated=desc is not None and _text(desc, "simulated").lower() == "true",
    )


def check_rejoin(before: ChannelLayout, now: ChannelLayout, name: str, min_channels: int) -> None:
    """Refuse a stream that came back without the channels it is used for."""
    kept = sum(label in set(now.labels) for label in before.labels)
    needed = min(min_channels, len(before.labels))
    if kept < needed:
        there = f"{kept} of its {len(before.labels)}" if kept else f"none of its {len(before.labels)}"
        raise UserError(
            f"Stream {name!r} came back with {there} EEG channels (now {', '.join(now.labels[:6])} ...), at least "
            f"{needed} {_are(needed)} needed; set the amplifier back, or restart bci-music."
        )


def _channels(n: int) -> str:
    return f"{n} EEG channels" if n > 1 else "1 EEG channel" if n else "no EEG channel"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def rejoined(before: ChannelLayout, now: ChannelLayout) -> ChannelLayout:
    """Columns of stream `now` in the order of `before`: what vanished becomes NaN, what is new is excluded."""
    place = {label: i for i, label in enumerate(now.labels)}
    gone = [label for label in before.labels if label not in place]
    new = [label for label in now.labels if label not in set(before.labels)]
    at = np.array([place.get(label, -1) for label in before.labels])
    notes = []
    if gone:
        notes.append(f"channels {', '.join(gone)} are gone")
    if new:
        notes.append(f"new channels {', '.join(new)} are excluded")
    if not gone and not new and now.labels != before.labels:
        notes.append("the channels come in another order and were put back in place")
    return replace(
        before,
        columns=np.where(at >= 0, now.columns[at], -1),
        to_uv=np.where(at >= 0, now.to_uv[at], 1).astype(np.float32),
        unit=now.unit,
        excluded=now.excluded + tuple(f"{label} (new)" for label in new),
        notes=tuple(notes),
    )


def _description(xml: str, name: str) -> Element | None:
    """The <desc> element; anybody on the network may have written it."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        return fromstring(xml).find("desc")
    except (ParseError, DefusedXmlException) as error:
        raise UserError(
            f"The description of stream {name!r} cannot be read ({error}); fix it in the sending program."
        ) from error


def _named_by_montage(
    stream: str, n_columns: int, kinds: list[str], names: tuple[str, ...] | None
) -> tuple[list[str], list[str]]:
    if names is None:
        raise UserError(
            f"{stream} does not name its {n_columns} channels; name the net with `montage:` "
            "(for example egi128 or egi129, see configs/)."
        )
    if len(names) > n_columns:
        raise UserError(
            f"{stream} sends {n_columns} unnamed channels but the montage names {len(names)}; "
            "choose the montage that fits."
        )
    kinds = kinds or ["EEG"] * len(names) + ["not in the montage"] * (n_columns - len(names))
    spare = [f"column {i + 1}" for i in range(len(names), n_columns)]
    return [*names, *spare], kinds


def _positions_m(channels: list[Element], keep: list[int]) -> NDArray[np.float64] | None:
    """Places in metres from desc/channels/channel/location{X,Y,Z} in mm; None unless all are there."""
    places = np.full((len(keep), 3), np.nan)
    for row, i in enumerate(keep if channels else []):
        for axis, letter in enumerate("XYZ"):
            try:
                places[row, axis] = float(_text(channels[i], f"location/{letter}"))
            except ValueError:
                return None
    return places / 1000.0 if np.isfinite(places).all() and places.any() else None


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
