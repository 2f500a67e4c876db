"""The registry of generators, and the one way to open them: `open_generator`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from pydantic import Field, field_validator

from bci_music.config import Config, note_renamed
from bci_music.generation.audioldm.flow import TransformerConfig
from bci_music.generation.audioldm.generator import AudioLdmConfig, AudioLdmGenerator
from bci_music.generation.audioldm.loading import AUDIOLDM, TRANSFORMER
from bci_music.generation.config import GeneratorConfig
from bci_music.generation.echoes import EchoesConfig
from bci_music.generation.library import LibraryConfig
from bci_music.messages import ECHOES, UserError

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.generation.audioldm.sampler import AudioLdm
    from bci_music.models.pack import Pack
    from bci_music.sound.generator import Generator

AUTO = "auto"


class GeneratorsConfig(Config):
    """Which generator plays, and the settings of every type.

    A field whose type is a `GeneratorConfig` is a line of the registry: its name is what `--generator` takes. `auto`
    takes the first one that is available, so the library, which always is, stands last. That holds for way A, the style
    of a window; way B is led by EEG step by step, and plays `echoes` whatever `generator` says.
    """

    generator: str = Field(AUTO, description="auto: what is given or the pack plays by default, else library")
    way: Literal["style", "echoes"] = Field("style", description="style: way A, as generator says; echoes: way B")
    audioldm: AudioLdmConfig = AudioLdmConfig()
    transformer: TransformerConfig = TransformerConfig()
    library: LibraryConfig = LibraryConfig()
    echoes: EchoesConfig = EchoesConfig()

    @field_validator("audioldm", mode="before")
    @classmethod
    def _read_old_audioldm(cls, value: Any) -> Any:
        """Until version 0.2 the key held nothing but the checkpoint."""
        if value is None or isinstance(value, str):
            note_renamed("sound", "key 'audioldm' now holds settings, the checkpoint is 'audioldm.checkpoint'")
            return AudioLdmConfig(checkpoint=value)
        return value

    @field_validator("generator")
    @classmethod
    def _known(cls, value: str) -> str:
        names = (AUTO, *generator_names(cls))
        if value not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return value


def generator_names(registry: type[GeneratorsConfig] = GeneratorsConfig) -> list[str]:
    """Names of all types of generators of way A, in the order in which `auto` tries them."""
    fields = registry.model_fields.items()
    return [name for name, field in fields if isinstance(field.default, GeneratorConfig) and name != ECHOES]


def choose_generator(config: GeneratorsConfig, pack: Pack | None) -> str:
    """Name of the type that plays: the one asked for, or the first that is available."""
    if config.way == ECHOES:
        return ECHOES
    if config.generator != AUTO:
        return config.generator
    return next(name for name in generator_names(type(config)) if getattr(config, name).available(pack))


@overload
def open_generator(
    name: Literal["audioldm", "transformer"], config: GeneratorsConfig, pack: Pack | None = None,
    clock: Clock | None = None,
) -> AudioLdmGenerator: ...
@overload
def open_generator(
    name: str, config: GeneratorsConfig, pack: Pack | None = None, clock: Clock | None = None
) -> Generator: ...
def open_generator(
    name: str, config: GeneratorsConfig, pack: Pack | None = None, clock: Clock | None = None
) -> Generator:
    """Open a generator by the name of its type, with its own section of `config`.

    Raises
    ------
    UserError
        If it needs what is neither given nor comes with the pack.
    """
    section: GeneratorConfig = getattr(config, choose_generator(config, pack) if name == AUTO else name)
    return section.open(pack, clock)


def open_model(name: str, pack: Pack | None = None, **settings: Any) -> AudioLdm:
    """Open what makes new music, without what a run adds: `audioldm`, `transformer`, or what `auto` takes.

    Parameters
    ----------
    settings
        Of its section of the configuration: checkpoint, device ...

    Raises
    ------
    UserError
        If that is the library, or there is none.
    """
    values = {"generator": name} | dict.fromkeys((AUDIOLDM, TRANSFORMER), settings)
    config = GeneratorsConfig.parse(values, "--generator")
    section = getattr(config, choose_generator(config, pack))
    if not isinstance(section, AudioLdmConfig):
        raise UserError(f"The library makes no new music: choose {AUDIOLDM} or {TRANSFORMER}.")
    return section.open(pack).model
