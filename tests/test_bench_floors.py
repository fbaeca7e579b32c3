"""The limits of the machine, and what follows from them for a program."""

import math
from collections import Counter

import numpy as np
import pytest
from tapegrad.bench.floors import compiled, limits
from tapegrad.bench.floors.limits import Level, Limits

import tapegrad as tg
from tapegrad.bench import distances
from tapegrad.bench.problem import Batch, Point
from tapegrad.bench.timing import Timing

LIMITS = Limits(
    interpreter={"float operation": 10.0, "object operation": 50.0, "function call": 30.0, "call with an array": 100.0},
    vector={"add": 0.1, "multiply": 0.2, "multiply_and_add": 0.3, "divide": 0.5, "exp": 1.0, "pow": 5.0},
    scalar={"exp": 4.0, "pow": 10.0},
    latency={"add": 1.0, "multiply": 2.0, "divide": 5.0},
    levels=[Level("L1", 1000.0, 1e9, 2e9), Level("memory", math.inf, 1e8, 1.5e8)],
    lanes=4,
    cores=2,
)


@pytest.fixture
def known(monkeypatch):
    """Limits that are round numbers."""
    monkeypatch.setattr(distances, "limits", lambda: LIMITS)


@pytest.fixture
def hurried(monkeypatch):
    """Real limits, measured without patience."""
    monkeypatch.setattr(compiled, "ENOUGH", 1e-6)
    monkeypatch.setattr(compiled, "SAMPLES", 1)
    monkeypatch.setattr(limits, "SAMPLES", 1)
    monkeypatch.setattr(limits, "CAP", 1 << 20)


def numbers(found):
    for name in ("interpreter", "vector", "scalar", "registers", "latency"):
        yield from ((f"{name}: {key}", x) for key, x in getattr(found, name).items())
    yield from ((f"{level.name} {x}", x) for level in found.levels for x in (level.one, level.all))


def test_every_limit_is_a_positive_number(hurried):
    ticks = []
    found = limits.measure(lambda: ticks.append(1))
    assert ticks
    measured = dict(numbers(found))
    assert all(math.isfinite(x) and x > 0 for x in measured.values()), measured
    assert [level.name for level in found.levels][-1] == "memory"
    assert found.level(math.inf) is found.levels[-1] and found.level(1.0) is found.levels[0]
    if not any("vector mathematics" in why for why in found.skipped):
        assert {"add", "multiply", "divide", "sqrt"} <= set(found.vector)
        assert set(limits.FUNCTIONS) == set(found.scalar)
        assert set(found.latency) == {"add", "multiply", "divide", "multiply_and_add"}


def test_without_a_compiler_what_is_left_out_is_named(hurried, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler-anywhere")
    found = limits.measure()
    assert len(found.skipped) == 2
    assert all("no-such-compiler-anywhere" in why for why in found.skipped)
    assert set(found.interpreter) == {"float operation", "function call", "call with an array"}
    assert not found.vector and not found.latency and found.lanes is None
    assert all(math.isfinite(level.one) and level.one > 0 for level in found.levels)


def test_a_compiler_that_fails_is_named_with_what_it_says(hurried, monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "cc -no-such-option-anywhere")
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(compiled.NoCompiler, match=r"no-such-option-anywhere|no such|not found"):
        compiled.Loops()
    assert list(tmp_path.iterdir()) == []


def test_a_point_is_bounded_by_its_operations_one_by_one(known):
    f = tg.record(lambda x: x[0] * x[1] + x[2].exp() + x[3] ** 3)
    work = distances.work_of(f.program(np.ones(4)))
    assert work.parts == Counter({"multiply_and_add": 1, "exp": 1, "add": 1, "pow": 1})
    assert work.operations == 4
    assert distances.arithmetic(work, False) == pytest.approx((0.3 + 4.0 + 0.1 + 10.0) / 1e9)


def test_in_lanes_powers_are_products_and_what_depends_on_no_sample_is_free(known):
    f = tg.record(lambda x: x[0].exp() * x[1] + x[1] ** 3)
    work = distances.work_of(f.program(np.ones(2)), range(1, 2))
    assert sum(work.parts.values()) == work.operations == 2
    assert work.parts["multiply"] + work.parts["multiply_and_add"] == 2
    assert work.parts["exp"] == work.parts["pow"] == 0


def test_a_chain_waits_for_every_operation_of_it(known):
    def chain(x):
        y = x[0]
        for k in range(1, 10):
            y = y * x[k]
        return y

    assert distances.work_of(tg.record(chain).program(np.ones(10))).chain == 9 * 2.0
    sum_of_products = tg.record(lambda x: x[0] * x[1] + x[2] * x[3])
    assert distances.work_of(sum_of_products.program(np.ones(4))).chain == 2.0 + 1.0


def test_recorded_at_one_point_is_a_call_and_the_largest_of_its_bounds(known):
    f = tg.record(lambda x: (x[0] + x[1]).exp())
    floor = distances.of_recorded(f.program(np.ones(2)))
    assert floor.seconds == pytest.approx(100e-9 + 32e-9)  # 32 bytes at 1 GB/s, against 5 ns of waiting and 4.1 of work
    assert floor.limit == "the call"


def test_lanes_are_bounded_by_memory_or_by_arithmetic(known):
    program = tg.record(lambda x: x[0] + x[1]).program(np.ones(2))
    few = distances.of_lanes(program, range(2), 1, 10, 1)
    assert (few.limit, few.seconds) == ("memory", pytest.approx(240 / 1e9))
    many = distances.of_lanes(program, range(2), 1, 1000, 2)
    assert (many.limit, many.seconds) == ("memory", pytest.approx(24_000 / 1.5e8))
    alone = distances.of_lanes(program, range(0), 0, 1000, 1)
    assert alone.seconds == 0.0


def test_operations_of_a_text_are_counted_whatever_nodes_they_make(known):
    def program(x, m):
        y = x[0] - x[1] / 2.0 + m.exp(-x[0]) ** 2
        return y + m.dot(x, x) + m.sum(x) + m.relu(3 * x[1])

    count, library = distances.counts(program, [1.0, 2.0])
    assert count == 13  # - / + exp neg **, + dot, + sum, + relu *
    assert library == Counter({"exp": 1, "relu": 1})


def test_eager_graphs_are_counted_without_their_leaves(known):
    operations, chain = distances.graph_of(lambda x, m: (x[0] * 2.0 + 1.0) * x[1], [3.0, 4.0])
    assert (operations, chain) == (3, 3)
    floor = distances.of_eager(lambda x, m: x[0] * 2.0 + 1.0, [3.0])
    assert (floor["build"].limit, floor["build"].seconds) == ("interpreter", pytest.approx(2 * 50e-9))
    in_one = distances.of_eager(lambda x, m: m.dot(x, x), [3.0] * 10)["build"]
    assert (in_one.limit, in_one.seconds) == ("memory", pytest.approx(20 * 33e-9))
    assert floor["backward"].seconds == pytest.approx(2 * 33 / 1e9)


def row(title, seconds, whole=False, steady=True):
    from tapegrad.bench.report import Row

    return Row(title, "us", 1e6, {"tapegrad": Timing([seconds])}, whole=whole, steady=steady)


def test_every_row_of_a_problem_has_its_distance(known):
    from tapegrad.bench.points import function

    case = Point(lambda x, m: m.exp(x[0]) * x[1], [0.5, 2.0], lambda: (0.0, []))
    eager, recorded = distances.of_point(case, function(case), [row("eager", 1e-6), row("recorded", 2e-6, whole=True)])
    assert eager.times_floor == pytest.approx(1e-6 / eager.floor)
    assert recorded.ours == 2e-6 and recorded.floor > 100e-9
    [drifted] = distances.of_point(case, None, [row("build", 1e-6, steady=False)])
    assert drifted.times_floor is None
    assert "build (us)" in str(drifted) and "interpreter" in str(drifted)


def test_batches_have_distances_with_shared_inputs_too(known):
    column = np.ones(100)
    apart = Batch(lambda a, b, m: m.exp(a) * b, (column, column), lambda: (0.0, []), by=2)
    program, wide = distances.sample_program(apart)
    assert wide == range(2) and program.outputs == 3
    eager, lanes = distances.of_batch(apart, {"vmap": 1}, [row("eager", 1e-3), row("vmap", 1e-5, whole=True)])
    assert eager.floor == pytest.approx(100 * (104e-9 + 66e-9)) and lanes.times_floor > 0
    shared = Batch(lambda w, a, m: (w[0] * a - w[1]) ** 2, (column,), lambda: (0.0, []), shared=np.ones(2))
    program, wide = distances.sample_program(shared)
    assert wide == range(2, 3) and program.outputs == 3


def test_jacobians_have_distances_in_lanes_alone(known):
    column = np.ones((10, 3))
    case = Batch(lambda x, m: [x[0] * x[1], m.exp(x[2])], (column,), lambda: (None, []), by=1, outputs=2)
    [lanes] = distances.of_batch(case, {"vmap": 1}, [row("eager", 1e-3), row("vmap", 1e-5, whole=True)])
    assert lanes.row == "vmap" and lanes.floor > 0


def test_a_jacobian_of_several_arguments_has_a_distance_too(known):
    column = np.ones(10)
    case = Batch(lambda a, b, m: [a * b, m.exp(a)], (column, column), lambda: (None, []), by=2, outputs=2)
    program, wide = distances.sample_program(case)
    assert wide == range(2) and program.outputs == 4
