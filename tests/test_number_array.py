"""Inside a recorded function numpy gives what it gives on floats, or an error that says what to do.

The oracle is numpy on plain arrays of floats."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import re
import sys
import warnings

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import array_functions, array_ufuncs, grad, number_array, record
from tapegrad.askers import asked_by_numpy
from tapegrad.number_array import NumberArray, add_way_out

nan, inf = math.nan, math.inf

POINTS = [
    [1.0, 2.0, 3.0, 0.5],
    [nan, 2.0, -1.0, 0.0],
    [2.0, 2.0, -0.0, 0.0],
    [-3.0, nan, nan, 5.0],
    [inf, -inf, 1.0, 1.0],
    [-2.0, -1.0, 0.25, -0.0],
]

UNARY = [n for n, (f, _) in array_ufuncs.FOLLOWED.items() if n != "clip" and getattr(np, n).nin == 1]
BINARY = [n for n in array_ufuncs.FOLLOWED if n != "clip" and getattr(np, n).nin == 2]
FOLDS = ["add", "multiply", "maximum", "minimum", "fmax", "fmin", "logical_and", "logical_or", "logical_xor", "hypot"]

EXPRESSIONS = """
np.max(x); np.min(x); x.max(); x.min(); np.nanmax(x); np.nanmin(x); np.ptp(x); np.max(x, initial=0.0)
np.max(x, where=x > 0, initial=0.0); np.sum(x, where=x > 0); np.argmax(x); np.argmin(x); x.argmax(); x.argmin()
np.nanargmax(x); np.sort(x); np.argsort(x); np.sort(x.reshape(2, 2), axis=0); np.sort(x.reshape(2, 2), axis=None)
np.partition(x, 2); np.argpartition(x, 1); np.lexsort((x,)); np.median(x); np.nanmedian(x); np.percentile(x, 30)
np.percentile(x, [0, 25, 50, 100]); np.quantile(x, 0.75); np.nanpercentile(x, 60)
np.quantile(x, 0.3, method='nearest')
np.quantile(x, 0.3, method='lower'); np.quantile(x, 0.3, method='higher'); np.quantile(x, 0.5, method='midpoint')
np.searchsorted([0.0, 1.0, 2.0], x); np.searchsorted([0.0, 1.0, 2.0], x, side='right'); np.searchsorted(np.sort(x), 1.0)
np.digitize(x, [0.0, 1.0, 2.0])
np.digitize(x, [2.0, 1.0, 0.0]); np.unique(x); np.unique(x, return_counts=True)[1]; np.isin(x, [1.0, 2.0])
np.unique(x, return_inverse=True)[1]; np.union1d(x, [1.0]); np.intersect1d(x, [1.0, 2.0]); np.setdiff1d(x, [1.0])
np.nonzero(x)[0]; np.flatnonzero(x); np.count_nonzero(x); np.argwhere(x > 1); np.where(x > 0)[0]; np.where(x > 0, x, 0)
np.where(x > 0, x, -x); np.where(x, x, 1.0); np.any(x > 0); np.all(x > 0); np.any(x); np.all(x); (x > 0).any(); x.all()
np.clip(x, 0, 1); x.clip(0, 1); np.clip(x, None, 1); np.clip(x, nan, 1); np.select([x > 1, x > 0], [x, 2 * x], 0)
np.piecewise(x, [x > 0], [lambda v: v * 2, lambda v: -v]); np.nan_to_num(x); np.isclose(x, 1.0); np.allclose(x, x)
np.isclose(x, x, equal_nan=True); np.array_equal(x, x); np.array_equal(x, x, equal_nan=True); np.array_equiv(x, x)
np.pad(x, 2); np.pad(x, 1, 'edge'); np.concatenate([x, np.zeros(2)]); np.stack([x, x]); np.hstack([x, 1.0])
np.column_stack([x, x]); np.dot(x, x); x @ x; x.dot(x); np.ones((2, 4)) @ x; x.reshape(2, 2) @ x.reshape(2, 2)
np.einsum('i,i', x, x); np.einsum('ij,jk->ik', x.reshape(2, 2), np.ones((2, 2))); np.tensordot(x, x, 1); np.inner(x, x)
np.outer(x, x); np.vdot(x, x); np.kron(x, [1.0, 2.0]); np.trace(x.reshape(2, 2)); x.reshape(2, 2).trace()
np.mean(x); x.mean(); np.std(x); x.std(ddof=1); np.var(x); x.var(); np.average(x, weights=[1.0, 2.0, 3.0, 4.0])
np.nanmean(x); np.nanstd(x); np.nanvar(x); np.nansum(x); np.nanprod(x); np.cumsum(x); x.cumsum(); np.prod(x)
np.cumprod(x); np.sum(x); x.sum(); x.reshape(2, 2).sum(axis=0); x.reshape(2, 2).max(axis=1, keepdims=True)
np.linalg.norm(x); np.linalg.norm(x, 1); np.linalg.norm(x, np.inf); np.linalg.norm(x, -np.inf); np.linalg.norm(x, 0)
np.linalg.norm(x, 3); np.linalg.norm(x.reshape(2, 2)); np.linalg.norm(x.reshape(2, 2), axis=0)
np.linalg.norm(x.reshape(2, 2), 1); np.linalg.norm(x.reshape(2, 2), np.inf, keepdims=True)
np.interp(1.5, [0.0, 1.0, 2.0], x[:3]); np.interp(x, [0.0, 1.0, 2.0], [5.0, 6.0, 8.0]); np.diff(x); np.gradient(x)
np.sinc(x); np.round(x, 1); x.round(); np.around(x * 1.55, 1); np.fix(x); np.convolve(x, [1.0, 2.0])
np.correlate(x, [1.0, 2.0]); np.polyval([1.0, 2.0, 3.0], x); np.polyval(x, 2.0); np.roll(x, 1); np.flip(x); x[::-1]
np.tile(x, 2); np.repeat(x, 2); np.diag(x); np.tril(np.outer(x, x)); np.triu(np.outer(x, x)); np.expand_dims(x, 0); x.T
np.insert(x, 1, 9.0); np.delete(x, 1); np.append(x, 3.0); np.take(x, [0, 2]); np.zeros_like(x); np.full_like(x, 2)
np.vander(x); np.cross(x[:3], x[1:]); np.cov(x); np.corrcoef(x, x[::-1]); np.trim_zeros(x)
np.histogram(x, [0.0, 1.0])[0]
x[x > 0]; x[(x > 0) & (x < 2)]; x[~(x > 0)]; x[(x > 0) ^ (x > 1)]; x[(x < 0) | (x > 1)]; x[np.argsort(x)]
x[np.argmax(x)]
np.take_along_axis(x, np.argsort(x), 0); np.extract(x > 0, x); np.compress(x > 0, x); x.compress(x > 0); 1.0 in x
np.sum(x > 0); (x > 0).sum(); (x > 0).mean(); (x > 0).astype(float); (x > 0).astype(int); x.astype(bool)
(x > 0) + (x < 1)
(x > 0) * (x < 1); (x > 0) * x; np.logical_not(x); np.logical_and(x > 0, x); x**2; 2.0**x; -x; abs(x); x == x; x != x
np.bincount([0, 1, 1, 0], weights=x); x.tolist(); list(x); x.copy(); x.flatten(); np.float64(2.0) * x; np.ones(4) * x
np.sqrt(np.maximum(x, 0.01)).sum(); np.exp(np.where(x > 0, x, 0.0)).sum(); np.tanh(np.zeros_like(x) + 0.0).sum()
np.nanquantile(x, 0.4); np.maximum.accumulate(x); np.add.outer(x, x); np.setxor1d(x, [1.0]); np.atleast_2d(x)
"""
EXPRESSIONS = [e.strip() for e in re.split(r"[;\n]", EXPRESSIONS) if e.strip()]


def numbers(result):
    """A result as nested floats; what it is of, a count or a flag, is another matter."""
    if isinstance(result, (tuple, list)):
        return [numbers(r) for r in result]
    return np.asarray(result, dtype=float)


def same(a, b):
    if isinstance(a, list):
        return len(a) == len(b) and all(same(p, q) for p, q in zip(a, b, strict=True))
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-14, atol=0, equal_nan=True)


def on_floats(f, *args):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return f(*args)


def agrees(f):
    """The recorded f is f on floats at every point, recorded there or replayed."""
    g = record(f)
    for _ in range(2):
        for p in POINTS:
            x = np.array(p)
            try:
                expected = numbers(on_floats(f, x.copy()))
            except (ValueError, IndexError):
                with pytest.raises((ValueError, IndexError)):
                    g(x)
                continue
            assert same(expected, numbers(g(x))), p


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_numpy_in_a_recording_gives_what_it_gives_on_floats(expression):
    agrees(eval(f"lambda x: {expression}", {"np": np, "nan": nan}))


@pytest.mark.parametrize("name", UNARY)
def test_every_ufunc_of_one_array_gives_what_it_gives_on_floats(name):
    of = getattr(np, name)
    if name == "invert":
        agrees(lambda x: of(x > 0))
    else:
        agrees(of)


@pytest.mark.parametrize("name", BINARY)
def test_every_ufunc_of_two_arrays_gives_what_it_gives_on_floats(name):
    of = getattr(np, name)
    if name.startswith("bitwise"):
        agrees(lambda x: of(x > 0, x[::-1] > 0))
        agrees(lambda x: of(x > 0, np.array([True, False, True, True])))
        return
    agrees(lambda x: of(x, x[::-1]))
    agrees(lambda x: of(x, 2.0))
    agrees(lambda x: of(2.0, x))
    agrees(lambda x: of(x.reshape(2, 2), np.array([nan, 0.0])))


@pytest.mark.parametrize("name", FOLDS)
def test_reductions_by_a_ufunc(name):
    of = getattr(np, name)
    agrees(lambda x: of.reduce(x))
    agrees(lambda x: of.reduce(x.reshape(2, 2), axis=1, keepdims=True))
    agrees(lambda x: of.accumulate(x))


def test_functions_of_pythons_that_are_ufuncs():
    agrees(lambda x: np.vectorize(lambda v: v * 2 if v > 1 else -v)(x))
    agrees(lambda x: np.frompyfunc(lambda a, b: a * b + 1, 2, 1)(x, x[::-1]))
    agrees(lambda x: np.frompyfunc(lambda a: (a, -a), 1, 2)(x)[1])


def test_every_ufunc_of_numpys_is_followed_or_refused():
    found = {getattr(np, n).__name__ for n in dir(np) if isinstance(getattr(np, n), np.ufunc)}
    known = {*array_ufuncs.FOLLOWED, *array_ufuncs.REFUSED, *array_ufuncs.ALIASES, *array_ufuncs.GENERALISED}
    assert found - known == set()
    assert not set(array_ufuncs.FOLLOWED) & set(array_ufuncs.REFUSED)


@pytest.mark.parametrize("name", array_ufuncs.REFUSED)
def test_what_is_no_operation_is_an_error_that_names_it_and_the_line(name):
    of = getattr(np, name, None)
    if of is None:
        pytest.skip("not in this numpy")
    args = [1] * (of.nin - 1)
    with pytest.raises(TypeError, match=rf"{re.escape(__file__)}:\d+: numpy.{name} of recorded numbers .*: \w+"):
        record(lambda x: of(x, *args))(np.ones(2))


def test_functions_that_are_unknown_are_errors_by_name():
    for f in (np.fft.fft, np.linalg.inv, np.linalg.eigh, np.i0, np.array_repr, np.unwrap, np.linalg.svd, np.packbits):
        with pytest.raises(TypeError, match=rf"numpy\..*{f.__name__} of an array of recorded numbers"):
            record(lambda x, f=f: f(x))(np.ones((2, 2)))


def test_the_tables_of_functions_do_not_overlap():
    tables = [array_functions.FUNCTIONS, array_functions.MOVED, array_functions.ARITHMETIC, array_functions.REFUSED]
    entries = [name for table in tables for name in table]
    assert len(entries) == len(set(entries))


# ---- methods ----

OBJECTS = """__class__ __class_getitem__ __delattr__ __delitem__ __dir__ __doc__ __getattribute__ __getstate__ __init__
__init_subclass__ __new__ __setattr__ __sizeof__ __subclasshook__ __hash__ __array__ __array_finalize__
__array_function__ __array_namespace__ __array_priority__ __array_ufunc__ __array_wrap__ __array_prepare__
__dlpack_device__ base device dtype flags itemsize nbytes ndim setflags shape size strides
to_device"""  # nothing of the numbers
MOVED = """T mT __copy__ __deepcopy__ __getitem__ __iter__ __len__ __setitem__ choose compress copy diagonal fill flat
flatten item put ravel repeat reshape resize squeeze swapaxes take tolist transpose view"""
FOLLOWED = """__abs__ __add__ __and__ __divmod__ __eq__ __floordiv__ __ge__ __gt__ __iadd__ __iand__ __ifloordiv__
__imatmul__ __imod__ __imul__ __invert__ __ior__ __ipow__ __isub__ __itruediv__ __ixor__ __le__ __lt__ __matmul__
__mod__ __mul__ __ne__ __neg__ __or__ __pos__ __pow__ __radd__ __rand__ __rdivmod__ __rfloordiv__ __rmatmul__ __rmod__
__rmul__ __ror__ __rpow__ __rsub__ __rtruediv__ __rxor__ __sub__ __truediv__ __xor__ all any astype clip conj
conjugate cumprod
cumsum dot imag max mean min prod ptp real round std sum trace var"""
GUARDED = """__bool__ __contains__ __index__ argmax argmin argpartition argsort nonzero partition searchsorted sort"""
REFUSED = """__complex__ __float__ __format__ __ilshift__ __int__ __irshift__ __lshift__ __repr__ __rlshift__
__rrshift__ __rshift__ __str__"""


def test_every_attribute_of_arrays_is_classified():
    classes = [set(text.split()) for text in (OBJECTS, MOVED, FOLLOWED, GUARDED, REFUSED)]
    classes.append(set(number_array.REFUSED))
    assert set(dir(np.ndarray)) - set().union(*classes) == set()
    assert sum(map(len, classes)) == len(set().union(*classes))


@pytest.mark.parametrize("name", [*REFUSED.split(), *number_array.REFUSED])
def test_what_shows_or_copies_the_numbers_as_something_else_is_an_error(name):
    if not hasattr(np.ndarray, name):
        pytest.skip("not in this numpy")

    def f(x):
        attribute = getattr(x[:1], name)
        return attribute(*["", 1][: 1 if name in ("__format__",) else 0]) if "shift" not in name else attribute(1)

    with pytest.raises(TypeError):
        record(f)(np.ones(2))


def test_text_copies_and_pickles_of_an_array():
    for f in (repr, str, "{}".format, bytes, pickle.dumps, NumberArray.tobytes):
        with pytest.raises(TypeError, match=r"test_number_array\.py:\d+: .* in a recorded function: "):
            record(lambda x, f=f: f(x))(np.ones(2))
    assert record(lambda x: copy.deepcopy(x) * 2)(np.ones(2)).tolist() == [2.0, 2.0]
    assert record(lambda x: copy.copy(x) * 2)(np.ones(2)).tolist() == [2.0, 2.0]


def test_a_view_as_a_plain_array_stays_an_array_of_numbers():
    agrees(lambda x: np.maximum(x.view(np.ndarray), 1.0))
    with pytest.raises(TypeError, match="a view of recorded numbers"):
        record(lambda x: x.view(np.int64))(np.ones(2))


def test_masked_arrays_and_matrices_of_recorded_numbers_are_refused():
    with pytest.raises(TypeError, match="a masked array of recorded numbers"):
        record(lambda x: np.ma.masked_array(x, [True, False]).sum())(np.ones(2))
    with pytest.raises(TypeError, match="recorded numbers"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record(lambda x: np.matrix(x))(np.ones(2))
    with pytest.raises(TypeError, match="recorded numbers and a MaskedArray"):
        record(lambda x: x * np.ma.masked_array([1.0, 2.0], [True, False]))(np.ones(2))


def test_functions_of_conditions_which_numpy_computes_in_16_bits_are_refused():
    with pytest.raises(TypeError, match=r"numpy\.exp of recorded bools .*: numpy computes it in 16 bits"):
        record(lambda x: np.exp(x > 0))(np.ones(2))
    agrees(lambda x: np.exp((x > 0).astype(float)))
    agrees(lambda x: np.sqrt(x > 0) / 2)


def test_complex_numbers_and_text_are_refused():
    for other in (1j, "a", np.array(["a", "b"]), np.array([1j, 2.0])):
        with pytest.raises(TypeError, match="has no derivative"):
            record(lambda x, other=other: x * other)(np.ones(2))
    with pytest.raises(TypeError, match="as one of float32"):
        record(lambda x: x.astype(np.float32))(np.ones(2))


# ---- writing ----


def test_assignments_do_what_they_do_to_an_array_of_floats():
    def f(x):
        x += 1
        x *= x
        x[x > 3] = 0.0
        x[0] = True
        x[np.argmax(x)] -= 1
        x[1:3] = [1, 2]
        x[np.argsort(x)[:1]] = x[-1]
        return x

    agrees(f)


def test_the_other_ways_to_write_into_an_array():
    def f(x):
        x.sort()
        np.add.at(x, [0, 0], 1.0)
        x.put([0], 2)
        np.put(x, [1], 7)
        np.putmask(x, x > 6, 0.5)
        np.place(x, x < 1, [9])
        np.copyto(x, 3.0, where=x == 9)
        np.multiply(x, 2, out=x)
        np.add(x, 1, out=x, where=x > 5)
        y = np.zeros_like(x)
        y[...] = x
        y.fill(x[0])
        return x, y

    agrees(f)


def test_a_slice_of_an_array_writes_into_it():
    def f(x):
        y = x[1:]
        y *= 2
        y[y > 3] = 1
        return x

    agrees(f)


def test_recorded_numbers_do_not_go_into_an_array_of_floats():
    with pytest.raises(TypeError, match=r"written into an array of float64 .*: write a = a \+ x"):
        record(lambda x: np.add(x, 1, out=np.zeros(2)))(np.ones(2))

    def f(x):
        a = np.zeros(2)
        a += x
        return a

    with pytest.raises(TypeError, match=r"write a = a \+ x"):
        record(f)(np.ones(2))
    with pytest.raises(TypeError, match="recorded floats written into an array of bools"):
        record(lambda x: np.add(x, 1, out=x > 0))(np.ones(2))


def test_reductions_of_nothing():
    assert record(lambda x: x[x > 5].sum() + x[0])(np.ones(2)) == 1.0
    assert record(lambda x: np.prod(x[x > 5]) * x[0])(np.ones(2)) == 1.0
    assert record(lambda x: 1.0 if np.all(x[x > 5]) else x[0] * 2)(np.ones(2)) == 1.0
    with pytest.raises(ValueError, match="no identity"):
        record(lambda x: np.max(x[x > 5]))(np.ones(2))


# ---- derivatives ----


def test_derivatives_flow_through_what_was_chosen():
    x = np.array([0.5, -1.0, 2.0])
    assert grad(lambda x: 3 * np.sort(x)[0] + 2 * np.max(x))(x).tolist() == [0.0, 3.0, 2.0]
    assert grad(np.median)(x).tolist() == [1.0, 0.0, 0.0]
    assert grad(lambda x: np.where(x > 0, x * x, -x).sum())(x).tolist() == [1.0, -1.0, 4.0]
    assert grad(lambda x: np.clip(x, 0, 1).sum())(x).tolist() == [1.0, 0.0, 0.0]
    assert grad(lambda x: x[x > 0].sum())(x).tolist() == [1.0, 0.0, 1.0]
    assert grad(lambda x: np.interp(1.5, [0.0, 1.0, 2.0], x))(x).tolist() == [0.0, 0.5, 0.5]
    assert grad(lambda x: np.interp(x[:1], [0.0, 1.0, 2.0], [0.0, 3.0, 4.0])[0])(x).tolist() == [3.0, 0.0, 0.0]


def test_comparisons_in_where_are_no_guards():
    f = record(lambda x: np.where((x > 0) & ~(x > 1), np.maximum(x, 0.5), np.isnan(x) * 1.0).sum())
    for p in POINTS:
        f(np.array(p))
    assert len(f.programs) == 1


def test_what_an_order_decides_is_recorded_for_each_order():
    f = record(np.argmax)
    for p in POINTS:
        f(np.array(p))
    assert len(f.programs) > 1


# ---- our own functions on arrays ----


@pytest.mark.parametrize("x", [np.array([0.5, -1.0, 2.0]), np.array([[1.0, nan]])], ids=str)
def test_our_functions_take_arrays_inside_and_outside_of_recordings(x):
    for f in (
        tg.exp,
        tg.relu,
        lambda x: tg.maximum(x, 0.0),
        lambda x: tg.minimum(0.0, x),
        lambda x: tg.clip(x, 0.0, 1.0),
        lambda x: tg.where(x > 0, x, -x),
        lambda x: tg.where(x[0] > 0, x, -x) if x.ndim == 1 else x,
        lambda x: tg.pow(x, 2.0),
        lambda x: tg.hypot(x, x),
    ):
        outside, inside = f(x), record(f)(x)
        assert type(outside) is type(inside) is np.ndarray
        np.testing.assert_array_equal(np.asarray(outside, dtype=float), inside)


def test_our_functions_on_arrays_of_eager_values_give_arrays_of_them():
    v = np.array([tg.Value(1.0), tg.Value(2.0)])
    for made in (
        tg.exp(v),
        tg.maximum(v, 1.5),
        tg.maximum(tg.Value(1.0), v),
        tg.where(np.array([True, False]), v, 0.0),
    ):
        assert type(made) is np.ndarray
        assert all(isinstance(y, tg.Value) for y in made.tolist())


def test_arrays_outside_of_recordings_are_plain():
    w = tg.Value(2.0)
    assert type(record(lambda x: x * w)(np.ones(2))) is np.ndarray
    assert type(record(lambda x: x * 2)(np.array([w, w]))) is np.ndarray


# ---- plain arrays of objects ----


class Asked:
    """A number that notes whether numpy compares it."""

    def __init__(self, x, log):
        self.x, self.log = x, log

    def __lt__(self, other):
        return self.asked("<", self.x < other.x)

    def __gt__(self, other):
        return self.asked(">", self.x > other.x)

    def __le__(self, other):
        return self.asked("<=", self.x <= other.x)

    def __ge__(self, other):
        return self.asked(">=", self.x >= other.x)

    def asked(self, op, outcome):
        self.log.append(of_comparer(op))
        return outcome


def of_comparer(op):
    """What it says in the place of the package's own comparison, which is not a frame of the program."""
    return asked_by_numpy(op, sys._getframe(3))


def asked(f):
    log = []
    f([Asked(1.0, log), Asked(2.0, log), Asked(1.5, log)])
    assert log
    return set(log)


def test_numpys_loops_over_objects_are_told_from_operators():
    assert asked(lambda x: np.maximum(np.array(x), x[0])) == {True}
    assert asked(lambda x: np.max(x)) == {True}
    assert asked(lambda x: np.array(x).min()) == {True}
    assert asked(lambda x: np.clip(np.array(x), x[0], x[1])) == {True}
    assert asked(lambda x: np.sort(np.array(x))) == {True}
    assert asked(lambda x: np.array(x).argsort()) == {True}
    assert asked(np.argmax) == {True}
    assert asked(lambda x: x[0] < x[1] or x[0] >= x[1]) == {False}
    assert asked(lambda x: [a for a in x if a <= x[0]]) == {False}
    assert asked(max) == asked(sorted) == asked(lambda x: min(x)) == {False}
    assert asked(lambda x: (x[0], 1) < (x[1], 2)) == {False}


# ---- what to do ----


def test_errors_of_numpys_own_get_a_note_with_the_way_out():
    for f in (
        lambda x: np.ones(2)[x > 0],
        lambda x: np.exp(np.array([x[0], 1.0])),
    ):
        with pytest.raises((IndexError, TypeError)) as caught:
            record(f)(np.ones(2))
        add_way_out(caught.value)
        assert "tapegrad: " in caught.value.__notes__[-1]


def test_the_ways_out_of_indexing_an_array_of_floats_work():
    a = np.array([1.0, 2.0, 3.0, 4.0])
    agrees(lambda x: a[np.nonzero(x > 0)])
    agrees(lambda x: a[np.cumsum((x > 0).astype(int)).astype(int) - 1])
    agrees(lambda x: x[np.cumsum(x > 0) - 1])
    agrees(lambda x: a[np.nan_to_num(np.clip(x, 0, 3)).astype(int)])
    agrees(lambda x: a[np.argsort(x)])


def test_an_index_that_is_no_int_says_how_to_make_one():
    with pytest.raises(IndexError, match=r"as an index .* tapegrad\.to_int"):
        record(lambda x: x[x[0]])(np.ones(2))
    with pytest.raises(IndexError, match=r"x.astype\(int\) gives ints"):
        record(lambda x: x[x])(np.ones(2))
    agrees(lambda x: x[np.nan_to_num(np.clip(x, 0, 3)).astype(int)])
    assert operator.index(record(lambda x: np.argmax(x))(np.ones(2)).__int__()) == 0
