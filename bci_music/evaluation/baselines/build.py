"""Baselines by name."""

from __future__ import annotations

import difflib

from bci_music.eeg.montage import Montage
from bci_music.evaluation.baselines.baseline import Baseline
from bci_music.messages import UserError

TRAINED = ("eeg2mel", "labram", "eegpt", "cbramod")


def build_baseline(
    name: str, montage: Montage, *, sfreq_hz: float, n_times: int, embed_dim: int, pretrained: bool | str = False
) -> Baseline:
    """Build one of the baselines that are trained by the alignment.

    Parameters
    ----------
    name : str
        ``eeg2mel``, ``labram``, ``eegpt`` or ``cbramod``; the last three need braindecode.
    montage : Montage
        The electrodes of a window, in channel order.
    sfreq_hz, n_times
        Rate and samples of a window.
    embed_dim : int
        Width of the shared space.
    pretrained : bool or str
        Published weights from the hub; a string names others, or a directory that holds them. Random otherwise.

    Returns
    -------
    Baseline
        Its `initialised` says where the weights come from.

    Raises
    ------
    UserError
        If there is no such baseline, braindecode is not installed, the weights cannot be had, or windows are too short.
    """
    if name not in TRAINED:
        near = difflib.get_close_matches(name, TRAINED, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(TRAINED)}."
        raise UserError(f"There is no baseline {name!r}: {hint}")
    if name == "eeg2mel":
        if pretrained:
            raise UserError("There are no published weights of eeg2mel: start it from random weights.")
        from bci_music.evaluation.baselines.eeg2mel import EEG2Mel

        return EEG2Mel(len(montage.names), sfreq_hz, n_times, embed_dim)
    from bci_music.evaluation.baselines import foundation_models

    classes = {
        "labram": foundation_models.LaBraM, "eegpt": foundation_models.EEGPT, "cbramod": foundation_models.CBraMod,
    }  # fmt: skip
    chosen = classes[name]
    weights = chosen.hub if pretrained is True else pretrained or ""
    return chosen(montage, sfreq_hz, n_times, embed_dim, weights)
