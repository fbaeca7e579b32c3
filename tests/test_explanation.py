"""The chain rule in the open: the worked examples E1, E2, E4 and E5, counts of paths, names, and what is refused."""

import math

import pytest

import tapegrad
import tapegrad.drawing
import tapegrad.explanation
from tapegrad import explain


def numbers(explanation):
    return [[factor.number for factor in path.factors] for path in explanation.paths]


# ---- local_gradients ----


def test_local_gradients(Value):
    a, b = Value(3.0), Value(-2.0)
    assert (a * b).local_gradients() == [(a, -2.0), (b, 3.0)]
    assert (a * a).local_gradients() == [(a, 3.0), (a, 3.0)]
    assert (a**2).local_gradients() == [(a, 6.0)]
    assert a.local_gradients() == []
    assert Value(1.0, (a, b, a), (1.0, 2.0, 3.0)).local_gradients() == [(a, 1.0), (b, 2.0), (a, 3.0)]
    assert a.grad == b.grad == 0


def test_local_gradients_are_those_at_the_current_data(Value):
    x = Value(2.0)
    y = x * x
    x.data = 5.0
    assert y.local_gradients() == [(x, 5.0), (x, 5.0)]


def test_local_gradients_of_a_function_of_the_programs_own_are_not_guessed(Value):
    x = Value(2.0)
    y = x * 3.0
    y._backward = lambda: None
    assert y.local_gradients() == []


# ---- the worked examples ----


def test_e1(Value):
    a, b, c = Value(5.0), Value(-3.0), Value(-2.0)
    d = a + b
    f = d * c
    assert [explain(f, v).gradient for v in (d, c, a, b)] == [-2, 2, -2, -2]
    assert str(explain(f, a)) == "df/da = df/dd * dd/da\n      = -2 * 1\n      = -2"
    f.backward()
    for v in (a, b, c):
        v.data += 0.01 * v.grad
    assert [round(v.data, 12) for v in (a, b, c)] == [4.98, -3.02, -1.98]
    assert (a + b).data == pytest.approx(1.96) and ((a + b) * c).data == pytest.approx(-3.8808)


def test_e2_gradients_add_at_branches(Value):
    a, b, c = Value(-4.0), Value(2.0), Value(1.0)
    x, y = a + b, b + c
    f = x * y
    assert (x.data, y.data) == (-2, 3)
    assert [explain(f, v).gradient for v in (x, y, a, b, c)] == [3, -2, 3, 1, -2]
    by_b = explain(f, b)
    assert (by_b.count, [path.product for path in by_b.paths]) == (2, [3, -2])
    assert str(by_b).splitlines() == [
        "df/db is the sum over 2 paths:",
        "",
        "  df/dx * dx/db = 3 * 1 = 3",
        "  df/dy * dy/db = -2 * 1 = -2",
        "",
        "df/db = 3 + (-2) = 1",
    ]
    f.backward()
    assert b.grad == sum(path.product for path in by_b.paths) == by_b.gradient == 1


def test_e4(Value):
    a, b, c, f = Value(3.0, label="a"), Value(-2.0, label="b"), Value(8.0, label="c"), Value(-2.0, label="f")
    d = a * b
    d.label = "d"
    e = d + c
    e.label = "e"
    L = e * f
    L.label = "L"
    found = {v.label: explain(L, v, names={}).gradient for v in (e, f, d, c, a, b)}
    assert found == {"e": -2, "f": 2, "d": -2, "c": -2, "a": 4, "b": -6}
    assert str(explain(L, a)).splitlines()[0] == "dL/da = dL/de * de/dd * dd/da"
    assert [explain(d + c, v).gradient for v in (a, b, c)] == [-2, 3, 1]


def network(Value, activation):
    """E5: every value by its name."""
    v = {"x": Value(0.5), "y": Value(1.0), "t1": Value(0.4), "t2": Value(0.6), "t3": Value(0.9)}
    v |= {"b1": Value(0.1), "b2": Value(0.2), "b3": Value(-0.3)}
    a = v["x"]
    for k in "123":
        z = v[f"z{k}"] = v[f"t{k}"] * a + v[f"b{k}"]
        a = v["yhat" if k == "3" else f"a{k}"] = z.sigmoid() if k == "3" else getattr(z, activation)()
    v["C"] = (v["yhat"] - v["y"]) ** 2
    return v


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_e5_has_3_5_and_7_factors(Value, activation):
    v = network(Value, activation)
    v["C"].backward()
    chain = ["dC/dyhat", "dyhat/dz3", "dz3/da2", "da2/dz2", "dz2/da1", "da1/dz1"]
    for leaf in ("t", "b"):
        for k, steps in ((3, 2), (2, 4), (1, 6)):
            explanation = explain(v["C"], v[f"{leaf}{k}"], names=v)
            (path,) = explanation.paths
            factors = [*chain[:steps], f"dz{k}/d{leaf}{k}"]
            assert len(factors) in (3, 5, 7)
            assert [str(factor) for factor in path.factors] == factors
            assert str(explanation).splitlines()[0] == f"dC/d{leaf}{k} = {' * '.join(factors)}"
            assert explanation.gradient == v[f"{leaf}{k}"].grad
            assert path.product == pytest.approx(explanation.gradient, rel=1e-14)
            assert math.prod(factor.number for factor in path.factors) == pytest.approx(v[f"{leaf}{k}"].grad, rel=1e-14)
            assert leaf == "t" or path.factors[-1].number == 1
    by_t3 = explain(v["C"], v["t3"], names=v).paths[0].factors
    yhat = v["yhat"].data
    assert by_t3[0].number == 2 * (yhat - 1) and by_t3[1].number == yhat * (1 - yhat)
    assert by_t3[2].number == v["a2"].data


def test_the_slope_of_relu_at_0_is_0(Value):
    x = Value(0.0)
    y = x.relu()
    assert explain(y, x).gradient == 0 and numbers(explain(y, x)) == [[0]]


# ---- paths ----


def test_unnamed_values_are_merged_or_told_apart(Value):
    x = Value(3.0)
    y = x * x + x
    assert numbers(explain(y, x)) == [[7]]
    assert str(explain(y, x)).splitlines()[-1] == "(3 paths, if unnamed operations are told apart: merge=False)"
    apart = explain(y, x, merge=False)
    assert (apart.count, apart.operations, apart.gradient) == (3, 3, 7)
    assert [path.names() for path in apart.paths] == ["dy/d(x * x) * d(x * x)/dx"] * 2 + ["dy/dx"]
    assert sorted(path.product for path in apart.paths) == [1, 3, 3]


def test_many_paths_are_counted_not_enumerated(Value):
    x = Value(1.0)
    y = x
    for _ in range(300):
        y = y + y * 0.5
    explanation = explain(y, x, merge=False, limit=4)
    assert (explanation.count, len(explanation.paths)) == (2**300, 4)
    assert explanation.gradient == pytest.approx(1.5**300)
    assert "more paths" in str(explanation) and "more path" in explanation.latex()
    assert explain(y, x).count == 1 and explain(y, x).operations == 2**300


def test_a_million_digits_of_paths_can_be_shown(Value):
    x = Value(0.0)
    y = x
    for _ in range(20_000):
        y = y + y
    assert "about 10^6021 paths" in str(explain(y, x))


@pytest.mark.slow
def test_a_deep_graph(Value):
    x = Value(1.0)
    y = x
    for _ in range(40_000):
        y = y * 0.5 + x
    assert (explain(y, x).gradient, explain(y, x).operations) == (2.0, 40_001)
    longest = list(explain(y, x, merge=False, limit=1).paths[0].factors)
    assert len(longest) == 80_000


def test_all_paths_of_small_graphs_add_up(Value):
    a, b = Value(0.7), Value(-1.3)
    c = a * b
    d = (c + a).tanh()
    y = d * c + d.exp() * b
    y.backward()
    for merge in (True, False):
        for v in (a, b, c, d):
            explanation = explain(y, v, merge=merge, limit=1000)
            assert len(explanation.paths) == explanation.count == len(list(explanation.all_paths()))
            assert sum(path.product for path in explanation.paths) == pytest.approx(v.grad, rel=1e-13)
            assert explanation.gradient == v.grad


def test_no_path_and_the_empty_path(Value):
    x, y = Value(1.0), Value(2.0)
    assert str(explain(y, x)) == "dy/dx = 0: no path leads from y to x"
    assert (explain(y, x).count, explain(y, x).paths, explain(y, x).gradient) == (0, [], 0)
    assert (str(explain(x, x)), explain(x, x).count, explain(x, x).gradient) == ("dx/dx = 1", 1, 1)
    for explanation in (explain(y, x), explain(x, x), explain(x * 2, x, limit=0)):
        assert explanation.latex().startswith(r"\frac{\partial")


def test_a_zero_adjoint_adds_exactly_0(Value):
    x = Value(0.0)
    root = x**0.5
    y = root * 0.0
    assert explain(y, x).gradient == 0 and explain(y, x).paths[0].product == 0


# ---- what a node's derivative is ----


def test_nodes_with_closures_are_asked_and_grads_put_back(Value):
    x, w = Value(0.5), Value(2)
    x.grad, w.grad = 7.0, 8

    def tanh(v):
        out = Value(math.tanh(v.data), (v,), "tanh")

        def backward():
            v.grad += (1 - out.data**2) * out.grad

        out._backward = backward
        return out

    h = x * w
    y = tanh(h)
    y.grad = 9
    assert str(explain(y, x)).splitlines()[0] == "dy/dx = dy/dh * dh/dx"
    assert numbers(explain(y, x)) == [[1 - math.tanh(1.0) ** 2, 2]]
    assert [v.grad for v in (x, w, y, h)] == [7.0, 8, 9, 0] and type(w.grad) is int


def test_nodes_of_many_operands(Value):
    xs = [Value(float(k)) for k in range(5)]
    y = Value(10.0, xs, (1.0, 2.0, 3.0, 4.0, 5.0))
    assert [explain(y, x).gradient for x in xs] == [1, 2, 3, 4, 5]
    assert str(explain(y, xs[3])) == "dy/dxs[3] = 4"


def test_values_of_other_programs():
    class Value:
        def __init__(self, data, children=(), local_grads=()):
            self.data, self.grad, self._children, self._local_grads = data, 0, children, local_grads

    x = Value(3.0)
    y = Value(9.0, (x, x), (3.0, 3.0))
    assert explain(y, x).gradient == 6 and explain(y, x, merge=False).count == 2


# ---- names ----


def test_a_label_goes_before_a_variable(Value):
    a, b = Value(2.0, label="alpha"), Value(3.0)
    product = a * b
    assert str(explain(product, a)) == "dproduct/dalpha = 3"
    assert explain(product, a).latex() == (
        "\\begin{aligned}\n\\frac{\\partial \\mathrm{product}}{\\partial \\alpha} &= 3\n\\end{aligned}"
    )
    assert str(explain(product, b, names={"u": b})) == "d(alpha * u)/du = 2"


def test_names_that_come_twice_are_numbered(Value):
    x = Value(2.0, label="h")
    y = x.exp()
    y.label = "h"
    assert str(explain(y, x, names={})).startswith("d(h#2)/dh = ")


@pytest.mark.parametrize(
    "label", ["<script>", "a&b", 'say "x"', "line\nbreak", "\x00\x1b[31m", "x" * 10_000, "\ud800", "{}_$%\\"]
)
def test_hostile_labels(Value, label):
    x = Value(2.0, label=label)
    y = x * 3.0
    explanation = explain(y, x)
    for text in (str(explanation), explanation.latex(), explanation._repr_markdown_(), explanation._repr_latex_()):
        assert len(text) < 500
        assert all(c.isprintable() or c == "\n" for c in text)
        text.encode()
    assert len(str(explanation).splitlines()) == 1


def test_rich_output(Value):
    a, b = Value(2.0), Value(-3.0)
    y = a * b
    assert explain(y, a)._repr_latex_().startswith("$$\\begin{aligned}") and repr(explain(y, a)) == "dy/da = -3"
    assert explain(y, a)._repr_markdown_().startswith("$$\n")


def test_the_formulas_can_be_typeset(Value):
    mathtext = pytest.importorskip("matplotlib.mathtext")
    v = network(Value, "sigmoid")
    w = v["C"] * v["x"] + v["a1"] * 1e-30
    for explanation in (explain(v["C"], v["t1"], names=v), explain(w, v["t1"], names=v, merge=False)):
        lines = explanation.latex().removeprefix("\\begin{aligned}").removesuffix("\\end{aligned}").split("\\\\\n")
        for line in lines:
            mathtext.MathTextParser("path").parse(f"${line.strip().replace('&', '')}$")


# ---- refused ----


def test_what_is_no_value(Value):
    x = Value(1.0)
    with pytest.raises(TypeError, match="explain takes two Values, not float"):
        explain(x, 1.0)
    with pytest.raises(TypeError, match="explain takes two Values, not list"):
        explain([x], x)
    with pytest.raises(ValueError, match="at least 0, not -1"):
        explain(x, x, limit=-1)


def test_a_cycle(Value):
    x = Value(1.0)
    y = x + 1.0
    y._prev = (y,)
    with pytest.raises(ValueError, match="cycle"):
        explain(y, x)


def test_top_level_names():
    assert tapegrad.explain is explain
    assert callable(tapegrad.explain) and callable(tapegrad.draw) and callable(tapegrad.draw_dot)
