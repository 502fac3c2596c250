"""Timing that says how far it can be trusted.

A measurement is warmed up, then taken in rounds until the medians of the last rounds agree, so
that one busy moment of the machine is seen as what it is.  What never agrees is marked unstable.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The medians of so many rounds must agree, and how closely: (highest - lowest) / median.
ROUNDS = 3
SPREAD = 0.05
_MOST_ROUNDS = 6
_LEAST_CALLS = 3  # in a round
_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds of single calls, and what their rounds say about them.

    Attributes:
        seconds: of each counted call.
        rounds: the median of each counted round; the last `ROUNDS` of those that were run.
        stable: whether these medians agree within `SPREAD`.
    """

    seconds: list[float] = field(repr=False)
    rounds: list[float]
    stable: bool

    @property
    def median(self) -> float:
        """The median of the rounds' medians, in seconds."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """(highest - lowest) / median of the rounds' medians."""
        return _spread(self.rounds)

    def percentile(self, percent: float) -> float:
        """A percentile of single calls, in seconds (linear between neighbours)."""
        return float(np.percentile(self.seconds, percent))

    def described(self) -> dict[str, Any]:
        """Milliseconds, as they stand in the report."""
        return {
            "median_ms": 1000 * self.median,
            **{f"p{percent}_ms": 1000 * self.percentile(percent) for percent in (50, 90, 99)},
            "calls": len(self.seconds),
            "spread": self.spread,
            "stable": self.stable,
        }


def measure(
    run: Callable[[], object],
    duration: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time a call again and again.

    Args:
        run: what is timed.
        duration: the least seconds that are measured in all; a third of it warms up before.  It
            takes up to twice as long where rounds disagree, and as long as the least
            number of calls takes where these are slow.
        clock: gives seconds.
    """
    _round(run, duration / ROUNDS, _WARM_UP_CALLS, clock)
    rounds: list[list[float]] = []
    while len(rounds) < _MOST_ROUNDS:
        rounds.append(_round(run, duration / ROUNDS, _LEAST_CALLS, clock))
        if len(rounds) >= ROUNDS and _spread(_medians(rounds)) <= SPREAD:
            break
    last = rounds[-ROUNDS:]
    medians = _medians(rounds)
    return Timing([s for part in last for s in part], medians, _spread(medians) <= SPREAD)


def _round(
    run: Callable[[], object], duration: float, least: int, clock: Callable[[], float]
) -> list[float]:
    found: list[float] = []
    begun = clock()
    while len(found) < least or clock() - begun < duration:
        start = clock()
        run()
        found.append(clock() - start)
    return found


def _medians(rounds: list[list[float]]) -> list[float]:
    return [statistics.median(part) for part in rounds[-ROUNDS:]]


def _spread(values: list[float]) -> float:
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle > 0 else 0.0
