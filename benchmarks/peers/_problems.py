"""The workloads: their inputs, their formulas for whatever computes with scalars or arrays, and independent answers.

An answer is a pair: the value, and the derivatives. It is computed in another way than any contender does it.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

SIZES = {"black-scholes": 1_000_000, "heston": 10_000}


# ---- W3: the loss of micrograd's MLP on 100 points of two moons ----

LAYERS = (2, 16, 16, 1)
ALPHA = 1e-4


@dataclass
class Moons:
    X: np.ndarray  # (100, 2)
    y: np.ndarray  # (100,)
    w: np.ndarray  # (337,): where the program is recorded or compiled
    w_new: np.ndarray  # where it is evaluated

    @cached_property
    def answer(self) -> tuple[float, np.ndarray]:
        """By the chain rule on matrices."""
        weights = matrices(self.w_new)
        a, inputs, masks = self.X, [], []
        for k, (W, b) in enumerate(weights):
            inputs.append(a)
            z = a @ W.T + b
            masks.append(z > 0 if k < len(weights) - 1 else np.ones(z.shape, bool))
            a = z * masks[-1]
        margin = 1 - self.y * a[:, 0]
        n = len(self.y)
        g = (np.where(margin > 0, -self.y, 0.0) / n)[:, None]
        grads = []
        for (W, _), a, mask in zip(weights[::-1], inputs[::-1], masks[::-1], strict=True):
            g = g * mask
            grads.append(np.column_stack([g.T @ a, g.sum(0)]).ravel())
            g = g @ W
        loss = np.maximum(margin, 0).mean() + ALPHA * (self.w_new @ self.w_new)
        return loss, np.concatenate(grads[::-1]) + 2 * ALPHA * self.w_new


def moons() -> Moons:
    """100 points and the parameters in micrograd's order: layer by layer, neuron by neuron its weights and its bias."""
    rng, uniform = np.random.default_rng(1337), random.Random(1337).uniform
    t = np.linspace(0, np.pi, 50)
    X = np.concatenate([np.stack([np.cos(t), np.sin(t)], 1), np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)])
    w = [x for n, m in layers() for _ in range(m) for x in (*(uniform(-1, 1) for _ in range(n)), 0.0)]
    w = np.array(w)
    y = np.array([1.0] * 50 + [-1.0] * 50)
    return Moons(X + rng.standard_normal((100, 2)) * 0.1, y, w, w + 0.01 * rng.standard_normal(w.shape))


def layers() -> list[tuple[int, int]]:
    """(inputs, outputs) of each layer."""
    return list(pairwise(LAYERS))


def matrices(w):
    """The parameters as (matrix, bias) of each layer; of any array that can be sliced and reshaped."""
    parts, start = [], 0
    for n, m in layers():
        rows = w[start : start + m * (n + 1)].reshape(m, n + 1)
        parts.append((rows[:, :n], rows[:, n]))
        start += m * (n + 1)
    return parts


def mlp_loss(w, data: Moons, relu, total=sum):
    """The loss, number by number, as micrograd's demo computes it; `w` are 337 of whatever has operators."""
    losses = []
    for x, y in zip(data.X.tolist(), data.y.tolist(), strict=True):
        parameters, a = iter(w), x
        for k, (_, m) in enumerate(layers()):
            outs = []
            for _ in range(m):
                weighted = [next(parameters) * xi for xi in a]
                z = total(weighted) + next(parameters)
                outs.append(relu(z) if k < len(LAYERS) - 2 else z)
            a = outs
        losses.append(relu(1.0 + -y * a[0]))
    return total(losses) * (1.0 / len(losses)) + ALPHA * total([p * p for p in w])


def mlp_matrix_loss(w, X, y, maximum):
    """The loss on matrices, as one writes it for arrays."""
    parts, a = matrices(w), X
    for W, b in parts[:-1]:
        a = maximum(a @ W.T + b, 0.0)
    W, b = parts[-1]
    scores = (a @ W.T + b)[:, 0]
    return maximum(1.0 - y * scores, 0.0).mean() + ALPHA * (w @ w)


# ---- W4: the price of a call by Black and Scholes, and its derivatives by all five inputs ----


@dataclass
class Options:
    columns: tuple[np.ndarray, ...]  # S, K, T, r, sigma

    @cached_property
    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """The published formulas of the greeks, with math.erfc."""
        S, K, T, r, sigma = self.columns
        erfc = np.frompyfunc(math.erfc, 1, 1)
        d1 = (np.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * np.sqrt(T))
        d2 = d1 - sigma * np.sqrt(T)
        n1, n2 = (0.5 * erfc(-d / math.sqrt(2)).astype(float) for d in (d1, d2))
        density = np.exp(-(d1**2) / 2) / math.sqrt(2 * math.pi)
        discounted = K * np.exp(-r * T)
        theta = S * density * sigma / (2 * np.sqrt(T)) + r * discounted * n2
        greeks = np.stack([n1, -discounted / K * n2, theta, T * discounted * n2, S * density * np.sqrt(T)])
        return S * n1 - discounted * n2, greeks


def options() -> Options:
    rng, n = np.random.default_rng(0), SIZES["black-scholes"]
    bounds = [(50, 150), (50, 150), (0.1, 2), (0, 0.05), (0.1, 0.5)]
    return Options(tuple(rng.uniform(low, high, n) for low, high in bounds))


def call_price(S, K, T, r, sigma, m):
    """`m` has exp, log, sqrt and the normal distribution `cdf`, for numbers or for arrays."""
    st = sigma * m.sqrt(T)
    d1 = (m.log(S / K) + (r + 0.5 * sigma * sigma) * T) / st
    return S * m.cdf(d1) - K * m.exp(-r * T) * m.cdf(d1 - st)


# ---- W5: the mean payoff of a call under Heston's stochastic volatility, by Euler's scheme ----

STEPS = 252
STRIKE, RATE, FLOOR = 100.0, 0.02, 1e-12


@dataclass
class Paths:
    p: np.ndarray  # s0, v0, kappa, theta, xi, rho
    z1: np.ndarray  # (paths, STEPS)
    z2: np.ndarray

    @cached_property
    def answer(self) -> tuple[float, np.ndarray]:
        """Sensitivities carried forward along every path: no reverse sweep is involved."""
        s0, v0, kappa, theta, xi, rho = self.p
        n, dt, rc = len(self.z1), 1 / STEPS, math.sqrt(1 - rho * rho)
        s, v = np.full(n, s0), np.full(n, v0)
        ds, dv = np.zeros((6, n)), np.zeros((6, n))
        ds[0], dv[1] = 1.0, 1.0
        for i in range(STEPS):
            z1, z2 = self.z1[:, i], self.z2[:, i]
            vp, dvp = np.maximum(v, FLOOR), dv * (v > FLOOR)
            root = np.sqrt(vp * dt)
            w, dw = rho * z1 + rc * z2, z1 - rho / rc * z2
            growth = np.exp((RATE - 0.5 * vp) * dt + root * z1)
            ds = growth * (ds + s * dvp * (-0.5 * dt + z1 * dt / (2 * root)))
            s = s * growth
            dv = dv + dvp * (-kappa * dt + xi * w * dt / (2 * root))
            dv[2] += (theta - vp) * dt
            dv[3] += kappa * dt
            dv[4] += root * w
            dv[5] += xi * root * dw
            v = v + kappa * (theta - vp) * dt + xi * root * w
        discount = math.exp(-RATE)
        return (np.maximum(s - STRIKE, 0) * discount).mean(), (ds * (s > STRIKE) * discount).mean(1)


def paths() -> Paths:
    rng, shape = np.random.default_rng(0), (SIZES["heston"], STEPS)
    z1, z2 = rng.standard_normal(shape), rng.standard_normal(shape)
    return Paths(np.array([100.0, 0.04, 1.5, 0.04, 0.3, -0.7]), z1, z2)


def heston_step(s, v, kappa, theta, xi, rho, rc, z1, z2, m):
    """One step of Euler's scheme with the variance floored; `m` has exp, sqrt and maximum."""
    dt = 1 / STEPS
    vp = m.maximum(v, FLOOR)
    root = m.sqrt(vp) * dt**0.5
    s = s * m.exp((RATE - 0.5 * vp) * dt + root * z1)
    return s, v + kappa * (theta - vp) * dt + xi * root * (rho * z1 + rc * z2)


def heston_payoff(p, z1, z2, m):
    """The discounted payoff of one path, or of all of them: z1[i] are the draws of step i."""
    s, v, kappa, theta, xi, rho = p
    rc = m.sqrt(1.0 - rho * rho)
    for i in range(STEPS):
        s, v = heston_step(s, v, kappa, theta, xi, rho, rc, z1[i], z2[i], m)
    return m.maximum(s - STRIKE, 0.0) * math.exp(-RATE)


WORKLOADS = {"mlp": moons, "black-scholes": options, "heston": paths}
