"""The mean payoff of a call under Heston's stochastic volatility, by Euler's scheme, and its six derivatives.

dS = r S dt + sqrt(v) S dW1, dv = kappa (theta - v) dt + xi sqrt(v) dW2, where dW1 and dW2 have the correlation rho;
it is log S that takes the steps, and the variance is floored where it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Batch, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 252
DT = 1 / STEPS
STRIKE, RATE, FLOOR = 100.0, 0.02, 1e-12


def heston_step(
    s: Any, v: Any, kappa: Any, theta: Any, xi: Any, rho: Any, rc: Any, z1: Any, z2: Any, m: Any
) -> tuple[Any, Any]:
    """One step, of numbers or of arrays: `m` has exp, sqrt and maximum. `rc` is sqrt(1 - rho^2)."""
    vp = m.maximum(v, FLOOR)
    root = m.sqrt(vp) * DT**0.5
    s = s * m.exp((RATE - 0.5 * vp) * DT + root * z1)
    return s, v + kappa * (theta - vp) * DT + xi * root * (rho * z1 + rc * z2)


def heston_payoff(p: Sequence[Any], z1: Any, z2: Any, m: Any) -> Any:
    """The discounted payoff of one path, or of all of them: z1[i] are the draws of step i."""
    s, v, kappa, theta, xi, rho = p
    rc = m.sqrt(1.0 - rho * rho)
    for i in range(STEPS):
        s, v = heston_step(s, v, kappa, theta, xi, rho, rc, z1[i], z2[i], m)
    return m.maximum(s - STRIKE, 0.0) * math.exp(-RATE)


@dataclass(frozen=True)
class Paths:
    p: np.ndarray[Any, Any]  # s, v, kappa, theta, xi, rho
    z1: np.ndarray[Any, Any]  # (paths, STEPS)
    z2: np.ndarray[Any, Any]


def paths(size: int) -> Paths:
    rng, shape = np.random.default_rng(0), (size, STEPS)
    z1, z2 = rng.standard_normal(shape), rng.standard_normal(shape)
    return Paths(np.array([100.0, 0.04, 1.5, 0.04, 0.3, -0.7]), z1, z2)


def answer(data: Paths) -> Answer:
    """Sensitivities carried forward along every path: no reverse sweep is involved."""
    s0, v0, kappa, theta, xi, rho = data.p
    n, rc = len(data.z1), math.sqrt(1 - rho * rho)
    s, v = np.full(n, s0), np.full(n, v0)
    ds, dv = np.zeros((6, n)), np.zeros((6, n))
    ds[0], dv[1] = 1.0, 1.0
    for i in range(STEPS):
        z1, z2 = data.z1[:, i], data.z2[:, i]
        vp, dvp = np.maximum(v, FLOOR), dv * (v > FLOOR)
        root = np.sqrt(vp * DT)
        w, dw = rho * z1 + rc * z2, z1 - rho / rc * z2
        growth = np.exp((RATE - 0.5 * vp) * DT + root * z1)
        ds = growth * (ds + s * dvp * (-0.5 * DT + z1 * DT / (2 * root)))
        s = s * growth
        dv = dv + dvp * (-kappa * DT + xi * w * DT / (2 * root))
        dv[2] += (theta - vp) * DT
        dv[3] += kappa * DT
        dv[4] += root * w
        dv[5] += xi * root * dw
        v = v + kappa * (theta - vp) * DT + xi * root * w
    discount = math.exp(-RATE)
    return (np.maximum(s - STRIKE, 0) * discount).mean(), (ds * (s > STRIKE) * discount).mean(1)


def make(size: int) -> Batch:
    data = paths(size)
    return Batch(heston_payoff, (data.z1, data.z2), lambda: answer(data), shared=data.p)


PROBLEM = Problem(
    name="batch/heston",
    summary="the mean payoff under Heston's model, 252 steps, with six derivatives",
    source="S. L. Heston, A closed-form solution for options with stochastic volatility, 1993",
    make=make, sizes=(100, 1_000, 10_000), size=2_000, quick=200,
    of="paths", unit="us/path", scale=lambda size: 1e6 / size,
)  # fmt: skip
