"""`pack build --way echoes`: a ControlNet for a demo pack, from simulated listeners to a pack with both ways.

The decoder and the transformer of the pack stay as they are. Simulated listeners that the decoder knows hear its songs
once more, with noise that its training never saw; a window of EEG as the decoder reads it, beside the latents of what
was heard, is one thing to learn from. Every stage is kept in the working folder and done once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.compose.composer import mono_16k
from bci_music.config import Config
from bci_music.files import refuse_filled
from bci_music.generation.audioldm.echoes import CONTROL, ControlNote, save_control
from bci_music.generation.audioldm.flow import TransformerLdm, load_transformer
from bci_music.generation.audioldm.loading import TRANSFORMER
from bci_music.messages import Log, UserError
from bci_music.models.decoder import Decoder
from bci_music.models.embedder import FrameEmbedder, load_embedder
from bci_music.models.log_mel import normalised
from bci_music.models.pack import ADAPTER_FILE, ENCODER_FILE, Pack
from bci_music.packing.music_models import CARD, card
from bci_music.training.audioldm.parts import check_budget, load_part
from bci_music.training.echoes.control import ControlConfig, train_control
from bci_music.training.echoes.pairs import EegMusicPairs, cut_latents, joined
from bci_music.training.eeg.corpus import Music
from bci_music.training.eeg.sessions import HeardWindows, heard_windows
from bci_music.training.eeg.simulated import SimulatedDataConfig, demo_music, held_out_session, training_session
from bci_music.training.lab.run import thread_limit

BATCH = 64


class EchoesBuildConfig(Config):
    """Who listens how often, and the ControlNet's training."""

    recordings: int = Field(2, ge=1, description="of each listener that the decoder knows")
    first_recording: int = Field(20, ge=0, description="number of the first: those below are the decoder's")
    held_recordings: int = Field(1, ge=1, description="of each listener, of seconds of the songs never learned from")
    hop_s: float = Field(2.0, gt=0, description="between windows to learn from; they have 4 s")
    training_snr_db: tuple[float, ...] = (-4.0, -8.0, -12.0, -16.0)
    snr_db: float = Field(-10.0, description="of the recordings that are held out")
    control: ControlConfig = ControlConfig()


@dataclass(frozen=True)
class Reader:
    """A decoder, an autoencoder and an embedder: what turns what was heard, and the EEG of it, into pairs."""

    decoder: Decoder
    model: TransformerLdm
    embedder: FrameEmbedder
    _latents: dict[str, NDArray[np.float16]] = field(default_factory=dict)

    @classmethod
    def of(cls, pack: Pack) -> Reader:
        """The pack's own."""
        assert pack.generator is not None
        model = load_transformer(pack.generator, device="cpu")
        return cls(Decoder.from_pack(pack), model, load_embedder(pack.directory / "embedder"))

    @cached_property
    def music(self) -> dict[str, Music]:
        """Embeddings of every song; composed when first asked for, which takes minutes."""
        return demo_music(self.embedder)

    def pairs(self, heard: HeardWindows, listener: int) -> EegMusicPairs:
        """What one recording has to teach; `listener` is a row of the ControlNet's table."""
        samples = np.stack([window.samples for window in heard.windows])
        used = np.stack([window.used for window in heard.windows])
        steps, predicted = [], []
        for first in range(0, len(samples), BATCH):
            part = slice(first, first + BATCH)
            steps.append(self.decoder.steps_many(samples[part], used[part]))
            predicted.append(self.decoder.decode_many(samples[part], used[part])["vector"])
        window_s = self.decoder.manifest.signal.window.seconds
        song = np.array(heard.songs)
        latents = np.concatenate([
            cut_latents(self._of(name), heard.second[i : i + 1], window_s) for i, name in enumerate(heard.songs)
        ])  # fmt: skip
        style = np.stack([self.music[s].target_at(at) for s, at in zip(heard.songs, heard.second, strict=True)])
        return EegMusicPairs(
            latents, np.concatenate(steps).astype(np.float16), style.astype(np.float32), np.concatenate(predicted),
            np.full(len(song), listener), song, np.full(len(song), heard.recording), heard.second,
        )  # fmt: skip

    def _of(self, song: str) -> NDArray[np.float16]:
        """Latents (8, frames, 16) of a whole song."""
        if song not in self._latents:
            found = self.model.encode(normalised(mono_16k(song)))[0]
            self._latents[song] = found.cpu().numpy().astype(np.float16)
        return self._latents[song]


def build_echoes_pack(
    pack: Pack, out: Path, work: Path, config: EchoesBuildConfig, *, minutes: float | None = None,
    log: Log = lambda text: None, report: Callable[[int, dict[str, float]], None] | None = None,
) -> tuple[Pack, dict[str, float]]:
    """Listen, learn, write; returns the pack with both ways and the minutes that each stage took in this call.

    Parameters
    ----------
    pack : Pack
        A demo pack with a transformer.
    work : Path
        Pairs, checkpoint and log: what is there is not made again.
    minutes : float, optional
        Upper limit of the training, of a thread's work and with earlier calls; the steps of the configuration end it
        earlier.

    Raises
    ------
    UserError
        If the pack has no transformer or was not made of simulated listeners, or `out` is not empty.
    """
    listeners = _listeners(pack)
    refuse_filled(out)
    assert pack.generator is not None
    took, began = {}, time.monotonic()
    reader = Reader.of(pack)
    folder = work / f"pairs-{_key(pack, config)}"
    pairs, held = (
        joined(collect(reader, listeners, config, folder, unheard, log)) for unheard in (False, True)
    )
    took["pairs"], began = (time.monotonic() - began) / 60, time.monotonic()
    base = load_part(pack.generator, TRANSFORMER)
    log(f"training the ControlNet on {len(pairs)} windows")
    settings = hashlib.sha256(config.control.model_dump_json(exclude={"loop"}).encode()).hexdigest()[:8]
    run = folder / f"control-{settings}"
    until = thread_limit(minutes, run)
    control = train_control(base, pairs, held, config.control, run, until=until, report=report)
    took["control"] = (time.monotonic() - began) / 60
    return write_control(pack, control, out, trained=True), took


def collect(
    reader: Reader, listeners: tuple[int, ...], config: EchoesBuildConfig, folder: Path, unheard: bool, log: Log
) -> list[EegMusicPairs]:
    """Pairs of every recording; of the songs' held-out seconds if `unheard`. Each is made once and kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest, found = reader.decoder.manifest, []
    ratios = SimulatedDataConfig(snr_db=config.snr_db, training_snr_db=config.training_snr_db)
    for recording in range(config.held_recordings if unheard else config.recordings):
        for place, listener in enumerate(listeners):
            name = f"{'held-' if unheard else ''}{listener}-{recording}"
            path = folder / f"{name}.npz"
            if not path.is_file():
                log(f"listener {listener}, recording {recording + 1}{', held-out seconds' if unheard else ''}")
                if unheard:
                    session = held_out_session(listener, config.first_recording + recording, config.snr_db)
                else:
                    session = training_session(listener, config.first_recording + recording, ratios)
                hop = None if unheard else config.hop_s
                heard = heard_windows(session, manifest.signal, reader.decoder.montage, name, min_gap_s=hop)
                reader.pairs(heard, place).save(path)
            found.append(EegMusicPairs.load(path))
    return found


def write_control(pack: Pack, control: Any, out: Path, *, trained: bool) -> Pack:
    """Write a pack that is this one with a ControlNet over its transformer; all else stays, and so do its figures."""
    refuse_filled(out)
    made = pack.manifest.generator
    if pack.generator is None or made is None:
        raise UserError(f"Pack {pack.name} ships no music models: build one with `bci-music pack build --generator`.")
    shutil.copytree(pack.directory, out, dirs_exist_ok=True)
    folder = out / "generator" / CONTROL
    shutil.rmtree(folder, ignore_errors=True)
    name = f"ControlNet for EEG, {control.config.form} form, {control.config.kind}"
    decoder = pack.manifest.files[ENCODER_FILE].sha256
    save_control(control, folder, ControlNote(trained=trained, name=name, decoder=decoder))
    part = made.model_copy(update={"parameters": check_budget(out / "generator")})
    (out / CARD).write_text(card(part, out / "generator"), encoding="utf-8")
    return Pack.write(out, pack.manifest.model_copy(update={"generator": part}))


def _listeners(pack: Pack) -> tuple[int, ...]:
    seeds = pack.manifest.provenance.seeds.get("listeners")
    if pack.generator is None or not (pack.generator / TRANSFORMER).is_dir():
        raise UserError(
            f"Pack {pack.name} has no transformer for a ControlNet to lead: train one (`bci-music pack train "
            "transformer`) and put it in with `bci-music pack replace-transformer`."
        )
    if not pack.manifest.simulated or not isinstance(seeds, list):
        raise UserError(f"Pack {pack.name} was not made of simulated listeners: build on a demo pack.")
    return tuple(seeds)


def _key(pack: Pack, config: EchoesBuildConfig) -> str:
    """What pairs depend on: decoder, autoencoder, and the recordings."""
    read = (ENCODER_FILE, ADAPTER_FILE, "embedder/", "generator/vae/")
    files = {name: file.sha256 for name, file in pack.manifest.files.items() if name.startswith(read)}
    text = json.dumps(files, sort_keys=True) + config.model_dump_json(exclude={"control"})
    return hashlib.sha256(text.encode()).hexdigest()[:12]
