"""Every allocation fails once, in everything that the compiled core does.

As a script: python tests/out_of_memory.py [SCENARIO ...]
Each scenario is run with its first allocation failing, then with its second, and so on until it gets through; then the
same with all allocations from there on failing. Each time there must be a MemoryError and nothing else, every Value must
be as before, the same must then succeed with the right numbers, and no memory may be lost. `--sites` prints the places in
the core's C at which an allocation failed (a build with TAPEGRAD_BUILD=sanitize knows them; .ci/allocations compares).
"""

import argparse
import array
import copy
import fractions
import gc
import itertools
import os
import pickle
import sys
import tempfile
import tracemalloc
import weakref

import _testcapi
import numpy as np

import tapegrad as tg
from tapegrad import program, value
from tapegrad.graph import Graph, from_tape, to_tape
from tapegrad.program import Job, Lanes, Program
from tapegrad.recording import Recorder
from tapegrad.structure import Setting
from tapegrad.tape import tape
from tapegrad.value import Value

ENOUGH = 25  # successes in a row: the allocations that may fail unnoticed do not come in such numbers


class Sub(Value):
    pass


class Plain:
    pass


SCENARIOS = {}


def scenario(setup):
    """Register a pair: what there is before, made by the decorated function, and what it returns, to be done to it."""
    SCENARIOS[setup.__name__] = setup
    return setup


def custom(data, *children):
    """A node of the program's own, with a function."""
    out = Value(data, children, "own")

    def _backward():
        for child in children:
            child.grad += 2.0 * out.grad

    out._backward = _backward
    return out


# ---- Values ----


@scenario
def leaves():
    def run():
        vs = [Value(2.5), Value(3), Value(True), Value(np.float32(1.5)), Value(fractions.Fraction(1, 2)), Value(np.True_),
              Value(1.0, label="x"), Sub(1.0), Sub(2), Value(10**6)]  # fmt: skip
        return [v.data for v in vs]

    return (), run


@scenario
def operators():
    x, y = Value(1.5), Value(300)

    def run():
        out = [x + y, x - y, x * y, x / y, y**x, -x, abs(x), round(x), round(x, 1), x + 2, 2 + x, x - 2, 2 - x, 2 * x, x / 2,
               2 / x, x**2, 2**x, x**0.5, x.maximum(y), x.minimum(2.0), x.leaky_relu(), x.elu(0.5), x.atan2(2), +x]  # fmt: skip
        return [v.data for v in out]

    return (x, y), run


@scenario
def functions():
    x = Value(0.5)
    names = ["relu", "exp", "log", "tanh", "sigmoid", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
             "log1p", "expm1", "log2", "log10", "erf", "erfc", "softplus", "silu", "gelu", "floor", "ceil", "sign",
             "__floor__", "__ceil__", "__abs__", "conjugate"]  # fmt: skip

    def run():
        out = [getattr(x, name)() for name in names]
        return [v.data for v in out] + [tg.hypot(x, 2.0).data, tg.logaddexp(x, x).data]

    return (x,), run


@scenario
def operators_on_nodes_of_the_programs_own():
    a = Value(1.5)
    u, v, w = custom(2.0, a), custom(3.0, a), Value(4.0)
    both, sub = u * v, Sub(0.5)

    def run():
        out = [u + v, u * w, w * u, both + u, both * both, u - v, w - u, u / v, 2 - u, 2 / v, u + 1, 2**u, -u, u.exp(),
               u.elu(0.5), round(u, 1), sub + 1, 1 + sub, 2 * sub, sub - 1, sub / 2, w - sub, w / sub, 1 - sub, 1 / sub,
               -sub, sub + w, w * sub]  # fmt: skip
        return [v.data for v in out]

    return (a, u, v, w, both, sub), run


@scenario
def sums_and_products():
    xs = [Value(float(k)) for k in range(1, 5)]
    own = custom(2.0, xs[0])
    mixed = [xs[0], 2.0, 3, own, True, np.float32(0.5), own]

    def run():
        out = [tg.sum(xs), tg.prod(xs), tg.dot(xs, xs), tg.dot(tuple(xs), [1.0, 2, 3, 4]), tg.dot([2.0, 3], xs)]
        out += [tg.sum(mixed), tg.prod(iter(mixed)), tg.dot(mixed, mixed), tg.dot(iter(mixed), iter(xs))]
        out += [tg.dot(mixed, mixed[::-1]), tg.sum([Sub(1.0), xs[0], Sub(2.0)], xs[1])]
        return [v.data for v in out]

    return (*xs, own), run


@scenario
def subclass_and_its_own_memory():
    def run():
        v = Sub(2.0)
        v.label = "mine"
        v.list = [1]
        w = v * 2.0
        r = weakref.ref(w)
        return [w.data, r() is w, v.list[0]]

    return (), run


@scenario
def reading():
    x, y = Value(1234567), Value(0.5)
    z = x * y + x**3
    x.grad = 70000
    own = Value(2.0, (x, y), (1.0, 300))

    def run():
        x.grad, y.grad, z.grad = 70000, 0, 1.5
        seen = [z.data, x.data, x.grad, z._op, len(z._prev), [c.data for c in z._children], z._local_grads]
        seen += [[(c.data, d) for c, d in z.local_gradients()], [d for _, d in own.local_gradients()], repr(z), str(x)]
        seen += [f"{z:.3f}", f"{x}", z < x, z >= 2.0, z > np.float32(2), hash(z) == hash(z), own._op, own._local_grads]
        seen += [z._children[1]._op, len(z._children[1]._children), (x + 1)._op, [c.data for c in own._children]]
        z._backward()
        return seen

    return (own,), run, ("_backward adds to the grads of the operands", (x, y, z))


@scenario
def walking_through_labels():
    """Values that the program has dropped and the tape keeps, because they have a label."""
    x, own = Value(2.0), custom(3.0)
    y, z = x * 3.0, own * 2.0
    y.label, z.label, z.plain = "y", "z", 1.5
    top = (y + z) * own
    del y, z

    def run():
        inner = top._children[0]
        labels = [c.label for c in inner._children]
        grown = [c * 2.0 for c in inner._children]
        labels += [v.data for v in grown]
        return labels + [c._children[0].data for c in inner._children]

    return (x, own, top), run


@scenario
def nodes_of_the_programs_own():
    a, b = Value(1.5), Value(2)

    def run():
        a.grad, b.grad = 0, 0
        u = Value(3.0, (a, b), "op")
        v = Value(3.0, {a}, (0.5,))
        w = Value(3.0, [u, v, u], [1.0, 2, 300.5])
        own = custom(2.0, a, u)
        (own * w).backward()
        return [x.data for x in (u, v, w)] + [a.grad, b.grad, own.grad]

    return (), run, ("the sweep adds", (a, b))


@scenario
def replacing():
    a, b = Value(1.5), Value(2)
    y = a * b
    built = [y + 1.0, y * y]
    inner = [v * 2.0 for v in built]

    def run():
        y._prev = (b, a)
        y._children = [a, b, a]
        y._local_grads = (1.0, 2, 3.5)
        y._op = "mine"
        y._backward = lambda: None
        seen = [len(y._children), y._local_grads, y._op]
        inner[0]._backward = wrapped(inner[0]._backward)
        return seen

    return (a, b), run, ("each replacement is a step of its own", (y, *built, *inner))


def wrapped(function):
    return lambda: function()


@scenario
def own_state_keeps_what_is_built_on():
    """After the failure a function of y's own must still be found by those who are built on y."""
    a = Value(1.5)
    y = a * 2.0
    built = [y + float(k) for k in range(3)]
    extra = [own * b for b, own in zip(built, [custom(1.0), custom(2.0), custom(3.0)], strict=True)]
    top = tg.sum(extra)
    calls = []

    def run():
        nonlocal y
        if y is not None:
            y._backward = called(calls)
            y = None
        del calls[:]
        top.backward()
        return [len(calls)]

    return (a,), run, ("backward adds", (*built, *extra, top))


def called(calls):
    return lambda: calls.append(1)


@scenario
def attributes():
    x = Value(2.0)
    y = x * 3.0
    x.kept = other = Plain()

    def run():
        x.__dict__["there"] = 1
        y.list = [1, 2]
        y.list = [3]
        y.number = 1.5
        y.me = y
        seen = [x.there, y.list, y.number, x.kept is other]
        del y.list, y.number, y.me, x.there
        try:
            del y.list
        except AttributeError as error:
            seen.append(str(error))
        return seen

    return (), run, ("each assignment is a step of its own", (x, y))


@scenario
def an_attribute_that_cannot_be_kept_is_not_set():
    x = Value(2.0)
    built = [x * float(k) for k in range(3)]
    x.old = ["old"]

    def run():
        x.new = ["new"]
        del x.new
        return [x.old]

    def seen():
        return sorted(vars_of(x)), x.old

    return (x, *built), run, None, seen


def vars_of(v):
    """Its attributes, without making `__dict__` its own state."""
    return [name for name in ("old", "new") if hasattr(v, name)]


# ---- the tape ----


@scenario
def growth():
    x = Value(2.0)

    def run():
        x.grad = 0
        count = min(tape.capacity - len(tape) + 10, 50_000)
        y = tg.sum([x] * count)
        y.backward()
        return [x.grad == y.data / 2.0]

    return (), run, ("the sweep adds", (x,))


@scenario
def growth_by_single_nodes():
    x = Value(2.0)

    def run():
        count = tape.capacity - len(tape) + 3
        y = x
        for _ in range(count if count < 3000 else 3):
            y = y * 1.0
        return [y.data]

    return (x,), run


@scenario
def compaction():
    x = Value(2.0)
    garbage = [x * float(k) for k in range(50)]
    pin = custom(1.0, x)
    label = x * 7.0
    label.label = "with a label"
    top = label * 2.0
    del label

    def run():
        garbage.clear()
        tape.compact()
        rows = [row[1:6] for row in tape.rows(max(1, len(tape) - 5))]
        return [top._children[0].label, len(rows), tape.capacity > 0, tape.max_nodes > 0]

    return (x, pin, top), run, ("the garbage goes", ())


@scenario
def a_full_tape():
    x = Value(2.0)

    def run():
        kept = tape.max_nodes
        tape.max_nodes = len(tape) + 1
        try:
            y = x * 2.0  # two nodes
        except MemoryError:
            y = None
        finally:
            tape.max_nodes = kept
        return [y]

    return (x,), run


@scenario
def deep_and_wide_sweeps():
    """A sweep inside a sweep has memory of its own for the sort: 1024 nodes, then twice that."""
    x = Value(1.0)
    deep = x
    for _ in range(1500):
        deep = deep * 1.0
    wide = tg.sum([x * float(k) for k in range(1500)])
    top = custom_call(deep, wide)

    nodes = [x, deep, wide, top]

    def run():
        for v in every(nodes):
            v.grad = 0
        for v in (deep, wide):
            v.backward()
        top.backward()
        return [x.grad]

    return (), run, ("three sweeps one after the other", (x, deep, wide, top))


def every(roots):
    """These Values and all below them."""
    found, todo = {}, list(roots)
    while todo:
        v = todo.pop()
        if id(v) not in found:
            found[id(v)] = v
            todo += v._children
    return found.values()


def custom_call(*roots):
    out = Value(1.0, (roots[0],), "own")

    def _backward():
        for root in roots:
            root.backward()

    out._backward = _backward
    return out


@scenario
def one_sweep():
    x = Value(1.5)
    own = Value(2.0, (x,), (300.25,))
    y = x
    for _ in range(40):
        y = y * x + own
    nodes = list(every([y]))

    def run():
        for v in nodes:
            v.grad = 0
        y.backward()
        return [x.grad]

    return (), run, ("grads are as far as the sweep came", (x, y, own))


@scenario
def a_sort_that_fails_changes_no_grad():
    x = Value(1.5)
    own = Value(2.0, (x,), (3.0,))
    deep = [own]
    for _ in range(1500):
        deep.append(deep[-1] * x)
    out = [None]

    def inner():
        for v in (x, *deep):
            v.grad = 0
        try:
            deep[-1].backward()
        except MemoryError:
            out[0] = x.grad
            raise

    def run():
        inner()
        seen, x.grad = x.grad > 0, 0
        return [seen]

    return (), run, ("checked here", (x, own, *deep)), lambda: out[0] in (None, 0)


@scenario
def long_chains_of_state_die():
    """Values that keep one another alive, 500 deep: dying must take no memory."""

    def run():
        v = custom(1.0)
        for _ in range(500):
            v = Sub(v.data) if v is None else Value(1.0, (v,), "own")
        n = len(tape)
        v = None
        return [len(tape) - n]

    return (), run


# ---- copies ----


def copied():
    x, y = Value(1.5), Value(300)
    x.label = "x"
    own = Value(2.0, (x, y), (1.0, 2.0))
    z = (x * y + own).tanh() ** 3
    z.note = [1]
    return x, y, own, z


@scenario
def copies():
    x, y, own, z = copied()

    def run():
        c, d = copy.copy(z), copy.deepcopy(z)
        w = copy.copy(own)
        e = copy.deepcopy(custom(2.0, x))
        e.backward()
        return [c.data, d.data, d._op, d.note, w._local_grads, copy.copy(x).label]

    return (x, y, own, z), run


@scenario
def pickles():
    x, y, own, z = copied()

    def run():
        back, leaf, sub = pickle.loads(pickle.dumps((z, x, Sub(3.0))))
        back.backward()
        own.__reduce_ex__(2)
        return [back.data, leaf.label, type(sub) is Sub, back._children[0]._children[0]._children[0].data]

    return (x, y, own, z), run


# ---- recordings ----


def price(x, y):
    z = tg.exp(-x * y) + tg.where(x > y, x * y, y / x) + tg.sqrt(x * x + y * y)
    return z.maximum(x) * 3.0 if x < 3.0 else z * y


@scenario
def recorded_functions():
    def run():
        f = tg.record(price)
        return [f(1.5, 2.5), f(4.0, 2.0), tg.value_and_grad(price, (0, 1))(1.5, 2.5)]

    return (), run


@scenario
def derivatives_of_derivatives():
    def run():
        f = lambda x: x**3 * tg.sin(x)  # noqa: E731
        v = np.array([1.0, 2.0])
        g = lambda x: x[0] * x[1] + tg.log(x[0]) * x[1] ** 2  # noqa: E731
        return [tg.grad(tg.grad(f))(1.5), tg.hessian(g)(v).tolist(), tg.jvp(g)((v,), (v,)), tg.hvp(g)(v, v).tolist(),
                tg.jacobian(lambda x: [x[0] * x[1], x[1]])(v)[0].tolist()]  # fmt: skip

    return (), run


@scenario
def recorded_functions_of_values():
    w, b = Value(0.5), Value(2.0)

    def run():
        f = tg.record(lambda x: w * x + tg.tanh(b) * x)
        y = f(3.0)
        z = f(Value(2.0)) * w
        w.grad, b.grad = 0, 0
        z.backward()
        return [y.data, z.data, w.grad, b.grad]

    return (), run, ("backward adds", (w, b))


@scenario
def batches():
    xs = np.linspace(0.5, 2.5, 40)
    w = Value(2.0)

    def run():
        f = tg.vmap(price, (0, None), threads=1)
        mean = tg.vmap(lambda x: (w * x) ** 2, reduce="mean", threads=1)
        m = mean(xs)
        w.grad = 0
        m.backward()
        return [f(xs, 2.0).sum(), m.data, w.grad]

    return (), run, ("backward adds", (w,))


@scenario
def refused_in_a_recording():
    def run():
        seen = []
        for bad in (lambda x: x.data, lambda x: x * float(x.data > 1), lambda x: round(x, 2), lambda x: x.grad,
                    lambda x: x.backward(), lambda x: setattr(x, "data", 1)):  # fmt: skip
            try:
                tg.record(bad)(2.0)
            except TypeError as error:
                seen.append(type(error).__name__)
        return [*seen, tg.record(lambda x: Value(3.0).data * x)(2.0)]

    return (), run


@scenario
def a_recording_ends_whatever_happens():
    def run():
        with Recorder() as recorder:
            recorder.guard(Value(1.0) < 2.0 and Value(3.0), 1.0)
        return [value._recorder() is None]

    return (), run, None, lambda: value._recorder() is None


@scenario
def steps_of_a_recording():
    def run():
        with Recorder() as recorder:
            x, y = value._leaves(np.array([1.5, 2.0]))
            recorder.inputs = [x, y]
            c = value._apply("<", x, y)
            z = value._select(c, x * y, x, recorder.selects)
            w = value._apply("copy", z)
            i = value._index_of(w)
            graph, nodes, others = from_tape([value._index_of(x)], [i], recorder.start, recorder.selects, True)
            made = to_tape(graph, [value._index_of(y)], nodes, recorder.selects)
            again = value._value_at(made[0])
            return [value._peek(w), value._peek(again), len(others), graph.size]

    return (), run


# ---- graphs and programs ----


def a_graph(n=300):
    """Beyond what small ints and first allocations do: a graph of more than 256 nodes."""
    codes = {name: k for k, name in enumerate(program.OPERATIONS)}
    rows = [(1, 0, 0, 0, 0.0), (1, 1, 0, 0, 0.0), (0, 0, 0, 0, 2.5)]
    names = ["*", "+", "sin", "select", "-", "tanh", "**n", "maximum", "neg", "zmul"]
    for k in range(n):
        last = len(rows) - 1
        rows.append((codes[names[k % len(names)]], last, 2 if k % 3 else 1, k % 2, 0.0))
    columns = list(zip(*rows, strict=True))
    types = [np.uint8, np.int32, np.int32, np.int32, np.float64]
    return Graph.from_arrays(*[np.array(c, dtype=t) for c, t in zip(columns, types, strict=True)])


@scenario
def graphs():
    def run():
        g = a_graph()
        last = g.size - 1
        one = g.new_number(1.0)
        nodes = g.reverse([last], [one], [0, 1, 0])
        more = g.forward([0, 1], [one, one], [last, nodes[0]])
        x = np.array([0.5, 1.25])
        best, at = g.optimised([last, *nodes, *more])
        best.fused(at)
        extra = g.new_input()
        return [g.evaluate(np.array([0.5, 1.25, 1.0]))[last], [best.evaluate(x)[k] for k in at], g.size, extra, len(g.used(nodes)),
                g.operation(last), g.operation(2), g.is_number(2), g.input_nodes(), len(g.arrays()[4]), g.inputs]  # fmt: skip

    return (), run


@scenario
def adding_to_a_graph_is_all_or_nothing():
    g = a_graph()

    def run():
        n = g.inputs
        g.new_input()
        return [g.inputs - n]

    return (), run, None, lambda: (g.size, g.inputs)


@scenario
def a_graph_with_origins():
    """After a failure the numbers of origin still belong to their nodes."""
    x = Value(0.5)
    with Recorder() as recorder:
        y = x
        for _ in range(200):
            y = (y * 1.5).sin()
        found = from_tape([], [value._index_of(y)], recorder.start, recorder.selects, True)
    g, (last,), others = found
    del y, recorder, found

    def run():
        one = g.new_number(1.0)
        g.reverse([last], [one], g.input_nodes())
        best, at = g.optimised([last, g.size - 1])
        return [len(g.origins) == g.size, len(best.origins) == best.size]

    return (x,), run, None, lambda: len(g.origins) == g.size


@scenario
def a_deep_recording():
    def run():
        def f(x):
            y = x
            for k in range(300):
                y = y * x + float(k) if k % 2 else y.sin()
            return y

        return [tg.grad(f)(0.5)]

    return (), run


@scenario
def programs():
    g = a_graph()
    guards = [(5, 1.0, ("file.py", 300)), (2, 2.5, ("file.py", 4)), (5, 1.0, ("file.py", 300)), (9, 0.5, ("other.py", 1))]

    def run():
        last = g.size - 1
        p = Program(g, [last, 5, 0], guards)
        free = Program(g, [last, 5])
        x = [0.5, 1.25]
        out = np.empty(2)
        seen = [p.run(np.array(x), np.empty(3)), free.run(np.array(x), out), out.tolist(), free(x).tolist()]
        try:
            p(x)
        except ValueError as error:
            seen.append(str(error))
        seen += [repr(p), str(p)[:50], len(p.listing()), p.outputs, p.inputs, p.operations, p.recorded, p.guards]
        return [*seen, str(Program(a_graph(20), [22]))]

    return (), run


@scenario
def saved_programs():
    g = a_graph()
    p = Program(g, [g.size - 1, 5], [(5, 1.0, ("file.py", 300))])

    def run():
        data = p.to_bytes()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "p.tape")
            p.save(path)
            again = tg.load(path)
        back = pickle.loads(pickle.dumps(p))
        return [again.to_bytes() == data, back.to_bytes() == data]

    return (), run


@scenario
def lanes_and_jobs():
    g = a_graph()
    p = Program(g, [g.size - 1, 5, 3], [(5, 1.0, ("file.py", 300)), (9, 0.5, ("other.py", 1))])
    xs = np.linspace(0.1, 0.9, 50)
    table = np.stack([xs, xs], axis=1)
    shared = np.array([0.0, 1.25])

    def run():
        lanes, both, probing = Lanes(p, b"\1\0"), Lanes(p, b"\1\1", exact=True), Lanes(p, b"\1\0", guards=True)
        out = np.empty((50, 3))
        sums = np.empty(3)
        failed, outcomes = np.empty(50, dtype=np.int32), np.empty(50)
        first = [xs] * len(lanes.wide)
        job = Job(lanes, first, shared, 50, None, [out[:, 0], None, out[:, 2]])
        job.run(0, sums[:1])
        some = Job(both, [table[:, 0], xs.astype(np.float32)], shared, 50, np.arange(0, 50, 7), [None] * 3)
        some.run(0, sums)
        Job(probing, [xs] * len(probing.wide), shared, 50, None, [None, None]).run(0, np.empty(2), failed, outcomes)
        return [out[:, 0].sum(), sums.tolist(), failed.sum(), outcomes.sum(), lanes.operations, job.sums, some.size]

    return (), run


@scenario
def jobs_that_are_refused():
    g = a_graph()
    p = Program(g, [g.size - 1])
    lanes = Lanes(p, b"\1\0")
    xs, shared = np.linspace(0.1, 0.9, 50), np.array([0.0, 1.25])

    def run():
        seen = []
        for call in (
            lambda: Job(lanes, [], shared, 50, None, [None]), lambda: Job(lanes, [xs], shared, 49, None, [None]),
            lambda: Job(lanes, [b"1234"], shared, 50, None, [None]), lambda: Lanes(p, b"\1"), lambda: Program(g, [9999]),
            lambda: Job(lanes, [xs], shared, 50, np.array([300]), [None]), lambda: g.operation(100000),
            lambda: p.run(shared, shared), lambda: Job(lanes, [xs], shared, 50, None, [None]).run(3, np.empty(1)),
            lambda: Graph.from_arrays(*[np.zeros(1, dtype=t) for t in "Biii"], np.zeros(2)), lambda: g.new_input(1),
            lambda: tg.program.from_bytes(b"TAPEGRAD" * 20), lambda: g.reverse([1], [1, 2], [1]), lambda: g.used(["x"]),
            lambda: Program(p.graph, [0]).graph.new_number(1.0), lambda: Job(lanes, [xs], shared, 50, None, [xs[::2]]),
        ):  # fmt: skip
            try:
                call()
            except (ValueError, TypeError, IndexError) as error:
                seen.append(f"{type(error).__name__}: {error}")
        return seen

    return (), run


@scenario
def values_that_are_refused():
    x, zero = Value(2.0), Value(0.0)

    def run():
        seen = []
        x.grad = zero.grad = 0
        x.data = 2.0
        for call in (
            lambda: Value("x"), lambda: Value(x), lambda: Value(np.zeros(2)), lambda: Value(1.0, (1,)), lambda: Value(1.0, (x,), 3),
            lambda: Value(1.0, (x,), (1.0, 2.0)), lambda: Value(1.0, (x,), ("y",)), lambda: x + "y", lambda: x ** "y",
            lambda: zero**-1, lambda: (-x).log(), lambda: x * 1e308 * 1e308, lambda: (x * 1000).exp(), lambda: 1 / zero,
            lambda: (x * 1e308 * 10).floor(), lambda: Value(float("nan")).ceil(), lambda: (-x) ** 0.5, lambda: x**1e10,
            lambda: float(x), lambda: pow(x, 2, 3), lambda: setattr(x, "data", "y"), lambda: setattr(x, "grad", None),
            lambda: setattr(x, "_op", 3), lambda: setattr(x, "_prev", (1,)), lambda: setattr(x * 2, "_local_grads", (1.0,)),
            lambda: delattr(x, "data"), lambda: delattr(x, "nothing"), lambda: x < "y", lambda: x.maximum("y"),
            lambda: x.elu("y"), lambda: tg.sum([x, "y"]), lambda: tg.dot([x], ["y"]), lambda: tape.rows(0),
            lambda: setattr(tape, "max_nodes", -1), lambda: value._restore_graph([], 0), lambda: value._value_at(-1),
            lambda: value._restore_graph([(Value, "no such", [], None, 1.0, 0)], 0), lambda: value._apply("no such", x),
            lambda: value._restore_graph([(Value, "*", [], None, 1.0, 0)], 0), lambda: value._restore_leaf(int, 1, 0, None),
        ):  # fmt: skip
            try:
                call()
            except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError) as error:
                seen.append(f"{type(error).__name__}: {error}")
        return seen

    return (x, zero), run


# ---- running them ----


def things(values):
    """What can be seen of these Values."""
    return [(v.data, v.grad, v._op, [id(c) for c in v._children] if v._op == "own" else len(v._children)) for v in values]


def drained():
    """All Values and states in the core's lists of free ones, taken, so that those of a scenario are allocated."""
    return [Value(0.0) for _ in range(1100)] + [Sub(0.0) for _ in range(300)]


def fail(run, start, stop):
    """(result, error) of a run in which the allocations from number `start` to before `stop` fail; 0 means all."""
    result = error = None
    gc.collect()  # empties the interpreter's own free lists
    gc.disable()
    _testcapi.set_nomemory(start, stop)
    try:
        result = run()
    except BaseException as found:
        error = found
    finally:
        _testcapi.remove_mem_hooks()
        gc.enable()
    return result, error


class Failure(AssertionError):
    pass


def made(setup):
    """(before, run, excused, extra): see `scenario`."""
    got = (*setup(), None, None)
    before, run, excused, extra = got[:4]
    return before, run, excused, extra


def need(condition, *what):
    if not condition:
        raise Failure(*what)


def attempt(setup, expected, start, stop, sites):
    """One failure; whether it was noticed."""
    before, run, excused, extra = made(setup)
    kept = drained()
    shown = things(before)
    seen = extra() if extra is not None else None
    nodes = tape.compact()
    result, error = fail(run, start, stop)
    where = f"allocation {start} to {stop or 'the last'}"
    ours = True
    if error is None:
        need(result == expected, where, "a failure that was swallowed changed the result", result, expected)
    else:
        need(isinstance(error, MemoryError), where, "in place of a MemoryError", error)
        ours = note_sites(error, sites)
        error.__traceback__ = None
    del result
    failed = error is not None
    error = None
    if failed and seen is not None:
        need(extra() == seen, where, "changed", seen, extra())
    need(things(before) == shown, where, "Values have changed", shown, things(before))
    if failed:
        if excused is None:
            gc.collect()
            need(tape.compact() == nodes, where, "nodes are left behind", tape.compact() - nodes)
        else:
            for v in excused[1]:
                v.grad = 0
        again = run()
        need(again == expected, where, "afterwards it gives something else", again, expected)
    return failed, ours


def note_sites(error, sites):
    """Note the frames of the compiled core: function, file and line of the pyx, and, in a build that knows it, of the C.

    Whether there are any: what the interpreter loses when it cannot even call us is its own.
    """
    tb = error.__traceback__
    ours = False
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename.endswith((".pyx", ".pxd")):
            ours = True
            sites.add((os.path.basename(code.co_filename), tb.tb_lineno, code.co_name))
        tb = tb.tb_next
    return ours


def leak(call, times=8):
    """How many bytes more there are after each of several calls in a row; 0 if there is one call that adds none."""
    used = array.array("q", [0, 0])
    least = None
    for _ in range(times):
        gc.collect()
        used[0] = tracemalloc.get_traced_memory()[0]
        call()
        gc.collect()
        used[1] = tracemalloc.get_traced_memory()[0]
        least = used[1] - used[0] if least is None else min(least, used[1] - used[0])
        if least <= 0:
            return 0
    return least


def check(name, sites):
    """Let every allocation of a scenario fail; how many failures there were."""
    setup = SCENARIOS[name]
    for _ in range(3):
        before, run, excused, extra = made(setup)
        expected = run()
    del before, run, excused, extra
    counts = []
    tracemalloc.start()
    for width in (1, 0):
        in_a_row = failures = 0
        for start in itertools.count():
            stop = start + width if width else 0
            failed, ours = attempt(setup, expected, start, stop, sites)
            growth = ours and leak(lambda start=start, stop=stop: attempt(setup, expected, start, stop, sites))
            need(not growth, f"allocation {start} to {stop or 'the last'}", f"{growth} bytes are lost each time")
            failures += failed
            in_a_row = 0 if failed else in_a_row + 1
            if in_a_row >= (ENOUGH if width else 3):
                break
        counts.append(failures)
    tracemalloc.stop()
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", default=[])
    parser.add_argument("--sites", help="a file for the places at which allocations failed")
    options = parser.parse_args()
    sites = set()
    status = 0
    for name in options.scenarios or SCENARIOS:
        try:
            alone, all_after = check(name, sites)
        except Failure as error:
            print(f"{name}: {error}", flush=True)
            tracemalloc.stop()
            status = 1
        else:
            print(f"{name}: {alone} allocations failed one at a time, {all_after} with all after them", flush=True)
    if options.sites:
        with open(options.sites, "w") as file:
            file.writelines(f"{file_name}:{line} {function}\n" for file_name, line, function in sorted(sites))
    return status


if __name__ == "__main__":
    sys.exit(main())
