"""A picture as SVG: presentation attributes only, as a style sheet inside a notebook would reach the whole page."""

from __future__ import annotations

from html import escape
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from tapegrad.drawing.picture import COLUMN, PAD, ROW
from tapegrad.wording import clean

if TYPE_CHECKING:
    from tapegrad.drawing.layout import Point
    from tapegrad.drawing.picture import Item, Picture

__all__ = ["svg"]

MARGIN, CAPTION = 16.0, 17.0  # around the picture; a line of the caption
FONT = "Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
INK, GREY, LINE = "#111827", "#6b7280", "#64748b"
COLOURS = {  # of an item, by its kind: the outline, and what fills an oval or the line with the name
    "input": ("#3b82f6", "#dbeafe"),
    "value": ("#64748b", "#e2e8f0"),
    "result": ("#d97706", "#fde68a"),
    "op": ("#16a34a", "#dcfce7"),
    "more": ("#9ca3af", "#f3f4f6"),
}


def svg(picture: Picture, caption: str = "") -> str:
    """The picture as the text of an SVG file, on a background of its own, with a caption above it."""
    places, routes = picture.layout()
    sizes = [item.size for item in picture.items]
    width = max([x + w / 2 for (x, _), (w, _) in zip(places, sizes, strict=True)]) + 2 * MARGIN
    height = max(
        [y for route in routes for _, y in route] + [y + h / 2 for (_, y), (_, h) in zip(places, sizes, strict=True)]
    )
    width = max(width, min(560.0, len(caption) * COLUMN + 2 * MARGIN))
    lines = wrap(caption, int((width - 2 * MARGIN) / COLUMN)) if caption else []
    head = MARGIN + (len(lines) * CAPTION + 8 if lines else 0)
    height += head + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="{FONT}" font-size="12" fill="{INK}">',
        f"<title>{escape(picture_title(picture))}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#ffffff"/>',
        *[
            f'<text x="{MARGIN:.0f}" y="{MARGIN + (k + 0.75) * CAPTION:.1f}" fill="{GREY}">{escape(line)}</text>'
            for k, line in enumerate(lines)
        ],
        f'<g transform="translate({MARGIN:.0f} {head:.0f})">',
        f'<g fill="none" stroke="{LINE}" stroke-width="1.2">',
        *_edges(picture, routes, sizes),
        "</g>",
        *[_item(item, *place) for item, place in zip(picture.items, places, strict=True)],
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def picture_title(picture: Picture) -> str:
    name = clean(picture.graph.names[-1])
    return f"Computation graph of {name}" if name else "Computation graph"


def _item(item: Item, x: float, y: float) -> str:
    return (_oval if item.kind in ("op", "more") else _box)(item, x, y)


def _group(item: Item, inside: list[str]) -> str:
    node = f' data-node="{item.node}"' if item.node >= 0 else ""
    return "\n".join([f'<g data-kind="{item.kind}"{node}>', *inside, "</g>"])


def _oval(item: Item, x: float, y: float) -> str:
    stroke, fill = COLOURS[item.kind]
    (width, height), dashes = item.size, ' stroke-dasharray="4 3"' if item.kind == "more" else ""
    oval = f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{width / 2:.1f}" ry="{height / 2:.1f}"'
    return _group(
        item,
        [
            f'{oval} fill="{fill}" stroke="{stroke}"{dashes}/>',
            f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{escape(item.lines[0])}</text>',
        ],
    )


def _box(item: Item, x: float, y: float) -> str:
    """A record: the name, if there is one, above data and grad."""
    stroke, fill = COLOURS[item.kind]
    (width, height), (name, data, grad) = item.size, item.lines
    left, top = x - width / 2, y - height / 2
    rect = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}"'
    inside = [f'{rect} height="{height:.1f}" rx="4" fill="#ffffff" stroke="none"/>']
    if name:
        inside += [
            f'<path d="M{left:.1f} {top + ROW:.1f}v{4 - ROW:.1f}q0 -4 4 -4h{width - 8:.1f}q4 0 4 4v{ROW - 4:.1f}z" '
            f'fill="{fill}"/>',
            f'<text x="{x:.1f}" y="{top + 13:.1f}" text-anchor="middle" font-weight="bold">{escape(name)}</text>',
        ]
    for k, (what, number) in enumerate((("data", data), ("grad", grad)), start=bool(name)):
        base = top + k * ROW
        if k:
            inside.append(f'<path d="M{left:.1f} {base:.1f}h{width:.1f}" stroke="{stroke}" stroke-width="0.7"/>')
        inside += [
            f'<text x="{left + PAD:.1f}" y="{base + 13:.1f}" fill="{GREY}">{what}</text>',
            f'<text x="{left + width - PAD:.1f}" y="{base + 13:.1f}" text-anchor="end" data-{what}="{item.node}">'
            f"{escape(number)}</text>",
        ]
    inside.append(f'{rect} height="{height:.1f}" rx="4" fill="none" stroke="{stroke}"/>')
    return _group(item, inside)


def _edges(picture: Picture, routes: list[list[Point]], sizes: list[Point]) -> list[str]:
    """The lines with their heads; those that end at one item arrive side by side, in the order in which they come."""
    by_end = sorted(range(len(routes)), key=lambda k: (picture.edges[k].end, routes[k][-3][1]))
    parts = [""] * len(routes)
    for end, group in groupby(by_end, key=lambda k: picture.edges[k].end):
        arriving, (width, height) = list(group), sizes[end]
        apart = min(9.0, (height - 12) / len(arriving))
        for rank, k in enumerate(arriving):
            shift = (rank - (len(arriving) - 1) / 2) * apart
            inward = 0.0
            if picture.items[end].kind == "op":  # an oval is narrower there
                inward = width / 2 * (1 - (1 - (2 * shift / height) ** 2) ** 0.5)
            dashes = ' stroke-dasharray="4 3"' if picture.items[picture.edges[k].start].kind == "more" else ""
            parts[k] = f'<g data-edge="{k}">{_line(routes[k], shift, inward, dashes)}</g>'
    return parts


def _line(route: list[Point], shift: float, inward: float, dashes: str) -> str:
    *points, (x, y) = route
    x, y = x + inward, y + shift
    points[-1] = (points[-1][0], y)
    (x0, y0), path = points[0], ""
    path = f"M{x0:.1f} {y0:.1f}"
    for (x1, y1), (x2, y2) in zip(points[1::2], points[2::2], strict=False):
        bend = (x2 - x1) / 2
        path += f"H{x1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return f'<path d="{path}H{x - 6:.1f}"{dashes}/><path d="M{x:.1f} {y:.1f}l-8 -3.5v7z" fill="{LINE}" stroke="none"/>'
