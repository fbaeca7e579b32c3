"""The logarithm of a sum of powers, safe from overflow: a + log(sum(exp(x - a))), where a is the largest x.

Its gradient is the softmax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def log_sum_exp(x: Sequence[Any], m: Any) -> Any:
    largest = x[0]
    for xi in x[1:]:
        largest = m.maximum(largest, xi)
    return largest + m.log(m.sum([m.exp(xi - largest) for xi in x]))


def make(size: int) -> Point:
    x = np.random.default_rng(size).uniform(1000, 1010, size)  # exp(1000) would overflow

    def answer() -> Answer:
        powers = np.exp(x - 1005)
        return 1005 + np.log(powers.sum()), powers / powers.sum()

    return Point(log_sum_exp, x.tolist(), answer)


PROBLEM = Problem(
    name="problems/log-sum-exp",
    summary="log(sum(exp(x))), safe from overflow",
    source="P. Blanchard, D. J. Higham, N. J. Higham, Accurately computing the log-sum-exp and softmax functions, 2021",
    make=make, sizes=(10, 100, 1_000, 10_000, 100_000), size=10_000, quick=1_000,
    of="numbers", unit="ns/number", scale=lambda size: 1e9 / size,
)  # fmt: skip
