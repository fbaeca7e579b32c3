"""The process of one contender on one problem: prepare, answer, and then time when told to."""

from __future__ import annotations

import gc
import os
import sys
import time
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from tapegrad.bench.rival import How


def main(pipe: Connection, adapter: str, problem: str, size: int, how: How, cores: Sequence[int]) -> None:
    """Answers over `pipe`: what was prepared, then for each (seconds, cores) received the least seconds of a run."""
    quiet()
    bind(cores)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = str(how.threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if how.threads > 1 else 'false'}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    from tapegrad.bench.rival import Cannot

    try:
        run, facts = prepared(adapter, problem, size, how)
        pipe.send(facts)
        while (order := pipe.recv()) is not None:
            seconds, cores = order
            bind(cores)
            pipe.send(least(run, seconds) * facts["times"])
    except Cannot as cannot:
        pipe.send({"left_out": str(cannot)})
    except ImportError as error:
        pipe.send({"skipped": f"not installed ({error})"})
    except Exception as error:
        pipe.send({"failed": f"{type(error).__name__}: {error}".splitlines()[0][:150]})


def quiet() -> None:
    """What a library prints, in Python or in C, is not to be seen."""
    with open(os.devnull, "w") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                os.dup2(nowhere.fileno(), stream.fileno())
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives


def bind(cores: Sequence[int]) -> None:
    """Keep this process and all the threads that it has by now on these cores, where the system knows how to."""
    if not hasattr(os, "sched_setaffinity") or not cores:
        return
    try:
        threads = [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        threads = [0]
    for thread in threads:
        with suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(thread, cores)


def prepared(name: str, problem: str, size: int, how: How) -> tuple[Callable[[], Any], dict[str, Any]]:
    """The function to be timed, and what there is to say about it; the answer is looked for last, unmeasured."""
    from tapegrad.bench.problem import error
    from tapegrad.bench.problems import PROBLEMS
    from tapegrad.bench.rival import task

    adapter = import_module(name)
    [asked] = [p for p in PROBLEMS if p.name == problem]
    todo = task(adapter, asked, size, how)
    gc.collect()
    before = megabytes()
    start = time.perf_counter()
    run = todo.start()
    result = run()
    seconds = time.perf_counter() - start
    facts = {"version": version(adapter.PACKAGE), "prepared_s": seconds, "times": todo.times,
             "megabytes_before": before, "peak_megabytes": megabytes()}  # fmt: skip
    return run, {**facts, "error": error(result, todo.answer())}


def least(run: Callable[[], Any], seconds: float) -> float:
    """The least time of a run, of those that fit into `seconds`; of one at least.

    An adapter that has turned the cycle collector off has its garbage collected between runs, which is not timed.
    """
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if not gc.isenabled():
            gc.collect()
        if now > end:
            return best


def megabytes() -> float | None:
    """The peak of this process's resident set, by the operating system's account; None where it keeps none.

    Linux keeps it in /proc: what `getrusage` says there begins with the peak of the process that started this one.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
