"""Strict, frozen configuration: every class keeps its config beside it and loads it through here."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bci_music.files import SHOWN, TEXT_BYTES, opening, plain_file, shown
from bci_music.messages import UserError

log = logging.getLogger(__name__)
_noted: set[tuple[str, str]] = set()
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times as fast
_DEEPEST, _MOST_NODES = 40, 100_000
_TAGS = ("null", "bool", "int", "float", "str", "seq", "map", "timestamp", "merge")


class Config(BaseModel):
    """Base of all configurations: frozen, and an unknown key is an error.

    A subclass whose keys or values changed their names lists the old ones in `RENAMED` (old key: new key) and
    `RENAMED_VALUES` (key: {old value: new value}); one that lost keys lists them in `REMOVED` (key: the values that
    changed nothing, or None for any). They are read with a note for one version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
    RENAMED: ClassVar[Mapping[str, str]] = {}
    RENAMED_VALUES: ClassVar[Mapping[str, Mapping[Any, Any]]] = {}
    REMOVED: ClassVar[Mapping[str, tuple[Any, ...] | None]] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not (cls.RENAMED or cls.RENAMED_VALUES or cls.REMOVED):
            return values
        values = dict(values)
        for key, harmless in cls.REMOVED.items():
            if key in values and (harmless is None or values[key] in harmless):
                del values[key]
                note_renamed(cls.__name__, f"key {key!r} is gone and was passed over")
        for old, new in cls.RENAMED.items():
            if old in values and new not in values:
                values[new] = values.pop(old)
                note_renamed(cls.__name__, f"key {old!r} is now called {new!r}")
        for key, names in cls.RENAMED_VALUES.items():
            if isinstance(values.get(key), str) and values[key] in names:
                note_renamed(cls.__name__, f"{key} {values[key]!r} is now called {names[values[key]]!r}")
                values[key] = names[values[key]]
        return values

    @classmethod
    def parse(cls, values: dict[str, Any], where: str = "the configuration") -> Self:
        """Build from a mapping; errors become one sentence naming `where` and the nearest right key."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(_sentence(cls, error, shown(where))) from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML file."""
        return cls.parse(read_yaml(path), str(path))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping from `path`.

    Raises
    ------
    UserError
        If it is missing or no mapping; if it is larger, deeper or, with its aliases written out, longer than any
        configuration is; if it has tags or a key twice.
    """
    path = Path(path)
    with opening(path, "YAML", "give a YAML file such as those in configs/"):
        values = parse_yaml(plain_file(path, TEXT_BYTES).read_text(encoding="utf-8"))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{shown(path)} holds a {type(values).__name__}, expected `key: value` lines: see configs/.")
    return values


def parse_yaml(text: str) -> Any:
    """Read YAML within the bounds of `read_yaml`; a `ValueError` or `YAMLError` says what is wrong."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_YAML)):  # before a node is built
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        if number > _MOST_NODES:
            raise ValueError(f"it has more than {_MOST_NODES:,} parts")
    root = yaml.compose(text, Loader=_YAML)
    if root is None:
        return None
    if _written_out(root, {}) > _MOST_NODES:
        raise ValueError("its aliases stand for too much")
    return _Constructor().construct_document(root)


class _Constructor(yaml.constructor.SafeConstructor):
    """Makes values of nodes that are composed already."""


def _written_out(node: yaml.Node, known: dict[int, float]) -> float:
    """How many nodes there are under `node`, with all aliases written out; refuses tags, loops and doubled keys."""
    if id(node) in known:
        if math.isnan(known[id(node)]):
            raise ValueError("it holds itself")
        return known[id(node)]
    if node.tag.rpartition(":")[2] not in _TAGS:
        raise ValueError(f"it has the tag {shown(node.tag)}, which is not read")
    known[id(node)] = math.nan
    total = 1.0
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            doubled = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the key {shown(doubled)} stands there twice")
        total += sum(_written_out(key, known) + _written_out(value, known) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_written_out(child, known) for child in node.value)
    elif not node.tag.endswith(":str") and len(node.value) > SHOWN:
        raise ValueError(f"{shown(node.value)} is no number")
    known[id(node)] = total
    return total


def shipped(relative: str) -> Path:
    """Path of a file or folder that ships with the program, e.g. ``"configs/egi128.yaml"``.

    In a checkout ``configs/`` and ``recordings/`` lie beside the package, in an installed wheel inside it.
    """
    package = Path(__file__).resolve().parent
    for root in (package, package.parent):
        if (root / relative).exists():
            return root / relative
    raise UserError(f"{relative} does not ship with this installation of bci-music: install the program again.")


def note_renamed(owner: str, text: str) -> None:
    """Log a changed name once per process."""
    if (owner, text) not in _noted:
        _noted.add((owner, text))
        log.warning("%s: %s; the old name is read until the next version.", owner, text)


def _sentence(cls: type[BaseModel], error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    location = _without_tags(cls, [str(part) for part in first["loc"]])
    key = shown(".".join(location))
    more = f" ({error.error_count() - 1} more like this)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        names = _names_at(cls, [str(part) for part in first["loc"]][:-1])
        near = difflib.get_close_matches(location[-1][:SHOWN], names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(sorted(names))}."
        return f"Unknown key {key!r} in {where}: {hint}{more}"
    given, reason = first.get("input"), shown(first["msg"].removeprefix("Value error, "))
    quoted = repr(given) if isinstance(given, str) and len(given) < SHOWN else shown(given)
    return f"{key or 'A value'} in {where} is {quoted}: {reason[0].lower()}{reason[1:]}.{more}"


def _names_at(cls: type[BaseModel], path: list[str]) -> list[str]:
    """Field names of the (possibly nested) config that `path` leads to, tags of kinds included."""
    classes = [cls]
    for part in path:
        tagged = [c for c in classes if _tag(c) == part] if len(classes) > 1 else []
        fields = [c.model_fields[part] for c in classes if part in c.model_fields]
        classes = tagged or [inner for field in fields for inner in _configs(field.annotation)]
        if not classes:
            return []
    return list(dict.fromkeys(name for c in classes for name in c.model_fields))


def _without_tags(cls: type[BaseModel], path: list[str]) -> list[str]:
    """The keys of `path` as they are written: a config of several kinds puts the name of the kind after its key."""
    kept, classes = [], [cls]
    for part in path:
        tagged = [c for c in classes if _tag(c) == part] if len(classes) > 1 else []
        if not tagged:
            kept.append(part)
        classes = tagged or [
            inner for c in classes if part in c.model_fields for inner in _configs(c.model_fields[part].annotation)
        ]
    return kept


def _tag(cls: type[BaseModel]) -> str | None:
    """What a kind of config is called: the only value its `kind` can have."""
    field = cls.model_fields.get("kind")
    return None if field is None else str(field.default)


def _configs(annotation: Any) -> list[type[BaseModel]]:
    """Config classes in an annotation, however deep in unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _configs(inner)]
