"""What a channel is: unit, type and whether it is EEG. One reading for streams and files.

A label decides where a type does not: amplifiers send counters, stamps and markers typed as EEG.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bci_music.messages import UserError

# A dot, a question mark or two letters stand where an old code page had its µ.
_MICRO = ("µ", "u", "mu", "mk", "мк", "micro", ".", "?", "\ufffd", "Âµ", "Î¼", "æ", "\x83Ê")
_SPELLINGS = {
    1.0: (*(f"{micro}{volt}" for micro in _MICRO for volt in ("v", "volt", "volts", "в")), "-6"),
    1e3: ("mv", "millivolt", "millivolts", "-3"),
    1e6: ("v", "volt", "volts", "0"),
    1e-3: ("nv", "nanovolt", "nanovolts", "-9"),
}
_EEG_TYPES = {"", "eeg"}
_NOT_EEG = (
    (re.compile(r"^[-_. ]*$|^-+[0-9]+$|^(dummy|empty|unused|n/?c|none)[-_ ]?[0-9]*$", re.I), "dummy"),
    (re.compile(r"^[hv]?eog|eog[-_ .]?[lrudhv0-9]*$|^[il]?io$|^[il]eog|^(roc|loc)([12]|$)", re.I), "EOG"),
    (re.compile(r"^e[ck]g|e[ck]g[0-9]*$", re.I), "ECG"),
    (re.compile(r"^emg|emg[0-9]*$", re.I), "EMG"),
    (re.compile(r"(^|^(left|right)[-_ ])(aux|bip|exg|ergo|misc|ext)[-_ ]?[a-z]*[0-9]*$|^analog", re.I), "AUX"),
    (re.compile(r"^(trig|sti|digi|status|marker|event|din|trg$|hardware[-_ ]?marker|sync)", re.I), "TRIG"),
    (re.compile(r"^(acc(el\w*)?|gyro?(scope)?|mag|imu|quat|mot)[-_. a-z]*[0-9]*$", re.I), "ACC"),
    (re.compile(r"^(resp|gsr|eda|ppg|pleth|photo|photic|temp|osat|spo2|pulse|light|audio|battery)", re.I), "BIO"),
    (re.compile(
        r"^(counter|sample[-_ ]?(count|counter|index|number)|packet|time|original[-_ ]?time|seq|interpol|cnt$)", re.I
    ), "COUNT"),
    (re.compile(r"^(raw[-_ ]?cq|[ce]q[-_. ]|validation|impedance|ref[-_ ]?electrode)", re.I), "quality"),
)  # fmt: skip


def uv_per_unit(unit: str | None) -> float | None:
    """µV in one `unit` ("µV", "microvolts", "mV", "V", or a power of ten of a volt such as "-6"); None if unknown."""
    return None if unit is None else _UNITS.get(_plain(unit))


def _plain(unit: str) -> str:
    """Spellings that differ only in case, spaces, hyphens or in which µ they use, as one."""
    text = unicodedata.normalize("NFKC", str(unit).strip("\x00 \t\r\n")).casefold().removesuffix(".0")
    return text if re.fullmatch(r"-?\d", text) else re.sub(r"[\s\-_]", "", text)


_UNITS = {_plain(spelling): factor for factor, spellings in _SPELLINGS.items() for spelling in spellings}


def unit_option(unit: str | None) -> float | None:
    """µV in one unit that the user gave; `UserError` if it is none."""
    if unit is None:
        return None
    factor = uv_per_unit(unit)
    if factor is None:
        raise UserError(f"--unit {unit[:40]!r} is no unit of voltage: give one of µV, mV, V or nV.")
    return factor


def microvolts(units: Sequence[str], where: str, given: str | None = None) -> tuple[list[float], str, list[str]]:
    """Return µV per unit of every channel, the unit to show, and a note where a unit had to be assumed.

    Parameters
    ----------
    units : sequence of str
        As stated, "" where none is.
    where : str
        Whose they are, for the note, e.g. ``"stream 'amp'"``.
    given : str, optional
        The user's unit: it overrides what is stated.
    """
    override = unit_option(given)
    if override is not None:
        return [override] * len(units), str(given), []
    factors = [uv_per_unit(unit) for unit in units]
    odd = sorted({unit[:20] or "no unit" for unit, factor in zip(units, factors, strict=True) if factor is None})
    notes = []
    if odd:
        notes.append(
            f"{where} states {', '.join(odd[:5])} where a voltage is expected: read as µV; set it with --unit if not"
        )
    if lost := sorted({unit[:20] for unit in units if _plain(unit)[:1] in (".", "?", "\ufffd")} - set(odd)):
        notes.append(f"{where} states {', '.join(lost)}, a µ that was lost: read as µV; set it with --unit if not")
    return [1.0 if f is None else f for f in factors], next(iter(units), "") or "µV", notes


def not_eeg(label: str, declared: str = "") -> str | None:
    """Why a channel is no EEG ("EOG", "AUX" ...), or None if it is EEG as far as its type and label show."""
    kind = declared.strip().lower()
    if kind not in _EEG_TYPES:
        return kind.upper() if kind.isalnum() else declared.strip()
    name = re.sub(r"^eeg[-_ ]+|[-_ ](ref|le|avg?|ar)$", "", label.strip().strip("."), flags=re.I)
    return next((what for pattern, what in _NOT_EEG if pattern.search(name)), None)


def split_channels(labels: Sequence[str], types: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """Return the indices of the EEG channels, and the others as ``"label (type)"``."""
    keep: list[int] = []
    aside: list[str] = []
    for index, (label, kind) in enumerate(zip(labels, types, strict=True)):
        why = not_eeg(label, kind)
        if why is None:
            keep.append(index)
        else:
            aside.append(f"{label} ({why})")
    return keep, tuple(aside)
