"""A recurrent network that reads a row of bits and then says which one came first.

    python examples/recall.py

Its author's own building blocks, each a node of many operands with a closure as its derivative, stand among tapegrad's:
`affine` is a whole weighted sum in one node, `tanh_` has a name of its own. The cells subclass `tapegrad.nn.Module`.
"""

import argparse
import itertools
import math
import random

from tapegrad.engine import Value
from tapegrad.nn import Module

BITS, HIDDEN, BATCH, RATE, MOMENTUM = 6, 6, 16, 0.05, 0.9


def affine(weights, inputs, bias):
    """bias + the sum of weights * inputs, as one node with 2n + 1 children."""
    total = bias.data + sum(w.data * x.data for w, x in zip(weights, inputs, strict=True))
    out = Value(total, (*weights, *inputs, bias), "affine")

    def backward():
        for w, x in zip(weights, inputs, strict=True):
            w.grad += x.data * out.grad
            x.grad += w.data * out.grad
        bias.grad += out.grad

    out._backward = backward
    return out


def tanh_(x):
    out = Value(math.tanh(x.data), (x,), "tanh_")

    def backward():
        x.grad += (1 - out.data**2) * out.grad

    out._backward = backward
    return out


class Row(Module):
    """One unit: an affine map of its inputs."""

    def __init__(self, size, draw):
        self.weights = [Value(draw.uniform(-1, 1) / size**0.5) for _ in range(size)]
        self.bias = Value(0.0)

    def __call__(self, inputs):
        return affine(self.weights, inputs, self.bias)

    def parameters(self):
        return [*self.weights, self.bias]


class Recurrent(Module):
    """Hidden units that see the next bit and each other; a last unit reads the answer off them."""

    def __init__(self, draw):
        self.units = [Row(1 + HIDDEN, draw) for _ in range(HIDDEN)]
        self.answer = Row(HIDDEN, draw)

    def __call__(self, bits):
        state = [Value(0.0) for _ in self.units]
        for bit in bits:
            seen = [Value(bit), *state]
            state = [tanh_(unit(seen)) for unit in self.units]
        return self.answer(state)

    def parameters(self):
        return [p for row in [*self.units, self.answer] for p in row.parameters()]


def right(model, rows):
    return sum((model(bits).data > 0) == (bits[0] > 0) for bits in rows)


def main():
    parser = argparse.ArgumentParser(description="Train a recurrent network to remember the first of some bits.")
    parser.add_argument("--steps", type=int, default=80, help="training steps (default: 80)")
    parser.add_argument("--report", type=int, default=10, help="steps from one printed line to the next (default: 10)")
    arguments = parser.parse_args()
    draw = random.Random(7)
    model = Recurrent(draw)
    parameters = model.parameters()
    speeds = [0.0] * len(parameters)
    rows = list(itertools.product([-1, 1], repeat=BITS))
    print(f"{len(parameters)} parameters, right on {right(model, rows)} of all {len(rows)} rows of {BITS} bits")
    for step in range(1, arguments.steps + 1):
        batch = draw.sample(rows, BATCH)
        losses = [(1 - bits[0] * model(bits)).relu() ** 2 for bits in batch]
        loss = sum(losses) / len(losses)
        model.zero_grad()
        loss.backward()
        for i, p in enumerate(parameters):
            speeds[i] = MOMENTUM * speeds[i] - RATE * p.grad
            p.data += speeds[i]
        if step % arguments.report == 0 or step == 1:
            print(f"step {step} loss {loss.data!r} right {right(model, rows)}/{len(rows)}")


if __name__ == "__main__":
    main()
