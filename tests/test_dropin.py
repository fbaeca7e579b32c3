"""What "drop-in for micrograd" means, row by row: each promise and its proof.

Rows 1 to 14, 20 to 24 and 26 are here. What programs do to Values besides arithmetic, rows 15 to 19, 25, 29 and 30, is
in test_dropin_programs.py; large graphs and bytes per node, rows 27 and 31, in test_large.py; memory that returns, row
28, in test_lifetime.py; `tapegrad run`, row 32, in test_run.py and test_micrograds_programs.py; microgpt's form at
work, row 25, in test_examples.py. Where tapegrad differs on purpose: docs/differences.md, whose examples
test_package.py runs.
"""

import math
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from conftest import ENGINES

import tapegrad


def micrograd_value():
    return pytest.importorskip("micrograd.engine").Value


# ---- row 1: micrograd's README example and the content of its tests ----


def readme_program(Value):
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return a, b, g


def sanity_program(Value):
    x = Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    return x, h + q + q * x


def test_row_01_the_readme_program(Value):
    a, b, g = readme_program(Value)
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert (f"{a.grad:.4f}", f"{b.grad:.4f}") == ("138.8338", "645.5773")


def test_row_01_as_pytorch(Value):
    torch = pytest.importorskip("torch")
    x, y = sanity_program(Value)
    y.backward()
    t = torch.tensor([-4.0], dtype=torch.float64, requires_grad=True)
    z = 2 * t + 2 + t
    q = z.relu() + z * t
    h = (z * z).relu()
    u = h + q + q * t
    u.backward()
    assert (y.data, x.grad) == (u.item(), t.grad.item())


@pytest.mark.parametrize("program", [readme_program, sanity_program])
def test_row_01_as_micrograd_itself(Value, program):
    ours, theirs = program(Value), program(micrograd_value())
    ours[-1].backward()
    theirs[-1].backward()
    for v, w in zip(ours, theirs, strict=True):
        assert v.data == pytest.approx(w.data, rel=1e-12) and v.grad == pytest.approx(w.grad, rel=1e-12)


# ---- row 2: the two-moons demo ----


def moons():
    datasets = pytest.importorskip("sklearn.datasets")
    np.random.seed(1337)
    X, y = datasets.make_moons(n_samples=100, noise=0.1)
    random.seed(1337)  # after the import: importing scikit-learn may draw random numbers
    return X, y * 2 - 1


def moons_loss(Value, model, X, y):
    inputs = [list(map(Value, row)) for row in X]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores, strict=True)]
    data_loss = sum(losses) * (1.0 / len(losses))
    total = data_loss + 1e-4 * sum(p * p for p in model.parameters())
    accuracy = [(yi > 0) == (score.data > 0) for yi, score in zip(y, scores, strict=True)]
    return total, sum(accuracy) / len(accuracy)


def train_moons(Value, MLP, steps):
    X, y = moons()
    model = MLP(2, [16, 16, 1])
    history = []
    for k in range(steps):
        loss, accuracy = moons_loss(Value, model, X, y)
        history.append((loss.data, accuracy))
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 100) * p.grad
    return model, history


def test_row_02_the_untrained_model(engine):
    X, y = moons()
    model = engine.nn.MLP(2, [16, 16, 1])
    loss, accuracy = moons_loss(engine.Value, model, X, y)
    assert f"{loss} {accuracy}" == "Value(data=0.8958441028683222, grad=0) 0.5"
    assert repr(model).startswith("MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2), ")
    assert len(model.parameters()) == 337


def test_row_02_one_hundred_steps():
    _, history = train_moons(tapegrad.Value, tapegrad.nn.MLP, 100)
    model, _ = train_moons(tapegrad.Value, tapegrad.nn.MLP, 100)
    assert len(history) == 100 and history[-1][1] == 1.0
    X, y = moons()
    assert moons_loss(tapegrad.Value, model, X, y)[1] == 1.0


def test_row_02_steps_are_equal_to_the_bit_and_close_to_micrograd():
    pytest.importorskip("micrograd.nn")
    from micrograd.nn import MLP

    runs = [train_moons(engine.Value, engine.nn.MLP, 2) for engine in ENGINES.values()]
    assert runs[0][1] == runs[1][1]
    grads = [[(p.data, p.grad) for p in model.parameters()] for model, _ in runs]
    assert grads[0] == grads[1]
    model, history = train_moons(micrograd_value(), MLP, 2)
    assert history == pytest.approx(np.array(runs[0][1]), rel=1e-12)
    for (data, grad), p in zip(grads[0], model.parameters(), strict=True):
        assert data == pytest.approx(p.data, rel=1e-10, abs=1e-13)
        assert grad == pytest.approx(p.grad, rel=1e-10, abs=1e-13)


# ---- rows 3 to 6: repr, ints, the constructor, the nodes ----


def test_row_03_repr(Value):
    assert repr(Value(1.5)) == "Value(data=1.5, grad=0)"
    assert repr(Value(1.5, label="x")) == "Value(data=1.5, grad=0)"
    v = Value(math.nan)
    v.grad = -0.0
    assert repr(v) == "Value(data=nan, grad=-0.0)"
    assert f"{Value(2.0)}" == str(Value(2.0)) == "Value(data=2.0, grad=0)"


def test_row_04_ints_stay_ints(Value):
    assert repr(Value(2) * 3) == "Value(data=6, grad=0)"
    assert repr(Value(2) + True) == "Value(data=3, grad=0)"
    assert repr(Value(2) - 5) == "Value(data=-3, grad=0)"
    assert repr(5 - Value(2)) == "Value(data=3, grad=0)"
    assert repr(Value(2) ** 3) == "Value(data=8, grad=0)"
    assert repr(Value(2) ** -1) == "Value(data=0.5, grad=0)"
    assert repr(Value(6) / 2) == "Value(data=3.0, grad=0)"
    assert repr(Value(2) * 1.5) == "Value(data=3.0, grad=0)"
    assert repr(Value(True)) == "Value(data=True, grad=0)"
    assert repr(Value(True).relu()) == "Value(data=True, grad=0)"
    assert repr(Value(-2.5).relu()) == "Value(data=0, grad=0)"
    assert repr(Value(-0.0) * 1) == "Value(data=-0.0, grad=0)"
    assert repr(-Value(0)) == "Value(data=0, grad=0)"
    assert repr((-Value(0)) * 2.0) == "Value(data=0.0, grad=0)"
    a, b = Value(3), Value(2)
    y = a * b + a**2
    y.backward()
    assert (repr(y), repr(a), repr(b)) == (
        "Value(data=15, grad=1)", "Value(data=3, grad=8)", "Value(data=2, grad=3)",
    )  # fmt: skip


def test_row_04_a_dead_neuron_shows_what_micrograd_shows(Value):
    for V in (Value, micrograd_value()):
        w, x = V(-0.5), V(2.0)
        n = (w * x + 0.25).relu()
        n.backward()
        assert (repr(n), repr(w), repr(x)) == (
            "Value(data=0, grad=1)", "Value(data=-0.5, grad=0.0)", "Value(data=2.0, grad=0.0)",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("big", "shown"),
    [
        (2**53 - 1, "9007199254740991"),
        (2**53, "9007199254740992.0"),
        (2**60 + 1, "1.152921504606847e+18"),
        (-(2**53), "-9007199254740992.0"),
    ],
)
def test_row_04_an_int_from_2_to_the_53_on_is_a_float(Value, big, shown):
    assert repr(Value(big).data) == shown
    step = 1 if big > 0 else -1
    assert repr((Value(big - step) + step).data) == shown
    assert repr((1 * Value(big)).data) == shown


def test_row_04_big_int_results(Value):
    assert repr((Value(2**27) * 2**27).data) == "1.8014398509481984e+16"
    assert repr((Value(3) ** 33).data) == "5559060566555523"
    assert repr((Value(3) ** 34).data) == repr(3.0**34)
    assert repr((Value(-1) ** 10**6).data) == "1"
    assert repr((Value(7) ** 18).data) == "1628413597910449"
    x = Value(2**30)
    (x * x * x).backward()
    assert repr(x.grad) == repr(3.0 * 2**60)
    with pytest.raises(OverflowError):
        Value(10**400)
    with pytest.raises(OverflowError):
        Value(1) + 10**400


def test_row_05_constructor(Value):
    a, b = Value(1.0), Value(2.0)
    for v in (Value(3.0, (a, b), "f"), Value(data=3.0, _children=[a, b], _op="f")):
        assert (v.data, v.grad, v._op, v._prev) == (3.0, 0, "f", {a, b})
    assert (Value(1)._prev, Value(1)._op) == (set(), "")
    assert Value(1.0, _op="input")._op == "input"


@pytest.mark.parametrize(
    "x",
    [2, 2.0, True, np.float64(2), np.float32(2), np.float16(2), np.int64(2), np.int8(2), np.uint16(2), np.bool_(True)],
)
def test_row_05_numbers_on_either_side(Value, x):
    v, n = Value(4.0), float(x)
    for y, expected in [(v + x, 4 + n), (x + v, 4 + n), (v - x, 4 - n), (x - v, n - 4), (v * x, 4 * n), (x * v, 4 * n),
                        (v / x, 4 * n**-1), (x / v, n * 0.25), (v**x, 4**n), (x**v, n**4)]:  # fmt: skip
        assert type(y) is Value and y.data == expected and type(y.data) is float
    assert Value(x).data == n


NO_NUMBERS = ["x", b"x", None, [1], (1,), {}, 1j, np.complex64(1), np.array([1.0]), np.array(1.0), object(), print]


@pytest.mark.parametrize("x", NO_NUMBERS, ids=lambda x: type(x).__name__)
def test_row_05_anything_else_is_a_type_error_where_it_comes_in(Value, x, nodes):
    v = Value(1.0)
    with pytest.raises(TypeError, match="data must be a real number"):
        Value(x)
    for name in ("data", "grad"):
        with pytest.raises(TypeError, match=f"{name} must be a real number"):
            setattr(v, name, x)
    if not isinstance(x, np.ndarray):
        for operate in (lambda: v + x, lambda: x + v, lambda: v - x, lambda: x - v, lambda: v * x, lambda: x * v,
                        lambda: v / x, lambda: x / v, lambda: v**x, lambda: x**v, lambda: v < x):  # fmt: skip
            with pytest.raises(TypeError):
                operate()
    with pytest.raises(TypeError):
        v.maximum(x)
    assert repr(v) == "Value(data=1.0, grad=0)"


def graph(v):
    """The graph as nested tuples, the children in order."""
    return (v._op, repr(v.data), *(graph(child) for child in v._children))


def test_row_06_ops_and_decompositions(Value):
    a, b = Value(3.0), Value(4.0)
    A, B, minus = ("", "3.0"), ("", "4.0"), ("", "-1")
    assert graph(a + b) == ("+", "7.0", A, B)
    assert graph(2 + a) == ("+", "5.0", A, ("", "2"))
    assert graph(a * b) == ("*", "12.0", A, B)
    assert graph(2 * a) == ("*", "6.0", A, ("", "2"))
    assert graph(-a) == ("*", "-3.0", A, minus)
    assert graph(a - b) == ("+", "-1.0", A, ("*", "-4.0", B, minus))
    assert graph(a - 2) == ("+", "1.0", A, ("", "-2"))
    assert graph(2 - a) == ("+", "-1.0", ("*", "-3.0", A, minus), ("", "2"))
    assert graph(a / b) == ("*", "0.75", A, ("**-1", "0.25", B))
    assert graph(a / 2) == ("*", "1.5", A, ("", "0.5"))
    assert graph(2 / b) == ("*", "0.5", ("**-1", "0.25", B), ("", "2"))
    assert graph(a**3) == ("**3", "27.0", A)
    assert graph(b**0.5) == ("**0.5", "2.0", B)
    assert graph(b**2.0) == ("**2.0", "16.0", B)
    assert graph(a.relu()) == ("ReLU", "3.0", A)
    assert graph(sum([a, b])) == ("+", "7.0", ("+", "3.0", A, ("", "0")), B)


def test_row_06_the_graphs_are_micrograds(Value):
    def walk(v):
        return (v._op, repr(v.data), sorted(walk(child) for child in v._prev))

    for V in [micrograd_value()]:
        assert walk(readme_program(Value)[-1]) == walk(readme_program(V)[-1])


def test_row_06_inner_nodes_get_their_gradients(Value):
    a, b = Value(3.0), Value(4.0)
    y = a / b - 2 * a
    y.backward()
    left, right = y._children
    assert (left.grad, right.grad, right._children[1].grad) == (1, 1, 6.0)
    assert left._children[1].grad == 3.0
    y.backward()
    assert (left.grad, right._children[1].grad) == (2, 18.0)


# ---- rows 7 and 8: sets, identity ----


def test_row_07_prev_and_the_usual_walker(Value):
    a = Value(2.0)
    y = a + a
    assert y._prev == {a} and Value(1.0)._prev == set() and isinstance(y._prev, set)

    def trace(root):
        nodes, edges = set(), set()

        def build(v):
            if v not in nodes:
                nodes.add(v)
                for child in v._prev:
                    edges.add((child, v))
                    build(child)

        build(root)
        return nodes, edges

    nn = next(engine.nn for engine in ENGINES.values() if engine.Value is Value)
    random.seed(1337)
    n = nn.Neuron(2)
    x = [Value(1.0), Value(-2.0)]
    nodes, edges = trace(n(x))
    assert (len(nodes), len(edges)) == (10, 9)
    assert {n.b, *n.w, *x} <= nodes


def test_row_08_identity(Value):
    a, b = Value(1.0), Value(1.0)
    assert a == a and a != b and a != 1.0 and hash(a) != hash(b)
    assert {a: "a", b: "b"}[a] == "a" and len({a, b, a}) == 2
    assert bool(Value(0.0))
    for convert in (float, int, len, iter, complex):
        with pytest.raises(TypeError):
            convert(a)
    assert not hasattr(a, "__array__") and not hasattr(a, "__len__") and not hasattr(a, "__int__")
    array = np.array([a, b])
    assert array.dtype == object and array[0] is a
    with pytest.raises(TypeError, match=r"tapegrad\.sin"):
        math.sin(a)


# ---- rows 9 to 11: powers, errors, relu ----


def test_row_09_powers(Value):
    assert (Value(3.0) ** 2).data == 9.0 and (Value(4) ** 0.5).data == 2.0 and (Value(2.0) ** True)._op == "**True"
    assert (Value(2.0) ** Value(3.0)).data == 8.0 and (2 ** Value(3)).data == 8
    assert pow(Value(2.0), 3).data == 8.0
    with pytest.raises(TypeError):
        pow(Value(2.0), 3, 5)
    x, n = Value(2.0), Value(3.0)
    y = x**n
    y.backward()
    assert (x.grad, n.grad, y._op, y._prev) == (12.0, 8.0 * math.log(2.0), "**", {x, n})


def test_row_10_errors(Value):
    for error, f in [
        (ZeroDivisionError, lambda: Value(0.0) ** -1), (ZeroDivisionError, lambda: 1 / Value(0)),
        (OverflowError, lambda: Value(10.0) ** 400), (OverflowError, lambda: Value(1000.0).exp()),
        (TypeError, lambda: Value(1.0) + "x"), (ValueError, lambda: Value(0.0).log()),
        (ValueError, lambda: Value(-1.0) ** 0.5),
    ]:  # fmt: skip
        with pytest.raises(error):
            f()
    assert (Value(1e308) * 10).data == math.inf


def test_row_11_relu(Value):
    for x, y, slope in [(2.0, "2.0", 1), (-2.0, "0", 0), (0.0, "0.0", 0), (-0.0, "-0.0", 0), (math.nan, "nan", 0)]:
        v = Value(x)
        z = v.relu()
        z.backward()
        assert repr(z.data) == y and v.grad == slope
    v = Value(-1.0)
    z = v.relu()
    z.data = 5.0  # the sweep looks at the current value
    z.backward()
    assert v.grad == 1


# ---- rows 12 to 14: accumulation, current data, assignments ----


def test_row_12_accumulation(Value):
    a, b, d = Value(3), Value(2), Value(1)
    c = a + b
    e = c * d
    e.backward()
    assert [v.grad for v in (a, b, c, d)] == [1, 1, 1, 5]
    e.backward()
    assert [v.grad for v in (a, b, c, d)] == [3, 3, 2, 10]
    x = Value(3.0)
    y = x * x * x
    y.backward()
    assert x.grad == 27.0
    x.grad = 0
    y.backward()
    assert x.grad == 45.0


def test_row_13_current_data(Value):
    x = Value(2.0)
    y, z = x * x, x**3
    x.data = 5
    y.backward()
    assert x.grad == 10
    x.grad = 0
    z.backward()
    assert x.grad == 75


def test_row_14_data_and_grad_are_assignable(Value):
    x = Value(2.0)
    y = x * 3.0
    z = y * y
    y.data = 10
    y.grad = 0.5
    assert (y.data, y.grad, z.data) == (10, 0.5, 36.0)
    z.backward()
    assert (y.grad, x.grad) == (20.5, 61.5)
    x.data -= 0.25 * x.grad
    assert x.data == 2.0 - 0.25 * 61.5
    x.data, x.grad = np.float32(0.5), np.int64(3)
    assert repr(x) == "Value(data=0.5, grad=3)"


# ---- rows 20 to 23: subclasses, numpy, nn ----


def test_row_20_subclasses(Value):
    class Named(Value):
        def __init__(self, data, _children=(), _op="", name="?"):
            super().__init__(data, _children, _op)
            self.name = name

        def __add__(self, other):
            out = Named.__base__.__add__(self, other)
            return Named(out.data, (self,), "named+")

        def __radd__(self, other):
            return "radd"

        def double(self):
            return self * 2

    a, b = Named(1.0, name="a"), Value(2.0)
    assert (a.name, a.data, type(a * b), type(b * a), type(a.double()), type(-a)) == ("a", 1.0, *[Value] * 4)
    assert type(a + b) is Named and (a + b)._op == "named+" and b + a == "radd" and 1 + a == "radd"
    assert type(a - b) is Named  # a + (-b)
    assert b - a is not None and type(b - a) is Value
    y = a * b * a
    y.backward()
    assert (a.grad, b.grad) == (4.0, 1.0) and y._children[1] is a
    del a
    assert y._children[1].name == "a"

    class Times(Value):
        def __mul__(self, other):
            return "times"

        __rmul__ = __mul__

    assert -Times(1.0) == Times(1.0) * 3 == 3 * Times(1.0) == Value(1.0) * Times(1.0) == "times"
    for v in (b + 1, 1 + b, b * b, b - b, b / b, b**2, b.relu(), b.exp(), abs(b), round(b), 2**b, b.maximum(3)):
        assert type(v) == Value  # noqa: E721


def test_row_21_numpy(Value):
    v, w = Value(3.0), Value(4.0)
    y = np.float64(2.0) * v
    assert type(y) is Value and y.data == 6.0
    array = np.array([1.0, 2.0]) * v
    assert array.dtype == object and [x.data for x in array] == [3.0, 6.0]
    assert [x.data for x in v * np.array([1.0, 2.0])] == [3.0, 6.0]
    assert np.dot(np.array([1.0, 2.0]), [v, w]).data == 11.0
    y = np.sum([v, w, 1.0])
    y.backward()
    assert y.data == 8.0 and v.grad == 1
    assert np.mean([v, w]).data == 3.5
    assert (np.array([[v, w]]) @ np.array([[1.0], [2.0]]))[0, 0].data == 11.0


EXPECTED = [0.235506, 0.066531, 0, -0.268303, 0.171575, 0, -0.668625, 0.648747, 0, -0.23259, 0.579226, 0.843453, 0]


def test_row_22_nn(engine):
    nn, V = engine.nn, engine.Value
    random.seed(1337)
    model = nn.MLP(2, [3, 1])
    assert [round(p.data, 6) for p in model.parameters()] == EXPECTED
    assert repr(model) == "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(3)]]"
    assert type(model([1.0, 2.0])) is V and type(nn.MLP(2, [2])([1, 2])) is list
    assert model.parameters() is not model.parameters()
    assert all(p is q for p, q in zip(model.parameters(), model.parameters(), strict=True))
    n = model.layers[0].neurons[0]
    assert (len(n.w), n.b.data, n.nonlin, model.layers[1].neurons[0].nonlin) == (2, 0, True, False)
    assert n([1.0, 2.0, 99.0]).data == n([1.0, 2.0]).data and n([]).data == 0  # zip truncates
    y = model([V(1.0), V(-1.0)])
    y.backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())

    class Scale(nn.Module):
        def __init__(self):
            self.k = V(2.0)

        def parameters(self):
            return [self.k]

    scale = Scale()
    scale.k.grad = 3.0
    scale.zero_grad()
    assert scale.k.grad == 0 and nn.Module().parameters() == []


def micrograds_neuron(V):
    class Neuron:
        def __init__(self, nin):
            self.w = [V(random.uniform(-1, 1)) for _ in range(nin)]
            self.b = V(0)

        def __call__(self, x):
            act = sum((wi * xi for wi, xi in zip(self.w, x, strict=False)), self.b)
            return act.relu()

    return Neuron


@pytest.mark.parametrize("inputs", [[1.0, -2.0, 3], [0.5], [True, np.float64(2.0)]])
def test_row_22_and_23_same_graph_and_bits_as_the_users_own_neuron(engine, inputs):
    results = []
    for Neuron in (engine.nn.Neuron, micrograds_neuron(engine.Value)):
        for wrap in (list, lambda xs: [engine.Value(x) for x in xs], np.array, iter):
            random.seed(5)
            n = Neuron(3)
            y = n(wrap(inputs))
            y.backward()
            results.append((graph(y), [repr(w) for w in n.w], repr(n.b)))
    half = len(results) // 2
    assert results[:half] == results[half:]


def test_row_23_the_lectures_neuron_with_its_own_tanh(Value):
    x1, x2, w1, w2 = Value(2.0), Value(0.0), Value(-3.0), Value(1.0)
    b = Value(6.8813735870195432)
    n = x1 * w1 + x2 * w2 + b
    e = (2 * n).exp()
    o = (e - 1) / (e + 1)
    o.backward()
    assert [v.grad for v in (x1, w1, x2, w2)] == pytest.approx([-1.5, 1.0, 0.5, 0.0], abs=1e-12)
    assert o.data == pytest.approx(0.7071067811865476, rel=1e-12)


# ---- row 24: the lecture's Value ----


def test_row_24_label_and_functions(Value):
    a = Value(2.0, label="a")
    assert (a.label, Value(1.0).label) == ("a", "")
    e = a * 3
    e.label = "e"
    assert e.label == "e" and (e + 1).label == ""
    for name in ("tanh", "exp", "log", "sigmoid"):
        assert getattr(a, name)()._op == name
    o = Value(0.8814).tanh()
    o.backward()
    assert o._children[0].grad == 1 - o.data**2
    assert (Value(-1e6).sigmoid().data, Value(1e6).tanh().data) == (0.0, 1.0)


def test_row_24_a_label_stays_when_the_variable_is_gone(Value):
    a, b = Value(2.0, label="a"), Value(3.0)
    product = a * b
    product.label = "ab"
    y = product + 1
    number = id(product)
    del product, a
    product = y._children[0]
    assert (product.label, product._children[0].label, id(product)) == ("ab", "a", number)


# ---- row 26: the same bits everywhere; rows 27, 28 and 31 are in test_large.py and test_lifetime.py ----

PROGRAM = """
import random
from tapegrad import Value
from tapegrad.nn import MLP
random.seed(7)
model = MLP(3, [5, 4, 1])
y = sum((model([Value(random.random()) for _ in range(3)]).tanh() for _ in range(5)), Value(0.5)) / 3
y.backward()
print(y.data.hex(), [float(p.grad).hex() for p in model.parameters()])
"""


def test_row_26_the_same_bits_in_any_process():
    def run(**env):
        out = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
                             env={**os.environ, **env})  # fmt: skip
        return out.stdout

    outputs = {run(PYTHONHASHSEED=str(seed)) for seed in (0, 1, 12345)} | {run(TAPEGRAD_PURE="1")}
    assert len(outputs) == 1
