"""The programs of one function: recorded where they are needed, found again by what the guards come out as.

Any number of threads may call one function. What they share, the programs that are kept, is changed under one lock and
in no other way; no code of the program's runs meanwhile, except finalizers, and what these record is used but not kept.
Two threads that need the same program both record it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import structure
from tapegrad.graph import from_tape, to_tape
from tapegrad.number_array import add_way_out
from tapegrad.program import Lanes, Program
from tapegrad.recorder import Recorder
from tapegrad.recording import caller
from tapegrad.results import roots_of
from tapegrad.structure import unflatten
from tapegrad.tape import Still
from tapegrad.value import Value, _index_of, _leaves, _of_kind, _value_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapegrad.graph import Graph
    from tapegrad.structure import Spec
    from tapegrad.watching import Watch

    Derive = Callable[["Graph", list[int], list[int], Spec, Spec], tuple[list[int], Spec]]

__all__ = ["TRIES", "Entry", "Family", "inlined"]

NODE, STEP, GUARD = 48, 32, 640  # bytes, about: of a node in a graph, an operation of a program, a guard
OFTEN = 10  # calls that recorded, less twice those that did not, before that is said
MAX_BYTES = 3 << 29
TRIES = 8  # recordings in one call, before a function is said to do something else each time

_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # no fork comes between: the child finds the programs whole, and the lock free
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Prefix:
    """What the guards of some programs come out as, up to one of them."""

    __slots__ = ("entry", "longer")

    def __init__(self, entry: Entry | None = None) -> None:
        self.entry: Entry | None = entry  # one of those programs
        self.longer: dict[float, Prefix] = {}  # by what the next guard comes out as


class Entry:
    """A program, with what it takes to use it."""

    def __init__(
        self,
        graph: Graph,
        recorded: int,
        inputs: list[int],
        nodes: list[int],
        spec: Spec,
        guards: list[Any],
        others: list[Value],
    ) -> None:
        self.graph = graph
        self.recorded = recorded  # how many nodes the function itself made; the others are its derivatives
        self.inputs = inputs  # the nodes of the arguments' numbers and then of the Values that the function read
        self.nodes = nodes
        self.spec = spec
        self.guards = guards
        self.others = others
        self.program: Program = Program(graph, nodes, guards)
        self.outcomes: tuple[float, ...] = tuple([outcome for _, outcome, _ in self.program.guards])
        self.path: list[Prefix] = []  # of the first 0, 1, 2, ... guards, if it is kept
        self.derived: dict[Any, Program] = {}
        self.products: dict[str, Entry] = {}  # with vectors, which are inputs more
        self.lanes: dict[Any, Lanes] = {}

    def numbers(self, x: Any) -> Any:
        """The inputs of the program: x and the present data of the Values that the function reads."""
        if not self.others:
            return x
        return np.concatenate([x, [v.data for v in self.others]])

    def prefix(self, guard: int, outcome: float) -> tuple[float, ...]:
        """The outcomes of the guards at a point at which this one came out so, the ones before as here."""
        return (*self.outcomes[:guard], outcome)

    def line(self, guard: int) -> tuple[str, int]:
        where: tuple[str, int] = self.program.guards[guard][2]
        return where

    def with_partials(self, wrt: tuple[int, ...]) -> Program:
        """A program that computes the outputs, and the derivative of each by the inputs numbered in `wrt`."""
        program = self.derived.get(wrt)
        if program is None:
            inputs = [self.inputs[k] for k in wrt]
            nodes = list(self.nodes)
            one = self.graph.new_number(1.0)
            for node in self.nodes:
                nodes += self.graph.reverse([node], [one], inputs)
            program = self.derived.setdefault(wrt, Program(self.graph, nodes, self.guards))
        return program

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        steps = self.program.operations + sum([p.operations for p in list(self.derived.values())])
        steps += sum([lanes.operations for lanes in list(self.lanes.values())])
        inner = sum([entry.nbytes for entry in list(self.products.values())])
        return inner + NODE * self.graph.size + STEP * steps + GUARD * len(self.outcomes) + 4096

    def laid_out(self, program: Program, wide: bytes, guards: bool, exact: bool) -> Lanes:
        key = (id(program), wide, guards, exact)  # it is `program` or one of `derived`, and stays
        lanes = self.lanes.get(key)
        if lanes is None:
            lanes = self.lanes.setdefault(key, Lanes(program, wide, guards, exact))
        return lanes


class Family:
    """All programs of one function for arguments of one spec."""

    def __init__(
        self, call: Callable[..., Any], derive: Derive, spec: Spec, most: int, name: str, max_bytes: int = MAX_BYTES
    ) -> None:
        self.call: Callable[..., Any] = call
        self.derive: Derive = derive
        self.spec: Spec = spec
        letters = structure.kinds(spec)
        self.kinds: bytes | None = letters if letters.strip(b"f") else None
        self.most: int = most
        self.max_bytes: int = max_bytes
        self.watches: tuple[Watch, ...] = ()
        self.anew: int = 0
        self.said: bool = False
        self.name: str = name
        self.entries: OrderedDict[tuple[float, ...], Entry] = OrderedDict()
        self.root: Prefix = Prefix()
        self.changing: bool = False
        self.last: Entry | None = None
        self.missed: Counter[tuple[str, int]] = Counter()
        self.warned: bool = False

    def record(self, x: Any, lines: Any = None) -> Entry:
        """Record the function at x."""
        with contextlib.ExitStack() as stack:
            recorder = stack.enter_context(Recorder())
            if lines is not None:
                stack.enter_context(Still())  # the lines are noted by the numbers of nodes
                lines.start(recorder)
            try:
                recorder.inputs = _leaves(x.tolist(), self.kinds)
                args, kwargs = unflatten(self.spec, iter(recorder.inputs), structure.of_values)
                try:
                    roots, spec = roots_of(self.call(*args, **kwargs))
                except Exception as error:
                    add_way_out(error)
                    raise
                finally:
                    recorder.refuse_what_was_caught()
            finally:
                if lines is not None:
                    lines.stop()
            with Still():
                leaves = [_index_of(v) for v in recorder.inputs]
                wanted = [_index_of(v) for v in roots] + [_index_of(v) for v, _, _ in recorder.guards]
                graph, nodes, others = from_tape(leaves, wanted, recorder.start, lines is not None)
                found = [_value_at(i) for i in others]
            guards = [
                (node, outcome, where)
                for node, (_, outcome, where) in zip(nodes[len(roots) :], recorder.guards, strict=True)
            ]
            del args, kwargs, roots
            recorder.inputs, recorder.guards = [], []
        inputs = graph.input_nodes()
        recorded = graph.size
        nodes, spec = self.derive(graph, inputs, nodes[: len(nodes) - len(guards)], self.spec, spec)
        return Entry(graph, recorded, inputs, nodes, spec, guards, found)

    def add(self, x: Any) -> Entry:
        """Record the function at x and keep the program."""
        entry = self.record(x)
        self.last = entry
        where = self.keep(entry)
        if where is not None:
            file, line = where
            much = f"more than {self.most} times"
            if len(self.entries) < self.most:
                much = f"so often that its programs take {self.max_bytes} bytes, and more are not kept"
            warnings.warn_explicit(
                f"{self.name} has been recorded {much}, because {file}:{line} keeps coming out "
                "differently; each time costs far more than a replay. Where that line only chooses between two values, "
                "tapegrad.where chooses without it; max_programs and max_bytes set the bounds",
                RuntimeWarning,
                *caller(),
            )
        return entry

    def keep(self, entry: Entry) -> tuple[str, int] | None:
        """Keep the program, in the place of one with the same outcomes or of the one that was not used for longest.

        When that happens for the first time: the line because of which most programs were recorded."""
        with _lock:
            if self.changing:  # a finalizer has called the function, in the middle of this
                return None
            self.changing = True
            try:
                self.entries.pop(entry.outcomes, None)
                prefix = self.root
                prefix.entry = entry
                path = [prefix]
                for outcome in entry.outcomes:
                    prefix = prefix.longer.setdefault(outcome, Prefix())
                    prefix.entry = entry
                    path.append(prefix)
                entry.path = path
                self.entries[entry.outcomes] = entry
                over = len(self.entries) > self.most
                if over:
                    self.drop(self.entries.popitem(last=False)[1])
                taken = self.nbytes
                while taken > self.max_bytes and len(self.entries) > 1:
                    over = True
                    old = self.entries.popitem(last=False)[1]
                    taken -= old.nbytes
                    self.drop(old)
                if not over:
                    return None
                if self.warned or not self.missed:
                    return None
                self.warned = True
                return self.missed.most_common(1)[0][0]
            finally:
                self.changing = False

    def drop(self, old: Entry) -> None:
        """Forget the prefixes that only this program has."""
        for k in range(len(old.path) - 1, -1, -1):
            prefix = old.path[k]
            if prefix.entry is old:
                prefix.entry = next((longer.entry for longer in prefix.longer.values()), None)
            if prefix.entry is None and k:
                old.path[k - 1].longer.pop(old.outcomes[k - 1], None)

    @property
    def nbytes(self) -> int:
        """About how much memory the programs take."""
        return sum([entry.nbytes for entry in list(self.entries.values())])

    def often(self) -> None:
        """A call has recorded: say once that nearly every one does."""
        self.anew += 1
        if self.anew < OFTEN or self.said or not self.missed:
            return
        self.said = True
        file, line = self.missed.most_common(1)[0][0]
        warnings.warn_explicit(
            f"{self.name} is recorded anew at nearly every call, because {file}:{line} keeps coming out differently; "
            "each time costs far more than a replay. Where that line only chooses between two values, tapegrad.where "
            "chooses without it",
            RuntimeWarning,
            *caller(),
        )

    def kept(self) -> list[Entry]:
        """The programs that there are."""
        with _lock:
            return list(self.entries.values())

    def used(self, entry: Entry) -> None:
        """The one that is tried first from now on."""
        if entry is not self.last:
            self.last = entry
            with _lock:
                if self.entries.get(entry.outcomes) is entry:
                    self.entries.move_to_end(entry.outcomes)

    def following(self, entry: Entry, guard: int, outcome: float, held: int, x: Any) -> tuple[Entry, bool]:
        """The entry for the point x, at which that guard of `entry` came out so, and whether it has just been recorded.

        `held` is how many of the guards of `entry` must hold at x, as they did in another program: where one of them
        does not, the function has changed since that was recorded, and what there is must not be gone through again."""
        found: Entry | None = None
        if held <= guard < len(entry.path):
            prefix = entry.path[guard].longer.get(outcome)
            found = None if prefix is None else prefix.entry
        if found is not None:
            return found, False
        with _lock:
            self.missed[entry.line(guard)] += 1
        found = self.add(x)
        if found.outcomes[: guard + 1] != entry.prefix(guard, outcome):
            raise self.impure(entry, guard)
        return found, True

    def impure(self, entry: Entry, guard: int) -> RuntimeError:
        file, line = entry.line(guard)
        return RuntimeError(
            f"{self.name} does something else when called again at the same point (seen at {file}:{line}): "
            "only functions that depend on nothing but their arguments can be recorded"
        )

    def at(self, x: Any, program_of: Callable[[Entry], Program]) -> tuple[Entry, Any]:
        """The entry whose guards hold at x, and the outputs of its program there."""
        entry = self.last
        if entry is None:
            entry = self.add(x)
        held = recorded = 0
        while True:
            program = program_of(entry)
            out = np.empty(program.outputs)
            failed = program.run(entry.numbers(x), out)
            if failed is None:
                self.used(entry)
                if recorded:
                    self.often()
                elif self.anew:
                    self.anew = max(0, self.anew - 2)
                return entry, out
            guard, outcome = failed
            if recorded == TRIES:
                raise self.impure(entry, guard)
            entry, fresh = self.following(entry, guard, outcome, held, x)
            held, recorded = guard + 1, recorded + fresh


def inlined(call: Callable[..., Any], derive: Derive, spec: Spec, leaves: list[Any]) -> Any:
    """What `derive` makes of a function that is called while another is being recorded: part of that recording."""
    from tapegrad.value import _apply

    copies: list[Value] = []
    for leaf in leaves:
        for x in leaf if isinstance(leaf, np.ndarray) else [leaf]:
            copies.append(_apply("copy", x if isinstance(x, Value) else Value(x)))
    first = copies[0] if copies else Value(0.0)  # what is inlined begins here
    args, kwargs = unflatten(spec, iter(copies), structure.of_values)
    roots, out_spec = roots_of(call(*args, **kwargs))
    with Still():
        inputs = [_index_of(v) for v in copies]
        graph, nodes, others = from_tape(inputs, [_index_of(v) for v in roots], _index_of(first))
        nodes, out_spec = derive(graph, graph.input_nodes(), nodes, spec, out_spec)
        made = [_value_at(i) for i in to_tape(graph, inputs + others, nodes)]
    letters = structure.kinds(out_spec)
    if letters.strip(b"f"):
        made = [v if letter == 102 else _of_kind(v, letter) for v, letter in zip(made, letters, strict=True)]
    return unflatten(out_spec, iter(made), structure.of_values)
