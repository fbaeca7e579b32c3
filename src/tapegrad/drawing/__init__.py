"""Computation graphs to look at: `draw` makes SVG, PNG, HTML and DOT of them, `draw_dot` a `graphviz.Digraph`.

The picture is laid out and written here, without the graphviz program or any other package; only PNG needs one.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapegrad.drawing.dot import digraph, dot
from tapegrad.drawing.picture import Picture, summary
from tapegrad.drawing.svg import svg
from tapegrad.files import write_whole
from tapegrad.nodes import Graph, variables
from tapegrad.wording import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Drawing", "draw", "draw_dot"]

LIMIT = 300  # nodes drawn, if the program does not say
PIXELS = 60e6  # in a PNG, at most
SCALE = 2.0  # of a PNG, for sharp screens


class Drawing:
    """The graph of one Value, drawn when it is shown or saved, with the numbers that its Values have then.

    A notebook shows it by itself. `str` is a summary of the graph.
    """

    def __init__(self, graph: Graph, limit: int) -> None:
        self.graph: Graph = graph
        self.limit: int = limit

    def picture(self) -> Picture:
        """What there is to draw: boxes, ovals and edges."""
        return Picture(self.graph, self.limit)

    @property
    def summary(self) -> str:
        """How many nodes, how many of each operation, how deep, and how many of them are drawn."""
        return summary(self.graph, min(self.limit, len(self.graph)))

    def svg(self) -> str:
        """The text of an SVG file; a graph that is not drawn whole has its summary above it."""
        return svg(self.picture(), self.summary if len(self.graph) > self.limit else "")

    def html(self) -> str:
        """A page that needs nothing else: the picture to move and zoom, derivatives under the mouse, and the backward
        sweep, one node after the other."""
        from tapegrad.drawing.page import page

        return page(self.picture(), self.svg(), self.summary)

    def dot(self) -> str:
        """The text of a file for graphviz."""
        return dot(self.picture())

    def png(self) -> bytes:
        """A PNG of twice the size of the SVG, less if that is very large. An ImportError without `resvg_py`."""
        try:
            resvg_py = import_module("resvg_py")
        except ImportError as error:
            raise ImportError(
                "PNG needs the package resvg-py: pip install 'tapegrad[draw]'. SVG, HTML and DOT need nothing.",
                name="resvg_py",
            ) from error
        text = self.svg()
        width, height = (float(part.split('"')[1]) for part in text.split(">", 1)[0].split()[2:4])
        scale = min(SCALE, (PIXELS / (width * height)) ** 0.5, 32_000 / max(width, height))
        return bytes(resvg_py.svg_to_bytes(svg_string=text, zoom=scale, monospace_family="DejaVu Sans Mono"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the drawing to a file: .svg, .png, .html or .dot, as the name says; a ValueError for any other."""
        path = Path(path)
        writers: dict[str, Callable[[], str | bytes]] = {
            ".svg": self.svg,
            ".html": self.html,
            ".dot": self.dot,
            ".png": self.png,
        }
        if path.suffix.lower() not in writers:
            raise ValueError(f"a drawing is saved as {', '.join(writers)}, not as {path.suffix or path.name!r}")
        content = writers[path.suffix.lower()]()
        write_whole(path, content if isinstance(content, bytes) else content.encode())

    def __repr__(self) -> str:
        return f"<drawing of {plural(len(self.graph), 'node')}>"

    def __str__(self) -> str:
        return self.summary

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}


def draw(v: Any, *, names: Mapping[str, Any] | None = None, limit: int = LIMIT) -> Drawing:
    """The computation graph of `v`, to look at in a notebook or to save.

    v       a Value
    names   names for the Values that have no label; by default, the variables of the caller
    limit   how many nodes are drawn at most: those nearest to v, and a mark that says how many more there are

    A box is a Value, with its name, data and grad: blue for inputs, yellow for v; an oval is an operation. A TypeError
    if v is no Value, a ValueError if limit is below 1 or the graph has a cycle.

    >>> from tapegrad import Value
    >>> a, b = Value(3.0), Value(-2.0)
    >>> d = a * b + 8.0
    >>> d.backward()
    >>> print(draw(d))
    5 nodes, 3 inputs, depth 2: 1 × *, 1 × +
    >>> draw(d).svg().startswith("<svg xmlns")
    True
    """
    return Drawing(Graph(v, variables(sys._getframe(1)) if names is None else names), _checked(limit))


def draw_dot(root: Any, format: str = "svg", rankdir: str = "LR", *, limit: int = LIMIT) -> Any:
    """The graph of `root` as a `graphviz.Digraph`, with the arguments and the look of micrograd's notebooks.

    format    of the picture that graphviz's program makes: "svg", "png", "pdf", ...
    rankdir   "LR" from left to right, "TB" from top to bottom; a ValueError for anything else
    limit     as for `draw`

    An ImportError without the package graphviz, which is not needed for `draw`.

    >>> from tapegrad import Value
    >>> a = Value(3.0, label="a")
    """
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"rankdir is 'LR' or 'TB', not {rankdir!r}")
    graph = Graph(root, variables(sys._getframe(1)))
    return digraph(Picture(graph, _checked(limit)), format, rankdir)


def _checked(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"limit is the number of nodes to draw, at least 1, not {limit!r}")
    return limit
