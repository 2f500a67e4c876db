"""The loop by itself: it resumes exactly, whatever is random in a step, and says what it cannot resume."""

import json
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from bci_music.messages import UserError
from bci_music.models import parallel
from bci_music.training.loop import Loop, LoopConfig, TimeLimit, learning_share, spent_s, thread_s
from bci_music.training.sampling import rng_of


def toy(seed=0, width=6):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Dropout(0.5), nn.Linear(width, 1))


def step(module, at):
    x = torch.from_numpy(rng_of(1, at).standard_normal((8, 4), dtype="float32"))
    loss = (module(x) - x.sum(1, keepdim=True)).square().mean()
    return loss, {"at": float(at)}


def loop(directory, steps=20, module=None, **more):
    made = toy() if module is None else module
    torch.manual_seed(5)
    config = LoopConfig(steps=steps, lr=1e-2, warmup=3, ema=0.9, bf16=False, checkpoint_every=6)
    return Loop(made, step, config, directory, **more)


def weights(made):
    return [*made.module.state_dict().values(), *made.averaged.state_dict().values()]


def steps_of(directory):
    return [json.loads(line)["step"] for line in (directory / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stop", [3, 6, 13, 20])
def test_dropout_too_goes_on_as_if_nothing_had_happened(tmp_path, stop):
    whole = loop(tmp_path / "whole")
    whole.run()
    first = loop(tmp_path / "parts")
    first.run(until=lambda: first.at >= stop)
    again = loop(tmp_path / "parts")
    assert again.resume() == {3: 0, 6: 6, 13: 12, 20: 20}[stop]  # before the first checkpoint: from the beginning
    torch.rand(100)  # whatever else draws in between
    again.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(again), strict=True))
    assert steps_of(tmp_path / "parts") == list(range(1, 21))


def test_long_steps_are_kept_before_the_next_checkpoint_is_due(tmp_path, monkeypatch):
    monkeypatch.setattr("bci_music.training.loop.SAVE_S", 0.0)  # every step takes longer
    first = loop(tmp_path)
    first.run(until=lambda: first.at >= 3)
    assert loop(tmp_path).resume() == 3


def test_a_torn_last_line_of_the_log_is_left_out(tmp_path):
    first = loop(tmp_path, steps=6)
    first.run()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')
    again = loop(tmp_path)
    again.resume()
    again.run()
    assert steps_of(tmp_path) == list(range(1, 21))


def test_what_cannot_be_resumed_is_one_sentence(tmp_path):
    loop(tmp_path, steps=6).run()
    with pytest.raises(UserError, match=r"checkpoint\.pt is damaged or of a run with other settings: give --restart"):
        loop(tmp_path, module=toy(width=7)).resume()
    saved = (tmp_path / "checkpoint.pt").read_bytes()
    for damaged in (saved[: len(saved) // 2], b"nothing of the kind", b""):
        (tmp_path / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            loop(tmp_path).resume()


def test_the_first_process_that_has_no_time_left_ends_it_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "world", lambda: 2)
    monkeypatch.setattr(parallel, "rank", lambda: 0)
    monkeypatch.setattr(parallel, "mean", lambda x: x.detach() / 2)  # the other one says nothing
    made = loop(tmp_path)
    made.run(until=lambda: made.at >= 4)
    assert made.at == 4
    monkeypatch.setattr(parallel, "mean", lambda x: x.detach() * 0 + 0.5)  # the other one has no time left
    made.run()
    assert made.at == 4


def test_the_rate_rises_then_falls_to_its_share():
    config = LoopConfig(steps=100, warmup=10, final_share=0.1)
    shares = [learning_share(at, config) for at in range(101)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[10] == 1.0
    assert shares[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(shares[10:]))


def test_figures_go_to_tensorboard_and_are_there_at_the_end(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loop(tmp_path, steps=6, tensorboard=True).run()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 7))


class Scripted(TimeLimit):
    """A limit of so many seconds by a clock that every step moves on by one."""

    def __init__(self, seconds, spent=lambda: 0.0):
        super().__init__(seconds, spent)
        self.now, self.limit, self.asked = 0.0, seconds, None

    def share(self):
        self.asked = self._spent() if self.asked is None else self.asked
        return min(1.0, (self.asked + self.now) / self.limit)


def rates_of(directory):
    return [json.loads(line)["lr"] for line in (directory / "log.jsonl").read_text().splitlines()]


def timed(directory, limit, steps=1000, killed=None):
    """Run a loop whose steps take one second each; `killed` at a step, it is not saved."""

    def report(at, metrics):
        limit.now += 1.0
        if at == killed:
            raise KeyboardInterrupt

    made = loop(directory, steps=steps, report=report)
    made.resume()
    made.run(limit)
    return made


def test_without_a_limit_of_time_nothing_changes(tmp_path):
    plain, endless = loop(tmp_path / "a"), loop(tmp_path / "b")
    plain.run()
    endless.run(TimeLimit(float("inf")))
    assert all(torch.equal(a, b) for a, b in zip(weights(plain), weights(endless), strict=True))


def test_the_rate_falls_to_its_end_with_the_time_when_that_is_over_first(tmp_path):
    made = timed(tmp_path, Scripted(50.0))
    rates = [rate / made.config.lr for rate in rates_of(tmp_path)]
    assert made.at == 50
    assert rates[25] == pytest.approx(0.51, abs=0.01)  # half way down from 1 to 0.02
    assert rates[49] < 0.03
    many = timed(tmp_path / "steps", Scripted(5000.0), steps=50)
    assert rates_of(tmp_path / "steps")[-1] / many.config.lr < 0.03  # and with the steps, when those are


def test_a_run_goes_on_in_time_where_it_was_killed_without_what_was_lost(tmp_path):
    whole = timed(tmp_path / "whole", Scripted(50.0))
    with pytest.raises(KeyboardInterrupt):
        timed(tmp_path / "parts", Scripted(50.0), killed=21)  # its last checkpoint is of step 18
    again = timed(tmp_path / "parts", Scripted(50.0, lambda: float(len(steps_of(tmp_path / "parts")))))
    assert rates_of(tmp_path / "parts") == rates_of(tmp_path / "whole")
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(again), strict=True))


def test_what_was_learned_for_is_read_from_the_logs(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "log.jsonl").write_text('{"step": 1, "seconds": 2.5}\n')
    (tmp_path / "log.jsonl").write_text('{"step": 1, "seconds": 1.5}\n{"step": 2, "sec')
    assert spent_s(tmp_path) == 4.0
    limit = TimeLimit(4.0, lambda: spent_s(tmp_path))
    assert limit()
    assert not TimeLimit(4000.0)()


def test_a_limit_of_thread_time_counts_work_and_not_waiting(tmp_path):
    limit, passed = TimeLimit(1.0, clock=thread_s), TimeLimit(1.0)
    time.sleep(0.3)
    assert limit.share() < 0.1 < 0.3 <= passed.share()
    while time.process_time() / torch.get_num_threads() < limit._began + 0.2:
        torch.randn(100, 100) @ torch.randn(100, 100)
    assert limit.share() >= 0.2


def test_both_clocks_are_in_the_log_and_an_old_log_has_one(tmp_path):
    loop(tmp_path, steps=3).run()
    assert 0.0 <= spent_s(tmp_path, "thread_s") < 10.0
    assert all("thread_s" in json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    (tmp_path / "log.jsonl").write_text('{"step": 1, "seconds": 2.0}\n{"step": 2, "seconds": 3.0, "thread_s": 1.0}\n')
    assert (spent_s(tmp_path), spent_s(tmp_path, "thread_s")) == (5.0, 3.0)
