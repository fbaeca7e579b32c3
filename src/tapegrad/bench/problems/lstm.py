"""The loss of a recurrent network, as in ADBench: long short-term memory with diagonal matrices.

Each of LAYERS layers has, per feature, four weights w and four biases b, a state h and a cell c, and gets an input x:
    forget = s(x w0 + b0), in = s(h w1 + b1), out = s(x w2 + b2), change = tanh(h w3 + b3), s(z) = 1/(1 + exp(-z))
    c := c forget + in change, h := out tanh(c), which is the input of the next layer
The first input is the sequence's features times e0; the prediction is p = h e1 + e2 of the last layer. Scored is
p - log(2 + sum(exp(p))) at the features of what comes next, as a mean over all. Wanted are the derivatives by w, b, e.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAYERS, FEATURES = 2, 14
ROWS = 8 * LAYERS + 3  # of parameters: w and b of each layer, and e


def sigmoid(z: Any, m: Any) -> Any:
    return 1.0 / (1.0 + m.exp(-z))


def cell(row: Sequence[Any], x: Any, h: Any, c: Any, m: Any) -> tuple[Any, Any]:
    """The next h and c of one feature, whose weights and biases are in the row."""
    w0, w1, w2, w3, b0, b1, b2, b3 = row
    forget, into, out = sigmoid(x * w0 + b0, m), sigmoid(h * w1 + b1, m), sigmoid(x * w2 + b2, m)
    c = c * forget + into * m.tanh(h * w3 + b3)
    return out * m.tanh(c), c


def loss(sequence: np.ndarray[Any, Any]) -> Callable[[Sequence[Any], Any], Any]:
    steps = sequence.tolist()

    def program(x: Sequence[Any], m: Any) -> Any:
        rows = [x[k : k + FEATURES] for k in range(0, len(x), FEATURES)]
        columns = list(zip(*rows, strict=True))  # of each feature
        states: list[list[Any]] = [[0.0] * 2 * LAYERS for _ in range(FEATURES)]
        scores = []
        for now, after in pairwise(steps):
            predictions = []
            for value, column, state in zip(now, columns, states, strict=True):
                a = value * column[-3]
                for k in range(LAYERS):
                    h, c = cell(column[8 * k : 8 * k + 8], a, state[2 * k], state[2 * k + 1], m)
                    state[2 * k], state[2 * k + 1] = h, c
                    a = h
                predictions.append(a * column[-2] + column[-1])
            norm = m.log(2.0 + m.sum([m.exp(p) for p in predictions]))
            scores.append(m.sum([p - norm for p, bit in zip(predictions, after, strict=True) if bit]))
        return m.sum(scores) * (-1.0 / ((len(steps) - 1) * FEATURES))

    return program


def text(length: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A sequence of features 0 and 1, (length, FEATURES), the first always 1; and parameters, (ROWS, FEATURES)."""
    rng = np.random.default_rng(length)
    sequence = rng.integers(2, size=(length, FEATURES)).astype(float)
    sequence[:, 0] = 1.0
    return sequence, rng.uniform(-1, 1, (ROWS, FEATURES))


def answer(sequence: np.ndarray[Any, Any], parameters: np.ndarray[Any, Any]) -> Answer:
    """Complex steps up to the predictions, a row for all features at once, as features do not mix; the rest by hand."""
    step = 1e-30
    p = parameters + 1j * step * np.eye(ROWS)[:, :, None]  # (steps, ROWS, FEATURES)
    layers = [p[:, 8 * k : 8 * k + 8] for k in range(LAYERS)]
    h = [np.zeros((ROWS, FEATURES), complex)] * LAYERS
    c = list(h)
    value, gradient = 0.0, np.zeros((ROWS, FEATURES))
    for now, after in pairwise(sequence):
        x = now * p[:, -3]
        for k, layer in enumerate(layers):
            inputs = np.stack([x, h[k], x, h[k]], axis=1)
            gates = inputs * layer[:, :4] + layer[:, 4:]
            forget, into, out = np.moveaxis(0.5 + 0.5 * np.tanh(gates[:, :3] / 2), 1, 0)
            c[k] = c[k] * forget + into * np.tanh(gates[:, 3])
            x = h[k] = out * np.tanh(c[k])
        y = x * p[:, -2] + p[:, -1]
        powers = np.exp(y[0].real)
        total = 2 + powers.sum()
        value += after @ y[0].real - after.sum() * np.log(total)
        gradient += (after - after.sum() * powers / total) * y.imag / step
    scale = -1 / ((len(sequence) - 1) * FEATURES)
    return value * scale, (gradient * scale).ravel()


def make(size: int) -> Point:
    sequence, parameters = text(size + 1)
    return Point(loss(sequence), parameters.ravel().tolist(), lambda: answer(sequence, parameters), data=sequence)


PROBLEM = Problem(
    name="problems/lstm",
    summary="the loss of a recurrent network of 2 layers and 14 features",
    source="Microsoft, ADBench, LSTM, 2019",
    make=make, sizes=(10, 100, 1_000), size=100, quick=10,
    of="characters", unit="us/character", scale=lambda size: 1e6 / size,
)  # fmt: skip
