"""Handwritten digits: real images of 0, 1, 2 and 3, told apart by a network of scalars that `tapegrad.fit` trains.

Two networks, one trained by cross-entropy and one by the hinge loss of a support vector machine, with Adam, until the
loss on images that they are not trained on is steady; then both are asked about images that neither has seen.

    python examples/digits.py [--seed N] [--epochs N]      (needs scikit-learn: pip install ".[data]")
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

from tapegrad import fit
from tapegrad.fitting import outputs
from tapegrad.losses import cross_entropy, multi_margin_loss
from tapegrad.nn import Linear, ReLU, Sequential
from tapegrad.optim import Adam

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=100)
options = parser.parse_args()

data = load_digits()
four = data.target < 4
X, y = data.data[four] / 16.0, data.target[four]
shuffled = np.random.default_rng(options.seed).permutation(len(X))
test, train = shuffled[:144], shuffled[144:]
print(f"{len(train)} images to train on, {len(test)} held out")

for loss in (cross_entropy, multi_margin_loss):
    model = Sequential(Linear(64, 16, init="he_normal", seed=1), ReLU(), Linear(16, 4, seed=2))
    history = fit(
        model,
        X[train],
        y[train],
        loss=loss,
        optimizer=Adam(model.parameters(), lr=0.01),
        epochs=options.epochs,
        validation=0.1,
        patience=10,
        tolerance=1e-4,
        keep_best=True,
        seed=options.seed,
    )
    digits = outputs(model, X[test]).argmax(axis=1)
    print(f"{loss.__name__}: {history.stopped} after {len(history)} epochs, best {history.best}")
    print(f"  right on {np.mean(digits == y[test]):.1%} of the held-out images")
    for k in test[digits != y[test]]:
        print(f"  takes a {y[k]} for a {outputs(model, X[k : k + 1]).argmax()}")
