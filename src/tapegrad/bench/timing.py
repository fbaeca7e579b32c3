"""Samples of seconds, taken in turn from contenders, with Python's cycle collector in a known state and put back."""

from __future__ import annotations

import gc
import statistics
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOP = 0.02  # seconds that a loop around something short takes at least
DRIFT = 0.25  # of the control, beyond which ratios are no facts and are not printed


@dataclass(frozen=True)
class Pace:
    """How many samples of one contender are taken."""

    enough: int = 15  # at most
    few: int = 3  # wanted even of a slow one
    budget: float = 0.5  # seconds, once there are a few
    patience: float = 4.0  # seconds, before there are a few  # fmt: skip


@dataclass
class Timing:
    """Samples of one thing, in seconds."""

    samples: list[float] = field(default_factory=list)

    @property
    def min(self) -> float:
        return min(self.samples)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """How far the median lies above the minimum, as a fraction of it."""
        return self.median / self.min - 1


@dataclass
class Contender:
    """Something to be timed. `run` gives the seconds of each phase of one go; `gc_on` is the collector's state."""

    key: str
    run: Callable[[], dict[str, float]]
    gc_on: bool = True


@contextmanager
def collector(on: bool) -> Iterator[None]:
    """Run the body with Python's cycle collector on or off, on a clean heap; put it back as it was."""
    was_on = gc.isenabled()
    gc.collect()
    (gc.enable if on else gc.disable)()
    try:
        yield
    finally:
        (gc.enable if was_on else gc.disable)()


@contextmanager
def hidden() -> Iterator[None]:
    """Run the body with everything that exists already hidden from the cycle collector.

    With scikit-learn imported a collection looks at 300,000 objects that are none of a baseline's business: they made
    micrograd with the collector on 27 % slower (CPython 3.11, November 2026).
    """
    if gc.get_freeze_count():  # the program has its own idea of what to hide
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass(frozen=True)
class Measured:
    """Timings by phase and key, and whether the control stood still meanwhile."""

    phases: dict[str, dict[str, Timing]]
    steady: bool


def measure(contenders: list[Contender], tick: Callable[[], None], pace: Pace | None = None) -> Measured:
    """Timings by phase and key. Contenders take turns, so that a drift of the machine hits all of them alike.

    The control is taken before and after; if it has drifted, all is measured once more.
    """
    measured = Measured({}, False)
    for _ in range(2):
        before = glance()
        phases = take_turns(contenders, tick, pace or Pace())
        measured = Measured(phases, abs(glance() / before - 1) <= DRIFT)
        if measured.steady:
            break
    return measured


def take_turns(contenders: list[Contender], tick: Callable[[], None], pace: Pace) -> dict[str, dict[str, Timing]]:
    timings: dict[str, dict[str, Timing]] = {}
    spent = dict.fromkeys((c.key for c in contenders), 0.0)
    with hidden():
        for turn in range(pace.enough):
            for c in contenders:
                if spent[c.key] > (pace.patience if turn < pace.few else pace.budget):
                    continue
                with collector(c.gc_on):
                    start = perf_counter()
                    phases = c.run()
                    spent[c.key] += perf_counter() - start
                for phase, seconds in phases.items():
                    timings.setdefault(phase, {}).setdefault(c.key, Timing()).samples.append(seconds)
                tick()
    return timings


def looped(f: Callable[[], object]) -> Callable[[], dict[str, float]]:
    """A contender's `run` for something short: the seconds a call, in a loop that takes LOOP seconds or more."""
    loops = 1
    while (elapsed := time_loop(f, loops)) < LOOP:
        loops = max(loops * 2, int(loops * LOOP / max(elapsed, 1e-9)))
    return lambda: {"": time_loop(f, loops) / loops}


def time_loop(f: Callable[[], object], loops: int) -> float:
    start = perf_counter()
    for _ in range(loops):
        f()
    return perf_counter() - start


def control() -> Timing:
    """Seconds per operation of float arithmetic that does not touch us: is the machine as steady as its figures?"""
    return take_turns([Contender("control", looped(spin))], lambda: None, Pace())[""]["control"]


def glance() -> float:
    """The control at a glance: the least seconds of some short loops."""
    loops = max(1, int(LOOP / 10 / 1e-4))
    return min(time_loop(spin, loops) / loops for _ in range(10))


def spin() -> float:
    """1,000 multiplications and 1,000 additions."""
    x, a, b = 0.5, 0.999, 0.01
    for _ in range(1000):
        x = x * a + b
    return x


SPIN_OPERATIONS = 2000
