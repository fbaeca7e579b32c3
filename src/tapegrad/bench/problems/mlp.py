"""The loss of micrograd's demo: a network of 2, 16, 16 and 1 neurons on two moons of points.

The mean of max(0, 1 - y score(x)) over the points, and ALPHA times the sum of the squares of the 337 parameters.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTHS = (2, 16, 16, 1)
LAYERS = list(pairwise(WIDTHS))  # (inputs, outputs) of each
ALPHA = 1e-4


@dataclass(frozen=True)
class Moons:
    """Points of two half circles that reach into each other, their classes -1 and 1, and parameters of the network."""

    X: np.ndarray[Any, Any]  # (points, 2)
    y: np.ndarray[Any, Any]  # (points,)
    w: np.ndarray[Any, Any]  # (337,), micrograd's own: layer by layer, neuron by neuron its weights and its bias
    w_new: np.ndarray[Any, Any]  # where the loss is wanted


def moons(points: int) -> Moons:
    rng, uniform = np.random.default_rng(1337), random.Random(1337).uniform
    upper, lower = (np.linspace(0, np.pi, n) for n in (points - points // 2, points // 2))
    X = np.concatenate(
        [np.stack([np.cos(upper), np.sin(upper)], 1), np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], 1)]
    )
    w = np.array([x for n, m in LAYERS for _ in range(m) for x in (*(uniform(-1, 1) for _ in range(n)), 0.0)])
    y = np.array([1.0] * len(upper) + [-1.0] * len(lower))
    return Moons(X + rng.normal(0, 0.1, X.shape), y, w, w + rng.normal(0, 0.01, w.shape))


def matrices(w: Any) -> list[tuple[Any, Any]]:
    """The parameters as (matrix, bias) of each layer; of any array that can be sliced and reshaped."""
    parts, start = [], 0
    for n, m in LAYERS:
        rows = w[start : start + m * (n + 1)].reshape(m, n + 1)
        parts.append((rows[:, :n], rows[:, n]))
        start += m * (n + 1)
    return parts


def mlp_loss(w: Sequence[Any], data: Moons, m: Any) -> Any:
    """The loss number by number, as the demo computes it."""
    losses = []
    for x, y in zip(data.X.tolist(), data.y.tolist(), strict=True):
        parameters, a = iter(w), x
        for k, (_, outputs) in enumerate(LAYERS):
            outs = []
            for _ in range(outputs):
                weighted = [next(parameters) * xi for xi in a]
                z = m.sum(weighted) + next(parameters)
                outs.append(m.relu(z) if k < len(LAYERS) - 1 else z)
            a = outs
        losses.append(m.relu(1.0 + -y * a[0]))
    return m.sum(losses) * (1.0 / len(losses)) + ALPHA * m.sum([p * p for p in w])


def mlp_matrix_loss(w: Any, X: Any, y: Any, m: Any) -> Any:
    """The loss on matrices, as one writes it for arrays."""
    parts, a = matrices(w), X
    for W, b in parts[:-1]:
        a = m.maximum(a @ W.T + b, 0.0)
    W, b = parts[-1]
    scores = (a @ W.T + b)[:, 0]
    return m.maximum(1.0 - y * scores, 0.0).mean() + ALPHA * (w @ w)


def answer(data: Moons) -> Answer:
    """The chain rule on matrices."""
    weights = matrices(data.w_new)
    a, inputs, masks = data.X, [], []
    for k, (W, b) in enumerate(weights):
        inputs.append(a)
        z = a @ W.T + b
        masks.append(z > 0 if k < len(weights) - 1 else np.ones(z.shape, bool))
        a = z * masks[-1]
    margin = 1 - data.y * a[:, 0]
    g = (np.where(margin > 0, -data.y, 0.0) / len(data.y))[:, None]
    grads = []
    for (W, _), a, mask in zip(weights[::-1], inputs[::-1], masks[::-1], strict=True):
        g = g * mask
        grads.append(np.column_stack([g.T @ a, g.sum(0)]).ravel())
        g = g @ W
    loss = np.maximum(margin, 0).mean() + ALPHA * (data.w_new @ data.w_new)
    return loss, np.concatenate(grads[::-1]) + 2 * ALPHA * data.w_new


def make(size: int) -> Point:
    data = moons(size)
    return Point(lambda w, m: mlp_loss(w, data, m), data.w_new.tolist(), lambda: answer(data), data.w.tolist(), data)


PROBLEM = Problem(
    name="replay/mlp",
    summary="the loss of micrograd's 337-parameter network on two moons",
    source="A. Karpathy, micrograd, 2020",
    make=make, sizes=(10, 100, 1_000), size=100, quick=10,
    of="points",
)  # fmt: skip
