"""Every allocation fails once, in what Values, the tape and recordings do.

As a script: python tests/out_of_memory.py [SCENARIO ...]
Each scenario is run with its first allocation failing, then with its second, and so on until it gets through; then the
same with all allocations from there on failing. Each time there must be a MemoryError and nothing else, every Value
must be as before, no node may be left, and the same must then succeed with the right numbers. `--sites` writes the
lines of the core at which an allocation failed. `--leaks` repeats each failure, and no memory may be lost.
"""

# ruff: noqa: E501

import _testcapi
import argparse
import copy
import fractions
import functools
import gc
import itertools
import linecache
import multiprocessing
import os
import pickle
import re
import sys
import tempfile
import tracemalloc
import weakref
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import tapegrad as tg
from tapegrad import value
from tapegrad.graph import Graph, from_tape, to_tape
from tapegrad.program import Job, Lanes, Program, from_bytes, load
from tapegrad.recorder import Recorder
from tapegrad.tape import Still, tape
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
    """A node of the program's own, with a function; none with cells: see `INTERPRETER`."""
    out = Value(data, children, "own")
    out._backward = functools.partial(add_twice, out, children)
    return out


def add_twice(out, children):
    for child in children:
        child.grad += 2.0 * out.grad


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
    return functools.partial(function)


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
    return functools.partial(calls.append, 1)


@scenario
def state_that_comes_after_something_has_been_built():
    """At once, and for many at once; after the failure those built on a Value must still find its state."""
    notes = [[k] for k in range(100)]

    def run():
        x = Value(1.5)
        y = x * 2.0
        x.note = notes[0]
        del x
        leaves = [Value(float(k)) for k in range(100)]
        total = tg.sum(leaves[1:], leaves[0])
        for leaf, note in zip(leaves, notes, strict=True):
            leaf.note = note
        del leaves, leaf
        found = []
        while len(total._children) == 2:
            total, leaf = total._children
            found += leaf.note
        return [y._children[0].note[0], *found, *total.note]

    return (), run


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
    full = tg.sum([x] * (tape.capacity - len(tape) - 100)) if tape.capacity < 100_000 else x  # it doubles each time

    def run():
        count = tape.capacity - len(tape) + 3
        y = x
        for _ in range(count if count < 3000 else 3):
            y = y * 1.0
        return [y.data]

    return (x, full), run


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


# ---- copies ----


@scenario
def copies_of_labels():
    x = Value(2.0)
    x.label = "x"

    def run():
        return [copy.copy(x).label]

    return (x,), run


# ---- recordings ----


@scenario
def a_recording_ends_whatever_happens():
    def run():
        with Recorder() as recorder:
            recorder.guard(Value(1.0) < 2.0 and Value(3.0), 1.0)
        return [value._recorder() is None]

    return (), run, None, lambda: value._recorder() is None


# ---- graphs ----


def tape_nodes():
    """Two leaves and what is built on them, with the tape's number of the first."""
    x, y = Value(0.5), Value(1.5)
    return x, y, (x * y + x.sin()) * y - x**2 / y


def small_graph(derived=True):
    """(graph, its inputs, its output): a few operations, of which one occurs twice."""
    x, y, z = tape_nodes()
    at = [value._index_of(v) for v in (x, y, z)]
    g, roots, _ = from_tape(at[:2], at[2:], at[0])
    return (g, g.input_nodes(), roots[0]) if derived else g


def numbers_of(g):
    return g.evaluate(np.array([0.5, 1.5][: len(g.input_nodes())]))


def whole(g):
    """What can be seen of a graph."""
    return lambda: g.arrays()


@scenario
def a_graph_of_the_tape():
    older = Value(3.0)
    x, y, z = tape_nodes()
    w = z * older + y

    def run():
        at = [value._index_of(v) for v in (x, y, z, w)]
        g, roots, others = from_tape(at[:2], at[2:], at[0], True)
        h, _, _ = from_tape(at[:2], at[3:], at[0])
        return [roots, len(others), g.arrays(), h.arrays()]

    return (older, x, y, z, w), run


@scenario
def a_deep_graph_of_the_tape():
    x = Value(0.5)
    deep = [x]
    for _ in range(600):
        deep.append(deep[-1] + x)

    def run():
        at = [value._index_of(deep[k]) for k in (0, -1)]
        return [len(from_tape(at[:1], at[1:], at[0])[0].arrays()[0])]

    return deep, run


@scenario
def a_graph_back_on_the_tape():
    g, _, root = small_graph()
    x, y = Value(0.5), Value(1.5)

    def run():
        with Still():
            at = [value._index_of(x), value._index_of(y)]
            return [tape.rows(node)[0][5] for node in to_tape(g, at, [root])]

    return (x, y), run, None, whole(g)


@scenario
def reading_a_graph():
    g, _, root = small_graph()
    point = np.array([0.5, 1.5])

    def run():
        out = [g.evaluate(point), g.used([root]), g.arrays(), g.input_nodes()]
        out.append([g.operation(k) for k in range(4)])
        out.append(g.is_number(root))
        return out

    return (), run, None, whole(g)


@scenario
def a_graph_of_arrays():
    arrays = [
        np.frombuffer(b, t) for b, t in zip(small_graph(False).arrays(), ("u1", "i4", "i4", "i4", "f8"), strict=True)
    ]

    def run():
        return [Graph.from_arrays(*arrays).arrays()]

    return (), run


@scenario
def a_graph_is_added_to():
    g, _, _ = small_graph()
    nodes = [None] * 200

    def run():
        h = Graph()
        for k in range(200):
            nodes[k] = h.new_number(float(k)) if k % 2 else h.new_input()
        return [nodes[-1], len(h.arrays()[0])]

    return (), run, None, whole(g)


@scenario
def adding_to_a_graph_that_is_full():
    g = Graph()
    for k in range(64):
        g.new_number(float(k))

    def run():
        return [g.new_number(1.0) >= 64]

    return (), run, ("it grows", ()), lambda: g.arrays()[4][: 8 * 64]


@scenario
def reverse_and_forward():
    def run():
        g, inputs, root = small_graph()
        seed = g.new_number(1.0)
        found = g.reverse([root], [seed], inputs)
        found += g.forward(inputs, [seed, seed], [root])
        found += g.reverse(found[:1], [seed], inputs)
        return [found, numbers_of(g)]

    return (), run


def branching_graph():
    with Recorder():
        x, y = Value(0.5), Value(1.5)
        z = tg.where(x < y, x * y + y, x - y) - x * y
        at = [value._index_of(v) for v in (x, y, z)]
        g, roots, _ = from_tape(at[:2], at[2:], at[0], True)
    return g, g.input_nodes(), roots[0]


@scenario
def a_graph_that_chooses():
    def run():
        g, inputs, root = branching_graph()
        seed = g.new_number(1.0)
        found = [root, *g.reverse([root], [seed], inputs), *g.forward(inputs, [seed, seed], [root])]
        h, places = g.optimised(found)
        k, again = h.fused(places)
        return [places, again, numbers_of(h), numbers_of(k)]

    return (), run


@scenario
def the_first_step_of_a_recording_chooses():
    condition, x, y = Value(1.0), Value(2.0), Value(3.0)

    def run():
        with Recorder():
            return [value._peek(value._select(condition, x, y))]

    return (condition, x, y), run


@scenario
def optimising_a_graph():
    g, nodes, root = small_graph()
    seed = g.new_number(1.0)
    wanted = [root, *g.reverse([root], [seed], nodes)]

    def run():
        h, places = g.optimised(wanted)
        k, again = h.fused(places)
        return [places, again, h.arrays(), k.arrays()]

    return (), run, None, whole(g)


@scenario
def a_derivative_that_fails_leaves_the_graph_as_it_was():
    g, nodes, root = small_graph()
    seed = g.new_number(1.0)

    def run():
        return [len(g.reverse([root], [seed], nodes)), len(g.forward(nodes, [seed, seed], [root]))]

    return (), run, ("each adds what it made", ()), lambda: [numbers_of(g)[: root + 1], g.input_nodes()]


def short_of_memory(error):
    """Whether that is what the interpreter makes of a MemoryError of its own.

    CPython 3.11 loses the error where there is no memory for the frame of a traceback, which then is not in it (with
    `int("x")` as well); pickle says that an import failed; a file, that there is no memory for its lock.
    """
    if isinstance(error, SystemError):
        tb = error.__traceback__
        while tb.tb_next is not None:
            tb = tb.tb_next
        return str(error) == "error return without exception set" and tb.tb_frame.f_code.co_filename.endswith(".py")
    return "import of module" in str(error) or "can't allocate read lock" in str(error)


def refusals(calls):
    """The kinds of errors, none of which is a MemoryError."""
    seen = []
    for call in calls:
        try:
            call()
        except MemoryError:
            raise
        except Exception as error:
            if short_of_memory(error):
                raise MemoryError from error
            seen.append(type(error).__name__)
        else:
            seen.append(None)
    return seen


# ---- programs ----


def small_program():
    g, inputs, root = small_graph()
    return g, [root, *g.reverse([root], [g.new_number(1.0)], inputs)]


def guarded_program():
    g, at = small_program()
    return Program(g, at, [(at[0], numbers_of(g)[at[0]], ("here.py", 3))])


@scenario
def a_program_is_made():
    g, at = small_program()
    guards = [(at[1], numbers_of(g)[at[1]], ("here.py", 3)), (at[1], 1.0, ("here.py", 3))]

    def run():
        p, q = Program(g, at, guards), Program(g, at)
        return [p.outputs_at, p.guards, p.operations, q.recorded, p.inputs, p.graph.arrays()]

    return (), run, None, whole(g)


@scenario
def a_wide_program_is_made():
    """With runs that are even, of three operands, too."""
    x = [Value(k + 0.5) for k in range(40)]
    products = [a * b + a for a, b in itertools.pairwise(x)]
    at = [value._index_of(v) for v in x]
    g, roots, _ = from_tape(at, [value._index_of(v) for v in products], at[0])
    del products

    def run():
        p = Program(g, roots)
        return [list(p(range(40))), p.operations]

    return tuple(x), run, None, whole(g)


@scenario
def a_program_is_run():
    p = guarded_program()
    x, out = np.array([0.5, 1.5]), np.empty(p.outputs)
    elsewhere = np.array([0.25, 1.5])

    def run():
        seen = [p.run(x, out), out.tolist(), p.run(elsewhere, out) is not None]
        seen.append(p(x).tolist())
        seen.append(p([0.5, 1.5]).tolist())
        return seen

    return (), run


@scenario
def a_program_is_shown():
    p = guarded_program()

    def run():
        return [repr(p), str(p), p.listing()]

    return (), run


@scenario
def a_program_to_bytes_and_back():
    p = guarded_program()

    def run():
        data = p.to_bytes()
        return [data, from_bytes(data).to_bytes() == data]

    return (), run


@scenario
def a_program_pickled():
    p = guarded_program()

    def run():
        return [list(pickle.loads(pickle.dumps(p))([0.5, 1.5]))]

    return (), run


@scenario
def a_program_saved():
    p = guarded_program()
    path = os.path.join(tempfile.gettempdir(), f"out_of_memory_{os.getpid()}.tg")
    os.fsync = abs  # of a process that is for this alone: the disk need not be waited for

    def run():
        try:
            p.save(path)
            return [load(path).guards]
        finally:
            if os.path.exists(path):
                os.remove(path)

    return (), run


@scenario
def programs_that_are_refused():
    g, at = small_program()
    p = Program(g, at)
    bad = p.to_bytes()[:-5]
    point, out = np.zeros(2), np.zeros(p.outputs + 1)

    def run():
        return refusals(
            [
                lambda: Program(g, [1000]),
                lambda: Program(g, at, [(0, 1.0)]),
                lambda: Program(g, at, (), -1),
                lambda: Program(None, at),
                lambda: p.run(point, out),
                lambda: p([1.0]),
                lambda: p.graph.new_number(1.0),
                lambda: from_bytes(bad),
            ]
        )

    return (), run, None, whole(g)


# ---- batches ----


@scenario
def a_program_laid_out():
    p = guarded_program()
    all_wide, one_wide, none = (np.array(flags, np.uint8) for flags in ((1, 1), (0, 1), (0, 0)))

    def run():
        made = [
            Lanes(p, all_wide),
            Lanes(p, one_wide),
            Lanes(p, none),
            Lanes(p, one_wide, True),
            Lanes(p, one_wide, exact=True),
        ]
        return [(lanes.wide, lanes.width, lanes.outputs, lanes.operations, lanes.shared.outputs) for lanes in made]

    return (), run


@scenario
def a_batch():
    p = guarded_program()
    lanes = Lanes(p, np.array([0, 1], np.uint8))
    column, shared, sums = np.linspace(0.5, 1.5, 40), np.array([0.5, 0.0]), np.zeros(1)
    outs = [*(np.empty(40) for _ in range(p.outputs - 1)), None]

    def run():
        job = Job(lanes, [column], shared, 40, None, outs)
        for chunk in range(job.chunks):
            job.run(chunk, sums)
        return [job.sums, job.size, [out.tolist() for out in outs[:-1]], sums.tolist()]

    return (), run


@scenario
def a_batch_of_picked_samples_and_its_guards():
    p = guarded_program()
    lanes = Lanes(p, np.array([0, 1], np.uint8), True)
    column, shared = np.linspace(0.5, 1.5, 40).astype(np.float32), np.array([0.5, 0.0])
    picked = np.array([3, 1, 39])
    failed, outcomes = np.empty(3, np.int32), np.empty(3)

    def run():
        job = Job(lanes, [column], shared, 40, picked, [None] * lanes.outputs)
        for chunk in range(job.chunks):
            job.run(chunk, np.zeros(job.sums), failed, outcomes)
        return [list(failed)]

    return (), run


@scenario
def jobs_that_are_refused():
    p = guarded_program()
    lanes = Lanes(p, np.array([0, 1], np.uint8))
    column, shared, text = np.linspace(0.5, 1.5, 40), np.array([0.5, 0.0]), np.array(["x"] * 40)
    outs = [np.empty(40) for _ in range(p.outputs)]
    single, short, beyond, flags = np.zeros(40, "f4"), shared[:1], np.array([40]), np.zeros(3, np.uint8)
    job, mixed = Job(lanes, [column], shared, 40, None, outs), [single, *outs[1:]]

    def run():
        return refusals(
            [
                lambda: Lanes(p, flags),
                lambda: Job(lanes, [], shared, 40, None, outs),
                lambda: Job(lanes, [column], short, 40, None, outs),
                lambda: Job(lanes, [column], shared, 41, None, outs),
                lambda: Job(lanes, [text], shared, 40, None, outs),
                lambda: Job(lanes, [None], shared, 40, None, outs),
                lambda: Job(lanes, [column], shared, 40, beyond, outs),
                lambda: Job(lanes, [column], shared, 40, None, mixed),
                lambda: job.run(7, shared),
            ]
        )

    return (), run


# ---- copies of Values with attributes ----


@scenario
def a_deep_copy():
    x = Value(2.0)
    x.note = [1]  # no dict: CPython 3.11 crashes where it has no memory to go through one

    def run():
        y = copy.deepcopy(x)
        return [y.data, y.note, y.note is not x.note]

    return (x,), run


@scenario
def copies_of_results():
    x = Value(2.0)
    y = x * 3.0

    def run():
        made = [copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))]
        return [v.data for v in made]

    return (x, y), run


@scenario
def leaves_of_a_list():
    numbers = [1.0, 2.5, 3.0]

    def run():
        return [v.data for v in value._leaves(numbers)]

    return (), run


@scenario
def made_again():
    x = Value(2.0)
    y = x * 3.0

    def run():
        y.__init__(4.0)
        return [y.data]

    return (x,), run, ("what it is made again as stays", (y,))


@scenario
def a_pickled_value():
    x = Value(2.0)
    x.note = [1]

    def run():
        y = pickle.loads(pickle.dumps(x))
        return [y.data, y.note]

    return (x,), run


# ---- sweeps in sweeps, long chains ----


@scenario
def a_sweep_in_a_sweep():
    x = Value(1.5)
    inner = x * x
    own = Value(2.0, (x,), "own")
    own._backward = inner.backward
    twice = own * 2.0
    top = twice + x
    values = (x, inner, own, twice, top)

    def run():
        for v in values:
            v.grad = 0
        top.backward()
        return [v.grad for v in values]

    return (), run, ("the sweep adds", values)


@scenario
def a_long_chain_let_go():
    x = Value(1.5)

    def run():
        y = x
        for k in range(60):
            y = y * 1.0
            if k % 3 == 0:
                y.label = "kept"
            if k % 5 == 0:
                y = Value(1.0, (y,), "own")  # not `custom`: CPython 3.11 loses what is in *children
        return [y.data]

    return (x,), run


# ---- running them ----


def things(values):
    """What can be seen of these Values."""
    return [
        (v.data, v.grad, v._op, [id(c) for c in v._children] if v._op == "own" else len(v._children)) for v in values
    ]


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


class FailureError(AssertionError):
    pass


def made(setup):
    """(before, run, excused, extra): see `scenario`."""
    got = (*setup(), None, None)
    before, run, excused, extra = got[:4]
    return before, run, excused, extra


def need(condition, *what):
    if not condition:
        raise FailureError(*what)


def attempt(setup, expected, start, stop, sites):
    """One failure: the file and the line where it was noticed, None if it was not."""
    before, run, excused, extra = made(setup)
    held = drained()
    shown = things(before)
    seen = extra() if extra is not None else None
    gc.collect()
    nodes = tape.compact()
    result, error = fail(run, start, stop)
    failed = None
    where = f"allocation {start} to {stop or 'the last'}"
    if error is None:
        need(result == expected, where, "a failure that was swallowed changed the result", result, expected)
    else:
        need(isinstance(error, MemoryError) or short_of_memory(error), where, "in place of a MemoryError", error)
        note_sites(error, sites)
        failed = innermost(error)
        error.__traceback__ = None
    del result
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
    del held  # only now: the scenario was not to have them
    return failed


def innermost(error):
    """(file, line, text) where it was raised, as far as there was memory to say so."""
    tb = error.__traceback__
    if tb is None:
        return "", 0, ""
    while tb.tb_next is not None:
        tb = tb.tb_next
    file_name = tb.tb_frame.f_code.co_filename
    where = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), file_name)
    return os.path.basename(file_name), tb.tb_lineno, linecache.getline(where, tb.tb_lineno).strip()


def note_sites(error, sites):
    """Note the frames of the compiled core: function, file and line of the pyx."""
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename.endswith((".pyx", ".pxd")):
            sites.add((os.path.basename(code.co_filename), tb.tb_lineno, code.co_name))
        tb = tb.tb_next


def prepared(name):
    """(setup, what it gives) of a scenario that has run some times, so that what is kept from then on is there."""
    setup = SCENARIOS[name]
    for _ in range(3):
        before, run, excused, extra = made(setup)
        expected = run()
    del before, run, excused, extra
    gc.collect()
    gc.freeze()  # what was imported need not be looked at again
    return setup, expected


def failures(setup, expected, width, enough, sites):
    """Let `width` allocations in a row fail, 0 for all there are, from each one on: (number, place) where noticed."""
    in_a_row = 0
    for start in itertools.count():
        failed = attempt(setup, expected, start, start + width if width else 0, sites)
        if failed:
            yield start, failed
        in_a_row = 0 if failed else in_a_row + 1
        if in_a_row >= enough:
            return


def check(name, sites):
    """Let every allocation of a scenario fail: how many failures there were, singly and with all after them."""
    setup, expected = prepared(name)
    return [len(list(failures(setup, expected, *how, sites))) for how in ((1, ENOUGH), (0, 3))]


def check_full(name, sites):
    """Let every node of a scenario be the one for which there is no room."""
    setup = SCENARIOS[name]
    kept = tape.max_nodes
    for more in itertools.count():
        before, run, excused, _ = made(setup)
        shown = things(before)
        tape.max_nodes = tape.compact() + more
        try:
            run()
        except MemoryError as error:
            note_sites(error, sites)
        else:
            break
        finally:
            tape.max_nodes = kept
        need(excused is not None or things(before) == shown, f"room for {more} nodes", "Values have changed")
    return more


def check_growth(sites):
    """Let the memory for more nodes be what fails, array by array."""
    x = Value(2.0)
    top = tg.sum([x] * (tape.capacity - len(tape) - 100))
    rest = []
    while len(tape) < tape.capacity:
        rest.append(x.relu())  # one node; what has a constant has two, and the last one would grow the tape
    for start in itertools.count():
        nodes, capacity = len(tape), tape.capacity
        result, error = fail(x.relu, start, start + 1)
        if error is None:
            break
        need(isinstance(error, MemoryError), start, error)
        note_sites(error, sites)
        error.__traceback__ = None
        need((len(tape), tape.capacity) == (nodes, capacity), start, "the tape has changed")
    top.backward()
    need(result.data == 2.0 and tape.capacity > capacity and x.grad == top.data / 2.0, "the sum", x.grad, top.data)
    del rest
    for start in itertools.count():
        _, error = fail(type(tape), start, start + 1)
        if error is None:
            break
        note_sites(error, sites)
    return start


def check_rules(sites):
    """Let many an allocation fail for the first derivative of a process, which reads the rules: a child for each."""

    def run():
        g, inputs, root = small_graph()
        return g.reverse([root], [g.new_number(1.0)], inputs), numbers_of(g)

    failures = 0
    for start in itertools.chain(range(60), itertools.count(60, 97)):  # there are thousands
        result, error = fail_in_child(run, start, sites)
        need(error in (None, "MemoryError"), f"allocation {start}", error)
        if error is None:
            need(result == run(), "afterwards it gives something else", result)
            break
        failures += 1
    return failures


def fail_in_child(run, start, sites):
    """(result, name of the error) of a run of which this allocation fails, and which then succeeds, in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        found = set()
        _, error = fail(run, start, start + 1)
        if error is None:
            name = None
        else:
            name = type(error).__name__
            note_sites(error, found)
        with open(writing, "wb") as file:
            pickle.dump((run(), name, found), file)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        result, name, found = pickle.load(file)
    os.waitpid(child, 0)
    sites |= found
    return result, name


# ---- memory that is lost ----

ROUNDS = 4
LITTLE = 40  # bytes: the count of the bytes itself
LEAST = 16  # bytes: what malloc gives at least
# CPython 3.11 loses the arguments of a Python function that has no memory for its cells, and what a list is extended by;
# its pickle loses 40 to 160 bytes. The core's calls of such functions:
INTERPRETER = {"return read(data)", "return to_bytes(self)"}


def lost(function, times=1):
    """Bytes that a call takes and does not give back, after some: of objects, and of the core's arrays."""
    sizes = []
    for _ in range(2 + ROUNDS):
        for _ in range(times):
            function()
        gc.collect()
        tape.compact()
        sizes.append(tracemalloc.get_traced_memory()[0])
    return min(b - a for a, b in itertools.pairwise(sizes[1:])) / times


def check_leaks(name):
    """Let every allocation of a scenario fail some times: (failures, bytes that they lose, those of the core lose none)."""
    tracemalloc.start()  # first of all: what was taken before is not seen to be given back
    setup, expected = prepared(name)
    places = dict(failures(setup, expected, 1, ENOUGH, set()))

    def once(start):
        places[start] = attempt(setup, expected, start, start + 1, set()) or places[start]

    loss = lost(lambda: [once(start) for start in places])
    if loss > LITTLE:
        for start, (file_name, line, text) in list(places.items()):
            again = functools.partial(once, start)
            core = file_name.endswith((".pyx", ".pxd")) and text not in INTERPRETER
            if core and lost(again) > LITTLE:  # a leak, or a list of free objects that is not full yet
                bytes_lost = lost(again, 200)
                need(bytes_lost < LEAST, f"{bytes_lost} bytes are lost by allocation {start}", file_name, line, text)
    return len(places), max(loss - LITTLE, 0)


ALONE = {"the_tape_grows": check_growth, "the_first_derivative": check_rules}

# what asks for memory: the places that call one of these; what these do themselves is seen by who calls them
ASKS = re.compile(
    r".*\b(PyMem_Raw(?:Malloc|Calloc|Realloc)|memory|scratch|resized|zeroed|room|self\.grow|shared\.reserve)\("
)
EXCUSED = {
    "cdef void *new = PyMem_Raw": "the wrapper, of which every call is a place",
    "new = PyMem_Raw": "the wrapper, of which every call is a place",
    "cdef int32_t *at = <int32_t *>PyMem_RawRealloc": "without the GIL: whoever enlarges a list raises the error",
    "cdef PyObject **alive = <PyObject **>PyMem_RawRealloc": "without the GIL: whoever sorts raises the error",
    "moved = <int32_t *>PyMem_RawMalloc": "the tape is not squeezed where there is no memory, which is no error",
    "dead = <Handle **>PyMem_RawMalloc": "as `moved`",
    "larger = <PyObject **>PyMem_RawMalloc": "what is let go of does not wait where there is no memory, which is no error",
}


UNREACHED = "if v.index == 0: room(tape, 1)"  # a Value of another __new__ than ours: CPython makes none


def unseen(sites):
    """The places of the core that ask for memory at which none failed: (file, line, text)."""
    core = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "csrc", "tapegrad")
    seen = {(file_name, line) for file_name, line, _ in sites}
    left, found, code = [], 0, ""
    for file_name in sorted(os.listdir(core)):
        if not file_name.endswith((".pyx", ".pxd", ".h")):
            continue
        with open(os.path.join(core, file_name)) as file:
            for line, text in enumerate(file, 1):
                before, code = code, text.split("#")[0].strip()
                if not ASKS.match(code) or code.startswith(
                    (
                        "cdef inline int",
                        "def ",
                        "cdef void *resized",
                        "cdef void *scratch",
                        "cdef void *zeroed",
                        "cdef void *memory",
                        "cdef int reserve",
                        "cdef int grow",
                        '"""',
                    )
                ):
                    continue
                found += 1
                if (
                    (file_name, line) not in seen
                    and not (before + " " + code).startswith(UNREACHED)
                    and not code.startswith(tuple(EXCUSED))
                ):
                    left.append((file_name, line, code))
    need(found > 60, "the places are not found", found)
    return left


def outcome(name):
    """(what to say of a scenario, the places at which allocations failed; None if something is wrong)."""
    sites = set()
    try:
        if name in ALONE:
            return f"{name}: {ALONE[name](sites)} allocations failed one at a time", sites
        alone, all_after = check(name, sites)
        check_full(name, sites)
    except FailureError as error:
        return f"{name}: {error}", None
    return f"{name}: {alone} allocations failed one at a time, {all_after} with all after them", sites


def outcome_of_leaks(name):
    try:
        failures, loss = check_leaks(name)
    except FailureError as error:
        return f"{name}: {error}", None
    return f"{name}: {failures} failures; the interpreter loses {loss:.0f} bytes, the core none", set()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", default=[])
    parser.add_argument("--sites", help="a file for the places at which allocations failed")
    parser.add_argument("--leaks", action="store_true", help="look for memory that is lost, in place of all else")
    options = parser.parse_args()
    sites = set()
    status = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:  # one each: see `short_of_memory`
        names = options.scenarios or [*SCENARIOS, *([] if options.leaks else ALONE)]
        for message, found in pool.map(outcome_of_leaks if options.leaks else outcome, names):
            print(message, flush=True)
            status |= found is None
            sites |= found or set()
    if not (options.scenarios or options.leaks):
        for file_name, line, text in unseen(sites):
            print(f"{file_name}:{line}: no allocation has failed here: {text}")
            status = 1
    if options.sites:
        with open(options.sites, "w") as file:
            file.writelines(f"{file_name}:{line} {function}\n" for file_name, line, function in sorted(sites))
    return status


if __name__ == "__main__":
    sys.exit(main())
