"""Forward against reverse: a gradient by n forward sweeps, by one reverse sweep and by 2n values, as n grows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tapegrad.bench.backends import Mismatch
from tapegrad.bench.report import times as ratio
from tapegrad.bench.timing import Contender, looped, measure
from tapegrad.functions import dot, sin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan

NAME = "costs/modes"
REVERSE, FORWARD, DIFFERENCES = "one reverse sweep", "n forward sweeps", "2n values"
STEP = 1e-6  # of the differences
AGREE, NEAR = 1e-12, 1e-6  # how far the modes, and how far the differences, may lie from the formula
LARGE = 50  # inputs from which on the sweeps cost more than calling them does

LEGEND = "Each time is the smallest of up to 15 samples; the three ways take turns, and ratios are of the smallest."
NOTE = (
    "f(x) = sin(x1) x2 + sin(x2) x3 + ... + sin(xn) x1, from n inputs to one number at a cost proportional to n; its "
    "gradient by one sweep of value_and_grad(f), by n sweeps of jvp, and by central differences of 2n values: "
    "programs, recorded before. Before they are timed, all three are compared with the formula cos(xk) x(k+1) + "
    f"sin(x(k-1)): the modes to {AGREE:g}, the differences to {NEAR:g}."
)


WIDTHS = [6, 10, 12, 12, 10, 10, 10, 10]
HEADINGS = [
    ["", "reverse", "n forward", "2n values", "forward", "differ.", "error of", "error of"],
    ["n", "us", "us", "us", "/ reverse", "/ reverse", "forward", "differ."],
]


def line(cells: list[str]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


@dataclass
class ModesRow:
    """Seconds for one gradient, the smallest of some samples, and the largest error of each way, relative to 1."""

    heading: ClassVar[str] = "\n".join(map(line, HEADINGS))
    inputs: int
    reverse: float
    forward: float
    differences: float
    error_reverse: float
    error_forward: float
    error_differences: float

    @property
    def forward_to_reverse(self) -> float:
        return self.forward / self.reverse

    @property
    def differences_to_reverse(self) -> float:
        return self.differences / self.reverse

    def __str__(self) -> str:
        times = [micro(seconds) for seconds in (self.reverse, self.forward, self.differences)]
        ratios = [ratio(x) for x in (self.forward_to_reverse, self.differences_to_reverse)]
        errors = [f"{x:.0e}" if x else "0" for x in (self.error_forward, self.error_differences)]
        return line([f"{self.inputs:,}", *times, *ratios, *errors])


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f}"


@dataclass
class Growth:
    """times = factor * n**exponent, by least squares on logarithms."""

    what: str
    factor: float
    exponent: float
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.what:34} grows as n^{self.exponent:.2f}   (n = {self.first:,} to {self.last:,})"


def f(x: Any) -> Any:
    """The function: neighbours in a ring, so that every input takes part in two terms."""
    return dot([sin(xk) for xk in x], [*x[1:], x[0]])


def formula(x: Any) -> Any:
    """Its gradient, by hand."""
    return np.cos(x) * np.roll(x, -1) + np.sin(np.roll(x, 1))


def ways(n: int) -> tuple[Any, dict[str, Callable[[], Any]]]:
    """The point, and the three ways to the gradient there: programs that are called with one array of all numbers."""
    from tapegrad.transforms import jvp, record, value_and_grad  # which there are not where TAPEGRAD_PURE is set

    x = np.linspace(0.5, 1.5, n)
    reverse = value_and_grad(f).program(x)
    forward = record(lambda x, v: jvp(f, (x,), (v,))).program(x, x)
    value = record(f).program(x)

    def one_reverse() -> Any:
        return reverse(x)[1:]

    def n_forward() -> Any:
        point, gradient = np.concatenate([x, np.zeros(n)]), np.empty(n)
        for k in range(n):
            point[n + k] = 1.0
            gradient[k] = forward(point)[1]
            point[n + k] = 0.0
        return gradient

    def differences() -> Any:
        moved, gradient = x.copy(), np.empty(n)
        for k in range(n):
            moved[k] = right = x[k] + STEP
            above = value(moved)[0]
            moved[k] = left = x[k] - STEP
            gradient[k] = (above - value(moved)[0]) / (right - left)
            moved[k] = x[k]
        return gradient

    return x, {REVERSE: one_reverse, FORWARD: n_forward, DIFFERENCES: differences}


def errors(x: Any, by: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The largest error of each, or Mismatch. A component is measured against the larger of itself and 1."""
    right, found = formula(x), {}
    for key, gradient in by.items():
        error = float(np.max(np.abs(gradient() - right) / np.maximum(1.0, np.abs(right))))
        if not error <= (NEAR if key == DIFFERENCES else AGREE):
            raise Mismatch(f"the gradient of {len(x):,} inputs by {key}: off by {error:.2g} from the formula")
        found[key] = error
    return found


def fitted(what: str, ns: list[int], numbers: list[float]) -> Growth:
    """The power of n that the numbers grow as."""
    xs, ys = [math.log(n) for n in ns], [math.log(y) for y in numbers]
    x0, y0 = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / sum((x - x0) ** 2 for x in xs)
    return Growth(what, math.exp(y0 - slope * x0), slope, ns[0], ns[-1])


def growths(rows: list[ModesRow]) -> Iterator[Growth]:
    """How ratios and times grow where n is large enough for the sweeps to cost more than calling them does."""
    large = [row for row in rows if row.inputs >= LARGE]
    rows = large if len(large) > 1 else rows
    if len(rows) < 2:
        return
    for what, name in (
        ("forward / reverse", "forward_to_reverse"),
        ("differences / reverse", "differences_to_reverse"),
        (f"the time of {REVERSE}", "reverse"),
        (f"the time of {FORWARD}", "forward"),
        (f"the time of {DIFFERENCES}", "differences"),
    ):
        yield fitted(what, [row.inputs for row in rows], [getattr(row, name) for row in rows])


def modes(plan: Plan, progress: Progress) -> Iterator[ModesRow | Growth | str]:
    yield NOTE
    rows = []
    for n in plan.sizes.inputs:
        progress.say(f"n = {n}")
        x, by = ways(n)
        error = errors(x, by)
        contenders = [Contender(key, looped(gradient)) for key, gradient in by.items()]
        times = {key: timing.min for key, timing in measure(contenders, progress.tick, plan.pace).phases[""].items()}
        rows.append(ModesRow(n, *(times[key] for key in by), *(error[key] for key in by)))
        yield rows[-1]
    yield from growths(rows)


# ---- the picture ----


def picture(results: list[dict[str, Any]]) -> Any:
    """A figure of the times, of the ratios and of their fits, from the results as the JSON file has them."""
    from matplotlib.figure import Figure

    rows = [row for row in results if "inputs" in row]
    fits = {row["what"]: row for row in results if "exponent" in row}
    ns = [row["inputs"] for row in rows]
    figure = Figure(figsize=(9, 4), layout="constrained")
    times, ratios = figure.subplots(1, 2)
    for key, label, colour, marker in (
        ("forward", FORWARD, "C1", "o"),
        ("differences", "central differences", "C2", "s"),
        ("reverse", REVERSE, "C0", "D"),
    ):
        times.loglog(ns, [row[key] * 1e3 for row in rows], color=colour, marker=marker, markersize=4, label=label)
        if key == "reverse":
            continue
        ys = [row[key] / row["reverse"] for row in rows]
        fit = fits.get(f"{key} / reverse")
        power = f", as $n^{{{fit['exponent']:.2f}}}$" if fit else ""
        ratios.loglog(ns, ys, color=colour, marker=marker, markersize=4, linestyle="none", label=f"{label}{power}")
        if fit:
            on = [n for n in ns if fit["first"] <= n <= fit["last"]]
            ratios.loglog(on, [fit["factor"] * n ** fit["exponent"] for n in on], color=colour, linewidth=1)
    times.set(xlabel="inputs n", ylabel="milliseconds", title="Time of one gradient")
    ratios.set(xlabel="inputs n", ylabel="times one reverse sweep", title="Against one reverse sweep")
    for axes in (times, ratios):
        axes.grid(alpha=0.3)
        axes.legend()
    return figure
