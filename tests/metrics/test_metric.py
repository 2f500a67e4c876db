"""One type for a metric, whoever wrote it and when."""

import logging

import numpy as np
import pytest

from bci_music.metrics.metric import Control, Metric, summarise

OLD_PACK = {
    "name": "50-way identification", "protocol": "p", "value": 0.2, "chance": 0.02, "n": 9, "n_recordings": 3,
    "ci95": [0.1, 0.3], "control": "deranged pairing of windows and music", "control_value": 0.021,
}  # fmt: skip


def test_a_metric_of_an_early_pack_is_read():
    metric = Metric.model_validate(OLD_PACK)
    assert metric.label == metric.name == "50-way identification"
    assert metric.controls["mismatched"].value == 0.021
    assert Metric.model_validate(metric.model_dump()) == metric
    assert Metric.model_validate(OLD_PACK | {"control": "", "control_value": None}).controls == {}


def test_a_control_of_an_early_report_is_read_with_a_note(caplog):
    old = {"name": "cosine", "protocol": "p", "value": 0.2, "n": 9, "n_recordings": 3}
    with caplog.at_level(logging.WARNING):
        found = Metric.model_validate(old | {"controls": {"deranged": {"value": 0.1}}, "missing": {"p": "few"}})
        lacking = Metric.model_validate(old | {"missing": {"deranged": "one song"}})
    assert found.controls == {"mismatched": Control(value=0.1)}
    assert lacking.missing == {"mismatched": "one song"}


def test_windows_without_a_value_do_not_count():
    values, recording = np.array([1.0, 0.0, np.nan, 1.0]), np.array(["a", "a", "b", "c"])
    metric = summarise(values, recording, name="x", protocol="p")
    assert (metric.value, metric.n, metric.n_recordings) == (pytest.approx(2 / 3), 3, 2)
    assert metric.ci95[0] <= metric.value <= metric.ci95[1]
    alone = summarise(values[:2], recording[:2], name="x", protocol="p")
    assert alone.ci95 is None
    assert alone.rounded(1).value == 0.5
