"""Recording a function: what happens while it runs on Values whose numbers will be others when it is replayed.

Everything that Python decides by such a number is caught. Arithmetic and comparisons are followed; asking for a truth,
as `if`, `while`, `and`, `in`, `assert`, `min` and `sorted` do, or for an int, as an index and `range` do, is a *guard*:
what came out is noted, and a replay in which it comes out differently is not used. What cannot be guarded is an error.
What a number answers to is in answers.py.
"""

# pyright: reportPossiblyUnboundVariable=false
# (without the compiled core there is no recorder, and nothing of what could not be imported is called)

from __future__ import annotations

import math
import os
import sys

from tapegrad.engine import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from tapegrad.recorder import Recorder

__all__ = ["EXACT", "HERE", "caller", "current", "executing", "frozen", "refusal", "stop_gradient", "to_int"]

try:
    from tapegrad.value import _apply, _kind_of, _peek, _recorder
except ImportError:  # the reference records nothing

    def _recorder() -> Any:
        return None


HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
EXACT = 2**53  # from here on not every int is a float


def current() -> Recorder | None:
    """The recorder of this thread, if it is recording."""
    recorder: Recorder | None = _recorder()
    return recorder


def executing() -> FrameType:
    """The frame, outside this package, that is being executed; the outermost one if all are of this package."""
    frame = sys._getframe(1)
    depth = 1
    while frame.f_code.co_filename.startswith(HERE):
        depth += 1
        try:
            frame = sys._getframe(depth)  # f_back loses a MemoryError, in CPython 3.11
        except ValueError:
            break
    return frame


def caller() -> tuple[str, int]:
    """The line, outside this package, that is being executed."""
    frame = executing()
    return frame.f_code.co_filename, frame.f_lineno


def refusal(error: Exception) -> Exception:
    """The error, which the recording will end with even if the function catches it: the branch that it takes then is
    none of plain Python's."""
    recorder = current()
    if recorder is not None and recorder.refused is None:
        recorder.refused = type(error), str(error)
    return error


def refuse_elsewhere(what: str) -> None:
    """The error where a thread looks at a number of a function that another thread is recording."""
    file, line = caller()
    raise TypeError(
        f"{file}:{line}: {what} of a Value that another thread is recording: Python would go on with a number that is "
        "not followed when the function is replayed. Arithmetic on it is followed in any thread; decide by it in the "
        "thread that calls the recorded function"
    )


def refuse_outlived(v: Value) -> None:
    """The error where a number of a recorded function is used when that has ended: a memo has kept it, say."""
    file, line = caller()
    raise TypeError(
        f"{file}:{line}: this number was computed while a function was being recorded, and has been kept: it is that "
        "of one point only. Return it from the function; do not keep it in a cache, in an attribute or in a global"
    )


def cut_of(x: Value) -> Value:
    """The number of x, cut towards zero; nan and infinities are an error, as of `int`, where that could be caught."""
    if _kind_of(x) is not float:
        return x
    cut: Value = _apply("trunc", x)
    recorder = current()
    if recorder is not None and recorder.is_tried():
        recorder.attempt(cut, "trunc", x, 0.0)
    return cut


def to_int(x: Any, /) -> int:
    """The number x, or the data of the Value x, as a Python int, cut towards zero as `int` does: to index a table or to
    bound a loop. In a recorded function it is a guard: where another int comes out, the function is recorded anew.

    >>> to_int(2.7), to_int(Value(-2.7))
    (2, -2)
    """
    if not isinstance(x, Value):
        return int(x)
    recorder = current()
    if recorder is None:
        return int(x.data)
    cut = cut_of(x)
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
