"""The one object between a stream and a decoder: raw rows in, windows and verdicts out, live and offline alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bci_music.config import Config
from bci_music.eeg.electrodes import clean_label
from bci_music.eeg.montage import ChannelMap, Montage
from bci_music.eeg.preprocess import PreprocessConfig, Preprocessor
from bci_music.eeg.quality import QualityConfig, QualityMonitor
from bci_music.eeg.state import Stateful
from bci_music.eeg.windows import WindowConfig, Windower
from bci_music.messages import BREAK, Quality, Window


class SignalConfig(Config):
    """All of the signal path; stands in a pack, because its decoder was trained behind it."""

    preprocess: PreprocessConfig = PreprocessConfig()
    quality: QualityConfig = QualityConfig()
    window: WindowConfig = WindowConfig()


class SignalChain(Stateful):
    """Preprocess one stream, assess its channels and cut it into windows.

    Windows and verdicts depend only on the rows, not on how they are cut into calls, bit for bit. Nothing looks
    ahead: a window is made of rows up to its last one, and the mask it carries comes from verdicts before it.

    Parameters
    ----------
    config : SignalConfig
    montage : Montage
        Order of the channels of windows and verdicts.
    channels : ChannelMap
        Which stream channel is which electrode.
    sfreq_hz : float
        Rate of the stream; a `UserError` if it is too slow to decode.

    Attributes
    ----------
    delay_s : float
        By how much the filters delay the signal; already subtracted from all window times.
    """

    _state_fields = (
        "_preprocessor", "_windower", "_monitor", "_expected", "_into_hop", "_breaks", "_last_time",
        "_reference_moved", "_zero_rows",
    )

    def __init__(self, config: SignalConfig, montage: Montage, channels: ChannelMap, sfreq_hz: float):
        self.config, self.montage, self.channels, self.sfreq_hz = config, montage, channels, sfreq_hz
        averages = config.preprocess.reference == "average"
        self._left_out = channels.reference if averages else -1
        mapped = channels.source_index >= 0
        self._columns = channels.source_index[mapped]
        self._present = np.flatnonzero(mapped)
        names = [clean_label(name) for name in montage.names]
        wanted = clean_label(config.preprocess.recording_reference)
        reference = names.index(wanted) if wanted in names else -1
        self._is_reference = self._present == reference
        rows = np.append(self._present, self._left_out) if self._left_out >= 0 else self._present
        self._preprocessor = Preprocessor(config.preprocess, len(rows), sfreq_hz)
        self._windower = Windower(config.window, config.preprocess, rows, len(montage.names))
        self._monitor = QualityMonitor(
            config.quality, montage.names, sfreq_hz, self._present, reference, self._left_out, montage.positions_m
        )
        self.delay_s = self._preprocessor.delay_s
        self._expected: int | None = None  # absolute index of the next row
        self._into_hop = 0  # rows since the last verdict or break
        self._breaks = 0
        self._last_time = 0.0  # stamp of the last row
        self._reference_moved = False  # the channel of that name was not zero: the reference is elsewhere
        self._zero_rows = 0 if self._left_out >= 0 or self._is_reference.any() else 1  # zeros that join the mean

    @property
    def quality(self) -> Quality | None:
        """The newest verdicts, None before the first."""
        return self._monitor.latest

    def process(
        self, samples_uv: NDArray[np.float32], times_s: NDArray[np.float64], flags: NDArray[np.uint8], first_index: int
    ) -> list[Window | Quality]:
        """Take the rows that follow and return what they complete, in order.

        Parameters
        ----------
        samples_uv : (n, n_source_channels) float32
        times_s : (n,) float64
            LSL time of each row.
        flags : (n,) uint8
        first_index : int
            Absolute index of the first row. Rows that were skipped are treated as a break.
        """
        if self._expected is not None and first_index < self._expected:
            raise ValueError(f"rows from {first_index} come after rows up to {self._expected - 1}: time runs one way")
        out: list[Window | Quality] = []
        breaks = set(np.flatnonzero(flags & BREAK).tolist())
        if len(samples_uv) and first_index != self._expected:
            breaks.add(0)
        stops = [*sorted(breaks - {0}), len(samples_uv)]
        row = 0
        for stop in stops:
            if row in breaks:
                out += self._begin_segment(first_index + row, float(times_s[row]))
            while row < stop:
                n = min(stop - row, self._monitor.hop_rows - self._into_hop)
                part = slice(row, row + n)
                out += self._advance(samples_uv[part], times_s[part], flags[part], first_index + row)
                row += n
        return out

    def _advance(self, samples_uv, times_s, flags, index: int) -> list[Window | Quality]:
        """Rows up to the end of a hop at most, without a break inside."""
        present = np.ascontiguousarray(samples_uv[:, self._columns], np.float32)
        rows, good = present, self._monitor.usable
        if self._left_out >= 0:
            rows = np.pad(present, ((0, 0), (0, 1)))
            good = np.append(good, True)
        clean = self._preprocessor.process(rows, times_s, flags, good, self._zero_rows)
        out: list[Window | Quality] = [*self._windower.process(clean, good, self._breaks)]
        self._reference_moved |= bool(present[:, self._is_reference].any())
        self._into_hop += len(rows)
        if self._into_hop == self._monitor.hop_rows:
            self._into_hop = 0
            self._preprocessor.flush_denormals()
            self._zero_rows = max(self._zero_rows, int(self._reference_moved))
        if self.config.quality.enabled:
            out += self._monitor.process(present, times_s, flags, index)
        self._expected = index + len(rows)
        self._last_time = float(times_s[-1])
        return out

    def _begin_segment(self, index: int, time_s: float) -> list[Window | Quality]:
        """Start again at a break, after rows that stand for what is missing: at most one window of them."""
        out: list[Window | Quality] = []
        if self._expected is not None:
            self._breaks += 1
            missing = self._missing_rows(time_s)
            hole = self._windower.hole(missing, time_s - self.delay_s, index)
            good = self._monitor.usable
            good = np.append(good, True) if self._left_out >= 0 else good
            out += self._windower.process(hole, good, self._breaks)
        self._preprocessor.restart(index)
        self._monitor.restart()
        self._into_hop = 0
        return out

    def _missing_rows(self, time_s: float) -> int:
        """How many output rows lie between the last one made and the first one of a segment that starts at `time_s`."""
        seconds = time_s - self._last_time
        if not np.isfinite(seconds):
            return 0
        gap = round(seconds * self.sfreq_hz)  # whole source samples: equal for any clock offset
        outputs = (gap + self._preprocessor.pending_rows) / self._preprocessor.ratio
        return min(max(int(np.floor(outputs + 0.5)) - 1, 0), self._windower.n_times)
