"""AdamW, with its state kept on the parameters themselves: `p.m` and `p.v` are attributes of Values.

    python examples/adamw.py

Trains a small network of tapegrad.nn to tell the inside of a ring from the ring.
"""

import argparse
import math
import random

from tapegrad.nn import MLP

RATE, BETA1, BETA2, TINY, DECAY = 0.02, 0.9, 0.99, 1e-8, 0.01


def ring(count, draw):
    """Points, half of them near the origin (class -1), half of them on a ring around it (class 1)."""
    points = []
    for i in range(count):
        radius, angle = draw.gauss(0.4 if i % 2 else 1.4, 0.15), draw.uniform(0, 2 * math.pi)
        points.append(([radius * math.cos(angle), radius * math.sin(angle)], -1 if i % 2 else 1))
    return points


class AdamW:
    def __init__(self, parameters):
        self.parameters, self.steps = parameters, 0
        for p in parameters:
            p.m = p.v = 0.0

    def step(self):
        self.steps += 1
        correction1, correction2 = 1 - BETA1**self.steps, 1 - BETA2**self.steps
        for p in self.parameters:
            p.m = BETA1 * p.m + (1 - BETA1) * p.grad
            p.v = BETA2 * p.v + (1 - BETA2) * p.grad**2
            p.data -= RATE * DECAY * p.data  # the decay does not pass through the moments: that is the W
            p.data -= RATE * (p.m / correction1) / (math.sqrt(p.v / correction2) + TINY)


def accuracy(model, points):
    return sum((model(x).data > 0) == (y > 0) for x, y in points) / len(points)


def main():
    parser = argparse.ArgumentParser(description="Train a small network with AdamW.")
    parser.add_argument("--steps", type=int, default=100, help="training steps (default: 100)")
    parser.add_argument("--report", type=int, default=10, help="steps from one printed line to the next (default: 10)")
    arguments = parser.parse_args()
    draw = random.Random(11)
    points, held_out = ring(60, draw), ring(200, draw)
    random.seed(11)  # tapegrad.nn draws from Python's own generator, as micrograd does
    model = MLP(2, [8, 8, 1])
    optimizer = AdamW(model.parameters())
    print(f"{model}: {len(model.parameters())} parameters")
    for step in range(1, arguments.steps + 1):
        losses = [(1 - y * model(x)).relu() for x, y in points]
        loss = sum(losses) / len(losses)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        if step % arguments.report == 0 or step == 1:
            print(f"step {step} loss {loss.data!r} held-out accuracy {accuracy(model, held_out):.1%}")
    largest = max(model.parameters(), key=lambda p: p.v)
    print(f"largest second moment {largest.v!r}, its first {largest.m!r}, of {largest}")


if __name__ == "__main__":
    main()
