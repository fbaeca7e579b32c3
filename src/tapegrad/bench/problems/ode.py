"""An ordinary differential equation by steps of Runge and Kutta's classical method, with sensitivities by its rates.

y[0]' = x[0], y[i]' = x[i] y[i-1], all of y being 0 at t = 0; wanted is the last of y at t = 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATES = 10


def slopes(x: Sequence[Any], y: Sequence[Any]) -> list[Any]:
    return [x[0], *[x[i] * y[i - 1] for i in range(1, len(x))]]


def runge_kutta(steps: int) -> Callable[[Sequence[Any], Any], Any]:
    h = 1 / steps

    def moved(y: Sequence[Any], by: float, k: Sequence[Any]) -> list[Any]:
        return [yi + by * ki for yi, ki in zip(y, k, strict=True)]

    def program(x: Sequence[Any], m: Any) -> Any:
        y: list[Any] = [0.0] * len(x)
        for _ in range(steps):
            k1 = slopes(x, y)
            k2 = slopes(x, moved(y, h / 2, k1))
            k3 = slopes(x, moved(y, h / 2, k2))
            k4 = slopes(x, moved(y, h, k3))
            y = [y[i] + h / 6 * (k1[i] + 2.0 * (k2[i] + k3[i]) + k4[i]) for i in range(len(x))]
        return y[-1]

    return program


def make(size: int) -> Point:
    x = np.random.default_rng(RATES).uniform(0.5, 1.5, RATES)

    def answer() -> Answer:
        """In closed form: a step is a polynomial of one matrix, and the last y a number times the product of all x."""
        shift = np.eye(RATES + 1, k=-1) / size  # of (1, y) where all x are 1: h times the slopes
        step = np.eye(RATES + 1) + shift @ (
            np.eye(RATES + 1) + shift / 2 @ (np.eye(RATES + 1) + shift / 3 @ (np.eye(RATES + 1) + shift / 4))
        )
        last = np.linalg.matrix_power(step, size)[-1, 0] * x.prod()
        return last, last / x

    return Point(runge_kutta(size), x.tolist(), answer, data=size)


PROBLEM = Problem(
    name="problems/ode",
    summary="a differential equation with ten rates, by Runge and Kutta",
    source="B. M. Bell, cmpad, an_ode, 2023",
    make=make, sizes=(10, 100, 1_000, 10_000), size=500, quick=50,
    of="steps", unit="us/step", scale=lambda size: 1e6 / size,
)  # fmt: skip
