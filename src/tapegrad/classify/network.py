"""The network of a classifier, and its losses and optimisers by name; a classifier that is kept in a file."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from itertools import pairwise
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapegrad import losses, optim
from tapegrad.files import write_whole
from tapegrad.nn import LeakyReLU, Linear, Maxout, Module, ReLU, Sequential, Sigmoid, Tanh
from tapegrad.states import need_count, need_list
from tapegrad.wording import clean

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["Classifier", "loss", "optimizer"]

KIND = "tapegrad classifier 1"
SHAPES = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU, "leaky_relu": LeakyReLU}
OPTIMIZERS = {"sgd": optim.SGD, "adagrad": optim.Adagrad, "rmsprop": optim.RMSprop, "adam": optim.Adam}


@dataclass
class Classifier:
    """A network with a score for each class, and what pictures it takes."""

    classes: list[str]
    size: int
    colour: bool
    layers: list[int]
    activation: str
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = [self.size**2 * (3 if self.colour else 1), *self.layers]
        rng = random.Random(self.seed)
        init = "xavier_uniform" if self.activation in ("sigmoid", "tanh") else "he_normal"
        parts: list[Module] = []
        for n, m in pairwise(sizes):
            if self.activation == "maxout":
                parts.append(Maxout(n, m, init=init, seed=rng))
            else:
                parts += [Linear(n, m, init=init, seed=rng), SHAPES[self.activation]()]
        self.network: Sequential = Sequential(
            *parts, Linear(sizes[-1], len(self.classes), init="xavier_uniform", seed=rng)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the classifier to a file, whole or not at all."""
        kept = {name: x for name, x in vars(self).items() if name != "network"}
        text = json.dumps({"kind": KIND, **kept, "parameters": self.network.state_dict()})
        write_whole(path, text.encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Classifier:
        """The classifier that was saved; ValueError for a file that has none."""
        try:
            content = Path(path).read_bytes()
            kept = json.loads(content)
            if kept.pop("kind") != KIND:
                raise ValueError(f"it is no {KIND}")
            if fewest_bytes(kept) > len(content):  # before a network of that size is built
                raise ValueError("it is too short for a network of that size")
            need_sizes(kept)
            parameters = kept.pop("parameters")
            classifier = cls(**kept)
            classifier.network.load_state_dict(parameters)
        except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            text = clean(error, 1000)
            raise ValueError(f"{path} is no classifier that tapegrad classify has saved: {text}") from error
        return classifier


def need_sizes(kept: dict[str, Any]) -> None:
    """A ValueError unless there are names of classes, and sizes that a network can have."""
    if not all(isinstance(name, str) for name in need_list(kept["classes"], "classes")):
        raise ValueError("classes must be strings")
    if 0 in [need_count(n, "a size") for n in (kept["size"], *need_list(kept["layers"], "layers"))]:
        raise ValueError("sizes must be at least 1")
    if not isinstance(kept["colour"], bool):
        raise ValueError("colour must be true or false")


def fewest_bytes(kept: dict[str, Any]) -> int:
    """How long a file with the weights of such a network is at least: a digit and a comma each."""
    sizes = [kept["size"] ** 2, *kept["layers"], len(kept["classes"])]
    return sum([2 * abs(index(n) * index(m)) for n, m in pairwise(sizes)])


def loss(name: str) -> Any:
    """The loss of a row of scores and a class."""
    named = {"mse": squared, "cross_entropy": losses.cross_entropy, "hinge": losses.multi_margin_loss}
    return named[name]


def squared(scores: Any, y: Any) -> Any:
    """The mean squared error of the scores, which should be 1 for the class and 0 for the others."""
    return losses.mse_loss(scores, losses.one_hot(y, len(scores)))


def optimizer(name: str, parameters: Iterable[Any], lr: float) -> optim.Optimizer:
    made: optim.Optimizer = OPTIMIZERS[name](parameters, lr=lr)
    return made
