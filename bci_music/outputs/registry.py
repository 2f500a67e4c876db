"""All outputs there are: the configuration, the command line and the engine take them from `OUTPUTS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bci_music.outputs.output import Output

if TYPE_CHECKING:
    from bci_music.config import Config
    from bci_music.outputs.stage import OutputStage
    from bci_music.status import Failure

OUTPUTS = (  # opened in this order
    "bci_music.outputs.lsl.LslOutput",
    "bci_music.outputs.recording.RecordingOutput",
)


def output_classes() -> tuple[type[Output], ...]:
    """Return the classes of all outputs."""
    found = []
    for path in OUTPUTS:
        module, _, name = path.rpartition(".")
        found.append(getattr(import_module(module), name))
    return tuple(found)


def outputs_config() -> type[Config]:
    """Make the configuration of all outputs: one section each, one key for each setting."""
    from pydantic import create_model, model_validator

    from bci_music.config import Config

    def checked(output: type[Output]) -> Any:
        def check(section: Config) -> Config:
            output.enabled(section.model_dump())  # refuses what makes no sense together
            return section

        return model_validator(mode="after")(check)

    sections: dict[str, Any] = {}
    for output in output_classes():
        fields: dict[str, Any] = {
            s.name: (s.kind | None if s.default is None else s.kind, s.default) for s in output.settings
        }
        section: type[Config] = create_model(
            f"{output.__name__}Config", __base__=Config, __validators__={"check": checked(output)}, **fields
        )
        sections[output.name] = (section, section())
    return create_model("OutputsConfig", __base__=Config, **sections)


def enabled_outputs(config: Mapping[str, Mapping[str, Any]]) -> list[Output]:
    """Make the outputs that `config` switches on, without those they need."""
    return [kind(config.get(kind.name, {})) for kind in output_classes() if kind.enabled(config.get(kind.name, {}))]


def make_outputs(
    config: Mapping[str, Mapping[str, Any]],
    on_failure: Callable[[Failure], None],
    now: Callable[[], float],
    standing: Sequence[OutputStage] = (),
) -> list[OutputStage]:
    """Make the stages of all outputs that `config` switches on, those they need among them, in order of opening.

    Parameters
    ----------
    config : mapping
        Settings by the name of the output.
    on_failure : callable
        Takes the one `Failure` of an output that fails or cannot keep up.
    now : callable
        LSL time.
    standing : sequence of OutputStage
        Outputs that are open: one that is needed is not made again, and none of them is returned.
    """
    from bci_music.outputs.stage import OutputStage

    known = {output.name: output for output in output_classes()}
    wanted = [name for name, output in known.items() if output.enabled(config.get(name, {}))]
    for name in wanted:  # grows while it is walked through: what is needed may need others
        wanted += [other for other in known[name].needs if other not in wanted]
    stages: dict[str, OutputStage] = {}
    there = {stage.name: stage for stage in standing if stage.name != "recording"}
    for name, output in known.items():
        if name in wanted and name not in there:
            first = [there.get(other) or stages[other] for other in output.needs]
            stages[name] = OutputStage(output(config.get(name, {})), on_failure, now, first)
    return list(stages.values())
