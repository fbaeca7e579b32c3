"""Checking derivatives: reverse and forward mode against each other and against central differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tapegrad.structure import flatten, numbers_in, of_values, unflatten
from tapegrad.transforms import jacobian, record

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CheckReport", "check_grad"]


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
    f: Callable[..., Any], *args: Any, eps: float = 1e-6, rtol: float = 1e-5, atol: float = 1e-7, raises: bool = True
) -> CheckReport:
    """Compare the derivatives of every number that f returns by every number in its arguments, in reverse mode, in
    forward mode and by central differences (f(x + h) - f(x - h)) / 2h with h = eps * max(1, |x|).

    The two modes must agree to 1e-9 (relative, or absolute below 1), the differences to rtol and atol. An
    AssertionError names the worst entry, unless `raises` is false. A nan agrees with a nan, an inf with the same inf.

    >>> print(check_grad(lambda x, y: x * y.sin(), 2.0, 1.0))  # doctest: +ELLIPSIS
    2 derivatives agree; worst: d output[0] / d input[...
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, not {eps!r}")
    leaves: list[Any] = []
    spec = flatten(tuple([float(a) if isinstance(a, int) else a for a in args]), leaves)
    x, _ = numbers_in(leaves)
    if not len(x):
        raise TypeError("check_grad: there is no number among the arguments to differentiate by")

    def flat(numbers: Any) -> Any:
        out: list[Any] = []
        flatten(f(*unflatten(spec, iter(numbers), of_values)), out)
        parts: list[Any] = [leaf if isinstance(leaf, np.ndarray) else [leaf] for leaf in out]
        return np.concatenate(parts).tolist()

    reverse = np.array(jacobian(flat, mode="reverse")(x.tolist()))
    forward = np.array(jacobian(flat, mode="forward")(x.tolist()))
    difference = np.empty_like(reverse)
    value = record(flat)
    for k in range(len(x)):
        h = eps * max(1.0, abs(x[k]))
        up, down = x.copy(), x.copy()
        up[k] += h
        down[k] -= h
        difference[:, k] = (np.array(value(up.tolist())) - np.array(value(down.tolist()))) / (up[k] - down[k])
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


def _off(a: Any, b: Any, rtol: float, atol: float) -> Any:
    """|a - b| in units of the tolerance; 0 where both are nan or the same inf."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(a - b) / (atol + rtol * np.maximum(np.abs(a), np.abs(b)))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    off = np.where(same, 0.0, off)
    return np.where(np.isnan(off), np.inf, off)
