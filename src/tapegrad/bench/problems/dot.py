"""A dot product of two vectors that both have derivatives: that of each is the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def product(x: Sequence[Any], m: Any) -> Any:
    half = len(x) // 2
    return m.dot(x[:half], x[half:])


def make(size: int) -> Point:
    x = np.random.default_rng(size).uniform(-1, 1, 2 * size)

    def answer() -> Answer:
        return x[:size] @ x[size:], np.concatenate([x[size:], x[:size]])

    return Point(product, x.tolist(), answer)


PROBLEM = Problem(
    name="eager/dot",
    summary="a dot product, by dot() where there is one",
    source="a neuron",
    make=make, sizes=(10, 100, 1_000, 10_000, 100_000), size=10_000, quick=1_000,
    of="terms", unit="ns/term", scale=lambda size: 1e9 / size,
)  # fmt: skip
