"""Every row of the table of operations: value, derivative, both cores, PyTorch as a further opinion."""

import math
import random

import numpy as np
import pytest
from conftest import ENGINES
from operations import BY_NAME, OPERATIONS

import tapegrad
from tapegrad import reference
from tapegrad.tape import OPERATIONS as COMPILED_ROWS

CASES = [pytest.param(row, point, id=f"{row.name}{point}") for row in OPERATIONS for point in row.points]


def apply(engine, name, *args):
    return getattr(engine.functions, name)(*args)


def gradient(engine, name, point):
    xs = [engine.Value(p) for p in point]
    y = apply(engine, name, *xs)
    y.backward()
    return y, [x.grad for x in xs]


def test_every_operation_stands_in_every_table():
    named = {"relu" if label == "ReLU" else label for label in COMPILED_ROWS if label[0] not in "+*"}
    assert named == set(BY_NAME) == set(reference.RULES)
    assert set(BY_NAME) <= set(tapegrad.__all__)


@pytest.mark.parametrize(("row", "point"), CASES)
def test_derivative_is_that_of_central_differences(engine, row, point):
    _, grads = gradient(engine, row.name, point)
    for k, x in enumerate(point):
        h = 1e-6 * max(1.0, abs(x))
        up, down = ([*point[:k], x + s * h, *point[k + 1 :]] for s in (1, -1))
        slope = (apply(engine, row.name, *up) - apply(engine, row.name, *down)) / (2 * h)
        assert grads[k] == pytest.approx(slope, rel=2e-6, abs=2e-9)


@pytest.mark.parametrize(("row", "point"), CASES)
def test_both_cores_agree_to_the_bit(row, point):
    results = [gradient(engine, row.name, point) for engine in ENGINES.values()]
    assert repr(results[0]) == repr(results[1])
    assert results[0][0]._op == results[1][0]._op
    results = [
        apply(engine, row.name, *[engine.Value(int(p)) for p in POINTS_INT[: row.operands]])
        for engine in ENGINES.values()
    ]
    assert repr(results[0]) == repr(results[1])


POINTS_INT = (1, 1)


@pytest.mark.parametrize(("row", "point"), CASES)
def test_pytorch_agrees(engine, row, point):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    y, grads = gradient(engine, row.name, point)
    tensors = [torch.tensor(float(p), dtype=torch.float64, requires_grad=True) for p in point]
    z = eval(row.torch, {"torch": torch, "a": tensors[0], "b": tensors[-1]})
    z.backward()
    assert y.data == pytest.approx(z.item(), rel=1e-12, abs=1e-300)
    for ours, tensor in zip(grads, tensors, strict=True):
        assert ours == pytest.approx(tensor.grad.item(), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_function_of_numbers_is_that_of_math(engine, row):
    function = getattr(engine.functions, row.name)
    of_math = getattr(math, row.name, {"abs": abs, "round": round}.get(row.name))
    for point in row.points:
        y = function(*point)
        assert type(y) in (float, int)
        if of_math is not None:
            assert y == of_math(*point) and type(y) is type(of_math(*point))
        assert y == pytest.approx(function(*[engine.Value(p) for p in point]).data, rel=1e-15)
        for x in (np.float64(point[0]), np.float32(point[0])):
            assert isinstance(function(x, *point[1:]), (float, int, np.floating))


@pytest.mark.parametrize("row", [row for row in OPERATIONS if row.operands == 2], ids=lambda row: row.name)
def test_number_on_either_side(engine, row):
    a, b = row.points[0]
    function = getattr(engine.functions, row.name)
    y = function(engine.Value(a), engine.Value(b))
    for z in (function(engine.Value(a), b), function(a, engine.Value(b))):
        assert z.data == y.data and z._op == y._op and len(z._children) == 2


NUMPY_NAMES = {"acos": "arccos", "asin": "arcsin", "atan": "arctan", "atan2": "arctan2", "abs": "fabs", "round": "rint"}


@pytest.mark.parametrize(
    "name", ["exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "log1p",
             "expm1", "log2", "log10", "floor", "ceil", "abs", "atan2", "hypot", "round"]
)  # fmt: skip
def test_numpy_applies_it_to_object_arrays(engine, name):
    row = BY_NAME[name]
    arrays = [np.array([engine.Value(p) for p in column], dtype=object) for column in zip(*row.points, strict=True)]
    result = getattr(np, NUMPY_NAMES.get(name, name))(*arrays)
    for y, point in zip(result, row.points, strict=True):
        assert isinstance(y, engine.Value)
        assert y.data == apply(engine, name, *[engine.Value(p) for p in point]).data


def test_numpy_maximum_minimum_and_operators(engine):
    V = engine.Value
    a, b = np.array([V(1.0), V(5.0)]), np.array([V(3.0), V(2.0)])
    assert [y.data for y in np.maximum(a, b)] == [3.0, 5.0]
    assert [y.data for y in np.minimum(a, b)] == [1.0, 2.0]
    assert [y.data for y in a * b + 1] == [4.0, 11.0]
    assert [y.data for y in np.square(a)] == [1.0, 25.0]
    assert np.dot(a, b).data == 13.0


ERRORS = [
    ("log", 0.0, ValueError), ("log", -1.0, ValueError), ("log", -math.inf, ValueError),
    ("log2", 0.0, ValueError), ("log10", -2.0, ValueError), ("log1p", -1.0, ValueError), ("log1p", -2.0, ValueError),
    ("sqrt", -1.0, ValueError), ("asin", 1.5, ValueError), ("acos", -1.5, ValueError),
    ("sin", math.inf, ValueError), ("cos", -math.inf, ValueError), ("tan", math.inf, ValueError),
    ("exp", 1000.0, OverflowError), ("expm1", 1000.0, OverflowError), ("sinh", -1000.0, OverflowError),
    ("cosh", 1000.0, OverflowError), ("floor", math.inf, OverflowError), ("ceil", math.nan, ValueError),
    ("round", math.nan, ValueError), ("round", math.inf, OverflowError),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "error"), ERRORS)
def test_errors_are_those_of_math(engine, name, x, error):
    function = getattr(engine.functions, name)
    for argument in (x, engine.Value(x)):
        with pytest.raises(error):
            function(argument)


@pytest.mark.parametrize(
    "row", [row for row in OPERATIONS if row.name not in ("floor", "ceil", "round")], ids=lambda r: r.name
)
def test_nan_passes(engine, row):
    xs = [engine.Value(math.nan)] + [engine.Value(1.0)] * (row.operands - 1)
    assert math.isnan(apply(engine, row.name, *xs).data)
    if row.operands == 2:
        assert math.isnan(apply(engine, row.name, engine.Value(1.0), engine.Value(math.nan)).data)


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_infinity_as_in_math_and_in_both_cores(row):
    for x in (math.inf, -math.inf):
        outcomes = []
        for engine in ENGINES.values():
            xs = [engine.Value(x)] + [engine.Value(1.0)] * (row.operands - 1)
            try:
                y = apply(engine, row.name, *xs)
                y.backward()
                outcomes.append(repr((y, xs[0])).replace("-nan", "nan"))
            except (ValueError, OverflowError) as error:
                outcomes.append(type(error))
        assert outcomes[0] == outcomes[1]


def test_leaky_relu_and_elu_take_their_parameter(engine):
    x = engine.Value(-2.0)
    y = engine.functions.leaky_relu(x, 0.25)
    z = engine.functions.elu(x, 3.0)
    (y + z).backward()
    assert (y.data, z.data) == (-0.5, 3.0 * math.expm1(-2.0))
    assert x.grad == 0.25 + 3.0 * math.exp(-2.0) or x.grad == 3.0 * math.exp(-2.0) + 0.25
    assert y._op == "leaky_relu" and y._prev == {x}
    assert engine.functions.leaky_relu(-2.0, 0.25) == -0.5
    with pytest.raises(TypeError, match="negative_slope"):
        x.leaky_relu("steep")


def test_where_clip_logsumexp_pow(engine):
    f, V = engine.functions, engine.Value
    assert f.where(True, 1.0, 2.0) == 1.0
    v = V(-3.0)
    assert f.where(v > 0, v, 0.0).data == 0.0 and type(f.where(v > 0, v, 0.0)) is V
    assert f.where(v < 0, v, 0.0) is v
    assert f.where(V(0.0), 1.0, 2.0) == 2.0 and f.where(V(2.0), 1.0, 2.0) == 1.0
    y = f.clip(v, -1.0, 1.0)
    y.backward()
    assert y.data == -1.0 and v.grad == 0.0
    assert f.clip(0.25, -1, 1) == 0.25
    xs = [V(1000.0), V(1000.0), V(-1000.0)]
    y = f.logsumexp(xs)
    y.backward()
    assert y.data == 1000.0 + math.log(2.0)
    assert [x.grad for x in xs] == [0.5, 0.5, 0.0]
    assert f.logsumexp([0.0, 0.0]) == math.log(2.0)
    with pytest.raises(ValueError, match="nothing"):
        f.logsumexp([])
    assert f.pow(2.0, 3) == 8.0 and f.pow(V(2.0), 3).data == 8.0 and f.pow(2.0, V(3.0)).data == 8.0
    with pytest.raises(ValueError):
        f.pow(-1.0, 0.5)


def test_numpys_mean_variance_and_deviation_of_values(engine):
    np = pytest.importorskip("numpy")
    numbers = [1.0, -2.0, 4.5]
    values = np.array([engine.Value(x) for x in numbers], dtype=object)
    assert np.mean(values).data == pytest.approx(np.mean(numbers))
    assert np.var(values).data == pytest.approx(np.var(numbers))
    deviation = np.std(values)
    assert deviation.data == pytest.approx(np.std(numbers))
    deviation.backward()
    expected = (np.array(numbers) - np.mean(numbers)) / (3 * np.std(numbers))
    assert [v.grad for v in values] == pytest.approx(expected)


def test_a_quotient_is_a_product_with_the_power_of_minus_one_to_the_last_bit(engine):
    """Not with 1/b, which a compiler may put in its place."""
    draw = random.Random(5)
    for _ in range(20_000):
        a, b = draw.uniform(-3, 3), draw.uniform(-3, 3)
        power = math.pow(b, -1.0)
        assert (engine.Value(a) / engine.Value(b)).data == a * power
        assert (a / engine.Value(b)).data == power * a
        assert (engine.Value(a) / b).data == a * power
