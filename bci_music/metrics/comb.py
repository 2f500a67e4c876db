"""Does sound buzz? The level of lines at multiples of a rate, against what lies between them.

What is made frame by frame can differ from frame to frame in the same way each time; that is heard as a buzz and seen
as a comb of lines at multiples of the frame rate, 100 Hz here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EXCERPT_S = 6.0
LOW_HZ, HIGH_HZ = 2500.0, 7500.0
LINE_HZ, CLEAR_HZ = 1.0, 10.0  # what belongs to a line, and from where on what lies between
QUIET = 1e-4  # root mean square of an excerpt that counts as silence


def comb_db(sound: NDArray[np.float32], rate_hz: float, line_hz: float = 100.0) -> NDArray[np.float64]:
    """Level on the lines against that between them, in dB, of excerpts that overlap by half.

    Every excerpt is a Hann-windowed spectrum of its whole length (1/6 Hz from bin to bin). For each multiple of
    `line_hz` from 2.5 to 7.5 kHz the mean power within 1 Hz is compared with that between 10 Hz and half of `line_hz`
    away; the mean of those differences in dB is what an excerpt has. Music without a comb has about 0, or less.

    Parameters
    ----------
    sound : (n,) array
        At `rate_hz`, 6 s or more.

    Returns
    -------
    (m,) array
        One number for each excerpt that sounds.
    """
    n = round(EXCERPT_S * rate_hz)
    sound = np.asarray(sound, np.float64)
    if len(sound) < n:
        raise ValueError(f"a comb is measured in {EXCERPT_S:g} s of sound or more, got {len(sound) / rate_hz:.2f} s")
    excerpts = [sound[first : first + n] for first in range(0, len(sound) - n + 1, n // 2)]
    window, hz = np.hanning(n), np.arange(n // 2 + 1) * rate_hz / n
    lines = line_hz * np.arange(np.ceil(LOW_HZ / line_hz), np.floor(min(HIGH_HZ, 0.47 * rate_hz) / line_hz) + 1)
    away = [np.abs(hz - line) for line in lines]
    found = []
    for excerpt in excerpts:
        if np.sqrt(np.square(excerpt).mean()) < QUIET:
            continue
        power = np.square(np.abs(np.fft.rfft(excerpt * window)))
        on = np.array([power[a <= LINE_HZ].mean() for a in away])
        between = np.array([power[(a >= CLEAR_HZ) & (a <= line_hz / 2)].mean() for a in away])
        found.append(float(np.mean(10 * np.log10((on + 1e-20) / (between + 1e-20)))))
    return np.array(found)
