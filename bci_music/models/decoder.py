"""The decoder: one window of EEG in, one unit vector in the generator's space out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bci_music.files import read_array, shown
from bci_music.messages import EMBEDDING_DIM, EegSteps, Embedding, Log, UserError, Window, quiet
from bci_music.models.adapter import RidgeAdapter
from bci_music.models.confidence import Confidence
from bci_music.models.device import Device, choose_device
from bci_music.models.library import PROTOTYPES
from bci_music.models.pack import ADAPTER_FILE, ENCODER_FILE, DecoderConfig, Pack, PackManifest

if TYPE_CHECKING:
    from bci_music.eeg.montage import Montage
    from bci_music.models.network import Network

ANCHORS_FILE = f"library/{PROTOTYPES}"


class TooFewChannels(ValueError):
    """Fewer usable channels than the pack asks for: the window counts as masked, nothing is decoded."""


class Decoder:
    """Encoder, head and adapter of a pack on one device.

    The same window gives the same vector bit for bit on one machine with one thread count. Use `from_pack`.
    """

    def __init__(
        self, network: Network, adapter: RidgeAdapter, confidence: Confidence, config: DecoderConfig, device: Device,
        pack: Pack | None = None,
    ):
        self._network = network.to(device.torch).eval()
        self._adapter = adapter
        self._confidence = confidence
        self._config = config
        self._device = device
        self._pack = pack

    @classmethod
    def from_pack(cls, name_or_dir: str | Path | Pack, device: str | None = None) -> Decoder:
        """Open a verified pack and load it on a device ("cuda", "mps" or "cpu"; by default the fastest here).

        Raises
        ------
        UserError
            If the pack is not whole, or needs EEG that only a finished recording gives.
        """
        pack = (name_or_dir if isinstance(name_or_dir, Pack) else Pack.open(name_or_dir)).for_live()
        config = pack.manifest.decoder
        chosen = choose_device(device, bf16=config.bf16)
        from bci_music.models.network import Network

        network = Network.load(pack.file(ENCODER_FILE), config)
        adapter = RidgeAdapter.load(pack.file(ADAPTER_FILE))
        _check_signal(pack)
        if adapter.weights.shape != (config.head.size(config.encoder), EMBEDDING_DIM):
            raise UserError(
                f"The adapter of pack {pack.name} maps {adapter.weights.shape}, expected "
                f"({config.head.size(config.encoder)}, {EMBEDDING_DIM}): rebuild the pack."
            )
        anchors = None
        if pack.has(ANCHORS_FILE):
            anchors = read_array(pack.file(ANCHORS_FILE), (None, EMBEDDING_DIM), "build the pack again")
        return cls(network, adapter, Confidence(pack.manifest.confidence, anchors), config, chosen, pack)

    @property
    def pack(self) -> Pack:
        """The pack this came from."""
        if self._pack is None:
            raise ValueError("this decoder was not made from a pack")
        return self._pack

    @property
    def manifest(self) -> PackManifest:
        """The pack's manifest."""
        return self.pack.manifest

    @property
    def montage(self) -> Montage:
        """The electrode layout the windows must have."""
        return self.pack.montage

    @property
    def network(self) -> Network:
        """Encoder and head."""
        return self._network

    def with_network(self, network: Network) -> Decoder:
        """Return the same decoder with another encoder and head of the same sizes."""
        return Decoder(network, self._adapter, self._confidence, self._config, self._device, self._pack)

    @property
    def device_name(self) -> str:
        """Device, threads and number format, for people."""
        return self._device.name

    @property
    def adapter(self) -> RidgeAdapter:
        """The map from the shared space into the generator's."""
        return self._adapter

    def warm_up(self, times: int = 3, tell: Log = quiet) -> float:
        """Decode noise so that the first real window is not the slow one; returns the last one's milliseconds."""
        e = self._config.encoder
        noise = np.random.default_rng(0).standard_normal((e.n_channels, e.n_times)).astype(np.float32)
        milliseconds = 0.0
        for turn in range(times):
            tell(f"warming up, {turn + 1} of {times}")
            milliseconds = self.decode_array(noise).decode_ms
        return milliseconds

    def decode(self, window: Window, now: float, *, steps: bool = False) -> Embedding:
        """Decode one window of the live chain; `now` is the LSL time at which that is done.

        With `steps` the embedding also holds the window step by step; all else is the same to the bit.

        Raises
        ------
        TooFewChannels
            A ValueError: fewer than `min_channels` channels are usable.
        """
        vector, attention, confidence, values, ms = self._run(window.samples, window.used, steps)
        return Embedding(
            vector, attention, confidence, window.index, window.first_sample, window.last_sample, window.end_s,
            made_s=now, decode_ms=ms, connection=window.connection,
            steps=None if values is None else self._placed(values, window.end_s),
        )

    def decode_array(self, samples: NDArray[np.float32], used: NDArray[np.bool_] | None = None) -> Embedding:
        """Decode a preprocessed, z-scored array.

        Parameters
        ----------
        samples : (n_channels, n_times) array
            At the pack's rate, in the order of its montage.
        used : (n_channels,) bool array, optional
            Channels that are present and good; by default those that are finite and not flat.
        """
        samples = np.asarray(samples, np.float32)
        if used is None:
            used = np.isfinite(samples).all(1) & (samples.std(1) > 0)
        vector, attention, confidence, _, ms = self._run(samples, used)
        seconds = samples.shape[1] / self.manifest.signal.preprocess.sfreq_hz if self._pack else 0.0
        last = samples.shape[1] - 1
        return Embedding(vector, attention, confidence, 0, 0, last, seconds, made_s=seconds, decode_ms=ms)

    def decode_many(self, samples: NDArray[np.float32], used: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """Decode a batch (B, C, T) with masks (B, C): raw outputs, unit vectors, attention and confidence."""
        vectors, attention = self.encode_many(samples, used)
        raw = self._adapter(vectors)
        return {
            "raw": raw, "vector": _unit(raw), "attention": attention, "confidence": self._confidence(raw, attention),
        }

    def encode_many(
        self, samples: NDArray[np.float32], used: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encode a batch (B, C, T) with masks (B, C), before the adapter: unit (B, embed_dim), attention (B, C)."""
        vectors, attention, _ = self._infer(samples, used, steps=False)
        return vectors, attention

    def steps_many(self, samples: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Encode a batch (B, C, T) with masks (B, C) step by step: (B, S, E), what a ControlNet is led by.

        E is the encoder's width, its output at that step, and then the shared space's size, the unit vector of the
        whole window, which is the same on all steps.
        """
        steps = self._infer(samples, used, steps=True)[2]
        assert steps is not None
        return steps

    def _infer(
        self, samples: NDArray[np.float32], used: NDArray[np.bool_], steps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        import torch

        clean = np.where(used[:, :, None], samples, np.float32(0))  # a masked channel may hold NaN
        x = torch.empty(clean.shape, dtype=torch.float32)  # torch's own memory: same alignment, same bits
        x.copy_(torch.from_numpy(np.ascontiguousarray(clean, np.float32)))
        mask = torch.tensor(used, dtype=torch.bool)
        device = self._device
        with torch.inference_mode(), torch.autocast(device.torch.type, torch.bfloat16, enabled=device.bf16):
            infer = self._network.infer_steps if steps else self._network.infer
            found = [part.float().cpu().numpy() for part in infer(x.to(device.torch), mask.to(device.torch))]
        return found[0], found[1], found[2] if steps else None

    def _placed(self, values: NDArray[np.float32], end_s: float) -> EegSteps:
        """Steps (S, E) of a window that ends at `end_s`, with what they cover: samples that fill no step are left."""
        e, rate_hz = self._config.encoder, self.manifest.signal.preprocess.sfreq_hz
        covered = len(values) * e.patch
        return EegSteps(values, covered / rate_hz, end_s - (e.n_times - covered) / rate_hz)

    def _run(
        self, samples: NDArray[np.float32], used: NDArray[np.bool_], steps: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], float, NDArray[np.float32] | None, float]:
        began = time.perf_counter()
        e = self._config.encoder
        if samples.shape != (e.n_channels, e.n_times):
            raise UserError(
                f"A window of shape {samples.shape} came to the decoder, expected ({e.n_channels}, {e.n_times}): "
                "prepare it with the pack's own SignalChain."
            )
        if int(used.sum()) < self._config.min_channels:
            raise TooFewChannels(f"{int(used.sum())} usable channels, at least {self._config.min_channels} are needed")
        vectors, attention, values = self._infer(samples[None], used[None], steps)
        raw = self._adapter(vectors)
        confidence = float(self._confidence(raw, attention)[0])
        ms = 1e3 * (time.perf_counter() - began)
        return _unit(raw)[0], attention[0], confidence, None if values is None else values[0], ms


def _check_signal(pack: Pack) -> None:
    """Refuse a pack whose windows are not what its network takes: channels of the montage, samples of a window."""
    signal, e = pack.manifest.signal, pack.manifest.decoder.encoder
    made = len(pack.montage.names), round(signal.window.seconds * signal.preprocess.sfreq_hz)
    if pack.manifest.decoder.min_channels > e.n_channels:
        raise UserError(f"Pack {shown(pack.name)} needs more channels than its network has: rebuild the pack.")
    if made != (e.n_channels, e.n_times):
        raise UserError(
            f"Pack {shown(pack.name)} cuts windows of {made[0]} channels and {made[1]} samples, and its network takes "
            f"{e.n_channels} and {e.n_times}: rebuild the pack."
        )


def _unit(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    return raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), np.float32(1e-12))
