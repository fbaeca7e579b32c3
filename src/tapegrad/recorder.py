"""The recorder: what a function does while it runs on Numbers, and what Python has decided by them."""

# pyright: reportUnknownMemberType=false
# (the functions of the module operator are known in part only)

from __future__ import annotations

import dis
import math
import operator
import sys
from numbers import Rational
from typing import TYPE_CHECKING, Any

from tapegrad import answers
from tapegrad.askers import asked_by_numpy
from tapegrad.recording import EXACT, caller, executing, refusal, to_int
from tapegrad.tape import Recording, Still
from tapegrad.trying import COMPLEX, called_as, called_by_numpy, could_catch, error_of, raising
from tapegrad.value import Value, _apply, _index_of, _kind_of, _peek, _select

if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["Recorder"]

COMPARISONS = ("<", "<=", "==", "!=", ">", ">=")  # in the order of Python's Py_LT ... Py_GE
ROUNDING = frozenset(["floor", "ceil", "round", "trunc"])  # which Python calls with an argument, as numpy does

EXACTLY: dict[str, Any] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "**": operator.pow,
    "**n": operator.pow,
    "%": operator.mod,
    "//": operator.floordiv,
    "/": operator.truediv,
    "maximum": max,
    "minimum": min,
}

answers.give()

_identities: dict[CodeType, bool] = {}


def asks_for_identity() -> bool:
    """Whether the code that is being executed, outside this package, has `is True`, `is False` or `case True`: which
    are not asked of a number that is followed, but only of a bool."""
    code = executing().f_code
    known = _identities.get(code)
    if known is None:
        if len(_identities) > 10_000:
            _identities.clear()
        steps = list(dis.get_instructions(code))
        known = _identities[code] = any(
            step.opname == "IS_OP"
            and any(before.argval is True or before.argval is False for before in steps[k - 2 : k])
            for k, step in enumerate(steps)
        )
    return known


class Recorder(Recording):
    """One recording: its inputs and its guards."""

    def __init__(self, frame: FrameType | None = None) -> None:
        self.inputs: list[Value] = []
        self.guards: list[tuple[Value, float, tuple[str, int]]] = []
        self.guarded: set[int] = set()  # the identities of the Values in guards, which keep them alive
        self.bounds: dict[int, tuple[float, Value]] = {}  # how large ints made of ints can be, by identity
        self.frame: FrameType | None = frame  # the one that calls the function
        self.refused: tuple[type[Exception], str] | None = None  # an error that the program may not go on after

    def guard(self, value: Value, outcome: float) -> None:
        """This is what came out, and Python goes on by it."""
        if id(value) not in self.guarded:
            self.guarded.add(id(value))
            self.guards.append((value, outcome, caller()))

    def truth(self, value: Value) -> bool:
        """Whether the number is not 0, by a guard."""
        condition = value if _kind_of(value) is bool else _apply("!=", value, Value(0.0))
        outcome = _peek(condition) != 0.0
        self.guard(condition, float(outcome))
        return outcome

    def whole(self, value: Value, label: str, x: Any, y: Any) -> None:
        """An operation on ints, or a rounding, has given an integer: whether it is one that is exact is a guard, where
        that is not sure."""
        if label in ("+", "-", "*"):
            bound = self.bound(x) * self.bound(y) if label == "*" else self.bound(x) + self.bound(y)
            self.bounds[id(value)] = (bound, value)
            if bound < EXACT:
                return
        exact = _apply("<", abs(value), Value(float(EXACT)))
        self.guard(exact, _peek(exact))

    def bound(self, x: Any) -> float:
        if not isinstance(x, Value):
            return float(abs(x))
        known = self.bounds.get(id(x))
        return known[0] if known else 1.0 if _kind_of(x) is bool else math.inf

    def large(self, value: Value) -> Any:
        """An integer that is too large to be followed, as Python's int; inf and nan as they are. A guard."""
        if not self.truth(_apply("<", abs(value), Value(math.inf))):
            return value
        self.guard(value, _peek(value))
        return int(_peek(value))

    def exactly(self, label: str, a: Any, b: Any) -> Any:
        """An operation on ints whose result is too large to be followed: Python's own, and the operands are guards."""
        operands = [to_int(x) if isinstance(x, Value) else int(x) for x in (a, b)]
        return EXACTLY[label](*operands)

    def power_of_ints(self, x: Any, n: Any) -> Any:
        """x ** n: whether it is an int depends on the sign of n, which is a guard."""
        return x ** (to_int(n) if isinstance(n, Value) else n)

    def is_tried(self) -> bool:
        """Whether what the present operation raises could be caught by the function that is recorded."""
        return could_catch(self.frame)

    def attempt(self, y: Value, label: str, a: Any, b: Any) -> None:
        """Whether plain Python raises an error at this operation: a guard, and the error, if it does."""
        if label not in ROUNDING and label.isidentifier() and called_by_numpy():
            return
        if label in ("**", "**n") and called_as("pow"):
            label = "pow"
        raised = raising(label, a, b, y)
        if raised is None:
            return
        code = _peek(raised)
        self.guard(raised, code)
        if code:
            error = error_of(int(code), label, _number(a), _number(b))
            if code == COMPLEX:
                file, line = caller()
                error = refusal(TypeError(f"{file}:{line}: {error}"))
            raise error

    def refuse_what_was_caught(self) -> None:
        """Raise the error that the function has met, unless it is under way."""
        if self.refused is not None and str(sys.exc_info()[1]) != self.refused[1]:
            error, message = self.refused
            raise error(message)

    def compare(self, v: Value, other: Any, op: int) -> Any:
        """v < other and so on, for the operators."""
        if not isinstance(other, Value):
            if isinstance(other, int) and abs(other) >= EXACT and (abs(other) >= 2**1023 or float(other) != other):
                file, line = caller()
                raise refusal(
                    TypeError(f"{file}:{line}: a recorded number is compared with {other!r}, which is no float")
                )
            try:
                made = Value(other)
            except (TypeError, OverflowError):
                return NotImplemented
            if not isinstance(other, (int, float)) and isinstance(other, Rational) and made.data != other:
                file, line = caller()
                raise refusal(
                    TypeError(
                        f"{file}:{line}: a recorded number is compared with {other!r}, which is no float: make it one"
                    )
                )
            other = made
        if asked_by_numpy(COMPARISONS[op]) and self.truth(_apply("or", _apply("!=", v, v), _apply("!=", other, other))):
            file, line = caller()
            raise refusal(
                TypeError(
                    f"{file}:{line}: numpy compares a nan in an array of objects, and would lose it: keep the array "
                    "that the recorded function was given, or use np.stack or np.concatenate (np.asarray of it, or of "
                    "a list of recorded numbers, is an array of objects)"
                )
            )
        result = _apply(COMPARISONS[op], v, other)
        return self.truth(result) if asks_for_identity() else result

    def where(self, condition: Value, x: Any, y: Any) -> Value:
        """x where the condition is not 0, else y; both are computed, one is used."""
        result: Value = _select(condition, _as_value(x), _as_value(y))
        return result

    def refuse(self, v: Value, what: str) -> None:
        """An error, unless v is a constant of the function's own."""
        from tapegrad.graph import from_tape

        if what == "data":
            with Still():
                inputs = [_index_of(w) for w in self.inputs]
                graph, (node,), _ = from_tape(inputs, [_index_of(v)], self.start)
            graph, (node,) = graph.optimised([node])
            if graph.is_number(node):
                return
        file, line = caller()
        raise refusal(
            TypeError(
                f"{file}:{line}: {what} of a Value in a recorded function: Python would go on with a number that is "
                "not followed when the function is replayed. Compute with the Value itself; tapegrad.to_int(v) gives "
                "an int, guarded, tapegrad.frozen(v) the number that it has while recording, for good"
            )
        )


def _as_value(x: Any) -> Value:
    return x if isinstance(x, Value) else Value(x)


def _number(x: Any) -> float:
    return _peek(x) if isinstance(x, Value) else float(x)
