"""A picture as a page of HTML that needs nothing else: `page.html` with the SVG and the texts put in."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tapegrad.drawing.svg import picture_title
from tapegrad.nodes import plus
from tapegrad.wording import clean, number, short

if TYPE_CHECKING:
    from tapegrad.drawing.picture import Picture

__all__ = ["page"]


def page(picture: Picture, svg: str, summary: str) -> str:
    """The page; all numbers on it are text by now, and the script only shows and hides them."""
    texts = _Texts(picture)
    data = {
        "title": picture_title(picture),
        "summary": summary,
        "zero": short(0.0),
        "nodes": {node: texts.node(node) for node in picture.drawn},
        "edges": [texts.edge(k) for k in range(len(picture.edges))],
        "steps": texts.steps(),
    }
    script = json.dumps(data).replace("<", "\\u003c")  # no </script> can come from a label
    html = (files("tapegrad.drawing") / "page.html").read_text(encoding="utf-8")
    before, after = html.split("<!-- picture -->")
    between, end = after.split("<!-- data -->")
    return f"{before}{svg}{between}{script}{end}"


class _Texts:
    """What the page says of the nodes, of the edges and of each step of the sweep."""

    def __init__(self, picture: Picture) -> None:
        self.picture, self.graph = picture, picture.graph
        self.derivatives = {node: self.graph.derivatives(node) for node in picture.drawn}
        self.by_edge = self._by_edge()
        self.edges_of: dict[int, list[int]] = defaultdict(list)  # the lines that a step goes through, by its node
        for k, edge in enumerate(picture.edges):
            self.edges_of[picture.items[edge.end].node].append(k)

    def name(self, node: int) -> str:
        """What a Value is called on the page: its name, or else what it is."""
        op = clean(getattr(self.graph.values[node], "_op", "") or "", 16)
        return clean(self.graph.names[node]) or f"({op or short(self.graph.values[node].data)})"

    def _by_edge(self) -> dict[int, Any]:
        """The derivative along each edge that brings an operand; two edges from one Value have one each."""
        found: dict[int, Any] = {}
        left = {node: deque(pairs) for node, pairs in self.derivatives.items()}
        for k, edge in enumerate(self.picture.edges):
            pairs = left[self.picture.items[edge.end].node]
            match = next((pair for pair in pairs if pair[0] == edge.operand), None)
            if match is not None:
                pairs.remove(match)
                found[k] = match[1]
        return found

    def node(self, node: int) -> str:
        v, root = self.graph.values[node], self.name(len(self.graph) - 1)
        lines = [self.name(node), f"data  {clean(v.data)}", f"grad  {clean(v.grad)} = d{root}/d{self.name(node)}"]
        lines += [f"d{self.name(node)}/d{self.name(k)} = {clean(d)}" for k, d in self.derivatives[node]]
        return "\n".join(lines)

    def edge(self, k: int) -> str:
        _, end, operand = self.picture.edges[k]
        if operand < 0 or k not in self.by_edge:
            return ""
        return f"d{self.name(self.picture.items[end].node)}/d{self.name(operand)} = {clean(self.by_edge[k])}"

    def steps(self) -> list[dict[str, Any]]:
        """The sweep from grads of 0, with what changes at each step; nodes that are not drawn in one step together."""
        grads: dict[int, Any] = defaultdict(int)
        root = len(self.graph) - 1
        start = f"{self.name(root)}.grad = 1: the derivative of a Value by itself. All other grads are 0."
        steps: list[dict[str, Any]] = [{"node": None, "grads": {root: short(1)}, "edges": [], "text": start}]
        for node, g, adds in self.graph.sweep():
            seen = [add for add in adds if add[0] in self.picture.box]
            lines: list[str] = []
            changed: dict[int, str] = {}
            for k, d, amount in seen:
                grads[k] = plus(grads[k], amount)
                changed[k] = short(grads[k])
                lines.append(
                    f"{self.name(k)}.grad += d{self.name(node)}/d{self.name(k)} * {self.name(node)}.grad"
                    f" = {number(d)} * {number(g)} = {number(amount)}, now {number(grads[k])}"
                )
            if node in self.picture.box and self.graph.operands[node]:
                more = len(adds) - len(seen)
                lines += [f"and {more} of the nodes not drawn"] if more else []
                text = "\n".join([f"{self.name(node)}.grad = {number(g)} is complete", *lines])
                steps.append({"node": node, "grads": changed, "edges": self.edges_of[node], "text": text})
            elif seen and steps[-1]["node"] is None and len(steps) > 1:
                steps[-1]["grads"].update(changed)
            elif seen:
                text = "nodes that are not drawn add their part"
                steps.append({"node": None, "grads": changed, "edges": [], "text": text})
        return steps
