"""What is measured, in this order, and how large."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from tapegrad.bench import batches, churn, digits, distances, gpt, growth, imports, memory, modes, moons, points, rivals
from tapegrad.bench.problem import Batch
from tapegrad.bench.problems import PROBLEMS
from tapegrad.bench.timing import Pace

if TYPE_CHECKING:
    from tapegrad.bench.problem import Problem
    from tapegrad.bench.report import Progress
    from tapegrad.bench.rivals import Contender


@dataclass(frozen=True)
class Sizes:
    points: int  # of two moons
    steps: int  # of training on digits that the reference takes too
    epochs: int  # of training on digits on tapegrad alone
    made: int  # Values that are made and dropped
    memory: int  # nodes in the chains that memory is measured on
    growth: tuple[int, ...]  # nodes in the graphs of the size ladder
    inputs: tuple[int, ...]  # of the function whose gradient is taken forward and in reverse
    pace: Pace  # fmt: skip


DEFAULT = Sizes(
    points=100, steps=10, epochs=20, made=100_000, memory=1_000_000, growth=(10_000, 100_000, 1_000_000, 10_000_000),
    inputs=(1, 10, 100, 1000), pace=Pace(),
)  # fmt: skip
QUICK = Sizes(
    points=50, steps=2, epochs=3, made=10_000, memory=200_000, growth=(10_000, 100_000), inputs=(1, 10, 50, 200),
    pace=Pace(enough=5, few=1, budget=0.2),
)  # fmt: skip
FULL = replace(
    DEFAULT, growth=(1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000),
    inputs=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How large, how long and against whom a run measures."""

    level: str = "default"  # or quick, or full
    rivals: tuple[Contender, ...] = ()
    threads: tuple[int, ...] = (1,)

    @property
    def sizes(self) -> Sizes:
        return {"quick": QUICK, "default": DEFAULT, "full": FULL}[self.level]

    @property
    def pace(self) -> Pace:
        return self.sizes.pace

    def sizes_of(self, problem: Problem) -> tuple[int, ...]:
        """The sizes that a problem is measured in."""
        if self.level == "full":
            return problem.sizes
        return (problem.quick if self.level == "quick" else problem.size,)


@dataclass(frozen=True)
class Workload:
    """`measure` gives rows and notes in the order in which they are printed; it raises Skip or Mismatch."""

    name: str
    summary: str
    measure: Callable[[Plan, Progress], Iterator[Any]]


def of(problem: Problem) -> Workload:
    """A problem as a workload: our rows, then the rivals'."""

    def measure(plan: Plan, progress: Progress) -> Iterator[Any]:
        batch = isinstance(problem.make(problem.quick), Batch)
        yield from (batches if batch else points).rows(problem, plan, progress)
        if plan.rivals:
            for size in plan.sizes_of(problem):
                yield f"{size:,} {problem.of}, each contender in a process of its own:"
                yield from rivals.compare(problem, size, plan.rivals, plan.threads if batch else (1,), progress)

    return Workload(problem.name, f"{problem.summary} ({problem.source})", measure)


CONTROL = ("control", "float arithmetic that does not touch tapegrad: always measured, first and last")
WORKLOADS = [
    *[of(problem) for problem in PROBLEMS if problem.group == "eager"],
    Workload("eager/churn", "Values that are made and dropped, one by one or together", churn.churn),
    Workload("eager/moons", "one training step of micrograd's demo, MLP(2, [16, 16, 1]) on two moons", moons.step),
    Workload("eager/gpt", "one training step of examples/gpt.py, a GPT of 4,128 scalar parameters", gpt.step),
    Workload("eager/digits", "THE MAIN JOB: training a classifier of real handwritten digits", digits.train),
    *[of(problem) for problem in PROBLEMS if problem.group != "eager"],
    Workload("costs/floors", "the limits of this machine, which all floors follow from", distances.measured),
    Workload("costs/memory", "bytes per node, by the growth of a process that builds one chain", memory.per_node),
    Workload("costs/growth", "nanoseconds and bytes per node as graphs grow", growth.growth),
    Workload(
        "costs/imports", "what importing the package takes, next to json of the standard library", imports.imports
    ),
    Workload(modes.NAME, "one gradient: n forward sweeps, one reverse sweep, central differences", modes.modes),
]


def choose(patterns: list[str]) -> list[str]:
    """The names of the workloads that contain one of the patterns or match it as a glob; all if there are none."""
    names = [CONTROL[0], *[w.name for w in WORKLOADS]]
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ValueError(f"--only {pattern}: no workload is named like that; there are {', '.join(names)}")
    return [name for name in names if not patterns or any(matches(name, p) for p in patterns)]


def matches(name: str, pattern: str) -> bool:
    return pattern != "" and (pattern in name or fnmatch(name, pattern))
