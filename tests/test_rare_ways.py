"""Ways through the core that programs seldom take: each was found by looking at what no test ran."""

import array
import copy
import gc

import numpy as np
import pytest

import tapegrad
from tapegrad import Value, grad, jacobian, record, rules, value_and_grad, where
from tapegrad.graph import Graph
from tapegrad.program import Job, Lanes, show_config
from tapegrad.tape import tape
from tapegrad.value import _apply, _value_at

# ---- nodes of the program's own, under every operator ----


def doubled(Value, x):
    """A leaf and a node of the program's own on it, that keeps its derivative in a closure."""
    a = Value(x)
    y = Value(2 * x, (a,), "doubled")

    def backward():
        a.grad += 2 * y.grad

    y._backward = backward
    return a, y


@pytest.mark.parametrize(
    ("f", "slope", "by_other"),
    [
        (lambda y, v, engine: y - v, 2.0, -1),
        (lambda y, v, engine: v - y, -2.0, 1),
        (lambda y, v, engine: y / v, 0.5, -0.375),
        (lambda y, v, engine: v / y, -2 * 4.0 / 36.0, 1 / 6.0),
        (lambda y, v, engine: 1 - y, -2.0, 0),
        (lambda y, v, engine: 1 / y, -2.0 / 36.0, 0),
        (lambda y, v, engine: +y, 2.0, 0),
        (lambda y, v, engine: round(y, 1) + y, 2.0, 0),
        (lambda y, v, engine: engine.sum([v, y, 2.0, v]), 2.0, 2),
        (lambda y, v, engine: engine.prod([v, y, 2, v]), 64.0, 96.0),
        (lambda y, v, engine: engine.dot([v, y, 2.0, v], [y, v, y, 3]), 20.0, 15.0),
        (lambda y, v, engine: engine.dot((v, y, v), (y, v, 3.0, y)), 16.0, 15.0),
        (lambda y, v, engine: engine.dot((v, y, v, v), (y, v)), 16.0, 12.0),
        (lambda y, v, engine: engine.dot(iter([v, y, v]), iter([y, v])), 16.0, 12.0),
    ],
)
def test_a_node_of_the_programs_own_stays_under_what_is_built_on_it(engine, f, slope, by_other):
    a, y = doubled(engine.Value, 3.0)
    v = engine.Value(4.0)
    out = f(y, v, engine)
    del y
    gc.collect()
    _ = [engine.Value(1.0) for _ in range(10)]
    out.backward()
    assert a.grad == pytest.approx(slope, rel=1e-15) and v.grad == pytest.approx(by_other, rel=1e-15)


class Doubles:
    """A derivative that is no function."""

    def __init__(self, a, y):
        self.a, self.y = a, y

    def __call__(self):
        self.a.grad += 2 * self.y.grad


def test_a_copy_keeps_a_backward_that_is_no_function_or_has_an_empty_cell(Value):
    a = Value(3.0)
    y = Value(6.0, (a,), "doubled")
    y._backward = Doubles(a, y)
    assert copy.deepcopy(y)._backward is y._backward

    def backward():
        a.grad += 2 * y.grad
        if a.grad < 0.0:
            never()

    y._backward = backward
    twin = copy.deepcopy(y)
    twin.backward()
    assert (a.grad, twin._children[0].grad) == (0, 2)
    never = None


def function_of(y):
    return y._backward


def closure_of(y):
    return y._backward.__closure__


def cells_of(y):
    return list(y._backward.__closure__)


@pytest.mark.parametrize("kept_of", [function_of, closure_of, cells_of])
def test_a_value_whose_closure_somebody_else_holds_outlives_compaction(kept_of):
    a, y = doubled(Value, 3.0)
    kept = kept_of(y)
    del y
    tape.compact()
    cells = kept.__closure__ if callable(kept) else kept
    y = next(cell.cell_contents for cell in cells if cell.cell_contents is not a)
    y.backward()
    assert (y.data, a.grad) == (6.0, 2)


def test_a_value_whose_derivative_is_an_object_outlives_compaction():
    a = Value(3.0)
    y = Value(6.0, (a,), "doubled")
    y._backward = kept = Doubles(a, y)
    del y
    tape.compact()
    kept.y.backward()
    assert a.grad == 2


def test_the_collector_finds_who_refers_to_a_values_attributes_and_state():
    v = Value(2.0)
    v.note = [1]
    assert any(holder is v for holder in gc.get_referrers(v.__dict__))
    _, y = doubled(Value, 3.0)
    extra = next(o for o in gc.get_referents(y) if type(o).__name__ == "Extra")
    assert any(holder is y for holder in gc.get_referrers(extra))


def test_a_chain_of_nodes_with_state_dies_without_deep_recursion(nodes):
    y = Value(1.0)
    for _ in range(1000):
        y = y + 1.0
        y.note = []
    assert nodes() == 2001
    del y
    assert nodes() == 0


# ---- another tape ----


def test_another_tape_is_empty_and_goes():
    other = type(tape)()
    assert (len(other), other.compact(), other.rows()) == (0, 0, [])
    other.max_nodes = 5
    assert other.max_nodes == 5 and tape.max_nodes > 5
    del other
    assert (Value(2.0) * 3.0).data == 6.0


# ---- conditions of recorded numbers, used as numbers ----


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * -(x > 2),
        lambda x: x * +(x > 2),
        lambda x: x * abs(x > 2),
        lambda x: x * ((x > 2) != 1) + x,
        lambda x: x * ((x > 2) == False),  # noqa: E712
        lambda x: x * ((x > 2) == "a") + x,
        lambda x: x * ((x > 2) != "a"),
        lambda x: x * ((x > 2) < x),
        lambda x: x * (x < (x > 2)) + x,
        lambda x: x * ((x > 2) ^ (x > 5)),
        lambda x: x * (True ^ (x > 5)),
    ],
)
def test_conditions_are_numbers_in_arithmetic(f):
    for x in (1.0, 3.0, 6.0):
        v = Value(x)
        y = f(v)
        y.backward()
        assert value_and_grad(f)(x) == (y.data, v.grad)


def test_conditions_combine_with_conditions_bools_and_ints_only_as_bools_do():
    f = record(lambda x: where((x > 2) & (x < 5) | False, x * x, x))
    assert [f(x) for x in (0.0, 1.0, 3.0)] == [0.0, 1.0, 9.0]
    assert record(lambda x: x * ((x > 2) & 3))(4.0) == 4.0
    for other in (1.5, "a"):
        with pytest.raises(TypeError, match="unsupported operand"):
            record(lambda x, other=other: where((x > 2) & other, x, x))(3.0)
    with pytest.raises(TypeError, match="unsupported operand"):
        record(lambda x: where((x > 2) & x, x, x))(3.0)
    with pytest.raises(TypeError, match="'<' not supported"):
        record(lambda x: where(x < "a", x, 1.0))(3.0)
    with pytest.raises(TypeError, match="repr"):
        record(lambda x: repr(x > 2) or x)(3.0)


def test_an_argument_that_cannot_be_hashed_or_compared_is_told_by_identity():
    class Odd:
        __hash__ = None

        def __eq__(self, other):
            raise AssertionError("compared")

    seen = []
    f = record(lambda x, setting: seen.append(setting) or x * 2)
    one, two = Odd(), Odd()
    assert [f(2.0, one), f(3.0, one), f(4.0, two)] == [4.0, 6.0, 8.0]
    assert len(seen) == 2 and seen[0] is one and seen[1] is two


def test_only_so_many_nestings_of_arguments_are_kept():
    f = record(lambda xs: sum(xs), max_programs=2)
    assert [f([1.0] * n) for n in (1, 2, 3, 1)] == [1.0, 2.0, 3.0, 1.0]
    assert len(f.families) == 2


# ---- nan and inf, named ----


def test_an_anomaly_of_a_value_that_the_function_reads():
    w = Value(0.0)

    def f(x):
        return x + w.log()

    with pytest.raises(FloatingPointError, match=r"test_rare_ways.py:\d+ gives -inf: log\(0.0\)"):
        record(f, check_finite=True)(1.0)


def test_an_anomaly_in_forward_mode():
    def f(x):
        return [x[0].sqrt() * x[1]]

    text = r"the derivative of the operation on .*test_rare_ways.py:\d+ gives inf"
    for mode in ("forward", "reverse"):
        with pytest.raises(FloatingPointError, match=text):
            jacobian(f, mode=mode, check_finite=True)([0.0, 1.0])


def test_an_anomaly_that_no_operation_makes():
    with pytest.raises(FloatingPointError, match="though no operation makes one of finite numbers"):
        grad(lambda x: x * float("inf"), check_finite=True)(1.0)


# ---- what is refused ----


def test_what_layers_and_optimisers_refuse(engine):
    nn, optim, v = engine.nn, engine.optim, engine.Value(1.0)
    for what, error, text in [
        (lambda: nn.calculate_gain("softplus"), ValueError, "nonlinearity must be one of leaky_relu, linear, "),
        (lambda: nn.Linear(2, 1)(3.0), TypeError, "takes lists, tuples or arrays of numbers or Values, not float"),
        (lambda: nn.Linear(2, 1)("ab"), TypeError, "takes lists, tuples or arrays of numbers or Values, not str"),
        (lambda: optim.SGD([v], lr=0.1, nesterov=True), ValueError, "Nesterov momentum needs a momentum above 0"),
        (lambda: optim.clip_grad_norm_([v], -1.0), ValueError, "max_norm at least 0, not 2.0 and -1.0"),
        (lambda: optim.clip_grad_norm_([v], 1.0, norm_type=0), ValueError, "norm_type must be above 0"),
        (lambda: optim.clip_grad_value_([v], float("nan")), ValueError, "clip_value must be at least 0, not nan"),
    ]:
        with pytest.raises(error, match=text):
            what()


@pytest.mark.parametrize(("grad", "norm"), [(float("nan"), float("nan")), (float("inf"), float("inf")), (0.0, 0.0)])
def test_the_norm_of_gradients_that_are_not_finite_or_zero(engine, grad, norm):
    v = engine.Value(1.0)
    v.grad = grad
    assert engine.optim.clip_grad_norm_([v], 1.0, norm_type=3) == pytest.approx(norm, nan_ok=True)
    assert engine.optim.clip_grad_norm_([], 1.0, norm_type=3) == 0.0


def test_layers_say_what_they_are(engine):
    nn = engine.nn
    assert [repr(layer) for layer in (nn.Sigmoid(), nn.Softmax(), nn.LeakyReLU(0.5))] == [
        "Sigmoid()",
        "Softmax()",
        "LeakyReLU(negative_slope=0.5)",
    ]


def arrays(codes, a, b=None, c=None, values=None):
    n = len(codes)
    ints = [array.array("i", x or [0] * n) for x in (a, b, c)]
    return bytes(codes), *ints, array.array("d", values or [0.0] * n)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (arrays([0, 0], [0]), "equally long"),
        (arrays([250], [0]), "no operation 250"),
        (arrays([2], [0]), "made of nodes before it"),
        (arrays([1], [-1]), "input -1"),
        (arrays([1], [1]), "input 1"),
    ],
)
def test_arrays_that_are_no_graph(given, text):
    with pytest.raises(ValueError, match=text):
        Graph.from_arrays(*given)


def test_operations_and_nodes_that_there_are_not():
    x = Value(1.0)
    for label, operands in [("nonsense", (x,)), ("+", (x,)), ("exp", (x, x)), ("**n", (x,))]:
        with pytest.raises(ValueError, match="of so many operands"):
            _apply(label, *operands)
    for i in (0, -1, 2**30):
        with pytest.raises(ValueError, match=f"there is no node {i}"):
            _value_at(i)


@pytest.mark.parametrize("text", ["a $ b", "(a", "a b", "exp a", "a ? b"])
def test_derivatives_that_cannot_be_read(text):
    with pytest.raises(ValueError, match=r"ops\.h"):
        rules.parse(text, lambda label: 0)


def test_outputs_of_a_batch_are_float64():
    lanes = Lanes(record(lambda x: x * 2).program(1.0), b"\1")
    with pytest.raises(ValueError, match="outputs must be written to float64"):
        Job(lanes, [np.ones(4)], np.zeros(1), 4, None, [np.ones(4, dtype=np.float32)])


def test_modes_of_a_jacobian():
    with pytest.raises(ValueError, match="mode must be 'forward', 'reverse' or None, not 'sideways'"):
        jacobian(lambda x: x, mode="sideways")


def test_the_grad_of_a_recorded_value_cannot_be_set():
    def f(x):
        x.grad = 1.0
        return x

    with pytest.raises(TypeError, match="grad = of a Value in a recorded function"):
        record(f)(1.0)


def test_show_config(capsys):
    show_config()
    assert capsys.readouterr().out.startswith(f"lanes: {tapegrad.program.KERNELS} kernels, ")
