"""Fourteen songs, composed from their seeds, and any other song's specification, rendered in NumPy.

A song passes through four files: `songs/` holds the fourteen written ones, `songbook` draws any number of others (by
`genres/`, with the dice of `songwriting`), each as a `SongSpec`; `score` turns a spec into notes; `composer` (here)
plays the notes on the `orchestra` at 48 kHz in stereo, `fast` at 16 kHz in mono, for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bci_music.compose.fast import FAST_HZ, fast_mix
from bci_music.compose.mastering import master, reverb
from bci_music.compose.orchestra import ORCHESTRA, WIDE
from bci_music.compose.percussion import stroke
from bci_music.compose.score import KICKS, Note, SongSpec, section_gain, write_score
from bci_music.compose.songs import acoustic as acoustic
from bci_music.compose.songs import electric as electric
from bci_music.compose.synthesis import RATE_HZ, Wave
from bci_music.messages import UserError

SONGS: tuple[SongSpec, ...] = (
    electric.NIGHT_BUS, acoustic.PAPER_BIRDS, electric.LOW_TIDE, acoustic.LANTERN, electric.NEON_TRAM,
    acoustic.ASH_WALTZ, electric.MORNING_LOOP, acoustic.HOLLOW_DRUM, electric.COPPER_SKY, acoustic.SALT_ROAD,
    acoustic.RAIN_TEMPLE, electric.ORBIT_9, electric.CINDER_BLUES, acoustic.GLASS_SAMBA,
)
SONG_SECONDS = 120.0
TRAIN_SECONDS = (0.0, 80.0)  # song seconds that training may hear
HELD_OUT_SECONDS = (84.0, 120.0)  # song seconds of the sample recording and the tests: never used for training


@dataclass(frozen=True)
class Song:
    """A rendered song.

    Attributes
    ----------
    samples : (n, 2) float32 at `sfreq_hz`; (n, 1) where `render` was asked for 16 kHz
    beats_s, bars_s : (k,) float64
        Times of the beats and of the bar lines.
    """

    samples: NDArray[np.float32]
    sfreq_hz: float
    spec: SongSpec
    beats_s: NDArray[np.float64]
    bars_s: NDArray[np.float64]


def song_spec(song_id: str) -> SongSpec:
    """Specification of a song by its id."""
    for spec in SONGS:
        if spec.id == song_id:
            return spec
    raise UserError(f"There is no song {song_id!r}: choose one of {', '.join(s.id for s in SONGS)}.")


def compose(song_id: str, seconds: float = SONG_SECONDS, sfreq_hz: float = RATE_HZ) -> Song:
    """Compose and render one song.

    Parameters
    ----------
    song_id : str
        One of the ids in `SONGS`.
    seconds : float
        Length; the music is the same for any length up to its master level and the closing fade.
    sfreq_hz : float
        Rate of the result; rendering is always at 48 kHz.

    Returns
    -------
    Song
        The same bytes for the same arguments on one machine.
    """
    spec = song_spec(song_id)
    mix = _render(spec, write_score(spec, seconds), seconds) * _ending(int(seconds * RATE_HZ))
    return _song(spec, master(mix), seconds, sfreq_hz)


def render(spec: SongSpec, seconds: float, sfreq_hz: float = FAST_HZ, start_s: float = 0.0) -> Song:
    """Render an excerpt of any song: from `start_s` on, begun and ended as it is inside the song, without a fade.

    At 16 kHz the result has one channel and takes about a hundredth of its length; at any other rate it has two, is
    rendered at 48 kHz as `compose` does and takes a tenth.
    """
    if sfreq_hz == FAST_HZ:
        samples = fast_mix(spec, seconds, start_s)[:, None]
        return Song(samples, sfreq_hz, spec, *_grid(spec, seconds, start_s))
    until_s = start_s + seconds
    mix = _render(spec, write_score(spec, until_s), until_s)
    if spec.dull_hz:
        mix = sosfilt(butter(2, spec.dull_hz, fs=RATE_HZ, output="sos"), mix, axis=1).astype(np.float32)
    return _song(spec, master(mix[:, round(start_s * RATE_HZ):]), seconds, sfreq_hz, start_s)


def _song(spec: SongSpec, mix: NDArray[np.float32], seconds: float, sfreq_hz: float, start_s: float = 0.0) -> Song:
    """Bring a master (2, n) at 48 kHz to its rate and its shape."""
    if sfreq_hz != RATE_HZ:
        import soxr

        mix = soxr.resample(mix.T, RATE_HZ, sfreq_hz).T
    return Song(np.ascontiguousarray(mix.T), sfreq_hz, spec, *_grid(spec, seconds, start_s))


def _grid(spec: SongSpec, seconds: float, start_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Beats and bar lines of an excerpt, from its beginning."""
    return (
        np.arange(-start_s % spec.beat_s, seconds, spec.beat_s), np.arange(-start_s % spec.bar_s, seconds, spec.bar_s)
    )  # fmt: skip


@lru_cache(maxsize=len(SONGS))
def mono_16k(song_id: str) -> NDArray[np.float32]:
    """The whole song as (n,) float32 at 16 kHz, kept in memory: what listeners and embedders hear. Read-only."""
    import soxr

    samples = compose(song_id).samples.mean(1)
    mono = np.asarray(soxr.resample(samples, RATE_HZ, 16_000), np.float32)
    mono.flags.writeable = False
    return mono


def _render(spec: SongSpec, score: list[Note], seconds: float) -> NDArray[np.float32]:
    """Place every note's waveform; return the wet mix as (2, n)."""
    n = int(seconds * RATE_HZ)
    straight, ducked = np.zeros((2, n), np.float32), np.zeros((2, n), np.float32)
    send = np.zeros(n, np.float32)
    rendered: dict[tuple[str, int, int], tuple[Wave, Wave]] = {}
    for note in score:
        part = spec.parts[note.part]
        left, right = _waveform(rendered, part.instrument, part.role == "drums", note)
        loud = note.velocity * 10 ** (part.gain_db / 20) * section_gain(spec, note.start_s)
        angle = (part.pan + 1) * np.pi / 4
        strokes = [(note.start_s, loud)]
        if part.echo:
            beats, fall = part.echo
            strokes += [(note.start_s + k * beats * spec.beat_s, loud * fall ** k) for k in (1, 2, 3)]
        target = ducked if part.duck else straight
        for start_s, gain in strokes:
            first = int(start_s * RATE_HZ)
            stop = min(n, first + left.size)
            if stop <= first:
                continue
            cut = stop - first
            target[0, first:stop] += np.float32(gain * np.cos(angle) * 1.2) * left[:cut]
            target[1, first:stop] += np.float32(gain * np.sin(angle) * 1.2) * right[:cut]
            send[first:stop] += np.float32(gain * part.send) * left[:cut]
    mix = straight + ducked * _pump(spec, score, n)
    mix += reverb(send, spec.reverb_s, spec.seed) * np.float32(1.5)
    return mix


def _waveform(rendered: dict, instrument: str, drum: bool, note: Note) -> tuple[Wave, Wave]:
    """The note's waveform for left and right, rendered once per pitch and length."""
    key = (instrument, note.pitch, 0 if drum else round(note.seconds * 100))
    if key not in rendered:
        if drum:
            wave = stroke(instrument)
            rendered[key] = (wave, wave)
        else:
            freq = 440.0 * 2 ** ((note.pitch - 69) / 12)
            play = ORCHESTRA[instrument]
            sounding = max(0.05, key[2] / 100)
            left = play(freq, sounding)
            right = play(freq * 1.0011, sounding) if instrument in WIDE else left
            rendered[key] = (left, right)
    return rendered[key]


def _pump(spec: SongSpec, score: list[Note], n: int) -> NDArray[np.float32]:
    """Gain that dips at each kick, so that low voices give way to it."""
    gain = np.ones(n, np.float32)
    t = np.arange(int(0.26 * RATE_HZ)) / RATE_HZ
    dip = (1 - 0.55 * np.minimum(1, t / 0.006) * np.exp(-t * 11) * np.minimum(1, (0.26 - t) / 0.05)).astype(np.float32)
    for note in score:
        if spec.parts[note.part].instrument in KICKS:
            first = int(note.start_s * RATE_HZ)
            stop = min(n, first + dip.size)
            if stop > first:
                gain[first:stop] = np.minimum(gain[first:stop], dip[:stop - first])
    return gain


def _ending(n: int) -> NDArray[np.float32]:
    """A closing fade of 1.5 s."""
    fade = min(n // 4, int(1.5 * RATE_HZ))
    gain = np.ones(n, np.float32)
    gain[n - fade:] = 0.5 + 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    return gain


def render_song(song_id: str, path: Path, seconds: float) -> str:
    """Write `seconds` of a song to a WAV or FLAC file; returns what was done, in words."""
    import soundfile

    if path.suffix.lower() not in {".wav", ".flac"}:
        raise UserError(f"{path} ends in {path.suffix or 'nothing'}: give a file that ends in .wav or .flac.")
    song = compose(song_id, seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        soundfile.write(path, song.samples, RATE_HZ, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError) as error:
        raise UserError(f"{path} could not be written ({error}): choose another place.") from error
    return f"{song.spec.title} ({song.spec.genre}, {song.spec.bpm:g} bpm): {seconds:g} s in {path}"


def list_songs() -> str:
    """One line per song."""
    return "\n".join(f"{s.id:<14} {s.title:<14} {s.genre:<11} {s.bpm:>5g} bpm  {s.mood}" for s in SONGS)
