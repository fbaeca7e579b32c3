"""A determinant by minors, Laplace's expansion: n! products where an elimination would do, so many operations.

The gradient by A is det(A) times the transpose of its inverse, which is Jacobi's formula.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def expansion(rows: Sequence[Sequence[Any]], columns: Sequence[int]) -> Any:
    """The determinant of these columns of the rows, by the minors of the first row."""
    first, *rest = rows
    if not rest:
        return first[columns[0]]
    total = None
    for k, column in enumerate(columns):
        term = first[column] * expansion(rest, [*columns[:k], *columns[k + 1 :]])
        total = term if total is None else total - term if k % 2 else total + term
    return total


def determinant(x: Sequence[Any], m: Any) -> Any:
    n = math.isqrt(len(x))
    return expansion([x[i * n : i * n + n] for i in range(n)], range(n))


def make(size: int) -> Point:
    A = np.random.default_rng(size).uniform(-1, 1, (size, size)) + 2 * np.eye(size)

    def answer() -> Answer:
        whole = np.linalg.det(A)
        return whole, (whole * np.linalg.inv(A).T).ravel()

    return Point(determinant, A.ravel().tolist(), answer)


PROBLEM = Problem(
    name="problems/determinant",
    summary="a determinant by minors",
    source="B. M. Bell, CppAD, speed test det_by_minor, 2003",
    make=make, sizes=(3, 4, 5, 6, 7, 8), size=7, quick=5,
    of="rows",
)  # fmt: skip
