"""A program of a user's: layers, losses, optimisers, `fit`; pictures of graphs and derivatives explained."""

from typing import Any, assert_type

import numpy as np

import tapegrad as tg
from tapegrad import Value, draw, explain, fit
from tapegrad.losses import cross_entropy, mse_loss
from tapegrad.nn import Linear, Module, ReLU, Sequential, Tanh
from tapegrad.optim import SGD, Adam, LambdaLR, StepLR

network = Sequential(Linear(2, 4, seed=0), Tanh(), Linear(4, 4), ReLU(), Linear(4, 2))
parameters = network.parameters()
assert_type(parameters, list[Value])
optimizer = Adam(parameters, lr=0.01, betas=(0.9, 0.99))
schedule = StepLR(optimizer, step_size=1, gamma=0.5)
for _ in range(2):
    optimizer.zero_grad()
    loss: Value = cross_entropy([network([0.0, 1.0]), network([1.0, 0.0])], [0, 1])
    loss.backward()
    optimizer.step()
    schedule.step()
assert_type(schedule.get_last_lr(), list[float])
groups = SGD([{"params": parameters, "lr": 0.1, "momentum": 0.9}])
scheduled = LambdaLR(groups, lambda epoch: 1 / (1 + epoch))
state: dict[str, Any] = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
network.load_state_dict(state["model"])


class Model(Module):
    """A module of one's own."""

    def __init__(self) -> None:
        self.weight, self.bias = Value(0.5), Value(0.0)

    def __call__(self, x: Any) -> Value:
        result: Value = x[0] * self.weight + self.bias
        return result


model = Model()
x = np.array([[0.0], [1.0], [2.0]])
history = fit(model, x, np.array([1.0, 3.0, 5.0]), loss=mse_loss, epochs=2, callback=lambda h: len(h) > 5)
assert_type(history.stopped, str)
assert_type(len(history), int)

a, b = Value(2.0), Value(3.0)
y = a * b + tg.sum([a, b])
drawing = draw(y, names={"a": a})
assert_type(drawing.svg(), str)
explanation = explain(y, a)
for chain in explanation.paths:
    print(chain)
print(history, explanation, scheduled.get_last_lr())
