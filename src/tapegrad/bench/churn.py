"""Creation and destruction: Values that are made and dropped, at once or all together."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapegrad.bench.backends import Backend, check_equal, compiled, contenders, reference
from tapegrad.bench.report import rows
from tapegrad.bench.timing import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapegrad.bench.report import Progress, Row
    from tapegrad.bench.workloads import Plan


def leaves(value: Callable[[float], Any], count: int) -> float:
    """Make leaves, each dropped by the next; the last one's number."""
    x = value(0.0)
    for i in range(count):
        x = value(i * 0.5)
    return float(getattr(x, "data", x))


def results(value: Callable[[float], Any], count: int) -> float:
    """Compute results that nobody keeps."""
    a, b = value(0.75), value(1.5)
    for _ in range(count):
        y = a * b
    return float(getattr(y, "data", y))


def kept(value: Callable[[float], Any], count: int) -> float:
    """Keep all results of a sum, then drop them together, last first."""
    a, x = value(0.75), value(0.0)
    values = []
    for _ in range(count):
        x = x + a
        values.append(x)
    result = float(getattr(x, "data", x))
    values.reverse()
    del values[:]
    return result


CASES = [
    ("leaves, dropped one by one", leaves),
    ("results, dropped one by one", results),
    ("results, kept and dropped together", kept),
]


def timed(case: Callable[..., float], backend: Callable[[float], Any], count: int) -> Callable[[], dict[str, float]]:
    def run() -> dict[str, float]:
        start = perf_counter()
        case(backend, count)
        return {"": perf_counter() - start}

    return run


def churn(plan: Plan, progress: Progress) -> Iterator[Row | str]:
    count = plan.sizes.made
    yield f"{count:,} Values each. Floats: as many floats."
    for title, case in CASES:
        backends: list[Backend] = [reference(), compiled()]
        theirs, ours = ([case(b.value, count)] for b in backends)
        check_equal(title, ours, theirs)
        slow, fast = (timed(case, b.value, count) for b in backends)
        run = contenders(slow, fast, timed(case, float, count))
        yield from rows(title, measure(run, progress.tick, plan.pace), "ns each", 1e9 / count)
