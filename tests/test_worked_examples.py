"""The worked examples with all their numbers, the eager ones on both engines; and the guide, which shows them."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

import tapegrad

GUIDE = Path(__file__).parents[1] / "docs" / "guide"


# ---- E1: nested nodes and the update rule ----


def test_e1_gradients_and_one_step_up(Value):
    a, b, c = Value(5), Value(-3), Value(-2)
    d = a + b
    f = d * c
    f.backward()
    assert (d.data, f.data) == (2, -4)
    assert (d.grad, c.grad, a.grad, b.grad) == (-2, 2, -2, -2)
    for v in (a, b, c):
        v.data += 0.01 * v.grad
    assert (a.data, b.data, c.data) == (4.98, -3.02, -1.98)
    d = a + b
    f = d * c
    assert d.data == pytest.approx(1.96, abs=1e-15) and f.data == pytest.approx(-3.8808, abs=1e-15)
    assert f.data > -4


# ---- E2: gradients add at branches; reverse against forward ----


@pytest.mark.parametrize("a, b, c", [(-4.0, 2.0, 1.0), (1.0, 2.0, 5.0), (0.5, -0.25, 3.0)])
def test_e2_gradients_add_at_branches(Value, a, b, c):
    a, b, c = Value(a), Value(b), Value(c)
    x, y = a + b, b + c
    f = x * y
    f.backward()
    assert (a.grad, c.grad, b.grad) == (y.data, x.data, x.data + y.data)
    explanation = tapegrad.explain(f, b)
    assert explanation.count == 2 and [path.product for path in explanation.paths] == [y.data, x.data]
    assert explanation.gradient == b.grad


def test_e2_the_product_at_minus_2_and_3(Value):
    x, y = Value(-2), Value(3)
    (x * y).backward()
    assert (x.grad, y.grad) == (3, -2)


def test_e2_three_forward_sweeps_are_one_reverse_sweep():
    def f(a, b, c):
        return (a + b) * (b + c)

    point = (-4.0, 2.0, 1.0)
    directions = [tuple(float(i == k) for i in range(3)) for k in range(3)]
    assert [tapegrad.jvp(f, point, direction) for direction in directions] == [(-6.0, 3.0), (-6.0, 1.0), (-6.0, -2.0)]
    assert tapegrad.value_and_grad(f, (0, 1, 2))(*point) == (-6.0, (3.0, 1.0, -2.0))


# ---- E3: a slope, three ways ----


def parabola(x):
    return 2 * x**2 - 3 * x + 4


E3 = [(2, 6, 5.000002000876691, 5), (6, 58, 21.000002000448603, 21), (-2, 18, -10.999997996918864, -11)]


@pytest.mark.parametrize("x, value, difference, slope", E3)
def test_e3_value_difference_and_slope(Value, x, value, difference, slope):
    assert parabola(x) == value
    assert (parabola(x + 1e-6) - parabola(x)) / 1e-6 == difference
    for number in (x, float(x)):
        v = Value(number)
        y = parabola(v)
        y.backward()
        assert (y.data, v.grad) == (value, slope)
    assert tapegrad.value_and_grad(parabola)(float(x)) == (value, slope)


def test_e3_the_slope_is_exactly_0_at_the_bottom(Value):
    v = Value(0.75)
    parabola(v).backward()
    assert v.grad == 0 and tapegrad.grad(parabola)(0.75) == 0


# ---- E4: an expression with three inputs and its graph ----


def test_e4_partials_and_differences(Value):
    a, b, c = Value(3), Value(-2), Value(8)
    d = a * b + c
    d.backward()
    assert d.data == 2 and (a.grad, b.grad, c.grad) == (-2, 3, 1)

    def f(a, b, c):
        return a * b + c

    at, h = f(3, -2, 8), 1e-4
    assert (f(3, -2 + h, 8) - at) / h == 3.00000000000189
    assert (f(3, -2, 8 + h) - at) / h == 0.9999999999976694
    # -2.0000000000131024 is the figure of the worked examples: a unit in the last place of a * b off from IEEE doubles
    by_a = (f(3 + h, -2, 8) - at) / h
    assert by_a == -2.0000000000042206 and abs(by_a - -2.0000000000131024) * h <= math.ulp(6.0)


def e4(number):
    """The Values of L = ((a * b) + c) * f by name."""
    a, b, c, f = number(3.0), number(-2.0), number(8.0), number(-2.0)
    d = a * b
    e = d + c
    return {"a": a, "b": b, "c": c, "f": f, "d": d, "e": e, "L": e * f}


E4 = {"e": -2, "f": 2, "d": -2, "c": -2, "a": 4, "b": -6}


def test_e4_gradients(Value):
    v = e4(Value)
    v["L"].backward()
    assert v["L"].data == -4 and {name: v[name].grad for name in E4} == E4


def test_e4_drawn_has_every_label_operation_data_and_grad(Value):
    v = e4(Value)
    v["L"].backward()
    drawing = tapegrad.draw(v["L"], names=v)
    dot, svg = drawing.dot(), drawing.svg()
    for name in v:
        box = [line for line in dot.splitlines() if name in line and f"{v[name].data:.4f}" in line]
        assert box and any(f"{v[name].grad:.4f}" in line for line in box), name
        assert f">{name}<" in svg
    assert str(drawing) == "7 nodes, 4 inputs, depth 3: 2 × *, 1 × +"


def test_e4_is_as_in_pytorch(torch, Value):
    ours = e4(Value)
    ours["L"].backward()
    theirs = e4(lambda x: torch.tensor(x, dtype=torch.float64, requires_grad=True))
    for v in theirs.values():
        v.retain_grad()
    theirs["L"].backward()
    assert theirs["a"].grad.item() == 4.0
    assert {name: v.grad.item() for name, v in theirs.items()} == {name: v.grad for name, v in ours.items()}


# ---- E5: a small network, path by path ----


def e5(Value, activation):
    """The Values of the network by name."""
    v = {"x": Value(0.5), "y": Value(1.0), "t1": Value(0.4), "t2": Value(0.6), "t3": Value(0.9)}
    v |= {"b1": Value(0.1), "b2": Value(0.2), "b3": Value(-0.3)}
    v["z1"] = v["t1"] * v["x"] + v["b1"]
    v["a1"] = getattr(v["z1"], activation)()
    v["z2"] = v["t2"] * v["a1"] + v["b2"]
    v["a2"] = getattr(v["z2"], activation)()
    v["z3"] = v["t3"] * v["a2"] + v["b3"]
    v["yhat"] = v["z3"].sigmoid()
    v["C"] = (v["yhat"] - v["y"]) ** 2
    return v


CHAIN = ["C", "yhat", "z3", "a2", "z2", "a1", "z1"]


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("name, factors", [("t3", 3), ("t2", 5), ("t1", 7), ("b3", 3), ("b2", 5), ("b1", 7)])
def test_e5_has_its_factors(Value, activation, name, factors):
    v = e5(Value, activation)
    explanation = tapegrad.explain(v["C"], v[name], names=v)
    [path] = explanation.paths
    assert len(path.factors) == factors
    assert path.names() == " * ".join(
        f"d{of}/d{by}" for of, by in zip(CHAIN[:factors], [*CHAIN[1:factors], name], strict=True)
    )
    v["C"].backward()
    assert math.prod(factor.number for factor in path.factors) == pytest.approx(v[name].grad, rel=1e-14)
    assert explanation.gradient == v[name].grad
    if name.startswith("b"):
        assert path.factors[-1].number == 1


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_e5_local_derivatives_are_those_of_the_formulas(Value, activation):
    v = e5(Value, activation)
    [path] = tapegrad.explain(v["C"], v["t1"], names=v).paths
    data = {name: value.data for name, value in v.items()}
    bend = {name: 1 if activation == "relu" else data[name] * (1 - data[name]) for name in ("a1", "a2")}
    expected = [2 * (data["yhat"] - data["y"]), data["yhat"] * (1 - data["yhat"]), data["t3"], bend["a2"], data["t2"],
                bend["a1"], data["x"]]  # fmt: skip
    assert [factor.number for factor in path.factors] == pytest.approx(expected, rel=1e-15)


def test_e5_the_slope_of_relu_at_exactly_0_is_0(Value):
    for zero in (0, 0.0, -0.0):
        v = Value(zero)
        v.relu().backward()
        assert v.grad == 0


# ---- each is a page ----


@pytest.mark.parametrize(
    "chapter, numbers",
    {
        "01-slope": ["6 58 18", *[str(row[2]) for row in E3], "2 6 5", "6 58 21", "-2 18 -11", "\n0.0\n"],
        "02-chain-rule": ["2 -4", "-2 2 -2 -2", "4.98 -3.02 -1.98", "1.96 -3.8808"],
        "03-graph": ["2.0 -2.0 3.0 1", "3.00000000000189", "0.9999999999976694", "dL/da = 4.0", "dL/db = -6.0"],
        "04-branches": ["df/dx * dx/db = 3 * 1 = 3", "df/dy * dy/db = -2 * 1 = -2", "df/db = 3 + (-2) = 1"],
        "05-paths": [
            "dC/dt3 = dC/dyhat * dyhat/dz3 * dz3/dt3\n",
            "* da1/dz1 * dz1/dt1\n",
            "0.244458 * 1\n",
            "* 0 * 0.5",
        ],
        "10-modes": ["(-6.0, 1.0)", "(3.0, 1.0, -2.0)"],
    }.items(),
)
def test_the_guide_shows_the_numbers(chapter, numbers):
    text = (GUIDE / f"{chapter}.md").read_text(encoding="utf-8")
    assert [number for number in numbers if number not in text] == []


def test_the_claim_of_e2_is_measured_by_a_command():
    command = [sys.executable, "-m", "tapegrad", "bench", "--list"]
    assert "modes " in subprocess.run(command, capture_output=True, text=True, check=True).stdout
