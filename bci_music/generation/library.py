"""Music by retrieval: the song of the library that is nearest to the style plays, and crossfades lead to the next."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bci_music.files import opening, plain_file
from bci_music.generation.config import GeneratorConfig
from bci_music.messages import AUDIO_RATE_HZ, AudioBlock, SoundSpan, Style, UserError
from bci_music.models.library import MusicLibrary
from bci_music.sound.generator import Generator
from bci_music.sound.loop import Loop, waiting_pad
from bci_music.sound.loudness import to_level
from bci_music.sound.silence import THRESHOLD
from bci_music.sound.splice import fade_in, mix

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.models.pack import Pack

WAITING = -1
LONGEST_S = 600


class LibraryConfig(GeneratorConfig):
    """How the library plays."""

    fade_s: float = Field(0.7, gt=0, le=4, description="crossfade from clip to clip")
    loop_fade_s: float = Field(0.6, gt=0, le=4, description="crossfade from a clip's end to its beginning")
    margin: float = Field(0.15, ge=0, description="lead a song needs over the playing one, in spreads of the scores")
    least_s: float = Field(1.0, ge=0, description="a clip stays at least this long")
    level_db: float = Field(-20.0, le=-6, description="RMS level clips are brought to")
    clips_in_memory: int = Field(32, ge=2, description="3.8 MB each for 10 s")

    def available(self, pack: Pack | None) -> bool:
        """Every pack has a library."""
        return pack is not None

    def open(self, pack: Pack | None = None, clock: Clock | None = None) -> LibraryGenerator:
        """Play the library of a pack."""
        if pack is None:
            raise UserError("The library belongs to a pack: give --pack with its name or folder.")
        return LibraryGenerator(pack.open_library(), self)


@dataclass(frozen=True)
class Voice:
    """A clip (`WAITING` for the waiting sound) and the position its next sample has."""

    clip: int
    position: int


@dataclass(frozen=True)
class LibraryState:
    """Where the music is: what plays, what leaves, and how far the fade has come (samples)."""

    voice: Voice
    leaving: Voice | None = None
    age: int = 0  # samples since the voice entered
    fading: bool = True
    clips_retrieved: int = 0
    crossfades: int = 0
    clips_generated: int = 0


class LibraryGenerator(Generator):
    """Plays the nearest song of a `MusicLibrary`; always works on a CPU.

    Parameters
    ----------
    library : MusicLibrary
    config : LibraryConfig
    """

    trained = True
    realtime = True
    pause_s = 4.0  # songs have pauses

    def __init__(self, library: MusicLibrary, config: LibraryConfig | None = None):
        self.library = library
        self.config = config or LibraryConfig()
        self.name = f"library of {len(library.songs)} songs"
        self._means = library.clip_means()
        self._songs_of = np.array([clip.song for clip in library.clips])
        self._fade = round(self.config.fade_s * AUDIO_RATE_HZ)
        self._least = max(self._fade, round(self.config.least_s * AUDIO_RATE_HZ))
        self._loops: OrderedDict[int, Loop] = OrderedDict()

    def generate(
        self, style: Style, state: LibraryState | None, *, seconds: float, deadline: float
    ) -> tuple[AudioBlock, LibraryState]:
        """Return exactly `seconds` of sound: the playing clip goes on, or the fade to the nearest one begins."""
        n = round(seconds * AUDIO_RATE_HZ)
        state = self._turn(style, state)
        entering = self._loop(state.voice.clip).render(state.voice.position, n)
        samples = entering
        split = 0  # where the entering voice becomes the louder one
        if state.fading:
            left = min(max(0, self._fade - state.age), n)
            split = min(max(0, self._fade // 2 - state.age), n) if state.leaving else 0
            if state.leaving:
                going = self._loop(state.leaving.clip).render(state.leaving.position, left)
                samples = np.concatenate([mix(going, entering[:left], self._fade, state.age), entering[left:]])
            else:
                samples = fade_in(entering, self._fade, state.age)
        spans = tuple(
            span for span in (
                self._span(style, state.leaving, 0, split) if state.leaving else None,
                self._span(style, state.voice, split, n),
            ) if span is not None and span.stop > span.start
        )
        return AudioBlock(samples, spans), self._advance(state, n)

    def choice(self, style: Style, state: LibraryState | None) -> int:
        """The clip a block made now would play or fade to."""
        playing = state.voice.clip if state else WAITING
        if not style.from_eeg:
            return playing
        if state and playing != WAITING and state.age < self._least:
            return playing
        if state and state.fading:
            return playing
        scores = self.library.prototypes @ style.vector
        scores = scores[np.unique(self._songs_of)]
        best = int(np.unique(self._songs_of)[np.argmax(scores)])
        if playing != WAITING:
            current = int(self._songs_of[playing])
            lead = float(self.library.prototypes[best] @ style.vector - self.library.prototypes[current] @ style.vector)
            if best == current or lead <= self.config.margin * float(scores.std()):
                return playing
        clips = np.flatnonzero(self._songs_of == best)
        return int(clips[np.argmax(self._means[clips] @ style.vector)])

    def chosen(self, state: LibraryState | None) -> int:
        """The clip that plays, or fades in, at the end of `state`."""
        return state.voice.clip if state else WAITING

    def prepare(self) -> bool:
        """Read one more clip ahead of its first use, as far as memory allows; False when there is nothing to do."""
        if len(self._loops) >= self.config.clips_in_memory:
            return False
        number = next((n for n in range(len(self.library.clips)) if n not in self._loops), None)
        if number is not None:
            self._loop(number)
        return number is not None

    def _turn(self, style: Style, state: LibraryState | None) -> LibraryState:
        """Begin a fade if another clip is wanted."""
        target = self.choice(style, state)
        if state is None:
            return LibraryState(Voice(target, 0), clips_retrieved=int(target != WAITING))
        if target == state.voice.clip:
            return state
        lead = self._loop(state.voice.clip).to_next_beat(state.voice.position)
        entry = self._loop(target).entry(lead) if lead else 0
        return LibraryState(
            Voice(target, entry), leaving=state.voice,
            clips_retrieved=state.clips_retrieved + 1, crossfades=state.crossfades + 1,
        )

    def _advance(self, state: LibraryState, n: int) -> LibraryState:
        fading = state.fading and state.age + n < self._fade
        leaving = state.leaving
        return replace(
            state, voice=Voice(state.voice.clip, state.voice.position + n), age=state.age + n, fading=fading,
            leaving=Voice(leaving.clip, leaving.position + n) if leaving and fading else None,
        )

    def _span(self, style: Style, voice: Voice, start: int, stop: int) -> SoundSpan:
        if voice.clip == WAITING:
            return SoundSpan(start, stop, "waiting", "waiting for the EEG")
        song = self.library.songs[self.library.clips[voice.clip].song]
        return SoundSpan(
            start, stop, "retrieved" if style.confidence > 0 else "held", song["title"], song["id"],
            song.get("genre", ""), float(self._means[voice.clip] @ style.vector), style.made_s,
        )

    def _loop(self, number: int) -> Loop:
        """Return the clip as an endless loop, read and decoded at its first use."""
        if number in self._loops:
            self._loops.move_to_end(number)
            return self._loops[number]
        if number == WAITING:
            loop = Loop(waiting_pad(), fade_s=0.0)
        else:
            clip = self.library.clips[number]
            bpm = self.library.songs[clip.song].get("bpm")
            bar_s = 240 / bpm if bpm else 1.0
            samples = to_level(read_sound(clip.path), self.config.level_db)
            loop = Loop(samples, self.config.loop_fade_s, bpm, -clip.song_start_s % bar_s)
        self._loops[number] = loop
        if len(self._loops) > self.config.clips_in_memory:
            self._loops.popitem(last=False)
        return loop


def read_sound(
    path: Path, kind: str = "a clip", advice: str = "install the pack again", seconds: float | None = None
) -> NDArray[np.float32]:
    """Read a clip, or its first `seconds`, as (n, 2) float32 at 48 kHz.

    Raises
    ------
    UserError
        If it is no sound file, longer than ten minutes (where all of it is read), of an unheard-of rate, or holds
        nothing that can be heard; `kind` and `advice` are words of its sentence.
    """
    import soundfile
    import soxr

    with opening(path, kind, advice):
        about = soundfile.info(str(plain_file(path)))  # before anything is allocated
        if not (1 <= about.channels <= 8 and 4_000 <= about.samplerate <= 384_000):
            raise ValueError(f"it has {about.channels} channels at {about.samplerate} Hz")
        if not 0 < about.frames <= (np.inf if seconds else LONGEST_S) * about.samplerate:
            raise ValueError(f"it is {about.frames / about.samplerate:.0f} s long, expected up to {LONGEST_S} s")
        frames = -1 if seconds is None else round(seconds * about.samplerate)
        samples, rate = soundfile.read(path, frames, dtype="float32", always_2d=True)
        if not np.isfinite(samples).all() or not np.abs(samples).max(initial=0.0) > THRESHOLD:
            raise ValueError("it is silent, or not finite")
    stereo = np.repeat(samples, 2, axis=1) if samples.shape[1] == 1 else samples[:, :2]
    return np.ascontiguousarray(stereo if rate == AUDIO_RATE_HZ else soxr.resample(stereo, rate, AUDIO_RATE_HZ))
