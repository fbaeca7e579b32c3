"""Transformations of functions: derivatives against closed forms, against the eager engine and against each other."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections import OrderedDict, namedtuple
from fractions import Fraction

import numpy as np
import pytest
from conftest import DIVIDING
from operations import OPERATIONS

import tapegrad
from tapegrad import Value, grad, hessian, hvp, jacobian, jvp, record, value_and_grad, vjp, vmap
from tapegrad import reference as slow

Point = namedtuple("Point", "a b")


def eager(f, *point):
    """f and its gradient by the eager engine."""
    xs = [Value(x) for x in point]
    y = f(*xs)
    y.backward()
    return y.data, [x.grad for x in xs]


def same(a, b):
    """Equal in value, nesting, types and, of arrays, shape."""
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b) and a.shape == b.shape
    if isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(b, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in b)
    return type(a) is type(b) and a == b


# ---- every operation, in every mode ----

CASES = [pytest.param(row, point, id=f"{row.name}{point}") for row in OPERATIONS for point in row.points]


@pytest.mark.parametrize(("row", "point"), CASES)
def test_every_operation_in_every_mode(row, point):
    def f(*xs):
        return getattr(tapegrad, row.name)(*xs)

    value, grads = eager(f, *point)
    every = tuple(range(len(point)))
    recorded = record(f)
    assert recorded(*point) == value == recorded(*point)
    assert value_and_grad(f, every)(*point) == (value, tuple(grads))
    assert grad(f, every)(*point) == tuple(grads)
    for k in every:
        tangents = tuple(1.0 if j == k else 0.0 for j in every)
        assert jvp(f, point, tangents) == (value, grads[k])
    assert vjp(f, *point)[1](2.0) == tuple(2.0 * g for g in grads)
    for mode in ("forward", "reverse"):
        assert jacobian(f, every, mode=mode)(*point) == tuple(grads)
    xs = [slow.Value(x) for x in point]
    y = getattr(xs[0], row.name)(*xs[1:]) if row.name not in ("abs", "round") else getattr(tapegrad, row.name)(xs[0])
    y.backward()
    assert (y.data, [x.grad for x in xs]) == (value, grads)


@pytest.mark.parametrize(("row", "point"), CASES)
def test_second_derivatives_are_differences_of_first(row, point):
    def f(*xs):
        return getattr(tapegrad, row.name)(*xs)

    every = tuple(range(len(point)))
    second = hessian(f, every)(*point)
    of_grad = jacobian(grad(f, every), every, mode="reverse")(*point)
    first = grad(f, every)
    for j, x in enumerate(point):
        h = 1e-6 * max(1.0, abs(x))
        up, down = (first(*[*point[:j], x + s * h, *point[j + 1 :]]) for s in (1, -1))
        for k in every:
            assert second[k][j] == pytest.approx((up[k] - down[k]) / (2 * h), rel=1e-5, abs=1e-7)
            assert second[k][j] == pytest.approx(of_grad[k][j], rel=1e-12, abs=1e-15)
    x = list(point)
    v = [0.5, -2.0][: len(point)]
    product = hvp(lambda x: f(*x))(x, v)
    assert product == pytest.approx([sum(second[k][j] * v[j] for j in every) for k in every], rel=1e-12, abs=1e-15)


# ---- arguments and results ----


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda x: x**3, 2.0, 12.0),
        (lambda x: x**3, 2, 12.0),
        (lambda x: x * 2, True, 2.0),
        (lambda x: x**3, np.float64(2.0), 12.0),
        (lambda x: x**3, np.float32(2.0), 12.0),
        (lambda x: x**3, np.int64(2), 12.0),
        (lambda x: x[0] * x[1], [2.0, 3], [3.0, 2.0]),
        (lambda x: x[0] * x[1], (2.0, 3.0), (3.0, 2.0)),
        (lambda p: p.a * p.b, Point(2.0, 3.0), Point(3.0, 2.0)),
        (lambda p: p["a"] * p["b"], OrderedDict(b=2.0, a=3.0), OrderedDict(b=3.0, a=2.0)),
        (lambda p: p["a"][0] * p["a"][1][0], {"a": (2.0, [3.0])}, {"a": (3.0, [2.0])}),
        (
            lambda p: p["x"] * 2,
            {"x": 1.0, "name": "setting", "none": None},
            {"x": 2.0, "name": "setting", "none": None},
        ),
        (lambda x: x * x, np.array(3.0), np.array(6.0)),
        (lambda x: (x * x).sum(), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 4.0], [6.0, 8.0]])),
        (lambda x: (x * x).sum(), np.arange(3), np.array([0.0, 2.0, 4.0])),
        (lambda x: (x * x).sum(), np.arange(3, dtype=np.float32), np.array([0.0, 2.0, 4.0])),
        (lambda x: (x * x).sum(), np.array([1.0, 2], dtype=object), np.array([2.0, 4.0])),
        (lambda x: 1.0, np.empty((0, 2)), np.empty((0, 2))),
        (lambda x: 3, [], []),
        (lambda x: x["w"] @ x["w"] + x["b"], {"w": np.ones(2), "b": 1.0}, {"w": np.array([2.0, 2.0]), "b": 1.0}),
    ],
)
def test_gradients_are_nested_as_arguments_are(f, x, expected):
    g = grad(f)
    for _ in range(2):
        assert same(g(x), expected)
    value, gradient = value_and_grad(f)(x)
    assert type(value) in (float, int) and same(gradient, expected)


def test_plain_numbers_come_back():
    def f(x):
        return {"a": x, "b": [x > 0, (x * 2, 3)], "c": np.array([x, 1.0]), "d": None, "e": "text", "f": np.array(x)}

    out = record(f)(2.0)
    assert same(out, {"a": 2.0, "b": [True, (4.0, 3)], "c": np.array([2.0, 1.0]), "d": None, "e": "text",
                      "f": np.array(2.0)})  # fmt: skip
    assert out["b"][0] is True
    assert type(record(lambda x: x.sum())(np.ones(2))) is float
    assert type(record(lambda: 3)()) is int


def test_argument_arrays_of_any_layout():
    a = np.arange(24.0).reshape(2, 3, 4)
    weights = np.arange(1.0, 25.0)
    for x in (a, a[::-1, :, ::2], a.transpose(2, 0, 1), np.asfortranarray(a), a.astype(">f8"), a[1, 1], a[:, :0]):
        w = weights[: x.size].reshape(x.shape)
        assert same(grad(lambda x, w=w: (x * w).sum() * 1.0)(x), w)
        assert same(record(lambda x: x * 1.0)(x), np.array(x, dtype=float))


def test_the_arguments_themselves_are_not_changed():
    def f(x, p):
        x[0] = x[0] * 5.0
        p["a"] = 1.0
        return x[0]

    x, p = np.array([2.0]), {"a": 7.0}
    assert grad(f)(x, p) == 5.0 and x[0] == 2.0 and p == {"a": 7.0}


def test_argnums():
    def f(x, y, z):
        return x * y**2 * z**3

    point = (2.0, 3.0, 5.0)
    dx, dy, dz = 9.0 * 125, 2 * 6.0 * 125, 2 * 9 * 75.0
    assert grad(f)(*point) == dx
    assert grad(f, 1)(*point) == dy
    assert grad(f, argnums=-1)(*point) == dz
    assert grad(f, (0,))(*point) == (dx,)
    assert grad(f, argnums=[2, 0])(*point) == (dz, dx)
    assert grad(f, argnums=(-1, 1))(*point) == (dz, dy)
    assert value_and_grad(f, (1, 2))(*point) == (2 * 9 * 125.0, (dy, dz))
    assert hessian(f, (0, 1))(*point) == ((0.0, 6.0 * 125), (6.0 * 125, 4.0 * 125))
    assert jacobian(lambda x, y: [x * y, x], (1, 0))(2.0, 3.0) == [(2.0, 3.0), (0.0, 1.0)]


def test_ints_are_settings_unless_differentiated_by():
    def power(x, n):
        return math.prod([x] * n)

    assert grad(power)(2.0, 3) == 12.0
    assert grad(power)(2.0, n=4) == 32.0
    assert grad(lambda n, x: power(x, n), -1)(3, 2.0) == 12.0
    assert grad(lambda n, x: power(x, n), 1)(3, 2) == 12.0
    assert jacobian(lambda n, x: [power(x, n)], -1)(3, 2.0) == [12.0]
    assert hessian(lambda n, x: power(x, n), -1)(3, 2.0) == 12.0
    assert grad(lambda x, up: x if up else -x)(2.0, True) == 1.0
    assert grad(lambda x, up: x if up else -x)(2.0, False) == -1.0
    assert grad(lambda x, y: x**y, (0, 1))(2, 3) == (12.0, 8.0 * math.log(2.0))
    assert hvp(lambda x: x**3)(2, 1) == 12.0
    assert jvp(lambda x: x * 3, (1,), (2,)) == (3.0, 6.0)
    assert vjp(lambda x: x**2, 3)[1](1) == (6.0,)


def test_ints_are_settings_in_a_recording_too():
    power = record(lambda x, n: math.prod([x] * n))
    assert record(lambda x: power(x, 3) + power(x, n=2))(2.0) == 12.0
    assert grad(lambda x: power(x, 3))(2.0) == 12.0
    assert record(lambda x: grad(lambda n, x: power(x, n), -1)(3, x))(2.0) == 12.0


def test_settings_that_are_not_numbers():
    def f(x, how, *, table=None):
        return {"sin": x.sin(), "double": 2 * x}[how] + (table or {"k": 0.0})["k"]

    g = record(f)
    assert g(1.0, "sin") == math.sin(1.0)
    assert g(1.0, "double") == 2.0
    assert g(1.0, "double", table={"k": 3.0}) == 5.0
    assert g(1.0, "sin") == math.sin(1.0)
    assert grad(f)(1.0, "double") == 2.0


def test_has_aux():
    def f(x):
        return (x**2).sum(), {"first": x[0], "name": "aux", "n": len(x)}

    x = np.array([1.0, 2.0])
    aux = {"first": 1.0, "name": "aux", "n": 2}
    assert same(grad(f, has_aux=True)(x), (np.array([2.0, 4.0]), aux))
    assert same(value_and_grad(f, has_aux=True)(x), ((5.0, aux), np.array([2.0, 4.0])))
    assert same(jacobian(lambda x: (x * x, x[0]), has_aux=True)(x), (np.diag([2.0, 4.0]), 1.0))


def test_jacobians_have_the_shapes_of_jax():
    x = np.arange(6.0).reshape(2, 3)
    w = np.arange(1.0, 9.0).reshape(4, 2)
    for mode in ("forward", "reverse", None):
        made = jacobian(lambda x: w @ x, mode=mode)(x)
        assert made.shape == (4, 3, 2, 3)
        expected = np.zeros((4, 3, 2, 3))
        for i, j, k in np.ndindex(4, 3, 2):
            expected[i, j, k, j] = w[i, k]
        assert np.array_equal(made, expected)
        out = jacobian(lambda p: {"s": p["a"] * p["b"].sum(), "v": p["b"] * p["a"]}, mode=mode)
        assert same(
            out({"a": 2.0, "b": np.array([1.0, 3.0])}),
            {"s": {"a": 4.0, "b": np.array([2.0, 2.0])}, "v": {"a": np.array([1.0, 3.0]), "b": 2.0 * np.eye(2)}},
        )
        assert jacobian(lambda x: x, mode=mode)(np.empty((0, 3))).shape == (0, 3, 0, 3)
        assert jacobian(lambda x: x * x, mode=mode)(3.0) == 6.0


def test_a_large_jacobian_goes_through_lanes_and_is_the_same():
    def f(x):
        for _ in range(8):
            x = np.sin(x) + np.roll(x, 1) * x
        return x

    x = np.linspace(-1.0, 1.0, 60)
    small = jacobian(f)(x[:5])
    assert small == pytest.approx(jacobian(f, mode="forward")(x[:5]), rel=1e-12)
    reverse, forward = (jacobian(f, mode=mode)(x) for mode in ("reverse", "forward"))
    assert reverse == pytest.approx(forward, rel=1e-10, abs=1e-12)
    for k in (0, 31, 59):
        unit = np.eye(60)[k]
        assert jvp(f, (x,), (unit,))[1] == pytest.approx(forward[:, k], rel=1e-12, abs=1e-14)
        assert vjp(f, x)[1](unit)[0] == pytest.approx(reverse[k], rel=1e-12, abs=1e-14)
    wide = jacobian(lambda n, x: f(x) * n, -1)(2, x)
    assert wide == pytest.approx(2 * forward, rel=1e-10, abs=1e-12)
    second = hessian(lambda x: f(x).sum())(x)
    assert second == pytest.approx(second.T, rel=1e-9, abs=1e-9)
    assert second @ x == pytest.approx(hvp(lambda x: f(x).sum())(x, x), rel=1e-9, abs=1e-9)


def test_hessian_and_hvp_of_rosenbrock():
    def f(x):
        return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

    x = np.array([1.3, 0.7, 0.8, 1.9])
    scipy = pytest.importorskip("scipy.optimize")
    assert grad(f)(x) == pytest.approx(scipy.rosen_der(x), rel=1e-12)
    assert hessian(f)(x) == pytest.approx(scipy.rosen_hess(x), rel=1e-12)
    v = np.array([1.0, -2.0, 0.5, 3.0])
    assert hvp(f)(x, v) == pytest.approx(scipy.rosen_hess_prod(x, v), rel=1e-12)
    assert hvp(lambda x, s: f(x) * s)(x, v, 2.0) == pytest.approx(2 * scipy.rosen_hess_prod(x, v), rel=1e-12)


def test_hessian_of_nested_arguments():
    made = hessian(lambda d: d["a"] ** 2 * d["b"][0])({"a": 2.0, "b": [3.0]})
    assert made == {"a": {"a": 6.0, "b": [4.0]}, "b": [{"a": 4.0, "b": [0.0]}]}


def test_jvp_and_vjp_of_nested_arguments():
    def f(p, x):
        return {"y": p["w"] * x, "s": x.sum()}

    p, x = {"w": 3.0}, np.array([1.0, 2.0])
    value = {"y": np.array([3.0, 6.0]), "s": 3.0}
    assert same(jvp(f, (p, x), ({"w": 1.0}, np.array([0.0, 1.0]))), (value, {"y": np.array([1.0, 5.0]), "s": 1.0}))
    out, back = vjp(f, p, x)
    assert same(out, value)
    assert same(back({"y": np.array([1.0, 0.0]), "s": 2.0}), ({"w": 1.0}, np.array([5.0, 2.0])))
    assert same(back({"y": np.array([0.0, 1.0]), "s": 0.0}), ({"w": 2.0}, np.array([0.0, 3.0])))


NUMPY = {
    "exp": lambda x: np.exp(x).sum(),
    "matmul": lambda x: x.reshape(2, 3) @ x.reshape(3, 2) @ np.ones(2) @ np.ones(2),
    "mean": lambda x: (x * x).mean() + np.prod(x) + np.cumsum(x)[3],
    "norm": lambda x: np.linalg.norm(x) + np.einsum("i,j->", x, x) + np.outer(x, x).trace(),
    "functions": lambda x: (np.tanh(x) + np.sqrt(x) + np.log(x) + np.arctan2(x, 2.0) + np.hypot(x, x[::-1])).sum(),
    "where": lambda x: np.where(x > 1.0, x * x, -x).sum() + np.max(x) * np.min(x),
    "sort": lambda x: (np.sort(x) * np.arange(6.0)).sum() + x[np.argmax(x)],
    "clip": lambda x: np.clip(x, 0.5, 1.5).sum() + np.maximum(x, 1.0).sum(),
    "stack": lambda x: np.concatenate([x, x[::-1] ** 2])[::3].sum() + np.dot(x, np.roll(x, 2)),
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_on_object_arrays(name):
    f = NUMPY[name]
    value, gradient = value_and_grad(f), grad(f)
    draw = np.random.default_rng(3)
    for _ in range(5):
        x = draw.uniform(0.3, 2.0, 6)
        xs = np.array([DIVIDING.Value(v) for v in x], dtype=object)
        y = f(xs)
        y.backward()
        assert value(x)[0] == y.data == pytest.approx(f(x), rel=1e-13)
        assert gradient(x).tolist() == [v.grad for v in xs]


# ---- composition ----


def test_grad_of_grad_of_grad():
    f = grad(grad(grad(grad(lambda x: x**4 * 0.5))))
    assert f(7.0) == 12.0
    g = lambda x: x.sin()  # noqa: E731
    for k in range(6):
        expected = [math.sin, math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x)][k % 4](0.7)
        assert (record(g) if k == 0 else g)(0.7) == pytest.approx(expected, rel=1e-14)
        g = grad(g)
    assert grad(hvp(lambda x: x**4), argnums=0)(2.0, 1.0) == 48.0
    assert hvp(grad(lambda x: x**4))(2.0, 1.0) == 48.0


def test_perturbations_are_not_confused():
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert grad(lambda x: x * grad(lambda y: x * y * y)(x))(3.0) == 54.0
    assert grad(lambda x: x * jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0) == 6.0
    assert jvp(lambda x: jvp(lambda y: x * y, (x,), (x,))[1], (3.0,), (1.0,)) == (9.0, 6.0)
    assert record(lambda x: vjp(lambda y: y * y * x, x)[1](1.0)[0])(3.0) == 18.0
    assert grad(lambda x: grad(lambda y: grad(lambda z: x * y * z)(y) + y)(x))(5.0) == 1.0
    assert grad(lambda x: grad(lambda y: x)(2.0) + x)(1.0) == 1.0


def test_jacobian_of_grad_and_grad_inside_a_loop():
    assert same(jacobian(grad(lambda x: (x**3).sum()))(np.arange(3.0)), np.diag([0.0, 6.0, 12.0]))

    def newton(a):
        x = 1.0 + 0.0 * a
        for _ in range(8):
            x = x - (x * x - a) / grad(lambda x: x * x - a)(x)
        return x

    assert record(newton)(2.0) == pytest.approx(math.sqrt(2.0), rel=1e-15)
    assert grad(newton)(2.0) == pytest.approx(0.5 / math.sqrt(2.0), rel=1e-12)


def test_vmap_inside_record():
    def f(w, xs):
        return vmap(lambda w, x: (w * x) ** 2, (None, 0), reduce="mean")(w, xs)

    xs = np.array([1.0, 3.0])
    assert record(f)(2.0, xs) == 20.0
    assert grad(f)(2.0, xs) == 20.0
    assert same(grad(f, 1)(2.0, xs), np.array([4.0, 12.0]))
    nested = vmap(lambda d, k: d["a"] * d["b"] + k[0], in_axes=({"a": 0, "b": None}, (1, None)))
    d, k = {"a": np.arange(3.0), "b": 2.0}, (np.array([[1.0, 2.0, 3.0]]), 5.0)
    assert same(record(lambda d, k: nested(d, k)[:, 0])(d, k), nested(d, k)[:, 0])
    assert same(record(lambda a: vmap(lambda p: p.a * p.b)(Point(a, a)))(xs), xs * xs)
    assert record(lambda x: vmap(lambda y: y * 2, reduce="sum")([x, 1.0, 3]))(5.0) == 18.0
    with pytest.raises(ValueError, match="samples"):
        record(lambda x: vmap(lambda a, b: a * b)(x, x[:1]))(xs)


def test_a_condition_in_and_out_of_an_inner_function():
    positive = record(lambda x: x > 0)
    pick = record(lambda c, x: tapegrad.where(c, x, -x))
    for x in (2.0, -3.0):
        assert record(lambda x: tapegrad.where(positive(x), 1.0, 2.0) * x)(x) == (x if x > 0 else 2 * x)
        assert record(lambda x: pick(x > 0, x))(x) == abs(x)
        assert positive(Value(x)) is (x > 0)
    chosen = record(lambda x: 1.0 if positive(x) else 2.0)
    assert [chosen(x) for x in (1.0, -1.0, 1.0)] == [1.0, 2.0, 1.0]


def test_values_as_arguments_of_grad():
    x = Value(2.0)
    y = grad(lambda x: x**3)(x) * 2.0
    y.backward()
    assert (y.data, x.grad) == (24.0, 24.0)


def test_signs_of_zero():
    draw = random.Random(1)
    for zero in (lambda x, y: -x - y, lambda x, y: -x * y + 0.0 * x, lambda x, y: -(x * y), lambda x, y: x - -y):

        def f(x, y, zero=zero):
            return tapegrad.atan2(zero(x, y), -1.0)

        replay = record(f)
        for _ in range(100):
            x, y = draw.choice([0.0, -0.0, 1.0, -1.0]), draw.choice([0.0, -0.0, 1.0, -1.0])
            assert replay(x, y) == f(Value(x), Value(y)).data


# ---- wrong arguments ----


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: grad(3), TypeError, "takes a function, not int"),
        (lambda: record(None), TypeError, "takes a function, not NoneType"),
        (lambda: vmap("f"), TypeError, "takes a function"),
        (lambda: grad(lambda x: x)("a"), TypeError, "argument 0 is no number.*'a'"),
        (lambda: grad(lambda x: x)(None), TypeError, "argument 0 is no number|real numbers only"),
        (lambda: grad(lambda x: x)(1j), TypeError, "argument 0 is no number|real numbers only"),
        (lambda: grad(lambda: 3)(), TypeError, "called with 0"),
        (lambda: grad(lambda x: x, 1)(1.0), TypeError, "argument 1, but the function was called with 1"),
        (lambda: grad(lambda x: x, -2)(1.0), TypeError, "argument -2"),
        (lambda: grad(lambda x: x, ()), TypeError, "argnums must be"),
        (lambda: grad(lambda x: x, "a"), TypeError, "argnums must be"),
        (lambda: grad(lambda x, y: x, (0, 0)), ValueError, "twice"),
        (lambda: grad(lambda x: x * 2)(np.ones(3)), TypeError, r"an array of shape \(3,\).*jacobian"),
        (lambda: grad(lambda x: [x])(1.0), TypeError, "a list"),
        (lambda: grad(lambda x: None)(1.0), TypeError, "returned None"),
        (lambda: hessian(lambda x: x)(np.ones(3)), TypeError, "one number"),
        (lambda: hvp(lambda x: x)(np.ones(3), np.ones(3)), TypeError, "one number"),
        (lambda: hvp(lambda x: x.sum())(np.ones(3), np.ones(2)), TypeError, "nested as x"),
        (lambda: grad(lambda x: x, has_aux=True)(1.0), TypeError, "a pair"),
        (lambda: jacobian(lambda x: x, mode="both"), ValueError, "mode must be"),
        (lambda: record(lambda x: x, max_programs=0), ValueError, "max_programs"),
        (lambda: record(lambda x: x, max_program=3), TypeError, "max_program"),
        (lambda: jvp(lambda x: x, (1.0,), (1.0, 2.0)), TypeError, "tangents"),
        (lambda: jvp(lambda x: x, 1.0, 1.0), TypeError, "iterable"),
        (lambda: vjp(lambda x: x, np.ones(3))[1](1.0), TypeError, "cotangents"),
        (lambda: record(lambda x: x)(np.array(["a"])), TypeError, "real numbers"),
        (lambda: record(lambda x: x)(np.array([1j])), TypeError, "complex128"),
        (lambda: record(lambda x: x)(np.array([1.0, "a"], dtype=object)), ValueError, "float"),
        (lambda: record(lambda x: int(x))(1.0), TypeError, "int"),
        (lambda: record(lambda x: math.sin(x))(1.0), TypeError, "tapegrad.sin"),
        (lambda: record(lambda x: np.array([x], dtype=float))(1.0), TypeError, r"float\(\) of a number"),
    ],
)
def test_wrong_arguments(call, error, words):
    with pytest.raises(error, match=words):
        call()
    assert grad(lambda x: x * x)(3.0) == 6.0


def test_what_the_function_raises_comes_out_and_nothing_is_left_behind():
    f = record(lambda x: [x][3])
    for _ in range(2):
        with pytest.raises(IndexError):
            f(1.0)
    v = Value(2.0)
    assert v < 3.0 and v.data == 2.0, "not recording any more"


def test_other_real_numbers_are_settings():
    assert record(lambda x, k: x * k)(2.0, Fraction(1, 2)) == 1.0


def test_custom_nodes_are_refused():
    def f(x):
        return Value(1.0, (x,), (2.0,))

    with pytest.raises(TypeError, match="derivative of its own"):
        record(f)(1.0)


def test_names_and_documentation_are_the_functions_own():
    def f(x):
        """Twice x."""
        return 2 * x

    for made in (record(f), grad(f), vmap(f)):
        assert made.__name__ == "f" and made.__doc__ == "Twice x." and made.__wrapped__ is f
    assert "record(<function" in repr(record(f)) and "hessian(" in repr(hessian(f))


def test_the_reference_says_that_it_records_nothing():
    code = "import tapegrad\ntapegrad.grad(lambda x: x)"
    pure = {**os.environ, "TAPEGRAD_PURE": "1"}
    out = subprocess.run([sys.executable, "-c", code], env=pure, capture_output=True, text=True, check=False)
    assert "ImportError: functions are recorded by tapegrad's compiled core" in out.stderr


def test_check_grad():
    report = tapegrad.check_grad(lambda x, p: [x @ x * p["s"].exp(), x[0]], np.array([1.0, 2.0]), {"s": 0.5})
    assert report.ok and report.entries == 6 and "6 derivatives agree" in str(report)
    with pytest.raises(AssertionError, match="do NOT agree"):
        tapegrad.check_grad(lambda x: x * tapegrad.stop_gradient(x), 2.0)
    report = tapegrad.check_grad(lambda x: x * tapegrad.stop_gradient(x), 2.0, raises=False)
    assert not report.ok and (report.reverse, report.forward) == (2.0, 2.0)
    with pytest.raises(ValueError):
        tapegrad.check_grad(lambda x: x, 2.0, eps=0.0)
    with pytest.raises(TypeError):
        tapegrad.check_grad(lambda: 1.0)


def test_anomalies_are_named():
    def f(x, y):
        z = x * y
        return z.log() + 1.0

    assert record(f)(0.0, 1.0) == -math.inf
    line = f.__code__.co_firstlineno + 2
    with pytest.raises(FloatingPointError, match=rf"test_transforms.py:{line} gives -inf: log\(0.0\)"):
        record(f, check_finite=True)(0.0, 1.0)
    with pytest.raises(FloatingPointError, match="argument is nan"):
        record(f, check_finite=True)(math.nan, 1.0)

    def root(x):
        return x.sqrt()

    line = root.__code__.co_firstlineno + 1
    with pytest.raises(
        FloatingPointError, match=f"derivative of the operation on .*test_transforms.py:{line} gives inf"
    ):
        grad(root, check_finite=True)(0.0)


def test_as_a_decorator_of_a_method():
    class Curve:
        def __init__(self, a):
            self.a = a

        @record
        def value(self, x):
            return self.a * x * x

    one, two = Curve(1.0), Curve(2.0)
    assert (one.value(3.0), two.value(3.0), one.value(4.0), Curve.value(two, 1.0)) == (9.0, 18.0, 16.0, 2.0)


def test_large_jacobians_are_those_of_small_ones(monkeypatch):
    """From some size on a Jacobian is computed a direction a lane, in place of one program for all of it."""
    import tapegrad.transforms
    from tapegrad.structure import flatten, numbers_in

    def f(x, p):
        y = x if p["a"] > 0 else -x
        return [np.outer(y, y) * p["a"], {"s": y.sum() * p["b"][0]}]

    def g(x, p):
        return (x[0] ** 3 * x[1] + p["a"].exp() * x[2] * p["b"][0]) ** 2

    point = (np.array([1.0, 2.0, -0.5]), {"a": 1.5, "b": [0.5]})
    other = (point[0], {"a": -1.5, "b": [0.25]})
    results = []
    for unrolled in (10**9, -1):
        monkeypatch.setattr(tapegrad.transforms, "UNROLLED", unrolled)
        made = [jacobian(f, (0, 1), mode=mode) for mode in (None, "forward", "reverse")] + [hessian(g, (0, 1))]
        leaves = []
        specs = [flatten(function(*at), leaves) for function in made for at in (point, other)]
        results.append((specs, numbers_in(leaves)[0].tolist()))
    assert results[0] == results[1]
