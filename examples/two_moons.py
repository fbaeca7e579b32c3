"""micrograd's demo and its picture: a network of 337 parameters tells two moons apart.

    python examples/two_moons.py
    python examples/two_moons.py --plot moons.png

Trains MLP(2, [16, 16, 1]) on 100 points with the hinge loss, a penalty on large weights and gradient descent. --plot
draws where the network decides for which moon, and the losses; it needs matplotlib (pip install 'tapegrad[plots]').
"""

import argparse
import random

from tapegrad.bench.moons import our_moons
from tapegrad.losses import hinge_loss, l2_penalty
from tapegrad.nn import MLP
from tapegrad.optim import SGD, LambdaLR


def train(model, xs, ys, steps):
    """Train the model; the loss before each step."""
    optimizer = SGD(model.parameters(), lr=1.0)
    schedule = LambdaLR(optimizer, lambda step: 1.0 - 0.9 * min(step, 100) / 100)
    losses = []
    for step in range(steps):
        scores = [model(x) for x in xs]
        loss = hinge_loss(scores, ys) + 1e-4 * l2_penalty(model.parameters())
        losses.append(loss.data)
        if step % 10 == 0 or step == steps - 1:
            right = sum((score.data > 0) == (y > 0) for score, y in zip(scores, ys, strict=True))
            print(f"step {step} loss {loss.data:.6f} right {right}/{len(ys)}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return losses


def picture(model, xs, ys, losses):
    from matplotlib import pyplot

    from tapegrad import plots

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    plots.decision_boundary(model, xs, ys, axes=left)
    plots.loss_history(losses, log=True, axes=right)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--plot", metavar="FILE", help="draw the decision boundary and the losses to FILE")
    arguments = parser.parse_args()

    random.seed(1337)
    xs, ys = our_moons(arguments.points)
    model = MLP(2, [16, 16, 1])
    print(f"{arguments.points} points, {len(model.parameters())} parameters")
    losses = train(model, xs, ys, arguments.steps)
    if arguments.plot:
        picture(model, xs, ys, losses).savefig(arguments.plot)


if __name__ == "__main__":
    main()
