"""The generator's door: what any generator hands over is looked at before it can be heard."""

from __future__ import annotations

import numpy as np

from bci_music.messages import AUDIO_RATE_HZ, AudioBlock
from bci_music.sound.silence import THRESHOLD, silent_spans

LOUDEST, PRESSED_RMS = 4.0, 0.63  # peak 12 dB above full scale; -4 dB: no music is that loud without a pause
FULL, CUT_OFF = 0.999, 0.05  # share of the samples at a peak of full scale from which sound counts as cut off
SHORTEST_S = 0.5


class Unfit(ValueError):
    """A generator handed over what is not to be heard; the text says why."""


def refuse_unfit(block: AudioBlock, asked_s: float, most_s: float | None = None) -> AudioBlock:
    """Return a block that may be heard.

    Parameters
    ----------
    block : AudioBlock
    asked_s : float
        What was asked for.
    most_s : float, optional
        The most there is room for, of a generator that makes clips of its own length; None: exactly what was asked.

    Raises
    ------
    Unfit
        No sound, not finite, silent, at full scale, too short or too long.
    """
    if not isinstance(block, AudioBlock) or block.samples.dtype.kind != "f":
        raise Unfit("it handed over no sound")
    samples, seconds = block.samples, len(block.samples) / AUDIO_RATE_HZ
    least_s = asked_s if most_s is None else SHORTEST_S
    if not round(least_s * AUDIO_RATE_HZ) <= len(samples) <= round((most_s or asked_s) * AUDIO_RATE_HZ):
        raise Unfit(f"it handed over {seconds:.2f} s of sound, {asked_s:.2f} s were asked for")
    if not np.isfinite(samples).all():
        raise Unfit("its sound is not finite")
    peak = float(np.abs(samples).max())
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    share = float((np.abs(samples) >= FULL * peak).mean()) if peak >= FULL else 0.0
    if peak > LOUDEST or rms > PRESSED_RMS or share > CUT_OFF:
        raise Unfit(f"its sound is cut off or at full scale (peak {peak:.2f}, {share:.0%} of it there)")
    if float(np.abs(samples - samples.mean(axis=0)).max()) < THRESHOLD or silent_spans(samples):
        raise Unfit("its sound is silent")  # a constant cannot be heard either
    return block
