"""Train a small CLAP on clips and their captions: sound and words of one clip come to lie together."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bci_music.config import Config
from bci_music.messages import Log, UserError
from bci_music.models.clap import ClapEmbedder, clap_input
from bci_music.training.audioldm.batches import FULL_SCALE, Figures, spread_evenly
from bci_music.training.audioldm.cache import cached_rows, rows_key
from bci_music.training.audioldm.clips import ClipBank
from bci_music.training.loop import Loop, LoopConfig
from bci_music.training.sampling import own_samples, rng_of

Preset = Literal["pack", "tiny"]


class ClapConfig(Config):
    """A `ClapModel` of at most 3.7 M parameters, cheap enough for a laptop.

    It hears 10 s at 16 kHz in 251 frames of 40 ms, which fill a picture of 128 x 128; shorter sound is repeated.
    """

    seed: int = Field(0, ge=0)
    # how it hears
    max_length_s: int = Field(10, ge=1)
    hop: int = Field(640, ge=160)
    n_fft: int = Field(1024, ge=256)
    spec_size: int = Field(128, ge=64)  # twice the mel bands: a picture of `spec_size` x `spec_size`
    # sizes
    patch_stride: int = Field(8, ge=2)
    width: int = Field(64, ge=8)  # of the first stage; each further one doubles it
    depths: tuple[int, ...] = (1, 2, 2)
    heads: tuple[int, ...] = (2, 4, 8)
    window: int = Field(4, ge=2)  # at most the side of the last stage's picture
    text_width: int = Field(128, ge=16)
    text_layers: int = Field(3, ge=1)
    text_heads: int = Field(4, ge=1)
    vocabulary: int = Field(1200, ge=300)
    longest_text: int = Field(72, ge=16)
    dropout: float = Field(0.05, ge=0, lt=1)
    # how it learns
    batch: int = Field(64, ge=2)
    # share of batches within one genre, where the words must tell songs apart; reached when half of the steps are done
    one_genre: float = Field(0.6, ge=0, le=1)
    naming: float = Field(2.0, ge=0)  # weight of naming the captions' words from the sound
    shortest_s: float = Field(4.0, gt=0)  # of the pieces it learns from; the longest are whole
    gain_db: float = Field(10.0, ge=0)
    noise_db: float = Field(-45.0)  # loudest noise added, below the sound's mean power
    loop: LoopConfig = LoopConfig(
        steps=1600, lr=1e-3, warmup=40, weight_decay=0.05, ema=0.995, bf16=False, checkpoint_every=100, watch_every=250
    )

    @classmethod
    def preset(cls, name: Preset) -> ClapConfig:
        """The pack's, or one that a test can train."""
        if name == "pack":
            return cls()
        tiny = LoopConfig(steps=100, lr=2e-3, warmup=4, ema=0.9, bf16=False, checkpoint_every=10, watch_every=20)
        return cls(
            max_length_s=2, hop=256, patch_stride=8, width=8, depths=(1, 1), heads=(2, 2), window=4,
            text_width=16, text_layers=1, text_heads=2, vocabulary=320, dropout=0.0, batch=8, shortest_s=1.0, loop=tiny,
        )  # fmt: skip

    def model(self, vocabulary: int) -> dict[str, Any]:
        """Arguments of transformers' `ClapConfig`."""
        audio = {
            "spec_size": self.spec_size, "num_mel_bins": 64, "patch_size": self.patch_stride,
            "patch_stride": [self.patch_stride, self.patch_stride], "window_size": self.window,
            "patch_embeds_hidden_size": self.width, "hidden_size": self.width * 2 ** (len(self.depths) - 1),
            "depths": list(self.depths), "num_attention_heads": list(self.heads),
            "num_hidden_layers": len(self.depths), "hidden_dropout_prob": self.dropout, "enable_fusion": False,
        }  # fmt: skip
        text = {
            "vocab_size": vocabulary, "hidden_size": self.text_width, "num_hidden_layers": self.text_layers,
            "num_attention_heads": self.text_heads, "intermediate_size": 4 * self.text_width,
            "max_position_embeddings": self.longest_text + 2, "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
        }  # fmt: skip
        return {"audio_config": audio, "text_config": text, "projection_dim": 512}


_PAD, _MOST_LOGIT_SCALE = 1, float(np.log(100.0))
_SHARP = 4.0  # length of the unit vectors before words are named from them; at 16 the head's steps are too wide
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # numbered as RoBERTa's
WATCHED = 200  # held-out clips evaluated now and then


def new_tokenizer(captions: Iterable[str], config: ClapConfig) -> Any:
    """Fit a byte-level BPE on captions, in RoBERTa's form: any text has tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    learnt = Tokenizer(models.BPE(unk_token="<unk>"))
    learnt.normalizer = normalizers.Lowercase()
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    learnt.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learnt.train_from_iterator(
        captions,
        trainers.BpeTrainer(
            vocab_size=config.vocabulary, min_frequency=2, special_tokens=list(_SPECIAL), initial_alphabet=alphabet,
            show_progress=False,
        ),
    )  # fmt: skip
    ends = {name: learnt.token_to_id(name) for name in ("</s>", "<s>")}
    learnt.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=list(ends.items()))
    return PreTrainedTokenizerFast(
        tokenizer_object=learnt, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        cls_token="<s>", sep_token="</s>", mask_token="<mask>", model_max_length=config.longest_text,
    )  # fmt: skip


def new_clap(tokenizer: Any, config: ClapConfig) -> ClapEmbedder:
    """A small CLAP with random weights, feature extractor and tokenizer."""
    from transformers import ClapConfig as TheirConfig
    from transformers import ClapFeatureExtractor, ClapModel

    torch.manual_seed(config.seed)
    extractor = ClapFeatureExtractor(
        feature_size=64, sampling_rate=16_000, hop_length=config.hop, max_length_s=config.max_length_s,
        fft_window_size=config.n_fft, frequency_min=0, frequency_max=8000, truncation="rand_trunc", padding="repeat",
    )  # fmt: skip
    embedder = ClapEmbedder(ClapModel(TheirConfig(**config.model(len(tokenizer)))), extractor, tokenizer, device="cpu")
    embedder.model.requires_grad_(True)
    return embedder


class Learner(nn.Module):
    """What learns: the CLAP, and a head that names a clip's words from its sound and is thrown away afterwards.

    The head tells the sound tower what there is to hear long before 64 captions a step could.
    """

    def __init__(self, clap: nn.Module, words: NDArray[np.bool_]):
        super().__init__()
        self.clap = clap
        self.naming = nn.Linear(512, words.shape[1])
        share = np.clip(words.mean(0), 1e-3, 1 - 1e-3)
        with torch.no_grad():
            self.naming.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))


class ClapTask:
    """Batches of clips and captions that belong to the step, and the loss on them.

    Parameters
    ----------
    embedder : ClapEmbedder
        Its model learns; its feature extractor and tokenizer make the inputs.
    cache : Path
        Folder for the clips' spectrograms, made once.
    """

    def __init__(
        self, embedder: ClapEmbedder, bank: ClipBank, config: ClapConfig, cache: Path, *, device: str = "cpu",
        log: Log = lambda text: None,
    ):  # fmt: skip
        if len(set(bank.songs)) < config.batch:
            raise UserError(
                f"A batch of {config.batch} needs as many songs, the bank in {bank.directory} has "
                f"{len(set(bank.songs))}: compose more, or make `batch` smaller."
            )
        self._config, self._device = config, device
        self._pictures = _pictures(embedder.extractor, bank, cache, log)
        self._words = [[_tokens(embedder.tokenizer, text, config) for text in captions] for captions in bank.captions]
        self.named = _words_of(self._words, len(embedder.tokenizer))
        rows = np.arange(len(bank))
        self._pools = [_by_song(rows, bank.songs)]  # first of all clips, then of every genre with enough songs
        for genre in np.unique(bank.genre):
            songs = _by_song(rows[bank.genre == genre], bank.songs)
            if len(songs) >= config.batch:
                self._pools.append(songs)

    def step(self, module: Learner, at: int) -> tuple[Tensor, Figures]:
        """Every clip finds its caption and every caption its clip (symmetric cross entropy); sound names words."""
        clips = self._clips(at)
        pictures, words, texts = self._inputs(clips, at)
        clap: Any = module.clap
        heard = clap.get_audio_features(pictures).pooler_output.float()
        sound = functional.normalize(heard, dim=-1)
        text = functional.normalize(clap.get_text_features(**words).pooler_output.float(), dim=-1)
        scale = [
            clap.logit_scale_a.clamp(max=_MOST_LOGIT_SCALE).exp(),
            clap.logit_scale_t.clamp(max=_MOST_LOGIT_SCALE).exp(),
        ]
        alike = sound @ text.T
        wanted = torch.tensor([[float(a == b) for b in texts] for a in texts], device=alike.device)
        wanted = wanted / wanted.sum(1, keepdim=True)  # who is described by the same words is no negative
        pairs = 0.5 * (
            functional.cross_entropy(scale[0] * alike, wanted) + functional.cross_entropy(scale[1] * alike.T, wanted)
        )
        there = torch.from_numpy(self.named[clips]).to(self._device, torch.float32)
        named = functional.binary_cross_entropy_with_logits(module.naming(_SHARP * sound), there, reduction="sum")
        named = named / there.sum()  # nats for each word that is there
        metrics = {
            "pairs": float(pairs.detach()),
            "named": float(named.detach()),
            "right": float((wanted.gather(1, alike.argmax(1, keepdim=True)) > 0).float().mean()),
        }
        return pairs + self._config.naming * named, metrics

    def _clips(self, at: int) -> list[int]:
        """One clip each of different songs, often all of one genre."""
        rng = rng_of(self._config.seed, at)
        share = self._config.one_genre * min(1.0, 2 * at / self._config.loop.steps)
        within = len(self._pools) > 1 and rng.random() < share
        pool = self._pools[int(rng.integers(1, len(self._pools)))] if within else self._pools[0]
        chosen = rng.permutation(len(pool))[: self._config.batch]
        return [int(pool[k][int(rng.integers(len(pool[k])))]) for k in chosen]

    def _inputs(self, clips: list[int], at: int) -> tuple[Tensor, dict[str, Tensor], list[list[int]]]:
        """Pieces of the clips' spectrograms, some quieter, some noisy, and one caption of each, also as tokens."""
        pictures, texts = [], []
        for sample in own_samples(len(clips)):
            rng = rng_of(self._config.seed + 1, at, sample)
            pictures.append(varied(np.asarray(self._pictures[clips[sample]], np.float32), rng, self._config))
            wordings = self._words[clips[sample]]
            texts.append(wordings[int(rng.integers(len(wordings)))])
        return torch.from_numpy(np.stack(pictures)[:, None]).to(self._device), _padded(texts, self._device), texts


def varied(picture: NDArray[np.float32], rng: np.random.Generator, config: ClapConfig) -> NDArray[np.float32]:
    """A piece of a spectrogram in dB (frames, 64), repeated to its length, at another level and with some noise."""
    frames = len(picture)
    length = int(rng.integers(max(1, round(frames * config.shortest_s / config.max_length_s)), frames + 1))
    first = int(rng.integers(frames - length + 1))
    piece = np.resize(picture[first : first + length], picture.shape)
    power = 10.0 ** (piece / 10)
    noise = power.mean() * 10.0 ** (rng.uniform(config.noise_db - 30, config.noise_db) / 10)
    power = power + noise * rng.exponential(size=power.shape)
    return (10 * np.log10(power) + rng.uniform(-config.gain_db, config.gain_db)).astype(np.float32)


def _pictures(extractor: Any, bank: ClipBank, cache: Path, log: Log) -> NDArray:
    """The clips as the model sees them, (n, frames, 64) in dB."""
    longest = int(extractor.nb_max_samples)

    def make(first: int, stop: int) -> NDArray:
        sound = np.asarray(bank.sound[first:stop], np.float32)[:, :longest] / np.float32(FULL_SCALE)
        return clap_input(extractor, list(sound))[:, 0].astype(np.float16)

    key = f"{extractor.hop_length} {extractor.fft_window_size} {longest} {rows_key(bank.sound)}"
    return cached_rows(
        cache / "pictures.npy", len(bank), make, key=key, chunk=32,
        progress=lambda done, of: log(f"spectrograms: {done} of {of}"),
    )  # fmt: skip


def _tokens(tokenizer: Any, text: str, config: ClapConfig) -> list[int]:
    return list(tokenizer(text, truncation=True, max_length=config.longest_text)["input_ids"])


def _words_of(words: list[list[list[int]]], vocabulary: int) -> NDArray[np.bool_]:
    """Which tokens stand in any of a clip's captions, (n, vocabulary)."""
    found = np.zeros((len(words), vocabulary), bool)
    for row, wordings in zip(found, words, strict=True):
        row[[token for text in wordings for token in text]] = True
    found[:, : len(_SPECIAL)] = False
    return found


def _padded(texts: list[list[int]], device: str) -> dict[str, Tensor]:
    longest = max(map(len, texts))
    ids = torch.tensor([text + [_PAD] * (longest - len(text)) for text in texts], device=device)
    return {"input_ids": ids, "attention_mask": (ids != _PAD).long()}


def _by_song(rows: NDArray[np.int64], songs: list[str]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(songs[int(row)], []).append(int(row))
    return list(found.values())


def watch_recall(embedder: ClapEmbedder, held: ClipBank) -> Callable[[Learner], Figures]:
    """Figures of held-out clips: how many captions find their clip among the first ten of all."""
    rows = spread_evenly(len(held), WATCHED)
    sounds = [np.asarray(held.sound[i], np.float32) / np.float32(FULL_SCALE) for i in rows]

    def watch(module: Learner) -> Figures:
        where = str(next(module.clap.parameters()).device)  # elsewhere would move the average away from what it follows
        trained = ClapEmbedder(module.clap, embedder.extractor, embedder.tokenizer, device=where)
        alike = trained.embed_texts([held.captions[i][0] for i in rows]) @ np.stack(
            [trained.embed(sound, 16_000) for sound in sounds]
        ).T  # fmt: skip
        own = np.diag(alike)[:, None]
        return {"held_recall_10": float(((alike >= own).sum(1) <= 10).mean()), "held_clips": float(len(rows))}

    return watch


def train_clap(
    bank: ClipBank, out: str | Path, config: ClapConfig | None = None, *, held: ClipBank | None = None,
    device: str = "cpu", restart: bool = False, until: Callable[[], bool] = lambda: False,
    report: Callable[[int, Figures], None] | None = None, log: Log = lambda text: None,
) -> ClapEmbedder:  # fmt: skip
    """Train, or go on where an interrupted run stopped; write the averaged model to ``out/clap`` in half precision.

    Parameters
    ----------
    held : ClipBank, optional
        Clips of other songs, evaluated now and then.
    until : callable
        Ends early when true; what was learned so far is written all the same.

    Raises
    ------
    UserError
        If `held` shares songs with the bank, or the checkpoint there is of other clips or other settings.
    """
    config, out = config or ClapConfig(), Path(out)
    shared = set(bank.songs) & set(held.songs) if held else set()
    if shared:
        raise UserError(f"{len(shared)} songs are in both banks: give --held a bank of other seeds.")
    tokenizer = new_tokenizer((text for captions in bank.captions for text in captions), config)
    embedder = new_clap(tokenizer, config)
    task = ClapTask(embedder, bank, config, out / "cache", device=device, log=log)
    work = out / "clap-training"
    _require_same_run(work, bank, config, restart)
    torch.manual_seed(config.seed)
    loop: Loop[Learner] = Loop(
        Learner(embedder.model, task.named), task.step, config.loop, work, device=device, report=report,
        watch=watch_recall(embedder, held) if held else None,
    )  # fmt: skip
    loop.resume()
    averaged = loop.run(until)
    loop.save()
    made = ClapEmbedder(averaged.clap, embedder.extractor, tokenizer, device=device)
    fresh = out / "clap.part"
    shutil.rmtree(fresh, ignore_errors=True)
    made.save(fresh, half=True)
    shutil.rmtree(out / "clap", ignore_errors=True)
    fresh.rename(out / "clap")  # weights and tokenizer belong together
    return ClapEmbedder.load(out / "clap", device=device)


def _require_same_run(work: Path, bank: ClipBank, config: ClapConfig, restart: bool) -> None:
    """Note what the checkpoint in `work` belongs to, or refuse to go on: other captions number the words otherwise."""
    settings = json.dumps([bank.captions, rows_key(bank.sound), config.model_dump(mode="json", exclude={"loop"})])
    key = hashlib.sha256(settings.encode()).hexdigest()
    checkpoint, note = work / "checkpoint.pt", work / "run.json"
    if restart:
        checkpoint.unlink(missing_ok=True)
    if checkpoint.is_file() and (not note.is_file() or json.loads(note.read_text(encoding="utf-8"))["key"] != key):
        raise UserError(
            f"{checkpoint} is of a run on other clips or with other sizes: give --restart to start "
            "again, or choose another folder with --models."
        )
    work.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"key": key}) + "\n", encoding="utf-8")
