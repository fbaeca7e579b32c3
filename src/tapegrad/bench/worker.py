"""The process of one contender on one problem: prepare, answer, and then time when told to."""

from __future__ import annotations

import gc
import os
import time
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from tapegrad.bench.rival import How

PEERS = "tapegrad.bench.peers"


def main(pipe: Connection, module: str, problem: str, size: int, how: How) -> None:
    """Answers over `pipe`: what was prepared, then for each number of seconds received the least seconds of a run."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: how.threads])
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = str(how.threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if how.threads > 1 else 'false'}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    from tapegrad.bench.rival import Cannot

    try:
        run, facts = prepared(module, problem, size, how)
        pipe.send(facts)
        while (seconds := pipe.recv()) is not None:
            pipe.send(least(run, seconds) * facts["times"])
        pipe.send(megabytes())
    except Cannot as cannot:
        pipe.send({"left_out": str(cannot)})
    except ImportError as error:
        pipe.send({"skipped": f"not installed ({error})"})
    except Exception as error:
        pipe.send({"failed": f"{type(error).__name__}: {str(error)[:150]}".splitlines()[0]})


def prepared(module: str, name: str, size: int, how: How) -> tuple[Callable[[], Any], dict[str, Any]]:
    from tapegrad.bench.problem import error
    from tapegrad.bench.problems import PROBLEMS
    from tapegrad.bench.rival import prepare

    adapter = import_module(f"{PEERS}.{module}")
    [problem] = [p for p in PROBLEMS if p.name == name]
    gc.collect()
    before = megabytes()
    start = time.perf_counter()
    run, answer, times = prepare(adapter, problem, size, how)
    result = run()
    seconds = time.perf_counter() - start
    facts = {"version": version(adapter.PACKAGE), "prepared_s": seconds, "error": error(result, answer),
             "times": times, "megabytes_before": before}  # fmt: skip
    return run, facts


def least(run: Callable[[], Any], seconds: float) -> float:
    """The least time of a run, of those that fit into `seconds`; of one at least."""
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def megabytes() -> float | None:
    """The peak of this process's resident set, by the operating system's account; None where it keeps none."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
