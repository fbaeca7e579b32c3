"""Every allocation fails once, in what Values, the tape and recordings do.

As a script: python tests/out_of_memory.py [SCENARIO ...]
Each scenario is run with its first allocation failing, then with its second, and so on until it gets through; then the
same with all allocations from there on failing. Each time there must be a MemoryError and nothing else, every Value
must be as before, no node may be left, and the same must then succeed with the right numbers. `--sites` writes the
lines of the core at which an allocation failed. Not covered: graphs, programs, batches and pickles.
"""

# ruff: noqa: E501

import _testcapi
import argparse
import copy
import fractions
import gc
import itertools
import os
import sys
import weakref

import numpy as np

import tapegrad as tg
from tapegrad import value
from tapegrad.recording import Recorder
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
    """One failure; whether it was noticed."""
    before, run, excused, extra = made(setup)
    held = drained()
    shown = things(before)
    seen = extra() if extra is not None else None
    nodes = tape.compact()
    result, error = fail(run, start, stop)
    where = f"allocation {start} to {stop or 'the last'}"
    if error is None:
        need(result == expected, where, "a failure that was swallowed changed the result", result, expected)
    else:
        need(isinstance(error, MemoryError), where, "in place of a MemoryError", error)
        note_sites(error, sites)
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
    del held  # only now: the scenario was not to have them
    return failed


def note_sites(error, sites):
    """Note the frames of the compiled core: function, file and line of the pyx."""
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename.endswith((".pyx", ".pxd")):
            sites.add((os.path.basename(code.co_filename), tb.tb_lineno, code.co_name))
        tb = tb.tb_next


def check(name, sites):
    """Let every allocation of a scenario fail; how many failures there were."""
    setup = SCENARIOS[name]
    for _ in range(3):
        before, run, excused, extra = made(setup)
        expected = run()
    del before, run, excused, extra
    counts = []
    for width in (1, 0):
        in_a_row = failures = 0
        for start in itertools.count():
            stop = start + width if width else 0
            failed = attempt(setup, expected, start, stop, sites)
            failures += failed
            in_a_row = 0 if failed else in_a_row + 1
            if in_a_row >= (ENOUGH if width else 3):
                break
        counts.append(failures)
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
        except FailureError as error:
            print(f"{name}: {error}", flush=True)
            status = 1
        else:
            print(f"{name}: {alone} allocations failed one at a time, {all_after} with all after them", flush=True)
    if options.sites:
        with open(options.sites, "w") as file:
            file.writelines(f"{file_name}:{line} {function}\n" for file_name, line, function in sorted(sites))
    return status


if __name__ == "__main__":
    sys.exit(main())
