"""micrograd's demo, two half moons and an MLP, trained by an eager loop and by the same loop with a recorded step.

    python examples/recorded_moons.py --time

Three lines differ; both print the same losses. `--time` says how long each took.
"""

import argparse
import math
import random
import sys
from time import perf_counter

import tapegrad
from tapegrad.nn import MLP


def moons(count, noise):
    """Points on two half moons, and their classes, -1 and 1."""
    points, classes = [], []
    for k in range(count):
        angle = math.pi * random.random()
        upper = k % 2
        x = math.cos(angle) if upper else 1 - math.cos(angle)
        y = math.sin(angle) if upper else 0.5 - math.sin(angle)
        points.append([x + random.gauss(0, noise), y + random.gauss(0, noise)])
        classes.append(1.0 if upper else -1.0)
    return points, classes


def train(recorded, steps, X, Y):
    random.seed(1337)
    model = MLP(2, [16, 16, 1])

    def one(x, y):
        """The max-margin loss of one sample."""
        return (1 + -y * model(x)).relu()

    step = tapegrad.vmap(one, reduce="mean")
    losses = []
    for k in range(steps):
        data_loss = step(X, Y) if recorded else sum(one(x, y) for x, y in zip(X, Y, strict=True)) / len(X)
        loss = data_loss + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / steps) * p.grad
        losses.append(loss.data)
    right = sum((model(x).data > 0) == (y > 0) for x, y in zip(X, Y, strict=True))
    return losses, right


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--points", type=int, default=100)
parser.add_argument("--time", action="store_true", help="say on stderr how long each way took")
arguments = parser.parse_args()

random.seed(1)
X, Y = moons(arguments.points, 0.1)
seconds = []
results = []
for recorded in (False, True):
    start = perf_counter()
    results.append(train(recorded, arguments.steps, X, Y))
    seconds.append(perf_counter() - start)
(eager, right), (replayed, right_too) = results
for k in range(0, arguments.steps, max(1, arguments.steps // 5)):
    print(f"step {k} loss {eager[k]:.9f} recorded {replayed[k]:.9f}")
print(f"right on {right} and {right_too} of {arguments.points}")
worst = max(abs(a - b) for a, b in zip(eager, replayed, strict=True))
print("the losses agree to", "1e-9" if worst < 1e-9 else worst)
if arguments.time:
    print(
        f"eager {seconds[0]:.2f} s, recorded {seconds[1]:.2f} s, {seconds[0] / seconds[1]:.1f} times", file=sys.stderr
    )
