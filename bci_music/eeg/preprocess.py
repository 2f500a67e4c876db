"""From raw µV to clean rows at the decoder's rate: resample, high-pass, notch, low-pass, common reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bci_music.config import Config
from bci_music.eeg.resample import StreamResampler
from bci_music.eeg.state import Stateful
from bci_music.messages import BREAK, HOLE, UserError

LIMIT_UV = 1e7  # ten volts: no electrode gives more, and filters stay finite
MAX_SFREQ_HZ = 4000.0


class PreprocessConfig(Config):
    """What is done to every sample before a window is cut; part of a pack, because its decoder was trained so."""

    sfreq_hz: float = Field(125.0, ge=10, le=20_000)
    highpass_hz: float = Field(0.5, gt=0)
    lowpass_hz: float | None = Field(45.0, gt=0)
    notch_hz: tuple[Annotated[float, Field(gt=0)], ...] = Field((50.0, 60.0), max_length=16)
    notch_width_hz: float = Field(2.0, gt=0)
    reference: Literal["average", "none"] = "average"
    recording_reference: str = "Cz"  # montage name of the amplifier's reference, if the stream carries it (as zeros)
    settle_s: float = Field(0.5, ge=0, le=60)  # after a (re)start rows are flagged HOLE for so long
    zscore_s: float = Field(30.0, ge=1, le=3600)  # the running median and spread look back so far
    zscore_min_s: float = Field(3.0, ge=1, le=3600)  # windows count as settled from so many seconds of statistics on
    clip: float = Field(20.0, gt=0)

    @model_validator(mode="after")
    def _below_nyquist(self) -> PreprocessConfig:
        nyquist = self.sfreq_hz / 2
        for value in (self.highpass_hz, self.lowpass_hz or 0.0, *self.notch_hz):
            if value >= nyquist:
                raise ValueError(f"{value} Hz is not below half the rate of {self.sfreq_hz} Hz")
        return self

    def sos(self) -> NDArray[np.float64]:
        """Second-order sections (n_sections, 6) of all filters at `sfreq_hz`."""
        from scipy import signal

        parts = [signal.butter(2, self.highpass_hz, "highpass", fs=self.sfreq_hz, output="sos")]
        for hz in self.notch_hz:
            b, a = signal.iirnotch(hz, hz / self.notch_width_hz, fs=self.sfreq_hz)
            parts.append(signal.tf2sos(b, a))
        if self.lowpass_hz is not None:
            parts.append(signal.butter(4, self.lowpass_hz, "lowpass", fs=self.sfreq_hz, output="sos"))
        return np.concatenate(parts)

    def filter_delay_s(self) -> float:
        """Mean group delay of the filters between 5 and 25 Hz.

        A notch in that band is left out: the phase jumps by pi at its centre, which is no delay.
        """
        from scipy import signal

        low, high, edge = 5.0, 25.0, self.notch_width_hz
        outside = tuple(hz for hz in self.notch_hz if not low - edge <= hz <= high + edge)
        hz = np.linspace(low, high, 81)
        sos = self.model_copy(update={"notch_hz": outside}).sos()
        _, response = signal.freqz_sos(sos, worN=hz, fs=self.sfreq_hz)
        return float(np.mean(-np.gradient(np.unwrap(np.angle(response)), hz)) / (2 * np.pi))


@dataclass(frozen=True)
class CleanRows:
    """Output of the preprocessor, channel-first, with what each row is.

    Attributes
    ----------
    samples : (n_channels, n) float32
        µV, filtered and referenced.
    broken : (n_channels, n) bool
        Made from at least one sample that was no number.
    times_s : (n,) float64
        Instant of the EEG each row shows (delay already subtracted).
    flags : (n,) uint8
    oldest, newest : (n,) int64
        Absolute source rows each row rests on: the first it is made of, the last that had come when it was made.
    """

    samples: NDArray[np.float32]
    broken: NDArray[np.bool_]
    times_s: NDArray[np.float64]
    flags: NDArray[np.uint8]
    oldest: NDArray[np.int64]
    newest: NDArray[np.int64]


class Preprocessor(Stateful):
    """Causal preprocessing of one segment after another; any cutting of the input gives the same output.

    Parameters
    ----------
    config : PreprocessConfig
    n_channels : int
        Channels that are present.
    sfreq_hz : float
        Rate of the source.
    """

    _state_fields = ("_resampler", "_zi", "_first_uv", "_held_uv", "_start", "_times", "_flags", "_nan", "_tail_start")

    def __init__(self, config: PreprocessConfig, n_channels: int, sfreq_hz: float):
        if sfreq_hz < 0.995 * config.sfreq_hz or sfreq_hz > MAX_SFREQ_HZ:
            raise UserError(
                f"The stream has {sfreq_hz:g} samples per second, decoding needs {config.sfreq_hz:g} to "
                f"{MAX_SFREQ_HZ:g}: set the amplifier's rate, or use `bci-music monitor` to look at it only."
            )
        self.config = config
        self._n_channels = n_channels
        self._sfreq_hz = sfreq_hz
        self._sos = config.sos()
        self._resampler = StreamResampler(n_channels, sfreq_hz, config.sfreq_hz)
        self.delay_s = self._resampler.delay_s + config.filter_delay_s()
        self._settle_rows = round(config.settle_s * config.sfreq_hz)
        self._held_uv = np.zeros(n_channels, np.float32)
        self.restart(0)

    @property
    def ratio(self) -> float:
        """Source rows per output row."""
        return self._resampler.ratio

    @property
    def pending_rows(self) -> float:
        """Source rows between the last output and the last row taken (an output may stand between two rows)."""
        return self._resampler.pending_rows

    def restart(self, row: int) -> None:
        """Begin a segment at absolute source row `row`: filters restart, as if its first sample had always been."""
        self._resampler.restart()
        self._zi = np.zeros((len(self._sos), self._n_channels, 2))
        self._first_uv: NDArray[np.float64] | None = None
        self._start = self._tail_start = row
        self._times = np.zeros(0)
        self._flags = np.zeros(0, np.uint8)
        self._nan: NDArray[np.bool_] | None = None  # (rows of the tail, n_channels) where any was no number

    def process(
        self, samples_uv: NDArray[np.float32], times_s: NDArray[np.float64], flags: NDArray[np.uint8],
        good: NDArray[np.bool_], zero_rows: int,
    ) -> CleanRows:
        """Take the rows that follow, return the clean rows they complete.

        Parameters
        ----------
        samples_uv : (n, n_channels) float32
        times_s, flags : (n,)
        good : (n_channels,) bool
            Channels that take part in the reference.
        zero_rows : int
            How many zeros (the recording reference) join the mean.
        """
        from scipy import signal

        rows = self._finite(samples_uv, times_s, flags)
        out = self._resampler.process(rows)
        if not len(out.newest):
            empty = np.zeros((self._n_channels, 0))
            return CleanRows(
                empty.astype(np.float32), empty.astype(bool), np.zeros(0), np.zeros(0, np.uint8), out.oldest, out.newest
            )
        clean, self._zi = signal.sosfilt(self._sos, out.samples, axis=-1, zi=self._zi)
        oldest = self._start + np.maximum(out.oldest, 0)
        newest = self._start + out.newest
        broken, row_flags = self._row_facts(oldest, newest)
        if self.config.reference == "average":
            weights = good[:, None] & ~broken
            count = np.add.reduce(weights, axis=0, dtype=np.int64) + zero_rows
            clean = clean - np.add.reduce(clean * weights, axis=0) / np.maximum(count, 1)
        row_flags[out.row < self._settle_rows * self._resampler.ratio] |= HOLE
        times = self._times[self._start + out.row - self._tail_start] + out.lead_s - self.delay_s
        self._forget(int(oldest[-1]))
        return CleanRows(clean.astype(np.float32), broken, times, row_flags, oldest, newest)

    def flush_denormals(self) -> None:
        """Set to zero what decayed below any meaning: denormal numbers are slow. To be called on a fixed grid."""
        self._zi[np.abs(self._zi) < 1e-30] = 0.0

    def _finite(self, samples_uv, times_s, flags) -> NDArray[np.float64]:
        """Rows as (n_channels, n) float64 relative to the segment's first one, without NaN; remembers their facts."""
        finite = np.isfinite(samples_uv)
        has_nan = not finite.all()
        if has_nan:
            samples_uv = hold_last(samples_uv, finite, self._held_uv)
        if len(samples_uv):
            self._held_uv = samples_uv[-1].copy()
        if has_nan and self._nan is None:
            self._nan = np.zeros((len(self._times), self._n_channels), bool)
        if self._nan is not None:
            self._nan = np.concatenate([self._nan, ~finite])
        self._times = np.concatenate([self._times, times_s])
        self._flags = np.concatenate([self._flags, flags])
        rows = np.clip(samples_uv.T.astype(np.float64), -LIMIT_UV, LIMIT_UV)
        if self._first_uv is None and rows.shape[1]:
            self._first_uv = rows[:, 0].copy()
        return rows if self._first_uv is None else rows - self._first_uv[:, None]

    def _row_facts(self, oldest, newest) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        """For output rows made of source rows oldest..newest: NaN per channel, and all their flags together."""
        broken = np.zeros((self._n_channels, len(newest)), bool)
        flags = np.zeros(len(newest), np.uint8)
        first, stop = oldest - self._tail_start, newest - self._tail_start + 1
        if self._flags.any():
            for i, (a, b) in enumerate(zip(first, stop, strict=True)):
                flags[i] = np.bitwise_or.reduce(self._flags[a:b]) & ~np.uint8(BREAK)
        if self._nan is not None:
            for i, (a, b) in enumerate(zip(first, stop, strict=True)):
                broken[:, i] = self._nan[a:b].any(axis=0)
        return broken, flags

    def _forget(self, before: int) -> None:
        """Drop the facts of source rows that no later output can need."""
        n = max(0, before - self._tail_start)
        self._times, self._flags = self._times[n:], self._flags[n:]
        if self._nan is not None:
            self._nan = self._nan[n:] if self._nan[n:].any() else None
        self._tail_start += n


def hold_last(
    samples: NDArray[np.float32], finite: NDArray[np.bool_], before: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Replace what is not finite by the last finite value of its channel.

    Parameters
    ----------
    samples, finite : (n, n_channels)
    before : (n_channels,)
        Used where a channel has no finite value yet.
    """
    row = np.where(finite, np.arange(len(samples))[:, None], -1)
    np.maximum.accumulate(row, axis=0, out=row)
    held = np.take_along_axis(samples, np.maximum(row, 0), axis=0)
    return np.where(row >= 0, held, before[None, :]).astype(np.float32)
