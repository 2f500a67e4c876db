"""Which stream is meant, which streams there are, and a sentence when that does not fit."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bci_music.config import Config
from bci_music.files import home
from bci_music.messages import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


HIGHEST_HZ = 100_000.0  # a stream that states more is refused before space is made for it


class StreamQuery(Config):
    """How to find the EEG stream; without any of the first four, a stream of type EEG is meant."""

    name: str | None = None
    type: str | None = None
    source_id: str | None = None
    predicate: str | None = None  # XPath, as liblsl understands it: "name='A' and starts-with(source_id,'b')"
    word: str | None = None  # a name or a source id; where no stream has it and it has a ``=``, a predicate
    unit: str | None = None  # overrides the stream's own
    montage: str | None = None  # names of the channels of an unlabelled stream, e.g. egi128

    @classmethod
    def from_text(cls, text: str, **more: Any) -> StreamQuery:
        """Query from one word of the command line: a name or a source id, failing these a predicate."""
        return cls(word=text, **more)

    def tries(self) -> tuple[str, ...]:
        """The query as liblsl's predicates, the next one for when the one before finds nothing."""
        if self.word is None:
            return (self._and(self.predicate),)
        named = self._and(f"name={quoted(self.word)} or source_id={quoted(self.word)}")
        return (named, self._and(self.word)) if "=" in self.word else (named,)

    def xpath(self) -> str:
        """The query as one predicate, to be read."""
        return self.tries()[0] if self.word is None or "=" not in self.word else self._and(self.word)

    def _and(self, predicate: str | None) -> str:
        given = {"name": self.name, "type": self.type, "source_id": self.source_id}
        parts = [f"{key}={quoted(value)}" for key, value in given.items() if value is not None]
        if predicate:
            parts.append(f"({predicate})")
        return " and ".join(parts) or "type='EEG' or type='eeg'"


@dataclass(frozen=True, slots=True)
class FoundStream:
    """A stream seen on the network. `handle` is pylsl's StreamInfo."""

    name: str
    type: str
    source_id: str
    hostname: str
    uid: str
    n_channels: int
    sfreq_hz: float
    handle: Any = None

    def describe(self) -> str:
        """E.g. ``'Amp' (EEG, 64 channels, 500 Hz, source id amp-1)``."""
        return (
            f"{self.name[:100]!r} ({self.type[:20] or 'no type'}, {self.n_channels} channels, {self.sfreq_hz:g} Hz, "
            f"source id {self.source_id[:100] or 'none'})"
        )

    def undelivered(self) -> str:
        """Say in a sentence that discovery sees this stream and no data come."""
        return undelivered(self.name, self.hostname)

    def again(self) -> str:
        """Predicate that finds this stream when it comes back, also from another process."""
        return f"{self.alike()} and source_id={quoted(self.source_id)}" if self.source_id else self.alike()

    def alike(self) -> str:
        """Predicate for streams of the same name and type."""
        return f"name={quoted(self.name)} and type={quoted(self.type)}"


def liblsl() -> Any:
    """Import pylsl; a sentence when its library is not there."""
    try:
        import pylsl
        import pylsl.util
    except RuntimeError as error:
        raise UserError(
            "The LSL library (liblsl) was not found: install it (for example with conda: liblsl, or a liblsl package "
            "of your system) and point PYLSL_LIB at it."
        ) from error
    _quieten(pylsl)
    return pylsl


def undelivered(name: str, host: str) -> str:
    """Say in a sentence that discovery sees a stream and its data port does not answer."""
    return (
        f"Stream {name[:100]!r} can be seen but does not deliver: its data port (TCP) on {host[:60] or 'its computer'} "
        "does not answer; let TCP 16572 to 16604 through its firewall, or start its program again."
    )


def blocked(handles: Sequence[Any], timeout_s: float) -> dict[str, str]:
    """Try the data ports of streams at the same time; returns a sentence for each that does not answer, by its name.

    Parameters
    ----------
    handles : sequence of pylsl.StreamInfo
    timeout_s : float
        How long each may take.
    """
    lsl, silent, open_names = liblsl(), dict[str, str](), set[str]()

    def attempt(handle: Any) -> None:
        try:
            lsl.StreamInlet(handle, recover=False).open_stream(timeout=timeout_s)
            open_names.add(handle.name())
        except RuntimeError:  # pylsl's TimeoutError and LostError
            silent[handle.name()] = undelivered(handle.name(), handle.hostname())

    threads = [threading.Thread(target=attempt, args=(h,), name="bci-music-port", daemon=True) for h in handles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: sentence for name, sentence in silent.items() if name not in open_names}


_quiet = False


def _quieten(pylsl: Any) -> None:
    """Keep liblsl quiet unless somebody configured it: we report ourselves what it would print (a stream broke off)."""
    global _quiet
    if _quiet:
        return
    _quiet = True
    files = (Path("lsl_api.cfg"), home() / "lsl_api" / "lsl_api.cfg", Path("/etc/lsl_api/lsl_api.cfg"))
    if "LSLAPICFG" in os.environ or any(f.exists() for f in files):
        return
    if hasattr(pylsl.util.lib, "lsl_set_config_content"):
        pylsl.util.set_config_content("[log]\nlevel = -3\n")


def find_streams(timeout_s: float = 1.0) -> list[FoundStream]:
    """All streams that can be seen on the network within `timeout_s`."""
    return found(liblsl().resolve_streams(timeout_s))


def search(xpath: str, minimum: int, timeout_s: float) -> list[FoundStream]:
    """Streams that match a predicate; returns early when `minimum` of them were seen."""
    return found(liblsl().resolve_bypred(xpath, minimum, timeout_s))


def found(handles: Sequence[Any]) -> list[FoundStream]:
    """Describe pylsl's StreamInfo objects, each stream once."""
    streams = {
        h.uid(): FoundStream(
            h.name(), h.type(), h.source_id(), h.hostname(), h.uid(), h.channel_count(), h.nominal_srate(), h
        )
        for h in handles
    }
    return sorted(streams.values(), key=lambda s: (s.name, s.source_id, s.uid))


def the_one(streams: Sequence[FoundStream]) -> FoundStream:
    """The only stream of a list; several, or one that cannot be EEG, are a `UserError`."""
    if len(streams) > 1:
        raise UserError(_which(streams))
    stream = streams[0]
    if stream.handle is not None and stream.handle.channel_format() == liblsl().cf_string:
        raise UserError(f"Stream {stream.name!r} carries text, not numbers; choose an EEG stream.")
    if not stream.sfreq_hz <= HIGHEST_HZ:  # NaN too
        raise UserError(
            f"Stream {stream.name!r} states a sampling rate of {stream.sfreq_hz:g} Hz, which no amplifier has; "
            "set it right in the sending program."
        )
    if stream.sfreq_hz <= 0 and stream.type.lower() != "eeg":
        raise UserError(
            f"Stream {stream.name!r} has no sampling rate (it looks like markers) and is not of type EEG; "
            "choose an EEG stream."
        )
    return stream


def _which(streams: Sequence[FoundStream]) -> str:
    """Say that several streams match, and by what they differ."""
    listed = f"{len(streams)} streams match: {'; '.join(s.describe() for s in streams[:8])}"
    if len(streams) > 8:
        listed += f" and {len(streams) - 8} more"
    if len({s.source_id for s in streams}) == len(streams):
        return f"{listed}; choose one with --stream \"source_id='...'\"."
    if len({s.name for s in streams}) == len(streams):
        return f"{listed}; choose one with --stream NAME."
    if len({(s.name, s.source_id) for s in streams}) == len(streams):
        return f"{listed}; choose one with --stream \"name='...' and source_id='...'\"."
    twins = next(s for s in streams if sum((o.name, o.source_id) == (s.name, s.source_id) for o in streams) > 1)
    same = [s for s in streams if (s.name, s.source_id) == (twins.name, twins.source_id)]
    by_host = len({s.hostname for s in same}) == len(same)
    ways = [f"hostname={quoted(s.hostname)}" if by_host else f"uid={quoted(s.uid)}" for s in same[:4]]
    choice = " or ".join(f'--stream "{way}"' for way in ways)
    return (
        f"{len(same)} outlets share the name {twins.name!r} and the source id {twins.source_id or 'none'}: "
        f"stop all but one, or choose by {'host' if by_host else 'uid'} with {choice}."
    )


def nothing_found(query: StreamQuery, visible: Sequence[FoundStream]) -> str:
    """One sentence: nothing matched `query`, and what can be seen instead."""
    seen = "; ".join(s.describe() for s in visible[:20])
    seen = seen or "none at all (is the amplifier's program running, same network?)"
    wanted = query.xpath() if query.word is None else f"the name or source id {query.word[:100]!r}"
    return f"No LSL stream matches {wanted}; streams that can be seen: {seen}."


def quoted(text: str) -> str:
    """An XPath string; XPath 1.0 has no escapes, so a text with both quotes is put together."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    return "concat(" + ", \"'\", ".join(f"'{part}'" for part in text.split("'")) + ")"
