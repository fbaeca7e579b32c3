"""Pictures of a training, by matplotlib."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.classify.pictures import package
from tapegrad.fitting import outputs
from tapegrad.nn import Linear

if TYPE_CHECKING:
    from tapegrad.classify.network import Classifier
    from tapegrad.classify.pictures import Pictures
    from tapegrad.trainer import History

__all__ = ["writable", "write"]

MOST = 64  # panels in one picture


def writable(folder: str) -> None:
    """ValueError or OSError unless plots can be written there: before the training, not after."""
    package("matplotlib.figure", "matplotlib", "plots")
    Path(folder).mkdir(parents=True, exist_ok=True)


def write(folder: str, classifier: Classifier, history: History, counts: Any, test: Pictures) -> None:
    """Write loss.png, weights.png, confusion.png and mistakes.png."""
    drawn = {
        "loss": losses(history),
        "weights": weights(classifier),
        "confusion": confusion(counts, classifier.classes),
        "mistakes": mistakes(classifier, test),
    }
    for name, figure in drawn.items():
        figure.savefig(Path(folder) / f"{name}.png", dpi=100, metadata={"Software": None})


def figure_of(width: float, height: float) -> Any:
    figure = package("matplotlib.figure", "matplotlib", "plots").Figure
    return figure(figsize=(width, height), layout="constrained")


def losses(history: History) -> Any:
    """Losses and errors, epoch by epoch."""
    figure = figure_of(9, 3.6)
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history) + 1)
    for name, values, accuracies in (
        ("training", history.losses, history.accuracies),
        ("validation", history.validation_losses, history.validation_accuracies),
    ):
        if values:
            left.plot(epochs, values, label=name)
            right.plot(epochs, [100 * (a or 0.0) for a in accuracies], label=name)
    left.set(title="mean loss", xlabel="epoch", yscale="log")
    right.set(title="right, %", xlabel="epoch")
    for axes in (left, right):
        axes.axvline(history.best, color="0.6", linewidth=0.8, linestyle="--", label="best epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def panels(pictures: list[Any], titles: list[str], title: str, **options: Any) -> Any:
    """Small pictures side by side."""
    across = max(1, min(8, len(pictures)))
    down = max(1, math.ceil(len(pictures) / across))
    figure = figure_of(max(3.5, 1.15 * across), 1.35 * down + 0.5)
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, picture, text in zip(grid, pictures, titles, strict=False):
        axes.imshow(picture, **options)
        axes.set_title(text, fontsize=7)
    return figure


def as_picture(x: Any, size: int, colour: bool) -> Any:
    return np.asarray(x).reshape((size, size, 3) if colour else (size, size))


def weights(classifier: Classifier) -> Any:
    """The weights of the first layer, each neuron's as a picture: what it looks for."""
    first = classifier.network[0]
    assert isinstance(first, Linear)
    rows = np.array([[w.data for w in row] for row in first.weight[:MOST]])
    bound = np.abs(rows).max() or 1.0
    if classifier.colour:
        rows = 0.5 + rows / (2 * bound)
    pictures = [as_picture(row, classifier.size, classifier.colour) for row in rows]
    options = {} if classifier.colour else {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}
    shown = f"{len(rows)} of {len(first.weight)}" if len(first.weight) > MOST else str(len(rows))
    title = f"weights of the first layer ({shown}): red is above 0, blue below"
    if classifier.colour:
        title = f"weights of the first layer ({shown}): grey is 0"
    return panels(pictures, [str(k) for k in range(len(rows))], title, **options)


def confusion(counts: Any, classes: list[str]) -> Any:
    """The confusion matrix: colours by row, numbers as they are."""
    n = len(classes)
    figure = figure_of(2.6 + 0.5 * n, 2.2 + 0.5 * n)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(n):
        for column in range(n):
            if counts[row, column]:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set(xlabel="taken for", ylabel="is", title="held-out pictures")
    axes.set_xticks(range(n), classes, rotation=0 if max(map(len, classes)) < 4 else 45)
    axes.set_yticks(range(n), classes)
    return figure


def mistakes(classifier: Classifier, test: Pictures) -> Any:
    """The held-out pictures that are taken for another class."""
    predicted = outputs(classifier.network, test.X).argmax(axis=1)
    wrong = np.flatnonzero(predicted != test.y).tolist()
    pictures = [as_picture((test.X[k] + 1) / 2, test.size, test.colour) for k in wrong[:MOST]]
    titles = [f"{test.classes[test.y[k]]}, not {test.classes[predicted[k]]}" for k in wrong[:MOST]]
    options = {} if test.colour else {"cmap": "gray", "vmin": 0, "vmax": 1}
    return panels(pictures, titles, f"{len(wrong)} of {len(test)} held-out pictures are mistaken", **options)
