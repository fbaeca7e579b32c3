"""The limits: of the interpreter, of memory, of the processor's arithmetic."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from tapegrad.bench.floors.compiled import NUMBERS, SAMPLES, Loops, NoCompiler, number_type

FUNCTIONS = ("exp", "log", "sin", "cos", "tanh", "erf", "erfc", "expm1", "log1p", "pow")
ARITHMETIC = ("add", "multiply", "multiply_by_one", "multiply_and_add", "fused", "divide", "sqrt")
CHAINS = {"additions": "add", "multiplications": "multiply", "divisions": "divide", "both": "multiply_and_add"}
LEVELS = {"L1": 32 << 10, "L2": 512 << 10, "L3": 16 << 20}  # bytes, where the system does not say
CAP = 256 << 20  # bytes of the largest working set
MiB = 1 << 20


@dataclass(frozen=True)
class Level:
    """A level of memory: its size, and how fast it is read, or read and written, by one core and by all."""

    name: str
    size: float  # bytes of one core's share; infinite for memory itself
    one: float  # bytes a second
    all: float


@dataclass
class Limits:
    """Nanoseconds, and levels of memory from the smallest. What was not measured is missing; `skipped` says why."""

    interpreter: dict[str, float] = field(default_factory=dict)  # an operation, a call
    vector: dict[str, float] = field(default_factory=dict)  # a number, in vectors, from the first cache and into it
    scalar: dict[str, float] = field(default_factory=dict)  # a number, one at a time
    by_index: float | None = None  # a product and a sum whose operands are anywhere in the first cache
    registers: dict[str, float] = field(default_factory=dict)  # a number, in vectors that never leave the processor
    latency: dict[str, float] = field(default_factory=dict)  # an operation that waits for the one before
    levels: list[Level] = field(default_factory=list)
    lanes: int | None = None  # numbers in a vector
    cores: int = 1
    skipped: list[str] = field(default_factory=list)

    def level(self, size: float) -> Level | None:
        """The smallest level that a working set of so many bytes fits into."""
        return next((level for level in self.levels if size <= level.size), None)


def measure(tick: Callable[[], None] = lambda: None) -> Limits:
    """All limits, in a few seconds. `tick` is called now and then."""
    limits = Limits(cores=cores())
    measure_interpreter(limits)
    tick()
    try:
        loops = Loops()
    except NoCompiler as why:
        limits.skipped.append(f"vector mathematics and latencies ({why})")
        measure_memory(limits, by_numpy)
        return limits
    limits.lanes = loops.lanes
    measure_arithmetic(limits, loops)
    tick()
    measure_memory(limits, lambda size: by_loops(loops, size))
    return limits


# ---- the interpreter ----


def measure_interpreter(limits: Limits) -> None:
    import numpy as np

    x = np.zeros(2)
    limits.interpreter = {
        "float operation": of_operands(0.5, 0.999, 0.01),
        "function call": of_calls(nothing, 1.0),
        "call with an array": of_calls(x.__class__.copy, x),
    }
    try:
        number = number_type()
    except NoCompiler as why:
        limits.skipped.append(f"operations on objects ({why})")
        return
    limits.interpreter["object operation"] = of_operands(number(0.5), number(0.999), number(0.01))


def of_operands(x: Any, a: Any, b: Any, loops: int = 2_000) -> float:
    """Nanoseconds an operation of x*a + b, so many of them in a row that the loop around them costs little."""

    def run() -> float:
        y = x
        start = perf_counter()
        for _ in range(loops):
            y = y * a + b
            y = y * a + b
            y = y * a + b
            y = y * a + b
            y = y * a + b
            y = y * a + b
            y = y * a + b
            y = y * a + b
        return perf_counter() - start

    return min(run() for _ in range(3 * SAMPLES)) / (16 * loops) * 1e9


def nothing(x: float) -> float:
    return x


def of_calls(f: Callable[[Any], Any], x: Any, loops: int = 5_000) -> float:
    """Nanoseconds a call of f(x)."""

    def run() -> float:
        start = perf_counter()
        for _ in range(loops):
            f(x)
            f(x)
            f(x)
            f(x)
        return perf_counter() - start

    return min(run() for _ in range(SAMPLES)) / (4 * loops) * 1e9


# ---- arithmetic ----


def measure_arithmetic(limits: Limits, loops: Loops) -> None:
    import numpy as np

    arrays = side_by_side(NUMBERS)
    for array, low in zip(arrays, (0.0, 0.1, 0.5, 0.6), strict=True):
        array[:] = np.linspace(low, low + 1.0, NUMBERS)
    unit = [np.ones(NUMBERS) for _ in arrays]  # so that nothing overflows or gets denormal

    def nanoseconds(name: str, of: Any = arrays) -> dict[str, float]:
        if not loops.has(name):
            return {}
        return {name.partition("_")[2]: loops.least(name, of) / NUMBERS * 1e9}

    for _ in range(2):  # the first loops run while the processor wakes up
        for name in ARITHMETIC:
            if loops.has(name):
                each = loops.least(name, arrays) / NUMBERS * 1e9
                limits.vector[name] = min(each, limits.vector.get(name, each))
    places = np.random.default_rng(0).integers(0, NUMBERS, 4 * NUMBERS, np.int32).view(np.float64)
    limits.by_index = loops.least("by_index", [*arrays[:3], places]) / NUMBERS * 1e9
    for name in FUNCTIONS:
        limits.vector |= nanoseconds(f"vector_{name}")
        limits.scalar |= nanoseconds(f"scalar_{name}")
    missing = [name for name in FUNCTIONS if name not in limits.vector]
    if missing:
        limits.skipped.append(f"{', '.join(missing)} in vectors (the C library has none)")
    rounds = len(range(0, NUMBERS, 12 * loops.lanes)) * 12 * loops.lanes  # numbers, as the loop takes them in twelves
    for name in ("add", "multiply"):
        if loops.has(f"{name}_in_registers"):
            limits.registers[name] = loops.least(f"{name}_in_registers", unit) / rounds * 1e9
    for name, label in CHAINS.items():
        limits.latency[label] = loops.least(f"chain_of_{name}", unit) / NUMBERS * 1e9


def side_by_side(count: int) -> list[Any]:
    """Four arrays that start on a cache line, no two at the same place of a page: as good as it can be."""
    import numpy as np

    room = np.empty(4 * (count + 40) + 8)
    first = -room.ctypes.data // 8 % 8
    return [room[first + k * (count + 40) :][:count] for k in range(4)]


# ---- memory ----


def cache_sizes() -> dict[str, int]:
    """Bytes of the caches of data, as the system tells them."""
    sizes: dict[str, int] = {}
    try:
        for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
            if (index / "type").read_text().strip() != "Instruction":
                text = (index / "size").read_text().strip()
                sizes[f"L{(index / 'level').read_text().strip()}"] = int(text.removesuffix("K")) << 10
    except (OSError, ValueError):
        return LEVELS
    return sizes or LEVELS


def measure_memory(limits: Limits, speed: Callable[[int], tuple[float, float]]) -> None:
    """`speed(bytes)` is how many bytes a second go through a working set of so many, by one core and by all."""
    sizes = cache_sizes()
    for name, size in sizes.items():
        if size < CAP:
            limits.levels.append(Level(name, float(size), *speed(size // 2)))
    limits.levels.append(Level("memory", float("inf"), *speed(min(CAP, 4 * max(sizes.values())))))


def by_loops(loops: Loops, size: int) -> tuple[float, float]:
    """The better of reading and of copying."""
    best: dict[int, float] = {}
    for name, moved in (("read", 1), ("copy", 2)):
        for threads in {1, cores()}:
            count = max(64, size // 8 // moved // 64 * 64)
            speed = threads * moved * 8 * count / at_once(loops, name, count, threads)
            best[threads] = max(best.get(threads, 0.0), speed)
    return best[1], max(best.values())


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_once(loops: Loops, name: str, count: int, threads: int) -> float:
    """Seconds a run when so many threads run at once, each on arrays of its own: the slowest one's."""
    import numpy as np

    few = np.ones(64)
    own = [[np.ones(count if name == "copy" else 64), np.ones(count), few, few] for _ in range(threads)]
    samples = 3 if count * 8 > 16 * MiB else SAMPLES
    if threads == 1:
        return loops.least(name, own[0], samples)
    seconds = [0.0] * threads
    barrier = threading.Barrier(threads)

    def work(k: int) -> None:
        barrier.wait()
        seconds[k] = loops.least(name, own[k], samples)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(seconds)


def by_numpy(size: int) -> tuple[float, float]:
    """Copying by numpy, by one core; where there is no compiler."""
    import numpy as np

    count = size // 16
    a, b = np.ones(count), np.ones(count)
    times = max(1, 4 * MiB // size)

    def run() -> float:
        start = perf_counter()
        for _ in range(times):
            np.copyto(a, b)
        return perf_counter() - start

    speed = times * 16 * count / min(run() for _ in range(SAMPLES))
    return speed, speed
