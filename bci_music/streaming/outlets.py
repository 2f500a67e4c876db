"""How our own LSL outlets describe themselves: EEG, and text at no fixed rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pylsl
from numpy.typing import NDArray


def eeg_stream_info(
    name: str, labels: Sequence[str], sfreq_hz: float, source_id: str, *,
    positions_m: NDArray[np.float64] | None = None, simulated: bool = False,
) -> pylsl.StreamInfo:
    """Describe an EEG outlet: float32 µV with labels, types, units and electrode places in mm.

    Parameters
    ----------
    positions_m : (n_channels, 3), optional
        Head coordinates in metres; NaN rows are left out.
    simulated : bool
        Written as ``desc/simulated``, so that no program mistakes it for a brain.
    """
    info = pylsl.StreamInfo(name, "EEG", len(labels), sfreq_hz, pylsl.cf_float32, source_id)
    channels = describe(info, simulated).append_child("channels")
    for row, label in enumerate(labels):
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("type", "EEG")
        channel.append_child_value("unit", "microvolts")
        if positions_m is not None and np.isfinite(positions_m[row]).all():
            location = channel.append_child("location")
            for axis, value in zip("XYZ", positions_m[row], strict=True):
                location.append_child_value(axis, f"{value * 1000.0:.3f}")
    return info


def text_outlet(name: str, kind: str, source_id: str, *, simulated: bool = False) -> pylsl.StreamOutlet:
    """Open an outlet for strings at no fixed rate."""
    info = pylsl.StreamInfo(name, kind, 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id)
    describe(info, simulated)
    return pylsl.StreamOutlet(info)


def describe(info: pylsl.StreamInfo, simulated: bool) -> pylsl.XMLElement:
    """Write who opened the outlet, and whether what it sends is simulated; returns the description to add to."""
    desc = info.desc()
    desc.append_child_value("manufacturer", "bci-music")
    if simulated:
        desc.append_child_value("simulated", "true")
    return desc
