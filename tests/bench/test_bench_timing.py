from __future__ import annotations

import itertools

import numpy as np
import pytest

from reid_edge.bench import timing


class Clock:
    """A clock that only runs while `run` works; each call takes the next of some seconds."""

    def __init__(self, seconds):
        self.now, self.seconds, self.calls = 0.0, iter(seconds), 0

    def __call__(self):
        return self.now

    def run(self):
        self.calls += 1
        self.now += next(self.seconds)


def test_steady_calls_are_stable_after_three_rounds():
    clock = Clock(itertools.repeat(0.01))
    found = timing.measure(clock.run, 3.0, clock)
    assert found.stable
    assert found.median == pytest.approx(0.01)
    assert found.spread == pytest.approx(0, abs=1e-9)
    assert len(found.seconds) == pytest.approx(300, abs=3)
    assert clock.calls == pytest.approx(400, abs=4)  # a round of warm-up


def test_the_warm_up_is_not_counted():
    clock = Clock(itertools.chain([1.0] * 3, itertools.repeat(0.01)))
    found = timing.measure(clock.run, 0.3, clock)
    assert max(found.seconds) == pytest.approx(0.01)


def test_a_disturbed_round_is_left_behind():
    # One round of warm-up, one at half the speed, then quiet ones.
    clock = Clock(itertools.chain([0.01] * 100, [0.02] * 50, itertools.repeat(0.01)))
    found = timing.measure(clock.run, 3.0, clock)
    assert found.stable
    assert found.percentile(99) == pytest.approx(0.01)
    assert clock.calls > 440


def test_what_never_settles_ends_and_says_so():
    clock = Clock(0.01 * 1.01**call for call in itertools.count())
    found = timing.measure(clock.run, 0.3, clock)
    assert not found.stable
    assert found.spread > timing.SPREAD
    described = found.described()
    assert described["stable"] is False
    assert described["spread"] == found.spread


def test_slow_calls_are_taken_often_enough():
    clock = Clock(itertools.repeat(100.0))
    assert len(timing.measure(clock.run, 1.0, clock).seconds) == 3 * 3


def test_percentiles_are_those_of_single_calls():
    found = timing.Timing(list(np.arange(1, 102) / 1000), [0.05, 0.051, 0.052], True)
    described = found.described()
    assert described["p50_ms"] == pytest.approx(51)
    assert described["p90_ms"] == pytest.approx(91)
    assert described["p99_ms"] == pytest.approx(100)
    assert described["median_ms"] == pytest.approx(51)
    assert described["spread"] == pytest.approx(2 / 51)
    assert described["calls"] == 101
