"""Training a two-moons classifier with hinge loss and L2 penalty, as micrograd's demo does."""

import random

import numpy as np
from micrograd.engine import Value
from micrograd.nn import MLP
from sklearn.datasets import make_moons

STEPS = 2


def evaluate(net, points, signs):
    scores = [net([Value(float(x)) for x in point]) for point in points]
    hinges = [(1 + -sign * score).relu() for sign, score in zip(signs, scores, strict=True)]
    right = sum((sign > 0) == (score.data > 0) for sign, score in zip(signs, scores, strict=True))
    penalty = 1e-4 * sum(w * w for w in net.parameters())
    return sum(hinges) * (1.0 / len(hinges)) + penalty, right / len(scores)


np.random.seed(1337)
random.seed(1337)
points, labels = make_moons(n_samples=100, noise=0.1)
signs = labels * 2 - 1
net = MLP(2, [16, 16, 1])
print(net, len(net.parameters()))
print(*evaluate(net, points, signs))
for step in range(STEPS):
    loss, accuracy = evaluate(net, points, signs)
    net.zero_grad()
    loss.backward()
    for w in net.parameters():
        w.data -= (1.0 - 0.9 * step / 100) * w.grad
    print(f"step {step}: loss {loss.data:.9f}, {accuracy:.0%} right")
