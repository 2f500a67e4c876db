"""What a song sounds like, in a sentence: genre, tempo, key, instruments and mood, worded differently every time."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection

import numpy as np

from bci_music.compose.score import SongSpec, write_score
from bci_music.compose.songwriting import Draw

_NAMES = {
    "rhodes": "electric piano", "nylon": "nylon-string guitar", "steel": "acoustic guitar", "guitar": "electric guitar",
    "upright": "upright bass", "sub_bass": "sub bass", "synth_bass": "synth bass", "acid": "acid bass",
    "saw_lead": "synth lead", "stab": "synth stabs", "pad": "synth pad", "strings": "strings", "bell": "bells",
    "metallophone": "gamelan metallophones", "fiddle": "violin", "distorted": "distorted guitar",
    "pluck": "synth plucks", "supersaw": "supersaw chords", "synth_brass": "synth brass", "glass": "glass harmonica",
    "fretless": "bass guitar", "choir": "choir", "gong": "gongs",
}  # fmt: skip
_DRUMS = {
    "thump": "a four-on-the-floor kick", "kick": "drums", "soft kick": "soft drums", "big snare": "a big snare",
    "conga": "congas", "bongo": "bongos", "tabla": "tabla", "djembe": "djembe", "dum": "frame drums", "surdo": "surdo",
    "clave": "claves", "cowbell": "cowbell", "tambourine": "tambourine", "shaker": "shaker", "log drum": "log drums",
    "crackle": "vinyl crackle", "brush": "brushes", "clap": "claps", "timbale": "timbales", "agogo": "agogo bells",
}  # fmt: skip
_GENRES = {
    "lo-fi": ("lo-fi hip hop", "lo-fi beat", "lo-fi", "chill lo-fi"), "folk": ("folk", "acoustic folk", "folk tune"),
    "ambient": ("ambient", "ambient soundscape", "drone ambient"),
    "classical": ("classical", "classical chamber music"),
    "synthwave": ("synthwave", "retro synthwave", "eighties synthwave"),
    "world": ("world music", "traditional world music"),
    "electronic": ("electronic", "electronic dance music", "club music"), "rock": ("rock", "guitar rock", "rock band"),
    "blues": ("blues", "twelve-bar blues", "shuffle blues"), "latin": ("latin", "latin dance music", "latin groove"),
}  # fmt: skip
_SLOWNESS = (  # up to this many beats per minute
    (62, ("very slow", "crawling")), (82, ("slow", "unhurried")), (104, ("mid-tempo", "moderate")),
    (126, ("upbeat", "brisk")), (146, ("fast", "quick")), (1000, ("very fast", "racing")),
)  # fmt: skip
_SCALES = {
    "harmonic minor": "minor", "blues": "blues scale", "pelog": "pelog", "hijaz": "hijaz",
    "minor pentatonic": "minor pentatonic", "pentatonic": "major pentatonic",
}  # fmt: skip
_SENTENCES = (
    "A {mood} {genre} piece with {players}, {tempo}, in {key}.",
    "{Tempo_word} {genre} in {key}: {players}. {Mood} mood, {bpm}.",
    "{Mood} {genre} at {bpm}, played on {players}.",
    "{Genre}, {mood} and {tempo_word}, featuring {players} in {key}.",
    "{Players} in a {tempo_word}, {mood} {genre} track, {bpm}, {key}.",
    "This {genre} piece has {players}; it is {mood}, {tempo} and in {key}.",
    "{Genre} with {players}. Key of {key}, {bpm}.",
    "A {tempo_word} {genre} song in the key of {key} with {players}, {mood}.",
    "{Mood}, {tempo_word} {genre}: {players}, around {bpm}.",
    "Instrumental {genre}, {bpm}, {key}, {mood}; {players}.",
)


def caption(spec: SongSpec, rng_seed: int, sounding: Collection[str] | None = None) -> str:
    """Describe a song in English.

    Parameters
    ----------
    rng_seed : int
        Another seed words it differently and names other instruments first.
    sounding : collection of str, optional
        Instruments that are heard in an excerpt (see `heard_in`); all that the song has, if not given.
    """
    draw = Draw(np.random.default_rng([zlib.crc32(spec.id.encode()), spec.seed, rng_seed]))
    genre, tempo_word = draw.one(*_GENRES.get(spec.genre, (spec.genre,))), draw.one(*_tempo_words(spec.bpm))
    mood = draw.one(*spec.mood.split(", "))
    bpm = draw.one(f"{spec.bpm:.0f} bpm", f"{spec.bpm:.0f} beats per minute")
    words = {
        "genre": genre, "mood": mood, "tempo_word": tempo_word, "bpm": bpm, "key": _key(spec),
        "tempo": draw.one(f"{tempo_word} at {bpm}", bpm, f"{tempo_word}, {bpm}"),
        "players": _players(spec, draw, sounding),
    }  # fmt: skip
    words |= {name.capitalize(): text[:1].upper() + text[1:] for name, text in words.items()}
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", draw.one(*_SENTENCES).format(**words))


def heard_in(spec: SongSpec, start_s: float, seconds: float) -> frozenset[str]:
    """Instruments and drums that begin a note within an excerpt."""
    stop_s = start_s + seconds
    return frozenset(spec.parts[n.part].instrument for n in write_score(spec, stop_s) if start_s <= n.start_s < stop_s)


def _tempo_words(bpm: float) -> tuple[str, ...]:
    return next(words for most, words in _SLOWNESS if bpm <= most)


def _key(spec: SongSpec) -> str:
    scale = _SCALES.get(spec.scale, spec.scale)
    return f"{spec.tonic} {scale}"


def _players(spec: SongSpec, draw: Draw, sounding: Collection[str] | None) -> str:
    """The instruments, leads first, and something of the drums."""
    order = {"melody": 0, "chords": 1, "arp": 1, "bass": 2}
    heard = [p for p in spec.parts if sounding is None or p.instrument in sounding]
    pitched = sorted((p for p in heard if p.role != "drums"), key=lambda p: order[p.role])
    names = list(dict.fromkeys(_NAMES.get(p.instrument, p.instrument) for p in pitched))
    struck = list(dict.fromkeys(_DRUMS[p.instrument] for p in heard if p.role == "drums" and p.instrument in _DRUMS))
    named = names[: draw.one(2, 3, 3, 4)]
    if draw.chance(0.3):
        named = [named[i] for i in draw.some(len(named), tuple(range(len(named))))]
    if struck:
        named += draw.some(draw.one(1, 1, 2), struck)
    elif draw.chance(0.5):
        named.append("no drums")
    return ", ".join(named[:-1]) + (" and " if len(named) > 1 else "") + named[-1] if named else "a few sounds"
