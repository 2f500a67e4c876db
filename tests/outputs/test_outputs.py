"""Outputs are found in one list, and a slow or failing one is counted, reported once and stops nothing."""

import threading
import time

import pytest

from bci_music.clock import Clock, ManualClock
from bci_music.engine.config import LiveConfig
from bci_music.engine.events import Events
from bci_music.messages import StreamInfo, UserError
from bci_music.outputs import registry
from bci_music.outputs.output import Output, OutputContext, Setting
from bci_music.outputs.stage import QUEUED, OutputStage
from bci_music.workers import Worker

INFO = StreamInfo("amp", "lsl", ("Fz", "Cz"), 250.0)


class Notes(Output):
    """Remembers what it takes."""

    name = "notes"
    settings = (Setting("port", int, 9000, "--notes-port", "Where to."), Setting("on", bool, False, "--notes", "Send."))

    def __init__(self, values=None):
        super().__init__(values or {})
        self.calls = []

    @classmethod
    def enabled(cls, values):
        return bool(values.get("on"))

    def open(self, context):
        self.calls.append("open")

    def push_event(self, event, time_s):
        self.calls.append(event)

    def close(self):
        self.calls.append("close")


class Failing(Notes):
    """Fails at every event."""

    name = "failing"

    def push_event(self, event, time_s):
        raise OSError("the cable is out")


class Unwilling(Notes):
    """Cannot be opened."""

    name = "unwilling"

    def open(self, context):
        raise UserError("There is no such host: name another.")


def staged(*outputs):
    """Stages on one set of events, opened by their first step."""
    clock = ManualClock(1.0)
    events = Events(clock)
    stages = [OutputStage(output, events.failure, clock.now) for output in outputs]
    events.listeners = stages
    for stage in stages:
        stage.connect(OutputContext(INFO, INFO.labels, events.log))
        stage.step(1.0)
    return events, stages


def test_what_is_published_arrives_in_order_between_open_and_close():
    output = Notes()
    events, (stage,) = staged(output)
    for text in ("one", "two", "three"):
        events.log(text)
    assert output.calls == ["open"]  # who publishes does not wait
    stage.step(2.0)
    events.log("last")
    stage.flush()
    stage.close()
    stage.close()
    events.log("too late")
    stage.step(3.0)
    assert output.calls == ["open", "one", "two", "three", "last", "close"]
    assert (stage.status().pushed, stage.status().dropped, stage.status().failed) == (4, 0, 0)


def test_a_failing_output_is_counted_reported_once_and_the_others_go_on():
    failing, other = Failing(), Notes()
    events, stages = staged(failing, other)
    for n in range(5):
        events.log(f"event {n}")
        for stage in stages:
            stage.step(2.0)
    assert [f.text for f in events.failures] == ["The output failing failed: OSError: the cable is out"]
    assert not events.failures[0].fatal
    assert stages[0].status().failed >= 5
    assert [call for call in other.calls if call.startswith("event")] == [f"event {n}" for n in range(5)]


def test_an_output_that_cannot_be_opened_is_reported_and_takes_nothing():
    output = Unwilling()
    events, (stage,) = staged(output)
    events.log("for nobody")
    stage.step(2.0)
    stage.flush()
    stage.close()
    assert [(f.text, f.fatal) for f in events.failures] == [("There is no such host: name another.", False)]
    assert output.calls == []
    Unwilling.required = True
    try:
        assert [(f.fatal, f.lost) for f in staged(Unwilling())[0].failures] == [(False, True)]
    finally:
        Unwilling.required = False


def test_a_slow_output_keeps_nobody_waiting():
    release, entered = threading.Event(), threading.Event()

    class Slow(Notes):
        name = "slow"

        def push_event(self, event, time_s):
            entered.set()
            release.wait(20)

    events = Events(Clock())
    stage = OutputStage(Slow(), events.failure, time.monotonic)
    events.listeners = [stage]
    stage.connect(OutputContext(INFO, INFO.labels, events.log))
    stage.step(0.0)
    worker = Worker("output-slow", stage, Clock(), 0.001, events.failure)
    worker.start()
    events.log("the first hangs")
    assert entered.wait(5)
    began = time.monotonic()
    for n in range(QUEUED + 100):
        events.log(str(n))
    assert time.monotonic() - began < 5
    assert stage.status().dropped >= 100
    assert [f.text for f in events.failures] == [
        "The output slow cannot keep up: what does not fit its queue is dropped."
    ]
    assert not worker.stop(0.05)
    stage.abandon()
    release.set()
    assert worker.stop()
    assert stage.output.calls == ["open", "close"]  # when its call came back


def test_all_that_is_listed_exists_and_has_a_name_of_its_own():
    classes = registry.output_classes()
    assert len({output.name for output in classes}) == len(classes) == len(registry.OUTPUTS)
    flags = [setting.flag for output in classes for setting in output.settings]
    assert len(set(flags)) == len(flags)
    assert all(need in {output.name for output in classes} for output in classes for need in output.needs)


def test_one_line_in_the_list_is_enough_for_configuration_command_line_and_engine(monkeypatch):
    from bci_music.cli.options import Outputs

    before = registry.output_classes()
    monkeypatch.setattr(registry, "output_classes", lambda: (*before, Notes))
    monkeypatch.setattr("bci_music.cli.options.output_classes", registry.output_classes)
    config = registry.outputs_config().parse({"notes": {"on": True}})
    assert config.model_dump()["notes"] == {"port": 9000, "on": True}
    values = {option.name: option.default for option in Outputs.parameters()} | {"notes_on": True, "notes_port": 7}
    assert Outputs.take(values).settings == {"notes": {"on": True, "port": 7}}
    made = registry.make_outputs(config.model_dump(), print, time.monotonic)
    assert [type(stage.output) for stage in made] == [Notes]
    with pytest.raises(UserError, match="did you mean 'port'"):
        registry.outputs_config().parse({"notes": {"prt": 1}})


def test_recording_brings_the_streams_it_records_and_no_second_set_of_them(tmp_path):
    recording = {"folder": tmp_path, "consent": "form 7"}
    for lsl in (False, True):
        config = LiveConfig.parse({"outputs": {"recording": recording, "lsl": {"enabled": lsl}}}).outputs
        made = registry.make_outputs(config.model_dump(), print, time.monotonic)
        assert [stage.name for stage in made] == ["lsl", "recording"]
    assert registry.make_outputs(LiveConfig().outputs.model_dump(), print, time.monotonic) == []
