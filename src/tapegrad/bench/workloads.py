"""What is measured, in this order, and how large."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from tapegrad.bench import digits, gpt, graphs, growth, memory, modes, moons
from tapegrad.bench.timing import Pace


@dataclass(frozen=True)
class Sizes:
    chains: int  # of 100 operations each, in the wide graph
    chain: int  # operations in the one chain
    dots: tuple[int, ...]  # lengths of dot products
    points: int  # of two moons
    steps: int  # of training on digits that the reference takes too
    epochs: int  # of training on digits on tapegrad alone
    memory: int  # nodes in the chains that memory is measured on
    growth: tuple[int, ...]  # nodes in the graphs of the size ladder
    inputs: tuple[int, ...]  # of the function whose gradient is taken forward and in reverse
    pace: Pace  # fmt: skip


FULL = Sizes(
    chains=10_000, chain=100_000, dots=(100, 1000), points=100, steps=10, epochs=20, memory=1_000_000,
    growth=(10_000, 100_000, 1_000_000, 20_000_000),
    inputs=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000), pace=Pace(),
)  # fmt: skip
QUICK = Sizes(chains=200, chain=10_000, dots=(100,), points=50, steps=2, epochs=3, memory=200_000,
              growth=(10_000, 100_000), inputs=(1, 10, 50, 200),
              pace=Pace(enough=5, few=1, budget=0.2))  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """`measure` gives rows and notes in the order in which they are printed; it raises Skip or Mismatch."""

    name: str
    summary: str
    measure: Callable[..., Iterator[Any]]


CONTROL = ("control", "float arithmetic that does not touch tapegrad: always measured, first and last")
WORKLOADS = [
    Workload("wide", "eager: many chains of 100 operations, x = x*a + b, added up", graphs.wide),
    Workload("chain", "eager: one long chain of operations, x = x*a + b", graphs.long),
    Workload("dot", "a dot product and its gradient in both operands", graphs.dots),
    Workload("moons", "one training step of micrograd's demo, MLP(2, [16, 16, 1]) on two moons", moons.step),
    Workload("gpt", "one training step of examples/gpt.py, a GPT of 4,128 scalar parameters", gpt.step),
    Workload("digits", "THE MAIN JOB: training a classifier of real handwritten digits", digits.train),
    Workload("memory", "bytes per node, by the growth of a process that builds one chain", memory.per_node),
    Workload("growth", "nanoseconds per node from 10,000 to 20,000,000 nodes", growth.growth),
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
