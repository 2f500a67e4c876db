"""Recordings of simulated listeners as sessions, with markers telling what was heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bci_music.compose.composer import HELD_OUT_SECONDS, SONG_SECONDS, SONGS, mono_16k, song_spec
from bci_music.data.session import Event, Session, song_marker
from bci_music.messages import UserError
from bci_music.simulate.listener import SimulatedListener

Program = Sequence[tuple[str, float, float]]  # (song id, start in the song, seconds)
RATE_HZ = 16_000
JOIN_S = 0.03
SAMPLE_LISTENER = 1  # a listener that training knows
SAMPLE_SEED = 990_001  # a recording that training must not see
_SAMPLE_SECONDS = 8.5
# A song order of its own, and places that differ from song to song within the held-out seconds.
SAMPLE_PROGRAM: tuple[tuple[str, float, float], ...] = tuple(
    (SONGS[(5 * i + 3) % len(SONGS)].id, HELD_OUT_SECONDS[0] + 1.0 + 1.75 * ((3 * i) % 13), _SAMPLE_SECONDS)
    for i in range(len(SONGS))
)


def program_audio(program: Program) -> NDArray[np.float32]:
    """Return the music of a program as (n,) float32 at 16 kHz: excerpts of songs joined by crossfades of 30 ms."""
    fade = int(JOIN_S * RATE_HZ)
    rise = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / fade).astype(np.float32)
    audio = np.zeros(sum(round(seconds * RATE_HZ) for _, _, seconds in program), np.float32)
    at = 0
    for number, (song, start_s, seconds) in enumerate(program):
        if start_s < 0 or start_s + seconds > SONG_SECONDS:
            raise UserError(f"{song} from {start_s:g} s for {seconds:g} s leaves the song's {SONG_SECONDS:g} s.")
        first, n = round(start_s * RATE_HZ), round(seconds * RATE_HZ)
        piece = mono_16k(song)[first:first + n + fade].copy()
        if number:
            piece[:fade] *= rise
        piece[n:] *= rise[::-1][:piece.size - n]
        stop = min(audio.size, at + piece.size)
        audio[at:stop] += piece[:stop - at]
        at += n
    return audio


def program_events(program: Program, start_s: float = 0.0) -> tuple[Event, ...]:
    """Song markers of a program that starts at `start_s`: one per song and one at the end of the music."""
    events, at = [], start_s
    for song, song_start_s, seconds in program:
        events.append(Event(at, song_marker(song, song_spec(song).title, song_start_s)))
        at += seconds
    return (*events, Event(at, song_marker(None)))


def make_session(
    listener: SimulatedListener, program: Program, seed: int, sfreq_hz: float = 125.0, name: str = ""
) -> Session:
    """Record a listener hearing a program.

    Parameters
    ----------
    listener : SimulatedListener
    program : sequence of (song id, start in the song in s, seconds)
    seed : int
        Which recording of this listener: noise, contact, bad electrodes.

    Returns
    -------
    Session
        Simulated, 125 channels, times from 0, with heard markers.
    """
    samples = listener.hear(program_audio(program), RATE_HZ, seed, sfreq_hz)
    return Session(
        name=name or f"simulated listener {listener.seed} recording {seed}",
        labels=listener.montage.names, sfreq_hz=sfreq_hz, samples_uv=samples,
        times_s=np.arange(len(samples)) / sfreq_hz, events=program_events(program), simulated=True,
        positions_m=listener.montage.positions_m,
    )  # fmt: skip


def sample_session() -> Session:
    """Return the sample: 14 songs in 119 s, from song seconds and a recording seed that training never sees."""
    return make_session(SimulatedListener(SAMPLE_LISTENER), SAMPLE_PROGRAM, SAMPLE_SEED, name="bci-music sample")
