"""Exceptions as branches: whether the program's own code could catch what an operation raises, and where it raises.

An operation on plain numbers that raises sends Python to an `except` branch. In a recording that is a guard, but only
where a frame between the operation and the recorded function is inside a `try` or a `with`; elsewhere a replay goes on
with IEEE 754's inf and nan.
"""

# pyright: reportPossiblyUnboundVariable=false
# (without the compiled core there is no recorder, and nothing of what could not be imported is called)

from __future__ import annotations

import contextlib
import os
import sys
from opcode import opmap
from weakref import WeakKeyDictionary

from tapegrad.engine import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType
    from typing import Any

with contextlib.suppress(ImportError):  # the reference records nothing
    from tapegrad.value import _apply

__all__ = ["COMPLEX", "called_as", "called_by_numpy", "could_catch", "error_of", "raising"]

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# between an operation and `could_catch`
RECORDERS = frozenset(HERE + name for name in ("recorder.py", "recording.py", "trying.py"))
RECORD = HERE + "programs.py"  # whose `record` calls the recorded function
OF_NUMPY = os.sep + "numpy" + os.sep
BY_NUMPY = frozenset(["__array_ufunc__", "__array_function__"])  # methods of ours that only numpy calls
HANDLER = opmap["PUSH_EXC_INFO"]  # how `except`, `finally` and the end of a `with` begin
SKIPPED = frozenset(opmap[name] for name in ("NOP", "EXTENDED_ARG", "CACHE") if name in opmap)
CALLS = frozenset(opmap[name] for name in ("CALL", "PRECALL") if name in opmap)

Ranges = tuple[tuple[int, int], ...]

_ranges: WeakKeyDictionary[CodeType, Ranges] = WeakKeyDictionary()


# ---- where an exception could be caught ----


def entries(table: bytes) -> Iterator[tuple[int, int, int]]:
    """The entries of a code object's exception table: from which byte of the code, up to which, handled where.

    The format of CPython 3.11 to 3.14: numbers of 6 bits a byte, the largest bits first, 0x40 where more follow.
    """
    numbers: list[int] = []
    number = 0
    for byte in table:
        number = number << 6 | byte & 0x3F
        if byte & 0x40:
            continue
        numbers.append(number)
        number = 0
        if len(numbers) == 4:  # the fourth is the depth of the stack
            start, length, target, _ = numbers
            yield 2 * start, 2 * (start + length), 2 * target
            numbers = []


def guarded_ranges(code: CodeType) -> Ranges:
    """The bytes of the code from which an exception goes to an `except`, a `finally` or the end of a `with`.

    Entries that only tidy up (a generator's StopIteration, the end of an `except ... as e`, the variables of an inlined
    comprehension) count if what they raise again goes to one of these.
    """
    if not code.co_exceptiontable:
        return ()
    found = _ranges.get(code)
    if found is None:
        table = list(entries(code.co_exceptiontable))
        instructions = code.co_code
        found = tuple([(start, end) for start, end, target in table if is_handled(instructions, table, target)])
        _ranges[code] = found
    return found


def is_handled(instructions: bytes, table: list[tuple[int, int, int]], target: int) -> bool:
    """Whether the code that an exception goes to is a handler, or raises it again to one."""
    for _ in table:
        first = target
        while instructions[first] in SKIPPED:
            first += 2
        if instructions[first] == HANDLER:
            return True
        further = [after for start, end, after in table if start <= target < end]
        if not further:
            return False
        target = further[0]
    return False


def could_catch(stop: FrameType | None = None) -> bool:
    """Whether a frame between the operation that is being executed and the recorded function could catch an exception.

    That function's caller is the frame `stop`, or ours which records. What numpy executes raises nothing: it gives inf
    and nan.
    """
    depth = 1
    outermost = True  # no frame of the program's has been seen yet
    while True:
        try:
            frame = sys._getframe(depth)  # f_back loses a MemoryError, in CPython 3.11
        except ValueError:
            return False
        if frame is stop:
            return False
        code = frame.f_code
        depth += 1
        if code.co_filename.startswith(HERE):
            if code.co_name == "record" and code.co_filename == RECORD:
                return False
            if outermost and code.co_name in BY_NUMPY:
                return False
            continue
        if outermost and OF_NUMPY in code.co_filename:
            return False
        outermost = False
        at = frame.f_lasti
        for start, end in guarded_ranges(code):
            if start <= at < end:
                return True


def operating() -> FrameType | None:
    """The frame that executes the present operation."""
    depth = 2
    while True:
        try:
            frame = sys._getframe(depth)
        except ValueError:
            return None
        depth += 1
        if frame.f_code.co_filename not in RECORDERS:
            return frame


def called_as(name: str) -> bool:
    """Whether the operation is executed by the function of that name of ours."""
    frame = operating()
    return frame is not None and frame.f_code.co_name == name and frame.f_code.co_filename.startswith(HERE)


def called_by_numpy() -> bool:
    """Whether an operation with a name is numpy's: the program has called it neither by a function of ours nor as a
    method of the number, where it has no arguments: numpy.log(x) has one, where v.log() has none."""
    frame = operating()
    if frame is None or frame.f_code.co_filename.startswith(HERE):
        return False
    instructions = frame.f_code.co_code
    at = frame.f_lasti
    return instructions[at] in CALLS and instructions[at + 1] > 0


# ---- where plain Python raises ----

DOMAIN, RANGE, ZERO, COMPLEX = 1, 2, 3, 4  # what is raised, as `raising` numbers it
INF = float("inf")


def _value(x: Any) -> Value:
    return x if isinstance(x, Value) else Value(float(x))


def _is(x: Value, comparison: str, y: float) -> Value:
    result: Value = _apply(comparison, x, Value(y))
    return result


def _both(x: Value, y: Value) -> Value:
    result: Value = _apply("and", x, y)
    return result


def _not(x: Value) -> Value:
    result: Value = _apply("not", x)
    return result


def _coded(*codes: tuple[int, Value]) -> Value:
    """The number of the one of these conditions that holds, or 0; no two of them hold."""
    terms: list[Value] = [_apply("*", condition, Value(float(code))) for code, condition in codes]
    total = terms[0]
    for term in terms[1:]:
        total = _apply("+", total, term)
    return total


def _infinite(x: Value) -> Value:
    return _is(_apply("abs", x), "==", INF)


def _finite(x: Value) -> Value:
    return _is(_apply("abs", x), "<", INF)


def _below(bound: float, comparison: str) -> Any:
    return lambda label, a, b, y: _is(a, comparison, bound)


def _outside(label: str, a: Value, b: Any, y: Value) -> Value:
    return _is(_apply("abs", a), ">", 1.0)


def _at_infinity(label: str, a: Value, b: Any, y: Value) -> Value:
    return _infinite(a)


def _overflow(label: str, a: Value, b: Any, y: Value) -> Value:
    return _coded((RANGE, _both(_finite(a), _infinite(y))))


def _to_int(label: str, a: Value, b: Any, y: Value) -> Value:
    return _coded((DOMAIN, _apply("!=", a, a)), (RANGE, _infinite(a)))


def _by_zero(label: str, a: Value, b: Value, y: Value) -> Value:
    return _coded((ZERO, _is(b, "==", 0.0)))


def _power(label: str, a: Value, b: Value, y: Value) -> Value:
    """As float's `**`: nothing is raised where an operand is nan or infinite."""
    both = _both(_finite(a), _finite(b))
    pole = _both(_both(_is(a, "==", 0.0), _is(b, "<", 0.0)), both)
    overflow = _both(_both(both, _infinite(y)), _not(pole))
    imaginary = _both(both, _apply("!=", y, y))
    of_math = label == "pow"  # math.pow's errors are ValueError for these two
    return _coded((DOMAIN if of_math else ZERO, pole), (RANGE, overflow), (DOMAIN if of_math else COMPLEX, imaginary))


RULES: dict[str, Any] = {
    "sqrt": _below(0.0, "<"),
    "log": _below(0.0, "<="),
    "log2": _below(0.0, "<="),
    "log10": _below(0.0, "<="),
    "log1p": _below(-1.0, "<="),
    "asin": _outside,
    "acos": _outside,
    "sin": _at_infinity,
    "cos": _at_infinity,
    "tan": _at_infinity,
    "exp": _overflow,
    "expm1": _overflow,
    "sinh": _overflow,
    "cosh": _overflow,
    "floor": _to_int,
    "ceil": _to_int,
    "round": _to_int,
    "trunc": _to_int,
    "**": _power,
    "**n": _power,
    "pow": _power,
    "/": _by_zero,
    "%": _by_zero,
    "//": _by_zero,
}


def raising(label: str, a: Any, b: Any, y: Value) -> Value | None:
    """The recorded number of what plain Python raises for this operation, 0 where that is nothing; None if it is never.

    `label` is that of the table of operations, `pow` for math.pow; a and b are numbers or Values, y is the result. b
    is not looked at where there is one operand.
    """
    rule = RULES.get(label)
    if rule is None:
        return None
    result: Value = rule(label, _value(a), _value(b), y)
    return result


BINARY = frozenset(["**", "**n", "pow", "/", "%", "//"])


def error_of(code: int, label: str, a: float, b: float) -> Exception:
    """What is raised where `raising` is `code`."""
    shown = f"{label}({a})" if label not in BINARY else f"{a} {label.rstrip('n')} {b}"
    if code == COMPLEX:
        return TypeError(
            f"{shown} is a complex number in plain Python, which a recorded function has none of; tapegrad.pow raises "
            "ValueError there"
        )
    if code == ZERO:
        if label in ("/", "%", "//"):
            return ZeroDivisionError(f"float division by zero: {shown}")
        return ZeroDivisionError(f"{a} cannot be raised to a negative power ({b})")
    if code == RANGE:
        if label in ("floor", "ceil", "round", "trunc"):
            return OverflowError(f"{label}: cannot convert float infinity to integer")
        return OverflowError(f"math range error: {shown}")
    if label in ("floor", "ceil", "round", "trunc"):
        return ValueError(f"{label}: cannot convert float NaN to integer")
    return ValueError(f"math domain error: {shown}")
