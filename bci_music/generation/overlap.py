"""One clip becomes sound in a thread of its own while the next one is denoised."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from bci_music.generation.audioldm.sampler import AudioLdm, Interrupted

if TYPE_CHECKING:
    from torch import Tensor


class Overlapped:
    """Decodes latents in the background, in the order they came.

    Worth it on a GPU, whose processor is otherwise idle while the sound is fetched; on a processor both share its
    cores, and all that is gained is that the next clip need not wait.

    Parameters
    ----------
    model : AudioLdm
    """

    def __init__(self, model: AudioLdm):
        import torch

        self._model, self._stop = model, threading.Event()
        self._stream = torch.cuda.Stream(model.device) if model.device.type == "cuda" else None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bci-music-decode")

    def sound(self, latents: Tensor) -> Future[NDArray[np.float32]]:
        """Order the sound of finished latents: the future gives (n,) float32 at 16 kHz, or `Interrupted`."""
        return self._pool.submit(self._make, latents)

    def close(self) -> None:
        """Give up what was ordered and end the thread, at latest after the pass it is in."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, latents: Tensor) -> NDArray[np.float32]:
        with self._beside():
            mel = self._model.decode(latents)
            if self._stop.is_set():
                raise Interrupted
            return self._model.vocode(mel)

    def _beside(self) -> AbstractContextManager[object]:
        """On a GPU a stream of its own, or it would queue behind the next clip's steps."""
        if self._stream is None:
            return nullcontext()
        import torch

        return torch.cuda.stream(self._stream)
