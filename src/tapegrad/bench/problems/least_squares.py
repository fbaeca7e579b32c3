"""Linear least squares: |A x - b|^2 / 2, with the gradient A' (A x - b)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNKNOWNS = 32


def system(rows: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A and b."""
    rng = np.random.default_rng(rows)
    return rng.standard_normal((rows, UNKNOWNS)), rng.standard_normal(rows)


def objective(A: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> Callable[[Sequence[Any], Any], Any]:
    rows = list(zip(A.tolist(), b.tolist(), strict=True))

    def program(x: Sequence[Any], m: Any) -> Any:
        return 0.5 * m.sum([(m.dot(row, x) - bi) ** 2 for row, bi in rows])

    return program


def make(size: int) -> Point:
    A, b = system(size)
    x = np.random.default_rng(1).uniform(-1, 1, UNKNOWNS)

    def answer() -> Answer:
        off = A @ x - b
        return 0.5 * (off @ off), A.T @ off

    return Point(objective(A, b), x.tolist(), answer, data=(A, b))


PROBLEM = Problem(
    name="problems/least-squares",
    summary="half the squared residual of a linear system with 32 unknowns",
    source="A.-M. Legendre, Nouvelles methodes pour la determination des orbites des cometes, 1805",
    make=make, sizes=(10, 100, 1_000, 10_000), size=1_000, quick=100,
    of="equations",
)  # fmt: skip
