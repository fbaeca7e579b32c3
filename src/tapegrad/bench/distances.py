"""How far each figure is from its floor: the least time that a program can take, by what limits the machine.

A floor is a bound from below of every engine that is used from CPython, compiles nothing when it runs, and does the
operations of this program in double precision: eagerly, one object for each operation of the program's text and one
record for each node; recorded, the operations of the optimised program as it is printed, each by itself, in vectors
whose operands and results are in the first cache, functions by the C library. What is counted:

build       the larger of: one operation of CPython on the least of objects for each operation of the program's text,
            and its functions as fast as the scalar library; 33 bytes a node (operation 1, operands 8, value 8,
            gradient 16) through the level of memory that the graph fits into
backward    the larger of: the same bytes, where the gradient's are read and written; the longest chain of nodes, one
            addition after another
recorded    a call that takes an array and gives one, and the largest of: arithmetic as fast as in vectors, and
            functions, whose bits are promised, and `**`, which is pow in Python, as fast as the scalar library; the
            longest chain of operations that wait for one another; 8 bytes of every operation written and read
batch       the larger of: operations as fast as in vectors, shared by the threads, without those that depend on no
            sample; 8 bytes of every input and output of every sample through the level of memory that they fit into

Everything else costs nothing: operands are found, operations are told apart, leaves are made and freed for nothing.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tapegrad.bench.floors import Limits
from tapegrad.bench.problem import functions, product, total

if TYPE_CHECKING:
    from tapegrad.bench.problem import Batch, Point, Program
    from tapegrad.bench.report import Progress, Row
    from tapegrad.bench.workloads import Plan
    from tapegrad.program import Program as Recorded

NODE_BYTES = 33  # that backward must touch
TRACED = 300_000  # nodes up to which the longest chain of an eager graph is looked for

# What an operation is made of, where it is not made of itself. What is not here and no function of the library either
# takes as long as an addition.
MADE_OF = {
    "+": ("add",), "-": ("add",), "*": ("multiply",), "/": ("divide",), "zmul": ("multiply",), "tmul": ("multiply",),
    "madd": ("multiply_and_add",), "nmadd": ("multiply_and_add",), "zmadd": ("multiply_and_add",), "sqrt": ("sqrt",),
    "sigmoid": ("exp",), "silu": ("exp",), "softplus": ("exp", "log1p"), "logaddexp": ("exp", "log1p"),
    "gelu": ("erfc",), "elu": ("expm1",), "**": ("pow",),
}  # fmt: skip
POWERS = {2.0: "multiply", 3.0: "multiply", -1.0: "divide", -2.0: "divide", 0.5: "sqrt"}  # in lanes


@functools.cache
def limits() -> Limits:
    """The limits of this machine, measured once a run."""
    from tapegrad.bench.floors import measure

    return measure()


@dataclass
class LimitRow:
    """One limit of the machine."""

    heading: ClassVar[str] = f"{'':52}{'one':>14}{'all cores':>14}"
    what: str
    one: float
    unit: str
    all_cores: float | None = None

    def __str__(self) -> str:
        both = [f"{x:,.{3 if x < 1 else 1}f} {self.unit}" if x is not None else "" for x in (self.one, self.all_cores)]
        return f"{self.what:50}{both[0]:>16}{both[1]:>14}".rstrip()


def measured(plan: Plan, progress: Progress) -> Iterator[LimitRow | str]:
    """The workload costs/floors: the limits themselves."""
    found = limits()
    for what, x in found.interpreter.items():
        yield LimitRow(f"interpreter: {what}", x, "ns")
    for kind in ("vector", "registers", "scalar", "latency"):
        for what, x in getattr(found, kind).items():
            yield LimitRow(f"{KINDS[kind]}: {what.replace('_', ' ')}", x, "ns")
    if found.by_index is not None:
        yield LimitRow("one by one: a + b * c, operands anywhere", found.by_index, "ns")
    for level in found.levels:
        size = f"{level.size / 1024:,.0f} KiB" if level.size < float("inf") else "no cache holds it"
        yield LimitRow(f"bytes through {level.name}, {size}", level.one / 1e9, "GB/s", level.all / 1e9)
    for why in found.skipped:
        yield f"skipped: {why}"


KINDS = {
    "vector": "vectors, first cache, a number",
    "registers": "vectors, registers, a number",
    "scalar": "one by one, a number",
    "latency": "one waits for another",
}


@dataclass
class FloorRow:
    """A figure of ours as a distance from its floor; seconds, shown in `unit` after multiplying by `scale`."""

    heading: ClassVar[str] = f"{'how far from the floor':46}{'floor':>12}{'tapegrad':>12}{'x floor':>10}  limited by"
    row: str
    unit: str
    scale: float
    floor: float
    ours: float
    limit: str
    times_floor: float | None

    def __str__(self) -> str:
        from tapegrad.bench.report import digits3, times

        both = "".join(f"{digits3(x * self.scale):>12}" for x in (self.floor, self.ours))
        return f"{f'{self.row} ({self.unit})':46}{both}{times(self.times_floor):>10}  {self.limit}"


@dataclass(frozen=True)
class Floor:
    """Seconds, and the limit that they come from."""

    seconds: float
    limit: str

    def __add__(self, other: Floor) -> Floor:
        return Floor(self.seconds + other.seconds, max(self, other, key=lambda floor: floor.seconds).limit)

    def times(self, factor: float) -> Floor:
        return Floor(self.seconds * factor, self.limit)


def largest(**by_limit: float) -> Floor:
    limit, seconds = max(by_limit.items(), key=lambda item: item[1])
    return Floor(seconds, limit.replace("_", " "))


def distance(row: Row, floor: Floor) -> FloorRow:
    """What to print under the rows of a problem."""
    from tapegrad.bench.backends import OURS

    ours = row.timings[OURS].min
    ratio = ours / floor.seconds if row.steady and floor.seconds else None
    return FloorRow(row.title, row.unit, row.scale, floor.seconds, ours, floor.limit, ratio)


# ---- recorded programs ----


@dataclass(frozen=True)
class Work:
    """What a recorded program does."""

    parts: Counter[str]  # of MADE_OF: how many of each; without those that depend on no sample
    operations: int
    chain: float  # ns: the longest chain of operations that wait for one another


def work_of(program: Recorded, wide: range | None = None) -> Work:
    """What a program does at one point; in lanes, where `wide` are the inputs of which each sample has its own."""
    import numpy as np

    from tapegrad.program import OPERATIONS

    codes, a, _, _, values = program.graph.arrays()
    inputs, numbers = np.frombuffer(a, np.int32), np.frombuffer(values, np.float64)
    latency = latencies()
    varies, since = [False] * len(codes), [0.0] * len(codes)
    parts: Counter[str] = Counter()
    operations = 0
    for node, code in enumerate(codes):
        if code <= 1:  # a number, or an input
            varies[node] = code == 1 and (wide is None or inputs[node] in wide)
            continue
        label = OPERATIONS[code]
        operands = program.graph.operation(node)[1]
        varies[node] = any(varies[k] for k in operands)
        made_of = MADE_OF.get(label, (label,))
        if label == "**n":
            made_of = ("pow" if wide is None else POWERS.get(numbers[operands[1]], "pow"),)
        if varies[node]:
            parts.update(made_of)
            operations += 1
        waits = [latency.get(part, 0.0) for part in made_of]
        if label in ("madd", "nmadd", "zmadd"):  # the sum waits for its first operand alone
            since[node] = max(since[operands[0]], max(since[k] for k in operands[1:]) + latency.get("multiply", 0.0))
            since[node] += latency.get("add", 0.0)
        else:
            since[node] = max((since[k] for k in operands), default=0.0) + sum(waits)
    return Work(parts, operations, max(since, default=0.0))


def latencies() -> dict[str, float]:
    """Nanoseconds that what waits for an operation waits at least. Of functions: as long as one takes among many."""
    found = limits()
    return {**found.scalar, **found.latency}


def arithmetic(work: Work, in_vectors: bool) -> float:
    """Seconds of all operations, none waiting for another."""
    found = limits()
    of_functions = found.vector if in_vectors else found.scalar
    costs = {**of_functions, **{k: x for k, x in found.vector.items() if k not in found.scalar}}
    return (
        sum([count * float(costs.get(part, found.vector.get("add", 0.0))) for part, count in work.parts.items()]) / 1e9
    )


def through_memory(size: float, moved: float, threads: int = 1) -> float:
    """Seconds that it takes to move bytes of a working set of some size."""
    level = limits().level(size)
    return 0.0 if level is None else moved / (max(level.one, level.all) if threads > 1 else level.one)


def of_recorded(program: Recorded) -> Floor:
    work = work_of(program)
    size = 8.0 * work.operations
    floor = largest(arithmetic=arithmetic(work, False), a_chain=work.chain / 1e9, memory=through_memory(size, 2 * size))
    return Floor(limits().interpreter["call with an array"] / 1e9, "the call") + floor


def of_lanes(program: Recorded, wide: range, stacked: int, samples: int, threads: int) -> Floor:
    threads = min(threads, limits().cores)
    size = 8.0 * samples * (len(wide) + stacked)
    return largest(
        arithmetic=samples * arithmetic(work_of(program, wide), True) / threads,
        memory=through_memory(size, size, threads),
    )


# ---- eager programs ----


class Counted(float):
    """A float that counts operations: as many as the text of a program has, whatever nodes they make."""

    count = 0
    inside: ClassVar[Counter[str]] = Counter()  # functions of the library


def counted(name: str, of_library: bool) -> Callable[..., Counted]:
    """An operation of Counted: by the method of float or the function of a float namespace."""
    plain = getattr(functions(), name) if of_library else getattr(float, name)

    def operation(*operands: Any) -> Counted:
        Counted.count += 1
        if of_library:
            Counted.inside[name] += 1
        return Counted(plain(*operands))

    return operation


for _name in ("add", "sub", "mul", "truediv", "pow"):
    for _side in ("", "r"):
        setattr(Counted, f"__{_side}{_name}__", counted(f"__{_side}{_name}__", False))
for _name in ("__neg__", "__abs__"):
    setattr(Counted, _name, counted(_name, False))
for _name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "erfc", "relu", "maximum"):
    setattr(Counted, _name, staticmethod(counted(_name, True)))


def in_one(f: Callable[..., float]) -> Callable[..., Counted]:
    """`sum` or `dot`, which a program calls once for many nodes."""

    def operation(*args: Any) -> Counted:
        before, library = Counted.count, Counted.inside.copy()
        y = f(*args)
        Counted.count, Counted.inside = before + 1, library
        return Counted(y)

    return operation


def counts(program: Program, x: list[float]) -> tuple[int, Counter[str]]:
    """The operations of a program's text at a point, and the functions of the library among them."""
    Counted.count, Counted.inside = 0, Counter()
    program([Counted(xi) for xi in x], functions(Counted, in_one(total), in_one(product)))
    return Counted.count, Counted.inside


def graph_of(program: Program, x: list[float]) -> tuple[int, int]:
    """The nodes of the graph of a program that are no leaves, and how many of them are in its longest chain."""
    from tapegrad.bench.backends import compiled
    from tapegrad.tape import tape

    backend = compiled()
    xs = [backend.value(xi) for xi in x]
    first = tape.compact() + 1
    y = program(xs, functions(*backend.names))
    nodes = len(tape) + 1 - first
    longest: dict[int, int] = {}
    operations = nodes
    if nodes <= TRACED:
        operations = 0
        for node, _, a, b, *_ in tape.rows(first):
            if a != node:
                operations += 1
                longest[node] = 1 + max(longest.get(a, 0), longest.get(b, 0))
    del y
    return operations, max(longest.values(), default=0)


def of_eager(program: Program, x: list[float]) -> dict[str, Floor]:
    """By phase."""
    from tapegrad.bench.points import ALL

    found = limits()
    operations, inside = counts(program, x)
    each = found.interpreter.get("object operation", found.interpreter["float operation"])
    of_library = sum([count * found.scalar.get(name, 0.0) for name, count in inside.items()])
    nodes, chain = graph_of(program, x)
    size = float(NODE_BYTES * nodes)
    memory = through_memory(size, size)
    build = largest(interpreter=(operations * each + of_library) / 1e9, memory=memory)
    backward = largest(memory=memory, a_chain=chain * found.latency.get("add", 0.0) / 1e9)
    return {"build": build, "backward": backward, ALL: build + backward}


# ---- problems ----


def of_point(case: Point, recorded: Any, rows: list[Row]) -> Iterator[FloorRow]:
    """Under the rows of a Point; `recorded` is the recorded function among them, or None."""
    import numpy as np

    from tapegrad.bench.points import ALL

    eager = of_eager(case.program, case.x)
    for row in rows:
        if recorded is None:
            yield distance(row, eager[row.title])
        elif row.whole:
            yield distance(row, of_recorded(recorded.program(np.asarray(case.x))))
        else:
            yield distance(row, eager[ALL])


def of_batch(case: Batch, lanes: dict[str, int], rows: list[Row]) -> Iterator[FloorRow]:
    """Under the rows of a Batch: samples one by one, and then by `vmap`."""
    from tapegrad.bench.points import ALL

    x, program = case.at(0)
    one = of_eager(program, x)[ALL] if case.outputs == 1 else None
    recorded, wide = sample_program(case)
    stacked = 0 if case.shared is not None else recorded.outputs
    threads = [0, *lanes.values()]
    for row, count in zip(rows, threads, strict=True):
        if count:
            yield distance(row, of_lanes(recorded, wide, stacked, case.samples, count))
        elif one is not None:
            yield distance(row, one.times(case.samples))


def sample_program(case: Batch) -> tuple[Recorded, range]:
    """The program of one sample with its derivatives, and which of its inputs each sample has for itself."""
    import tapegrad as tg
    from tapegrad.bench.backends import compiled

    m = functions(*compiled().names)
    shared = () if case.shared is None else (case.shared,)
    sample = [column[0] if column.ndim > 1 else float(column[0]) for column in case.columns]
    argnums = 0 if case.shared is not None or case.by == 1 else tuple(range(case.by))
    of = tg.jacobian if case.outputs > 1 else tg.value_and_grad
    program = of(lambda *x: case.program(*x, m), argnums=argnums).program(*shared, *sample)
    before = 0 if case.shared is None else case.shared.size
    return program, range(before, program.inputs)
