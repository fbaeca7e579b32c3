"""Rows 15 to 19, 25, 29, 30 and 32 of drop-in: what real programs do to Values beyond arithmetic."""

import copy
import gc
import math
import pickle
import random
import sys
import threading
import weakref

import pytest
from conftest import ENGINES

import tapegrad


def closure_tanh(V):
    """tanh as the programs of the lecture write it: a node with a closure that refers to the node itself."""

    def tanh(self):
        t = math.tanh(self.data)
        out = V(t, (self,), "tanh")

        def _backward():
            self.grad += (1 - t**2) * out.grad

        out._backward = _backward
        return out

    return tanh


# ---- row 15: any other attribute ----


def test_row_15_attributes(Value):
    p = Value(1.0)
    assert not hasattr(p, "m")
    p.m, p.v = 0.0, 0.5
    setattr(p, "_vis_color", "red")  # noqa: B010
    p.history = [p.m]
    p.m = 0.9 * p.m + 0.1
    assert (p.m, p.v, p._vis_color, p.history, p.label) == (0.1, 0.5, "red", [0.0], "")
    del p.m
    with pytest.raises(AttributeError):
        p.m  # noqa: B018
    with pytest.raises(AttributeError):
        del p.m


def test_row_15_attributes_survive_as_long_as_the_graph(Value):
    x = Value(2.0)
    inner = x * 3.0
    y = inner + 1.0
    inner.note, inner.peers = "inner", [x]
    inner.grad = 7
    del inner
    gc.collect()
    inner = y._children[0]
    assert (inner.note, inner.peers[0] is x, inner.grad) == ("inner", True, 7)


# ---- row 16: methods assigned to the class ----


def test_row_16_methods_on_the_class(Value):
    v = Value(0.5)
    original = Value.__dict__["tanh"]
    Value.tanh = closure_tanh(Value)
    try:
        y = v.tanh()
        y.backward()
        assert (y._op, y.data, v.grad) == ("tanh", math.tanh(0.5), 1 - math.tanh(0.5) ** 2)
    finally:
        Value.tanh = original
    assert Value.exp(v).data == math.exp(0.5)
    Value.answer = 42
    assert v.answer == 42
    del Value.answer


# ---- row 17: custom nodes ----


def test_row_17_custom_nodes_mix_with_built_in_ones(Value):
    tanh = closure_tanh(Value)
    x, w = Value(0.5), Value(-1.5)
    y = tanh(x * w + 1.0) * x
    y.backward()
    t = math.tanh(0.25)
    assert (x.grad, w.grad) == (-1.5 * ((1 - t**2) * 0.5) + t, 0.5 * ((1 - t**2) * 0.5)) or (
        x.grad == pytest.approx(t - 0.75 * (1 - t**2), rel=1e-15)
    )
    assert y._children[0]._prev == {y._children[0]._children[0]}


def test_row_17_any_number_of_children(Value):
    xs = [Value(float(i)) for i in range(50)]
    out = Value(max(x.data for x in xs), tuple(xs), "max")

    def _backward():
        for x in xs:
            x.grad += (x.data == out.data) * out.grad

    out._backward = _backward
    (out * 2.0).backward()
    assert [x.grad for x in xs] == [0.0] * 49 + [2.0]
    nothing = Value(3.0, (), "source")
    called = []
    nothing._backward = lambda: called.append(nothing.grad)
    (nothing * 2.0).backward()
    assert called == [2.0]


def test_row_17_backward_of_a_built_in_node_by_hand_and_replaced(Value):
    x = Value(3.0)
    y = x * x
    y.grad = 1.0
    y._backward()
    assert x.grad == 6.0
    before, calls = y._backward, []

    def logged():
        calls.append(y.grad)
        before()

    y._backward = logged
    x.grad = 0
    z = y + 1.0
    z.backward()
    assert (calls, x.grad, y._backward, y._op) == ([2.0], 12.0, logged, "*")
    Value(1.0)._backward()  # of a leaf: nothing


def test_row_17_an_exception_in_a_closure(Value):
    x = Value(1.0)
    y = Value(2.0, (x,), "bad")

    def bad():
        raise RuntimeError("in the middle")

    y._backward = bad
    z = (y * 2.0 + x) * 3.0
    with pytest.raises(RuntimeError, match="in the middle"):
        z.backward()
    assert y.grad == 6.0
    y._backward = lambda: None
    x.grad = 0
    z.backward()
    assert x.grad == 6.0  # x's other path saw an adjoint of 3 twice
    y._backward = 5
    with pytest.raises(TypeError):
        z.backward()


def test_row_17_a_closure_that_uses_the_engine(Value):
    x = Value(2.0)
    y = Value(4.0, (x,), "odd")

    def _backward():
        inner = Value(3.0)
        cube = inner * inner * inner
        cube.backward()
        for _ in range(2000):
            cube = cube + 0.0
        x.grad += inner.grad * y.grad
        y._prev = ()

    y._backward = _backward
    z = y + x
    z.backward()
    assert x.grad == 28.0


def test_row_17_a_custom_node_whose_handle_is_gone(Value):
    tanh = closure_tanh(Value)
    x = Value(0.5)
    y = x * 1.0
    for _ in range(5):
        y = tanh(y) * 2.0 + 0.1
    gc.collect()
    y.backward()
    expected = x.grad
    z = x * 1.0
    for _ in range(5):
        z = z.tanh() * 2.0 + 0.1
    x.grad = 0
    z.backward()
    assert expected == pytest.approx(x.grad, rel=1e-14)


# ---- row 18: closures are collected ----


def test_row_18_custom_nodes_with_the_collector(nodes):
    from tapegrad import Value

    tanh, x = closure_tanh(Value), Value(0.5)
    for _ in range(20000):
        y = tanh(x * 2.0)
        y.backward()
    del y
    gc.collect()
    assert nodes() == 1


@pytest.mark.slow
def test_row_18_a_million_custom_nodes_without_the_collector(nodes):
    from tapegrad import Value
    from tapegrad.tape import tape

    tanh, x = closure_tanh(Value), Value(0.5)
    gc.disable()
    try:
        for _ in range(1_000_000):
            y = tanh(x)
        assert len(tape) < 10_000
        del y
        assert nodes() == 1
    finally:
        gc.enable()


def test_row_18_a_chain_of_custom_nodes_goes_too(nodes):
    from tapegrad import Value

    tanh, x = closure_tanh(Value), Value(0.5)
    y = x
    for _ in range(50_000):
        y = tanh(y)
    y.backward()
    assert x.grad != 0
    del y
    gc.collect()
    assert nodes() == 1


def test_row_18_what_a_closure_holds_is_let_go(Value):
    class Big:
        pass

    def make():
        big = Big()
        x = Value(1.0)
        out = Value(2.0, (x,), "big")

        def _backward():
            x.grad += big.size * out.grad

        out._backward = _backward
        return weakref.ref(big), out * 3.0

    ref, y = make()
    gc.collect()
    assert ref() is not None
    del y
    gc.collect()
    assert ref() is None


# ---- row 19: replaced _prev and _op ----


def test_row_19_replaced_prev_and_op(Value):
    x, w = Value(2.0), Value(5.0)
    y = x * x
    y._op = "square"
    assert (y._op, y._children) == ("square", (x, x))
    z = y + w
    y._prev = {x, w}
    assert y._prev == {x, w}
    z.backward()
    assert (x.grad, w.grad) == (4.0, 1)
    y._children = (w,)
    assert y._children == (w,) and y._prev == {w}
    v = w * 2.0
    z._prev = ()  # nothing below z is visited any more
    x.grad = w.grad = 0
    z.backward()
    assert (x.grad, w.grad, y.grad) == (0, 1, 2)
    assert v.data == 10.0
    for bad in ([3], "x", None, 5):
        with pytest.raises(TypeError):
            z._prev = bad
    with pytest.raises(TypeError):
        z._op = None


def test_row_19_a_cycle_neither_hangs_nor_crashes(Value, nodes):
    x = Value(2.0)
    y = x * 3.0
    z = y * y
    y._prev = (z, x)
    x._prev = (x,)
    z.backward()
    assert x.grad == 36.0
    copy.deepcopy(z).backward()
    pickle.loads(pickle.dumps(z)).backward()
    del x, y, z
    gc.collect()
    assert nodes() == 0


# ---- row 25: microgpt's form ----


def test_row_25_local_gradients_are_replaced(Value):
    a, b = Value(2.0), Value(3.0)
    y = a * b
    y._local_grads = [5.0, 6]
    y.backward()
    assert (y._local_grads, a.grad, b.grad, y._op) == ((5.0, 6), 5.0, 6, "*")
    a._local_grads = ()
    for v, given, error, text in [
        (y, (1.0,), ValueError, "1 local gradients for 2 children"),
        (a, (1.0, 2.0), ValueError, "2 local gradients for 0 children"),
        (y, (1.0, "x"), TypeError, "local gradients must be a real number"),
        (y, 3.0, TypeError, "not iterable"),
    ]:
        with pytest.raises(error, match=text):
            v._local_grads = given
    assert (y._local_grads, a._local_grads) == ((5.0, 6), ())


def test_row_25_refused_local_gradients_leave_the_node_what_it_was():
    def f(x):
        y = x * x
        with pytest.raises(ValueError):
            y._local_grads = (1.0,)
        return y

    assert tapegrad.grad(f)(3.0) == 6.0


def test_row_25_local_gradients(Value):
    a, b = Value(2.0), Value(3.0)
    y = Value(7.0, (a, b), (0.5, 2))
    assert (y._children, y._local_grads, y._prev, y._op) == ((a, b), (0.5, 2), {a, b}, "")
    z = y * 3.0
    z.backward()
    assert (a.grad, b.grad) == (1.5, 6.0)
    a.data = 100.0  # local gradients are constants
    z.backward()
    assert a.grad == 1.5 + 0.5 * 6.0
    i = Value(1, (Value(2),), (3,))
    i.backward()
    assert repr(i._children[0].grad) == "3"
    assert Value(1.0, (), ()).data == 1.0
    assert (a * b)._local_grads == (3.0, 100.0)
    assert (Value(3) ** 2)._local_grads == (6,)
    assert (a + b)._local_grads == (1, 1)
    assert Value(4.0).log()._local_grads == (0.25,)
    for args, error in [(((a,), (1.0, 2.0)), ValueError), (((a,), ("x",)), TypeError), (((3,), (1.0,)), TypeError)]:
        with pytest.raises(error):
            Value(1.0, *args)
    zero = Value(1.0, (a,), (math.inf,)) * 0.0
    a.grad = 0
    zero.backward()
    assert a.grad == 0.0


# ---- row 29: pickle, copy, deepcopy ----


def numbers(values):
    return [(repr(v.data), repr(v.grad), v._op, len(v._children)) for v in values]


def everything(v):
    out, todo, seen = [], [v], set()
    while todo:
        v = todo.pop()
        if v not in seen:
            seen.add(v)
            out.append(v)
            todo += v._children
    return numbers(out)


ROUND_TRIPS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle2": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("trip", ROUND_TRIPS)
def test_row_29_leaves(Value, trip):
    x = Value(2, label="x")
    x.grad, x.m = 0.5, [1.0]
    for y in (ROUND_TRIPS[trip](x), copy.copy(x)):
        assert (repr(y), y.label, y.m, y is x) == ("Value(data=2, grad=0.5)", "x", [1.0], False)
    xs = [x, Value(True), Value(-0.0), x]
    ys = ROUND_TRIPS[trip](xs)
    assert numbers(ys) == numbers(xs) and ys[0] is ys[3]
    assert ROUND_TRIPS[trip](Value(1.0, (), "input"))._op == "input"


@pytest.mark.parametrize("trip", ROUND_TRIPS)
def test_row_29_an_mlp(engine, trip):
    if engine.name == "reference" and trip != "deepcopy":
        pytest.skip("the reference's nn of these tests is no importable module")
    from tapegrad import nn

    module = nn if engine.name == "compiled" else engine.nn
    random.seed(3)
    model = module.MLP(2, [3, 1])
    model([1.0, 2.0]).backward()
    twin = ROUND_TRIPS[trip](model)
    assert numbers(twin.parameters()) == numbers(model.parameters())
    y = twin([1.0, 2.0])
    assert y.data == model([1.0, 2.0]).data
    grads = [p.grad for p in model.parameters()]
    y.backward()
    assert [p.grad for p in model.parameters()] == grads
    assert [p.grad for p in twin.parameters()] == [2 * g for g in grads]


@pytest.mark.parametrize("trip", ROUND_TRIPS)
def test_row_29_a_graph(Value, trip):
    x, w = Value(0.5, label="x"), Value(3)
    inner = x * w
    inner.label = "inner"
    y = (inner.leaky_relu(0.1) ** 2 - w / x).tanh() + Value(1.0, (x, w), (0.5, 2.0)) + 2**x + round(w)
    y._op = "top"
    y.backward()
    twin_x, twin = ROUND_TRIPS[trip]((x, y))
    assert everything(twin) == everything(y)
    before = x.grad
    x.grad = twin_x.grad = 0
    y.backward()
    expected, x.grad = x.grad, before
    twin.backward()
    assert (twin_x.grad, x.grad, twin_x.label) == (expected, before, "x")
    labels = {v.label for v in _reach(twin)}
    assert labels == {"", "x", "inner"}


def _reach(v):
    seen, todo = set(), [v]
    while todo:
        v = todo.pop()
        if v not in seen:
            seen.add(v)
            todo += v._children
    return seen


def test_row_29_a_deep_copied_graph_with_closures_goes_into_the_copy(Value):
    x = Value(0.5)
    y = closure_tanh(Value)(x * 2.0) * 3.0
    twin_x, twin = copy.deepcopy([x, y])
    twin.backward()
    assert x.grad == 0 and twin_x.grad == pytest.approx(6 * (1 - math.tanh(1.0) ** 2), rel=1e-15)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(y)


@pytest.mark.parametrize("trip", ROUND_TRIPS)
def test_row_29_deep_graphs_do_not_recurse(Value, trip):
    x = Value(1.0)
    y = x
    for _ in range(5000):
        y = y * 1.0 + 0.0
    x2, y2 = ROUND_TRIPS[trip]((x, y))
    y2.backward()
    assert (x2.grad, x.grad) == (1.0, 0)


def test_row_29_copy_shares_the_operands(Value):
    x = Value(3.0)
    y = x * x
    z = copy.copy(y)
    z.backward()
    assert (z.data, z._children, x.grad, y.grad) == (9.0, (x, x), 6.0, 0)


def test_row_29_subclasses(Value):
    global Tagged

    class Tagged(Value):
        pass

    Tagged.__qualname__ = "Tagged"
    v = Tagged(2.0)
    v.tag = "t"
    w = v * v
    for trip in ROUND_TRIPS.values():
        u = trip(v)
        assert (type(u), u.tag, u.data) == (Tagged, "t", 2.0)
        u, z = trip([v, w])
        assert z._children[0] is u


@pytest.mark.parametrize(
    "nodes_",
    [
        [], [(1,)], [None], [("x",) * 11],
        [(None, "*", [0, 0], None, 1.0, 0, None, None, None, None, None)],
        [("V", "*", [0, 0], None, 1.0, 0, None, None, None, None, None)],
        [("V", "*", [-1, 5], None, 1.0, 0, None, None, None, None, None)],
        [("V", "nonsense", [], None, 1.0, 0, None, None, None, None, None)],
        [("V", "exp", [], None, 1.0, 0, None, None, None, None, None)],
        [("V", "", [], None, "x", 0, None, None, None, None, None)],
        [("V", "", [], None, 1.0, 0, [7], None, None, None, None)],
    ],
)  # fmt: skip
def test_row_29_a_malformed_pickle_is_an_exception(nodes_):
    from tapegrad import Value
    from tapegrad.copies import _restore_graph

    damaged = [tuple(Value if x == "V" else x for x in node) if isinstance(node, tuple) else node for node in nodes_]
    with pytest.raises((ValueError, TypeError, IndexError, AttributeError)):
        _restore_graph(damaged, 0)
    assert (Value(2.0) * 3.0).data == 6.0


# ---- row 30: threads ----


def test_row_30_threads_with_custom_nodes_and_shared_leaves(engine, nodes):
    V, tanh = engine.Value, closure_tanh(engine.Value)
    shared, errors = V(1.0), []

    def work():
        for _ in range(100):
            x = V(0.5)
            y = tanh(x * 2.0) + shared * 0.0
            y.backward()
            if x.grad != (1 - math.tanh(1.0) ** 2) * 1.0 * 2.0:
                errors.append(x.grad)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sys.setswitchinterval(interval)
    assert not errors
    del threads, work
    gc.collect()
    assert nodes() == (1 if engine.name == "compiled" else 0)


def test_row_30_a_value_crosses_threads(Value):
    x = Value(3.0)
    result = []
    t = threading.Thread(target=lambda: result.append(x * x))
    t.start()
    t.join()
    result[0].backward()
    assert x.grad == 6.0


# ---- row 32: see tests/test_run.py ----


def test_both_cores_have_the_same_attributes():
    names = [{n for n in dir(e.Value) if not n.startswith("__")} for e in ENGINES.values()]
    internal = {
        "_data",
        "_grad",
        "_operands",
        "_constants",
        "_rule",
        "_name",
        "_partials_given",
        "_function",
        "_partials",
    }
    assert names[0] - internal == names[1]
