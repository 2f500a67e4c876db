"""What a channel is: unit, type and whether it is EEG, from what streams and files declare."""

from __future__ import annotations

import re

_UNITS = {
    "µv": 1.0, "μv": 1.0, "uv": 1.0, "muv": 1.0, "microvolt": 1.0, "microvolts": 1.0, "-6": 1.0,
    "mv": 1e3, "millivolt": 1e3, "millivolts": 1e3, "-3": 1e3,
    "v": 1e6, "volt": 1e6, "volts": 1e6, "0": 1e6,
    "nv": 1e-3, "nanovolt": 1e-3, "nanovolts": 1e-3, "-9": 1e-3,
}  # fmt: skip
_EEG_TYPES = {"", "eeg"}
_NOT_EEG = (
    (re.compile(r"^[hv]?eog|eog[lrudhv0-9]*$|^[il]?io$|^[il]eog", re.I), "EOG"),
    (re.compile(r"^e[ck]g|e[ck]g[0-9]*$", re.I), "ECG"),
    (re.compile(r"^emg|emg[0-9]*$", re.I), "EMG"),
    (re.compile(r"^(aux|bip|exg|ergo|analog|misc|ext)[-_ ]?[a-z]*[0-9]*$", re.I), "AUX"),
    (re.compile(r"^(trig|sti|digi|status|marker|event|din)", re.I), "TRIG"),
    (re.compile(r"^(acc|gyr|mag|imu|quat)[-_ a-z]*[0-9]*$", re.I), "ACC"),
    (re.compile(r"^(resp|gsr|eda|ppg|pleth|temp|spo2|pulse|light|audio|battery)", re.I), "BIO"),
    (re.compile(r"^(counter|samplecount|sample[-_ ]?counter|packet|timestamp|time|seq)", re.I), "COUNT"),
)


def uv_per_unit(unit: str | None) -> float | None:
    """µV in one `unit` ("µV", "microvolts", "mV", "V", or a power of ten of a volt such as "-6"); None if unknown."""
    if unit is None:
        return None
    return _UNITS.get(str(unit).strip().lower().removesuffix(".0"))


def not_eeg(label: str, declared: str = "") -> str | None:
    """Why a channel is no EEG ("EOG", "AUX" ...), or None if it is EEG as far as its type and label show."""
    kind = declared.strip().lower()
    if kind not in _EEG_TYPES:
        return declared.strip().upper()
    name = label.strip().strip(".")
    return next((what for pattern, what in _NOT_EEG if pattern.search(name)), None)


def split_channels(labels: list[str], types: list[str]) -> tuple[list[int], tuple[str, ...]]:
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
