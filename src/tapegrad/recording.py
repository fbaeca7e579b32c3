"""Recording a function: what happens while it runs on Values whose numbers will be others when it is replayed.

Everything that Python decides by such a number is caught. A comparison gives a `Condition`; asking for its truth, as
`if`, `while`, `and`, `assert`, `min` and `sorted` do, is a *guard*: what came out is noted, and a replay in which it
comes out differently is not used. What cannot be guarded is an error.
"""

# pyright: reportPossiblyUnboundVariable=false
# (without the compiled core there is no recorder, and nothing of what could not be imported is called)

from __future__ import annotations

import math
import os
import sys

from tapegrad.engine import Value
from tapegrad.trying import COMPLEX, called_as, could_catch, error_of, raising

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


__all__ = ["Condition", "Recorder", "current", "frozen", "stop_gradient", "to_int"]

try:
    from tapegrad.tape import Recording, Still
    from tapegrad.value import _apply, _index_of, _peek, _recorder, _select
except ImportError:  # the reference records nothing
    if not TYPE_CHECKING:
        Recording = object

    def _recorder() -> Any:
        return None


HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
COMPARISONS = ("<", "<=", "==", "!=", ">", ">=")  # in the order of Python's Py_LT ... Py_GE


def current() -> Recorder | None:
    """The recorder of this thread, if it is recording."""
    recorder: Recorder | None = _recorder()
    return recorder


def caller() -> tuple[str, int]:
    """The line, outside this package, that is being executed."""
    frame = sys._getframe(1)
    depth = 1
    while frame.f_code.co_filename.startswith(HERE):
        depth += 1
        try:
            frame = sys._getframe(depth)  # f_back loses a MemoryError, in CPython 3.11
        except ValueError:
            break
    return frame.f_code.co_filename, frame.f_lineno


class Condition:
    """What comparing recorded Values gives: its truth is a guard; `where` and arithmetic use it without one.

    In arithmetic it is 1 or 0, as a bool is. `&`, `|` and `~` combine conditions without a guard; as an int or an index
    it is a guard.
    """

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value: Value = value

    def __bool__(self) -> bool:
        outcome = _peek(self.value) != 0.0
        recorder = current()
        if recorder is None:
            raise RuntimeError("a condition that a recorded function has stored outside says nothing any more")
        recorder.guard(self.value, float(outcome))
        return outcome

    def __int__(self) -> int:
        """1 or 0, by a guard, as an `if` would have it."""
        return int(bool(self))

    __index__ = __int__

    def __repr__(self) -> str:
        return f"Condition({_peek(self.value) != 0.0})"

    def __and__(self, other: Any) -> Condition:
        return Condition(_apply("and", self.value, _truth(other)))

    def __or__(self, other: Any) -> Condition:
        return Condition(_apply("or", self.value, _truth(other)))

    def __xor__(self, other: Any) -> Condition:
        return Condition(_apply("!=", self.value, _truth(other)))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Condition:
        return Condition(_apply("not", self.value))

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> Any:
        return Condition(_apply("==", self.value, _as_value(other))) if isinstance(other, NUMBERS) else False

    def __ne__(self, other: object) -> Any:
        return Condition(_apply("!=", self.value, _as_value(other))) if isinstance(other, NUMBERS) else True

    def __neg__(self) -> Value:
        return -self.value

    def __pos__(self) -> Value:
        return self.value

    __abs__ = __pos__


NUMBERS = (Condition, bool, int, float)  # what a condition may be equal to, as a bool may


def _truth(x: Any) -> Value:
    """A condition, a bool or a number as the Value of a condition."""
    if isinstance(x, Condition):
        return x.value
    if isinstance(x, Value):
        result: Value = _apply("!=", x, Value(0.0))
        return result
    if not isinstance(x, (bool, int, float)):
        raise TypeError(f"a condition can be combined with a condition or a bool, not with {type(x).__name__}")
    return Value(float(bool(x)))


def _arithmetic(name: str) -> Any:
    def method(self: Condition, other: Any) -> Any:
        return getattr(self.value, name)(other.value if isinstance(other, Condition) else other)

    method.__name__ = name
    return method


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Condition, f"__{_name}__", _arithmetic(f"__{_name}__"))
    setattr(Condition, f"__r{_name}__", _arithmetic(f"__r{_name}__"))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Condition, f"__{_name}__", _arithmetic(f"__{_name}__"))


class Recorder(Recording):
    """One recording: its inputs and its guards."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.guards: list[tuple[Value, float, tuple[str, int]]] = []
        self.guarded: set[int] = set()  # the identities of the Values in guards, which keep them alive
        self.refused: Exception | None = None  # an error that the program may not go on after

    def guard(self, value: Value, outcome: float) -> None:
        """This is what came out, and Python goes on by it."""
        if id(value) not in self.guarded:
            self.guarded.add(id(value))
            self.guards.append((value, outcome, caller()))

    def may_raise(self, label: str, a: Any, b: Any) -> None:
        """Where a `try` could catch what plain Python raises for this operation: guard whether it does, and raise it."""
        if not could_catch(method=label.isidentifier()):
            return
        if label in ("**", "**n") and called_as("pow"):
            label = "pow"
        raised = raising(label, a, b)
        if raised is None:
            return
        code = _peek(raised)
        self.guard(raised, code)
        if code:
            error = error_of(int(code), label, _number(a), None if b is None else _number(b))
            if code == COMPLEX:
                self.refused = error  # whatever the program does with it
            raise error

    def compare(self, v: Value, other: Any, op: int) -> Any:
        """v < other and so on, for `Value`'s operators."""
        if isinstance(other, Condition):
            other = other.value
        elif not isinstance(other, Value):
            try:
                other = Value(other)
            except TypeError:
                return NotImplemented
        return Condition(_apply(COMPARISONS[op], v, other))

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
        raise TypeError(
            f"{file}:{line}: {what} of a Value in a recorded function: Python would go on with a number that is not "
            "followed when the function is replayed. Compute with the Value itself; tapegrad.to_int(v) gives an int, "
            "guarded, tapegrad.frozen(v) the number that it has while recording, for good"
        )


def refuse_elsewhere(what: str) -> None:
    """The error where a thread looks at a number of a function that another thread is recording."""
    file, line = caller()
    raise TypeError(
        f"{file}:{line}: {what} of a Value that another thread is recording: Python would go on with a number that is "
        "not followed when the function is replayed. Arithmetic on it is followed in any thread; decide by it in the "
        "thread that calls the recorded function"
    )


def _as_value(x: Any) -> Value:
    return x if isinstance(x, Value) else x.value if isinstance(x, Condition) else Value(x)


def _number(x: Any) -> float:
    return _peek(x) if isinstance(x, Value) else float(x)


def to_int(x: Any, /) -> int:
    """The number x, or the data of the Value x, as a Python int, cut towards zero as `int` does: to index a table or to
    bound a loop. In a recorded function it is a guard: where another int comes out, the function is recorded anew.

    >>> to_int(2.7), to_int(Value(-2.7))
    (2, -2)
    """
    if not isinstance(x, (Value, Condition)):
        return int(x)
    recorder = current()
    if recorder is None:
        return int(x.data if isinstance(x, Value) else bool(x))
    cut = _apply("trunc", _as_value(x))
    k = int(_peek(cut))
    recorder.guard(cut, float(k))
    return k


def stop_gradient(x: Any, /) -> Any:
    """The number x as it is; of a Value one with the same data and no derivative.

    >>> v = Value(3.0)
    >>> (v * stop_gradient(v)).backward()
    >>> v.grad
    3.0
    """
    if not isinstance(x, Value):
        return x
    return Value(x.data) if current() is None else _apply("stop_gradient", x)


def frozen(x: Any, /) -> Any:
    """The data of the Value x as a number, also in a recorded function, where every replay will use the number that x
    has now: a statement that this is meant, as for a figure to print.

    >>> frozen(Value(3.0))
    3.0
    """
    if not isinstance(x, Value):
        return x
    return x.data if current() is None else _peek(x)


def finite_or_zero(x: Any) -> Any:
    """x where it is finite, else 0."""
    recorder = current()
    if not isinstance(x, Value) or recorder is None:
        return x if math.isfinite(x.data if isinstance(x, Value) else x) else 0.0
    return recorder.where(_apply("<", abs(x), Value(math.inf)), x, 0.0)
