"""A program at one point: value and gradient, on eager Values and by a recorded function."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapegrad.bench import distances, timing
from tapegrad.bench.backends import (
    BASE_OFF,
    BASE_ON,
    FLOATS,
    OURS,
    Backend,
    check_equal,
    compiled,
    reference,
)
from tapegrad.bench.problem import Answer, Point, check_answer, functions
from tapegrad.bench.report import Row
from tapegrad.bench.timing import Contender, Measured, collector, looped, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapegrad.bench.distances import FloorRow
    from tapegrad.bench.problem import Problem
    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan
    from tapegrad.transforms import ValueAndGradient

ALL = "build + backward + free"
EAGER, RECORDED = "eager", "recorded"
RECORDED_KEY = "recorded"  # among contenders, where OURS is eager


def on(case: Point, backend: Backend) -> Callable[[], dict[str, float]]:
    """Seconds of each phase of one go on a class of Values, repeated while it is short."""
    program, x, value = case.program, case.x, backend.value
    m = functions(value, backend.sum, backend.dot)

    def go(loops: int) -> dict[str, float]:
        build = backward = free = 0.0
        for _ in range(loops):
            xs = [value(xi) for xi in x]
            start = perf_counter()
            y = program(xs, m)
            built = perf_counter()
            y.backward()
            swept = perf_counter()
            del y
            freed = perf_counter()
            build += built - start
            backward += swept - built
            free += freed - swept
        phases = {"build": build, "backward": backward, ALL: build + backward + free}
        return {phase: seconds / loops for phase, seconds in phases.items()}

    loops = max(1, int(timing.LOOP / max(go(1)[ALL], 1e-9)))
    return lambda: go(loops)


def answer(case: Point, backend: Backend) -> Answer:
    """Value and gradient, as numbers."""
    xs = [backend.value(xi) for xi in case.x]
    y = case.program(xs, functions(backend.value, backend.sum, backend.dot))
    y.backward()
    return y.data, [x.grad for x in xs]


def floats(case: Point) -> Callable[[], dict[str, float]]:
    """The program on plain floats, which gives no derivatives."""
    m = functions()
    return looped(lambda: case.program(case.x, m))


def function(case: Point) -> ValueAndGradient:
    """Value and gradient as a function that was recorded at another point."""
    import numpy as np

    from tapegrad.transforms import value_and_grad

    m = functions(*compiled().names)
    f = value_and_grad(lambda x: case.program(x, m))
    f(np.asarray(case.elsewhere))
    return f


def recorded(f: ValueAndGradient, case: Point) -> Callable[[], Any]:
    """The recorded function, called with an array."""
    import numpy as np

    x = np.asarray(case.x)
    return lambda: f(x)


def rows(problem: Problem, plan: Plan, progress: Progress) -> Iterator[Row | FloorRow | str]:
    """Rows of a problem in every size: in the eager group by phases, elsewhere eager and recorded."""
    eager_only = problem.group == EAGER
    for size in plan.sizes_of(problem):
        progress.say(f"{size:,}, checking")
        case = problem.make(size)
        what = f"{problem.name}, {size:,} {problem.of}"
        yield f"{size:,} {problem.of}:"
        wanted = case.answer()
        with collector(False):
            theirs, ours = (answer(case, backend) for backend in (reference(), compiled()))
        check_equal(what, [ours[0], *ours[1]], [theirs[0], *theirs[1]])
        check_answer(f"{what}, eager", ours, wanted)
        timed = [
            Contender(BASE_ON, on(case, reference()), gc_on=True),
            Contender(BASE_OFF, on(case, reference()), gc_on=False),
            Contender(OURS, on(case, compiled())),
            Contender(FLOATS, floats(case)),
        ]
        f = None if eager_only else function(case)
        if f is not None:
            run = recorded(f, case)
            check_answer(f"{what}, recorded", run(), wanted)
            timed.append(Contender(RECORDED_KEY, looped(run)))
        measured = measure(timed, progress.tick, plan.pace)
        row = partial(Row, unit=problem.unit, scale=problem.scale(size), steady=measured.steady, size=size)
        made = list((eager_rows if eager_only else both_rows)(measured, row))
        yield from made
        yield from distances.of_point(case, f, made)


def eager_rows(measured: Measured, row: Callable[..., Row]) -> Iterator[Row]:
    """Floats are the build, and all there is to it."""
    by_phase = measured.phases
    of_floats = by_phase[""][FLOATS]
    for phase in ("build", "backward", ALL):
        timings = dict(by_phase[phase])
        if phase != "backward":
            timings[FLOATS] = of_floats
        yield row(phase, timings=timings, whole=phase == ALL)


def both_rows(measured: Measured, row: Callable[..., Row]) -> Iterator[Row]:
    plain = measured.phases[""]
    of_values = measured.phases[ALL]
    yield row(EAGER, timings={**of_values, FLOATS: plain[FLOATS]})
    timings = {**of_values, OURS: plain[RECORDED_KEY], FLOATS: plain[FLOATS]}
    yield row(RECORDED, timings=timings, whole=True)
