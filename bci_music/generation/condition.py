"""What a single clip is to sound like: words, a sound or a vector, as the unit vector that conditions a generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bci_music.files import opening, plain_file, read_array, shown
from bci_music.messages import EMBEDDING_DIM, UserError


def from_text(text: str, generator: str | Path, clap: str | Path | None = None) -> NDArray[np.float32]:
    """Embed words: (512,) float32 of length one.

    Parameters
    ----------
    text : str
    generator : str or Path
        Checkpoint whose own text tower is taken if no `clap` is given.
    clap : str or Path, optional
        Embedder in whose space the generator was trained.
    """
    from bci_music.models.checkpoints.towers import text_tower
    from bci_music.models.embedder import load_embedder

    if not text.strip():
        raise UserError("The text is empty: say what the music is to sound like.")
    if clap is None:
        return text_tower(generator).embed([text])[0]
    return load_embedder(clap).embed_text(text)


def from_sound(path: str | Path, generator: str | Path, clap: str | Path | None = None) -> NDArray[np.float32]:
    """Embed a sound file by `clap`, else by the CLAP the generator brings along: (512,) float32 of length one."""
    from bci_music.models.checkpoints.towers import brings_clap
    from bci_music.models.embedder import load_embedder

    if clap is None and not brings_clap(generator):
        raise UserError(f"{generator} has no sound tower: say with --clap which CLAP it was trained with.")
    samples, rate_hz = _read(path)
    return load_embedder(generator if clap is None else clap).embed(samples, rate_hz)


def from_file(path: str | Path) -> NDArray[np.float32]:
    """Read a vector of 512 numbers from a `.npy` file and bring it to length one."""
    vector = read_array(path, None, f"give a .npy file of {EMBEDDING_DIM} numbers")
    if vector.size != EMBEDDING_DIM:
        raise UserError(f"{shown(path)} holds {vector.size} numbers, expected {EMBEDDING_DIM}: embed again.")
    flat = vector.reshape(-1).astype(np.float64)
    length = float(np.linalg.norm(flat))
    if not np.isfinite(length) or length == 0:
        raise UserError(f"The vector in {path} points nowhere (its length is {length}): embed again.")
    return (flat / length).astype(np.float32)


def _read(path: str | Path) -> tuple[NDArray[np.float32], float]:
    import soundfile

    with opening(path, "sound", "give a WAV, FLAC, OGG or MP3 file"):
        samples, rate_hz = soundfile.read(str(plain_file(path)), dtype="float32", always_2d=True)
    if not len(samples) or not np.any(samples) or not np.isfinite(samples).all():
        raise UserError(f"{path} holds no sound: give a file with some seconds of music.")
    return samples[:, :2], float(rate_hz)
