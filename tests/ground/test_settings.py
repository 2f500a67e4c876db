"""Every setting can be set by a user, and is read by something: a field that does neither is a false promise."""

import ast
import importlib
import pkgutil
import typing
from functools import cache
from pathlib import Path

import pytest

import bci_music
from bci_music.config import Config, shipped
from bci_music.engine.config import LiveConfig
from bci_music.generation.config import GeneratorConfig

pytestmark = pytest.mark.install

REPO = Path(__file__).resolve().parents[2]

# How a user gives settings: files that are given, files that are written by the program, and options of a verb.
ENTRY_POINTS = {
    "LiveConfig": "live --config",
    "LabConfig": "pretrain, align, adapt, evaluate --preset and --set",
    "TablePlan": "ablate --table",
    "DemoBuildConfig": "pack build --config",
    "MusicModelsConfig": "pack music-models --config",
    "ClapConfig": "pack clap --config",
    "NmedSimConfig": "simulate nmed --config",
    "CalibrateConfig": "calibrate --config",
    "ListenConfig": "calibrate --minutes, --rest and --silence",
    "Plan": "calibration.yaml of a calibration",
    "MontageFile": "a montage's YAML",
    "AudioEntry": "the YAML of --audio",
    "Note": "generator.json beside a checkpoint",
    "DenoiserNote": "what it holds of a transformer",
    "EchoesBuildConfig": "pack build --way echoes --config",
    "EchoesStudyConfig": "lab echoes --config",
    "ControlNote": "control.json beside a ControlNet",
    "PackManifest": "pack.yaml",
    "PreparedConfig": "a prepared study",
    "_Index": "index.json of a pack's music library",
    "Pulled": "manifest of a fetched checkpoint",
    "Lock": "a lock file of checkpoints",
    "Result": "a run's result",
    "EvaluationReport": "report.json of the lab",
    "SplicesConfig": "options of bench splices",
    "LatencyConfig": "options of bench latency",
    "EvaluateConfig": "options of evaluate",
    "TrackingFile": "tracking.yaml of a plain folder",
}
EXCEPTIONS = {
    "GeneratorConfig": "abstract: the base of the sections of `sound`",
    "_Entry": "abstract: the base of songs and clips in index.json",
    "ListenerConfig": "a listener is drawn from the fields of NmedSimConfig that have the same names",
    "SoundMetric": "a figure that is computed and written, and never read",
    "Reference": "how packs and lab configs name a checkpoint: written as one string",
}


@cache
def all_configs():
    for module in pkgutil.walk_packages(bci_music.__path__, "bci_music."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(config):
        return {config}.union(*(below(one) for one in config.__subclasses__()))

    return {one for one in below(Config) - {Config} if one.__module__.startswith("bci_music.")}


def inside(annotation):
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return {annotation}
    return set().union(*(inside(part) for part in typing.get_args(annotation)))


def reachable(root):
    found, open_ = set(), {root}
    while open_:
        config = open_.pop()
        found |= {config} | set(config.__mro__) & all_configs()
        open_ |= set().union(*(inside(f.annotation) for f in config.model_fields.values())) - found
    return found


def named(names):
    return {config for config in all_configs() if config.__name__ in names}


@cache
def attributes_read():
    """Names of all attributes that some code reads."""
    files = [file for top in ("bci_music", "gui") for file in (REPO / top).rglob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


def test_every_config_can_be_reached_by_a_user():
    found = set().union(*(reachable(root) for root in named(ENTRY_POINTS)))
    assert {config.__name__ for config in all_configs() - found} <= set(EXCEPTIONS)


def test_entry_points_and_exceptions_are_there():
    names = {config.__name__ for config in all_configs()}
    assert set(ENTRY_POINTS) | set(EXCEPTIONS) <= names


def test_the_configuration_of_a_live_run_reaches_all_that_plays():
    packages = ("bci_music.sound.", "bci_music.generation.", "bci_music.engine.", "bci_music.outputs.")
    plays = {config for config in all_configs() if config.__module__.startswith(packages)}
    left = {config.__name__ for config in plays - reachable(LiveConfig)}
    assert left <= {"Note", "DenoiserNote", "ControlNote", "GeneratorConfig"}


def test_every_field_is_read():
    made = "bci_music.outputs.registry"  # from the settings of the outputs, which take them as a mapping
    unread = [
        f"{config.__name__}.{name}"
        for config in all_configs() if config.__module__ != made
        for name, field in config.model_fields.items()
        if name not in attributes_read() and not isinstance(field.default, GeneratorConfig)  # read by `open_generator`
    ]  # fmt: skip
    assert unread == []


def test_the_example_of_a_live_run_names_every_setting_at_its_default():
    text = shipped("configs/live.yaml").read_text(encoding="utf-8")
    assert LiveConfig.load(shipped("configs/live.yaml")) == LiveConfig()
    fields = {name for config in reachable(LiveConfig) for name in config.model_fields}
    assert [name for name in sorted(fields) if f"{name}:" not in text] == []
