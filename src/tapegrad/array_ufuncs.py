"""numpy's ufuncs on arrays of recorded numbers."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false
# (numpy does not say of what the arrays are)

from __future__ import annotations

import functools
import itertools
import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import elements
from tapegrad.elements import as_value, choose, compare, is_nan, is_recorded, kind, logical, operation, refuse
from tapegrad.number_array import (
    KINDS,
    NumberArray,
    array_of,
    as_condition,
    bare,
    decided,
    elementwise,
    index,
    kind_of,
    objects,
    to_kind,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FOLLOWED", "REFUSED", "accumulated", "apply_ufunc", "on_elements", "reduced"]


def _function(name: str) -> Callable[[Any], Any]:
    return lambda x: elements.function(name, x)


def _operation(label: str) -> Callable[..., Any]:
    return lambda *xs: operation(label, *xs)


def _comparison(op: str) -> Callable[[Any, Any], Any]:
    return lambda a, b: compare(op, a, b)


def _logical(op: str) -> Callable[..., Any]:
    return lambda *xs: logical(op, *xs)


def _number(x: Any) -> Any:
    return as_value(x) if is_recorded(x) else x


def _arithmetic(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def on(a: Any, b: Any) -> Any:
        return f(_number(a) if is_recorded(a) or is_recorded(b) else as_value(a), _number(b))

    return on


def _maximum(a: Any, b: Any) -> Any:
    return logical("or", a, b) if kind(a) == kind(b) == "b" else as_value(a).maximum(_number(b))


def _minimum(a: Any, b: Any) -> Any:
    return logical("and", a, b) if kind(a) == kind(b) == "b" else as_value(a).minimum(_number(b))


def _passing_nan(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: choose(is_nan(a), b, choose(is_nan(b), a, f(a, b)))


def _copysign(a: Any, b: Any) -> Any:
    size = abs(as_value(a))
    return choose(elements.is_negative(b), -size, size)


def _heaviside(x: Any, at_zero: Any) -> Any:
    step = choose(compare("==", x, 0.0), at_zero, choose(compare(">", x, 0.0), 1.0, 0.0))
    return choose(is_nan(x), x, step)


def _modulo(a: Any, b: Any) -> Any:
    return a % b


def _fmod(a: Any, b: Any) -> Any:
    return _copysign(_modulo(abs(as_value(a)), abs(as_value(b))), a)


def _modf(x: Any) -> tuple[Any, Any]:
    whole = operation("trunc", x)
    part = choose(elements.is_inf(x), 0.0, as_value(x) - whole)
    return _copysign(part, x), whole


def _clip(x: Any, low: Any, high: Any) -> Any:
    return _minimum(_maximum(x, low), high)


def _power(a: Any, b: Any) -> Any:
    return _number(a) ** _number(b) if is_recorded(a) or is_recorded(b) else as_value(a) ** b


def _negative(x: Any) -> Any:
    return -as_value(x)


def _logaddexp2(a: Any, b: Any) -> Any:
    log2 = math.log(2.0)
    return (as_value(a) * log2).logaddexp(as_value(b) * log2) / log2


# what each does to elements of which at least one is recorded (others are computed by numpy itself), and the kind of
# what it gives: a letter, or "same" as the operands, or "float" unless they are ints
FOLLOWED: dict[str, tuple[Callable[..., Any], str]] = {
    "add": (_arithmetic(operator.add), "same"),
    "subtract": (_arithmetic(operator.sub), "same"),
    "multiply": (_arithmetic(operator.mul), "same"),
    "divide": (_arithmetic(operator.truediv), "f"),
    "power": (_power, "same"),
    "float_power": (_power, "f"),
    "remainder": (_arithmetic(operator.mod), "same"),
    "floor_divide": (_arithmetic(operator.floordiv), "same"),
    "divmod": (_arithmetic(divmod), "same"),
    "fmod": (_fmod, "same"),
    "modf": (_modf, "f"),
    "negative": (_negative, "same"),
    "positive": (_number, "same"),
    "conjugate": (_number, "same"),
    "absolute": (lambda x: x if kind(x) == "b" else abs(x), "same"),
    "fabs": (lambda x: abs(as_value(x)), "f"),
    "square": (lambda x: as_value(x) * as_value(x), "same"),
    "reciprocal": (lambda x: 1.0 / as_value(x), "f"),
    "sign": (_function("sign"), "same"),
    "floor": (_operation("floor"), "same"),
    "ceil": (_operation("ceil"), "same"),
    "trunc": (_operation("trunc"), "same"),
    "rint": (_operation("round"), "f"),
    "exp": (_function("exp"), "f"),
    "exp2": (lambda x: 2.0 ** as_value(x), "f"),
    "expm1": (_function("expm1"), "f"),
    "log": (_function("log"), "f"),
    "log2": (_function("log2"), "f"),
    "log10": (_function("log10"), "f"),
    "log1p": (_function("log1p"), "f"),
    "sqrt": (_function("sqrt"), "f"),
    "sin": (_function("sin"), "f"),
    "cos": (_function("cos"), "f"),
    "tan": (_function("tan"), "f"),
    "arcsin": (_function("asin"), "f"),
    "arccos": (_function("acos"), "f"),
    "arctan": (_function("atan"), "f"),
    "sinh": (_function("sinh"), "f"),
    "cosh": (_function("cosh"), "f"),
    "tanh": (_function("tanh"), "f"),
    "deg2rad": (lambda x: as_value(x) * (math.pi / 180.0), "f"),
    "radians": (lambda x: as_value(x) * (math.pi / 180.0), "f"),
    "rad2deg": (lambda x: as_value(x) * (180.0 / math.pi), "f"),
    "degrees": (lambda x: as_value(x) * (180.0 / math.pi), "f"),
    "arctan2": (lambda y, x: as_value(y).atan2(_number(x)), "f"),
    "hypot": (lambda a, b: as_value(a).hypot(_number(b)), "f"),
    "logaddexp": (lambda a, b: as_value(a).logaddexp(_number(b)), "f"),
    "logaddexp2": (_logaddexp2, "f"),
    "copysign": (_copysign, "f"),
    "heaviside": (_heaviside, "f"),
    "maximum": (_maximum, "same"),
    "minimum": (_minimum, "same"),
    "fmax": (_passing_nan(_maximum), "same"),
    "fmin": (_passing_nan(_minimum), "same"),
    "clip": (_clip, "same"),
    "less": (_comparison("<"), "b"),
    "less_equal": (_comparison("<="), "b"),
    "greater": (_comparison(">"), "b"),
    "greater_equal": (_comparison(">="), "b"),
    "equal": (_comparison("=="), "b"),
    "not_equal": (_comparison("!="), "b"),
    "logical_and": (_logical("and"), "b"),
    "logical_or": (_logical("or"), "b"),
    "logical_xor": (_logical("xor"), "b"),
    "logical_not": (_logical("not"), "b"),
    "bitwise_and": (_logical("and"), "bits"),
    "bitwise_or": (_logical("or"), "bits"),
    "bitwise_xor": (_logical("xor"), "bits"),
    "invert": (_logical("not"), "bits"),
    "isnan": (is_nan, "b"),
    "isinf": (elements.is_inf, "b"),
    "isfinite": (elements.is_finite, "b"),
    "signbit": (elements.is_negative, "b"),
}
ALIASES = {"true_divide": "divide", "mod": "remainder", "abs": "absolute", "pow": "power", "conj": "conjugate"}
GENERALISED = ("matmul", "vecdot", "matvec", "vecmat")

# numpy's ufuncs that cannot be followed, and what to write instead
ROOT = "write np.sign(x) * np.abs(x) ** (1 / 3)"
BITS = "bits of recorded numbers cannot be followed; take ints by tapegrad.to_int(x), guarded"
REFUSED = {
    "arccosh": "write np.log(x + np.sqrt(x * x - 1))",
    "arcsinh": "write np.log(x + np.sqrt(x * x + 1))",
    "arctanh": "write 0.5 * (np.log1p(x) - np.log1p(-x))",
    "cbrt": ROOT,
    "frexp": BITS,
    "ldexp": "write x * 2.0**n",
    "nextafter": BITS,
    "spacing": BITS,
    "gcd": BITS,
    "lcm": BITS,
    "left_shift": BITS,
    "right_shift": BITS,
    "bitwise_count": BITS,
    "isnat": "recorded numbers are no dates",
}
UNKNOWN = "write it with arithmetic and the functions of docs/programs.md"
LOOPS = ("add", "subtract", "multiply")  # numpy's own loops over objects do these rightly, and faster
NAMES = {"f": "floats", "i": "ints", "b": "bools"}
IDENTITIES = {"add": 0, "multiply": 1, "logical_and": True, "logical_or": False, "logical_xor": False}
FOLDED = {*IDENTITIES, "maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2", "subtract"}
EXACT = {"copysign", "divide", "fabs", "float_power", "heaviside", "modf", "rint", "sqrt"}  # of bools
WITHOUT_BOOLS = {"subtract": "subtract", "negative": "negative", "sign": "sign"}


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the ufunc's method gives."""
    name = ALIASES.get(ufunc.__name__, ufunc.__name__)
    out = kwargs.pop("out", None)
    mask = kwargs.pop("where", True)
    wanted = kwargs.pop("dtype", None)
    for x in inputs:
        if isinstance(x, np.ndarray) and type(x) not in (np.ndarray, NumberArray):
            refuse(f"numpy.{name} of recorded numbers and a {type(x).__name__}", "use a plain array: np.asarray(a)")
    for option in ("casting", "order", "subok"):
        kwargs.pop(option, None)
    if name in GENERALISED:
        return into(out, _product(ufunc, inputs, kwargs), True)
    if method == "__call__" and set(ufunc.types) == {"O" * ufunc.nin + "->" + "O" * ufunc.nout}:
        return into(out, _of_python(ufunc, inputs), mask)
    if name not in FOLLOWED:
        refuse(f"numpy.{name} of recorded numbers", REFUSED.get(name, UNKNOWN))
    if wanted is not None:
        inputs = (_astype(inputs[0], wanted), *inputs[1:])
    if method == "__call__":
        if mask is not True and out is None:
            refuse(f"numpy.{name} with where= and without out=", "numpy leaves the rest undefined: use np.where")
        return into(out, on_elements(name, *inputs), mask)
    f = FOLLOWED[name][0]
    if ufunc.nin != 2 or ufunc.nout != 1:
        refuse(f"numpy.{name}.{method} of recorded numbers", UNKNOWN)
    if method in ("reduce", "accumulate") and name not in FOLDED:
        refuse(f"numpy.{name}.{method} of recorded numbers", f"write it with numpy.{name} in a loop")
    if method == "reduce":
        result = reduced(name, *inputs, **{**kwargs, "where": mask})
        return into(out, result, True)
    if method == "accumulate":
        return into(out, accumulated(name, *inputs, **kwargs), True)
    if method == "outer":
        a, b = (wrapped(objects(x), kind_of(x)) for x in inputs)
        return into(out, on_elements(name, a.reshape(a.shape + (1,) * np.ndim(b)), b), True)
    if method == "at":
        target, at, *operand = inputs
        if not isinstance(target, np.ndarray) or target.dtype != object:
            refuse(f"numpy.{name}.at of an array of floats and recorded numbers", "begin with np.zeros_like(x)")
        places = np.arange(target.size).reshape(target.shape)[index(at)]
        values = np.broadcast_to(objects(operand[0]), places.shape).ravel().tolist()
        for k, x in zip(places.ravel().tolist(), values, strict=True):
            where_to = np.unravel_index(k, target.shape)
            target[where_to] = f(target[where_to], x)
        return None
    return refuse(f"numpy.{name}.{method} of recorded numbers", f"write it with numpy.{name} and slices")


def _astype(x: Any, dtype: Any) -> Any:
    to = np.dtype(dtype)
    if to.kind == "O" or to == np.float64:
        return x
    if to.kind not in "bi" or kind_of(x) == "f":
        refuse(f"an operation on recorded numbers with dtype={to}", "recorded floats are float64: leave it out")
    return wrapped(objects(x), kind_of(x)).astype(to)


def on_elements(name: str, *inputs: Any) -> Any:
    """The ufunc on every element of arrays that are broadcast against one another."""
    f, gives = FOLLOWED[name]
    kinds = [kind_of(x) for x in inputs]
    operands = KINDS[max(KINDS.index(k) for k in kinds)]
    if name == "copysign" or name == "heaviside":
        operands = "f"
    if gives == "bits":
        if operands != "b":
            refuse(
                f"numpy.{name} of recorded {NAMES[operands]}",
                BITS if operands == "i" else "numpy has it for ints and bools",
            )
        gives = "b"
    if operands == "b" and gives == "f" and name not in EXACT:
        refuse(f"numpy.{name} of recorded bools", "numpy computes it in 16 bits: use (x > 0).astype(float)")
    if operands == "b" and gives == "same":
        if name in WITHOUT_BOOLS:
            raise TypeError(f"numpy.{name} of bools is not supported: use numpy.logical_xor or numpy.logical_not")
        if name in ("add", "multiply"):
            f = _logical("or" if name == "add" else "and")
    if gives == "same":
        gives = operands
    if name in LOOPS and kinds == ["f", "f"]:
        return wrapped(getattr(np, name)(*[objects(x) for x in inputs]), "f")
    ufunc = _clip_of_floats if name == "clip" else getattr(np, name)

    def element(*xs: Any) -> Any:
        if any(is_recorded(x) for x in xs):
            return f(*xs)
        with np.errstate(all="ignore"):
            result = ufunc(*[to_kind(x, operands) for x in xs])
        return tuple([r.item() for r in result]) if isinstance(result, tuple) else result.item()

    if name in ("divmod", "modf"):
        pairs = elementwise(element, *inputs)
        if not isinstance(pairs, np.ndarray):
            return pairs
        flat = bare(pairs).ravel().tolist()
        return tuple([array_of([pair[k] for pair in flat], pairs.shape, gives) for k in (0, 1)])
    return elementwise(element, *inputs, of_kind=gives)


def _boxed(x: Any) -> Any:
    """x in an array of its own, from which numpy hands it on as it is."""
    box = np.empty((), dtype=object)
    box[()] = x
    return box


def _of_python(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """A function of Python's that numpy.vectorize or numpy.frompyfunc has made a ufunc, of every element."""
    plain = np.broadcast_arrays(*[objects(x) for x in inputs])
    made = [ufunc(*map(_boxed, xs)) for xs in zip(*[a.ravel().tolist() for a in plain], strict=True)]
    if ufunc.nout == 1:
        return array_of(made, plain[0].shape)
    return tuple([array_of([m[k] for m in made], plain[0].shape) for k in range(ufunc.nout)])


def _clip_of_floats(x: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


def _product(ufunc: np.ufunc, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    numbers = [_numbers(x) for x in inputs]
    if not numbers[0].size or not numbers[1].size:
        shape = np.shape(ufunc(*[np.zeros(x.shape) for x in numbers], **kwargs))
        return wrapped(np.full(shape, 0.0, dtype=object), "f") if shape else 0.0
    return wrapped(ufunc(*numbers, **kwargs))


def _numbers(x: Any) -> Any:
    """A plain array of objects, in which conditions are the numbers 1 and 0."""
    x = objects(x)
    out = np.empty(x.size, dtype=object)
    for k, e in enumerate(x.ravel().tolist()):
        out[k] = _number(e)
    return out.reshape(x.shape)


def into(out: Any, result: Any, mask: Any) -> Any:
    """The result, written into `out` if there is such an array."""
    outs = out if isinstance(out, tuple) else (out,)
    if all(o is None for o in outs):
        return result
    results = result if isinstance(result, tuple) else (result,)
    written: list[Any] = []
    for o, r in zip(outs, results, strict=True):
        if o is None:
            written.append(r)
            continue
        if o.dtype != object:
            refuse(
                f"recorded numbers written into an array of {o.dtype}",
                "write a = a + x instead of a += x, or begin with an array of objects, np.zeros_like(x) for example",
            )
        if KINDS.index(kind_of(r)) > KINDS.index(kind_of(o)):
            refuse(
                f"recorded {NAMES[kind_of(r)]} written into an array of {NAMES[kind_of(o)]}",
                "numpy refuses this, too: use x.astype(float)",
            )
        o[... if mask is True else decided(mask, "b")] = r if mask is True else _masked(r, mask, o.shape)
        written.append(o)
    return tuple(written) if isinstance(result, tuple) else written[0]


def _masked(r: Any, mask: Any, shape: tuple[int, ...]) -> Any:
    return np.broadcast_to(objects(r), shape)[np.broadcast_to(decided(mask, "b"), shape)]


# ---- along axes ----


def rows_of(x: Any, axis: Any) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """The elements along the axes, which are None for all or an int or ints, as the rows of a matrix; the shape that
    is left, and the shape with 1 in the place of every axis that is gone."""
    x = objects(x)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple([_checked(operator.index(a), x.ndim) for a in axes])
    rest = [k for k in range(x.ndim) if k not in axes]
    count = math.prod([x.shape[a] for a in axes])
    left = tuple([x.shape[k] for k in rest])
    kept = tuple([1 if k in axes else x.shape[k] for k in range(x.ndim)])
    return x.transpose([*rest, *axes]).reshape(math.prod(left), count), left, kept


def _checked(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim and (ndim or axis not in (0, -1)):
        raise ValueError(f"axis {axis} is out of bounds for array of dimension {ndim}")
    return axis % ndim if ndim else -1


def along(f: Callable[[list[Any]], Any], x: Any, axis: Any, keepdims: Any, of_kind: str | None = None) -> Any:
    """f of the elements along the axes, everywhere."""
    rows, left, kept = rows_of(x, axis)
    return array_of([f(row.tolist()) for row in rows], kept if keepdims is True else left, of_kind)


def reduced(
    name: str, x: Any, axis: Any = 0, keepdims: Any = False, initial: Any = None, where: Any = True, **rest: Any
) -> Any:
    """The ufunc between all elements along the axes."""
    if initial is np._NoValue:
        initial = None
    f = Folding(name, x)
    of_kind = f.kind
    first: Any = IDENTITIES.get(name)
    if first is not None and type(first) is int and of_kind == "f":
        first = float(first)
    if initial is not None:
        first = initial

    def fold(row: list[Any]) -> Any:
        if initial is not None or not row:
            if first is None:
                raise ValueError(f"zero-size array to reduction operation {name} which has no identity")
            row = [first, *row]
        return functools.reduce(f, row) if len(row) > 1 else f.single(row[0])

    if where is not True:
        mask, _, _ = rows_of(np.broadcast_to(decided(where, "b"), np.shape(x)), axis)
        rows, left, kept = rows_of(x, axis)
        chosen = [[e for e, m in zip(row, ms, strict=True) if m] for row, ms in zip(rows.tolist(), mask, strict=True)]
        return array_of([fold(row) for row in chosen], kept if keepdims is True else left, of_kind)
    return along(fold, x, axis, keepdims, of_kind)


class Folding:
    """The function between two elements in a reduction, and the kind of what it gives."""

    def __init__(self, name: str, x: Any) -> None:
        self.f, gives = FOLLOWED[name]
        of = kind_of(x)
        self.numpys: np.ufunc = getattr(np, name)
        self.counts: bool = of == "b" and name in ("add", "multiply")
        self.kind: str = "b" if gives in ("b", "bits") else "i" if self.counts else of

    def single(self, x: Any) -> Any:
        """What it gives of one element alone."""
        return as_condition(x) if self.kind == "b" else to_kind(x, self.kind) if self.counts else x

    def __call__(self, a: Any, b: Any) -> Any:
        if is_recorded(a) or is_recorded(b):
            return self.f(a, b)
        with np.errstate(all="ignore"):
            return self.numpys(int(a), int(b)).item() if self.counts else self.numpys(a, b).item()


def accumulated(name: str, x: Any, axis: Any = 0, **rest: Any) -> Any:
    """The ufunc between all elements up to each, along the axis."""
    f = Folding(name, x)
    of_kind = f.kind
    x = objects(x)
    moved = np.moveaxis(x, axis, -1)
    out: list[Any] = []
    for row in moved.reshape(-1, moved.shape[-1]).tolist() if x.size else ():
        out += itertools.accumulate([f.single(row[0]), *row[1:]], f)
    made = np.empty(len(out), dtype=object)
    made[:] = out
    return wrapped(np.moveaxis(made.reshape(moved.shape), -1, axis), of_kind)
