"""What stands behind a transformation: its programs, its checks, its name, and how its arguments are matched."""

import copy
import dataclasses
import gc
import math
import multiprocessing
import pickle
import weakref
from functools import partial

import numpy as np
import pytest

import tapegrad
from tapegrad import (
    Value,
    check_grad,
    dot,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    record,
    value_and_grad,
    vjp,
    vmap,
)

SCALE = [1.0]  # what a recorded function reads and cannot see change


@record
def square(x):
    return x * x


@grad
def slope(x):
    return x**3


@vmap
def doubled(x):
    return 2 * x


class Model:
    def __init__(self, k):
        self.k = k

    @record
    def f(self, x):
        return self.k * x


class Called(Model):
    def __call__(self, x):
        return self.f(x)


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda f: record(f), np.ones(2)),
        (lambda f: vmap(f), np.ones((1, 2))),
        (lambda f: grad(vmap(f, reduce="sum")), np.ones((1, 2))),
        (lambda f: value_and_grad(vmap(f, reduce="mean")), np.ones((1, 2))),
        (lambda f: grad(record(f)), np.ones(2)),
        (lambda f: vmap(jacobian(f)), np.ones((1, 2))),
        (lambda f: jacobian(lambda x: f(x) * x), np.ones(400)),
        (lambda f: hessian(f), np.ones(400)),
    ],
)
def test_clear_reaches_all_programs(make, x):
    f = make(lambda x: SCALE[0] * (x * x).sum())

    def first():
        out = f(x)
        return float(np.ravel(out[0] if isinstance(out, tuple) else out)[0])

    try:
        one = first()
        assert len(f.programs) >= 1
        SCALE[0] = 10.0
        assert first() == one
        f.clear()
        assert f.programs == []
        assert first() == 10 * one
    finally:
        SCALE[0] = 1.0


def test_a_new_value_in_a_model_is_used_after_clear():
    p = [Value(1.0)]
    step = vmap(lambda x: p[0] * x, reduce="sum")
    step([1.0, 2.0])
    p[0] = Value(10.0)
    step.clear()
    assert step([1.0, 2.0]).data == 30.0


def test_a_function_with_a_large_jacobian_runs_once():
    runs = []

    def f(x):
        runs.append(1)
        return np.sqrt(x) * x[0]

    x = np.linspace(1.0, 2.0, 400)
    for f_of, n in ((jacobian(f), 400), (jacobian(f), 3), (hessian(lambda x: f(x).sum()), 400)):
        runs.clear()
        for _ in range(3):
            f_of(x[:n])
        assert len(runs) == 1


def test_jvp_is_of_the_function_as_it_is_now():
    factors = [2.0]
    f = lambda x: factors[0] * x  # noqa: E731
    assert jvp(f, (1.0,), (1.0,)) == (2.0, 2.0)
    assert vjp(f, 1.0)[1](1.0) == (2.0,)
    factors[0] = 5.0
    assert jvp(f, (1.0,), (1.0,)) == (5.0, 5.0)
    assert vjp(f, 1.0)[0] == 5.0 and vjp(f, 1.0)[1](1.0) == (5.0,)


def test_equal_callables_have_their_own_derivatives():
    @dataclasses.dataclass(unsafe_hash=True)
    class Named:
        name: str
        k: float = dataclasses.field(compare=False)

        def __call__(self, x):
            return self.k * x

    @dataclasses.dataclass
    class Plain:
        k: float

        def __call__(self, x):
            return self.k * x

    assert jvp(Named("a", 2.0), (1.0,), (1.0,)) == (2.0, 2.0)
    assert jvp(Named("a", 5.0), (1.0,), (1.0,)) == (5.0, 5.0)
    assert jvp(Plain(3.0), (1.0,), (1.0,)) == (3.0, 3.0)  # it cannot be hashed
    assert vjp(Plain(3.0), 1.0)[1](1.0) == (3.0,)


def test_jvp_of_a_recorded_function_replays_until_it_is_cleared():
    runs = []

    @record
    def f(x):
        runs.append(1)
        return SCALE[0] * x

    for _ in range(3):
        assert jvp(f, (1.0,), (1.0,)) == (1.0, 1.0)
        assert vjp(f, 1.0)[1](1.0) == (1.0,)
    assert len(runs) == 2
    f.clear()
    jvp(f, (1.0,), (1.0,))
    assert len(runs) == 3


def test_vjp_does_not_see_later_changes():
    x = np.array([1.0, 2.0])
    tree = {"a": x}
    y, back = vjp(lambda t: (t["a"] ** 2).sum(), tree)
    factors = [3.0]
    _, other = vjp(lambda x: factors[0] * x, 1.0)
    x -= 9.0
    tree["a"] = np.zeros(2)
    factors[0] = 7.0
    assert y == 5.0 and back(1.0)[0]["a"].tolist() == [2.0, 4.0]
    assert other(1.0) == (3.0,)
    p = Value(2.0)
    _, by_p = vjp(lambda x: p * x * x, 3.0)
    p.data = 50.0
    (found,) = by_p(1.0)
    assert found.data == 12.0
    found.backward()
    assert p.grad == 6.0


def test_vjp_of_arrays_that_change_in_a_recording():
    def f(x):
        x = x * 1.0
        _, back = vjp(lambda x: (x * x).sum(), x)
        x[0] = 100.0
        return back(1.0)[0]

    assert record(f)(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]


def test_vjp_of_values():
    a, b = Value(2.0), Value(3.0)
    y, back = vjp(lambda x, y: x * x * y, a, 5.0)
    dx, dy = back(b)
    assert y.data == 20.0 and (dx.data, dy.data) == (60.0, 12.0)
    dx.backward()
    assert (a.grad, b.grad) == (30.0, 20.0)


def test_cotangents_are_matched_by_key():
    _, back = vjp(lambda x: {"a": x * 1.0, "b": x * 2.0}, 3.0)
    assert back({"b": 10.0, "a": 1.0}) == back({"a": 1.0, "b": 10.0}) == (21.0,)
    product = hvp(lambda p: p["a"] ** 2 + p["b"] ** 3)
    assert product({"a": 1.0, "b": 1.0}, {"b": 0.0, "a": 1.0}) == {"a": 2.0, "b": 0.0}
    value = jvp(lambda p: p["a"] + 10 * p["b"], ({"a": 1.0, "b": 1.0},), ({"b": 2.0, "a": 1.0},))
    assert value == (11.0, 21.0)

    def inside(x):
        _, back = vjp(lambda x: {"a": x * 1.0, "b": x * 2.0}, x)
        return back({"b": 10.0, "a": x})[0]

    assert record(inside)(3.0) == 23.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: vjp(lambda x: {"a": x, "b": x}, 3.0)[1]({"zzz": 1.0, "q": 10.0}),
        lambda: vjp(lambda x: {"a": x, "b": x}, 3.0)[1]([1.0, 10.0]),
        lambda: vjp(lambda x: x.reshape(3, 2) * 1.0, np.arange(6.0))[1](np.arange(6.0).reshape(2, 3)),
        lambda: vjp(lambda x: x * 1.0, np.arange(6.0))[1](list(range(6))),
        lambda: vjp(lambda x: [x, x], 1.0)[1]((1.0, 2.0)),
        lambda: vjp(lambda x: [x, x], 1.0)[1]([1.0]),
        lambda: vjp(lambda x: x, 1.0)[1]("a"),
        lambda: vjp(lambda x: (x, None), 1.0)[1]((1.0, 2.0)),
        lambda: jvp(lambda x: x.sum(), (np.ones((2, 3)),), (np.ones((3, 2)),)),
        lambda: jvp(lambda x: x, (1.0,), (1.0, 2.0)),
        lambda: hvp(lambda p: p["a"] ** 2)({"a": 1.0}, {"b": 1.0}),
        lambda: hvp(lambda x: (x * x).sum())(np.ones((2, 3)), np.ones((3, 2))),
        lambda: record(lambda x: vjp(lambda x: {"a": x}, x)[1]({"b": 1.0})[0])(1.0),
        lambda: vmap(hvp(lambda p: p["a"] ** 2))({"a": [1.0]}, {"b": [1.0]}),
    ],
)
def test_what_is_nested_in_another_way_is_refused(call):
    with pytest.raises(TypeError, match="must be nested as"):
        call()


P = Value(1.0)
CHECKED = record(tapegrad.log, check_finite=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda: grad(vmap(tapegrad.log, reduce="sum"), check_finite=True)([1.0, 0.0]),
        lambda: grad(vmap(tapegrad.log, reduce="sum", check_finite=True))([1.0, 0.0]),
        lambda: value_and_grad(vmap(tapegrad.sqrt, reduce="sum"), check_finite=True)([1.0, 0.0]),
        lambda: vmap(lambda x: tapegrad.log(x) * P, check_finite=True)([1.0, 0.0]),
        lambda: vmap(lambda x: tapegrad.log(x) * P, reduce="sum", check_finite=True)([1.0, 0.0]),
        lambda: vmap(record(tapegrad.log, check_finite=True))([1.0, 0.0]),
        lambda: jacobian(lambda x: np.sqrt(x) * 1.0, check_finite=True)(np.zeros(400)),
        lambda: jacobian(lambda x: np.sqrt(x) * 1.0, mode="forward", check_finite=True)(np.zeros(400)),
        lambda: hessian(lambda x: np.sqrt(x).sum() * x.sum(), check_finite=True)(np.zeros(400)),
        lambda: hvp(lambda x: np.sqrt(x).sum(), check_finite=True)(np.zeros(4), np.ones(4)),
        lambda: grad(record(tapegrad.log, check_finite=True))(0.0),
        lambda: jacobian(vmap(tapegrad.log, check_finite=True))(np.zeros(2)),
        lambda: jvp(record(tapegrad.log, check_finite=True), (0.0,), (1.0,)),
        lambda: vjp(record(tapegrad.sqrt, check_finite=True), 0.0)[1](1.0),
        lambda: record(lambda x: tapegrad.where(x > 0, CHECKED(x), 0.0))(0.0),
    ],
)
def test_check_finite_holds_in_every_mode(call):
    with pytest.raises(FloatingPointError):
        call()


def test_an_inner_function_that_checks_does_so_at_replays():
    f = record(lambda x: tapegrad.where(x > 0, CHECKED(x), 0.0))
    assert f(1.0) == 0.0
    with pytest.raises(FloatingPointError, match=r"log\(0.0\)"):
        f(0.0)


def test_decorated_functions_pickle_by_name():
    for f in (square, slope, doubled, Model.f):
        assert pickle.loads(pickle.dumps(f)) is f and copy.deepcopy(f) is f
    bound = pickle.loads(pickle.dumps(Model(3.0).f))
    assert bound(2.0) == 6.0
    other = pickle.loads(pickle.dumps(grad(square)))
    assert other(3.0) == 6.0


def test_decorated_functions_in_a_process_pool():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(square, [1.0, 2.0]) == [1.0, 4.0]
        assert pool.map(Model(3.0).f, [1.0, 2.0]) == [3.0, 6.0]
        assert pool.map(grad(square), [1.0, 2.0]) == [2.0, 4.0]


@pytest.mark.parametrize("cls", [Model, Called])
def test_a_decorated_method_does_not_keep_its_instances(cls):
    seen = []
    for k in range(3):
        m = cls(float(k))
        assert m.f(2.0) == 2.0 * k
        seen.append(weakref.ref(m))
    del m
    gc.collect()
    assert [r() for r in seen] == [None] * 3
    Model(1.0).f(2.0)
    gc.collect()
    assert len(Model.f.families) <= 2


def test_keyword_arguments_of_vmap_are_mapped():
    x = np.arange(3.0)
    assert vmap(lambda x, w: x * w)(x, w=x).tolist() == [0.0, 1.0, 4.0]
    assert vmap(lambda x, w: x * w.sum(), (None,))(2.0, w=np.ones((3, 2))).tolist() == [4.0] * 3
    assert vmap(lambda x, p: x * p["a"])(x, p={"a": x}).tolist() == [0.0, 1.0, 4.0]
    assert record(lambda x: vmap(lambda x, w: x * w)(x, w=x))(x).tolist() == [0.0, 1.0, 4.0]
    assert vmap(lambda x, how: x if how == "a" else -x)(x, how="b").tolist() == [-0.0, -1.0, -2.0]
    gradient = grad(vmap(lambda w, x: w * x, (None,), reduce="sum"))
    assert gradient(2.0, x=x) == 3.0
    with pytest.raises(ValueError, match="argument before it 3"):
        vmap(lambda x, w: x * w)(x, w=x[:2])


def test_out_axes():
    x = np.arange(6.0).reshape(3, 2)
    for out in (1, -1):
        assert vmap(lambda x: x * 1.0, out_axes=out)(x).tolist() == x.T.tolist()
    a, b = vmap(lambda x: (x * 1.0, x * 2.0), out_axes=(1, 0))(x)
    assert a.shape == (2, 3) and b.shape == (3, 2)
    out = vmap(lambda x: {"a": x * 1.0, "b": 7.0}, out_axes={"b": None, "a": 1})(x)
    assert out["a"].shape == (2, 3) and out["b"] == 7.0
    assert record(lambda x: vmap(lambda x: x * 1.0, out_axes=1)(x))(x).tolist() == x.T.tolist()
    assert pickle.loads(pickle.dumps(vmap(math.fabs, out_axes=1))).out_axes == 1
    with pytest.raises(ValueError, match="not the same"):
        vmap(lambda x: x, out_axes=None)(x)
    with pytest.raises(ValueError, match="axis 2"):
        vmap(lambda x: x, out_axes=2)(x)
    with pytest.raises(ValueError, match="out_axes"):
        vmap(lambda x: x, out_axes=1, reduce="sum")
    with pytest.raises(ValueError, match="2 entries for 1"):
        vmap(lambda x: [x], out_axes=[0, 0])(x)
    with pytest.raises(TypeError, match="out_axes"):
        vmap(lambda x: x, out_axes="a")(x)


def test_a_list_of_arrays_is_the_array_of_them():
    rows = [np.array([k * 1.0, 0.0, 1.0]) for k in range(100)]
    f = vmap(lambda x: x[0] + x[1] + x[2])
    assert f(rows).tolist() == f(np.array(rows)).tolist() == f([row.tolist() for row in rows]).tolist()
    assert record(lambda *rows: f(list(rows)))(*rows).tolist() == f(rows).tolist()
    assert vmap(lambda x: x.sum())([[np.ones(2), np.ones(2)]]).tolist() == [4.0]
    pair = vmap(lambda p: p[0] * p[1].sum())
    assert pair((np.ones(3), np.ones((3, 2)))).tolist() == pair([np.ones(3), np.ones((3, 2))]).tolist() == [2.0] * 3


def test_conditions_that_are_counted_are_a_float_in_a_recording_too():
    count = vmap(lambda x: x > 1, reduce="sum")
    x = np.array([1.0, 2.0, 3.0])
    inside = record(lambda x: count(x))(x)
    assert inside == count(x) == 2.0 and type(inside) is type(count(x)) is float


def test_an_empty_batch_has_an_empty_result():
    f = vmap(lambda x: {"a": x * 1.0, "b": x > 0, "c": (x.sum(), x.sum() < 1)})
    out = f(np.zeros((0, 3)))
    assert out["a"].shape == (0, 3) and out["b"].shape == (0, 3) and out["b"].dtype == bool
    assert out["c"][0].shape == (0,) and out["c"][1].dtype == bool
    assert f.programs == []
    assert vmap(tapegrad.log)([]).shape == (0,)
    assert vmap(lambda x: x * 2.0, reduce="sum")(np.zeros(0)) == 0.0
    assert math.isnan(vmap(lambda x: x * 2.0, reduce="mean")(np.zeros(0)))
    assert vmap(lambda x: x * P)(np.zeros(0)).shape == (0,)
    assert vmap(lambda x: x * 1.0, out_axes=1)(np.zeros((0, 2))).shape == (2, 0)
    assert record(lambda x: vmap(lambda x: x * 2.0)(x))(np.zeros((0, 2))).shape == (0, 2)
    w, x = grad(vmap(lambda w, x: w * x.sum(), (None, 0), reduce="sum"), (0, 1))(2.0, np.zeros((0, 2)))
    assert w == 0.0 and x.shape == (0, 2)

    def strict(x):
        raise KeyError("never")

    with pytest.raises(ValueError, match=r"empty batch.*KeyError"):
        vmap(strict)(np.zeros(0))


def test_has_aux_of_every_transformation():
    aux = {"n": 3, "of": "f"}

    def f(x):
        return x * x * x, aux

    assert grad(f, has_aux=True)(2.0) == (12.0, aux)
    assert jacobian(f, has_aux=True)(2.0) == (12.0, aux)
    assert hessian(f, has_aux=True)(2.0) == (12.0, aux)
    assert hvp(f, has_aux=True)(2.0, 3.0) == (36.0, aux)
    assert jvp(f, (2.0,), (3.0,), has_aux=True) == (8.0, 36.0, aux)
    y, back, rest = vjp(f, 2.0, has_aux=True)
    assert (y, back(2.0), rest) == (8.0, (24.0,), aux)
    x = np.linspace(1.0, 2.0, 400)
    first, rest = jacobian(lambda x: (x * x[0], {"s": x.sum(), "name": "a"}), has_aux=True)(x)
    assert first.shape == (400, 400) and rest["name"] == "a" and rest["s"] == pytest.approx(600.0)
    second, rest = hessian(lambda x: (x.sum() ** 2, x * 2.0), has_aux=True)(x)
    assert (second == 2.0).all() and rest.tolist() == (2 * x).tolist()
    assert record(lambda x: hvp(f, has_aux=True)(x, x)[0])(2.0) == 24.0
    assert record(lambda x: vjp(f, x, has_aux=True)[1](1.0)[0])(2.0) == 12.0
    for call in (lambda: vjp(lambda x: x, 1.0, has_aux=True)[1](1.0), lambda: jvp(lambda x: x, (1.0,), (1.0,), True)):
        with pytest.raises(TypeError, match="pair"):
            call()


def test_argnums_of_numpy():
    for k in (np.int64(1), np.int32(-1), np.array(1)):
        assert grad(lambda x, y: x * y * y, k)(1.0, 2.0) == 4.0
    assert grad(lambda x, y: x * y, np.array([0, 1]))(1.0, 2.0) == (2.0, 1.0)
    for wrong in (1.0, "a", [0.5], [], None):
        with pytest.raises(TypeError, match="argnums must be"):
            grad(lambda x: x, wrong)


def test_argnums_of_hvp():
    f = lambda a, x, b: a * x**3 * b  # noqa: E731
    assert hvp(f, 1)(2.0, 3.0, 1.0, 5.0) == 180.0
    assert hvp(f, np.int64(-2))(2.0, 3.0, 1.0, 5.0) == 180.0
    assert hvp(f, (0, 1))(2.0, 3.0, (1.0, 1.0), 5.0) == (135.0, 315.0)
    assert vmap(hvp(f, 1), (None, 0, None, None))(2.0, [3.0], 1.0, 5.0).tolist() == [180.0]
    assert hvp(lambda n, x: x**n, 1)(3, 2.0, 1.0) == 12.0
    with pytest.raises(TypeError, match="argnums names argument 3"):
        hvp(f, 3)(1.0, 2.0, 3.0, 1.0)


def test_dot_of_a_matrix_is_refused():
    m = np.ones((2, 2))
    rows = [np.ones(2), np.ones(2)]
    for call in (lambda x: dot(m, x), lambda x: dot(x, m), lambda x: dot(rows, rows)):
        for f in (call, record(call)):
            with pytest.raises(TypeError, match="dot takes two vectors"):
                f(np.ones(2))


def test_dot_of_lists_of_lists_is_refused():
    with pytest.raises(TypeError, match="dot takes two vectors"):
        record(lambda w, x: dot(w, x))([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0])


def test_dot_of_unequal_lengths():
    x = [Value(1.0), Value(2.0), Value(3.0)]
    assert dot(x, [1.0]).data == dot([1.0], x).data == dot(iter(x), iter([1.0])).data == 1.0  # as zip, in eager code
    for a, b in ((3, 2), (2, 3), (0, 1), (1, 0)):
        for make in (list, tuple, iter, np.array):
            with pytest.raises(ValueError, match="one length"):
                record(lambda x, a=a, b=b, make=make: dot(make(x[:a]), make(x[:b])))([1.0, 2.0, 3.0])
    for make in (list, tuple, iter, np.array):
        assert record(lambda x, make=make: dot(make(x), make(x)))([1.0, 2.0, 3.0]) == 14.0
    assert record(lambda x: dot([], []) + x)(1.0) == 1.0


def test_check_grad_near_the_edge_of_the_domain():
    for f, x in (
        (tapegrad.log, 1e-8),
        (tapegrad.sqrt, 1e-12),
        (lambda x: x * tapegrad.sqrt(x), 1e-9),
        (tapegrad.acos, 1.0 - 1e-9),
        (lambda x: x**1.5, 0.0),
        (lambda x: 1 / x, 1e-7),
        (lambda x: x * x, 1e150),
        (abs, 1e-9),
        (lambda x: x + 1.0, 1e-10),
        (tapegrad.exp, 700.0),
        (lambda x: x**3, 0.0),
        (lambda x: x if x > 0 else -x, -1e-11),
        (tapegrad.sin, 1e5),
    ):
        assert check_grad(f, x).ok, check_grad(f, x, raises=False)
    assert not check_grad(lambda x: x * tapegrad.stop_gradient(x), 1e-9, atol=0.0, raises=False).ok
    assert not check_grad(lambda x: tapegrad.stop_gradient(tapegrad.log(x)), 1e-9, raises=False).ok


def test_check_grad_by_some_arguments():
    f = lambda x, n: sum(x for _ in range(n))  # noqa: E731
    assert check_grad(f, 1.0, 3, argnums=0).entries == 1
    with pytest.raises(TypeError) as found:
        check_grad(f, 1.0, 3)
    assert "argnums" in "".join(found.value.__notes__)
    with pytest.raises(TypeError, match="argument 2"):
        check_grad(f, 1.0, 3, argnums=2)


def test_a_part_of_a_recorded_function_is_cleared_with_it():
    inner = record(lambda c, x: SCALE[0] * c * x)
    f = record(partial(inner, 2.0))
    inner(2.0, 1.0)
    f(1.0)
    assert len(f.programs) == 2
    f.clear()
    assert inner.programs == []
