"""How the cost of a node grows with the size of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from tapegrad.bench.backends import compiled
from tapegrad.bench.graphs import FACTOR, SHIFT, chain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Sizes


@dataclass
class GrowthRow:
    """Nanoseconds a node in a graph of that many nodes, the smallest of some samples."""

    nodes: int
    build: float
    backward: float
    times_smallest: float

    def __str__(self) -> str:
        return (
            f"{self.nodes:>12,} nodes   build {self.build:5.1f} ns   backward {self.backward:5.1f} ns   "
            f"together {self.times_smallest:4.2f}x that of the smallest graph"
        )


def sample(nodes: int) -> tuple[float, float]:
    """Seconds to build one chain of so many operations and to sweep it."""
    value = compiled().value
    x, a, b = value(0.5), value(FACTOR), value(SHIFT)
    start = perf_counter()
    x = chain(x, a, b, nodes)
    built = perf_counter()
    x.backward()
    return built - start, perf_counter() - built


def growth(sizes: Sizes, progress: Progress) -> Iterator[GrowthRow | str]:
    yield "One chain on tapegrad alone; its memory is there from the second sample on."
    smallest = 0.0
    for nodes in sizes.growth:
        samples = []
        for _ in range(max(3, min(50, 1_000_000 // nodes))):
            samples.append(sample(nodes))
            progress.tick()
        build, backward = (min(column) / nodes * 1e9 for column in zip(*samples, strict=True))
        smallest = smallest or build + backward
        yield GrowthRow(nodes, build, backward, (build + backward) / smallest)
