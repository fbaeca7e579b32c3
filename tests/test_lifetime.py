"""Nothing leaks, and nobody calls reset: exact node counts, in the orders that hurt."""

import gc
import random
import weakref

import pytest

import tapegrad
from tapegrad import Value, dot, prod
from tapegrad.nn import MLP
from tapegrad.tape import tape


@pytest.fixture(autouse=True)
def without_the_cycle_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_dropped_graph_returns_its_nodes_at_once():
    before = len(tape)
    x = Value(2.0)
    y = (x * 3 + 1) / (x - 2.5)
    y.backward()
    assert len(tape) == before + 10  # x; 3, *; 1, +; -2.5, +; -1, **-1; *
    del y
    assert len(tape) == before + 1
    del x
    assert len(tape) == before


def test_what_a_live_value_needs_stays(nodes):
    x = Value(2.0)
    y = x * x
    z = y * 3.0
    del y
    z.backward()
    assert x.grad == 12.0 and nodes() == 4


@pytest.mark.parametrize("order", ["oldest", "newest", "random"])
def test_handles_dropped_in_any_order(order, nodes):
    kept = [Value(float(i)) for i in range(5000)]
    results = [v * 2.0 + 1.0 for v in kept]
    assert nodes() == 25000
    rng = random.Random(3)
    while results:
        k = {"oldest": 0, "newest": -1, "random": rng.randrange(len(results))}[order]
        del results[k], kept[k]
        if len(results) % 500 == 0:
            assert nodes() == 5 * len(results)
    assert nodes() == 0


def test_results_kept_in_a_list_pin_only_what_they_need(nodes):
    kept = []
    for i in range(3000):
        t = Value(float(i))
        for _ in range(10):
            t = t * 1.5 + 1.0
        kept.append(Value(t.data))  # the number, not the graph
        assert len(tape) < 20000
    del t
    assert nodes() == 3000


def test_parameters_replaced_by_new_leaves_each_step(nodes):
    params = [Value(0.5) for _ in range(20)]
    for _ in range(300):
        loss = dot(params, [1.0] * 20)
        loss = loss * loss
        for p in params:
            p.grad = 0
        loss.backward()
        params = [Value(p.data - 0.001 * p.grad) for p in params]
        del loss
        assert len(tape) < 2000
    del p
    assert nodes() == 20


def test_a_training_loop_of_any_length_runs_in_constant_memory(nodes):
    random.seed(1)
    model = MLP(2, [4, 1])
    history, best = [], None
    count = nodes()
    for _ in range(500):
        y = model([0.5, -1.0])
        loss = (y - 1.0) ** 2
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.01 * p.grad
        history.append(loss.data)
        if best is None or loss < best:
            best = loss
        assert len(tape) < 20 * count + 2000
    del y, loss, best
    assert nodes() == count


@pytest.mark.slow
def test_a_million_steps_of_a_small_graph():
    w, b = Value(0.1), Value(0.0)
    before, capacity = len(tape), tape.capacity
    for _ in range(1_000_000):
        loss = (w * 2.0 + b - 1.0) ** 2
        w.grad = b.grad = 0
        loss.backward()
        w.data -= 0.01 * w.grad
        b.data -= 0.01 * b.grad
    del loss
    assert (len(tape), tape.capacity) == (before, capacity)
    assert w.data * 2.0 + b.data == pytest.approx(1.0)


def test_a_value_high_up_does_not_pin_garbage_for_ever(nodes):
    pin = None
    for _ in range(200):
        x = Value(1.0)
        for _ in range(100):
            x = x * 1.01
        pin = Value(x.data)
    assert len(tape) < 5000
    del x
    assert nodes() == 1 and pin.data > 1.0


def test_labels_and_plain_attributes_go_with_their_nodes(nodes):
    x = Value(1.0)
    for _ in range(3000):
        y = x * 2.0
        y.label, y.size = "double", 3.5
        z = y + 1.0
        del y
        assert z._children[0].label == "double"
        del z
        assert nodes() == 1


def test_labelled_values_that_were_dropped_do_not_survive_compaction(nodes):
    pins = []
    for i in range(3000):
        v = Value(float(i))
        v.label = "v"
        w = v * 2
        del v
        pins.append(Value(w.data))
        del w
    assert nodes() == 3000


def test_attributes_that_hold_references_are_kept_by_what_is_built_on_them(nodes):
    x = Value(1.0)
    y = x * 2.0
    z = y + 1.0
    y.history = [1, 2]  # set after z was built
    del y
    assert z._children[0].history == [1, 2]
    w = z * z
    del z
    assert w._children[0]._children[0].history == [1, 2]
    del w
    assert nodes() == 1


def test_a_cycle_through_attributes_is_collected(nodes):
    class Big:
        pass

    for _ in range(100):
        x = Value(1.0)
        x.me = x
        x.payload = Big()
        alive = weakref.ref(x.payload)
        y = x * 2.0
        x.parent = y
        del x, y
    gc.collect()
    assert alive() is None and nodes() == 0


def test_dict_of_a_value(Value, nodes):
    v = Value(1.0)
    v.a = 1
    assert vars(v) is v.__dict__ or vars(v) == v.__dict__
    assert v.__dict__["a"] == 1
    v.__dict__["b"] = v
    assert v.b is v
    del v.a
    with pytest.raises(AttributeError):
        v.a  # noqa: B018
    with pytest.raises(AttributeError):
        del v.data
    del v
    gc.collect()
    assert nodes() == 0


def test_weak_references(nodes):
    v = Value(1.0)
    ref = weakref.ref(v)
    assert ref() is v
    del v
    assert ref() is None
    called = []
    w = Value(2.0, label="parked")
    keep = w * 2
    ref = weakref.ref(w, lambda r: called.append(Value(3.0) * 2))
    del w, keep
    assert len(called) == 1
    called.clear()
    assert nodes() == 0


def test_sum_dot_prod_leave_only_their_result(nodes):
    xs = [Value(float(i)) for i in range(10)]
    t = tapegrad.sum(xs)
    assert nodes() == 10 + 11
    t = dot(xs, xs)
    assert nodes() == 10 + 21
    t = prod(x * 2.0 for x in xs)
    assert nodes() == 10 + 31
    t = tapegrad.sum(Value(1.0) for _ in range(100))
    assert nodes() == 10 + 201
    del t
    assert nodes() == 10


def test_an_exception_in_the_middle_of_a_sum_leaves_nothing(nodes):
    def items():
        yield Value(1.0)
        yield Value(2.0)
        raise RuntimeError("stop")

    for function in (tapegrad.sum, prod, lambda xs: dot(xs, [1.0] * 5)):
        with pytest.raises(RuntimeError, match="stop"):
            function(items())
    for items_ in (["x"], [Value(1.0), "x"], [Value(1.0), None, 2.0]):
        with pytest.raises(TypeError):
            tapegrad.sum(items_)
    del items_
    assert nodes() == 0


def test_collection_during_construction(nodes):
    """A collection may start in the allocation of a result, run finalizers that use Values, and move nodes."""
    gc.enable()
    threshold = gc.get_threshold()

    class Finalized:
        def __del__(self):
            (Value(1.0) * 2.0 + 3.0).backward()
            tape.compact()

    gc.set_threshold(5, 1, 1)
    try:
        pins = []
        for i in range(2000):
            f = Finalized()
            f.me = f
            x = Value(float(i))
            y = x * 2.0 + x
            z = y - x / 4.0
            pins.append((y, z))
            assert y._children[0]._children[0] is x and y.data == 3.0 * i
            if i % 3:
                pins.pop(random.randrange(len(pins)))
        for y, z in pins:
            assert z.data == y.data - y.data / 3.0 / 4.0 or y.data == 0.0 or abs(z.data / y.data - 11 / 12) < 1e-12
    finally:
        gc.set_threshold(*threshold)
    del pins, x, y, z, f
    gc.collect()
    assert nodes() == 0


def test_reusing_init_and_new(Value, nodes):
    v = Value.__new__(Value)
    if Value is tapegrad.Value:
        assert repr(v) == "Value(data=0, grad=0)"
    y = Value(2.0)
    z = y * 3.0
    y.__init__(5)
    assert repr(y) == "Value(data=5, grad=0)"
    z.backward()
    assert y.grad == 3.0
    z.__init__(1.0, (y,), "mine")
    assert (z._children, z._op, z.data) == ((y,), "mine", 1.0)
    z.__init__(2.0)
    assert (z._children, z._op, z.data) == ((), "", 2.0)
    del v, y, z
    gc.collect()
    assert nodes() == 0
