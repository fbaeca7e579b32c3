"""A picture in graphviz's language, as micrograd's notebooks draw it: records for Values, ovals for operations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.drawing.picture import Item, Picture

__all__ = ["digraph", "dot"]

# what has a meaning in a record's text, or in a quoted string, as the entities that graphviz reads
MEANT = str.maketrans({c: f"&#{ord(c)};" for c in '&<>{}|"'} | {"\\": "\\\\"})


def statements(picture: Picture) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Nodes as (name, "", attributes) and edges as (tail, head, attributes)."""
    names = [_name(item) for item in picture.items]
    for name, item in zip(names, picture.items, strict=True):
        if item.kind == "op":
            yield name, "", {"label": item.lines[0].translate(MEANT)}
        elif item.kind == "more":
            yield name, "", {"label": item.lines[0].translate(MEANT), "style": "dashed"}
        else:
            label, data, grad = [line.translate(MEANT) for line in item.lines]  # numbers may be of any class, too
            cells = (label, f"data {data}", f"grad {grad}")
            yield name, "", {"label": f"{{ {' | '.join([cell for cell in cells if cell])} }}", "shape": "record"}
    for start, end, _ in picture.edges:
        yield names[start], names[end], {"style": "dashed"} if picture.items[start].kind == "more" else {}


def _name(item: Item) -> str:
    return "more" if item.kind == "more" else f"{'op' if item.kind == 'op' else 'v'}{item.node}"


def dot(picture: Picture, rankdir: str = "LR") -> str:
    """The picture as the text of a file for `dot`."""
    lines = ["digraph {", f"  rankdir={rankdir}"]
    for tail, head, attributes in statements(picture):
        given = ", ".join([f'{name}="{text}"' for name, text in attributes.items()])
        lines.append(f"  {tail}{f' -> {head}' if head else ''}{f' [{given}]' if given else ''}")
    return "\n".join([*lines, "}"]) + "\n"


def digraph(picture: Picture, format: str, rankdir: str) -> Any:
    """The picture as a `graphviz.Digraph`, of the package of that name."""
    try:
        graphviz = import_module("graphviz")
    except ImportError as error:
        raise ImportError(
            "draw_dot needs the package graphviz: pip install 'tapegrad[draw]', or `pip install graphviz`. "
            "tapegrad.draw(v) draws without it.",
            name="graphviz",
        ) from error
    graph = graphviz.Digraph(format=format, graph_attr={"rankdir": rankdir})
    for tail, head, attributes in statements(picture):
        if head:
            graph.edge(tail, head, **attributes)
        else:
            graph.node(tail, **attributes)
    return graph
