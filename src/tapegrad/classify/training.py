"""What `tapegrad classify` does, step by step."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.classify import RATES, network, pictures
from tapegrad.fitting import fit, outputs
from tapegrad.wording import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tapegrad.classify.network import Classifier
    from tapegrad.classify.pictures import Pictures
    from tapegrad.trainer import History

__all__ = ["confusion", "predict", "split", "table", "train"]


def train(arguments: argparse.Namespace) -> None:
    """Train, print how good it is, and write what the options ask for."""
    for path in (arguments.save, arguments.checkpoint):
        if path and not Path(path).absolute().parent.is_dir():
            raise ValueError(f"there is no folder for {path}")
    if arguments.plot:
        from tapegrad.classify import plots

        plots.writable(arguments.plot)
    data = load(arguments)
    training, test = split(data, arguments.held_out, arguments.seed)
    classifier = network.Classifier(
        data.classes, data.size, data.colour, arguments.layers, arguments.activation, arguments.seed
    )
    describe(arguments, classifier, training, test)
    if arguments.compare_engines:
        from tapegrad.classify import engines

        engines.compare(arguments, classifier, training)
    start = perf_counter()
    history = fitted(arguments, classifier, training)
    print(f"{history}\n{ending(history)}; {perf_counter() - start:.2f} s")
    counts = confusion(test.y, outputs(classifier.network, test.X).argmax(axis=1), len(data.classes))
    right = counts.trace()
    print(f"held out: {right} of {len(test)} right, {right / len(test):.1%}\n\n{table(counts, data.classes)}")
    if arguments.save:
        classifier.save(arguments.save)
    if arguments.plot:
        from tapegrad.classify import plots

        plots.write(arguments.plot, classifier, history, counts, test)


def load(arguments: argparse.Namespace) -> Pictures:
    """The pictures; what could not be read is named, or refused."""
    if arguments.images is None:
        return pictures.digits(arguments.classes)
    data, problems = pictures.folder(arguments.images, arguments.size or 16, arguments.colour, arguments.classes)
    if problems and arguments.strict:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ValueError(f"{len(problems)} of {len(problems) + len(data)} files cannot be read:{lines}")
    for problem in problems:
        print(f"skipped {problem}", file=sys.stderr)
    return data


def split(data: Pictures, share: float, seed: int) -> tuple[Pictures, Pictures]:
    """Pictures to train on and to test, of each class the same share, and one at least."""
    held: list[int] = []
    for k in range(len(data.classes)):
        own = np.flatnonzero(data.y == k).tolist()
        random.Random(f"{seed} {k}").shuffle(own)
        held += own[: min(max(1, round(len(own) * share)), len(own) - 1)]
    rest = sorted(set(range(len(data))) - set(held))
    return data[rest], data[sorted(held)]


def describe(arguments: argparse.Namespace, classifier: Classifier, training: Pictures, test: Pictures) -> None:
    kind = "in colour" if training.colour else "grey"
    print(
        f"{len(training) + len(test)} pictures of {len(training.classes)} classes ({' '.join(training.classes)}), "
        f"{training.size} x {training.size}, {kind}: {len(training)} to train on, {len(test)} held out"
    )
    hidden = "".join(f"{n} {arguments.activation}, " for n in arguments.layers)
    print(
        f"{training.X.shape[1]} numbers, {hidden}{len(training.classes)} scores: "
        f"{len(classifier.network.parameters()):,} parameters; {arguments.loss}, {arguments.optimizer}, "
        f"learning rate {rate(arguments)}"
    )


def rate(arguments: argparse.Namespace) -> float:
    return RATES[arguments.optimizer] if arguments.lr is None else arguments.lr


def fitted(arguments: argparse.Namespace, classifier: Classifier, training: Pictures, **options: Any) -> History:
    """Train the classifier."""
    patience = arguments.patience or None
    watch = patience is not None and round(len(training) * arguments.validation) >= 1
    model = classifier.network
    keywords: dict[str, Any] = {
        "epochs": arguments.epochs,
        "validation": arguments.validation if watch else None,
        "patience": patience,
        "tolerance": arguments.tolerance,
        "keep_best": patience is not None,
        "checkpoint": arguments.checkpoint,
        **options,
    }
    return fit(
        model,
        training.X,
        training.y,
        loss=network.loss(arguments.loss),
        optimizer=network.optimizer(arguments.optimizer, model.parameters(), rate(arguments)),
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        **keywords,
    )


def ending(history: History) -> str:
    if history.stopped == "steady":
        return f"the loss is steady; the parameters are those of epoch {history.best}"
    return f"{len(history)} epochs are over"


def confusion(y: Any, predicted: Any, classes: int) -> Any:
    """How often a picture of each class (row) was taken for each (column).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(y * classes + predicted, minlength=classes**2).reshape(classes, classes)


def table(counts: Any, classes: Sequence[str]) -> str:
    """A confusion matrix as text.

    >>> print(table([[2, 0], [1, 3]], ["cat", "dog"]))
    is \\ taken for  cat  dog
               cat    2    .
               dog    1    3
    """
    corner = "is \\ taken for"
    first = max(len(corner), *map(len, classes))
    width = max(3, *(len(str(n)) for row in counts for n in row), *map(len, classes))
    lines = [f"{corner:>{first}}  " + "  ".join(f"{name:>{width}}" for name in classes)]
    for name, row in zip(classes, counts, strict=True):
        lines.append(f"{name:>{first}}  " + "  ".join(f"{n or '.':>{width}}" for n in row))
    return "\n".join(lines)


def predict(model: str, paths: Sequence[str]) -> int:
    """Print for each picture the class with the highest score, and the scores; the exit status."""
    classifier = network.Classifier.load(model)
    pictures.package("PIL.Image", "Pillow", "images")
    status = 0
    for path in paths:
        try:
            x = pictures.read(path, classifier.size, classifier.colour)
        except ValueError as error:
            print(f"tapegrad classify: {error}", file=sys.stderr)
            status = 1
            continue
        scores: list[float] = outputs(classifier.network, [x])[0].tolist()
        names = [clean(name, 200) for name in classifier.classes]  # of a file that somebody else may have made
        best = names[scores.index(max(scores))]
        listed = ", ".join(f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True))
        print(f"{path}: {best} (scores: {listed})")
    return status
