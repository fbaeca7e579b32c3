"""`tapegrad classify`: train a network on pictures, see how good it is, and let it name new ones.

pictures    arrays and class names from handwritten digits or from a folder of class folders
network     the network, the losses, the optimisers by their names; a classifier in a file
training    split, train, count what is right; the confusion matrix
plots       loss curves, the first layer's weights, the confusion matrix, misclassified pictures
engines     one epoch on the other engines, for comparison
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["add_arguments", "run"]

ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "maxout")
LOSSES = ("mse", "cross_entropy", "hinge")
RATES = {"sgd": 0.1, "adagrad": 0.05, "rmsprop": 0.003, "adam": 0.01}  # the learning rates if none is given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tapegrad classify`."""
    data = parser.add_argument_group("the pictures (default: real handwritten digits of scikit-learn, 8 x 8)")
    data.add_argument("--images", metavar="DIR", help="a folder with one folder of pictures for each class")
    data.add_argument("--size", type=_int(1), metavar="N", help="make pictures N x N (default: 16)")
    data.add_argument("--colour", "--color", action="store_true", help="in colour, three numbers a point, not in grey")
    data.add_argument("--strict", action="store_true", help="refuse files that cannot be read; default: skip them")
    data.add_argument(
        "--classes", metavar="A,B,...", help="these alone (default: the digits 0,1,2,3; all folders); all: every one"
    )
    data.add_argument("--held-out", type=_share, default=0.2, metavar="SHARE", help="for the test (default: 0.2)")
    model = parser.add_argument_group("the network")
    model.add_argument(
        "--layers", type=_layers, default=[32], metavar="N,...", help="hidden neurons, layer by layer (default: 32)"
    )
    model.add_argument("--activation", choices=ACTIVATIONS, default="relu", help="default: %(default)s")
    train = parser.add_argument_group("the training")
    train.add_argument("--loss", choices=LOSSES, default="cross_entropy", help="default: %(default)s")
    train.add_argument("--optimizer", choices=tuple(RATES), default="adam", help="default: %(default)s")
    rates = ", ".join(f"{rate} for {name}" for name, rate in RATES.items())
    train.add_argument("--lr", type=_rate, metavar="RATE", help=f"learning rate (default: {rates})")
    train.add_argument("--epochs", type=_int(1), default=100, metavar="N", help="at most (default: %(default)s)")
    train.add_argument("--batch-size", type=_int(1), default=32, metavar="N", help="default: %(default)s")
    train.add_argument(
        "--validation",
        type=_share,
        default=0.1,
        metavar="SHARE",
        help="of the pictures to train on, to see by them when the loss is steady (default: 0.1)",
    )
    train.add_argument(
        "--patience",
        type=_int(0),
        default=10,
        metavar="N",
        help="epochs without a lower loss after which it is steady; 0: go on to the last epoch (default: 10)",
    )
    train.add_argument(
        "--tolerance",
        type=_tolerance,
        default=1e-4,
        metavar="T",
        help="by how much the loss must fall to be lower (default: %(default)s)",
    )
    train.add_argument("--seed", type=_int(0), default=0, metavar="N", help="default: %(default)s")
    train.add_argument("--checkpoint", metavar="FILE", help="keep the state here after every epoch, and go on from it")
    results = parser.add_argument_group("the results")
    results.add_argument("--save", metavar="FILE", help="write the classifier, as JSON")
    results.add_argument("--plot", metavar="DIR", help="write loss.png, weights.png, confusion.png and mistakes.png")
    results.add_argument(
        "--compare-engines", action="store_true", help="train an epoch by eager Values and by the reference too"
    )
    results.add_argument(
        "--predict", nargs="+", metavar=("MODEL", "PICTURE"), help="do not train: name pictures by a saved classifier"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the parsed `arguments` say and return the exit status.

    0: done; 1: a picture to predict could not be read; 2: wrong options or pictures to train on; 130: interrupted.
    """
    try:
        from tapegrad.classify import training

        _check(arguments)
        if arguments.predict:
            return training.predict(arguments.predict[0], arguments.predict[1:])
        training.train(arguments)
    except (ValueError, OSError, FloatingPointError, RuntimeError, ImportError) as error:
        print(f"tapegrad classify: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tapegrad classify: interrupted", file=sys.stderr)
        return 130
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """ValueError for options that do not go together."""
    if arguments.predict:
        for name in ("images", "classes", "save", "plot", "checkpoint", "compare_engines"):
            if getattr(arguments, name):
                raise ValueError(f"--predict does not train: --{name.replace('_', '-')} has no meaning with it")
        if len(arguments.predict) < 2:
            raise ValueError("--predict takes a saved classifier and one picture at least")
    if not arguments.images:
        for name in ("size", "colour", "strict"):
            if getattr(arguments, name):
                raise ValueError(f"--{name} is for pictures of your own: give --images DIR with it")


# ---- values of options ----


def _int(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if int(text) < least:
            raise _wrong(f"must be at least {least}, not {text}")
        return int(text)

    return integer


def _share(text: str) -> float:
    if not 0.0 < float(text) < 1.0:
        raise _wrong(f"must be between 0 and 1, not {text}")
    return float(text)


def _rate(text: str) -> float:
    if not 0.0 < float(text) < float("inf"):
        raise _wrong(f"must be above 0, not {text}")
    return float(text)


def _tolerance(text: str) -> float:
    if not 0.0 <= float(text) < float("inf"):
        raise _wrong(f"must be at least 0, not {text}")
    return float(text)


def _layers(text: str) -> list[int]:
    """Hidden layers: "" for none."""
    sizes = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(part.isdecimal() and int(part) > 0 for part in sizes):
        raise _wrong(f"must be numbers of neurons, as in 32 or 32,16, not {text!r}")
    return [int(part) for part in sizes]


def _wrong(message: str) -> Exception:
    from argparse import ArgumentTypeError

    return ArgumentTypeError(message)
