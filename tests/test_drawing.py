"""Drawings: what is in the picture, that nothing overlaps, hostile labels, large graphs, files, notebooks, graphviz."""

import random
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from tapegrad import draw, draw_dot
from tapegrad.drawing.layout import layered
from tapegrad.drawing.svg import svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ["<script>alert(1)</script>", "a&b;", "say \"x\" 'y'", "line\nbreak", "\x00\x1b[31m\x7f", "x" * 10_000,
           "\ud800", "{a|<b>}\\n\\", "梯度" * 20, "</svg>", "]]>", "<!-- picture -->"]  # fmt: skip


def e4(Value):
    a, b, c, f = Value(3.0, label="a"), Value(-2.0, label="b"), Value(8.0, label="c"), Value(-2.0, label="f")
    d = a * b
    d.label = "d"
    e = d + c
    e.label = "e"
    L = e * f
    L.label = "L"
    L.backward()
    return L


def texts(group):
    return [text.text for text in group.iter(f"{SVG}text")]


def records(drawing):
    """The text of every group of the SVG, by kind."""
    root = ElementTree.fromstring(drawing.svg())
    groups = [group for group in root.iter(f"{SVG}g") if "data-kind" in group.attrib]
    return [(group.get("data-kind"), *texts(group)) for group in groups]


def random_graph(Value, seed, n=60):
    pick = random.Random(seed)
    nodes = [Value(pick.uniform(-1, 1)) for _ in range(5)]
    for _ in range(n):
        a, b = pick.choice(nodes[-12:]), pick.choice(nodes)
        nodes.append(pick.choice([lambda: a * b, lambda: a + b, lambda: a.tanh(), lambda: b**2])())  # noqa: B023
    return sum(nodes[-4:])


# ---- what is in the picture ----


def test_e4_has_every_label_operation_data_and_grad(Value):
    found = records(draw(e4(Value)))
    boxes = {name: (kind, data, grad) for kind, *text in found if len(text) == 5 for name, _, data, _, grad in [text]}
    assert boxes == {
        "a": ("input", "3.0000", "4.0000"),
        "b": ("input", "-2.0000", "-6.0000"),
        "c": ("input", "8.0000", "-2.0000"),
        "d": ("value", "-6.0000", "-2.0000"),
        "e": ("value", "2.0000", "-2.0000"),
        "f": ("input", "-2.0000", "2.0000"),
        "L": ("result", "-4.0000", "1.0000"),
    }
    assert sorted(text[0] for kind, *text in found if kind == "op") == ["*", "*", "+"]


def test_the_names_are_labels_then_variables_then_elements_of_lists(Value):
    w = [Value(1.0), Value(2.0, label="second")]
    total = w[0] * w[1]
    names = [text[0] for kind, *text in records(draw(total)) if kind != "op"]
    assert names == ["w[0]", "second", "total"]
    assert [len(text) for kind, *text in records(draw(total, names={})) if kind != "op"] == [4, 5, 4]
    assert "first" in draw(total, names={"first": w[0]}).svg()


def test_both_engines_draw_the_same(engine):
    drawing = draw(e4(engine.Value))
    from tapegrad import Value

    assert (drawing.svg(), drawing.dot(), drawing.html()) == tuple(
        getattr(draw(e4(Value)), form)() for form in ("svg", "dot", "html")
    )


def test_numbers_are_those_at_the_time_of_showing(Value):
    x = Value(2.0)
    y = x * x
    drawing = draw(y)
    assert "4.0000" in drawing.svg() and "8.0000" not in drawing.svg()
    y.backward()
    x.data = 8.0
    assert "8.0000" in drawing.svg()


def test_an_operand_that_comes_twice_has_two_lines(Value):
    x = Value(2.0)
    assert draw(x * x).svg().count("data-edge") == 3
    assert draw(x).svg().count("data-edge") == 0


def test_nodes_of_many_operands_and_without_operation(Value):
    xs = [Value(float(k)) for k in range(7)]
    y = Value(21.0, xs, tuple([1.0] * 7))  # has no name of its operation: the lines lead to its box
    z = Value(21.0, xs, "gather")
    assert draw(y).svg().count("data-edge") == 7 and 'data-kind="op"' not in draw(y).svg()
    assert draw(z).svg().count("data-edge") == 8 and ("op", "gather") in records(draw(z))


def test_values_of_micrograd():
    engine = pytest.importorskip("micrograd.engine")
    a, b = engine.Value(2.0), engine.Value(3.0)
    y = a * b + a
    y.backward()
    assert sorted(text[0] for kind, *text in records(draw(y)) if kind == "op") == ["*", "+"]
    assert "dy/d(*)" in draw(y).html()


# ---- the layout ----


@pytest.mark.parametrize("seed", range(8))
def test_nothing_overlaps_and_lines_run_to_the_right(engine, seed):
    picture = draw(random_graph(engine.Value, seed)).picture()
    places, routes = picture.layout()
    boxes = [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for (x, y), (w, h) in zip(places, [i.size for i in picture.items], strict=True)
    ]
    for k, (left, top, right, bottom) in enumerate(boxes):
        for left2, top2, right2, bottom2 in boxes[:k]:
            assert right < left2 or right2 < left or bottom < top2 or bottom2 < top
    for (start, end, _), route in zip(picture.edges, routes, strict=True):
        assert [x for x, _ in route] == sorted(x for x, _ in route)
        assert (route[0][0], route[-1][0]) == pytest.approx((boxes[start][2], boxes[end][0]))
        for (x1, y1), (x2, y2) in zip(route[2:-2:2], route[3:-2:2], strict=True):  # level, and past every box
            assert y1 == y2
            assert not any(x1 < right and left < x2 and top < y1 < bottom for left, top, right, bottom in boxes)


def test_a_tree_has_no_crossings_and_a_chain_is_level(Value):
    x = Value(1.0)
    y = x
    for _ in range(6):
        y = y.tanh()
    places, _ = draw(y).picture().layout()
    assert len({round(height, 6) for _, height in places}) == 1
    xs = [Value(float(k)) for k in range(8)]
    while len(xs) > 1:
        xs = [a * b for a, b in zip(xs[::2], xs[1::2], strict=True)]
    picture = draw(xs[0]).picture()
    places, _ = picture.layout()
    ends = [(places[edge.start], places[edge.end]) for edge in picture.edges]
    for (a, b), (c, d) in ((e, f) for e in ends for f in ends):
        assert not (a[0] == c[0] and a[1] < c[1] and b[1] > d[1])


def test_layered_by_itself():
    assert layered([(10.0, 10.0)], []) == ([(5.0, 5.0)], [])
    places, routes = layered([(10.0, 10.0)] * 4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert [x for x, _ in places] == [5.0, 45.0, 85.0, 125.0]
    assert [len(route) for route in routes] == [4, 4, 4, 8]


# ---- hostile input ----


@pytest.mark.parametrize("label", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_labels(Value, label):
    x = Value(1.0, label=label)
    y = Value(2.0, (x,), label)
    drawing = draw(y)
    found = ElementTree.fromstring(drawing.svg().encode())  # well-formed, whatever the label
    assert all(len(text) <= 25 for text in texts(found))
    page = drawing.html()
    assert page.count("<script") == page.count("</script>") == 2 and page.count("</svg>") == 1
    assert "<script>alert" not in page and len(page) < 40_000
    page.encode()
    drawing.dot().encode()


@pytest.mark.parametrize("data", [float("nan"), float("inf"), -0.0, 1e300, 1e-300, 2**53, True])
def test_numbers_of_every_size(Value, data):
    y = Value(data) * 1.0
    ElementTree.fromstring(draw(y).svg())
    draw(y).html().encode()


def test_what_is_refused(Value, tmp_path):
    x = Value(1.0)
    with pytest.raises(TypeError, match="a graph starts from a Value, not from float"):
        draw(1.0)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        draw(x, limit=0)
    with pytest.raises(ValueError, match=r"saved as .svg, .html, .dot, .png, not as '.pdf'"):
        draw(x).save(tmp_path / "g.pdf")
    with pytest.raises(ValueError, match="not as 'graph'"):
        draw(x).save("graph")
    with pytest.raises(ValueError, match="'LR' or 'TB', not 'up'"):
        draw_dot(x, rankdir="up")
    y = x + 1.0
    y._prev = (y,)
    with pytest.raises(ValueError, match="cycle"):
        draw(y)


# ---- large graphs ----


def test_a_graph_beyond_the_limit_says_how_much_is_missing(Value):
    x = Value(1.0)
    y = x
    for _ in range(100):
        y = (y * 0.5 + x).tanh()
    drawing = draw(y, limit=20)
    assert str(drawing) == (
        "401 nodes, 101 inputs, depth 300: 100 × *, 100 × +, 100 × tanh; drawn: the 20 nearest to the result"
    )
    assert [text for kind, *text in records(drawing) if kind == "more"] == [["… 381 more nodes"]]
    assert sum(kind in ("input", "value", "result") for kind, *_ in records(drawing)) == 20
    assert "more nodes" in drawing.dot() and "more nodes" in drawing.html()
    assert records(draw(y, limit=401))[0][0] != "more" and "nearest" not in str(draw(y, limit=401))
    assert [kind for kind, *_ in records(draw(y, limit=1))] == ["more", "op", "result"]


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_summarised(Value):
    x = Value(1.0)
    chain = wide = x
    for _ in range(33_334):
        chain = chain * 0.5 + x
    assert "100,003 nodes" in str(draw(chain))
    assert "… 99,703 more nodes" in draw(chain).svg() and len(draw(chain).html()) < 2e6
    wide = Value(0.0, [Value(float(k)) for k in range(100_000)], "gather")
    assert len(records(draw(wide))) == 302


# ---- files and notebooks ----


def test_files(Value, tmp_path):
    drawing = draw(e4(Value))
    for name in ("g.svg", "g.html", "g.dot", "G.SVG"):
        drawing.save(str(tmp_path / name))
    assert (tmp_path / "g.svg").read_bytes() == (tmp_path / "G.SVG").read_bytes() == drawing.svg().encode()
    assert (tmp_path / "g.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "g.dot").read_text().startswith("digraph {\n  rankdir=LR\n")


def test_png(Value, tmp_path):
    pytest.importorskip("resvg_py", reason="PNG needs resvg-py: pip install 'tapegrad[draw]'")
    draw(e4(Value)).save(tmp_path / "g.png")
    png = (tmp_path / "g.png").read_bytes()
    width = int(re.search(r'width="(\d+)"', draw(e4(Value)).svg())[1])
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(png[16:20]) == 2 * width


def test_without_the_extra(Value, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"pip install 'tapegrad\[draw\]'"):
        draw(Value(1.0)).save(tmp_path / "g.png")
    assert not (tmp_path / "g.png").exists()
    with pytest.raises(ImportError, match=r"pip install 'tapegrad\[draw\]'"):
        draw_dot(Value(1.0))


def test_notebooks(Value):
    drawing = draw(e4(Value))
    assert drawing._repr_svg_() == drawing._repr_mimebundle_()["image/svg+xml"] == drawing.svg()
    assert repr(drawing) == drawing._repr_mimebundle_()["text/plain"] == "<drawing of 7 nodes>"
    assert "<style" not in drawing.svg() and " id=" not in drawing.svg()  # they would reach the whole notebook
    assert 'fill="#ffffff"' in drawing.svg().splitlines()[2]  # a background of its own, for dark themes


def test_draw_dot_looks_as_micrograds(Value):
    pytest.importorskip("graphviz", reason="draw_dot needs graphviz: pip install 'tapegrad[draw]'")
    graph = draw_dot(e4(Value))
    assert (graph.format, draw_dot(Value(1.0), "png", "TB").format) == ("svg", "png")
    assert graph.graph_attr == {"rankdir": "LR"}
    for line in (
        '\tv0 [label="{ a | data 3.0000 | grad 4.0000 }" shape=record]\n',
        '\top2 [label="*"]\n',
        "\top2 -> v2\n",
        "\tv0 -> op2\n",
    ):
        assert line in graph.source
    assert "&#60;b&#62;" in draw_dot(Value(1.0, label="{a|<b>}")).source


def test_the_caption_is_wrapped_in_a_narrow_picture(Value):
    lines = texts(ElementTree.fromstring(svg(draw(Value(1.0)).picture(), "word " * 60)))
    assert len(lines) > 5 and all(len(line) < 80 for line in lines)
