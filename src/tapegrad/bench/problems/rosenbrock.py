"""Rosenbrock's function of n variables: the sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def rosenbrock(x: Sequence[Any], m: Any) -> Any:
    terms = []
    for i in range(len(x) - 1):
        terms.append(100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2)
    return m.sum(terms)


def make(size: int) -> Point:
    x = np.random.default_rng(size).uniform(-2, 2, size)

    def answer() -> Answer:
        a, off = x[:-1], x[1:] - x[:-1] ** 2
        gradient = np.zeros(size)
        gradient[:-1] = -400 * a * off - 2 * (1 - a)
        gradient[1:] += 200 * off
        return (100 * off**2 + (1 - a) ** 2).sum(), gradient

    return Point(rosenbrock, x.tolist(), answer)


PROBLEM = Problem(
    name="replay/rosenbrock",
    summary="Rosenbrock's function of n variables",
    source="H. H. Rosenbrock, An automatic method for finding the greatest or least value of a function, 1960",
    make=make, sizes=(10, 100, 1_000, 10_000), size=1_000, quick=100,
    of="variables",
)  # fmt: skip
