"""A program over many samples: sample by sample on Values, and by `vmap`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tapegrad.bench import distances
from tapegrad.bench.backends import BASE_OFF, BASE_ON, FLOATS, OURS, Backend, check_equal, compiled, reference
from tapegrad.bench.machine import cores
from tapegrad.bench.problem import Batch, check_answer, functions
from tapegrad.bench.report import Row
from tapegrad.bench.rival import How, batch_by_scalars
from tapegrad.bench.timing import Contender, collector, looped, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapegrad.bench.distances import FloorRow
    from tapegrad.bench.problem import Problem
    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan

FEW = 2  # samples that are done one after another; the time of all is that of one, times the samples


def scaled(run: Callable[[], Any], times: float) -> Callable[[], dict[str, float]]:
    """Seconds of a run on a few samples, times the samples that there are for one of them."""
    timed = looped(run)
    return lambda: {"": timed()[""] * times}


def one_by_one(case: Batch, backend: Backend) -> Callable[[], Any]:
    """All samples in a loop, each on a graph of its own."""
    from tapegrad.bench.peers.ours import gradient
    from tapegrad.bench.rival import Scalars

    return batch_by_scalars(Scalars(backend.value, gradient, functions(*backend.names)), case)


def float_loop(case: Batch) -> Callable[[], Any]:
    """The programs of all samples on plain floats, which give no derivatives."""
    points, m = [case.at(k) for k in range(case.samples)], functions()
    return lambda: [program(x, m) for x, program in points]


def numbers(answer: Any) -> list[float]:
    import numpy as np

    return [float(x) for part in answer if part is not None for x in np.ravel(np.asarray(part))]


def rows(problem: Problem, plan: Plan, progress: Progress) -> Iterator[Row | FloorRow | str]:
    from tapegrad.bench.peers import ours

    for size in plan.sizes_of(problem):
        progress.say(f"{size:,}, checking")
        case, few = problem.make(size), problem.make(FEW)
        yield f"{size:,} {problem.of}; Values, in Python, are given {FEW} of them:"
        theirs, eager = one_by_one(few, reference()), one_by_one(few, compiled())
        with collector(False):
            got = eager()
            check_equal(f"{problem.name}, {FEW} samples", numbers(got), numbers(theirs()))
        check_answer(f"{problem.name}, {FEW} samples, eager", got, few.answer())
        wanted = case.answer()
        times = size / FEW
        timed = [
            Contender(BASE_ON, scaled(theirs, times), gc_on=True),
            Contender(BASE_OFF, scaled(theirs, times), gc_on=False),
            Contender(OURS, scaled(eager, times)),
            Contender(FLOATS, scaled(float_loop(few), times)),
        ]
        lanes = {"vmap": 1} | ({"vmap, 2 threads": 2} if cores() > 1 else {})
        for key, threads in lanes.items():
            run = ours.batch(case, How("recorded", threads))
            check_answer(f"{problem.name}, {size:,} {problem.of}, {key}", run(), wanted)
            timed.append(Contender(key, looped(run)))
        measured = measure(timed, progress.tick, plan.pace)
        timings = measured.phases[""]
        row = partial(Row, unit=problem.unit, scale=problem.scale(size), steady=measured.steady, size=size)
        made = []
        for key in (OURS, *lanes):
            label = "eager, one by one" if key == OURS else key
            made.append(row(label, timings={**timings, OURS: timings[key]}, whole=key == "vmap"))
        yield from made
        yield from distances.of_batch(case, lanes, made)
