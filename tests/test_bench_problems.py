"""The problems of `tapegrad bench`: every program against every other way to compute the same, at small sizes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.bench.backends import Mismatch, check_equal, compiled, reference
from tapegrad.bench.problem import TOLERANCE, Batch, Point, check_answer, error, functions
from tapegrad.bench.problems import PROBLEMS, advection, black_scholes, heston, mlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapegrad.bench.problem import Answer, Problem, Program

    One = Callable[[list[float], Program], tuple[Any, Any]]  # (value, gradient), or (values, Jacobian)

SAMPLES = 2  # of a batch, where they are computed one after another
NAMES = [problem.name for problem in PROBLEMS]
every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)


def on_values(backend: Any) -> One:
    m = functions(backend.value, backend.sum, backend.dot)

    def one(x: list[float], program: Program) -> tuple[Any, Any]:
        rows, values = [], []
        for k in range(outputs(program, x)):
            xs = [backend.value(xi) for xi in x]
            y = program(xs, m)
            y = y[k] if isinstance(y, list) else y
            y.backward()
            values.append(y.data)
            rows.append([xi.grad for xi in xs])
        return (values, rows) if len(rows) > 1 else (values[0], rows[0])

    return one


def by_central_differences(x: list[float], program: Program) -> tuple[Any, Any]:
    m, h = functions(), 1e-5
    columns = []
    for k in range(len(x)):
        above, below = (program([*x[:k], x[k] + step, *x[k + 1 :]], m) for step in (h, -h))
        columns.append((np.asarray(above) - np.asarray(below)) / (2 * h))
    return program(x, m), np.array(columns).T


def outputs(program: Program, x: list[float]) -> int:
    y = program(x, functions())
    return len(y) if isinstance(y, list) else 1


def through(case: Point | Batch, one: One) -> Answer:
    """What `one` gives for each sample, in the form of the case's answer."""
    if isinstance(case, Point):
        return one(case.x, case.program)
    values, gradients = zip(*[one(*case.at(k)) for k in range(case.samples)], strict=True)
    if case.outputs > 1:
        return None, gradients
    if case.shared is not None:
        return np.mean(values), np.mean(gradients, axis=0)
    return values, np.transpose(gradients) if case.by > 1 else gradients


def flat(answer: Answer) -> list[float]:
    return [x for part in answer if part is not None for x in np.ravel(part).tolist()]


def recorded(case: Point | Batch) -> Answer:
    m = functions(*[getattr(compiled(), name) for name in ("value", "sum", "dot")])
    if isinstance(case, Point):
        f = tg.value_and_grad(lambda x: case.program(x, m))
        value, _ = f(np.asarray(case.elsewhere))
        assert math.isfinite(value)
        return f(np.asarray(case.x))
    if case.shared is not None:
        mapped = tg.vmap(lambda p, *z: case.program(p, *z, m), (None, *[0] * len(case.columns)), reduce="mean")
        return tg.value_and_grad(mapped)(case.shared, *case.columns)
    by = tuple(range(case.by))
    if case.outputs > 1:
        rows = tg.vmap(tg.jacobian(lambda *sample: case.program(*sample, m), by))(*case.columns)
        blocks = [[part.reshape(case.samples, -1) for part in row] for row in rows]
        return None, np.stack([np.concatenate(row, axis=1) for row in blocks], axis=1)
    f = tg.vmap(tg.value_and_grad(lambda *sample: case.program(*sample, m), by if case.by > 1 else 0))
    return f(*case.columns)


def small(problem: Problem) -> Point | Batch:
    case = problem.make(problem.quick)
    return problem.make(SAMPLES) if isinstance(case, Batch) else case


def test_problems_have_names_sizes_and_sources() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for problem in PROBLEMS:
        assert problem.group in ("eager", "replay", "batch", "problems") and problem.name.count("/") == 1
        assert problem.summary and problem.source and problem.of and problem.scale(problem.size) > 0
        assert list(problem.sizes) == sorted(set(problem.sizes)) and 3 <= len(problem.sizes) <= 6
        assert problem.sizes[0] <= problem.quick < problem.size <= problem.sizes[-1]


@every_problem
def test_both_cores_give_the_same_bits_and_the_answer(problem: Problem) -> None:
    case = small(problem)
    ours, theirs = (through(case, on_values(backend)) for backend in (compiled(), reference()))
    check_equal(problem.name, flat(ours), flat(theirs))
    check_answer(problem.name, ours, case.answer())


@every_problem
def test_plain_floats_give_the_value(problem: Problem) -> None:
    case = small(problem)
    wanted = case.answer()[0]
    got, _ = through(case, lambda x, program: (program(x, functions()), x))
    check_answer(problem.name, (got, None), (wanted, None))


@every_problem
def test_a_recorded_function_gives_the_answer(problem: Problem) -> None:
    case = problem.make(problem.quick)
    check_answer(problem.name, recorded(case), case.answer())


@every_problem
def test_answers_are_right_by_central_differences(problem: Problem) -> None:
    batch = isinstance(problem.make(problem.quick), Batch)
    tiny = problem.make(1 if batch else problem.sizes[0])
    value, gradient = through(tiny, by_central_differences)
    wanted, slopes = tiny.answer()
    assert error((value, None), (wanted, None)) < TOLERANCE
    assert error((gradient, None), (slopes, None)) < 1e-6


@every_problem
def test_a_wrong_number_is_caught(problem: Problem) -> None:
    case = small(problem)
    wanted = case.answer()
    check_answer(problem.name, wanted, wanted)
    for part in (0, 1):
        if wanted[part] is None:
            continue
        numbers = np.array(wanted[part], dtype=float)
        largest = np.abs(numbers).max()
        for wrong in (10 * TOLERANCE * largest, math.nan, math.inf):
            off = numbers.copy()
            off.flat[off.size // 2] += wrong
            with pytest.raises(Mismatch, match=problem.name):
                check_answer(problem.name, (off, wanted[1]) if part == 0 else (wanted[0], off), wanted)
        if numbers.size > 1:
            with pytest.raises(Mismatch):
                short = numbers.ravel()[1:]
                check_answer(problem.name, (short, wanted[1]) if part == 0 else (wanted[0], short), wanted)


@every_problem
def test_a_problem_is_always_the_same(problem: Problem) -> None:
    first, second = problem.make(problem.sizes[0]), problem.make(problem.sizes[0])
    assert error(first.answer(), second.answer()) == 0.0


@every_problem
def test_samples_differ(problem: Problem) -> None:
    case = problem.make(problem.quick)
    if isinstance(case, Batch):
        for column in case.columns:
            assert len(np.unique(column, axis=0)) == case.samples
    else:
        assert case.elsewhere != case.x


# ---- what rivals that compute with arrays use ----


ARRAYS = SimpleNamespace(
    exp=np.exp, log=np.log, sqrt=np.sqrt, maximum=np.maximum, erfc=lambda x: np.vectorize(math.erfc)(x)
)


def test_call_price_of_arrays() -> None:
    case = black_scholes.make(100)
    check_answer("prices", (black_scholes.call_price(*case.columns, ARRAYS), None), (case.answer()[0], None))


def test_heston_payoff_of_arrays() -> None:
    case = heston.make(100)
    z1, z2 = case.columns
    payoffs = heston.heston_payoff(case.shared, z1.T, z2.T, ARRAYS)
    assert payoffs.shape == (100,) and 0 < np.count_nonzero(payoffs) < 100
    check_answer("payoffs", (payoffs.mean(), None), (case.answer()[0], None))


def test_mlp_loss_of_matrices() -> None:
    case = mlp.make(31)
    loss = mlp.mlp_matrix_loss(np.array(case.x), case.data.X, case.data.y, ARRAYS)
    assert case.data.X.shape == (31, 2) and sorted(set(case.data.y)) == [-1, 1]
    check_answer("loss", (loss, None), (case.answer()[0], None))


def test_neighbours_of_advection_stay_apart() -> None:
    """Where they do not, Toon's flux loses its digits."""
    q = advection.profiles(300)
    for _ in range(advection.STEPS):
        a, b = q, np.roll(q, -1, 1)
        assert a.min() > 0 and (np.abs(a - b) / a).min() > 1e-3
        flux = advection.toon_flux(a, b, ARRAYS)
        q = q + np.roll(flux, 1, 1) - flux
