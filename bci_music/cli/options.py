"""Options that several verbs share, each declared once, and the configuration they make together.

A verb names a group as the type of a parameter, and `shared` lets Typer see the group's options as the verb's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

import typer

from bci_music.outputs.registry import output_classes

if TYPE_CHECKING:
    from bci_music.data.session import Reading
    from bci_music.engine.config import LiveConfig
    from bci_music.heard.open import HeardConfig
    from bci_music.streaming.discovery import StreamQuery


class View(StrEnum):
    """Views of the window."""

    PERFORM = "perform"
    MONITOR = "monitor"
    STUDY = "study"
    CALIBRATE = "calibrate"


class Way(StrEnum):
    """Ways from EEG to music."""

    STYLE = "style"
    ECHOES = "echoes"


class Group:
    """Options that belong together; a frozen dataclass declares them as its fields."""

    @classmethod
    def parameters(cls) -> list[Parameter]:
        """Return the options as Typer wants them."""
        hints = get_type_hints(cls, include_extras=True)
        return [_option(f.name, hints[f.name], f.default) for f in dataclasses.fields(cls)]  # type: ignore[arg-type]

    @classmethod
    def take(cls, values: dict[str, Any]) -> Self:
        """Take the group's options out of `values`."""
        return cls(**{p.name: values.pop(p.name) for p in cls.parameters()})


def shared(verb: Callable[..., None]) -> Callable[..., None]:
    """Return `verb` with the options of its groups in place of the groups."""
    hints = get_type_hints(verb, include_extras=True)
    options: list[Parameter] = []
    groups: dict[str, type[Group]] = {}
    for name, parameter in signature(verb).parameters.items():
        if isinstance(hints[name], type) and issubclass(hints[name], Group):
            groups[name] = hints[name]
            options += hints[name].parameters()
        else:
            options.append(_option(name, hints[name], parameter.default))

    def run(**values: Any) -> None:
        verb(**{name: group.take(values) for name, group in groups.items()}, **values)

    run.__name__, run.__doc__, run.__module__ = verb.__name__, verb.__doc__, verb.__module__
    run.__signature__ = Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _option(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


@dataclasses.dataclass(frozen=True)
class StreamOptions(Group):
    """Which LSL stream is meant."""

    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            help="Name, source id or predicate (\"source_id='x'\") of the EEG stream.  \\[default: the only one]",
        ),
    ] = None
    unit: Annotated[
        str | None, typer.Option("--unit", help="Unit, where the stream does not name one: uV, mV or V.")
    ] = None
    montage: Annotated[
        str | None, typer.Option("--montage", help="Electrodes of an unlabelled stream: egi128, ...")
    ] = None
    wait: Annotated[
        float | None, typer.Option("--wait", min=1, help="How long to look for the stream.  \\[default: 15 s]")
    ] = None

    def query(self, base: dict[str, Any] | None = None) -> StreamQuery:
        """Return the query these options make of what a configuration file holds; the command line wins."""
        from bci_music.streaming.discovery import StreamQuery

        values = {**(base or {}), **{k: v for k, v in {"unit": self.unit, "montage": self.montage}.items() if v}}
        if self.stream is not None:
            found = StreamQuery.from_text(self.stream)
            values = {**values, "name": found.name, "predicate": found.predicate, "word": found.word}
        return StreamQuery.parse(values, "the command line")


FileStream = Annotated[
    str | None, typer.Option("--stream", help="Name, source id or number of the EEG stream, for XDF with several.")
]
FileUnit = Annotated[
    str | None, typer.Option("--unit", help="Unit of the EEG, where the file states none or a wrong one: uV, mV, V.")
]


@dataclasses.dataclass(frozen=True)
class ReadingOptions(Group):
    """How a recording is read."""

    stream: FileStream = None
    unit: FileUnit = None
    montage: Annotated[
        str | None, typer.Option("--montage", help="Electrodes of a stream without channel names: egi128, ...")
    ] = None

    def reading(self) -> Reading:
        """Return what was given."""
        from bci_music.data.session import Reading

        return Reading(self.stream, self.unit, self.montage)


@dataclasses.dataclass(frozen=True)
class ShowOptions(Group):
    """How a run is shown, and for how long."""

    view: Annotated[
        View | None, typer.Option("--view", help="View to begin with.  \\[default: the one that fits]")
    ] = None
    light: Annotated[bool, typer.Option("--light", help="Bright colours, for daylight.")] = False
    headless: Annotated[bool, typer.Option("--headless", help="No window; needs no display.")] = False
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1, help="Stop after this many seconds of stream.")
    ] = None


@dataclasses.dataclass(frozen=True)
class RunOptions(Group):
    """What decodes, what plays, and where a run is written to."""

    pack: Annotated[str | None, typer.Option("--pack", help="Name or folder of the model pack.  \\[default: demo]")] = (
        None
    )
    config: Annotated[Path | None, typer.Option("--config", help="YAML file, see configs/live.yaml.")] = None
    generator: Annotated[
        str | None, typer.Option("--generator", help="auto, library, audioldm or transformer.  \\[default: auto]")
    ] = None
    way: Annotated[
        Way | None,
        typer.Option(
            "--way",
            help="style: each window of EEG becomes one vector, and music is made in that style; echoes: the EEG, step "
            "by step, leads a ControlNet.  \\[default: style]",
        ),
    ] = None
    audioldm: Annotated[str | None, typer.Option("--audioldm", help="Folder or hub id of an AudioLDM checkpoint.")] = (
        None
    )
    from_library: Annotated[
        float | None,
        typer.Option("--from-library", min=0, max=0.99, help="Vary the library's nearest clip: share of it kept."),
    ] = None
    device: Annotated[
        str | None,
        typer.Option("--sound-device", help="Name or number, see `doctor`; 'none' plays on a clock into music.wav."),
    ] = None
    reverb: Annotated[
        float | None,
        typer.Option(
            "--reverb", min=0, max=1, help="Width and reverberation added to the sound, 0 to 1.  \\[default: 0.35]"
        ),
    ] = None
    sham: Annotated[
        bool, typer.Option("--sham", help="The music follows EEG from another time, and everything says so.")
    ] = False
    blind: Annotated[
        bool, typer.Option("--blind", help="Brain or sham by the toss of a coin: sealed now, revealed at the end.")
    ] = False
    out: Annotated[Path | None, typer.Option("--out", help="Folder for report.json, music.wav, overview.png.")] = None

    def resolve(
        self, outputs: Outputs, stream: StreamOptions | None = None, heard: HeardOptions | None = None
    ) -> LiveConfig:
        """Return the configuration of the run: the file's, where there is one; what the command line gives wins."""
        from bci_music.engine.config import LiveConfig

        values = (LiveConfig.load(self.config) if self.config else LiveConfig()).model_dump()
        if stream is not None:
            values["stream"] = stream.query(values["stream"]).model_dump()
            values["wait_s"] = values["wait_s"] if stream.wait is None else stream.wait
        sound = {"generator": self.generator, "way": self.way, "device": self.device, "reverb": self.reverb}
        values["sound"].update({key: value for key, value in sound.items() if value is not None})
        if self.audioldm is not None:
            values["sound"]["audioldm"]["checkpoint"] = self.audioldm
        if self.from_library is not None:
            for name in ("audioldm", "transformer"):
                values["sound"][name]["from_library"] = self.from_library
        if self.sham or self.blind:
            values["sham"]["mode"] = "blind" if self.blind else "sham"
        values["heard"].update(heard.given if heard is not None else {})
        for name, settings in outputs.settings.items():
            values["outputs"][name].update(settings)
        values["pack"] = self.pack if self.pack is not None else values["pack"]
        return LiveConfig.parse(values, "the command line")


@dataclasses.dataclass(frozen=True)
class HeardOptions(Group):
    """Which sound the listener hears, for the question whether the EEG carries it."""

    heard: Annotated[
        Path | None, typer.Option("--heard", help="Sound file that is heard, or folder of files named like its songs.")
    ] = None
    heard_start: Annotated[
        float | None,
        typer.Option("--heard-start", min=0, help="Second of the EEG at which it begins.  \\[default: its marker]"),
    ] = None
    heard_device: Annotated[
        str | None, typer.Option("--heard-device", help="Microphone or loopback that hears it too: number or name.")
    ] = None
    heard_stream: Annotated[
        str | None, typer.Option("--heard-stream", help="LSL stream of audio with it: name or source id.")
    ] = None
    heard_delay: Annotated[
        float | None, typer.Option("--heard-delay", help="Seconds from there to the ear, of headphones say.")
    ] = None

    @property
    def given(self) -> dict[str, Any]:
        """What was given, as keys of the configuration."""
        values = {
            "file": str(self.heard) if self.heard is not None else None, "start_s": self.heard_start,
            "device": self.heard_device, "stream": self.heard_stream, "delay_s": self.heard_delay,
        }  # fmt: skip
        return {key: value for key, value in values.items() if value is not None}

    def config(self) -> HeardConfig:
        """The configuration that these options make."""
        from bci_music.heard.open import HeardConfig

        return HeardConfig.parse(self.given, "the command line")


class Outputs(Group):
    """Where results also go: the options are the settings of all outputs.

    `settings` holds by the name of the output what was given.
    """

    network_stream = True

    def __init__(self, settings: dict[str, dict[str, Any]]):
        self.settings = settings

    @classmethod
    def _offered(cls) -> list[tuple[str, str, Parameter]]:
        found = []
        for output in output_classes():
            for s in output.settings:
                if cls.network_stream or s.for_files or not output.network_stream_only:
                    kind = s.kind if s.kind is bool else s.kind | None
                    option = Annotated[kind, typer.Option(s.flag, help=s.help)]  # type: ignore[valid-type]
                    name = f"{output.name}_{s.name}"
                    found.append((output.name, s.name, _option(name, option, False if s.kind is bool else None)))
        return found

    @classmethod
    def parameters(cls) -> list[Parameter]:
        """Return one option for each setting."""
        return [option for _, _, option in cls._offered()]

    @classmethod
    def take(cls, values: dict[str, Any]) -> Self:
        """Take what was given out of `values`."""
        settings: dict[str, dict[str, Any]] = {}
        for output, setting, option in cls._offered():
            value = values.pop(option.name)
            if value not in (None, False):
                settings.setdefault(output, {})[setting] = value
        return cls(settings)


class FileOutputs(Outputs):
    """The outputs of a replayed file: those that have nothing to do with a network stream."""

    network_stream = False
