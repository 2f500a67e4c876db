"""One number with what makes it readable: interval, n, controls, chance, protocol; in pack, report and table alike."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from bci_music.config import Config, note_renamed
from bci_music.metrics.intervals import by_recording

CONTROLS = {
    "mismatched": "mismatched pairs",
    "before_song": "EEG before the song",
    "mean_embedding": "mean embedding",
    "random_clips": "random clips",
}


class Control(Config):
    """The same metric where there is nothing to find."""

    value: float
    ci95: tuple[float, float] | None = None
    protocol: str = ""


class Metric(Config):
    """One number with what makes it readable.

    `controls` has the keys of `CONTROLS`, as far as they can be had: ``mismatched`` (EEG with music of another song),
    ``before_song`` (EEG from before the music), ``mean_embedding``; `missing` says in words why one cannot. `p` is by
    permutation over recordings.
    """

    name: str  # key, e.g. "50-way"
    label: str = ""  # for people; the name where there is none
    value: float
    ci95: tuple[float, float] | None = None
    n: int  # independent (not overlapping) windows
    n_recordings: int
    chance: float | None = None
    controls: dict[str, Control] = {}
    missing: dict[str, str] = {}
    p: float | None = None
    protocol: str
    better: Literal["higher", "lower"] = "higher"

    @model_validator(mode="before")
    @classmethod
    def _read_old_form(cls, values: Any) -> Any:
        """Read one control as early packs hold it, and the control's old name in early reports."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        text, value = values.pop("control", ""), values.pop("control_value", None)
        if value is not None:
            values["controls"] = {"mismatched": {"value": value, "protocol": text}}
        for key in ("controls", "missing"):
            if isinstance(values.get(key), dict) and "deranged" in values[key]:
                note_renamed(cls.__name__, "the control 'deranged' is now called 'mismatched'")
                values[key] = {"mismatched" if k == "deranged" else k: v for k, v in values[key].items()}
        if not values.get("label"):
            values["label"] = values.get("name", "")
        return values

    def rounded(self, digits: int = 4) -> Metric:
        """Return it with so many decimals, as a pack holds it."""

        def ends(ci95: tuple[float, float] | None) -> tuple[float, float] | None:
            return None if ci95 is None else (round(ci95[0], digits), round(ci95[1], digits))

        return self.model_copy(update={
            "value": round(self.value, digits), "ci95": ends(self.ci95),
            "chance": None if self.chance is None else round(self.chance, digits),
            "controls": {
                name: c.model_copy(update={"value": round(c.value, digits), "ci95": ends(c.ci95)})
                for name, c in self.controls.items()
            },
        })  # fmt: skip


def summarise(
    values: NDArray[np.floating], recording: NDArray, *, unit: NDArray | None = None, seed: int = 0, **details: Any
) -> Metric:
    """Metric of the mean of one value per window; windows without a value (NaN) do not count.

    Parameters
    ----------
    values : (n,)
    recording : (n,)
        The recording each window is from.
    unit : (n,), optional
        What is independent and drawn for the interval, where it is not the recording.
    details
        The other fields of `Metric`.
    """
    known = ~np.isnan(values)
    units = recording if unit is None else unit
    return Metric(
        value=float(values[known].mean()), ci95=interval(values[known], units[known], seed), n=int(known.sum()),
        n_recordings=len(np.unique(recording[known])), **details,
    )  # fmt: skip


def control(values: NDArray[np.floating], recording: NDArray, seed: int, protocol: str) -> Control | None:
    """Mean and interval of what is known of `values`; None if nothing is."""
    known = ~np.isnan(values)
    if not known.any():
        return None
    return Control(
        value=float(values[known].mean()), ci95=interval(values[known], recording[known], seed), protocol=protocol
    )


def interval(values: NDArray[np.floating], recording: NDArray, seed: int = 0) -> tuple[float, float] | None:
    """95 % interval by recording; None with fewer than two recordings."""
    return by_recording(values, recording, seed) if len(np.unique(recording)) >= 2 else None
