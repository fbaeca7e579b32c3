"""`vmap`: a recorded function on a batch of samples, in lanes and threads."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import containers, structure
from tapegrad.program import Job
from tapegrad.programs import TRIES
from tapegrad.recorded import Recorded
from tapegrad.recording import current
from tapegrad.structure import NUMBER, blocks, flatten, map_spec, numbers_in, size, unflatten
from tapegrad.value import Value, _peek

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tapegrad.program import Program
    from tapegrad.programs import Entry, Family
    from tapegrad.structure import Spec

    Progress = Callable[[int, int], object]

__all__ = ["VMap", "run_job", "vmap"]

PART = 1 << 16  # samples whose guards are looked at together
WORTH_A_THREAD = 2_000_000  # operations


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_job(job: Job, threads: int = 1, progress: Callable[[int], object] | None = None, probe: Any = None) -> Any:
    """Run all chunks of a job; the sums over the samples of the outputs that are summed.

    Chunks are added up in their order, whichever thread has done them: the bits do not depend on the threads.
    """
    total = np.zeros(job.sums)
    numbers = itertools.count()
    done: dict[int, Any] = {}
    added = 0
    stop = False
    lock = threading.Lock()
    errors: list[BaseException | None] = [None]  # in its place already: noting one must take no memory

    def work(report: bool) -> None:
        nonlocal added, total
        while not stop:
            chunk = next(numbers)
            if chunk >= job.chunks:
                return
            sums = np.empty(job.sums)
            job.run(chunk, sums, *(probe or ()))
            with lock:
                done[chunk] = sums
                while added in done:
                    total += done.pop(added)
                    added += 1
            if report and progress is not None:
                progress(min(added * job.lanes.chunk, job.size))

    def helper() -> None:
        nonlocal stop
        try:
            work(False)
        except BaseException as error:
            stop = True
            errors[0] = error

    count = min(threads, job.chunks) - 1
    if job.size * (job.lanes.operations + 1) < WORTH_A_THREAD:
        count = 0
    helpers = [threading.Thread(target=helper, daemon=True) for _ in range(count)]
    try:
        for thread in helpers:
            thread.start()
        work(True)
    except BaseException:
        stop = True
        raise
    finally:
        for thread in helpers:
            if thread.ident is not None:
                thread.join()
    if errors[0] is not None:
        raise errors[0]
    if added != job.chunks:
        raise MemoryError("a thread has ended before its work was done")
    if progress is not None:
        progress(job.size)
    return total


class Batch:
    """The arguments of one call, taken apart: what each sample has of its own, and what all share."""

    def __init__(self, of: VMap, inner: Recorded, args: Any, kwargs: Any) -> None:
        self.columns: dict[int, Any] = {}  # by number of the input
        self.axes: dict[int, int] = {}  # where the samples are, by number of the first input of a mapped array
        self.n: int | None = None
        self.leaves: list[Any] = []
        self.count: int = 0
        axes = of.axes_of(len(args))
        specs: list[Spec] = []
        for position, (arg, axis) in enumerate(zip(args, axes, strict=True)):
            specs.append(self.take(arg, axis, f"argument {position}", not inner.is_input(position, len(args))))
        named = [self.take(arg, named_axis(arg), name, True) for name, arg in kwargs.items()]
        if self.n is None:
            raise ValueError("vmap: no argument is mapped: in_axes names none")
        self.spec: Spec = ("tuple", (("tuple", tuple(specs), tuple), ("dict", tuple(named), tuple(kwargs))), tuple)
        self.x: Any
        self.values: dict[int, Value]
        self.x, self.values = numbers_in(self.leaves)

    def take(self, arg: Any, axis: Any, name: str, setting: bool) -> Spec:
        if axis is None:
            if isinstance(arg, int) and setting:
                return ("setting", structure.Setting(arg))
            before = len(self.leaves)
            spec = flatten(arg, self.leaves, not setting)
            self.count += size(spec)
            if len(self.leaves) == before and spec[0] == "setting" and isinstance(arg, np.ndarray):
                raise TypeError(f"vmap: {name} is no argument to compute with")
            return spec
        if isinstance(arg, (list, tuple)) and not isinstance(axis, (list, tuple)):
            if only_numbers(arg):
                arg = np.asarray(arg, dtype=np.float64)
            elif is_array_of_arrays(arg):
                arg = np.stack([np.asarray(x) for x in arg])
        if isinstance(arg, (list, tuple, dict)):
            return self.take_nested(arg, axis, name)
        array = np.asarray(arg)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"vmap: {name} is mapped and must be an array of real numbers, not of {array.dtype}")
        along: Any = axis
        if not -array.ndim <= along < array.ndim:
            raise ValueError(f"vmap: {name} has shape {array.shape}, which has no axis {along} to map over")
        array = np.moveaxis(array, along, 0)
        if self.n is not None and len(array) != self.n:
            raise ValueError(f"vmap: {name} has {len(array)} samples, an argument before it {self.n}")
        self.n = len(array)
        if array.dtype.char not in "dfbBhHiIlLqQ?" or not array.dtype.isnative or not array.flags.aligned:
            array = array.astype(np.float64)
        self.axes[self.count] = along
        for index in np.ndindex(array.shape[1:]):
            self.columns[self.count] = array[(slice(None), *index)]
            self.leaves.append(0.0)
            self.count += 1
        return NUMBER if array.ndim == 1 else ("array", array.shape[1:])

    def take_nested(self, arg: Any, axis: Any, name: str) -> Spec:
        keys = list(arg) if isinstance(arg, dict) else range(len(arg))
        if isinstance(axis, (list, tuple, dict)) and len(axis) != len(arg):
            raise ValueError(f"vmap: in_axes has {len(axis)} entries for the {len(arg)} of {name}")
        specs: list[Spec] = []
        for key in keys:
            inner = axis[key] if isinstance(axis, (list, tuple, dict)) else axis
            specs.append(self.take(arg[key], inner, f"{name}[{key!r}]", False))
        if isinstance(arg, dict):
            return ("dict", tuple(specs), tuple(arg))
        return ("list", tuple(specs)) if isinstance(arg, list) else ("tuple", tuple(specs), type(arg))

    def count_of_samples(self) -> int:
        assert self.n is not None
        return self.n

    def sample(self, k: int) -> Any:
        """The numbers of sample k."""
        x = self.x.copy()
        for i, column in self.columns.items():
            x[i] = column[k]
        return x


def samples_first(arg: Any, axis: Any, lengths: list[int]) -> Any:
    """The argument with its samples along the first axis of all mapped arrays; how many goes into `lengths`."""
    if axis is None:
        return arg
    if isinstance(arg, (list, tuple)) and not isinstance(axis, (list, tuple)):
        if only_numbers(arg, Value):
            arg = np.asarray(arg, dtype=object)
        elif is_array_of_arrays(arg, Value):
            arg = np.stack([np.asarray(x, dtype=object) for x in arg])
    if isinstance(arg, dict):
        return {key: samples_first(x, inner_axis(axis, key), lengths) for key, x in arg.items()}
    if isinstance(arg, (list, tuple)):
        return like(arg, [samples_first(x, inner_axis(axis, k), lengths) for k, x in enumerate(arg)])
    array = np.moveaxis(np.asarray(arg, dtype=object), axis, 0)
    lengths.append(len(array))
    return array


def one_sample(arg: Any, axis: Any, k: int) -> Any:
    """Sample k of what `samples_first` made."""
    if axis is None:
        return arg
    if isinstance(arg, dict):
        return {key: one_sample(x, inner_axis(axis, key), k) for key, x in arg.items()}
    if isinstance(arg, (list, tuple)):
        return like(arg, [one_sample(x, inner_axis(axis, j), k) for j, x in enumerate(arg)])
    return arg[k]


def inner_axis(axis: Any, key: Any) -> Any:
    return axis[key] if isinstance(axis, (list, tuple, dict)) else axis


def like(arg: Any, items: list[Any]) -> Any:
    """A list, tuple or named tuple of these, as `arg` is one."""
    return type(arg)(*items) if hasattr(arg, "_fields") else type(arg)(items)


def only_numbers(tree: Any, *more: type) -> bool:
    """Whether this is a number, or lists of numbers; of `more` types, too."""
    if isinstance(tree, (list, tuple)):
        return all(only_numbers(x, *more) for x in tree)
    return isinstance(tree, (int, float, np.number, *more))


def is_array_of_arrays(tree: Any, *more: type) -> bool:
    """Whether this is a list of arrays, or of such lists or lists of numbers, all of one shape: another way to write
    the array of them."""
    if not isinstance(tree, list) or not tree:
        return False
    items: list[Any] = tree
    if not all(isinstance(x, np.ndarray) or only_numbers(x, *more) or is_array_of_arrays(x, *more) for x in items):
        return False
    return len({shape_of(x) for x in items}) == 1


def shape_of(x: Any) -> tuple[int, ...] | None:
    """The shape of an array or of lists of them; None if it has none."""
    if not isinstance(x, (list, tuple)):
        shape: tuple[int, ...] = np.shape(x)
        return shape
    items: Any = x
    shapes = {shape_of(y) for y in items}
    if len(shapes) > 1 or None in shapes:
        return None
    return (len(items), *(shapes.pop() or () if shapes else ()))


def named_axis(arg: Any) -> int | None:
    """A keyword argument is mapped along its first axis, if it is an array or a container."""
    is_mapped = containers.taken_apart(arg) is not None or bool(getattr(arg, "shape", ()))
    return 0 if is_mapped else None


def in_order(first: int, end: int, found: dict[int, tuple[Entry, list[Any]]]) -> Iterator[tuple[int, int, Entry, Any]]:
    """The entries and the samples that go their way, by the first of these."""
    merged = [(entry, np.sort(np.concatenate(parts))) for entry, parts in found.values()]
    for entry, indices in sorted(merged, key=lambda pair: int(pair[1][0])):
        yield first, end, entry, indices


@contextlib.contextmanager
def noted(k: int) -> Generator[None, None, None]:
    """An exception from here on carries the sample's number."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while recording at sample {k} of the batch")
        raise


class VMap(Recorded):
    """tapegrad.vmap"""

    what = "vmap"

    def __init__(
        self,
        f: Callable[..., Any],
        in_axes: Any = 0,
        reduce: str | None = None,
        threads: int | None = None,
        exact: bool = False,
        progress: Progress | None = None,
        out_axes: Any = 0,
        **options: Any,
    ) -> None:
        super().__init__(f, **options)
        if reduce not in (None, "sum", "mean"):
            raise ValueError(f"reduce must be None, 'sum' or 'mean', not {reduce!r}")
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise ValueError(f"threads must be a positive int or None, not {threads!r}")
        if reduce is not None and out_axes != 0:
            raise ValueError("out_axes is for results that are stacked: with reduce there is no axis of samples")
        if not isinstance(in_axes, (int, list, tuple)) or isinstance(in_axes, bool):
            raise TypeError(
                f"in_axes must be an int, or a sequence with an int or None for each argument, not {in_axes!r}"
            )
        self.in_axes: Any = in_axes
        self.out_axes: Any = out_axes
        self.reduce: str | None = reduce
        self.threads: int | None = threads
        self.exact: bool = exact
        self.progress: Progress | None = progress
        self.inner: Recorded = (
            f.whole()
            if isinstance(f, Recorded) and not isinstance(f, VMap)
            else Recorded(f, self.max_programs, max_bytes=self.max_bytes)
        )
        self.gradients: dict[Any, Any] = {}

    def behind(self) -> list[Recorded]:
        return [*super().behind(), self.inner, *list(self.gradients.values())]

    def state(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("in_axes", "reduce", "threads", "exact", "progress", "out_axes")}
        return {**super().state(), **own}

    def axes_of(self, count: int) -> tuple[Any, ...]:
        if isinstance(self.in_axes, int):
            return (self.in_axes,) * count
        if len(self.in_axes) != count:
            raise ValueError(f"in_axes is for {len(self.in_axes)} arguments, and there are {count}")
        return tuple(self.in_axes)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            return self.unrolled(args, kwargs)
        batch = Batch(self, self.inner, args, kwargs)
        family = self.inner.family(batch.spec)
        if not batch.n:
            return self.moved_out(self.floats(family, batch))
        first = self.recorded_at(family, batch, 0)
        if batch.values or self.inner.gives_values(first):
            return self.moved_out(self.on_tape_batch(family, batch))
        return self.moved_out(self.floats(family, batch))

    def moved_out(self, result: Any) -> Any:
        """The result with the samples on the axes that out_axes names."""
        return result if type(self.out_axes) is int and self.out_axes == 0 else moved_to(result, self.out_axes)

    def floats(self, family: Family, batch: Batch) -> Any:
        """The result as numbers."""
        stacked = self.reduce is None
        spec, out = self.execute(family, batch, lambda entry: [stacked] * len(entry.nodes))
        if self.reduce == "mean":
            out = [x / batch.n if batch.n else x * math.nan for x in out]
        return assembled(spec, out, stacked, batch.n)

    def unrolled(self, args: Any, kwargs: Any) -> Any:
        """In a recording: sample by sample."""
        axes = self.axes_of(len(args))
        lengths: list[int] = []
        moved = [samples_first(arg, axis, lengths) for arg, axis in zip(args, axes, strict=True)]
        named_axes = {name: named_axis(arg) for name, arg in kwargs.items()}
        named = {name: samples_first(arg, named_axes[name], lengths) for name, arg in kwargs.items()}
        if not lengths:
            raise ValueError("vmap: no argument is mapped: in_axes names none")
        if len(set(lengths)) != 1:
            raise ValueError(f"vmap: the mapped arguments have {sorted(set(lengths))} samples")
        if not lengths[0]:
            return self.floats_of_none(args, kwargs)
        spec: Spec = NUMBER
        results: list[list[Any]] = []
        for k in range(lengths[0]):
            leaves: list[Any] = []
            sample = [one_sample(arg, axis, k) for arg, axis in zip(moved, axes, strict=True)]
            own = {name: one_sample(arg, named_axes[name], k) for name, arg in named.items()}
            spec = flatten(self.inner(*sample, **own), leaves)
            results.append([x for leaf in leaves for x in (leaf if isinstance(leaf, np.ndarray) else [leaf])])
        if self.reduce is not None:
            sums = [sum(numbers[1:], numbers[0]) for numbers in zip(*results, strict=True)]
            sums = [x + 0.0 if letter != 102 else x for x, letter in zip(sums, structure.kinds(spec), strict=True)]
            if self.reduce == "mean":
                sums = [x / len(results) for x in sums]
            spec = map_spec(spec, lambda shape: NUMBER if shape is None else ("array", shape))
            return unflatten(spec, iter(sums), structure.of_values)
        columns = [[numbers[j] for numbers in results] for j in range(len(results[0]))]
        wide = map_spec(spec, lambda shape: ("array", (len(results), *(shape or ()))))
        ordered = [columns[j][k] for block in blocks(spec) for k in range(len(results)) for j in block]
        return self.moved_out(unflatten(wide, iter(ordered), structure.of_values))

    def floats_of_none(self, args: Any, kwargs: Any) -> Any:
        """In a recording: the result of an empty batch, which is made of constants."""
        given = structure.unflatten(*plain(args))
        named = structure.unflatten(*plain(kwargs))
        batch = Batch(self, self.inner, given, named)
        return self.moved_out(self.floats(self.inner.family(batch.spec), batch))

    # ---- running ----

    def entry_of_none(self, family: Family, batch: Batch) -> Entry:
        """An entry to tell of an empty batch how results are nested: there is one, or the function is recorded at 1."""
        if family.last is not None:
            return family.last
        x = batch.x.copy()
        x[list(batch.columns)] = 1.0
        try:
            return family.record(x)
        except Exception as error:
            raise ValueError(
                "vmap: an empty batch, and the shape of the result is not known: the function has not been called "
                f"yet, and with ones for a sample it raises {type(error).__name__}: {error}"
            ) from error

    def groups(self, family: Family, batch: Batch) -> Iterator[tuple[int, int, Entry, Any]]:
        """(first, end, entry, indices): the samples of a part of the batch that go one way; all of them if there is no
        guard. Guards are computed as at single points, so that a sample goes the way it would go by itself."""
        n = batch.count_of_samples()
        entry = self.recorded_at(family, batch, 0)
        if not entry.outcomes:
            yield 0, n, entry, None
            return
        for first in range(0, n, PART):
            yield from self.split(family, batch, first, min(first + PART, n))

    def split(self, family: Family, batch: Batch, first: int, end: int) -> Iterator[tuple[int, int, Entry, Any]]:
        entry = self.recorded_at(family, batch, first)
        # samples, and how to come by an entry to try on them, which is recorded no sooner; how many of its guards must
        # hold; and how often one has been recorded that does not even do where it was recorded
        todo: list[tuple[Entry, Any, tuple[int, float] | None, int, int]] = [
            (entry, np.arange(end - first), None, 0, 0)
        ]
        found: dict[int, tuple[Entry, list[Any]]] = {}
        taken = 0
        while todo:
            entry, indices, way, held, again = todo.pop()
            recorded_at = -1
            if way is not None:
                guard, outcome = way
                at = int(indices[0])
                if again == TRIES:
                    raise family.impure(entry, guard)
                with noted(first + at):
                    entry, fresh = family.following(entry, guard, outcome, held, batch.sample(first + at))
                held, recorded_at = guard + 1, at if fresh else -1
            failed, outcomes = self.probe(entry, batch, first, end, indices)
            passed = indices[failed < 0]
            if len(passed):
                if id(entry) not in found:
                    found[id(entry)] = entry, []
                    taken += entry.nbytes
                found[id(entry)][1].append(passed)
            missed = failed >= 0
            if missed.any():
                left, kinds = indices[missed], np.stack([failed[missed].astype(np.float64), outcomes[missed]])
                _, sample, which = np.unique(kinds, axis=1, return_index=True, return_inverse=True)
                which = which.reshape(-1)
                again += recorded_at >= 0 and recorded_at in left  # else there is one sample less each time
                for k, s in enumerate(sample):
                    todo.append((entry, left[which == k], (int(kinds[0, s]), float(kinds[1, s])), held, again))
            if taken > family.max_bytes:  # the programs that have been found may go when they have run
                yield from in_order(first, end, found)
                found, taken = {}, 0
        yield from in_order(first, end, found)

    def recorded_at(self, family: Family, batch: Batch, k: int) -> Entry:
        """The program that was used last; recorded at sample k if there is none."""
        entry = family.last
        if entry is None:
            with noted(k):
                entry = family.add(batch.sample(k))
        return entry

    def columns(self, batch: Batch, lanes: Any, first: int, end: int) -> list[Any]:
        return [batch.columns[i][first:end] for i in lanes.wide]

    def wide(self, entry: Entry, batch: Batch) -> bytes:
        wide = bytearray(entry.program.inputs)
        for i in batch.columns:
            wide[i] = 1
        return bytes(wide)

    def probe(self, entry: Entry, batch: Batch, first: int, end: int, indices: Any) -> tuple[Any, Any]:
        """For each of these samples the first guard that comes out differently, or -1; and what came out."""
        lanes = entry.laid_out(entry.program, self.wide(entry, batch), True, True)
        failed, outcomes = np.empty(len(indices), dtype=np.int32), np.empty(len(indices))
        columns = self.columns(batch, lanes, first, end)
        job = Job(lanes, columns, entry.numbers(batch.x), end - first, indices, [None] * lanes.outputs)
        run_job(job, self.threads or cores(), None, (failed, outcomes))
        return failed, outcomes

    def results(
        self,
        family: Family,
        batch: Batch,
        program_of: Callable[[Entry], Program],
        outs_of: Callable[[Entry], list[Any]],
    ) -> Iterator[tuple[Entry, Any]]:
        """Run the batch group by group: (entry, sums). `outs_of` gives for each output an array of all samples to write
        to, or None to sum up."""
        n = batch.count_of_samples()
        before = 0
        for first, end, entry, indices in self.groups(family, batch):
            program = program_of(entry)
            lanes = entry.laid_out(program, self.wide(entry, batch), False, self.exact)
            outs = [None if out is None else out[first:end] for out in outs_of(entry)]
            columns = self.columns(batch, lanes, first, end)
            job = Job(lanes, columns, entry.numbers(batch.x), end - first, indices, outs)
            progress = None
            if self.progress is not None:
                progress = functools.partial(_report, self.progress, before, n)
            yield entry, run_job(job, self.threads or cores(), progress)
            before += job.size

    def execute(
        self,
        family: Family,
        batch: Batch,
        stacked_of: Callable[[Entry], list[bool]],
        of_finite: bool = False,
    ) -> tuple[Spec, list[Any]]:
        """The outputs: arrays of all samples where they are stacked, else sums; and how they are nested."""
        spec: Spec | None = None
        stacked: list[bool] = []
        out: list[Any] = []

        def outs_of(entry: Entry) -> list[Any]:
            nonlocal spec, stacked, out
            if spec is None:
                spec, stacked = entry.spec, stacked_of(entry)
                out = stores(spec, stacked, batch.count_of_samples())
            elif spec != entry.spec:
                spec = structure.agreed(spec, entry.spec)
            if spec is None:
                raise TypeError("vmap: the function returns results of different shapes for different samples")
            return [x if is_stacked else None for x, is_stacked in zip(out, stacked, strict=True)]

        total: Any = 0.0
        if not batch.n:
            entry = self.entry_of_none(family, batch)
            outs_of(entry)
            assert spec is not None
            return spec, [x if is_stacked else 0.0 for x, is_stacked in zip(out, stacked, strict=True)]
        for _, sums in self.results(family, batch, lambda entry: entry.program, outs_of):
            total = total + sums
        assert spec is not None
        if self.check_finite or of_finite:
            self.check_batch(family, batch, [x for x, s in zip(out, stacked, strict=True) if s], total)
        rest = iter(np.asarray(total).tolist())
        return spec, [x if is_stacked else next(rest) for x, is_stacked in zip(out, stacked, strict=True)]

    def check_batch(self, family: Family, batch: Batch, columns: list[Any], total: Any) -> None:
        """Report the first sample with a result that is nan or inf."""
        bad = [np.flatnonzero(~np.isfinite(column)) for column in columns]
        found = [int(samples[0]) for samples in bad if len(samples)]
        if found:
            self.report(family, batch.sample(min(found)), min(found))
        if not np.isfinite(total).all():
            n = batch.count_of_samples()
            for k in range(n):
                _, out = family.at(batch.sample(k), lambda entry: entry.program)
                if not np.isfinite(out).all():
                    self.report(family, batch.sample(k), k)
            raise FloatingPointError("the sum over the samples overflows, though no sample's result is nan or inf")

    # ---- derivatives of the reduced function ----

    def differentiated(self, of: Any, args: Any, kwargs: Any) -> Any:
        """What grad and value_and_grad make of this: computed sample by sample in lanes."""
        from tapegrad.transforms import ValueAndGradient

        if self.reduce is None:
            raise TypeError(
                f"{of.what} differentiates functions that return one number: give vmap a reduce, 'sum' or 'mean'"
            )
        key = (of.argnums, of.has_aux)
        inner = self.gradients.get(key)
        if inner is None:
            function = self.inner.f if type(self.inner) is Recorded else self.inner
            inner = self.gradients[key] = ValueAndGradient(
                function, *key, max_programs=self.max_programs, max_bytes=self.max_bytes
            )
        batch = Batch(self, inner, args, kwargs)
        if batch.values:
            raise TypeError(f"{of.what} of a vmap takes numbers, not Values")
        family = inner.family(batch.spec)
        picked, nested = inner.chosen(batch.spec)
        own = [k in batch.columns for k in picked]
        spec, out = self.execute(
            family, batch, lambda entry: [False] * (len(entry.nodes) - len(picked)) + own, of.check_finite
        )
        if self.reduce == "mean":
            out = [x / batch.n if batch.n else x * math.nan for x in out]
        first = spec[1][0]
        count = len(out) - len(picked)
        gradient = assembled(nested, out[count:], own)
        gradient = moved_back(gradient, nested, picked, batch)
        values = assembled(first, out[:count], False)
        if of.with_value:
            return values, gradient
        return (gradient, values[1]) if of.has_aux else gradient

    def on_tape_batch(self, family: Family, batch: Batch) -> Any:
        """The result as Values, with their derivatives by the Values involved."""
        n = batch.count_of_samples()

        def children_of(entry: Entry) -> tuple[tuple[int, ...], list[Value]]:
            start = len(batch.x)
            wrt = (*batch.values, *range(start, start + len(entry.others)))
            return wrt, [*batch.values.values(), *entry.others]

        def program_of(entry: Entry) -> Program:
            return entry.with_partials(children_of(entry)[0])

        if self.reduce is None:
            made: list[list[Value]] = []
            spec: Spec = NUMBER
            for k in range(n):
                entry, out = family.at(batch.sample(k), program_of)
                wrt, children = children_of(entry)
                count, spec = len(entry.nodes), entry.spec
                if self.check_finite and not np.isfinite(out[:count]).all():
                    self.report(family, batch.sample(k), k)
                rows = out[count:].reshape(count, len(wrt)).tolist()
                made.append([Value(out[j].item(), tuple(children), tuple(rows[j])) for j in range(count)])
            wide = map_spec(spec, lambda shape: ("array", (n, *(shape or ()))))
            ordered = [made[k][j] for block in blocks(spec) for k in range(n) for j in block]
            return unflatten(wide, iter(ordered), structure.of_values)
        spec, values, children, partials = self.reduced(family, batch, children_of)
        if self.check_finite:
            self.check_batch(family, batch, [], values)
        rows = partials.tolist()
        nodes = [Value(float(x), tuple(children), tuple(row)) for x, row in zip(values, rows, strict=True)]
        return unflatten(spec, iter(nodes), structure.of_values)

    def reduced(
        self, family: Family, batch: Batch, children_of: Callable[[Entry], tuple[tuple[int, ...], list[Value]]]
    ) -> tuple[Spec, Any, list[Value], Any]:
        """How the result is nested, its numbers, the Values involved, and the derivatives: a row for each number, a
        column for each Value."""

        @functools.cache
        def program_of(entry: Entry) -> Program:
            return entry.with_partials(children_of(entry)[0])

        spec: Spec = NUMBER
        values: Any = 0.0
        columns: dict[Value, int] = {}
        partials = np.zeros((0, 0))
        for entry, sums in self.results(family, batch, program_of, lambda entry: [None] * program_of(entry).outputs):
            wrt, children = children_of(entry)
            count, spec = len(entry.nodes), entry.spec
            values, rows = values + sums[:count], sums[count:].reshape(count, len(wrt))
            if not columns and len(set(children)) == len(children):
                columns, partials = {child: k for k, child in enumerate(children)}, rows
                continue
            at = [columns.setdefault(child, len(columns)) for child in children]
            before, partials = partials, np.zeros((count, len(columns)))
            partials[: len(before), : before.shape[1]] = before
            np.add.at(partials.T, at, rows.T)  # a Value may come twice
        n = batch.count_of_samples() if self.reduce == "mean" else 1
        return spec, values / n, list(columns), partials / n

    def with_gradients(self, *args: Any) -> tuple[float, list[Value], list[float]]:
        """The result, which is one number, the Values that the function reads, and the derivatives by them."""
        batch = Batch(self, self.inner, args, {})

        @functools.cache
        def children_of(entry: Entry) -> tuple[tuple[int, ...], list[Value]]:
            return tuple(range(len(batch.x), len(batch.x) + len(entry.others))), entry.others

        _, values, children, partials = self.reduced(self.inner.family(batch.spec), batch, children_of)
        return float(values[0]), children, partials[0].tolist()

    def as_numbers(self, *args: Any) -> Any:
        """The result as numbers, also where the function reads Values."""
        batch = Batch(self, self.inner, args, {})
        return self.floats(self.inner.family(batch.spec), batch)


def _report(progress: Progress, before: int, n: int, done: int) -> None:
    """Samples of a part, as samples of the whole batch."""
    progress(before + done, n)


def stores(spec: Spec, stacked: list[bool], n: int) -> list[Any]:
    """For each output that is stacked its column of an array of all samples, one array a leaf."""
    out: list[Any] = []
    for block in blocks(spec):
        array = np.empty((n, len(block))) if len(block) and stacked[block[0]] else None
        out += [None if array is None else array[:, j] for j in range(len(block))]
    return out


def assembled(spec: Spec, out: list[Any], stacked: bool | list[bool], n: int | None = None) -> Any:
    """The result in its nesting: `out` has a number or a column of n for each output."""
    is_stacked = [stacked] * len(out) if isinstance(stacked, bool) else stacked
    leaves: list[Any] = []
    shapes: list[tuple[int, ...] | None] = []

    def leaf(shape: tuple[int, ...] | None) -> Spec:
        shapes.append(shape)
        return NUMBER

    map_spec(spec, leaf)
    for block, shape in zip(blocks(spec), shapes, strict=True):
        if not len(block):
            leaves.append(np.empty((n or 0, *(shape or ())) if stacked is True else shape or ()))
        elif is_stacked[block[0]]:
            first = out[block[0]]
            array = first.base if first.base is not None and first.base.shape == (len(first), len(block)) else None
            if array is None:
                array = np.stack([out[j] for j in block], axis=1)
            leaves.append(array.reshape(len(first), *(shape or ())))
        elif shape is None:
            leaves.append(out[block[0]])
        else:
            leaves.append(np.array([out[j] for j in block]).reshape(shape))
    for k, part in enumerate(structure.leaves_of(spec)):
        letter = structure.kinds(part)[:1]
        if letter != b"f" and isinstance(leaves[k], np.ndarray) and leaves[k].dtype != object:
            leaves[k] = leaves[k] != 0 if letter == b"b" else leaves[k].astype(np.int64)
    wide = map_spec(spec, lambda shape: NUMBER)
    return unflatten(wide, iter(leaves), structure.of_values)


def moved_back(gradient: Any, nested: Spec, picked: list[int], batch: Batch) -> Any:
    """The gradient with the samples on the axes on which the arguments have them."""
    leaves: list[Any] = []
    spec = map_spec(nested, lambda shape: NUMBER)
    collect(gradient, leaves)
    for k, block in enumerate(blocks(nested)):
        if len(block) and batch.axes.get(picked[block[0]]):
            leaves[k] = np.moveaxis(leaves[k], 0, batch.axes[picked[block[0]]])
    return unflatten(spec, iter(leaves), structure.of_values)


def moved_to(tree: Any, axes: Any) -> Any:
    """The stacked results with the samples on these axes, which may be nested as the results are; None takes the one
    result that all samples share."""
    found = containers.taken_apart(tree)
    if found is not None:
        items, rest = found
        if isinstance(axes, dict):
            inner = [inner_axis(axes, name) for name in rest[1]]
        elif isinstance(axes, (list, tuple)):
            inner = list(axes)
        else:
            inner = [axes] * len(items)
        if len(inner) != len(items):
            raise ValueError(f"out_axes has {len(inner)} entries for {len(items)} results")
        parts = [moved_to(x, axis) for x, axis in zip(items, inner, strict=True)]
        return containers.put_together((rest[0], (), *rest[1:]), parts)
    if axes is None:
        return shared_by_all(tree)
    if isinstance(axes, bool) or not isinstance(axes, int):
        raise TypeError(f"out_axes must be an int or None, nested as the result is at most, not {axes!r}")
    if not isinstance(tree, np.ndarray):
        return tree
    if not -tree.ndim <= axes < tree.ndim:
        raise ValueError(f"out_axes names axis {axes}, and the stacked result has {tree.ndim} axes")
    return np.moveaxis(tree, 0, axes)


def shared_by_all(array: Any) -> Any:
    if not getattr(array, "shape", ()):
        return array
    if not len(array):
        raise ValueError("out_axes is None, and an empty batch has no result that all samples share")
    if array.dtype == object:
        raise TypeError("out_axes None is for results that are plain numbers: stack them, and take the first")
    if not (np.array_equal(array, array[:1].repeat(len(array), axis=0), equal_nan=array.dtype.kind == "f")):
        raise ValueError("out_axes is None for a result that is not the same for all samples")
    return array[0] if array.ndim > 1 else array[0].item()


def plain(tree: Any) -> Any:
    """What `unflatten` makes the tree of again, with what numbers its Values have."""
    leaves: list[Any] = []
    spec = flatten(tree, leaves, True)
    x, _ = numbers_in([_peek(leaf) if isinstance(leaf, Value) else leaf for leaf in leaves])
    return (
        spec,
        iter(x.tolist()),
        lambda shape, numbers: np.array(
            [_peek(v) if isinstance(v, Value) else v for v in itertools.islice(numbers, math.prod(shape))], dtype=float
        ).reshape(shape),
    )


def collect(tree: Any, leaves: list[Any]) -> None:
    found = containers.taken_apart(tree)
    if found is None:
        leaves.append(tree)
    else:
        for x in found[0]:
            collect(x, leaves)


def vmap(
    f: Callable[..., Any],
    in_axes: Any = 0,
    reduce: str | None = None,
    threads: int | None = None,
    *,
    exact: bool = False,
    progress: Progress | None = None,
    out_axes: Any = 0,
    **options: Any,
) -> VMap:
    """f for every sample of a batch: recorded for one, run for all in vector lanes and threads.

    in_axes   for each argument the axis along which the samples lie, or None where all share it; nested as the
              argument, where that is nested; one int for all. Keyword arguments are mapped along their first axis
              where they are arrays or containers; one number, or a string, all share
    reduce    "sum" or "mean" over the samples; None stacks the results along a first axis
    threads   how many; None takes as many as there are cores. The result is the same to the bit.
    exact     use the scalar math library, for the bits of single points; the vector math library is off by up to 4
              units in the last place, and several times as fast
    progress  called as progress(samples done, samples)
    out_axes  the axis along which the results are stacked; nested as the result, where that is nested
    options   those of `record`, and so is what is noticed of changes of what f reads from elsewhere

    A list of arrays of one shape is the array of them, with the samples along its first axis, as a list of numbers or
    of lists is; a tuple, a dict and a list of arrays of several shapes are containers, in which each array is mapped.
    Of an empty batch the results are empty, a sum is 0 and a mean nan; if f has not been called before, it is recorded
    with ones for a sample, to know the shape.

    f may be a transformation: vmap(grad(f)). And grad(vmap(f, (None, 0), reduce="mean")) is the gradient of a mean.

    >>> vmap(lambda x, c: c * x * x, (0, None))([1.0, 2.0, 3.0], 10.0)
    array([10., 40., 90.])
    >>> from tapegrad import value_and_grad
    >>> value_and_grad(vmap(lambda w, x: (w * x) ** 2, (None, 0), reduce="mean"))(2.0, [1.0, 3.0])
    (20.0, 20.0)
    """
    return VMap(f, in_axes, reduce, threads, exact, progress, out_axes, **options)
