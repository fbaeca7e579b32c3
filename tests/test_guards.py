"""Whatever a recorded number decides: a replay goes the way that the eager engine goes, at every point."""

from __future__ import annotations

import copy
import inspect
import math
import pickle

import numpy as np
import pytest
from conftest import DIVIDING

import tapegrad
from tapegrad import Value, frozen, grad, record, stop_gradient, to_int, value_and_grad, vmap, where
from tapegrad import reference as slow


def line_of(function, text):
    """The number of the first line of the function's source with that text, as it stands in messages."""
    lines, first = inspect.getsourcelines(function)
    return f"{__file__}:{first + next(k for k, line in enumerate(lines) if text in line)}"


def eager(f, *point, V=Value):
    xs = [V(x) for x in point]
    y = f(*xs)
    if not isinstance(y, V):
        return y, [0.0] * len(xs)
    y.backward()
    return y.data, [x.grad for x in xs]


def agrees(f, points):
    """The recorded f and its gradient are the eager ones at all points, one by one, again, and as a batch."""
    points = [p if isinstance(p, tuple) else (p,) for p in points]
    every = tuple(range(len(points[0])))
    expected = [eager(f, *p) for p in points]
    value, both = record(f), value_and_grad(f, every)
    for _ in range(2):
        for p, (y, grads) in zip(points, expected, strict=True):
            assert value(*p) == y
            assert both(*p) == (y, tuple(grads))
    columns = [np.array(c) for c in zip(*points, strict=True)]
    values, gradients = vmap(value_and_grad(f, every), exact=True)(*columns)
    assert values.tolist() == [y for y, _ in expected]
    assert np.stack(gradients, axis=1).tolist() == [grads for _, grads in expected]


def if_else(x):
    return x * x if x > 0 else -x  # a ternary


def elif_chain(x):
    if x < -1:
        return x * 2
    elif x < 0:  # noqa: RET505
        return x * 3
    elif x <= 1:
        return x * 4
    return x * 5


def while_loop(x):
    n = 0
    while x < 10:
        x = x * 0.5 + 8
        n += 1
    return x * n


def for_with_break(x):
    total = x * 0
    for k in range(10):
        total = total + x * k
        if total > 20:
            break
    return total


def and_or_not(x):
    if (x > 0 and x < 1) or not x > -2:
        return x * 7
    return x.sin()


def chained(x):
    return x.exp() if -1 <= x < 1 else x * 2


def min_max(x):
    return max(x, 1.0, x * x) - min(x, -1.0) + sorted([x, -x, 0.5 * x], key=lambda v: v)[0]


def any_all(x):
    return x * (2.0 if any(v > 1 for v in (x, -x)) else 3.0) + (1.0 if all(v < 1.5 for v in (x, -x)) else x)


def by_table(x):
    table = [1.0, 10.0, 100.0, 1000.0]
    return x * table[to_int(abs(x)) % 4]


def bounded_loop(x):
    total = x
    for k in range(to_int(x * x)):
        total = total * 1.5 + k
    return total


def branch_free(x):
    return where(x > 0, x * x, -x) + where((x > -1) & (x < 1) | ((x > -2) == False), x.sin(), 3.0)  # noqa: E712


def conditions_in_arithmetic(x):
    c = x > 0
    return c * x + 3 * (x > 2) - (x < 1) * x**2 + (x > -1) / (1 + (x > 0)) + (c == (x < 2)) * x + (c ^ (x > 1)) * 5


def comparisons_of_conditions(x):
    total = x * 0.0
    for c in (x > 0, x < 1, x >= 0.5):
        if c == 1:
            total = total + x
        if c != 0:
            total = total + 2 * x
        if c == True:  # noqa: E712
            total = total + 4 * x
        if c != False:  # noqa: E712
            total = total + 8 * x
    return total


def asserting(x):
    assert abs(x) < 1e6
    return x * 2


POINTS = [-3.0, -2.0, -1.5, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 9.5, 1e-300, math.inf, -math.inf]
FUNCTIONS = [if_else, elif_chain, while_loop, for_with_break, and_or_not, chained, min_max, any_all, by_table,
             bounded_loop, asserting]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_way_to_decide(f):
    points = [x for x in POINTS if math.isfinite(x)]
    draw = np.random.default_rng(5)
    agrees(f, points + draw.uniform(-3, 3, 60).tolist())


@pytest.mark.parametrize("f", [branch_free, conditions_in_arithmetic, comparisons_of_conditions])
def test_conditions_are_the_numbers_that_bools_are(f):
    def plain(x):
        """The same on floats."""
        if f is branch_free:
            return (x * x if x > 0 else -x) + (math.sin(x) if -1 < x < 1 or not x > -2 else 3.0)
        return f(x)

    replay = record(f)
    batch = vmap(f, exact=True)(np.array([x for x in POINTS if math.isfinite(x)]))
    for k, x in enumerate([x for x in POINTS if math.isfinite(x)]):
        assert replay(x) == plain(x) == batch[k]
    if f is branch_free:
        assert len(replay.programs) == 1 and not replay.programs[0].guards


def test_a_condition_as_an_int_or_an_index_is_a_guard():
    f = value_and_grad(lambda x: [x * 2.0, x * x][x > 2.0] + int(x < 0.0))
    assert [f(x) for x in (1.0, 3.0, -1.0, 4.0)] == [(2.0, 2.0), (9.0, 6.0), (-1.0, 2.0), (16.0, 8.0)]
    assert len(f.program(3.0).guards) == 2


def test_where_and_conditions_make_no_guards_and_ifs_do():
    assert record(branch_free).program(1.0).guards == ()
    assert record(lambda x: (x > 0) * x).program(1.0).guards == ()
    program = record(if_else).program(1.0)
    [(_, outcome, (file, line))] = program.guards
    assert outcome == 1.0 and f"{file}:{line}" == line_of(if_else, "ternary")
    assert "1 guards" in repr(program) and f" is 1   # {file}:{line}" in str(program)
    with pytest.raises(ValueError, match="goes another way"):
        program([-1.0])
    assert program([3.0]).tolist() == [9.0]


def test_the_arm_that_is_not_taken_does_not_poison_the_gradient():
    def f(x):
        return where(x > 0, x.sqrt() + x.log(), x * 3) + where(x > 0, 1 / x, 0.0)

    with np.errstate(all="raise"):
        assert value_and_grad(f)(0.0) == (0.0, 3.0)
        assert value_and_grad(f)(-1.0) == (-3.0, 3.0)
        assert value_and_grad(f)(4.0) == (2.0 + math.log(4.0) + 0.25, 0.25 + 0.25 - 1 / 16)
        assert grad(grad(f))(0.0) == 0.0
        assert tapegrad.jvp(f, (0.0,), (1.0,)) == (0.0, 3.0)
        assert tapegrad.hessian(f)(-1.0) == 0.0
        values, grads = vmap(value_and_grad(f))(np.array([0.0, -1.0]))
    assert values.tolist() == [0.0, -3.0] and grads.tolist() == [3.0, 3.0]


def test_infinite_and_not_a_number():
    f = record(elif_chain)
    assert [f(x) for x in (1.0, math.inf, -math.inf)] == [4.0, math.inf, -math.inf]
    assert math.isnan(f(math.nan))
    assert math.isnan(vmap(elif_chain)(np.array([0.0, math.nan, 2.0]))[1])
    with pytest.raises(ValueError, match="NaN"):
        record(by_table)(math.nan)
    g = record(by_table)
    assert g(1.5) == 15.0
    with pytest.raises(ValueError, match="NaN"):
        g(math.nan)
    with pytest.raises(OverflowError):
        g(math.inf)
    assert g(2.5) == 250.0 and g(1.5) == 15.0


def test_to_int():
    assert (to_int(2.7), to_int(-2.7), to_int(Value(-2.7)), to_int(True), to_int(3)) == (2, -2, -2, 1, 3)
    f = record(lambda x: x * to_int(x))
    assert [f(x) for x in (2.7, -2.7, 0.5, -0.5, 2.2)] == [5.4, 5.4, 0.0, -0.0, 4.4]
    assert record(lambda x: float(to_int(x)))(1e300) == 1e300
    assert [record(lambda x: x * to_int(x > 1))(x) for x in (0.5, 2.0)] == [0.0, 2.0]
    assert type(to_int(np.float64(2.5))) is int


# ---- the issue's own: ten branches and a loop ----


def ten_branches(x, y):
    """Ten data-dependent branches and a data-dependent loop."""
    a = x * y if x > y else x - y
    if a > 0.5:
        a = a.sin() + x
    if x < 0:
        a = a * a
    b = y.exp() if y < 0 else (1 + y).log()
    if b < a:
        a, b = b, a
    if a * b > 1:
        b = b / (1 + a * a)
    elif a * b < -1:
        b = b.tanh()
    c = max(a, b, x)
    if c + a < 1 and y > -0.5:
        c = c + y**3
    if not c > b or x > 1.5:
        c = c - 0.5 * x
    if abs(c) > 2:
        c = 2 * c.atan()
    steps = 0
    while c < 2 and steps < 8:
        c = c * 1.5 + 0.25
        steps += 1
    return c * steps + a.sigmoid() * b


def ten_choices(x, y, where=where):
    """The same without the loop, and with where in place of if."""
    a = where(x > y, x * y, x - y)
    a = where(a > 0.5, a.sin() + x, a)
    a = where(x < 0, a * a, a)
    b = where(y < 0, y.exp(), (1 + y).log())
    swap = b < a
    a, b = where(swap, b, a), where(swap, a, b)
    b = where(a * b > 1, b / (1 + a * a), where(a * b < -1, b.tanh(), b))
    c = where(a > b, a, b)
    c = where((c + a < 1) & (y > -0.5), c + y**3, c)
    c = where((c <= b) | (x > 1.5), c - 0.5 * x, c)
    c = where(abs(c) > 2, 2 * c.atan(), c)
    return c + a.sigmoid() * b


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(11).uniform(-2.0, 2.0, (100_000, 2))


def test_one_by_one_equals_the_eager_engine(points):
    both = value_and_grad(ten_branches, (0, 1))
    for k, (x, y) in enumerate(points[:3000].tolist()):
        value, grads = eager(ten_branches, x, y, V=DIVIDING.Value)
        assert both(x, y) == (value, tuple(grads))
        if k < 200:
            assert eager(ten_branches, x, y, V=slow.Value) == eager(ten_branches, x, y)


@pytest.mark.slow
def test_a_batch_equals_the_eager_engine_at_every_point(points):
    one_by_one = [eager(ten_branches, *p, V=DIVIDING.Value) for p in points.tolist()]
    expected = np.array([[value, *grads] for value, grads in one_by_one])
    values, (dx, dy) = vmap(value_and_grad(ten_branches, (0, 1)), exact=True)(points[:, 0], points[:, 1])
    assert np.array_equal(values, expected[:, 0])
    assert np.array_equal(dx, expected[:, 1]) and np.array_equal(dy, expected[:, 2])
    values, (dx, dy) = vmap(value_and_grad(ten_branches, (0, 1)))(points[:, 0], points[:, 1])
    assert values == pytest.approx(expected[:, 0], rel=1e-12, abs=1e-13)
    assert dx == pytest.approx(expected[:, 1], rel=1e-10, abs=1e-11)
    total = vmap(ten_branches, reduce="sum", exact=True)(points[:, 0], points[:, 1])
    assert total == pytest.approx(math.fsum(expected[:, 0]), rel=1e-12)


def test_the_same_with_where(points):
    """One program for all points. Values are the eager ones; gradients to a few units in the last place, because the
    eager engine sums adjoints in an order that depends on which arms there are, and a program has one order."""
    # where y < -1 the arm that is not taken is the log of a negative number, at which the eager engine raises
    some = points[points[:, 1] > -1][:10_000]

    def choices(x, y):
        return ten_choices(x, y, DIVIDING.functions.where)

    one_by_one = [eager(choices, *p, V=DIVIDING.Value) for p in some.tolist()]
    expected = np.array([[value, *grads] for value, grads in one_by_one])
    both = value_and_grad(ten_choices, (0, 1))
    single = np.array([[value, *grads] for value, grads in [both(*p) for p in some.tolist()]])
    assert len(both.programs) == 1 and not both.programs[0].guards
    assert np.array_equal(single[:, 0], expected[:, 0])
    assert single[:, 1:] == pytest.approx(expected[:, 1:], rel=1e-13, abs=1e-14)
    values, grads = vmap(both, exact=True)(some[:, 0], some[:, 1])
    assert np.array_equal(np.stack([values, *grads], axis=1), single)


# ---- how many programs ----


def test_programs_are_found_again():
    calls = []

    def f(x):
        calls.append(1)
        return while_loop(x)

    g = record(f)
    for _ in range(3):
        for x in (9.0, 4.0, -10.0, 20.0, -30.0, 1.0):
            assert g(x) == while_loop(x)
    assert len(calls) == len(g.programs) <= 5
    g.clear()
    assert g.programs == [] and g(9.0) == 12.5 and len(g.programs) == 1


def thrashing(x):
    total = x
    for k in range(6):
        total = total - 1.25 * x if total > k else total + 1.5  # this line
    return total


def test_a_bound_on_the_programs_and_a_warning_that_names_the_line():
    points = np.random.default_rng(2).uniform(-9, 9, 200).tolist()
    expected = [eager(thrashing, x) for x in points]
    g = value_and_grad(thrashing, max_programs=2)
    made = []
    with pytest.warns(RuntimeWarning) as caught:
        made += [(g(x), len(g.programs)) for x in points]
    assert [(y, [dx]) for (y, dx), _ in made] == expected and max(count for _, count in made) == 2
    assert len(caught) == 1, "said once"
    assert caught[0].filename == __file__, "where the function is called, not where we are"
    message = str(caught[0].message)
    assert "recorded more than 2 times" in message and line_of(thrashing, "this line") in message
    assert "where" in message and "max_programs" in message


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_batch_with_fewer_programs_than_ways(most):
    points = np.random.default_rng(3).uniform(-9, 9, 500)
    expected = [eager(thrashing, x)[0] for x in points.tolist()]
    g = vmap(thrashing, exact=True, max_programs=most)
    with pytest.warns(RuntimeWarning, match="recorded more than"):
        assert g(points).tolist() == expected
    assert g(points).tolist() == expected


# ---- what cannot be guarded ----


def reads_data(x):
    return x * x.data


def reads_grad(x):
    return x * x.grad


def assigns(x):
    x.data = 3.0
    return x


def goes_backward(x):
    y = x * x
    y.backward()
    return y


def copies(x):
    import copy

    return copy.deepcopy(x) * x


@pytest.mark.parametrize(
    ("f", "text"),
    [(reads_data, "x.data"), (reads_grad, "x.grad"), (assigns, "x.data = "), (goes_backward, "y.backward()")],
)
@pytest.mark.parametrize("how", [record, grad, vmap, lambda f: record(lambda x: record(f)(x))])
def test_what_cannot_be_guarded_is_an_error_that_names_the_line(f, text, how):
    g = how(f)
    for _ in range(2):
        with pytest.raises(TypeError) as caught:
            g(np.ones(2) if how is vmap else 1.0)
        assert str(caught.value).startswith(line_of(f, text)) and "frozen" in str(caught.value)
    assert Value(2.0).data == 2.0


def test_a_copy_of_a_number_is_that_number():
    f = record(copies)
    assert [f(x) for x in (1.0, 2.0)] == [copies(x) for x in (1.0, 2.0)]


def test_a_parameters_data_cannot_be_read_or_set():
    p = Value(2.0)
    for f in (lambda x: x * p.data, lambda x: x * p.grad, lambda x: setattr(p, "data", 1.0)):
        with pytest.raises(TypeError, match="in a recorded function"):
            record(f)(1.0)
    assert p.data == 2.0


def test_the_data_of_a_constant_may_be_read():
    assert record(lambda x: x * Value(3.0).data)(2.0) == 6.0


def test_frozen_and_stop_gradient():
    f = record(lambda x: x * frozen(x))
    assert (f(2.0), f(3.0)) == (4.0, 6.0), "frozen at the first point for good"
    g = value_and_grad(lambda x: x * stop_gradient(x))
    assert (g(2.0), g(3.0)) == ((4.0, 2.0), (9.0, 3.0))
    assert grad(lambda x: frozen(x) * x)(5.0) == 5.0
    assert (frozen(2.5), stop_gradient(2.5), frozen(Value(2.5))) == (2.5, 2.5, 2.5)
    assert grad(grad(lambda x: stop_gradient(x * x) * x))(3.0) == 0.0


def test_nondeterministic_functions():
    state = [0]

    def f(x):
        state[0] += 10
        return x if x > state[0] else -x

    g = record(f)
    assert g(1.0) == -1.0
    with pytest.raises(RuntimeError, match="something else when called again") as caught:
        g(15.0)
    assert line_of(f, "return x") in str(caught.value)


def test_an_exception_in_a_batch_carries_the_samples_number():
    def f(x):
        if x > 5:
            raise OverflowError("too large")
        return x

    for samples, number in (([6.0, 1.0], 0), ([1.0, 2.0, 3.0, 7.0, 8.0], 3)):
        g = vmap(f)
        with pytest.raises(OverflowError, match="too large") as caught:
            g(np.array(samples))
        assert caught.value.__notes__ == [f"while recording at sample {number} of the batch"]
        assert g(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    many = np.zeros(200_000)
    many[150_001] = 9.0
    with pytest.raises(OverflowError) as caught:
        vmap(f)(many)
    assert caught.value.__notes__ == ["while recording at sample 150001 of the batch"]


def test_guards_on_shared_inputs_and_on_values_that_the_function_reads():
    p = Value(1.0)
    f = vmap(lambda w, x: x * w if w > 0 else x - w, (None, 0))
    xs = np.arange(3.0)
    assert f(2.0, xs).tolist() == [0.0, 2.0, 4.0]
    assert f(-2.0, xs).tolist() == [2.0, 3.0, 4.0]
    g = record(lambda x: x * 10 if p > x else x)
    assert g(0.5).data == 5.0
    p.data = 0.25
    assert g(0.5).data == 0.5


def test_equality_is_that_of_numbers_in_a_recorded_function_and_identity_of_eager_values():
    f = record(lambda x: 1.0 if x == 0 else 2.0)
    assert [f(v) for v in (0.0, 1.0, 0.0, math.nan)] == [1.0, 2.0, 1.0, 2.0]
    assert (1.0 if Value(0.0) == 0 else 2.0) == 2.0


def test_what_a_recorded_function_stores_outside_cannot_be_used_wrongly():
    kept = []

    def f(x):
        kept.extend([where(x > 0, x * 3, x), x > 0, x * 2.0])
        return x

    record(f)(2.0)
    w = Value(1.0)
    for v in kept:
        for use in (
            lambda v: v.data,
            lambda v: v.grad,
            lambda v: v * 2,
            lambda v: 2 * v,
            lambda v: w * v,
            lambda v: v / 2,
            lambda v: v - w,
            lambda v: v > 1,
            lambda v: v == 1,
            lambda v: w.maximum(v),
            lambda v: v.exp(),
            lambda v: tapegrad.sum([w, v]),
            lambda v: tapegrad.dot([w], [v]),
            lambda v: v.backward(),
            lambda v: bool(v),
            lambda v: hash(v),
            lambda v: pickle.dumps(v),
            lambda v: copy.deepcopy(v),
            lambda v: Value(1.0, (v,)),
            lambda v: record(lambda x: x + v)(1.0),
            lambda v: record(lambda x: v)(1.0),
            lambda v: grad(lambda x: where(x > 0, x, v))(1.0),
        ):
            with pytest.raises(TypeError, match="was computed while a function was being recorded"):
                use(v)
    (w * 3).backward()
    assert w.grad == 3.0
