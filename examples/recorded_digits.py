"""Real handwritten digits: an MLP whose mini-batch loss is a recorded function that reads the model's Values.

    python examples/recorded_digits.py

Needs scikit-learn, for its images: pip install "tapegrad[data]".
"""

import argparse
import random

import numpy as np
from sklearn.datasets import load_digits

import tapegrad
from tapegrad.nn import MLP

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
arguments = parser.parse_args()

data = load_digits()
order = np.random.default_rng(0).permutation(len(data.data))
X, digits = data.data[order] / 16, data.target[order]
Y = np.eye(10)[digits]
held_out = 360

random.seed(0)
model = MLP(64, [16, 10])
for p in model.parameters():
    p.data *= 0.25


def loss_of_one(x, y):
    scores = model(x)
    return tapegrad.logsumexp(scores) - tapegrad.dot(y, scores)


step = tapegrad.vmap(loss_of_one, reduce="mean")
for epoch in range(arguments.epochs):
    total = 0.0
    for start in range(held_out, len(X), 32):
        loss = step(X[start : start + 32], Y[start : start + 32])
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.2 * p.grad
        total += loss.data
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1} loss {total / len(range(held_out, len(X), 32)):.4f}")

right = 0
for x, digit in zip(X[:held_out], digits[:held_out], strict=True):
    scores = [score.data for score in model(x.tolist())]
    right += scores.index(max(scores)) == digit
print(f"right on {right} of {held_out} images held out")
