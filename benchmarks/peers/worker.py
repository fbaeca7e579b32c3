"""The process of one contender on one workload: prepare, answer, and then time when told to."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

TOLERANCE = (
    1e-8  # of the largest number of a result: different formulas for the normal distribution, sums in another order
)


@dataclass
class How:
    threads: int
    mode: str


def main(pipe, module: str, workload: str, how: How) -> None:
    """Answers over `pipe`: what was prepared, then for each number of seconds received the least seconds of a run."""
    cores = sorted(os.sched_getaffinity(0))[: how.threads]
    os.sched_setaffinity(0, cores)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = str(how.threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if how.threads > 1 else 'false'}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        run = prepare(pipe, module, workload, how)
        while (seconds := pipe.recv()) is not None:
            pipe.send(least(run, seconds))
        pipe.send(peak())
    except Exception as error:
        pipe.send({"failed": f"{type(error).__name__}: {str(error)[:150]}".splitlines()[0]})


def prepare(pipe, module: str, workload: str, how: How):
    from importlib import import_module
    from importlib.metadata import version

    from . import problems

    try:
        peer = import_module(f"{__package__}.{module}")
    except ImportError as error:
        pipe.send({"skipped": f"not installed ({error})"})
        sys.exit()
    data = problems.WORKLOADS[workload]()
    start = time.perf_counter()
    run = getattr(peer, workload.replace("-", "_"))(data, how)
    result = run()
    seconds = time.perf_counter() - start
    got = getattr(peer, "numbers", lambda result: result)(result)
    pipe.send({"version": version(peer.PACKAGE), "prepared": seconds, "error": difference(got, data.answer)})
    return run


def difference(got, wanted) -> float:
    """The largest difference, each number in units of the largest one of its kind; inf for what is not there."""
    import numpy as np

    worst = 0.0
    for a, b in zip(got, wanted, strict=True):
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        if a.size != b.size or not np.isfinite(a).all():
            return float("inf")
        a, b = (x.reshape(b.shape) for x in (a, b))
        kinds = list(zip(a, b, strict=True)) if b.ndim == 2 else [(a, b)]
        worst = max(worst, *(float(np.abs(x - y).max() / np.abs(y).max()) for x, y in kinds))
    return worst


def least(run, seconds: float) -> float:
    """The least time of a run, of those that fit into `seconds`; of one at least."""
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def peak() -> float:
    """Megabytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
