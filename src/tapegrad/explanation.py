"""The chain rule in the open: a derivative as a sum over paths, each a product of local derivatives with names."""

from __future__ import annotations

import sys
from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from tapegrad.latex import latex_name, latex_number
from tapegrad.nodes import Graph, plus, times, variables
from tapegrad.wording import clean, number, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Explanation", "Factor", "Path", "explain"]

LIMIT = 10  # paths shown, if the program does not say
ENDS = 6  # of a path with many factors, as many are shown at its beginning and at its end
WIDTH = 24  # of an expression that serves as a name


class Factor(NamedTuple):
    """A local derivative: of what, by what (two names), and the number."""

    of: str
    by: str
    number: Any

    def __str__(self) -> str:
        return f"d{_whole(self.of)}/d{_whole(self.by)}"

    def latex(self) -> str:
        return rf"\frac{{\partial {latex_name(self.of)}}}{{\partial {latex_name(self.by)}}}"


class Path(NamedTuple):
    """One way from y to x, a factor for each step; str(path) is the product with names and numbers."""

    factors: tuple[Factor, ...]

    @property
    def product(self) -> Any:
        """The factors multiplied, from y on, as the backward sweep does: a product that is 0 stays 0."""
        product: Any = 1
        for factor in self.factors:
            product = times(factor.number, product)
        return product

    def names(self) -> str:
        return " * ".join(_ends([str(factor) for factor in self.factors]))

    def numbers(self) -> str:
        return " * ".join(_ends([_number(factor.number, k > 0) for k, factor in enumerate(self.factors)]))

    def __str__(self) -> str:
        product = f" = {_number(self.product)}" if len(self.factors) > 1 else ""
        return f"{self.names()} = {self.numbers()}{product}"

    def latex(self) -> list[str]:
        """The names, the numbers and the product; no numbers if there is one factor."""
        names = r" \cdot ".join(_ends([factor.latex() for factor in self.factors], r"\cdots"))
        shown = [latex_number(factor.number, k > 0) for k, factor in enumerate(self.factors)]
        numbers = [r" \cdot ".join(_ends(shown, r"\cdots"))] if len(shown) > 1 else []
        return [names, *numbers, latex_number(self.product)]


class Explanation:
    """The derivative of y by x as a sum over all paths from y to x. `str` is its text, and a notebook shows formulas.

    gradient    the derivative, as the backward sweep forms it: what x.grad is after y.backward() from grads of 0
    count       how many paths there are, exactly
    operations  how many there are if a path is told by the operations that it goes through, named or not
    paths       the first paths, up to the limit
    """

    def __init__(self, y: Any, x: Any, names: Mapping[str, Any], limit: int, merge: bool) -> None:
        graph = Graph(y, names)
        place = graph.place.get(id(x))
        self._merge, self._root, self._x = merge, len(graph) - 1, -1 if place is None else place
        self.gradient: Any = 0
        self._edges: list[list[tuple[int, Any]]] = [[] for _ in range(len(graph))]
        for i, g, adds in graph.sweep():
            self._edges[i] = [(k, d) for k, d, _ in adds]
            self.gradient = g if i == place else self.gradient
        reaching = self._keep_what_reaches_x()
        self._stops = {i for i in reaching if not merge or graph.names[i]} | ({self._root, self._x} & reaching)
        self._names = _names(graph)
        self._whole = Factor(
            self._names[-1], Graph(x, names).names[-1] or "x" if place is None else self._names[place], 0
        )
        self.operations: int = self._count(sorted(reaching), lambda i: self._edges[i])
        self.count: int = self._count(sorted(self._stops), self._steps) if merge else self.operations
        self.paths: list[Path] = list(islice(self.all_paths(), limit))

    def _keep_what_reaches_x(self) -> set[int]:
        reaching: set[int] = {self._x} if self._x >= 0 else set()
        for i, edges in enumerate(self._edges):
            self._edges[i] = [] if i == self._x else [(k, d) for k, d in edges if k in reaching]
            if self._edges[i]:
                reaching.add(i)
        return reaching

    def _steps(self, i: int) -> list[tuple[int, Any]]:
        """From a stop, the next stops below it with the derivatives by them; through unnamed nodes these add up."""
        if not self._merge:
            return self._edges[i]
        found: dict[int, Any] = {}
        flow, todo = {i: 1}, [-i]
        while todo:
            j = -heappop(todo)  # the highest: nothing more can flow into it
            g = flow.pop(j)
            for k, d in self._edges[j]:
                into = found if k in self._stops else flow
                if k not in into and into is flow:
                    heappush(todo, -k)
                into[k] = plus(into.get(k, 0), times(d, g))
        return list(found.items())

    def _count(self, nodes: Iterable[int], steps: Any) -> int:
        """The number of paths from y to x: of each node, the sum over those that it leads to."""
        count = {self._x: 1}
        for i in nodes:
            count[i] = count[i] if i == self._x else sum([count[k] for k, _ in steps(i)])
        return count.get(self._root, 0)

    def all_paths(self) -> Iterator[Path]:
        """All paths, one after the other, in the order of the operands: as many as `count` says."""
        if self._root == self._x:
            yield Path(())
        factors: list[Factor] = []
        todo = [(self._root, iter(self._steps(self._root)))] if self.count else []
        while todo:
            i, steps = todo[-1]
            for k, d in steps:
                factors.append(Factor(self._names[i], self._names[k], d))
                todo.append((k, iter(() if k == self._x else self._steps(k))))
                if k == self._x:
                    yield Path(tuple(factors))
                break
            else:
                todo.pop()
                del factors[-1:]

    @property
    def _rest(self) -> int:
        return self.count - len(self.paths)

    def __str__(self) -> str:
        whole = str(self._whole)
        if self.count == 0:
            return f"{whole} = 0: no path leads from {self._whole.of} to {self._whole.by}"
        if self.count == 1:
            lines = self._one(whole)
        else:
            lines = [
                f"{whole} is the sum over {plural(self.count, 'path')}:",
                "",
                *[f"  {path}" for path in self.paths],
            ]
            lines += [f"  ... and {plural(self._rest, 'more path')}"] if self._rest else []
            lines += ["", f"{whole} = {self._sum()}"]
        if self.operations > self.count:
            ways = plural(self.operations, "path")
            lines += ["", f"({ways}, if unnamed operations are told apart: merge=False)"]
        return "\n".join(lines)

    def _one(self, whole: str) -> list[str]:
        if self._root == self._x:
            return [f"{whole} = 1"]
        if not self.paths:
            return [f"{whole} = {_number(self.gradient)}"]
        (path,), margin = self.paths, " " * len(whole)
        if len(path.factors) == 1:
            return [f"{whole} = {_number(self.gradient)}"]
        return [f"{whole} = {path.names()}", f"{margin} = {path.numbers()}", f"{margin} = {_number(self.gradient)}"]

    def _sum(self) -> str:
        total = _number(self.gradient)
        if self._rest:
            return total
        return " + ".join([_number(path.product, k > 0) for k, path in enumerate(self.paths)]) + f" = {total}"

    def latex(self) -> str:
        """The formulas, for a place that is in mathematics already."""
        whole, total = self._whole.latex(), latex_number(self.gradient)
        if self.count == 0 or self._root == self._x or not self.paths:
            return f"{whole} = {total}"
        if self.count == 1:
            parts = self.paths[0].latex()
            parts = parts if len(parts) > 2 else parts[1:]
            lines = [f"{whole} &= {parts[0]}", *[f"&= {part}" for part in parts[1:]]]
        else:
            lines = [" &= ".join([names, " = ".join(rest)]) for names, *rest in [path.latex() for path in self.paths]]
            terms = [latex_number(path.product, k > 0) for k, path in enumerate(self.paths)]
            if self._rest:
                lines.append(rf"\text{{and {plural(self._rest, 'more path')}}} &")
                terms.append(r"\cdots")
            lines.append(f"{whole} &= {' + '.join(terms)} = {total}")
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def _repr_markdown_(self) -> str:
        return f"$$\n{self.latex()}\n$$"


def explain(
    y: Any, x: Any, *, names: Mapping[str, Any] | None = None, limit: int = LIMIT, merge: bool = True
) -> Explanation:
    """The derivative of `y` by `x`, path by path: on each a product of local derivatives; gradients add at branches.

    y, x    two Values; no grad is changed, and `backward` need not have been called
    names   names for the Values that have no label; by default, the variables of the caller
    limit   how many paths are shown; they are counted all the same
    merge   whether Values without a name are passed over, their derivatives multiplied and added into one between
            the named ones; if not, every operation is a step, and is called by what it computes

    The derivatives are those at the current data. A TypeError if y or x is no Value, a ValueError if limit is below 0
    or the graph has a cycle.

    >>> from tapegrad import Value
    >>> a, b, c = Value(-1.0), Value(-1.0), Value(4.0)
    >>> x, y = a + b, b + c
    >>> f = x * y
    >>> explain(f, b)
    df/db is the sum over 2 paths:
    <BLANKLINE>
      df/dx * dx/db = 3 * 1 = 3
      df/dy * dy/db = -2 * 1 = -2
    <BLANKLINE>
    df/db = 3 + (-2) = 1
    """
    for v in (y, x):
        if not hasattr(v, "data") or not (hasattr(v, "_children") or hasattr(v, "_prev")):
            raise TypeError(f"explain takes two Values, not {type(v).__name__}")
    if limit < 0:
        raise ValueError(f"limit is the number of paths to show, at least 0, not {limit!r}")
    return Explanation(y, x, variables(sys._getframe(1)) if names is None else names, limit, merge)


def _names(graph: Graph) -> list[str]:
    """A name for every node: its own, or the expression, or else v and a number; each of them once."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for i, own in enumerate(graph.names):
        name = clean(own) if own else _expression(graph, i, names)
        seen[name] = seen.get(name, 0) + 1
        again = seen[name] > 1 and (own or graph.operands[i])  # a number is what it is, however often
        names.append(f"{name}#{seen[name]}" if again else name)
    return names


def _expression(graph: Graph, i: int, names: list[str]) -> str:
    v, on = graph.values[i], [names[k] for k in graph.operands[i]]
    op = clean(getattr(v, "_op", "") or "", 16)
    if not on:
        text = _number(v.data)
    elif op in ("+", "*") and len(on) == 2:
        text = f"({on[0]} {op} {on[1]})"
    elif op == "**" and len(on) == 2:
        text = f"({on[0]}**{on[1]})"
    elif op.startswith("**"):
        text = f"({on[0]}{op})"
    else:
        text = f"{op}({', '.join(on)})"
    return text if len(text) <= WIDTH else f"v{i}"


def _whole(name: str) -> str:
    """The name, in parentheses if a d in front of it would not be read as being of all of it."""
    return name if name.startswith("(") or name.split("[")[0].isidentifier() else f"({name})"


def _number(x: Any, inside: bool = False) -> str:
    text = number(x)
    return f"({text})" if inside and text.startswith("-") else text


def _ends(parts: list[str], dots: str = "...") -> list[str]:
    return parts if len(parts) <= 2 * ENDS else [*parts[:ENDS], dots, *parts[-ENDS:]]
