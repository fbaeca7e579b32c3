"""Functions on numbers and Values alike.

Of a number they give the number that Python's `math` gives, with the same errors; where `math` has no such function,
the number that the method of `Value` computes. Of a Value they give a Value, of a numpy array an array of what they
give of its elements.
"""

from __future__ import annotations

import math
from builtins import abs, round  # noqa: UP029 (they are public here, too)

from tapegrad.engine import Value, dot, prod, sum
from tapegrad.recording import current, finite_or_zero, frozen, stop_gradient, to_int

TYPE_CHECKING = False  # typing is half of what importing this package would cost
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol, overload

    class Unary(Protocol):
        __name__: str

        @overload
        def __call__(self, x: Value, /, *parameters: float) -> Value: ...
        @overload
        def __call__(self, x: float, /, *parameters: float) -> float: ...

    class Binary(Protocol):
        __name__: str

        @overload
        def __call__(self, x: Value, y: Value | float, /) -> Value: ...
        @overload
        def __call__(self, x: float, y: Value, /) -> Value: ...
        @overload
        def __call__(self, x: float, y: float, /) -> float: ...


__all__ = [
    "abs",
    "acos",
    "asin",
    "atan",
    "atan2",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "dot",
    "elu",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "floor",
    "frozen",
    "gelu",
    "hypot",
    "leaky_relu",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "maximum",
    "minimum",
    "pow",
    "prod",
    "relu",
    "round",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sqrt",
    "stop_gradient",
    "sum",
    "tan",
    "tanh",
    "to_int",
    "where",
]  # fmt: skip


def _documented(function: Any, name: str, arguments: str, example: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{name}({arguments}): a number for numbers, a Value where one is a Value; see Value.{name}.

    >>> {name}({example}) == {name}(Value({example.replace(", ", "), Value(")})).data
    True
    """
    return function


def is_array(*xs: Any) -> bool:
    """Whether one of them is an array of numpy's, which is not imported for that."""
    return any(hasattr(type(x), "__array_function__") and not isinstance(x, Value) for x in xs)


def _elementwise(f: Callable[..., Any], *arrays: Any) -> Any:
    from tapegrad.number_array import applied

    return applied(f, *arrays)


def _unary(name: str, number: Callable[..., Any] | None = None) -> Unary:
    """The function `name` of one Value or number; of numbers by `number`, or else by way of a Value."""

    def function(x: Any, /, *parameters: Any) -> Any:
        if isinstance(x, Value):
            return getattr(x, name)(*parameters)
        if type(x) is not float and is_array(x):
            return _elementwise(lambda y: function(y, *parameters), x)
        if number is None:
            return getattr(Value(x), name)(*parameters).data
        return number(x, *parameters)

    result: Unary = _documented(function, name, "x", "0.5")
    return result


def _binary(name: str, number: Callable[..., Any] | None = None) -> Binary:
    """The function `name` of two Values or numbers; of numbers by `number`, or else by way of Values."""

    def function(x: Any, y: Any, /) -> Any:
        if isinstance(x, Value) or isinstance(y, Value):
            try:
                return getattr(x if isinstance(x, Value) else Value(x), name)(y)
            except TypeError:
                if not is_array(x, y):
                    raise
                return _elementwise(function, x, y)
        if (type(x) is not float or type(y) is not float) and is_array(x, y):
            return _elementwise(function, x, y)
        return getattr(Value(x), name)(y).data if number is None else number(x, y)

    result: Binary = _documented(function, name, "x, y", "0.5, 1.5")
    return result


acos: Unary = _unary("acos", math.acos)
asin: Unary = _unary("asin", math.asin)
atan: Unary = _unary("atan", math.atan)
ceil: Unary = _unary("ceil", math.ceil)
cos: Unary = _unary("cos", math.cos)
cosh: Unary = _unary("cosh", math.cosh)
elu: Unary = _unary("elu")
erf: Unary = _unary("erf", math.erf)
erfc: Unary = _unary("erfc", math.erfc)
exp: Unary = _unary("exp", math.exp)
expm1: Unary = _unary("expm1", math.expm1)
floor: Unary = _unary("floor", math.floor)
gelu: Unary = _unary("gelu")
leaky_relu: Unary = _unary("leaky_relu")
log: Unary = _unary("log", math.log)
log10: Unary = _unary("log10", math.log10)
log1p: Unary = _unary("log1p", math.log1p)
log2: Unary = _unary("log2", math.log2)
relu: Unary = _unary("relu")
sigmoid: Unary = _unary("sigmoid")
sign: Unary = _unary("sign")
silu: Unary = _unary("silu")
sin: Unary = _unary("sin", math.sin)
sinh: Unary = _unary("sinh", math.sinh)
softplus: Unary = _unary("softplus")
sqrt: Unary = _unary("sqrt", math.sqrt)
tan: Unary = _unary("tan", math.tan)
tanh: Unary = _unary("tanh", math.tanh)

atan2: Binary = _binary("atan2", math.atan2)
hypot: Binary = _binary("hypot", math.hypot)
logaddexp: Binary = _binary("logaddexp")
maximum: Binary = _binary("maximum")
minimum: Binary = _binary("minimum")


def pow(x: Any, y: Any, /) -> Any:
    """x ** y: as `math.pow` for two numbers, a Value where one is a Value.

    >>> pow(2.0, 3), pow(2.0, Value(3.0))
    (8.0, Value(data=8.0, grad=0))
    """
    return x**y if isinstance(x, Value) or isinstance(y, Value) or is_array(x, y) else math.pow(x, y)


def clip(x: Any, low: Any, high: Any) -> Any:
    """x where it lies between low and high, else the bound that it passes.

    >>> clip(1.5, 0.0, 1.0), clip(Value(-2.0), 0.0, 1.0)
    (1.0, Value(data=0.0, grad=0))
    """
    return minimum(maximum(x, low), high)


def where(condition: Any, x: Any, y: Any) -> Any:
    """x if the condition holds, else y, as a Value if either is one; a Value as condition holds where it is not 0.

    Both arms have been computed by then; the derivative flows through the one that was taken. In a recorded function
    the condition is no guard: every replay computes both arms and takes one.

    >>> v = Value(-3.0)
    >>> where(v > 0, v, -v)
    Value(data=3.0, grad=0)
    """
    recorder = current()
    if (type(condition) is not bool and is_array(condition)) or (recorder is not None and is_array(x, y)):
        return _elementwise(where, condition, x, y)
    if recorder is not None and isinstance(condition, Value):
        return recorder.where(condition, x, y)
    if isinstance(condition, Value):
        condition = condition.data != 0
    taken, other = (x, y) if condition else (y, x)
    if recorder is not None:
        return taken
    return Value(taken) if isinstance(other, Value) and not isinstance(taken, Value) else taken


def _maximum(xs: list[Any]) -> Any:
    largest: Any = xs[0]
    for x in xs[1:]:
        largest = maximum(largest, x)
    return largest


def _largest(xs: list[Any]) -> Any:
    """The largest of these, without a derivative."""
    if current() is None:
        return max(x.data if isinstance(x, Value) else x for x in xs)
    return stop_gradient(_maximum(xs))


def logsumexp(xs: Iterable[Any]) -> Any:
    """log(exp(x0) + exp(x1) + ...) of at least one number or Value, without overflow at any size.

    >>> logsumexp([1000.0, 1000.0])
    1000.6931471805599
    """
    xs = list(xs)
    if not xs:
        raise ValueError("logsumexp of nothing")
    shift = finite_or_zero(_largest(xs))
    return log(sum([exp(x - shift) for x in xs])) + shift


def softmax(xs: Iterable[Any]) -> list[Any]:
    """exp(x) / (exp(x0) + exp(x1) + ...) for every x of at least one number or Value, without overflow at any size.

    >>> softmax([1000.0, 1000.0])
    [0.5, 0.5]
    """
    powers = [exp(x) for x in _from_largest(xs, "softmax")]
    scale = 1 / sum(powers)
    return [power * scale for power in powers]


def log_softmax(xs: Iterable[Any]) -> list[Any]:
    """log(softmax(xs)), accurate where the softmax itself is 0.

    >>> log_softmax([1000.0, -1000.0])
    [0.0, -2000.0]
    """
    xs = _from_largest(xs, "log_softmax")
    shift = -log(sum([exp(x) for x in xs]))
    return [x + shift for x in xs]


def _from_largest(xs: Iterable[Any], what: str) -> list[Any]:
    """Every x less the largest. The largest is part of the graph: what it contributes to the derivatives cancels."""
    xs = list(xs)
    if not xs:
        raise ValueError(f"{what} of nothing")
    shift = -_maximum(xs)
    return [x + shift for x in xs]
