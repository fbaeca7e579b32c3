"""Neurons written in Python, line by line as micrograd 0.1.0 writes them, on any class of values."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Neuron:
    """`value` makes a parameter of a number."""

    def __init__(self, value: Callable[[float], Any], nin: int, nonlin: bool) -> None:
        self.w = [value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = value(0)
        self.nonlin = nonlin

    def __call__(self, x: list[Any]) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)  # noqa: B905 - as micrograd writes it
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Any]:
        return self.w + [self.b]  # noqa: RUF005 - as micrograd writes it


class FloatNeuron(Neuron):
    """The same arithmetic on plain floats, which have no `relu`."""

    def __call__(self, x: list[Any]) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)  # noqa: B905
        return (0 if act < 0 else act) if self.nonlin else act


def dot_neuron(dot: Any) -> type[Neuron]:
    """Neurons that take their weighted sum from `dot`, as those of tapegrad.nn do."""

    class DotNeuron(Neuron):
        def __call__(self, x: list[Any]) -> Any:
            act = dot(self.w, x, self.b)
            return act.relu() if self.nonlin else act

    return DotNeuron


class Layer:
    def __init__(self, value: Callable[[float], Any], nin: int, nout: int, nonlin: bool, neuron: type[Neuron]) -> None:
        self.neurons = [neuron(value, nin, nonlin) for _ in range(nout)]

    def __call__(self, x: list[Any]) -> Any:
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Any]:
        return [p for n in self.neurons for p in n.parameters()]


class MLP:
    def __init__(
        self, value: Callable[[float], Any], nin: int, nouts: list[int], neuron: type[Neuron] = Neuron
    ) -> None:
        sz = [nin, *nouts]
        self.layers = [Layer(value, sz[i], sz[i + 1], i != len(nouts) - 1, neuron) for i in range(len(nouts))]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Any]:
        return [p for layer in self.layers for p in layer.parameters()]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run the body with Python's random numbers seeded, and put their state back."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
