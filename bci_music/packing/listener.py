"""`bci-music calibrate`: from a pack and one listener's recordings to a pack of that listener's own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bci_music.data.session import AS_IT_IS, Reading
from bci_music.evaluation.tracking.study import from_segments
from bci_music.evaluation.tracking.track import track
from bci_music.files import refuse_filled
from bci_music.heard.features import sound_rows
from bci_music.messages import Log, UserError
from bci_music.metrics.identification import auroc, top1_hits
from bci_music.models.confidence import Confidence
from bci_music.models.decoder import ANCHORS_FILE, Decoder
from bci_music.models.embedder import FrameEmbedder, load_embedder, to_mono_16k
from bci_music.models.music_features import RATE_HZ
from bci_music.models.pack import (
    ADAPTER_FILE,
    ENCODER_FILE,
    MANIFEST,
    ConfidenceFit,
    Pack,
    Provenance,
    file_sha256,
)
from bci_music.training.calibration.encoder import EncoderLearner
from bci_music.training.calibration.listener import CalibrateConfig, Calibrated, Learn, calibrate
from bci_music.training.calibration.listener_data import (
    ListenerData,
    audio_hashes,
    composed,
    embedded_music,
    heard_audio,
    open_listener_data,
)
from bci_music.training.eeg.bands import band_features
from bci_music.training.eeg.corpus import Music, Segment
from bci_music.training.eeg.targets import GRID_S
from bci_music.training.lab.windows import training_seconds
from bci_music.training.provenance import git_sha


@dataclass(frozen=True)
class ListenerPack:
    """The pack written, and what to say about it; `tracking` is whether the EEG carries the heard sound at all."""

    pack: Pack
    calibrated: Calibrated
    data: ListenerData
    tracking: tuple[str, ...]

    def words(self) -> list[str]:
        """Whether the EEG carries the sound, what was fitted on what, and whether it helps."""
        done, who = self.calibrated, self.data.listener
        lines = list(self.tracking)
        if made_up := composed(self.data):
            lines.append(f"No audio was given for {', '.join(made_up)}: their sound is that of the composed songs.")
        kind = "simulated EEG" if self.data.simulated else "EEG"
        songs = len({segment.song for segment in self.data.segments})
        lines.append(f"{done.minutes:.1f} minutes of {kind} of {who} with {songs} songs.")
        asked = ""
        for comparison in done.comparisons:
            if comparison.question != asked:
                asked = comparison.question
                lines.append(f"{asked[0].upper()}{asked[1:]}:")
            lines += comparison.lines()
        if done.decoder is not None:
            lines.append("The encoder learned on from this EEG, which surely helps more than a new adapter.")
        elif np.isinf(done.alpha):
            lines.append("Cross-validation found no change that helps: the pack's own adapter is kept as it is.")
        else:
            lines.append(f"Penalty around the pack's own adapter: {done.alpha:g}.")
        if self.pack.manifest.simulated:
            lines.append("Pack or EEG is simulated: that a real brain steers the music is not shown.")
        return lines


def make_listener_pack(
    pack_name: str | Path, paths: list[Path], out: Path, *, audio: Path | None = None, listener: str | None = None,
    config: CalibrateConfig | None = None, reading: Reading = AS_IT_IS, device: str | None = None,
    log: Log = lambda text: None,
) -> ListenerPack:
    """Calibrate a pack on recordings and write the result.

    Parameters
    ----------
    pack_name : str or Path
        Name or folder of the pack to start from.
    paths : list of Path
        Recordings with song markers, or folders of them.
    audio : Path, optional
        Mapping of songs to audio; the composer's songs need none.
    reading : Reading
        Which EEG stream of the recordings is meant, in which unit, on which electrodes.
    """
    config = config or CalibrateConfig()
    refuse_filled(out)
    decoder = Decoder.from_pack(pack_name, device=device)
    pack = decoder.pack
    embedder = _embedder(pack)
    data = open_listener_data(
        paths, audio=audio, listener=listener, signal=pack.manifest.signal, montage=decoder.montage, reading=reading,
        log=log,
    )
    _unknown_to(pack, data)
    sounds = heard_audio(data)
    log("looking for the heard sound in the EEG")
    tracking = tracking_of(data, sounds, pack.manifest.signal.preprocess.sfreq_hz)
    log("embedding the music")
    music = embedded_music(sounds, embedder, pack.manifest.signal.window.seconds)
    learn = _learner(decoder, sounds, music, config, log) if config.encoder == "auto" else None
    done = calibrate(decoder, data, music, config, learn=learn, report=lambda n, of: log(f"window {n} of {of}"))
    return ListenerPack(write_listener_pack(out, pack, done, data, config, tracking), done, data, tracking)


def _learner(
    decoder: Decoder, audio: Mapping[str, tuple[NDArray[np.float32], float]], music: Mapping[str, NDArray[np.float32]],
    config: CalibrateConfig, log: Log,
) -> Learn:
    """What lets the pack's encoder learn on from the music heard."""
    heard = {
        song: Music(targets, band_features(to_mono_16k(*audio[song]), RATE_HZ), GRID_S)
        for song, targets in music.items()
    }
    learner = EncoderLearner(decoder, heard, config.learn)

    def learn(trainings: Sequence[list[Segment]]) -> Sequence[Decoder]:
        what = "held-out parts apart" if len(trainings) > 1 else "all of it"
        log(f"letting the encoder learn on, {what}: a minute or so")
        return learner(trainings)

    return learn


def tracking_of(
    data: ListenerData, audio: Mapping[str, tuple[NDArray[np.float32], float]], sfreq_hz: float
) -> tuple[str, ...]:
    """Whether the recordings carry the heard sound at all, in sentences: a reconstruction that knows no pack."""
    sounds = {song: sound_rows(*one) for song, one in audio.items()}
    pieces = {key: stimulus.name for key, stimulus in data.stimuli.items()}
    try:
        found = track(from_segments(
            f"the recordings of {data.listener}", data.segments, sfreq_hz, sounds, pieces, simulated=data.simulated
        ))  # fmt: skip
    except UserError as error:
        return (f"Whether the EEG carries the heard sound was not assessed: {error}",)
    if found.reads:
        return (found.sentence(),)
    return (found.sentence(), "So nothing that follows is evidence of hearing: noise and the recording do as well.")


def write_listener_pack(
    out: Path, base: Pack, done: Calibrated, data: ListenerData, config: CalibrateConfig,
    tracking: tuple[str, ...] = (),
) -> Pack:
    """Write a whole pack: all files of the base but adapter and, where it learned on, encoder."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for name in sorted(_all_files(base) - {ADAPTER_FILE} - ({ENCODER_FILE} if done.decoder else set())):
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base.file(name), part / name)
    done.adapter.save(part / ADAPTER_FILE)
    if done.decoder is not None:
        done.decoder.network.save(part / ENCODER_FILE)
    m = base.manifest
    manifest = m.model_copy(update={
        "name": f"{m.name}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', data.listener).strip('-.') or 'listener'}",
        "base": f"{m.name}@{file_sha256(base.directory / MANIFEST)[:12]}",
        "provenance": _provenance(base, done, data, config, tracking),
        "metrics": tuple(metric for c in done.comparisons for metric in (c.before, c.after)),
        "confidence": _confidence(base, done),
    })  # fmt: skip
    Pack.write(part, manifest)
    if out.exists():
        out.rmdir()
    part.replace(out)
    return Pack.open(out)


def _embedder(pack: Pack) -> FrameEmbedder:
    if pack.embedder is None:
        raise UserError(f"Pack {pack.name} has no embedder/, so no music can be compared with it: take another pack.")
    embedder = load_embedder(pack.embedder)
    if pack.manifest.spaces.generator not in ("", embedder.sha):
        raise UserError(
            f"The embedder of pack {pack.name} is not the one its adapter leads to: build the pack again."
        )
    return embedder


def _unknown_to(pack: Pack, data: ListenerData) -> None:
    """Refuse EEG that the pack was trained on: before and after would both be no evidence."""
    trained = set(pack.manifest.provenance.recordings.values())
    for name, digest in data.recordings.items():
        if digest in trained:
            raise UserError(
                f"Pack {pack.name} was trained on {name} already: calibrate it on a recording it does not know."
            )


def _all_files(pack: Pack) -> set[str]:
    return set(pack.manifest.files) | (_all_files(pack.base) if pack.base is not None else set())


def _provenance(
    base: Pack, done: Calibrated, data: ListenerData, config: CalibrateConfig, tracking: tuple[str, ...]
) -> Provenance:
    old = base.manifest.provenance
    made_up = data.simulated or base.manifest.simulated
    eeg = "simulated EEG" if data.simulated else "EEG"
    seconds: dict[str, list[tuple[float, float]]] = {song: list(spans) for song, spans in old.trained_seconds.items()}
    rate = base.manifest.signal.preprocess.sfreq_hz
    for song, spans in training_seconds(data.segments, rate).items():
        seconds[song] = seconds.get(song, []) + [(round(a, 3), round(b, 3)) for a, b in spans]
    added: dict[str, Any] = {
        **config.model_dump(mode="json"), "listener": data.listener, "minutes": round(done.minutes, 2),
        "alpha_chosen": str(done.alpha), "encoder_learned_on": done.decoder is not None,
        "audio": dict(audio_hashes(data)), "composed_audio": composed(data), "tracking": list(tracking),
    }  # fmt: skip
    return Provenance(
        kind="simulated" if made_up else "real",
        data=f"{_what(done)}: {done.minutes:.1f} minutes of {eeg} of {data.listener}, from that of {base.name}; "
        f"encoder: {old.data}",
        seeds=old.seeds, git_sha=git_sha(), config={**old.config, "calibrate": added}, trained_seconds=seconds,
        recordings={**old.recordings, **data.recordings},
    )  # fmt: skip


def _what(done: Calibrated) -> str:
    return "adapter" if done.decoder is None else "encoder, going on"


def _confidence(base: Pack, done: Calibrated) -> ConfidenceFit:
    """The base's confidence, evaluated on this listener's held-out windows where songs of the library were heard."""
    old = base.manifest.confidence
    if not old.weights or not base.has(ANCHORS_FILE):
        return old
    found = _library_auroc(base, done)
    where = "on held-out windows of this listener" if found is not None else "not evaluated on this listener"
    return old.model_copy(update={"auroc": found, "protocol": f"{old.protocol}; taken over from {base.name}, {where}"})


def _library_auroc(base: Pack, done: Calibrated) -> float | None:
    library = base.open_library()
    anchors, songs = library.prototypes, [song["id"] for song in library.songs]
    there = np.isin(done.song, songs)
    truth = np.array([songs.index(song) for song in done.song[there]], int)
    right = top1_hits(done.raw[there], anchors, truth)
    if not there.any() or right.all() or not right.any():
        return None
    score = Confidence(base.manifest.confidence, anchors)(done.raw[there], done.attention[there])
    return round(float(auroc(score, right)), 4)
