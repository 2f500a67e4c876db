"""Units of voltage as streams spell them, turned into a factor to µV."""

from __future__ import annotations

from bci_music.data.channels import uv_per_unit
from bci_music.messages import UserError


def microvolts_per(unit: str, where: str = "the stream") -> float:
    """Return how many µV one `unit` is.

    Accepts µV, uV, microvolts, mV, V, volts, nV ... and the power-of-ten multipliers that mne-lsl
    writes (``0`` is V, ``-3`` mV, ``-6`` µV); anything else raises `UserError`.
    """
    # MV would be megavolt by the letter, but case is not kept by all amplifiers' software and no EEG has megavolts.
    factor = uv_per_unit(unit)
    if factor is not None:
        return factor
    given = f"gives its unit as {unit.strip()!r}" if unit.strip() else "does not say in which unit it is"
    raise UserError(f"{where} {given}; say which it is with `unit:` (or --unit), one of µV, mV, V or nV.")
