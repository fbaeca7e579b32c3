"""Random functions, plain and recorded: a sample; differential.py by itself runs any number."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from differential import (
    WRONG,
    Dual,
    Finding,
    HighPrecision,
    Pair,
    Raised,
    Writer,
    compare,
    compiled,
    difference,
    exact_gradient,
    gradient_differs,
    main,
    plain,
    points_for,
    same,
    shrunk,
    verdict,
)

import tapegrad as tg

SILENT = tuple(kind for kind in WRONG if kind not in ("kind", "unclear error"))
SUM_OF_CONDITIONS = r"\) \+ \(.* < "  # numpy's bools, which elements of arrays give there, add up to a bool
NUMBERS = tuple(kind for kind in WRONG if kind != "kind")
OF_ARRAYS_AND_CONTAINERS = r"\ba\b|np\.|Pair"


@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_random_functions_of_numbers(start):
    for seed in range(start, start + 100):
        found = difference(seed, wrong=NUMBERS, avoid=OF_ARRAYS_AND_CONTAINERS + r"|case True|[&|^]|isinstance")
        assert found is None, f"seed {seed}\n{found}"


@pytest.mark.parametrize("start", range(1000, 2000, 100))
def test_random_functions(start):
    for seed in range(start, start + 100):
        found = difference(seed, wrong=SILENT, shrink=1.0, avoid=SUM_OF_CONDITIONS)
        assert found is None, f"seed {seed}\n{found}"


# ---- whether it would find anything ----


class Unfollowed:
    """Recording as it must not be: what came out first comes out for good."""

    def __init__(self, f):
        self.f, self.result = f, None

    def __call__(self, *args):
        self.result = self.f(*args) if self.result is None else self.result
        return self.result


def test_a_branch_that_is_not_followed_is_found_and_made_small(monkeypatch):
    monkeypatch.setattr(tg, "record", Unfollowed)
    source = (
        "def f(x, y):\n"
        "    z = y * 2.0\n"
        "    for k in range(3):\n"
        "        z = z + tg.sin(y) * k\n"
        "    if x > 0:\n"
        "        z = x + 1.0\n"
        "    else:\n"
        "        z = x - 1.0\n"
        "    return z\n"
    )
    points = [(1.0, 2.0), (1.0, 2.0), (-1.0, 2.0)]
    found = compare(source, points)
    assert found.what == "silent difference"
    small = shrunk(found, compare)
    assert small.what == "silent difference"
    assert len(small.source.splitlines()) <= 3
    assert len(small.points) == 2
    assert "record at" in str(small)


def test_a_smaller_program_that_does_not_end_is_passed_over(monkeypatch):
    monkeypatch.setattr(tg, "record", Unfollowed)
    source = (
        "def f(x, y):\n"
        "    c = 0\n"
        "    while c < 3:\n"
        "        c += 1\n"
        "        y = y + x\n"
        "        x = x * 0.5\n"
        "    return y\n"
    )
    points = [(1.0, 2.0), (3.0, 2.0)]
    small = shrunk(compare(source, points), compare)
    assert small.what == "silent difference"
    assert len(small.source) <= len(source)


def test_a_wrong_gradient_is_found(monkeypatch):
    pytest.importorskip("mpmath")
    source = "def f(x, y):\n    return x * tg.sin(y)\n"
    assert gradient_differs(source, (0.7, 1.9)) is None
    right = tg.value_and_grad

    def halved(f, argnums):
        def function(*args):
            value, slopes = right(f, argnums)(*args)
            return value, tuple(slope * 0.5 for slope in slopes)

        return function

    monkeypatch.setattr(tg, "value_and_grad", halved)
    assert gradient_differs(source, (0.7, 1.9)).what == "gradient"


@pytest.mark.parametrize(
    ("got", "expected", "what"),
    [
        (1.0, 1.0, "ok"),
        (math.nan, math.nan, "ok"),
        (1, 1.0, "kind"),
        (1.0, True, "kind"),
        (-0.0, 0.0, "ok"),
        (2.0, 1.0, "silent difference"),
        (math.nan, 1.0, "silent difference"),
        ([1.0, 2], [1.0, 2], "ok"),
        ((1.0,), [1.0], "silent difference"),
        ({"p": 1.0}, {"p": 2.0}, "silent difference"),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0]), "ok"),
        (np.array([1.0, 2.0]), np.array([1.0, 3.0]), "silent difference"),
        (Raised(TypeError("file.py:3: no")), 1.0, "refused"),
        (Raised(TypeError("no")), 1.0, "unclear error"),
        (math.inf, Raised(ZeroDivisionError()), "ok"),
        (1.0, Raised(KeyError()), "value for an error"),
        (Raised(KeyError()), Raised(KeyError()), "ok"),
        (1.0, 1j, "value for a complex number"),
    ],
)
def test_verdicts(got, expected, what):
    assert verdict(got, expected) == what


def test_results_are_compared_within_dataclasses():
    assert same(plain(Pair(1.0, [2])), plain(Pair(np.float64(1.0), [2])))
    assert not same(plain(Pair(1.0, [2])), plain(Pair(1.0, [3])))


def test_functions_and_points_are_those_of_the_seed():
    for seed in (0, 5, 17):
        assert Writer(seed).write() == Writer(seed).write()
        writer = Writer(seed)
        writer.write()
        assert repr(points_for(writer.parameters, seed, 5)) == repr(points_for(writer.parameters, seed, 5))


def test_the_command_line(capsys):
    assert main(["--functions", "3", "--seed", "0", "--no-gradients", "--avoid", "."]) == 0
    assert "3 functions from seed 0: 0 findings" in capsys.readouterr().out


def test_a_finding_shows_the_program():
    shown = str(Finding("kind", "def f(x): ...\n", [(1.0,)], Raised(TypeError("no")), 2))
    assert "TypeError('no')" in shown
    assert "def f(x): ..." in shown


SLOPES = ["sin", "cos", "tanh", "atan", "sigmoid", "erf", "exp", "expm1", "sinh", "cosh", "sqrt", "log", "log2",
          "log10", "log1p", "asin", "acos"]  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_the_forward_mode_has_the_slopes_of_difference_quotients(name):
    mpmath = pytest.importorskip("mpmath")
    function = getattr(HighPrecision, name)
    for x in (0.3, 0.75):
        y = function(Dual(x, (mpmath.mpf(1), mpmath.mpf(0))))
        h = mpmath.mpf(10) ** -20
        quotient = (function(Dual(Dual(x).v + h)).v - function(Dual(Dual(x).v - h)).v) / (2 * h)
        assert math.isclose(float(y.d[0]), float(quotient), rel_tol=1e-15)


def test_the_forward_mode_has_the_slopes_of_operators():
    pytest.importorskip("mpmath")
    r = random.Random(0)
    sources = ["x * y - x / y", "x ** 3 + 2.0 ** y", "x % y + y // x", "divmod(x, y)[1] * x", "abs(x) ** y",
               "-x + (+y) - 3", "max(x, y) * min(x, 2.0)", "2.0 / x + 1 % y", "round(x, 1) * y",
               "x if x > y else y * y"]  # fmt: skip
    for expression in sources:
        source = f"def f(x, y):\n    return {expression}\n"
        for _ in range(5):
            x, y = r.uniform(0.5, 3.0), r.uniform(0.5, 3.0)
            exact = exact_gradient(source, (x, y))
            if exact is None:
                continue
            f, h = compiled(source), 1e-6
            assert exact[0] == pytest.approx(f(x, y), rel=1e-12)
            assert exact[1][0] == pytest.approx((f(x + h, y) - f(x - h, y)) / (2 * h), rel=1e-6, abs=1e-6)
            assert exact[1][1] == pytest.approx((f(x, y + h) - f(x, y - h)) / (2 * h), rel=1e-6, abs=1e-6)


def test_the_forward_mode_keeps_away_from_kinks():
    pytest.importorskip("mpmath")
    for expression in (
        "abs(x - 1.0)",
        "max(x, 1.0)",
        "tg.floor(x) * y",
        "x // 1.0",
        "round(x + 0.5) * y",
        "1.0 if x > 1.0 else y",
    ):
        assert exact_gradient(f"def f(x, y):\n    return {expression}\n", (1.0, 0.3)) is None
