"""What a workload is: a program on scalars, the point where its derivatives are wanted, and an independent answer.

A program is written once, for whatever has operators: `program(x, m)` gets its inputs and a namespace `m` of functions
(exp, log, sqrt, sin, cos, tanh, erfc, relu, maximum, sum, dot), and gives one number. The two cores, plain floats and
every rival run the same lines. An answer is found in another way: in closed form, or by numpy on whole arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tapegrad.bench.backends import Mismatch

if TYPE_CHECKING:
    import numpy as np

Program = Callable[[Sequence[Any], Any], Any]
Answer = tuple[Any, Any]  # the value and the derivatives, as numbers or arrays

TOLERANCE = 1e-8  # of the largest number of its kind: other formulas, and sums in another order


@dataclass(frozen=True)
class Point:
    """A program, and the point `x` at which its value and gradient are wanted."""

    program: Program
    x: list[float]
    answer: Callable[[], Answer]
    start: list[float] | None = None  # where to record or to compile, if not at another point near `x`
    data: Any = None  # what the program knows besides `x`, for rivals that compute with arrays

    @property
    def elsewhere(self) -> list[float]:
        """Where a rival records or compiles, so that nobody can answer with what it has seen."""
        return self.start or [x * 1.01 + 0.001 for x in self.x]


@dataclass(frozen=True)
class Batch:
    """A program of one sample, and arrays of samples: `program(shared, *columns_of_a_sample, m)`.

    `columns` are arrays of shape (samples,) or (samples, k); a program gets of each a number, or k of them. `shared` is
    an array that all samples share, or None: then `program(*columns_of_a_sample, m)`. Derivatives are wanted by the
    first `by` columns, sample by sample; or, if `shared` is there, by it, and of the mean over the samples. Derivatives
    by one column have its shape; those by several columns of numbers the shape (by, samples).
    """

    program: Callable[..., Any]
    columns: tuple[np.ndarray[Any, Any], ...]
    answer: Callable[[], Answer]
    shared: np.ndarray[Any, Any] | None = None
    by: int = 0
    outputs: int = 1  # more: the program gives a list, the answer is (None, Jacobians of shape (samples, outputs, k))

    @property
    def samples(self) -> int:
        return len(self.columns[0])

    def at(self, k: int) -> tuple[list[float], Program]:
        """Sample `k` as one point: the numbers that derivatives are wanted by, and the program of them alone."""
        rows = [column[k].tolist() for column in self.columns]
        if self.shared is not None:
            return self.shared.tolist(), lambda x, m: self.program(x, *rows, m)
        flat: list[float] = []
        for row in rows[: self.by]:
            flat.extend(row if isinstance(row, list) else [row])

        def program(x: Sequence[Any], m: Any) -> Any:
            left, given = list(x), []
            for row in rows[: self.by]:
                if isinstance(row, list):
                    given.append(left[: len(row)])
                    del left[: len(row)]
                else:
                    given.append(left.pop(0))
            return self.program(*given, *rows[self.by :], m)

        return flat, program


@dataclass(frozen=True)
class Problem:
    """A named program in some sizes. `make(size)` gives a Point or a Batch; `operations(size)` is what a time is of."""

    name: str  # group/name
    summary: str
    source: str  # where the formula is published
    make: Callable[[int], Any]
    sizes: tuple[int, ...]  # the ladder of --full
    size: int  # of a run without --full
    quick: int
    of: str  # what a size counts
    unit: str = "us"
    scale: Callable[[int], float] = lambda _size: 1e6  # from seconds of a run to the unit

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


def functions(value: Any = None, sum: Any = None, dot: Any = None) -> SimpleNamespace:
    """The `m` of a class of Values, by its methods; of plain floats without one."""
    maximum, names, relu = (max, math, positive) if value is None else (value.maximum, value, value.relu)
    m = {name: getattr(names, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "erfc")}
    return SimpleNamespace(**m, maximum=maximum, relu=relu, sum=sum or total, dot=dot or product)


def positive(x: float) -> float:
    """max(x, 0)."""
    return x if x > 0 else 0.0


def total(xs: Sequence[Any]) -> Any:
    """The sum, from the left."""
    y = xs[0]
    for x in xs[1:]:
        y = y + x
    return y


def product(xs: Sequence[Any], ys: Sequence[Any], start: Any = 0.0) -> Any:
    """start + x1*y1 + x2*y2 + ..., from the left."""
    for x, y in zip(xs, ys, strict=True):
        start = start + x * y
    return start


def error(got: Answer, wanted: Answer) -> float:
    """The largest difference, each number in units of the largest one of its kind; inf for what is not there."""
    import numpy as np

    worst = 0.0
    for a, b in zip(got, wanted, strict=True):
        if b is None:
            continue
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        if a.size != b.size or not np.isfinite(a).all():
            return math.inf
        largest = float(np.abs(b).max())
        worst = max(worst, float(np.abs(a.reshape(b.shape) - b).max()) / (largest or 1.0))
    return worst


def check_answer(what: str, got: Answer, wanted: Answer) -> None:
    """Raise Mismatch unless both are the same, but for rounding."""
    off = error(got, wanted)
    if not off <= TOLERANCE:
        raise Mismatch(f"{what}: off by {off:.1e} of the largest number from the independent answer")
