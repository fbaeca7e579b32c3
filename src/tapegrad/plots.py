"""Pictures of what derivatives are for, with matplotlib: `pip install 'tapegrad[plots]'`.

Each function draws into `axes`, or into a new figure if none is given, and returns the matplotlib axes, of which
`.figure` is the figure. Functions of the program's are called with Values, and may return Values or plain numbers.

>>> import matplotlib
>>> matplotlib.use("agg")
>>> axes = function_and_derivative(lambda x: 2 * x**2 - 3 * x + 4)
>>> [line.get_label() for line in axes.lines]
['f(x)', "f'(x)"]
>>> axes.figure.savefig("slope.svg")  # doctest: +SKIP
"""

# pyright: reportUnknownMemberType=false
# (matplotlib's own types leave much open)

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from tapegrad.engine import Value
from tapegrad.optim import SGD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from matplotlib.axes import Axes

    from tapegrad.optim import Optimizer

__all__ = ["decision_boundary", "descend", "descent", "function_and_derivative", "loss_history"]


def function_and_derivative(
    f: Callable[[Any], Any],
    start: float = -3.0,
    stop: float = 4.0,
    *,
    points: int = 281,
    name: str = "f",
    axes: Axes | None = None,
) -> Axes:
    """f and its derivative at `points` evenly spaced places of the interval [start, stop).

    The derivative is that of a backward sweep at each place. A ValueError for an interval that is empty or not finite,
    and for fewer than 2 points.

    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> function, derivative = function_and_derivative(lambda x: x * x, 0.0, 4.0, points=4).lines
    >>> derivative.get_xydata().tolist()
    [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]
    """
    if not (isfinite(start) and isfinite(stop) and start < stop):
        raise ValueError(f"the interval from start to stop must be finite and not empty, not [{start!r}, {stop!r})")
    if points < 2:
        raise ValueError(f"points must be at least 2, not {points!r}")
    xs = [start + (stop - start) * k / points for k in range(points)]
    values: list[float] = []
    slopes: list[float] = []
    for x in map(Value, xs):
        y = f(x)
        if isinstance(y, Value):
            y.backward()
        values.append(_plain(y))
        slopes.append(float(x.grad))
    axes = _axes(axes)
    axes.plot(xs, values, label=f"{name}(x)")
    axes.plot(xs, slopes, "--", label=f"{name}'(x)")
    axes.set_xlabel("x")
    axes.grid(alpha=0.3)
    axes.legend()
    return axes


def descend(
    f: Callable[[Any, Any], Any],
    start: tuple[float, float],
    steps: int = 50,
    optimizer: Callable[[list[Value]], Optimizer] | None = None,
) -> list[tuple[float, float]]:
    """The points (x, y) that an optimiser goes through from `start` on, downhill on f(x, y): steps + 1 of them.

    `optimizer` makes one for a list of two parameters; by default SGD with lr=0.1.

    >>> descend(lambda x, y: x * x + 2 * y * y, (1.0, 1.0), steps=2)
    [(1.0, 1.0), (0.8, 0.6), (0.64, 0.36)]
    """
    x, y = Value(float(start[0])), Value(float(start[1]))
    along = SGD([x, y], lr=0.1) if optimizer is None else optimizer([x, y])
    path = [(x.data, y.data)]
    for _ in range(steps):
        along.zero_grad()
        f(x, y).backward()
        along.step()
        path.append((x.data, y.data))
    return path


def descent(
    f: Callable[[Any, Any], Any],
    path: Sequence[tuple[float, float]] | Mapping[str, Sequence[tuple[float, float]]],
    *,
    resolution: int = 80,
    levels: int = 25,
    axes: Axes | None = None,
) -> Axes:
    """A path on the surface f(x, y), seen from above: contours of f, and the points joined in their order.

    path        points (x, y), as from `descend`; or several paths with a name each
    resolution  how many places in each direction f is computed at, for the contours
    levels      how many contours; they lie denser where the surface is low

    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> bowl = lambda x, y: x * x + 2 * y * y
    >>> descent(bowl, descend(bowl, (1.0, 1.0), steps=2)).lines[0].get_xydata().tolist()
    [[1.0, 1.0], [0.8, 0.6], [0.64, 0.36]]
    """
    import numpy as np

    paths = {name: list(points) for name, points in (path if isinstance(path, Mapping) else {"": path}).items()}
    places = np.array([point for points in paths.values() for point in points], dtype=float)
    if places.ndim != 2 or places.shape[1] != 2 or not all(paths.values()):
        raise ValueError("a path is a sequence of points (x, y), one at least")
    xs, ys = _around(places, resolution)
    zs = np.array([[_plain(f(Value(x), Value(y))) for x in xs] for y in ys])
    low, high = float(np.nanmin(zs)), float(np.nanmax(zs))
    heights = low + (high - low) * np.linspace(0.0, 1.0, levels) ** 2 if high > low else None
    axes = _axes(axes)
    axes.contourf(xs, ys, zs, levels=heights, cmap="viridis", alpha=0.75)
    for k, (name, points) in enumerate(paths.items()):
        colour = "white" if len(paths) == 1 else f"C{k + 1}"
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=colour, linewidth=1, label=name or "_")
        axes.plot(*points[-1], marker="*", markersize=11, color=colour, markeredgecolor="black", label="_")
    axes.set(xlabel="x", ylabel="y")
    if any(paths):
        axes.legend()
    return axes


def loss_history(
    history: Iterable[Any] | Mapping[str, Iterable[Any]], *, log: bool = False, axes: Axes | None = None
) -> Axes:
    """Losses, or whatever else was noted step by step: one sequence, or several with a name each.

    `log` makes the vertical axis logarithmic. Values are taken by their data.

    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> axes = loss_history({"training": [4.0, 2.0, 1.0], "validation": [4.0, 3.0, 2.5]}, log=True)
    >>> [(line.get_label(), line.get_ydata().tolist()) for line in axes.lines]
    [('training', [4.0, 2.0, 1.0]), ('validation', [4.0, 3.0, 2.5])]
    """
    axes = _axes(axes)
    named: Mapping[str, Iterable[Any]] = history if isinstance(history, Mapping) else {"loss": history}
    for name, losses in named.items():
        numbers = [_plain(loss) for loss in losses]
        axes.plot(range(len(numbers)), numbers, label=name, marker="." if len(numbers) < 30 else "")
    axes.set(xlabel="step", ylabel="loss")
    if log:
        axes.set_yscale("log")
    if named and named is history:
        axes.legend()
    axes.grid(alpha=0.3)
    return axes


def decision_boundary(
    model: Callable[[list[Any]], Any],
    xs: Sequence[Sequence[float]],
    ys: Sequence[Any],
    *,
    resolution: int = 60,
    axes: Axes | None = None,
) -> Axes:
    """Where a classifier of points in the plane decides for which class, and the points `xs` of the classes `ys`.

    `model([x, y])` gives one score, which decides at 0 between two classes, the lower one below; or a list of scores,
    one for each class in order, of which the highest decides. What it gives is computed at resolution**2 places.

    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> axes = decision_boundary(lambda x: x[0] - x[1], [[0.0, 1.0], [1.0, 0.0]], [-1, 1], resolution=5)
    >>> [points.get_offsets().tolist() for points in axes.collections[-2:]]
    [[[0.0, 1.0]], [[1.0, 0.0]]]
    """
    import numpy as np

    places, classes = np.array(xs, dtype=float), sorted(set(ys))
    if places.ndim != 2 or places.shape[1] != 2 or len(places) != len(ys):
        raise ValueError("xs must be points in the plane, one pair of numbers each, and ys must have a class for each")
    across, up = _around(places, resolution)
    scores: list[list[Any]] = [[model([Value(x), Value(y)]) for x in across] for y in up]
    if isinstance(scores[0][0], (list, tuple)):
        field = np.array([[np.argmax([_plain(score) for score in of]) for of in row] for row in scores], dtype=float)
        edges = [k - 0.5 for k in range(len(scores[0][0]) + 1)]
    else:
        field = np.array([[_plain(score) for score in row] for row in scores])
        most = max(1.0, float(np.max(np.abs(field))))
        edges = [-most, 0.0, most]
    if len(classes) > len(edges) - 1:
        raise ValueError(f"ys has {len(classes)} classes, and the model decides between {len(edges) - 1}")
    axes = _axes(axes)
    axes.contourf(across, up, field, levels=edges, colors=[f"C{k}" for k in range(len(edges) - 1)], alpha=0.25)
    for k, y in enumerate(classes):
        mine = places[[bool(other == y) for other in ys]]
        axes.scatter(mine[:, 0], mine[:, 1], s=22, color=f"C{k}", edgecolors="white", linewidths=0.5, label=str(y))
    axes.set_xlim(across[0], across[-1])
    axes.set_ylim(up[0], up[-1])
    axes.legend(title="class")
    return axes


def _axes(axes: Axes | None) -> Axes:
    """The axes to draw into: those, or the ones of a new figure."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'tapegrad[plots]'", name="matplotlib") from error
    return pyplot.subplots(layout="constrained")[1] if axes is None else axes


def _plain(y: Any) -> float:
    """The number that a Value or a number is."""
    return float(getattr(y, "data", y))


def _around(places: Any, resolution: int) -> tuple[list[float], list[float]]:
    """Evenly spaced numbers for each of the two directions, over where the points are and some way further."""
    import numpy as np

    if resolution < 2:
        raise ValueError(f"resolution must be at least 2, not {resolution!r}")
    if not len(places) or not np.isfinite(places).all():
        raise ValueError("there must be one point at least, and all must be finite")
    low, high = places.min(axis=0), places.max(axis=0)
    margin = np.maximum(0.15 * (high - low), 0.05 * (high - low).max() or 1.0)
    across, up = np.linspace(low - margin, high + margin, resolution).T.tolist()
    return across, up
