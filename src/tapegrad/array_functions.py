"""numpy's functions on arrays of recorded numbers.

What only moves elements about is left to numpy; what computes is computed here; what needs an order or an index is
decided by guards. What is in neither table is an error.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false
# (numpy does not say of what the arrays are)

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import elements
from tapegrad.array_ufuncs import accumulated, along, into, on_elements, reduced, rows_of
from tapegrad.elements import choose, compare, is_nan, is_recorded, logical, refuse, truth, words
from tapegrad.number_array import (
    KINDS,
    NumberArray,
    array_of,
    as_condition,
    bare,
    decided,
    elementwise,
    kind_of,
    objects,
    to_kind,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FUNCTIONS", "MOVED", "REFUSED", "apply_function"]

UNKNOWN = "write it with arithmetic and the functions that docs/programs.md names"
FUNCTIONS: dict[str, Callable[..., Any]] = {}

# only move elements about, or compute with ufuncs and methods that come back here
MOVED = set(
    words("""append apply_along_axis apply_over_axes array_split atleast_1d atleast_2d atleast_3d block broadcast_arrays
    broadcast_to column_stack concatenate copy delete diag diagflat diff dsplit dstack ediff1d
    expand_dims flip fliplr flipud gradient hsplit hstack insert iscomplexobj isrealobj ix_ kron linspace
    may_share_memory meshgrid moveaxis ndim outer ravel repeat reshape resize roll rollaxis rot90 shape
    shares_memory sinc size split squeeze stack swapaxes take_along_axis tile transpose trapezoid trapz tril
    triu tril_indices_from triu_indices_from diag_indices_from unstack vander vsplit vstack matrix_transpose
    linalg.matrix_transpose linalg.diagonal linalg.outer polyval polyadd polysub polymul
    lib.stride_tricks.sliding_window_view fill_diagonal put_along_axis require asanyarray result_type""")
)
# computed by numpy with arithmetic alone, on objects
ARITHMETIC = set(
    words("""convolve correlate cross dot einsum inner tensordot vdot trace linalg.cross linalg.matmul linalg.tensordot
    linalg.trace linalg.vecdot linalg.multi_dot linalg.matrix_power""")
)
INVERSE = (
    "there is no such operation on recorded numbers: write out the elimination, or solve with plain arrays outside"
)
REFUSED = {
    **dict.fromkeys(
        words("""linalg.cholesky linalg.cond linalg.det linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh linalg.inv
        linalg.lstsq linalg.matrix_rank linalg.pinv linalg.qr linalg.slogdet linalg.solve linalg.svd linalg.svdvals
        linalg.tensorinv linalg.tensorsolve polyfit roots"""),
        INVERSE,
    ),
    **dict.fromkeys(
        words("array2string array_repr array_str save savetxt savez savez_compressed"),
        "Python would go on with text that no replay follows; tapegrad.frozen(v) is the number while recording",
    ),
    "asarray": "leave it out: x is an array",
}


def named(*names: str) -> Callable[[Any], Any]:
    """Enter the function under these names of numpy's."""

    def enter(f: Any) -> Any:
        for name in names:
            FUNCTIONS[name] = f
        return f

    return enter


def apply_function(func: Any, args: Any, kwargs: Any) -> Any:
    """What numpy's function gives."""
    module = func.__module__.removeprefix("numpy").lstrip(".")
    name = f"{module}.{func.__name__}" if module else func.__name__
    if name in FUNCTIONS:
        return FUNCTIONS[name](*args, **kwargs)
    if name in MOVED:
        return _wrapped(func._implementation(*_indices(name, args), **kwargs), args)
    if name in ARITHMETIC:
        out = kwargs.pop("out", None)
        plain = [_numbers(a) for a in args]
        return into(out, _wrapped(func._implementation(*plain, **kwargs), args), True)
    return refuse(f"numpy.{name} of an array of recorded numbers", REFUSED.get(name, UNKNOWN))


INDEX_AT = {"delete": 1, "insert": 1, "repeat": 1, "roll": 1, "take_along_axis": 1, "put_along_axis": 1}


def _indices(name: str, args: Any) -> Any:
    at = INDEX_AT.get(name)
    if at is None or len(args) <= at:
        return args
    return (*args[:at], decided(args[at]), *args[at + 1 :])


def _kinds(args: Any) -> list[str]:
    found: list[str] = []
    for a in args:
        if isinstance(a, NumberArray):
            found.append(a.number_kind)
        elif isinstance(a, (list, tuple)):
            found += _kinds(a)
    return found


def _wrapped(result: Any, args: Any) -> Any:
    """numpy's result with the arrays of objects in it as NumberArrays, with floats for the zeros that numpy put in."""
    if isinstance(result, (list, tuple)):
        moved = [_wrapped(r, args) for r in result]
        return (
            moved if isinstance(result, list) else type(result)(*moved) if hasattr(result, "_fields") else tuple(moved)
        )
    if not isinstance(result, np.ndarray) or result.dtype != object:
        return result
    kinds = set(_kinds(args))
    if kinds == {"f"} and any(not is_recorded(x) and not isinstance(x, float) for x in bare(result).ravel().tolist()):
        return array_of([to_kind(x, "f") for x in bare(result).ravel().tolist()], result.shape, "f")
    return wrapped(result, "f" if kinds == {"f"} else None)


def _numbers(x: Any) -> Any:
    if not isinstance(x, np.ndarray):
        return [_numbers(e) for e in x] if isinstance(x, list) and any(isinstance(e, np.ndarray) for e in x) else x
    return bare(elementwise(lambda e: elements.as_value(e) if is_recorded(e) else e, x)) if x.dtype == object else x


# ---- reductions ----


def _reduction(name: str) -> Any:
    def reduction(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
    ) -> Any:
        where = True if where is np._NoValue else where
        return into(out, reduced(name, a, axis, keepdims, initial, where), True)

    return reduction


for _ufunc, _names in {"maximum": "max amax", "minimum": "min amin", "fmax": "nanmax", "fmin": "nanmin"}.items():
    named(*_names.split())(_reduction(_ufunc))


@named("all")
def all_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    return into(out, reduced("logical_and", a, axis, keepdims, None, _mask(where)), True)


@named("any")
def any_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    return into(out, reduced("logical_or", a, axis, keepdims, None, _mask(where)), True)


def _mask(where: Any) -> Any:
    return True if where is np._NoValue else where


def _of_dtype(a: Any, dtype: Any) -> Any:
    return a if dtype is None or np.dtype(dtype) == object else wrapped(objects(a), kind_of(a)).astype(dtype)


@named("sum")
def sum_(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    return into(out, reduced("add", _of_dtype(a, dtype), axis, keepdims, initial, _mask(where)), True)


@named("prod")
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    return into(out, reduced("multiply", _of_dtype(a, dtype), axis, keepdims, initial, _mask(where)), True)


@named("cumsum")
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return into(out, _running("add", _of_dtype(a, dtype), axis), True)


@named("cumprod")
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return into(out, _running("multiply", _of_dtype(a, dtype), axis), True)


def _running(name: str, a: Any, axis: Any) -> Any:
    a = wrapped(objects(a), kind_of(a))
    return accumulated(name, a.ravel() if axis is None else a, 0 if axis is None else axis)


def _without_nan(a: Any, instead: float) -> Any:
    return elementwise(lambda x: choose(is_nan(x), instead, x), a, of_kind=kind_of(a))


@named("nansum")
def nansum(a: Any, axis: Any = None, **options: Any) -> Any:
    return sum_(_without_nan(a, 0.0), axis, **options)


@named("nanprod")
def nanprod(a: Any, axis: Any = None, **options: Any) -> Any:
    return prod(_without_nan(a, 1.0), axis, **options)


@named("nancumsum")
def nancumsum(a: Any, axis: Any = None, **options: Any) -> Any:
    return cumsum(_without_nan(a, 0.0), axis, **options)


@named("nancumprod")
def nancumprod(a: Any, axis: Any = None, **options: Any) -> Any:
    return cumprod(_without_nan(a, 1.0), axis, **options)


@named("nanmean")
def nanmean(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return along(lambda row: _mean(_numbers_of(row)), a, axis, keepdims, "f")


@named("nanvar")
def nanvar(a: Any, axis: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    return along(lambda row: _variance(_numbers_of(row), ddof), a, axis, keepdims, "f")


@named("nanstd")
def nanstd(a: Any, axis: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    return on_elements("sqrt", nanvar(a, axis, ddof, keepdims))


def _numbers_of(row: list[Any]) -> list[Any]:
    """Those that are no nan, decided by guards."""
    if not _has_nan(row):
        return row
    return [x for x in row if not truth(is_nan(x))]


def _has_nan(row: list[Any]) -> bool:
    """Whether one of them is nan, by one guard."""
    found: Any = False
    for x in row:
        found = logical("or", found, is_nan(x)) if is_recorded(x) else found if x == x else True
        if found is True:
            return True
    return truth(found)


def _sum(row: list[Any]) -> Any:
    return functools.reduce(lambda a, b: a + b, [elements.as_value(x) for x in row]) if row else 0.0


def _mean(row: list[Any]) -> Any:
    return _sum(row) / len(row) if row else math.nan


def _variance(row: list[Any], ddof: Any) -> Any:
    middle = _mean(row)
    squares = [(x - middle) * (x - middle) for x in (elements.as_value(x) for x in row)]
    return _sum(squares) / (len(row) - ddof) if len(row) > ddof else math.nan


@named("mean")
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    return into(out, _along_chosen(_mean, _of_dtype(a, dtype), axis, keepdims, where), True)


@named("var")
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    **options: Any,
) -> Any:
    ddof = options.get("correction", ddof)
    return into(out, _along_chosen(lambda row: _variance(row, ddof), _of_dtype(a, dtype), axis, keepdims, where), True)


@named("std")
def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, *rest: Any, **options: Any) -> Any:
    return into(out, on_elements("sqrt", var(a, axis, dtype, None, *rest, **options)), True)


def _along_chosen(f: Any, a: Any, axis: Any, keepdims: Any, where: Any) -> Any:
    if _mask(where) is True:
        return along(f, a, axis, keepdims, "f")
    rows, left, kept = rows_of(a, axis)
    masks, _, _ = rows_of(np.broadcast_to(decided(where, "b"), np.shape(a)), axis)
    chosen = [[x for x, m in zip(row, ms, strict=True) if m] for row, ms in zip(rows.tolist(), masks, strict=True)]
    return array_of([f(row) for row in chosen], kept if keepdims is True else left, "f")


@named("average")
def average(a: Any, axis: Any = None, weights: Any = None, returned: Any = False, *, keepdims: Any = False) -> Any:
    a = wrapped(objects(a), kind_of(a))
    if weights is None:
        result = mean(a, axis, keepdims=keepdims)
        total: Any = a.size / np.size(result)
    else:
        w = wrapped(objects(weights), kind_of(weights))
        if w.shape != a.shape:
            if not isinstance(axis, int) or w.ndim != 1:
                refuse("numpy.average with such weights", "give weights of the shape of the array")
            w = w.reshape([-1 if k == axis % a.ndim else 1 for k in range(a.ndim)])
            w = np.broadcast_to(w, a.shape)
        total = sum_(w, axis, keepdims=keepdims)
        result = sum_(a * w, axis, keepdims=keepdims) / total
    return (result, total) if returned else result


@named("ptp")
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return into(out, reduced("maximum", a, axis, keepdims) - reduced("minimum", a, axis, keepdims), True)


@named("count_nonzero")
def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return np.count_nonzero(decided(a, "b"), axis=axis, keepdims=keepdims)


# ---- order, decided by guards ----


def _ranks(row: list[Any]) -> list[float]:
    """Numbers that are ordered as these are, nan for nan: whatever numpy finds out by comparing, it finds with them."""
    recorded = any(is_recorded(x) for x in row)
    if not recorded:
        return [float(x) for x in row]
    places, _ = _ordered(row)
    ranks = [math.nan] * len(row)
    rank = 0.0
    for at, k in enumerate(places):
        if at and truth(compare("<", row[places[at - 1]], row[k])):
            rank += 1.0
        ranks[k] = rank
    return ranks


class Key:
    """An element to sort by; every comparison is a guard."""

    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x: Any = x

    def __lt__(self, other: Key) -> bool:
        return truth(compare("<", self.x, other.x))


def _ordered(row: list[Any]) -> tuple[list[int], list[int]]:
    """The places of the numbers from the smallest on, in their order where they are equal, and those of the nans."""
    nans = [truth(is_nan(x)) for x in row] if _has_nan(row) else [False] * len(row)
    places = sorted([k for k in range(len(row)) if not nans[k]], key=lambda k: Key(row[k]))
    return places, [k for k in range(len(row)) if nans[k]]


def _by_rank(f: Callable[[Any], Any], a: Any, axis: Any) -> Any:
    """f of the ranks along the axis: plain numbers."""
    return f(_along_axis(lambda row: np.array(_ranks(row), dtype=float), a, axis))


def _along_axis(f: Callable[[list[Any]], Any], a: Any, axis: Any) -> Any:
    """The rows along the axis replaced by as many plain numbers each."""
    a = objects(a)
    if axis is None:
        a, axis = a.ravel(), 0
    moved = np.moveaxis(a, axis, -1)
    rows = [f(row.tolist()) for row in moved.reshape(-1, moved.shape[-1])] if a.size else []
    return np.moveaxis(np.array(rows, dtype=rows[0].dtype if rows else np.intp).reshape(moved.shape), -1, axis)


def _picked(a: Any, places: Any, axis: Any) -> Any:
    a = wrapped(objects(a), kind_of(a))
    return np.take_along_axis(a.ravel() if axis is None else a, places, 0 if axis is None else axis)


@named("argsort")
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    if stable or kind in ("stable", "mergesort"):
        return _along_axis(lambda row: np.array([k for part in _ordered(row) for k in part], dtype=np.intp), a, axis)
    return _by_rank(lambda r: np.argsort(r, -1 if axis is None else axis, kind, order), a, axis)


@named("sort")
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    return _picked(a, argsort(a, axis, order=order, stable=True), axis)  # equal ones are equal, in whatever order


@named("argpartition")
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    return _by_rank(lambda r: np.argpartition(r, kth, -1 if axis is None else axis, kind, order), a, axis)


@named("partition")
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    a = wrapped(objects(a), kind_of(a))
    a, axis = (a.ravel(), 0) if axis is None else (a, axis)
    ranks = _by_rank(lambda r: r, a, axis)
    places = np.argsort(ranks, axis, "stable")
    parted = np.partition(ranks, kth, axis, kind, order)
    back = np.argsort(np.argsort(parted, axis, "stable"), axis, "stable")  # numpy's own partition is not argpartition's
    return _picked(a, np.take_along_axis(places, back, axis), axis)


@named("lexsort")
def lexsort(keys: Any, axis: Any = -1) -> Any:
    return np.lexsort([_by_rank(lambda r: r, key, axis) for key in keys], axis)


def _first(op: str, row: list[Any], skip_nan: bool) -> int:
    if not row:
        raise ValueError("attempt to get argmax or argmin of an empty sequence")
    nans = [truth(is_nan(x)) for x in row] if _has_nan(row) else [False] * len(row)
    if any(nans) and not skip_nan:
        return nans.index(True)
    places = [k for k in range(len(row)) if not nans[k]]
    if not places:
        raise ValueError("All-NaN slice encountered")
    best = places[0]
    for k in places[1:]:
        if truth(compare(op, row[k], row[best])):
            best = k
    return best


def _argument(op: str, skip_nan: bool) -> Any:
    def argument(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        rows, left, kept = rows_of(a, axis)
        found = np.array([_first(op, row.tolist(), skip_nan) for row in rows], dtype=np.intp)
        shape = kept if keepdims is True else left
        if out is not None:
            out[...] = found.reshape(shape)
            return out
        return found.reshape(shape) if shape else found[0]

    return argument


FUNCTIONS |= {
    "argmax": _argument(">", False),
    "argmin": _argument("<", False),
    "nanargmax": _argument(">", True),
    "nanargmin": _argument("<", True),
}


def _joint_ranks(*arrays: Any) -> list[Any]:
    """The arrays with numbers in the same order, across all of them, as their elements."""
    plain = [objects(a) for a in arrays]
    ranks = np.array(_ranks([x for a in plain for x in a.ravel().tolist()]), dtype=float)
    out: list[Any] = []
    at = 0
    for a in plain:
        out.append(ranks[at : at + a.size].reshape(a.shape))
        at += a.size
    return out


@named("searchsorted")
def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    table = objects(a)
    if sorter is not None:
        table = table[decided(sorter)]
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right', not {side!r}")
    row = table.tolist()
    if _has_nan(row):
        ranks, places = _joint_ranks(table, v)
        return np.searchsorted(ranks, places, side)

    def place(x: Any) -> int:
        if (is_recorded(x) and truth(is_nan(x))) or (not is_recorded(x) and x != x):
            return len(row)
        low, high = 0, len(row)
        while low < high:
            middle = (low + high) // 2
            before = compare("<", row[middle], x) if side == "left" else compare("<=", row[middle], x)
            low, high = (middle + 1, high) if truth(before) else (low, middle)
        return low

    values = objects(v)
    found = np.array([place(x) for x in values.ravel().tolist()], dtype=np.intp).reshape(values.shape)
    return found if values.ndim else found[()]


@named("digitize")
def digitize(x: Any, bins: Any, right: Any = False) -> Any:
    bins = wrapped(objects(bins), kind_of(bins))
    if len(bins) > 1 and truth(compare(">", bare(bins)[0], bare(bins)[-1])):
        return len(bins) - searchsorted(bins[::-1], x, "left" if right else "right")
    return searchsorted(bins, x, "left" if right else "right")


@named("unique")
def unique(
    ar: Any,
    return_index: Any = False,
    return_inverse: Any = False,
    return_counts: Any = False,
    axis: Any = None,
    **options: Any,
) -> Any:
    if axis is not None:
        refuse("numpy.unique of recorded numbers along an axis", "take the rows apart")
    ranks = _joint_ranks(ar)[0]
    _, at, inverse, counts = np.unique(ranks, True, True, True, **options)
    found = wrapped(objects(ar), kind_of(ar)).ravel()[at]
    more = [x for x, wanted in ((at, return_index), (inverse, return_inverse), (counts, return_counts)) if wanted]
    return (found, *more) if more else found


def _of_two(name: str) -> Any:
    def of_two(a: Any, b: Any, assume_unique: Any = False) -> Any:
        first, second = _joint_ranks(a, b)
        both = np.concatenate([objects(a).ravel(), objects(b).ravel()])
        ranks = np.concatenate([first.ravel(), second.ravel()])
        places = {rank: k for k, rank in reversed(list(enumerate(ranks.tolist())))}
        options = {} if name == "union1d" else {"assume_unique": assume_unique}
        found = getattr(np, name)(first, second, **options)
        nans = [k for k in range(len(both)) if ranks[k] != ranks[k]]
        return array_of([both[places[r] if r == r else nans[0]] for r in found.tolist()], found.shape, kind_of(a))

    return of_two


for _name in ("union1d", "intersect1d", "setdiff1d", "setxor1d"):
    named(_name)(_of_two(_name))


@named("isin")
def isin(element: Any, test_elements: Any, assume_unique: Any = False, invert: Any = False, **options: Any) -> Any:
    first, second = _joint_ranks(element, test_elements)
    return np.isin(first, second, assume_unique, invert)


@named("nonzero")
def nonzero(a: Any) -> Any:
    return np.nonzero(decided(a, "b"))


@named("flatnonzero")
def flatnonzero(a: Any) -> Any:
    return np.flatnonzero(decided(a, "b"))


@named("argwhere")
def argwhere(a: Any) -> Any:
    return np.argwhere(decided(a, "b"))


@named("trim_zeros")
def trim_zeros(filt: Any, trim: Any = "fb", axis: Any = None) -> Any:
    if np.ndim(filt) != 1:
        refuse("numpy.trim_zeros of recorded numbers in several dimensions", "slice the array")
    found = flatnonzero(filt)
    first = found[0] if "f" in trim.lower() and len(found) else len(filt) if "f" in trim.lower() else 0
    last = (found[-1] + 1 if len(found) else 0) if "b" in trim.lower() else len(filt)
    return filt[first:last]


# ---- quantiles ----


@named("median")
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    return into(out, along(_median, a, axis, keepdims, "f"), True)


@named("nanmedian")
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    return into(out, along(lambda row: _median(_numbers_of(row)), a, axis, keepdims, "f"), True)


def _sorted(row: list[Any]) -> list[Any]:
    return [row[k] for k in _ordered(row)[0]]


def _median(row: list[Any]) -> Any:
    if not row:
        return math.nan
    if _has_nan(row):
        return _sum(row)
    ordered = _sorted(row)
    half = len(row) // 2
    return _mean(ordered[half : half + 1] if len(row) % 2 else ordered[half - 1 : half + 1])


LINEAR = ("linear", "lower", "higher", "nearest", "midpoint")


def _quantile(row: list[Any], q: Any, method: str) -> Any:
    if not row:
        return math.nan
    if _has_nan(row):
        return _sum(row)
    ordered = _sorted(row)
    at = elements.as_value(q) * (len(row) - 1) if is_recorded(q) else float(q) * (len(row) - 1)
    low = min(elements.as_int(at), len(row) - 1)
    high = min(low + 1, len(row) - 1)
    between = at - low
    if method == "lower":
        return ordered[low]
    exact = truth(compare("==", between, 0.0))
    if method == "higher":
        return ordered[low if exact else high]
    if method == "nearest":
        above = compare(">", between, 0.5) if low % 2 == 0 else compare(">=", between, 0.5)
        return ordered[high if truth(above) else low]
    if method == "midpoint":
        between = 0.0 if exact else 0.5
    a, b = elements.as_value(ordered[low]), elements.as_value(ordered[high])
    return b - (b - a) * (1 - between) if truth(compare(">=", between, 0.5)) else a + (b - a) * between


def _quantiles(name: str, scale: float, skip_nan: bool) -> Any:
    def quantiles(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: Any = False,
        method: str = "linear",
        keepdims: Any = False,
        **options: Any,
    ) -> Any:
        if method not in LINEAR or any(x is not None for x in options.values()):
            refuse(f"numpy.{name} of recorded numbers by method {method!r} or weights", f"use one of {LINEAR}")
        wanted = objects(q)
        parts = [x / scale if scale != 1.0 else x for x in wanted.ravel().tolist()]
        for x in parts:
            if not truth(logical("and", compare(">=", x, 0.0), compare("<=", x, 1.0))):
                raise ValueError(
                    "Percentiles must be in the range [0, 100]"
                    if scale != 1.0
                    else "Quantiles must be in the range [0, 1]"
                )
        rows, left, kept = rows_of(a, axis)
        shape = kept if keepdims is True else left
        found = [_quantile(_numbers_of(row) if skip_nan else row, x, method) for x in parts for row in rows.tolist()]
        return into(out, array_of(found, (*wanted.shape, *shape), "f"), True)

    return quantiles


for _name, _scale in (("quantile", 1.0), ("percentile", 100.0)):
    named(_name)(_quantiles(_name, _scale, False))
    named("nan" + _name)(_quantiles("nan" + _name, _scale, True))


# ---- elementwise ----


def _join(*xs: Any) -> str:
    return KINDS[max(KINDS.index(kind_of(x)) for x in xs)]


@named("where")
def where(condition: Any, *arms: Any) -> Any:
    if not arms:
        return nonzero(condition)
    if len(arms) != 2:
        raise ValueError("either both or neither of x and y should be given")
    of_kind = _join(*arms)
    return elementwise(
        lambda c, x, y: _chosen(c, to_kind(x, of_kind), to_kind(y, of_kind), of_kind), condition, *arms, of_kind=of_kind
    )


def _chosen(c: Any, x: Any, y: Any, of_kind: str) -> Any:
    if not is_recorded(c):
        return x if c else y
    chosen = choose(c, x, y)
    return as_condition(chosen) if of_kind == "b" else chosen


@named("select")
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = where(condition, choice, result)
    return result


@named("piecewise")
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kwargs: Any) -> Any:
    x = wrapped(objects(x), kind_of(x))
    if (isinstance(condlist, np.ndarray) and condlist.ndim == x.ndim) or not isinstance(
        condlist, (list, tuple, np.ndarray)
    ):
        condlist = [condlist]
    conditions = [np.broadcast_to(decided(c, "b"), x.shape) for c in condlist]
    if len(funclist) == len(conditions) + 1:
        conditions.append(~np.any(conditions, axis=0))
    y = zeros_like(x)
    for condition, f in zip(conditions, funclist, strict=True):
        if condition.any():
            y[condition] = f(x[condition], *args, **kwargs) if callable(f) else f
    return y


@named("clip")
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **options: Any) -> Any:
    low = options.pop("min", a_min)
    high = options.pop("max", a_max)
    low, high = (None if x is np._NoValue else x for x in (low, high))
    result = a if low is None else on_elements("maximum", a, low)
    result = result if high is None else on_elements("minimum", result, high)
    return into(out, result, True)


@named("nan_to_num")
def nan_to_num(x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    largest = np.finfo(float).max
    above, below = largest if posinf is None else posinf, -largest if neginf is None else neginf

    def number(v: Any) -> Any:
        v = choose(is_nan(v), nan, v)
        return choose(compare("==", v, math.inf), above, choose(compare("==", v, -math.inf), below, v))

    result = elementwise(number, x, of_kind=kind_of(x))
    return result if copy else into(x, result, True)


@named("isclose")
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> Any:
    def close(x: Any, y: Any) -> Any:
        x, y = elements.as_value(x), elements.as_value(y)
        near = logical("and", compare("<=", abs(x - y), atol + rtol * abs(y)), elements.is_finite(y))
        near = logical("or", near, compare("==", x, y))
        return logical("or", near, logical("and", is_nan(x), is_nan(y))) if equal_nan else near

    return elementwise(close, a, b, of_kind="b")


@named("allclose")
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> bool:
    return truth(all_(isclose(a, b, rtol, atol, equal_nan)))


@named("array_equal")
def array_equal(a1: Any, a2: Any, equal_nan: Any = False) -> bool:
    if np.shape(a1) != np.shape(a2):
        return False
    same = on_elements("equal", a1, a2)
    if equal_nan:
        same = same | (on_elements("isnan", a1) & on_elements("isnan", a2))
    return truth(all_(same))


@named("array_equiv")
def array_equiv(a1: Any, a2: Any) -> bool:
    try:
        np.broadcast_shapes(np.shape(a1), np.shape(a2))
    except ValueError:
        return False
    return truth(all_(on_elements("equal", a1, a2)))


@named("round", "around")
def round_(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    if kind_of(a) != "f":
        return into(out, a if decimals >= 0 else refuse("round of recorded ints", "use decimals >= 0"), True)
    scale = 10.0 ** abs(decimals)
    if decimals == 0:
        return into(out, on_elements("rint", a), True)
    up, down = ("multiply", "divide") if decimals > 0 else ("divide", "multiply")
    return into(out, on_elements(down, on_elements("rint", on_elements(up, a, scale)), scale), True)


@named("fix")
def fix(x: Any, out: Any = None) -> Any:
    return into(out, on_elements("trunc", x), True)


@named("isposinf")
def isposinf(x: Any, out: Any = None) -> Any:
    return into(out, on_elements("equal", x, math.inf), True)


@named("isneginf")
def isneginf(x: Any, out: Any = None) -> Any:
    return into(out, on_elements("equal", x, -math.inf), True)


@named("real", "real_if_close")
def real(x: Any, tol: Any = 100) -> Any:
    return x


@named("imag")
def imag(x: Any) -> Any:
    return x.imag


@named("isreal")
def isreal(x: Any) -> Any:
    return np.ones(np.shape(x), dtype=bool)


@named("iscomplex")
def iscomplex(x: Any) -> Any:
    return np.zeros(np.shape(x), dtype=bool)


@named("interp")
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    if period is not None:
        refuse("numpy.interp of recorded numbers with period=", "take x % period first")
    points, values = objects(xp).tolist(), objects(fp).tolist()
    before = values[0] if left is None else left
    after = values[-1] if right is None else right

    def at(t: Any) -> Any:
        if truth(is_nan(t)):
            return t
        k = int(searchsorted(xp, t, "right")) - 1
        if k < 0:
            return before
        if k == len(points) - 1:
            return values[k] if truth(compare("==", t, points[k])) else after
        if truth(compare("==", t, points[k])):
            return values[k]
        t, low, high = elements.as_value(t), elements.as_value(points[k]), elements.as_value(points[k + 1])
        first, second = elements.as_value(values[k]), elements.as_value(values[k + 1])
        slope = (second - first) / (high - low)
        y = slope * (t - low) + first
        if truth(elements.is_finite(y)):
            return y
        y = choose(is_nan(y), slope * (t - high) + second, y)
        return choose(logical("and", is_nan(y), compare("==", first, second)), first, y)

    return elementwise(at, x, of_kind="f")


@named("cov")
def cov(m: Any, y: Any = None, rowvar: Any = True, bias: Any = False, ddof: Any = None, **options: Any) -> Any:
    if any(x is not None for x in options.values()):
        refuse("numpy.cov of recorded numbers with weights", UNKNOWN)
    x = np.atleast_2d(wrapped(objects(m), "f"))
    x = x if rowvar or np.ndim(m) < 2 else x.T
    if y is not None:
        more = np.atleast_2d(wrapped(objects(y), "f"))
        x = np.concatenate([x, more if rowvar or np.ndim(y) < 2 else more.T])
    x = x - mean(x, 1, keepdims=True)
    return np.squeeze(np.dot(x, x.T) / (x.shape[1] - (ddof if ddof is not None else 0 if bias else 1)))[()]


@named("corrcoef")
def corrcoef(x: Any, y: Any = None, rowvar: Any = True, **options: Any) -> Any:
    c = cov(x, y, rowvar)
    if not np.ndim(c):
        return c / c
    deviation = on_elements("sqrt", np.diag(c))
    return clip(c / deviation[:, None] / deviation[None, :], -1.0, 1.0)


@named("histogram")
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    if isinstance(bins, (int, np.integer, str)) or density or weights is not None:
        refuse("numpy.histogram of recorded numbers with such bins, density or weights", "give the edges of the bins")
    edges = wrapped(objects(bins), kind_of(bins))
    flat = wrapped(objects(a), kind_of(a)).ravel()
    places = searchsorted(edges, flat, "right")
    places[decided(on_elements("equal", flat, edges[-1]), "b")] = len(edges) - 1
    counted = np.bincount(places, minlength=len(edges) + 1)[1 : len(edges)]
    return counted, bins if isinstance(bins, np.ndarray) else np.asarray(bins)


@named("cumulative_sum")
def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: Any = False
) -> Any:
    if include_initial:
        refuse("numpy.cumulative_sum of recorded numbers with include_initial", "numpy.concatenate a zero")
    return cumsum(x, axis, dtype, out)


@named("cumulative_prod")
def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: Any = False
) -> Any:
    if include_initial:
        refuse("numpy.cumulative_prod of recorded numbers with include_initial", "numpy.concatenate a one")
    return cumprod(x, axis, dtype, out)


@named("bincount")
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    places = np.asarray(decided(x))
    if weights is None:
        return np.bincount(places, minlength=minlength)
    sums: list[Any] = [0.0] * len(np.bincount(places, minlength=minlength))
    for k, w in zip(places.tolist(), objects(weights).tolist(), strict=True):
        sums[k] = sums[k] + elements.as_value(w)
    return array_of(sums, (len(sums),), "f")


# ---- new arrays, and writing into arrays ----


def _filled(value: float) -> Any:
    def like(a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None, **rest: Any) -> Any:
        to = kind_of(a) if dtype is None or np.dtype(dtype) == object else np.dtype(dtype).kind
        new = np.full(np.shape(a) if shape is None else shape, to_kind(value, to if to in KINDS else "f"), dtype=object)
        return wrapped(new, to if to in KINDS else "f")

    return like


zeros_like = named("zeros_like", "empty_like")(_filled(0.0))
named("ones_like")(_filled(1.0))


@named("full_like")
def full_like(a: Any, fill_value: Any, dtype: Any = None, **options: Any) -> Any:
    new = zeros_like(a, dtype, **options)
    new[...] = fill_value
    return new


@named("copyto")
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    into(dst, np.broadcast_to(wrapped(objects(src), kind_of(src)), dst.shape), where)


@named("put")
def put(a: Any, ind: Any, v: Any, mode: Any = "raise") -> None:
    if not isinstance(a, NumberArray):
        refuse("numpy.put of recorded numbers into a plain array", "begin with np.zeros_like(x)")
    a.put(ind, v, mode)


@named("putmask")
def putmask(a: Any, mask: Any, values: Any) -> None:
    flat = np.resize(objects(values), a.shape)
    into(a, wrapped(flat, kind_of(values)), mask)


@named("place")
def place(arr: Any, mask: Any, vals: Any) -> None:
    chosen = decided(mask, "b")
    into(arr, wrapped(objects(arr), kind_of(arr)), True)
    arr[chosen] = np.resize(objects(vals), int(np.count_nonzero(chosen)))


@named("extract")
def extract(condition: Any, arr: Any) -> Any:
    return wrapped(objects(arr).ravel()[np.ravel(decided(condition, "b"))], kind_of(arr))


@named("compress")
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    return wrapped(objects(a), kind_of(a)).compress(condition, axis, out)


@named("take")
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
    if not isinstance(a, NumberArray):
        return np.take(a, decided(indices), axis, out, mode)
    return a.take(indices, axis, out, mode)


@named("choose")
def choose_(a: Any, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
    return wrapped(np.choose(decided(a), [objects(c) for c in choices], None, mode))


PADDED = ("constant", "edge", "reflect", "symmetric", "wrap", "empty")


@named("pad")
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    if mode not in PADDED:
        refuse(f"numpy.pad of recorded numbers with mode={mode!r}", f"use one of {PADDED}, or numpy.concatenate")
    return _wrapped(np.pad(bare(array), pad_width, mode, **options), (array,))


@named("diagonal")
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    return wrapped(bare(a).diagonal(offset, axis1, axis2), kind_of(a))


@named("linalg.norm")
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    x = wrapped(objects(x), kind_of(x))
    size = on_elements("absolute", x)
    if ord is None or ord == "fro" or (ord == 2 and (isinstance(axis, int) or (axis is None and x.ndim == 1))):
        return on_elements("sqrt", sum_(x * x, axis, keepdims=keepdims))
    if (isinstance(axis, tuple) and len(axis) == 2) or (axis is None and x.ndim == 2):
        first, second = axis or (0, 1)
        if ord not in (1, -1, math.inf, -math.inf):
            refuse(f"numpy.linalg.norm of a matrix of recorded numbers with ord={ord!r}", INVERSE)
        of_sums = "maximum" if ord > 0 else "minimum"
        summed, left = (first, second) if abs(ord) == 1 else (second, first)
        return reduced(of_sums, sum_(size, summed, keepdims=True), (summed, left), keepdims)
    if ord == math.inf or ord == -math.inf:
        return reduced("maximum" if ord > 0 else "minimum", size, axis, keepdims)
    if ord == 0:
        return sum_((x != 0).astype(float), axis, keepdims=keepdims)
    return sum_(size**ord, axis, keepdims=keepdims) ** (1 / ord)


@named("linalg.vector_norm")
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    x = wrapped(objects(x), kind_of(x))
    if axis is None and keepdims is False:
        return norm(x.ravel(), ord)
    return norm(x, ord, 0 if axis is None else axis, keepdims)
