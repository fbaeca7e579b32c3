"""Single elements of an array in a recorded function: recorded numbers, conditions and plain numbers alike.

What numpy does with floats, on one element: without a guard where it can be computed, by a guard where Python goes on
by it.
"""

# pyright: reportPossiblyUnboundVariable=false
# (without the compiled core nothing is recorded, and nothing of what could not be imported is called)

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tapegrad.engine import Value
from tapegrad.recording import current, to_int

try:
    from tapegrad.value import _apply, _kind_of
except ImportError:  # the reference records nothing
    if not TYPE_CHECKING:
        _apply = _kind_of = None

__all__ = [
    "as_int",
    "as_value",
    "choose",
    "compare",
    "function",
    "is_finite",
    "is_inf",
    "is_nan",
    "is_negative",
    "is_recorded",
    "kind",
    "line",
    "logical",
    "operation",
    "refuse",
    "truth",
    "words",
]

PLAIN = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__", "==": "__eq__", "!=": "__ne__"}


def words(text: str) -> list[str]:
    """The names in a table that is written as text."""
    return text.split()


def line() -> str:
    """Where the program, and neither this package nor numpy, is."""
    import os
    import sys

    ours = (os.path.dirname(os.path.abspath(__file__)) + os.sep, os.path.dirname(np.__file__) + os.sep)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(("<__array_function__", *ours)):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def refuse(what: str, way_out: str, error: type[Exception] = TypeError) -> NoReturn:
    """Raise an error that names the line, what cannot be followed, and what to do."""
    raise error(f"{line()}: {what} in a recorded function: {way_out}")


def is_recorded(x: Any) -> bool:
    """Whether x is a recorded number or a condition."""
    return isinstance(x, Value)


def kind(x: Any) -> str:
    """What numpy would hold x as: "b" a bool, "i" an int, "f" a float."""
    if isinstance(x, Value):
        return _kind_of(x).__name__[0]
    if isinstance(x, (bool, np.bool_)):
        return "b"
    return "i" if isinstance(x, (int, np.integer)) else "f"


def as_value(x: Any) -> Value:
    """x as a Value."""
    return x if isinstance(x, Value) else Value(x)


def truth(x: Any) -> bool:
    """Whether x is true, by a guard where it is recorded."""
    return bool(x)


def as_int(x: Any) -> int:
    """The int that x is, by a guard where it is recorded."""
    return to_int(x)


def compare(op: str, a: Any, b: Any) -> Any:
    """a < b and so on, by value: a condition where one of them is recorded, else a bool."""
    if current() is not None and (is_recorded(a) or is_recorded(b)):
        return _apply(op, as_value(a), as_value(b))
    return bool(getattr(float(_plain(a)), PLAIN[op])(float(_plain(b))))


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, Value) else x


def logical(op: str, a: Any, b: Any = None) -> Any:
    """a and b, a or b, a xor b, not a, of what a and b are when they are asked for their truth; without a guard."""
    if not is_recorded(a) and not is_recorded(b):
        a, b = bool(a), bool(b)
        return {"and": a and b, "or": a or b, "xor": a != b, "not": not a}[op]
    if op == "not":
        return _apply("not", as_value(a))
    if op == "xor":
        return compare("!=", compare("!=", a, 0.0), compare("!=", b, 0.0))
    return _apply(op, as_value(a), as_value(b))


def choose(condition: Any, x: Any, y: Any) -> Any:
    """x if the condition holds, else y, without a guard."""
    recorder = current()
    if recorder is not None and is_recorded(condition):
        return recorder.where(as_value(condition), as_value(x), as_value(y))
    return x if truth(condition) else y


def is_nan(x: Any) -> Any:
    """Whether x is nan."""
    return compare("!=", x, x)


def is_inf(x: Any) -> Any:
    """Whether x is infinite."""
    return compare("==", abs(x), math.inf)


def is_finite(x: Any) -> Any:
    """Whether x is neither infinite nor nan."""
    return compare("<", abs(x), math.inf)


def is_negative(x: Any) -> Any:
    """Whether x has its sign bit set, as -0.0 has."""
    if not is_recorded(x):
        return math.copysign(1.0, x) < 0
    minus_zero = logical("and", compare("==", x, 0.0), compare("<", operation("/", 1.0, x), 0.0))
    return logical("or", compare("<", x, 0.0), minus_zero)


def function(name: str, x: Any) -> Any:
    """The function `name` of Value, of x."""
    return getattr(as_value(x), name)()


def operation(label: str, *operands: Any) -> Any:
    """An operation of the table, on floats."""
    return _apply(label, *[as_value(x) for x in operands])
