"""Checking derivatives: reverse and forward mode against each other and against central differences."""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tapegrad.structure import flatten, numbers_in, of_values, unflatten
from tapegrad.transforms import jacobian, numbered, record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CheckReport", "check_grad"]

EPSILON = 2.3e-16  # of rounding, relative


class CheckReport(NamedTuple):
    """What `check_grad` found: the entry that is off most, in units of the tolerance there."""

    ok: bool
    error: float  # 1 is just acceptable
    output: int  # which number of the result
    input: int  # which number of the arguments
    reverse: float
    forward: float
    difference: float
    entries: int

    def __str__(self) -> str:
        verdict = "agree" if self.ok else "do NOT agree"
        return (
            f"{self.entries} derivatives {verdict}; worst: d output[{self.output}] / d input[{self.input}]: "
            f"reverse {self.reverse!r}, forward {self.forward!r}, central difference {self.difference!r} "
            f"({self.error:.2g} of the tolerance)"
        )


def check_grad(
    f: Callable[..., Any],
    *args: Any,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    raises: bool = True,
    argnums: int | Sequence[int] | None = None,
) -> CheckReport:
    """Compare the derivatives of every number that f returns by every number in its arguments, or in those that
    `argnums` names, in reverse mode, in forward mode and by central differences.

    The differences are (f(x + h) - f(x - h)) / 2h, extrapolated, with the step h that says most: h goes from
    eps * max(1, |x|) down to eps * |x|, and on where f is not finite on both sides. At the edge of where f is defined
    they are one-sided.

    The two modes must agree to 1e-9 (relative, or absolute below 1), the differences to rtol and atol. An
    AssertionError names the worst entry, unless `raises` is false. A nan agrees with a nan, an inf with the same inf.

    >>> print(check_grad(lambda x, y: x * y.sin(), 2.0, 1.0))  # doctest: +ELLIPSIS
    2 derivatives agree; worst: d output[0] / d input[...
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, not {eps!r}")
    numbers = range(len(args)) if argnums is None else numbered(argnums)
    for k in numbers:
        if not -len(args) <= k < len(args):
            raise TypeError(f"argnums names argument {k}, but there are {len(args)}")
    places = {k % len(args) for k in numbers} if args else set[int]()
    leaves: list[Any] = []
    by = tuple([arg for k, arg in enumerate(args) if k in places])
    spec = flatten(by, leaves, True)
    x, _ = numbers_in(leaves)
    if not len(x):
        raise TypeError("check_grad: there is no number among the arguments to differentiate by")

    def flat(numbers: Any) -> Any:
        out: list[Any] = []
        given = iter(unflatten(spec, iter(numbers), of_values))
        flatten(f(*[next(given) if k in places else arg for k, arg in enumerate(args)]), out)
        parts: list[Any] = [leaf if isinstance(leaf, np.ndarray) else [leaf] for leaf in out]
        return np.concatenate(parts).tolist()

    try:
        reverse = np.array(jacobian(flat, mode="reverse")(x.tolist()))
    except TypeError as error:
        if argnums is None and any(isinstance(arg, int) for arg in args):
            error.add_note("check_grad differentiates by ints, too: name the arguments to differentiate by in argnums")
        raise
    forward = np.array(jacobian(flat, mode="forward")(x.tolist()))
    difference = np.empty_like(reverse)
    value = record(flat)

    def along(k: int, t: float) -> Any:
        moved = x.tolist()
        moved[k] = t
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # it is recorded often, at a kink
                return np.array(value(moved))
        except (ArithmeticError, ValueError):  # it is not defined there
            return np.full(len(reverse), np.nan)

    for k in range(len(x)):
        difference[:, k] = _difference(functools.partial(along, k), float(x[k]), eps)
    modes = _off(reverse, forward, 1e-9, 1e-9)
    errors = np.maximum(modes, _off(reverse, difference, rtol, atol))
    row, column = np.unravel_index(np.argmax(errors), errors.shape)
    at = (row, column)
    report = CheckReport(
        bool(errors[at] <= 1.0), float(errors[at]), int(row), int(column),
        float(reverse[at]), float(forward[at]), float(difference[at]), errors.size,
    )  # fmt: skip
    if raises and not report.ok:
        raise AssertionError(str(report))
    return report


def _steps(x: float, eps: float) -> list[float]:
    """Steps to try at x, the largest first."""
    large = max(1.0, abs(x))
    least = min(abs(x) or 1.0, 1e-8 * large)
    count = min(24, 2 + math.ceil(math.log10(large) - math.log10(least)))
    return [eps * float(h) for h in np.geomspace(large, least, count)]


def _difference(f: Callable[[float], Any], x: float, eps: float) -> Any:
    """For every number of f the derivative at x by differences, each with the step that leaves the least error."""
    with np.errstate(all="ignore"):
        here = f(x)
        for estimate in (_central, _one_sided):
            best = np.full(len(here), np.nan)
            least = np.full(len(here), np.inf)
            for h in _steps(x, eps):
                found = estimate(f, x, h, here)
                if found is None:
                    continue
                slope, error = found
                better = np.isfinite(slope) & (error < least)
                best[better], least[better] = slope[better], error[better]
            if np.isfinite(best).any():
                return best
    return best


def _central(f: Callable[[float], Any], x: float, h: float, here: Any) -> tuple[Any, Any] | None:
    """The derivative by f on both sides, at h and at h / 2, and about how far it is off."""
    slopes: list[Any] = []
    noise: Any = 0.0
    for step in (h, h / 2):
        up, down = x + step, x - step
        if not down < x < up or math.isinf(up) or math.isinf(down):
            return None
        high, low = f(up), f(down)
        slopes.append((high - low) / (up - down))
        noise = EPSILON * np.maximum(np.abs(high), np.abs(low)) / step
    slope = slopes[1] + (slopes[1] - slopes[0]) / 3
    return slope, np.abs(slope - slopes[1]) + noise


def _one_sided(f: Callable[[float], Any], x: float, h: float, here: Any) -> tuple[Any, Any] | None:
    """The derivative by f on the side on which it is finite."""
    for side in (h, -h):
        if x + side / 2 == x:
            return None
        near, far = f(x + side / 2), f(x + side)
        slope = (4 * near - 3 * here - far) / side
        if np.isfinite(slope).any():
            error = np.abs(slope - (far - here) / side) + EPSILON * np.maximum(np.abs(far), np.abs(here)) / h
            return slope, error
    return None


def _off(a: Any, b: Any, rtol: float, atol: float) -> Any:
    """|a - b| in units of the tolerance; 0 where both are nan or the same inf."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(a - b) / (atol + rtol * np.maximum(np.abs(a), np.abs(b)))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    off = np.where(same, 0.0, off)
    return np.where(np.isnan(off), np.inf, off)
