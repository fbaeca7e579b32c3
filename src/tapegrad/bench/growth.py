"""How the cost of a node grows with the size of the graph: time in this process, memory in one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

from tapegrad.bench.backends import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan

NEEDED = 120  # bytes of free memory a node, below which a size is left out


@dataclass
class GrowthRow:
    """Nanoseconds and bytes a node in a graph of that many nodes; times are the smallest of some samples."""

    heading: ClassVar[str] = f"{'nodes':>14}{'build':>12}{'backward':>12}{'together':>12}{'memory':>16}{'peak':>16}"
    nodes: int
    build: float
    backward: float
    bytes_built: float | None
    bytes_peak: float | None
    times_smallest: float

    def __str__(self) -> str:
        memory = [f"{x:.1f} bytes" if x is not None else "-" for x in (self.bytes_built, self.bytes_peak)]
        return (
            f"{self.nodes:>14,}{self.build:>9.1f} ns{self.backward:>9.1f} ns{self.times_smallest:>11.2f}x"
            f"{memory[0]:>16}{memory[1]:>16}"
        )


def sample(nodes: int) -> tuple[float, float]:
    """Seconds to build one chain of so many operations and to sweep it."""
    value = compiled().value
    x, a, b = value(0.5), value(0.999), value(0.01)
    start = perf_counter()
    for _ in range(nodes // 2):
        x = x * a + b
    built = perf_counter()
    x.backward()
    return built - start, perf_counter() - built


def free_memory() -> float:
    """Bytes that processes may still take; no limit known is infinite."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def growth(plan: Plan, progress: Progress) -> Iterator[GrowthRow | str]:
    from tapegrad.bench.memory import STATUS, in_a_process

    yield 'One chain on tapegrad alone, the tape\'s memory there from the second sample on; "together" is build and'
    yield "backward of a node over those of the smallest graph. Memory: what a process grows by; peak: in backward."
    smallest = 0.0
    for nodes in plan.sizes.growth:
        if nodes * NEEDED > free_memory():
            yield f"skipped: {nodes:,} nodes: too little free memory"
            continue
        samples = []
        for _ in range(max(3, min(50, 1_000_000 // nodes))):
            samples.append(sample(nodes))
            progress.tick()
        build, backward = (min(column) / nodes * 1e9 for column in zip(*samples, strict=True))
        resident, peak = in_a_process("tapegrad.value", False, nodes) if STATUS.exists() else (None, None)
        smallest = smallest or build + backward
        yield GrowthRow(nodes, build, backward, resident, peak, (build + backward) / smallest)
