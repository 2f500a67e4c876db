"""A short alignment and pretraining on a planted world, by this process or with the others `accelerate` started.

``python one_of_several.py FOLDER pretrain temporal pooled queries``; a part goes on where an earlier run of it stopped.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from bci_music.models import parallel
from bci_music.models.encoder import ChannelEncoder
from bci_music.models.network import Network
from bci_music.models.pack import DecoderConfig
from bci_music.models.sizes import EncoderConfig, HeadConfig, LatentQueryConfig
from bci_music.training.eeg.align import AlignConfig, Aligner, align, recompute_batchnorm
from bci_music.training.eeg.corpus import Corpus, Music, Segment
from bci_music.training.eeg.pretrain import PretrainConfig, ViewConfig, pretrain
from bci_music.training.launch import join_processes, leave_processes
from bci_music.training.loop import LoopConfig

RATE, CHANNELS, STEPS, BATCH = 50.0, 8, 12, 8
ENCODER = EncoderConfig(n_channels=CHANNELS, n_times=100, patch=20, dim=16, depth=1, heads=2)
QUERIES = LatentQueryConfig(
    n_channels=CHANNELS, n_times=100, patch=20, kernel=30, filters=8, queries=2, dim=16, depth=1, heads=2
)
LOOP = LoopConfig(steps=STEPS, lr=3e-3, warmup=2, ema=0.8, bf16=False, checkpoint_every=4, watch_every=5)


def world():
    """Segments of two listeners and three songs, each a mixture of the song's four courses."""
    rng = np.random.default_rng(0)
    patterns, mixing = rng.standard_normal((4, CHANNELS)), rng.standard_normal((8, 24))
    segments, music = [], {}
    for song in ("a", "b", "c"):
        bands = np.repeat(rng.standard_normal((12, 4)), 20, axis=0) + rng.standard_normal((240, 4))
        rows = [bands[5 * k : 5 * k + 20] for k in range(45)]
        targets = np.stack([np.concatenate([r.mean(0), r.std(0)]) for r in rows]) @ mixing
        targets /= np.linalg.norm(targets, axis=1, keepdims=True)
        music[song] = Music(targets.astype(np.float32), bands.astype(np.float32), 0.5)
        for listener in ("x", "y"):
            eeg = np.repeat(bands, 5, axis=0) @ patterns + rng.standard_normal((1200, CHANNELS))
            used = (np.arange(CHANNELS) > 0) | (listener == "x")  # the other lacks an electrode
            segments.append(Segment(eeg.T.astype(np.float16), used, song, 0.0, listener, f"{listener} {song}"))
    return segments, music


def run_pretrain(directory):
    segments, _ = world()
    torch.manual_seed(0)
    wide = ViewConfig(count=2, scale=(0.7, 1.0), n_times=100)
    narrow = ViewConfig(count=2, scale=(0.4, 1.0), n_times=60, keep_share=0.5)
    config = PretrainConfig(
        loop=LOOP.model_copy(update={"ema": 0.0}), batch=BATCH, window_s=2.0, teacher_views=wide,
        student_views=narrow, hidden=24, bottleneck=12, prototypes=16,
    )  # fmt: skip
    return pretrain(ChannelEncoder(ENCODER), segments, RATE, config, directory, resume=True)


def run_align(directory, kind):
    segments, music = world()
    corpus = Corpus(segments, music, sfreq_hz=RATE, n_times=100, patch=20)
    torch.manual_seed(0)
    queries = kind == "queries"
    head = HeadConfig(kind="pooled" if queries else kind, hidden=16, embed_dim=8, step_dim=4 if queries else 0)
    encoder = QUERIES if kind == "queries" else ENCODER
    places = np.random.default_rng(1).standard_normal((CHANNELS, 3)) if kind == "queries" else None
    network = Network(DecoderConfig(encoder=encoder, head=head), places)
    config = AlignConfig(
        loop=LOOP, batch=BATCH, keep=None if kind == "pooled" else (6, 8), noise=0.1, crop=(0.7, 1.0), window_s=2.0
    )
    aligner = align(Aligner(network, corpus), corpus, config, directory, watch=corpus, resume=True)
    recompute_batchnorm(aligner.network, corpus, bf16=False)
    return aligner


def run(directory, *parts):
    """Run the parts one after the other; the first process saves what each has learned."""
    for part in parts:
        module = run_pretrain(directory / part) if part == "pretrain" else run_align(directory / part, part)
        if parallel.rank() == 0:
            state = {name: t.detach().contiguous().clone() for name, t in module.state_dict().items()}
            save_file(state, str(directory / f"{part}.safetensors"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    join_processes("cpu")
    sys.stdout.write(f"process {parallel.rank()} of {parallel.world()}\n")  # at once, not line by line
    sys.stdout.flush()
    try:
        run(Path(sys.argv[1]), *sys.argv[2:])
    finally:
        leave_processes()
