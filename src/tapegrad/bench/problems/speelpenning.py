"""Speelpenning's product: the classic of reverse mode, as every derivative is the product of all other inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def product(x: Sequence[Any], m: Any) -> Any:
    y = x[0]
    for xi in x[1:]:
        y = y * xi
    return y


def make(size: int) -> Point:
    x = [1 + (-1) ** i * (i % 7) / size for i in range(size)]

    def answer() -> Answer:
        """The whole product over each input."""
        whole = np.exp(np.log(x).sum())
        return whole, whole / np.asarray(x)

    return Point(product, x, answer)


PROBLEM = Problem(
    name="problems/speelpenning",
    summary="Speelpenning's product x1 x2 ... xn",
    source="B. Speelpenning, Compiling fast partial derivatives of functions given by algorithms, 1980",
    make=make, sizes=(100, 1_000, 10_000, 100_000, 1_000_000), size=10_000, quick=1_000,
    of="factors", unit="ns/op", scale=lambda size: 1e9 / size,
)  # fmt: skip
