"""A nonlinear recurrence: s := sin(s a + b) + x, four operations a step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def recurrence(steps: int) -> Callable[[Sequence[Any], Any], Any]:
    def program(x: Sequence[Any], m: Any) -> Any:
        a, b, shift = x
        s = shift
        for _ in range(steps):
            s = m.sin(s * a + b) + shift
        return s

    return program


def make(size: int) -> Point:
    a, b, shift = 0.9, 0.3, 0.1  # a contraction: no rounding grows
    steps = size // 4

    def answer() -> Answer:
        """The derivatives carried along with s."""
        s, by = shift, np.array([0.0, 0.0, 1.0])
        for _ in range(steps):
            z = s * a + b
            by = math.cos(z) * (a * by + [s, 1.0, 0.0])
            by[2] += 1.0
            s = math.sin(z) + shift
        return s, by

    return Point(recurrence(steps), [a, b, shift], answer, data=steps)


PROBLEM = Problem(
    name="replay/chain",
    summary="the recurrence s := sin(s*a + b) + x",
    source="a fixed-point iteration",
    make=make, sizes=(80, 400, 2_000, 8_000, 80_000), size=80_000, quick=2_000,
    of="operations", unit="ns/op", scale=lambda size: 1e9 / size,
)  # fmt: skip
