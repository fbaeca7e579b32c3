"""What a program is run on, and whether two runs gave the same bits."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tapegrad.bench.timing import Contender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Run = Callable[[], dict[str, float]]


class Skip(Exception):  # noqa: N818 - no error
    """A workload, or a part of one, that cannot be run here; the message says why and what to do."""


class Mismatch(Exception):  # noqa: N818 - the name of what was found
    """A result that is not the reference's."""


@dataclass(frozen=True)
class Backend:
    """A `Value` class and the `sum` and `dot` that go with it."""

    name: str
    value: Any
    sum: Any
    dot: Any

    @property
    def names(self) -> tuple[Any, Any, Any]:
        """What `problem.functions` makes an `m` of."""
        return self.value, self.sum, self.dot


MICROGRAD_NOTE = (
    "Against micrograd itself: the result is equal to the bit, gradients to 1e-9, as it adds them up in the order of a "
    "set. Its graphs are cycles, which only the collector frees; with gc off that is done between samples, not timed."
)

# The order of the columns: the baseline with Python's cycle collector on and off, tapegrad, floats.
BASE_ON, BASE_OFF, OURS, FLOATS = "baseline, collector on", "baseline, collector off", "tapegrad", "floats"


def reference() -> Backend:
    module = import_module("tapegrad.reference")
    return Backend("reference", module.Value, module.sum, module.dot)


def compiled() -> Backend:
    module = import_module("tapegrad.value")
    return Backend("tapegrad", module.Value, module.sum, module.dot)


def micrograd() -> Backend:
    """micrograd 0.1.0 itself, which has neither `sum` nor `dot`; Skip if it is not installed."""
    try:
        return Backend("micrograd", import_module("micrograd.engine").Value, None, None)
    except ImportError:
        raise Skip("micrograd as a second baseline: pip install micrograd==0.1.0") from None


def require_compiled() -> None:
    """Raise ValueError if tapegrad runs on the pure-Python reference."""
    if import_module("tapegrad.engine").Value is import_module("tapegrad.reference").Value:
        raise ValueError(
            "TAPEGRAD_PURE is set, so the compiled core is not in use and there is nothing to measure; unset it"
        )


def contenders(base: Run, ours: Run, floats: Run | None = None) -> list[Contender]:
    """The baseline in both states of the collector; tapegrad and the floats in the one that Python starts with, on."""
    return [
        Contender(BASE_ON, base, gc_on=True),
        Contender(BASE_OFF, base, gc_on=False),
        Contender(OURS, ours),
        *([] if floats is None else [Contender(FLOATS, floats)]),
    ]


def bits(x: float) -> tuple[str, bytes]:
    """What makes two results the same: the type of number and the 64 bits of it."""
    return type(x).__name__, struct.pack("<d", x)


def check_equal(what: str, ours: Sequence[float], base: Sequence[float]) -> None:
    """Raise Mismatch unless the numbers of tapegrad are those of the reference to the last bit."""
    if len(ours) != len(base):
        raise Mismatch(f"{what}: {len(ours)} numbers from tapegrad, {len(base)} from the reference")
    wrong = [i for i in range(len(base)) if bits(ours[i]) != bits(base[i])]
    if wrong:
        i = wrong[0]
        raise Mismatch(
            f"{what}: {len(wrong)} of {len(base)} numbers differ; number {i} is {ours[i]!r} "
            f"from tapegrad and {base[i]!r} from the reference"
        )


def check_close(what: str, ours: Sequence[float], base: Sequence[float]) -> None:
    """Raise Mismatch unless the first numbers are the same and the others are, but for rounding.

    micrograd sweeps children in the order of a set, which is that of addresses: its gradients differ in their last bits
    from one run of micrograd to the next. Sums of 1,000,000 terms may come to 1e-9.
    """
    check_equal(what, ours[:1], base[:1])
    for x, y in zip(ours, base, strict=True):
        if not math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12):
            raise Mismatch(f"{what}: a number is {x!r} from tapegrad and {y!r} from the baseline")
