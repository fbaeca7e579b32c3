"""A graph of Values as lists: what drawing and explaining have in common.

Anything with `data`, `grad` and `_children` or `_prev` will do for a Value: ours, compiled or reference, and those of
other programs.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

__all__ = ["Graph", "derivatives", "operands", "plus", "times", "variables"]

EXACT = 2**53  # up to here the tape has ints
LOOKED_AT = 100_000  # elements of the caller's lists, in search of names


def operands(v: Any) -> tuple[Any, ...]:
    """The Values that v was computed from."""
    children = getattr(v, "_children", None)
    return tuple(v._prev if children is None else children)


def derivatives(v: Any) -> list[tuple[Any, Any]]:
    """Pairs of an operand of v and the derivative of v by it.

    Where a function of the program's own does the step, it is called, with 1 as v's grad, and what it adds to the grads
    of the operands is their derivative; all grads are then put back.
    """
    own = getattr(v, "local_gradients", None)
    pairs = own() if own else list(zip(operands(v), getattr(v, "_local_grads", ()), strict=False))
    return pairs or _asked(v)


def _asked(v: Any) -> list[tuple[Any, Any]]:
    on = list({id(child): child for child in operands(v)}.values())
    if not on or not hasattr(v, "_backward"):
        return []
    kept = [(w, w.grad) for w in (*on, v)]
    try:
        for child in on:
            child.grad = 0
        v.grad = 1
        v._backward()
        return [(child, child.grad) for child in on]
    finally:
        for w, grad in kept:
            w.grad = grad


def variables(frame: FrameType) -> dict[str, Any]:
    """What the code of a frame has names for: its variables, then the module's, then elements of lists: `w[1][2]`."""
    found: dict[str, Any] = {}
    for scope in (frame.f_locals, frame.f_globals):
        for name, x in list(scope.items()):
            if name.isidentifier() and name[0] != "_" and name not in ("In", "Out"):  # In, Out, _1: a notebook's own
                found.setdefault(name, x)
    for _ in range(2):
        lists = [(name, x) for name, x in found.items() if type(x) in (list, tuple)]
        items = ((f"{name}[{k}]", item) for name, x in lists for k, item in enumerate(x))
        for name, item in islice(items, LOOKED_AT):
            found.setdefault(name, item)
    return found


def times(d: Any, g: Any) -> Any:
    """A derivative times an adjoint, as the sweep has it: an adjoint of 0 gives 0, even if d is inf or nan."""
    if g == 0:
        return 0.0 if isinstance(d, float) or isinstance(g, float) else 0
    return _exact(d * g)


def plus(a: Any, b: Any) -> Any:
    """The sum of two adjoints, as the sweep has it."""
    return _exact(a + b)


def _exact(x: Any) -> Any:
    return float(x) if x.__class__ is int and not -EXACT < x < EXACT else x


class Graph:
    """What `root` is computed from, each Value once and its operands before it, in the order of `backward`.

    values    the Values; root is the last
    operands  for each, the positions of its operands, in order
    names     for each, its label, or its name in `names`, or ""

    A TypeError if root is no Value, a ValueError if a node is its own ancestor.

    >>> from tapegrad import Value
    >>> x = Value(3.0, label="x")
    >>> graph = Graph(x * x + 1.0, {})
    >>> graph.names, graph.operands, graph.depth()
    (['x', '', '', ''], [(), (0, 0), (), (1, 2)], 2)
    """

    def __init__(self, root: Any, names: Mapping[str, Any]) -> None:
        if not hasattr(root, "data") or not (hasattr(root, "_children") or hasattr(root, "_prev")):
            raise TypeError(f"a graph starts from a Value, not from {type(root).__name__}")
        self.values: list[Any] = []
        self.operands: list[tuple[int, ...]] = []
        self.place: dict[int, int] = {}
        found: dict[int, tuple[Any, ...]] = {}
        todo = [root]
        while todo:
            v = todo.pop()
            if v is None:  # everything below the next one is in place
                self._put(todo.pop(), found)
            elif id(v) not in found:
                found[id(v)] = on = operands(v)  # holds the operands: an id is good as long as its object
                todo += (v, None, *reversed(on))
        named = {id(x): name for name, x in reversed(list(names.items()))}
        self.names: list[str] = [self._name(v, named) for v in self.values]

    def _put(self, v: Any, found: dict[int, tuple[Any, ...]]) -> None:
        try:
            self.operands.append(tuple([self.place[id(child)] for child in found[id(v)]]))
        except KeyError:
            raise ValueError("the graph has a cycle: some Value is computed from itself") from None
        self.place[id(v)] = len(self.values)
        self.values.append(v)

    @staticmethod
    def _name(v: Any, named: dict[int, str]) -> str:
        label = getattr(v, "label", "")
        return named.get(id(v), "") if label is None or label == "" else str(label)

    def __len__(self) -> int:
        return len(self.values)

    def depth(self) -> int:
        """The number of operations on the longest path to the root."""
        depth: list[int] = []
        for on in self.operands:
            depth.append(1 + max([depth[k] for k in on]) if on else 0)
        return depth[-1]

    def nearest(self, limit: int) -> list[int]:
        """The positions of the `limit` nodes with the fewest operations to the root, in order of position."""
        root = len(self) - 1
        found, todo = {root}, deque([root])
        while todo and len(found) < limit:
            for k in self.operands[todo.popleft()]:
                if k not in found and len(found) < limit:
                    found.add(k)
                    todo.append(k)
        return sorted(found)

    def derivatives(self, i: int) -> list[tuple[int, Any]]:
        """The derivatives of node i by its operands, which are given by position."""
        return [(self.place[id(w)], d) for w, d in derivatives(self.values[i]) if id(w) in self.place]

    def sweep(self) -> Iterator[tuple[int, Any, list[tuple[int, Any, Any]]]]:
        """What `backward` does, without touching a grad: for each node, root first, its position, its adjoint, and what
        it adds to the adjoints of which operands: (position, derivative, derivative times adjoint)."""
        adjoint: list[Any] = [0] * len(self)
        adjoint[-1] = 1
        for i in reversed(range(len(self))):
            g = adjoint[i]
            adds = [(k, d, times(d, g)) for k, d in self.derivatives(i)] if self.operands[i] else []
            for k, _, amount in adds:
                adjoint[k] = plus(adjoint[k], amount)
            yield i, g, adds
