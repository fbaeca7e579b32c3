"""One training step of micrograd's demo: MLP(2, [16, 16, 1]) on 100 points of two moons, hinge loss and L2, SGD."""

from __future__ import annotations

import math
import random
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapegrad.bench import neurons
from tapegrad.bench.backends import (
    MICROGRAD_NOTE,
    Backend,
    Skip,
    check_close,
    check_equal,
    compiled,
    contenders,
    micrograd,
    reference,
)
from tapegrad.bench.report import Row, rows
from tapegrad.bench.timing import collector, looped, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan

SIZES = [16, 16, 1]
SEED = 1337  # the demo's
ALPHA = 1e-4  # the demo's weight of the L2 term
CHECKED_STEPS = 3  # fmt: skip


def points(count: int) -> tuple[list[list[float]], list[int], str]:
    """Points, their classes -1 and 1, and where they come from, as plain Python numbers."""
    try:
        make_moons = import_module("sklearn.datasets").make_moons
    except ImportError:
        return *our_moons(count), "our own two moons (scikit-learn is not installed)"
    xs, ys = make_moons(n_samples=count, noise=0.1, random_state=SEED)
    return xs.tolist(), [int(y) * 2 - 1 for y in ys], "scikit-learn's make_moons"


def our_moons(count: int) -> tuple[list[list[float]], list[int]]:
    """Two half circles that reach into each other, with noise, in random order; always the same."""
    draw = random.Random(SEED)
    outer = count // 2
    data = []
    for i in range(count):
        upper = i < outer
        of, at = (outer, i) if upper else (count - outer, i - outer)
        angle = math.pi * at / max(of - 1, 1)
        x, y = math.cos(angle), math.sin(angle)
        x, y = (x, y) if upper else (1 - x, 0.5 - y)
        data.append(([x + draw.gauss(0, 0.1), y + draw.gauss(0, 0.1)], -1 if upper else 1))
    draw.shuffle(data)
    return [x for x, _ in data], [y for _, y in data]


class Training:
    """The demo's loop, one step at a time. `model` has micrograd's interface, `value` is its class of values."""

    def __init__(self, value: Any, model: Any, xs: list[list[float]], ys: list[int]) -> None:
        self.value, self.model, self.xs, self.ys = value, model, xs, ys
        self.steps = 0

    def loss(self) -> tuple[Any, float]:
        inputs = [list(map(self.value, xrow)) for xrow in self.xs]
        scores = list(map(self.model, inputs))
        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(self.ys, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        reg_loss = ALPHA * sum(p * p for p in self.model.parameters())
        total_loss = data_loss + reg_loss
        accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(self.ys, scores, strict=True)]
        return total_loss, sum(accuracy) / len(accuracy)

    def step(self) -> tuple[float, float]:
        """Train one step; the loss and the accuracy before it."""
        total_loss, accuracy = self.loss()
        self.model.zero_grad()
        total_loss.backward()
        learning_rate = 1.0 - 0.9 * min(self.steps, 100) / 100
        for p in self.model.parameters():
            p.data -= learning_rate * p.grad
        self.steps += 1
        return total_loss.data, accuracy

    def numbers(self) -> list[float]:
        return [x for p in self.model.parameters() for x in (p.data, p.grad)]

    def checked(self) -> list[float]:
        """Every number that CHECKED_STEPS steps make."""
        return [x for _ in range(CHECKED_STEPS) for x in [*self.step(), *self.numbers()]]

    def timed(self) -> dict[str, float]:
        start = perf_counter()
        self.step()
        return {"": perf_counter() - start}


def float_forward(xs: list[list[float]], ys: list[int]) -> Callable[[], tuple[float, float]]:
    """The loss and the accuracy on plain floats."""
    with neurons.seeded(SEED):
        model = neurons.MLP(float, 2, SIZES, neurons.FloatNeuron)

    def loss() -> tuple[float, float]:
        scores = list(map(model, xs))
        margins = [1 + -yi * scorei for yi, scorei in zip(ys, scores, strict=True)]
        losses = [0 if m < 0 else m for m in margins]
        data_loss = sum(losses) * (1.0 / len(losses))
        reg_loss = ALPHA * sum(p * p for p in model.parameters())
        accuracy = [(yi > 0) == (scorei > 0) for yi, scorei in zip(ys, scores, strict=True)]
        return data_loss + reg_loss, sum(accuracy) / len(accuracy)

    return loss


def python_neurons(backend: Backend) -> Any:
    with neurons.seeded(SEED):
        return neurons.MLP(backend.value, 2, SIZES)


def dot_neurons(backend: Backend) -> Any:
    """tapegrad.nn, whose values are those of the compiled core; its twin for the reference."""
    with neurons.seeded(SEED):
        if backend.name == "tapegrad":
            return import_module("tapegrad.nn").MLP(2, SIZES)
        return neurons.MLP(backend.value, 2, SIZES, neurons.dot_neuron(backend.dot))


def micrograds_own() -> Any:
    with neurons.seeded(SEED):
        return import_module("micrograd.nn").MLP(2, SIZES)


VARIANTS = [("step, neurons in Python", python_neurons), ("step, tapegrad.nn", dot_neurons)]


def step(plan: Plan, progress: Progress) -> Iterator[Row | str]:
    xs, ys, source = points(plan.sizes.points)
    yield f"{len(xs)} points: {source}. Floats: the forward pass alone, with neurons in Python, in every row."
    floats = looped(float_forward(xs, ys))
    for title, make in VARIANTS:
        progress.say("checking")
        base, ours = (Training(b.value, make(b), xs, ys) for b in (reference(), compiled()))
        with collector(False):
            check_equal(f"two moons, {title}, {CHECKED_STEPS} steps", ours.checked(), base.checked())
        timings = measure(contenders(base.timed, ours.timed, floats), progress.tick, plan.pace)
        yield from rows(title, timings, "ms", 1e3)
    try:
        micrograd()
    except Skip as skip:
        yield f"skipped: {skip}"
        return
    yield MICROGRAD_NOTE
    for title, make in VARIANTS:
        theirs = Training(micrograd().value, micrograds_own(), xs, ys)
        ours = Training(compiled().value, make(compiled()), xs, ys)
        check_close(f"two moons, {title}", [ours.step()[0], *ours.numbers()], [theirs.step()[0], *theirs.numbers()])
        timings = measure(contenders(theirs.timed, ours.timed, floats), progress.tick, plan.pace)
        yield from rows(title, timings, "ms", 1e3, baseline="micrograd")
