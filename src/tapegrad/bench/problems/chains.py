"""Chains of operations: many short ones, one long one, and one on which every number is used twice.

A link of a chain is x := x a + b. After n links x is x a^n + b (a^n - 1)/(a - 1), a geometric series.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LINKS = 50  # of each of many chains: 100 operations


def chain(x: Any, a: Any, b: Any, links: int) -> Any:
    for _ in range(links):
        x = x * a + b
    return x


def pairwise_sum(xs: Sequence[Any]) -> Any:
    """The sum as a balanced tree: a long chain of additions would be too deep for what recurses."""
    while len(xs) > 1:
        pairs = [xs[i] + xs[i + 1] for i in range(0, len(xs) - 1, 2)]
        xs = [*pairs, *xs[len(pairs) * 2 :]]
    return xs[0]


def chains(links: int) -> Callable[[Sequence[Any], Any], Any]:
    """The sum of chains of so many links, as a function of a, b and where each of them starts."""

    def program(x: Sequence[Any], m: Any) -> Any:
        a, b, *starts = x
        return pairwise_sum([chain(start, a, b, links) for start in starts])

    return program


def series(a: float, b: float, starts: Sequence[float], links: int) -> Answer:
    """The sum of the chains in closed form, and its derivatives by a, b and the starts."""
    d, count = a - 1, len(starts)
    power = a**links
    ones = (power - 1) / d  # 1 + a + a^2 + ...
    slope = (links * power / a - ones) / d  # 1 + 2a + 3a^2 + ...
    by_a = math.fsum(starts) * links * power / a + count * b * slope
    return math.fsum(starts) * power + count * b * ones, np.array([by_a, count * ones, *[power] * count])


def wide(size: int) -> Point:
    a, b, starts = 0.999, 0.01, [i * 1e-4 for i in range(size)]
    return Point(chains(LINKS), [a, b, *starts], lambda: series(a, b, starts, LINKS))


def long(size: int) -> Point:
    links = size // 2
    a, b, x = 1 - 1 / links, 0.01, 0.5  # a^links is about 1/e: neither end of the chain is forgotten
    start = [1 - 1.01 / links, 0.0101, 0.51]
    return Point(chains(links), [a, b, x], lambda: series(a, b, [x], links), start)


def chebyshev(degree: int) -> Callable[[Sequence[Any], Any], Any]:
    """T(0) = 1, T(1) = x, T(n + 1) = 2 x T(n) - T(n - 1): the paths to x are as many as Fibonacci's numbers."""

    def program(x: Sequence[Any], m: Any) -> Any:
        twice, before, last = 2.0 * x[0], x[0], 2.0 * x[0] * x[0] - 1.0
        for _ in range(degree - 2):
            before, last = last, twice * last - before
        return last

    return program


def deep(size: int) -> Point:
    degree, x = size // 2, 0.3

    def answer() -> Answer:
        """T(n) of cos(t) is cos(n t), and its derivative n sin(n t)/sin(t)."""
        t = math.acos(x)
        return math.cos(degree * t), degree * np.sin([degree * t]) / math.sin(t)

    return Point(chebyshev(degree), [x], answer)


WIDE = Problem(
    name="eager/wide",
    summary="many chains of 100 operations x := x*a + b, and their sum",
    source="a geometric series",
    make=wide, sizes=(10, 100, 1_000, 10_000), size=1_000, quick=100,
    of="chains", unit="ns/op", scale=lambda size: 1e9 / (size * (2 * LINKS + 1) - 1),
)  # fmt: skip

CHAIN = Problem(
    name="eager/chain",
    summary="one chain of operations x := x*a + b",
    source="a geometric series",
    make=long, sizes=(100, 1_000, 10_000, 100_000, 1_000_000), size=100_000, quick=10_000,
    of="operations", unit="ns/op", scale=lambda size: 1e9 / size,
)  # fmt: skip

DEEP = Problem(
    name="eager/deep",
    summary="Chebyshev's polynomial by its recurrence: a deep graph, every number of which is used twice",
    source="P. L. Chebyshev, Theorie des mecanismes connus sous le nom de parallelogrammes, 1854",
    make=deep, sizes=(100, 1_000, 10_000, 100_000, 1_000_000), size=100_000, quick=10_000,
    of="levels", unit="ns/level", scale=lambda size: 1e9 / size,
)  # fmt: skip
