"""Batches: any layout, any number of threads, the same numbers; and what happens when something goes wrong."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import tapegrad
from tapegrad import Value, grad, hessian, hvp, jacobian, jvp, record, value_and_grad, vmap

Pair = namedtuple("Pair", "a b")


def f(x, y):
    return (x * y).sin() + x.exp() / (1 + y * y)


def branchy(w, x):
    y = w * x
    if y > 0.5:
        return y.tanh() * w
    return y * y + (1.0 + x * x).log()


def ulps(a, b):
    """The largest distance in units in the last place of what is larger."""
    return float(np.max(np.abs(a - b) / np.spacing(np.maximum(np.abs(a), np.abs(b)))))


# ---- in_axes ----


def test_forms_of_in_axes():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    product = a @ b
    for axes in (0, (0, None), [0, None], (-2, None)):
        g = vmap(lambda x, y=b: x @ y, 0) if axes == 0 else vmap(lambda x, y: x @ y, axes)
        assert (g(a) if axes == 0 else g(a, b)).tolist() == product.tolist()
    for axes in ((1, None), (-1, None)):
        assert vmap(lambda x, y: x @ y, axes)(a.T, b).tolist() == product.tolist()
    assert vmap(lambda x, y: x.sum() * y, (1, 0))(a, b).tolist() == (a.sum(0) * b).tolist()
    cube = np.arange(24.0).reshape(2, 3, 4)
    for axis in (-3, -2, -1, 0, 1, 2):
        moved = np.moveaxis(cube, axis, 0)
        assert np.array_equal(vmap(lambda x: x * 2, axis)(cube), moved * 2)


def test_nested_in_axes():
    a, m = np.arange(3.0), np.arange(6.0).reshape(2, 3)
    assert vmap(lambda d: d["a"] * d["b"], ({"a": 0, "b": None},))({"a": a, "b": 2.0}).tolist() == [0.0, 2.0, 4.0]
    assert vmap(lambda d: d["a"] * d["b"])({"a": a, "b": a}).tolist() == [0.0, 1.0, 4.0]
    assert vmap(lambda t: t[0].sum() + t[1][0] * t[1][1], ((1, (0, None)),))((m, (a, 10.0))).tolist() == [
        3.0,
        15.0,
        27.0,
    ]
    assert vmap(lambda p: p.a * p.b)(Pair(a, a)).tolist() == [0.0, 1.0, 4.0]
    assert vmap(lambda p: p.a * p.b, (Pair(0, None),))(Pair(a, 3.0)).tolist() == [0.0, 3.0, 6.0]
    assert vmap(lambda x, c: x * c["k"] if c["name"] == "a" else x, (0, None))(a, {"k": 3.0, "name": "a"}).tolist() == [
        0.0,
        3.0,
        6.0,
    ]
    assert vmap(lambda rows: rows[0] * rows[1])([[1.0, 2.0], [3.0, 4.0]]).tolist() == [2.0, 12.0]
    assert vmap(lambda x, n, *, s: x**n * s, (0, None))(a, 2, s=0.5).tolist() == [0.0, 0.5, 2.0]


def test_results_are_nested_as_the_functions_are():
    x = np.arange(3.0)
    out = vmap(lambda x: {"a": x, "b": [x * 2, (np.array([[x, 1.0]]), x > 1)], "c": 7, "d": None, "e": "text"})(x)
    assert out["a"].tolist() == [0.0, 1.0, 2.0] and out["b"][0].tolist() == [0.0, 2.0, 4.0]
    assert out["b"][1][0].tolist() == [[[0.0, 1.0]], [[1.0, 1.0]], [[2.0, 1.0]]]
    assert out["b"][1][1].tolist() == [0, 0, 1] and out["c"].tolist() == [7.0] * 3
    assert out["d"] is None and out["e"] == "text"
    total = vmap(lambda x: (x, np.array([[x, 2.0]])), reduce="sum")(x)
    assert total[0] == 3.0 and type(total[0]) is float and total[1].tolist() == [[3.0, 6.0]]
    mean = vmap(lambda x: Pair(x, [2 * x]), reduce="mean")(x)
    assert mean == Pair(1.0, [2.0]) and type(mean) is Pair
    assert vmap(lambda x: np.empty((2, 0)) * x)(x).shape == (3, 2, 0)
    for made in (out["a"], out["b"][0], out["b"][1][0]):
        assert made.dtype == np.float64


# ---- layouts ----

LAYOUTS = {
    "reversed": lambda x: x[::-1], "strided": lambda x: x[::3], "2d reversed": lambda x: x.reshape(-1, 2)[::-1, ::-1],
    "fortran": lambda x: np.asfortranarray(x.reshape(-1, 2)), "transposed": lambda x: x.reshape(2, -1).T,
    "broadcast": lambda x: np.broadcast_to(x[7], (90,)), "read only": lambda x: np.frombuffer(x.tobytes()),
    "field": lambda x: np.rec.fromarrays([np.ones(len(x), dtype="i1"), x])["f1"],
    "list": lambda x: x.tolist(), "list of lists": lambda x: x.reshape(-1, 2).tolist(),
}  # fmt: skip
DTYPES = ["f2", "f4", "f8", ">f4", ">f8", "<f8", "?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2", ">i4",
          ">u8", "l", "L", "q", "Q", "g"]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("guards", [False, True])
def test_layouts(layout, guards):
    x = LAYOUTS[layout](np.linspace(-2.0, 2.0, 180))

    def g(x):
        x = x.sum() if isinstance(x, np.ndarray) else x
        return x * 3 if guards and x > 0 else x * x

    whole = np.asarray(x).reshape(len(x), -1).sum(axis=1)
    assert np.array_equal(vmap(g)(x), np.where(whole > 0, whole * 3, whole * whole) if guards else whole * whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("guards", [False, True])
def test_dtypes(dtype, guards):
    x = (np.arange(200) % 120).astype(dtype)

    def g(x):
        return x * 2.0 if guards and x > 50 else x * 0.5

    as_floats = x.astype(np.float64)
    expected = np.where(as_floats > 50, as_floats * 2, as_floats * 0.5) if guards else as_floats * 0.5
    assert np.array_equal(vmap(g)(x), expected)
    assert np.array_equal(vmap(g)(x[::-2]), expected[::-2])
    assert vmap(g, reduce="sum")(x) == expected.sum()


def test_extremes_of_integers():
    for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"):
        info = np.iinfo(dtype)
        x = np.array([info.min, info.max, 0, 1], dtype=dtype)
        assert vmap(lambda x: x * 1.0)(x).tolist() == [float(v) for v in x]


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 63, 64, 65, 1000, 65535, 65536, 65537])
def test_any_number_of_samples(n):
    x = np.linspace(-1.0, 1.0, n)
    assert np.array_equal(vmap(lambda x: x * x + 1)(x), x * x + 1)
    assert np.array_equal(vmap(lambda x: x * x + 1 if x > 0 else x)(x), np.where(x > 0, x * x + 1, x))
    assert vmap(lambda x: x * 0 + 1, reduce="sum")(x) == n
    assert vmap(lambda x: x * 0 + 1, reduce="mean")(x) == 1.0


# ---- exact and default ----


@pytest.mark.parametrize("name", [n for n in tapegrad.functions.__all__ if n in dir(Value)])
def test_bits_of_single_calls_and_a_few_ulps(name):
    low, high = {"acos": (-1, 1), "asin": (-1, 1), "log": (0, 9), "log2": (0, 9), "log10": (0, 9), "log1p": (-1, 9),
                 "sqrt": (0, 9)}.get(name, (-4, 4))  # fmt: skip
    draw = np.random.default_rng(1)
    columns = [draw.uniform(low, high, 333) for _ in range(2)]
    operation = getattr(Value, name)
    try:
        g = lambda x, y: operation(x)  # noqa: E731
        record(g)(0.5, 0.5)
    except TypeError:
        g = lambda x, y: operation(x, y)  # noqa: E731
    both = value_and_grad(g, (0, 1))
    single = np.array([[v, *d] for v, d in [both(x, y) for x, y in zip(*map(np.ndarray.tolist, columns), strict=True)]])
    value, (dx, dy) = vmap(both, exact=True)(*columns)
    assert np.array_equal(np.stack([value, dx, dy], 1), single)
    value, (dx, dy) = vmap(both)(*columns)
    if name == "logaddexp":  # a small difference of larger numbers
        assert np.max(np.abs(value - single[:, 0])) <= 4 * np.spacing(4.0)
    else:
        assert ulps(value, single[:, 0]) <= 4
    assert np.stack([dx, dy], 1) == pytest.approx(single[:, 1:], rel=1e-13, abs=1e-14)


def test_powers_in_lanes():
    x = np.linspace(0.1, 3.0, 100)
    for n in (-2, -1.0, 0, 0.5, 1, 2, 3, 4.5, -0.5):
        single = [record(lambda x, n=n: x**n)(v) for v in x.tolist()]
        assert vmap(lambda x, n=n: x**n, exact=True)(x).tolist() == single
        assert ulps(vmap(lambda x, n=n: x**n)(x), np.array(single)) <= 4
    assert vmap(lambda x, y: x**y, exact=True)(x, x).tolist() == [v**v for v in x.tolist()]


@pytest.mark.parametrize("setting", ["TAPEGRAD_VECTOR_MATH", "TAPEGRAD_AVX2"])
def test_without_the_vector_math_library_or_avx2(setting):
    code = (
        "import numpy as np, tapegrad as t\n"
        "x = np.linspace(-3, 3, 1001)\n"
        "v, d = t.vmap(t.value_and_grad(lambda x: (x * x + 1).log() * x.sin() + x.sigmoid()), exact=True)(x)\n"
        "print(v.sum().hex(), d.sum().hex())"
    )
    outs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, setting: on}, capture_output=True, text=True
        ).stdout
        for on in ("0", "1")
    }
    assert len(outs) == 1 and outs != {""}


# ---- threads ----


@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("g", [branchy, lambda w, x: branchy(tapegrad.where(w > 0, w, -w), tapegrad.stop_gradient(x))])
def test_the_same_bits_for_any_number_of_threads(g, reduce, exact):
    x = np.random.default_rng(7).normal(size=300_000)
    made = []
    for threads in (1, 2, 3, 7, None):
        h = vmap(g, (None, 0), reduce=reduce, threads=threads, exact=exact)
        made.append([np.asarray(h(0.7, x)).tobytes()])
        if reduce:
            value, (dw, dx) = value_and_grad(h, (0, 1))(0.7, x)
            made[-1] += [np.float64(value).tobytes(), np.float64(dw).tobytes(), dx.tobytes()]
            assert value == h(0.7, x)
    assert all(m == made[0] for m in made)


def test_one_function_from_many_threads_at_once():
    import threading

    g = vmap(branchy, (None, 0), threads=2)
    h = record(branchy)
    x = np.random.default_rng(8).normal(size=50_000)
    expected, one = {}, {}
    for w in (0.5, 1.0, -2.0):
        expected[w], one[w] = vmap(branchy, (None, 0))(w, x), record(branchy)(w, 0.3)
    errors = []

    def work(w):
        try:
            for _ in range(5):
                assert np.array_equal(g(w, x), expected[w])
                assert h(w, 0.3) == one[w]
                assert grad(lambda v: v * v)(w) == 2 * w
                p = Value(w)
                y = p * p
                y.backward()
                assert p.grad == 2 * w
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(w,)) for w in expected for _ in range(2)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    assert not errors, errors


# ---- shared inputs, gradients ----


def test_gradients_of_reduced_functions():
    draw = np.random.default_rng(4)
    X, y = draw.normal(size=(500, 3)), draw.normal(size=500)
    p = {"w": draw.normal(size=3), "b": 0.5}

    def loss(p, x, y):
        return (x @ p["w"] + p["b"] - y) ** 2

    residual = X @ p["w"] + p["b"] - y
    for reduce, parts in (("sum", 1), ("mean", 500)):
        g = value_and_grad(vmap(loss, (None, 0, 0), reduce=reduce), (0, 1))
        value, (dp, dx) = g(p, X, y)
        assert value == pytest.approx((residual**2).sum() / parts)
        assert dp["w"] == pytest.approx(2 * residual @ X / parts) and dp["b"] == pytest.approx(
            2 * residual.sum() / parts
        )
        assert dx == pytest.approx(2 * np.outer(residual, p["w"]) / parts)
        assert type(dp["b"]) is float and dp["w"].shape == (3,) and dx.shape == X.shape
    value, dx = value_and_grad(vmap(loss, (None, 1, 0), reduce="sum"), 1)(p, X.T, y)
    assert dx.shape == (3, 500) and dx.T == pytest.approx(2 * np.outer(residual, p["w"]))
    assert grad(vmap(lambda w, x: (w * x) ** 2, (None, 0), reduce="sum"))(2, np.arange(4.0)) == 56.0
    (d, aux) = grad(vmap(lambda w, x: (w * x, {"x": x}), (None, 0), reduce="sum"), has_aux=True)(2.0, np.arange(3.0))
    assert d == 3.0 and aux == {"x": 3.0}
    with pytest.raises(TypeError, match="give vmap a reduce"):
        grad(vmap(lambda x: x))(np.arange(3.0))


def test_transformations_of_transformations():
    x, xs = np.arange(1.0, 5.0), np.arange(1.0, 9.0).reshape(4, 2)
    assert vmap(grad(lambda x: x**3))(x).tolist() == (3 * x**2).tolist()
    value, d = vmap(value_and_grad(lambda x: x**3))(x)
    assert value == pytest.approx(x**3, rel=1e-15) and d.tolist() == (3 * x**2).tolist()
    h = vmap(hessian(lambda x: x[0] ** 2 * x[1]))(xs)
    assert h.shape == (4, 2, 2) and np.array_equal(h, [[[2 * b, 2 * a], [2 * a, 0.0]] for a, b in xs])
    j = vmap(jacobian(lambda x: [x[0] * x[1], x[0]]))(xs)
    assert np.array_equal(j[0], xs[:, ::-1]) and np.array_equal(j[1], [[1.0, 0.0]] * 4)
    assert np.array_equal(vmap(hvp(lambda x: (x**3).sum()))(xs, xs), 6 * xs * xs)
    assert np.array_equal(vmap(lambda x, v: jvp(lambda y: y * y, (x,), (v,)))(x, x)[1], 2 * x * x)
    d = vmap(grad(lambda d: d["a"] * d["b"]))({"a": x, "b": x + 1})
    assert np.array_equal(d["a"], x + 1) and np.array_equal(d["b"], x)
    d, aux = vmap(grad(lambda x: (x * x, x + 1), has_aux=True))(x)
    assert np.array_equal(d, 2 * x) and np.array_equal(aux, x + 1)
    total = vmap(lambda w, x: (w * x) ** 3, (None, 0), reduce="sum")
    assert grad(grad(total))(2.0, x) == hessian(total)(2.0, x) == pytest.approx(6 * 2.0 * (x**3).sum())
    assert jacobian(vmap(lambda w, x: (w * x) ** 3, (None, 0)))(2.0, x) == pytest.approx(3 * 4 * x**3)
    outer = vmap(vmap(lambda x, y: x * y, (None, 0)), (0, None))(x, np.arange(3.0))
    assert np.array_equal(outer, np.outer(x, np.arange(3.0)))
    assert np.array_equal(vmap(record(f))(x, x), vmap(f)(x, x))


def test_values_among_the_arguments():
    xs = np.arange(3.0)
    w, p = Value(2.0), Value(5.0)
    y = vmap(lambda w, x: w * w * x + p, (None, 0), reduce="mean")(w, xs)
    assert isinstance(y, Value)
    (y * 2.0).backward()
    assert (y.data, w.grad, p.grad) == (9.0, 8.0, 2.0)
    out = vmap(lambda x: x * p)(xs)
    assert out.shape == (3,)
    out.sum().backward()
    assert [v.data for v in out] == [0.0, 5.0, 10.0] and p.grad == 5.0
    assert vmap(grad(lambda x: x * p))(xs).tolist() == [5.0] * 3
    p.data = 7.0
    assert vmap(grad(lambda x: x * p))(xs).tolist() == [7.0] * 3


# ---- progress, interruption ----


@pytest.mark.parametrize("g", [lambda x: x * 2, lambda x: x * 2 if x > 1e5 else -x])
@pytest.mark.parametrize("threads", [1, 3])
def test_progress(g, threads):
    n = 200_000
    seen = []
    vmap(g, threads=threads, progress=lambda done, of: seen.append((done, of)))(np.arange(float(n)))
    assert seen and seen[-1] == (n, n) and seen == sorted(seen) and {of for _, of in seen} == {n}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interruption_leaves_everything_usable(threads, error):
    x = np.random.default_rng(9).normal(size=400_000)
    hit = [True]

    def progress(done, of):
        if hit[0] and done > 100_000:
            raise error

    for g in (vmap(branchy, (None, 0), threads=threads, progress=progress),
              vmap(branchy, (None, 0), threads=threads, progress=progress, reduce="sum")):  # fmt: skip
        hit[0] = True
        with pytest.raises(error):
            g(0.5, x)
        hit[0] = False
        again = np.asarray(g(0.5, x))
        assert np.array_equal(again, np.asarray(vmap(branchy, (None, 0), reduce=g.reduce)(0.5, x)))
    v = Value(3.0)
    (v * v).backward()
    assert v.grad == 6.0


INTERRUPTED = """
import os, signal, threading
import numpy as np
from tapegrad import vmap, Value

signal.signal(signal.SIGINT, signal.default_int_handler)  # off in background jobs of a shell

def f(x):
    for _ in range(300):
        x = x.sin() + x * 0.5
    return x

x = np.linspace(-1, 1, 2_000_000)
g = vmap(f, threads=2, progress=lambda done, of: done and os.kill(os.getpid(), signal.SIGINT))
try:
    g(x)
except KeyboardInterrupt:
    print("interrupted")
h = vmap(f, threads=2)
assert np.array_equal(h(x[:1000]), vmap(f, threads=1)(x[:1000]))
assert g.family is not None and threading.active_count() == 1
v = Value(3.0); (v * v).backward(); assert v.grad == 6.0
print("usable")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c():
    out = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120)
    assert out.stdout.split() == ["interrupted", "usable"], out.stderr


MEMORY = """
import resource
import numpy as np
from tapegrad import vmap, value_and_grad

def f(w, x):
    y = w * x
    if y > 0.5:
        return y.tanh() * w
    return y * y + (1.0 + x * x).log()

g = value_and_grad(vmap(f, (None, 0), reduce="sum", threads=2))
x = np.zeros(4_000_000, dtype=np.float32)
x[::3] = 2.0
g(0.7, x[:200_000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
g(0.7, x)
vmap(f, (None, 0), reduce="mean")(0.7, x[::-1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes of ru_maxrss")
def test_extra_memory_does_not_grow_with_the_samples():
    out = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert int(out.stdout) < 8_000, "KiB; one float64 a sample would be 31,000"


# ---- errors ----

X = np.arange(4.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: vmap(f, None), TypeError, "in_axes must be"),
        (lambda: vmap(f, "ab"), TypeError, "in_axes must be"),
        (lambda: vmap(f, True), TypeError, "in_axes must be"),
        (lambda: vmap(f, reduce="max"), ValueError, "reduce must be"),
        (lambda: vmap(f, threads=0), ValueError, "threads must be"),
        (lambda: vmap(f, threads=1.5), ValueError, "threads must be"),
        (lambda: vmap(f, max_programs=0), ValueError, "max_programs"),
        (lambda: vmap(f, nonsense=0), TypeError, "nonsense"),
        (lambda: vmap(f)(X, X[:2]), ValueError, "argument 1 has 2 samples.*4"),
        (lambda: vmap(f, (0, 1))(X, X), ValueError, r"argument 1 has shape \(4,\), which has no axis 1"),
        (lambda: vmap(f, (0, -2))(X, X), ValueError, "no axis -2"),
        (lambda: vmap(f)(X, 1.0), ValueError, "no axis 0"),
        (lambda: vmap(f, (0, None, 0))(X, X), ValueError, "in_axes is for 3 arguments"),
        (lambda: vmap(f, (None, None))(1.0, 2.0), ValueError, "no argument is mapped"),
        (lambda: vmap(f)(X[:0], X), ValueError, "argument 1 has 4 samples, an argument before it 0"),
        (lambda: vmap(f)(X + 1j, X), TypeError, "complex128"),
        (lambda: vmap(f)(np.array(["a", "b"]), X[:2]), TypeError, "real numbers"),
        (lambda: vmap(f)(X.astype(object), X), TypeError, "object"),
        (lambda: vmap(f)(X.astype("M8[s]"), X), TypeError, "real numbers"),
        (lambda: vmap(lambda x: x[0])([[1.0, 2.0], [3.0]]), ValueError, "inhomogeneous"),
        (lambda: vmap(lambda p: p[0], ((0, 0),))([X]), ValueError, "2 entries for the 1"),
        (lambda: vmap(lambda d: d["x"])({"x": X, "name": "a"}), TypeError, r"argument 0\['name'\]"),
        (lambda: vmap(lambda x: [x, x] if x > 1 else x)(X), TypeError, "different shapes for different samples"),
        (lambda: vmap(lambda x: x.data)(X), TypeError, "in a recorded function"),
        (lambda: vmap(f)(X), TypeError, "argument"),
    ],
)
def test_wrong_arguments(call, error, words):
    with pytest.raises(error, match=words):
        call()
    assert vmap(lambda x: x * 2)(X).tolist() == [0.0, 2.0, 4.0, 6.0]


def test_anomalies_name_their_sample():
    x = np.ones(1000)
    x[377] = 0.0
    for g in (
        vmap(lambda x: 1 / x, check_finite=True),
        vmap(lambda x: 1 / x, reduce="sum", check_finite=True),
        vmap(record(lambda x: 1 / x, check_finite=True)),
        vmap(grad(lambda x: x.sqrt(), check_finite=True)),
        grad(vmap(lambda x: x.sqrt(), reduce="mean", check_finite=True)),
    ):
        with pytest.raises(FloatingPointError, match=r"at sample 377.* gives inf"):
            g(x)
        assert np.isfinite(g(x + 1)).all()
    assert math.isinf(vmap(lambda x: 1 / x)(x)[377])
