"""The price of a European call by Black and Scholes, and its derivatives by all five inputs.

S N(d) - K exp(-r T) N(d - sigma sqrt(T)), where d = (log(S/K) + (r + sigma^2/2) T) / (sigma sqrt(T)) and N is the
normal distribution.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapegrad.bench.problem import Answer, Batch, Problem

BOUNDS = [(50, 150), (50, 150), (0.1, 2), (0, 0.05), (0.1, 0.5)]  # of S, K, T, r, sigma


def call_price(S: Any, K: Any, T: Any, r: Any, sigma: Any, m: Any) -> Any:
    """Of numbers or of arrays: `m` has exp, log, sqrt and erfc."""
    st = sigma * m.sqrt(T)
    d = (m.log(S / K) + (r + 0.5 * sigma * sigma) * T) / st
    return S * normal(d, m) - K * m.exp(-r * T) * normal(d - st, m)


def normal(x: Any, m: Any) -> Any:
    """The normal distribution."""
    return 0.5 * m.erfc(x * -(0.5**0.5))


def options(size: int) -> tuple[np.ndarray[Any, Any], ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.uniform(low, high, size) for low, high in BOUNDS)


def answer(S: Any, K: Any, T: Any, r: Any, sigma: Any) -> Answer:
    """The published formulas of the greeks, with math.erfc."""
    erfc = np.frompyfunc(math.erfc, 1, 1)
    d1 = (np.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * np.sqrt(T))
    d2 = d1 - sigma * np.sqrt(T)
    n1, n2 = (0.5 * erfc(-d / math.sqrt(2)).astype(float) for d in (d1, d2))
    density = np.exp(-(d1**2) / 2) / math.sqrt(2 * math.pi)
    discounted = K * np.exp(-r * T)
    theta = S * density * sigma / (2 * np.sqrt(T)) + r * discounted * n2
    greeks = [n1, -discounted / K * n2, theta, T * discounted * n2, S * density * np.sqrt(T)]
    return S * n1 - discounted * n2, np.stack(greeks)


def make(size: int) -> Batch:
    columns = options(size)
    return Batch(call_price, columns, lambda: answer(*columns), by=5)


PROBLEM = Problem(
    name="batch/black-scholes",
    summary="prices of calls, each with its five greeks",
    source="F. Black, M. Scholes, The pricing of options and corporate liabilities, 1973",
    make=make, sizes=(1_000, 10_000, 100_000, 1_000_000), size=100_000, quick=10_000,
    of="options", unit="ns/option", scale=lambda size: 1e9 / size,
)  # fmt: skip
