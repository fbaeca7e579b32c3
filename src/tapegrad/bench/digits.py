"""The main job: a classifier of scikit-learn's real 8x8 images of handwritten digits, trained by mini-batches.

MLP(64, [16, 10]), softmax cross-entropy written on Values, plain SGD. First the same few steps on the reference and on
tapegrad, compared number by number; then tapegrad alone for some epochs, watched on images it does not train on.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapegrad.bench import neurons
from tapegrad.bench.backends import (
    BASE_OFF,
    BASE_ON,
    FLOATS,
    OURS,
    Backend,
    Skip,
    check_equal,
    compiled,
    reference,
)
from tapegrad.bench.report import Row, rows
from tapegrad.bench.timing import Measured, Timing, collector, hidden, looped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan

SIZES = [16, 10]
SEED = 0
BATCH = 32
HELD_OUT = 360  # of the 1,797 images
LEARNING_RATE = 0.2
SCALE = 0.25  # of micrograd's first weights, which are meant for 2 inputs and not for 64  # fmt: skip

Example = tuple[list[float], int]


def examples() -> tuple[list[Example], list[Example]]:
    """Images as 64 numbers from 0 to 1 with their digits: those to train on, those held out."""
    try:
        load_digits = import_module("sklearn.datasets").load_digits
    except ImportError:
        raise Skip("digits needs scikit-learn: pip install tapegrad[data]") from None
    data = load_digits()
    images, digits = data.data.tolist(), data.target.tolist()
    both = [([x / 16.0 for x in image], digit) for image, digit in zip(images, digits, strict=True)]
    random.Random(SEED).shuffle(both)
    return both[HELD_OUT:], both[:HELD_OUT]


def model_on(backend: Backend) -> Any:
    """tapegrad.nn, whose values are those of the compiled core; its twin for the reference."""
    with neurons.seeded(SEED):
        if backend.name == "tapegrad":
            model = import_module("tapegrad.nn").MLP(64, SIZES)
        else:
            model = neurons.MLP(backend.value, 64, SIZES, neurons.dot_neuron(backend.dot))
    for p in model.parameters():
        p.data *= SCALE
    return model


def cross_entropy(scores: list[Any], digit: int) -> Any:
    """-log of the probability that softmax gives to the digit."""
    highest = max(s.data for s in scores)
    total = sum((s - highest).exp() for s in scores)
    return total.log() + highest - scores[digit]


class Training:
    """Mini-batches in an order that depends on nothing but SEED."""

    def __init__(self, backend: Backend, data: list[Example]) -> None:
        self.value, self.model, self.data = backend.value, model_on(backend), data
        self.order = random.Random(SEED)
        self.queue: list[Example] = []

    def batch(self) -> list[Example]:
        if len(self.queue) < BATCH:
            self.queue = self.order.sample(self.data, len(self.data))
        batch, self.queue = self.queue[:BATCH], self.queue[BATCH:]
        return batch

    def scores(self, image: list[float]) -> list[Any]:
        scores: list[Any] = self.model([self.value(x) for x in image])
        return scores

    def step(self) -> float:
        """Train on one mini-batch; its loss before that."""
        batch = self.batch()
        losses = [cross_entropy(self.scores(image), digit) for image, digit in batch]
        loss = sum(losses) * (1.0 / len(losses))
        self.model.zero_grad()
        loss.backward()
        for p in self.model.parameters():
            p.data -= LEARNING_RATE * p.grad
        result: float = loss.data
        return result

    def accuracy(self, data: list[Example]) -> float:
        hits = 0
        for image, digit in data:
            scores = [s.data for s in self.scores(image)]
            hits += scores.index(max(scores)) == digit
        return hits / len(data)

    def parameters(self) -> list[float]:
        return [p.data for p in self.model.parameters()]


class FloatLoss:
    """The loss of a mini-batch on plain floats."""

    def __init__(self) -> None:
        with neurons.seeded(SEED):
            self.model = neurons.MLP(lambda x: x * SCALE, 64, SIZES, neurons.FloatNeuron)

    def cross_entropy(self, scores: list[float], digit: int) -> float:
        highest = max(scores)
        return math.log(sum(math.exp(s - highest) for s in scores)) + highest - scores[digit]

    def __call__(self, batch: list[Example]) -> float:
        losses = [self.cross_entropy(self.model(image), digit) for image, digit in batch]
        return sum(losses) * (1.0 / len(losses))


@dataclass
class Run:
    """The same steps in one state of the collector, with everything they computed."""

    training: Training
    gc_on: bool
    timing: Timing
    losses: list[float]

    def step(self) -> None:
        with collector(self.gc_on):
            start = perf_counter()
            self.losses.append(self.training.step())
            self.timing.samples.append(perf_counter() - start)


def train(plan: Plan, progress: Progress) -> Iterator[Row | str | Epoch]:
    data, held_out = examples()
    yield (
        f"{len(data):,} images to train on, {len(held_out)} held out; MLP(64, {SIZES}), batches of {BATCH}. "
        "Floats: the forward pass alone, with neurons in Python."
    )
    runs = {
        BASE_ON: Run(Training(reference(), data), True, Timing(), []),
        BASE_OFF: Run(Training(reference(), data), False, Timing(), []),
        OURS: Run(Training(compiled(), data), True, Timing(), []),
    }
    with hidden():
        for _ in range(plan.sizes.steps):
            for run in runs.values():
                run.step()
            progress.tick()
    ours = runs[OURS]
    for key in (BASE_ON, BASE_OFF):
        check_equal(f"digits, losses ({key})", ours.losses, runs[key].losses)
        check_equal(f"digits, parameters ({key})", ours.training.parameters(), runs[key].training.parameters())
    yield (
        f"{plan.sizes.steps} steps on the reference and on tapegrad: all {plan.sizes.steps} losses and all "
        f"{len(ours.training.parameters()):,} parameters after them are equal to the bit. "
        f"So far right on {ours.training.accuracy(data):.1%} of the training and "
        f"{ours.training.accuracy(held_out):.1%} of the held-out images."
    )
    timings = {key: run.timing for key, run in runs.items()}
    loss, batch = FloatLoss(), ours.training.batch()
    floats = looped(lambda: loss(batch))
    timings[FLOATS] = Timing([floats()[""] for _ in range(5)])
    yield from rows("training step", Measured({"": timings}, steady=True), "ms", 1e3)
    yield "The same training from its start, on tapegrad alone:"
    yield from epochs(Training(compiled(), data), held_out, plan.sizes.epochs, progress)


@dataclass
class Epoch:
    """What one pass over the training images came to. `seconds` is the training alone, without the two accuracies."""

    epoch: int
    loss: float
    train_accuracy: float
    held_out_accuracy: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch:2}: {self.seconds:5.2f} s, mean loss {self.loss:.3f}, right on "
            f"{self.train_accuracy:.1%} of the training and {self.held_out_accuracy:.1%} of the held-out images"
        )


def epochs(training: Training, held_out: list[Example], count: int, progress: Progress) -> Iterator[str | Epoch]:
    """Train on tapegrad alone from the same start and watch it learn."""
    yield f"before:   right on {training.accuracy(held_out):.1%} of the held-out images (by chance: 10%)."
    steps = len(training.data) // BATCH
    for epoch in range(1, count + 1):
        start = perf_counter()
        losses = [training.step() for _ in range(steps)]
        seconds = perf_counter() - start
        progress.tick()
        accuracies = training.accuracy(training.data), training.accuracy(held_out)
        yield Epoch(epoch, sum(losses) / steps, *accuracies, seconds)
