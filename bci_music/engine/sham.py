"""Sham: the music follows EEG from another time of the same run, and whoever listens may not know.

Each window is answered with what the decoder made of an earlier one, at least `lag_s` before and, where that is known,
while another song was heard. A decoder is a function of its window, so this is what it would make of that EEG now;
everything behind it (steering, sound, outputs, the bets against chance) goes on as ever. Until the run is old enough
nothing is decoded.

A blind trial is sham or not by the toss of a coin. Both wait for `lag_s`, so that the waiting gives nothing away. The
answer is sealed before: SHA-256 of the text ``"<key> sham"`` or ``"<key> brain"``, whose random key stays secret until
the trial ends; then everybody can check that the answer was not changed.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field, field_validator

from bci_music.config import Config
from bci_music.messages import Embedding, MusicMarker
from bci_music.status import ShamStatus

Mode = Literal["off", "sham", "blind"]
KEEP_S = 300.0  # how far back EEG may be from


class ShamConfig(Config):
    """Whether the run begins as sham."""

    mode: Mode = Field("off", description="sham: the music follows EEG from another time; blind: that or the EEG's own")
    lag_s: float = Field(30.0, ge=5, le=240, description="how old the EEG is at least")

    @field_validator("mode", mode="before")
    @classmethod
    def _off_unquoted(cls, value: object) -> object:
        """YAML reads off without quotes as false."""
        return "off" if value is False else value


@dataclass(frozen=True)
class ShamSpan:
    """One time in which the run was sham, or may have been."""

    mode: Mode
    start_s: float
    stop_s: float | None
    sham: bool
    sealed: str = ""
    key: str = ""


class Sham:
    """What the music is steered by: the EEG's own decoding, or that of another time.

    Commands may come from any thread; `choose` is called by the decode thread.

    Parameters
    ----------
    config : ShamConfig
    heard_at : callable
        ``(time_s) -> MusicMarker or None``: the music at a time.
    window_s : float
        Length of the decoder's windows.
    now : callable
        LSL time.
    """

    def __init__(
        self, config: ShamConfig, heard_at: Callable[[float], MusicMarker | None], window_s: float,
        now: Callable[[], float],
    ):
        self._config, self._heard_at, self._half_s, self._now = config, heard_at, window_s / 2, now
        self._past: deque[Embedding] = deque()
        self._spans: list[ShamSpan] = []
        self._lock = threading.Lock()
        self._ready = False
        self.set(config.mode)

    def set(self, mode: Mode) -> ShamStatus:
        """Begin sham, a blind trial, or neither; what was under way ends and is revealed."""
        with self._lock:
            now = self._now()
            if self._spans and self._spans[-1].stop_s is None:
                self._spans[-1] = replace(self._spans[-1], stop_s=now)
            self._ready = False
            if mode == "sham":
                self._spans.append(ShamSpan(mode, now, None, True))
            elif mode == "blind":
                answer, key = secrets.randbelow(2) == 1, secrets.token_hex(16)
                self._spans.append(ShamSpan(mode, now, None, answer, seal(key, answer), key))
        return self.status()

    def choose(self, embedding: Embedding) -> Embedding | None:
        """Return what the music is to follow, None where there is no EEG old enough."""
        with self._lock:
            self._past.append(embedding)
            while self._past[0].end_s < embedding.end_s - KEEP_S:
                self._past.popleft()
            span = self._spans[-1] if self._spans and self._spans[-1].stop_s is None else None
            if span is None:
                return embedding
            old = self._older(embedding)
            steps = embedding.steps
            self._ready = old is not None
            if old is None or not span.sham:
                return None if old is None else embedding
            of = old if span.mode == "sham" else embedding  # in a blind trial samples would give it away
            return replace(
                embedding, vector=old.vector, attention=old.attention, confidence=old.confidence, sham=True,
                first_sample=of.first_sample, last_sample=of.last_sample,
                steps=old.steps and steps and replace(old.steps, end_s=steps.end_s),
            )  # fmt: skip

    def status(self) -> ShamStatus:
        """Return what may be shown now: of a blind trial under way the seal only."""
        with self._lock:
            if not self._spans:
                return ShamStatus()
            last = self._spans[-1]
            if last.stop_s is not None:
                return ShamStatus("off", sealed=last.sealed, revealed=revealed(last).partition(" Check:")[0])
            return ShamStatus(last.mode, self._ready, last.sealed)

    def end(self) -> tuple[ShamSpan, ...]:
        """Return all spans, those under way ended; nothing is secret any more."""
        self.set("off")
        return tuple(self._spans)

    def _older(self, embedding: Embedding) -> Embedding | None:
        """Newest decoding from at least `lag_s` before in which another song was heard."""
        heard = self._heard_at(embedding.end_s - self._half_s)
        for old in reversed(self._past):
            if old.end_s > embedding.end_s - self._config.lag_s or (embedding.steps and not old.steps):
                continue
            then = self._heard_at(old.end_s - self._half_s)
            if heard is None or then is None or heard.song != then.song:
                return old
        return None


def seal(key: str, sham: bool) -> str:
    """SHA-256 of key and answer, in hexadecimal: shown before, so that the answer cannot be changed after."""
    return hashlib.sha256(_answer(key, sham).encode()).hexdigest()


def revealed(span: ShamSpan) -> str:
    """Say what a blind trial was and how to check it, "" for what was none."""
    if span.mode != "blind":
        return ""
    was = "sham: the music followed EEG from another time" if span.sham else "the brain: the music followed the EEG"
    return f"The blind trial was {was}. Check: SHA-256 of '{_answer(span.key, span.sham)}' is {span.sealed}."


def _answer(key: str, sham: bool) -> str:
    return f"{key} {'sham' if sham else 'brain'}"
