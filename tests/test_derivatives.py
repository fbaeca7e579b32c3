"""Derivatives at the awkward points: the minimum-norm subgradient, and a zero adjoint always wins."""

import math

import pytest

inf, nan = math.inf, math.nan

POINTS = [
    # function of Values and the functions module, point, value, gradient
    ("abs at 0", lambda f, x: abs(x), [0.0], 0.0, [0.0]),
    ("relu at 0", lambda f, x: x.relu(), [0.0], 0.0, [0]),
    ("max at a tie", lambda f, x, y: f.maximum(x, y), [2.0, 2.0], 2.0, [0.5, 0.5]),
    ("min at a tie", lambda f, x, y: f.minimum(x, y), [2.0, 2.0], 2.0, [0.5, 0.5]),
    ("sqrt at 0", lambda f, x: x.sqrt(), [0.0], 0.0, [inf]),
    ("0 * sqrt at 0", lambda f, x: 0 * x.sqrt(), [0.0], 0.0, [0.0]),
    ("where hides sqrt at 0", lambda f, x: f.where(x > 0, x.sqrt(), x * 0.0), [0.0], 0.0, [0.0]),
    ("pow(0, 0)", lambda f, x, y: x**y, [0.0, 0.0], 1.0, [0.0, 0.0]),
    ("pow(0, 1)", lambda f, x, y: x**y, [0.0, 1.0], 0.0, [1.0, 0.0]),
    ("pow(0, 2)", lambda f, x, y: x**y, [0.0, 2.0], 0.0, [0.0, 0.0]),
    ("pow(-2, 3)", lambda f, x, y: x**y, [-2.0, 3.0], -8.0, [12.0, nan]),
    ("x**0 at 0", lambda f, x: x**0, [0.0], 1.0, [0.0]),
    ("x**0.5 at 0", lambda f, x: x**0.5, [0.0], 0.0, [inf]),
    ("hypot(0, 0)", lambda f, x, y: f.hypot(x, y), [0.0, 0.0], 0.0, [0.0, 0.0]),
    ("atan2(0, 0)", lambda f, x, y: f.atan2(x, y), [0.0, 0.0], 0.0, [nan, nan]),
    ("floor", lambda f, x: f.floor(x), [2.0], 2, [0.0]),
    ("ceil", lambda f, x: f.ceil(x), [2.0], 2, [0.0]),
    ("round", lambda f, x: round(x), [2.5], 2, [0.0]),
    ("sign", lambda f, x: f.sign(x), [0.0], 0.0, [0.0]),
    ("sqrt of floor at 0", lambda f, x: f.floor(x).sqrt(), [0.0], 0.0, [0.0]),
    ("tanh at 800", lambda f, x: x.tanh(), [800.0], 1.0, [0.0]),
    ("tanh at -800", lambda f, x: x.tanh(), [-800.0], -1.0, [0.0]),
    ("sigmoid at 800", lambda f, x: x.sigmoid(), [800.0], 1.0, [0.0]),
    ("sigmoid at -800", lambda f, x: x.sigmoid(), [-800.0], 0.0, [0.0]),
    ("softplus at 800", lambda f, x: x.softplus(), [800.0], 800.0, [1.0]),
    ("softplus at -800", lambda f, x: x.softplus(), [-800.0], 0.0, [0.0]),
    ("log1p near 0", lambda f, x: x.log1p(), [1e-20], 1e-20, [1.0]),
    ("expm1 near 0", lambda f, x: x.expm1(), [1e-20], 1e-20, [1.0]),
    ("logaddexp far out", lambda f, x, y: f.logaddexp(x, y), [1000.0, -1000.0], 1000.0, [1.0, 0.0]),
    ("logaddexp at a tie", lambda f, x, y: f.logaddexp(x, y), [1000.0, 1000.0], 1000 + math.log(2), [0.5, 0.5]),
    ("logsumexp far out", lambda f, x, y: f.logsumexp([x, y]), [-1000.0, -2000.0], -1000.0, [1.0, 0.0]),
    ("atan2 of tiny numbers", lambda f, x, y: f.atan2(x, y), [0.0, 1e-200], 0.0, [1e200, -0.0]),
    ("asin at 1", lambda f, x: x.asin(), [1.0], math.pi / 2, [inf]),
    ("0 * asin at 1", lambda f, x: x.asin() * 0.0, [1.0], 0.0, [0.0]),
]


@pytest.mark.parametrize(
    ("function", "point", "value", "gradient"), [p[1:] for p in POINTS], ids=[p[0] for p in POINTS]
)
def test_awkward_point(engine, function, point, value, gradient):
    xs = [engine.Value(p) for p in point]
    y = function(engine.functions, *xs)
    y.backward()
    assert y.data == value
    for x, expected in zip(xs, gradient, strict=True):
        assert x.grad == expected or (math.isnan(x.grad) and math.isnan(expected))


@pytest.mark.parametrize(("function", "point"), [p[1:3] for p in POINTS], ids=[p[0] for p in POINTS])
def test_a_zero_adjoint_wins(engine, function, point):
    xs = [engine.Value(p) for p in point]
    y = function(engine.functions, *xs) * 0.0
    y.backward()
    assert [x.grad for x in xs] == [0.0 for _ in xs]


def test_where_sqrt_of_the_unselected_arm(engine):
    x = engine.Value(0.0)
    y = engine.functions.where(x > 0, x.sqrt(), 0)
    y.backward()
    assert (y.data, x.grad) == (0, 0)


def test_zero_times_infinity_is_nan_in_plain_arithmetic(engine):
    x, y = engine.Value(0.0), engine.Value(math.inf)
    z = x * y
    assert math.isnan(z.data)
    z.backward()
    assert (x.grad, y.grad) == (math.inf, 0.0)
    x = engine.Value(-1.0)
    y = x.relu()
    y.grad = math.inf
    (y * math.inf).backward()  # relu's slope 0 times an adjoint of inf
    assert math.isnan(x.grad)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda V: 1 / V(0.0), ZeroDivisionError),
        (lambda V: V(1.0) / V(0.0), ZeroDivisionError),
        (lambda V: V(1.0) / 0, ZeroDivisionError),
        (lambda V: V(0.0) ** -1, ZeroDivisionError),
        (lambda V: V(0) ** V(-1), ZeroDivisionError),
        (lambda V: 0 ** V(-0.5), ZeroDivisionError),
        (lambda V: V(0.0).log(), ValueError),
        (lambda V: V(-1.0).log(), ValueError),
        (lambda V: V(-1.0).sqrt(), ValueError),
        (lambda V: V(-8.0) ** (1 / 3), ValueError),
        (lambda V: V(-8.0) ** V(0.5), ValueError),
        (lambda V: (-8.0) ** V(0.5), ValueError),
        (lambda V: V(10.0) ** 400, OverflowError),
        (lambda V: V(10) ** 400, OverflowError),
        (lambda V: V(10.0) ** V(400.0), OverflowError),
        (lambda V: 10 ** V(400.0), OverflowError),
        (lambda V: V(1000.0).exp(), OverflowError),
    ],
)
def test_where_plain_python_raises_so_do_we_and_nothing_is_left_behind(engine, function, error, nodes):
    with pytest.raises(error):
        function(engine.Value)
    assert nodes() == 0


def test_a_fractional_power_of_a_negative_number_says_so(engine):
    with pytest.raises(ValueError, match=r"negative number -8\.0 cannot be raised to a fractional power"):
        engine.Value(-8.0) ** 0.5


def test_powers_of_infinity_as_in_python(engine):
    for a in (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, inf, -inf, nan, -2.0):
        for b in (0.0, inf, -inf, nan, 1.0, 2.0, 3.0):
            for x, n in ((engine.Value(a), b), (engine.Value(a), engine.Value(b)), (a, engine.Value(b))):
                y = (x**n).data
                assert repr(y).replace("-nan", "nan") == repr(a**b).replace("-nan", "nan")
    assert math.isinf((engine.Value(0.0) ** -inf).data)


def test_overflow_of_plus_and_times_is_infinity(engine):
    assert (engine.Value(1e308) * 10).data == math.inf
    assert (engine.Value(1e308) + 1e308).data == math.inf
