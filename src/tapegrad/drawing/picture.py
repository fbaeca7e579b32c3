"""What a drawing consists of: boxes for Values, ovals for operations, edges; and where they are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tapegrad.drawing.layout import Point, layered
from tapegrad.wording import clean, columns, plural, short

if TYPE_CHECKING:
    from tapegrad.nodes import Graph

__all__ = ["COLUMN", "PAD", "ROW", "Edge", "Item", "Picture", "summary"]

COLUMN, ROW, PAD = 7.25, 18.0, 9.0  # a monospaced character of 12 px; a line of text in a box; left and right of it


class Item(NamedTuple):
    """A box or an oval.

    kind    "input", "value" or "result" for a Value, "op" for its operation, "more" for all that is not drawn
    node    the position of the Value in the graph; -1 for "more"
    lines   the text, in a Value's box the name, data and grad
    """

    kind: str
    node: int
    lines: tuple[str, ...]

    @property
    def size(self) -> Point:
        if self.kind in ("op", "more"):
            return max(38.0, columns(self.lines[0]) * COLUMN + 22), 30.0
        name, data, grad = self.lines
        width = max(columns(name), 5 + max(columns(data), columns(grad)))
        return max(96.0, width * COLUMN + 2 * PAD), (3 if name else 2) * ROW


class Edge(NamedTuple):
    """A line between two items, by their numbers; `operand` is the position in the graph of what it brings, or -1."""

    start: int
    end: int
    operand: int = -1


class Picture:
    """The `limit` Values of a graph that are nearest to its root, as items and edges from left to right.

    items   an operation just before its Value, operands before results
    drawn   the positions in the graph of the Values drawn
    more    how many are not drawn
    """

    def __init__(self, graph: Graph, limit: int) -> None:
        self.graph = graph
        self.drawn: list[int] = graph.nearest(limit)
        self.more: int = len(graph) - len(self.drawn)
        self.items: list[Item] = []
        self.edges: list[Edge] = []
        self.box: dict[int, int] = {}  # the item of a Value, by its position in the graph
        if self.more:
            self.items.append(Item("more", -1, (f"… {plural(self.more, 'more node')}",)))
        for node in self.drawn:
            self._add(node)

    def _add(self, node: int) -> None:
        v, on = self.graph.values[node], self.graph.operands[node]
        op = clean(getattr(v, "_op", "") or "", 16)
        target = len(self.items)
        if op:
            self.items.append(Item("op", node, (op,)))
            self.edges.append(Edge(target, target + 1))
        self.edges += [Edge(self.box[k], target, k) for k in on if k in self.box]
        if any(k not in self.box for k in on):
            self.edges.append(Edge(0, target))
        kind = "result" if node == len(self.graph) - 1 else "value" if on else "input"
        self.box[node] = len(self.items)
        self.items.append(Item(kind, node, (clean(self.graph.names[node]), short(v.data), short(v.grad))))

    def layout(self) -> tuple[list[Point], list[list[Point]]]:
        """The centres of the items, and the points that the edges pass."""
        return layered([item.size for item in self.items], [(edge.start, edge.end) for edge in self.edges])


def summary(graph: Graph, drawn: int, most: int = 6) -> str:
    """What there is in a graph, in one line: how many nodes, how many of each operation, how deep."""
    ops = Counter([clean(getattr(v, "_op", "") or "", 16) for v in graph.values])
    inputs = sum([not on for on in graph.operands])
    counts = [f"{count:,} × {op}" for op, count in ops.most_common() if op]
    shown = [*counts[:most], f"{plural(len(counts) - most, 'other operation')}"] if len(counts) > most else counts
    text = f"{plural(len(graph), 'node')}, {plural(inputs, 'input')}, depth {graph.depth():,}"
    text += f": {', '.join(shown)}" if shown else ""
    return text if drawn == len(graph) else f"{text}; drawn: the {drawn:,} nearest to the result"
