"""tapegrad.plots: the numbers that are drawn, with matplotlib's Agg backend. How it looks, eyes have to say."""

import math
import sys
from itertools import pairwise

import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
import numpy as np  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


@pytest.fixture
def plots(engine):
    return engine.plots


def rgb(artist):
    return tuple(artist.get_facecolor()[0][:3])


# ---- a function and its derivative ----


def test_e3_and_its_derivative_on_minus_3_to_4(plots):
    axes = plots.function_and_derivative(lambda x: 2 * x**2 - 3 * x + 4)
    function, derivative = axes.lines
    xs = function.get_xdata()
    assert (len(xs), xs[0]) == (281, -3.0) and xs[-1] < 4.0 and np.allclose(np.diff(xs), 7 / 281)
    assert np.allclose(function.get_ydata(), 2 * xs**2 - 3 * xs + 4, rtol=1e-15, atol=1e-14)
    assert np.array_equal(derivative.get_xdata(), xs) and np.allclose(derivative.get_ydata(), 4 * xs - 3, atol=1e-14)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["f(x)", "f'(x)"]
    assert axes.figure.axes == [axes]


def test_a_function_may_branch_stop_or_give_a_number(plots):
    clipped = plots.function_and_derivative(lambda x: x if x > 0 else 7, -2.0, 2.0, points=4, name="g")
    assert [line.get_ydata().tolist() for line in clipped.lines] == [[7, 7, 7, 1], [0, 0, 0, 1]]
    assert clipped.lines[1].get_label() == "g'(x)"


def test_it_draws_into_axes_that_are_given(plots):
    figure, (left, right) = pyplot.subplots(1, 2)
    assert plots.function_and_derivative(lambda x: x.sin(), axes=left) is left
    assert plots.loss_history([1.0], axes=right) is right
    assert pyplot.get_fignums() == [figure.number] and len(left.lines) == 2 and len(right.lines) == 1


@pytest.mark.parametrize("interval", [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_an_interval_without_places_is_refused(plots, interval):
    with pytest.raises(ValueError, match="interval"):
        plots.function_and_derivative(lambda x: x, *interval)
    with pytest.raises(ValueError, match="points"):
        plots.function_and_derivative(lambda x: x, points=1)
    assert pyplot.get_fignums() == []


# ---- descent ----


def valley(x, y):
    return x**2 + 10 * y**2


def test_descend_takes_the_steps_of_gradient_descent(plots):
    path = plots.descend(valley, (2.0, 1.0), steps=3)
    assert path[0] == (2.0, 1.0) and len(path) == 4
    for (x, y), (x1, y1) in pairwise(path):
        assert (x1, y1) == (x - 0.1 * (2 * x), y - 0.1 * (20 * y))


def test_descend_with_another_optimiser(plots, engine):
    path = plots.descend(valley, (2, 1), 40, lambda parameters: engine.optim.Adam(parameters, lr=0.2))
    assert len(path) == 41 and math.dist(path[-1], (0, 0)) < 0.3
    assert plots.descend(valley, (2, 1), 0) == [(2.0, 1.0)]


def test_a_path_lies_on_its_surface(plots):
    path = plots.descend(valley, (2.0, 1.0), steps=5)
    axes = plots.descent(valley, path, resolution=20, levels=9)
    line, end = axes.lines
    assert line.get_xydata().tolist() == [list(point) for point in path]
    assert end.get_xydata().tolist() == [list(path[-1])]
    [contours] = axes.collections
    assert len(contours.levels) == 9 and list(np.diff(np.diff(contours.levels)) > 0) == [True] * 7
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert all(left < x < right and low < y < high for x, y in path)
    assert axes.get_legend() is None


def test_several_paths_have_names(plots):
    axes = plots.descent(valley, {"one": [(2.0, 1.0), (1.0, 0.5)], "two": [(1.0, 1.0)]}, resolution=5)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]
    assert axes.lines[0].get_color() != axes.lines[2].get_color()


@pytest.mark.parametrize(
    "path", [[], {}, {"a": []}, {"a": [], "b": [(1, 2)]}, [(1.0, 2.0, 3.0)], [1.0, 2.0], [(math.nan, 0.0)]]
)
def test_what_is_no_path_is_refused(plots, path):
    with pytest.raises(ValueError):
        plots.descent(valley, path)
    assert pyplot.get_fignums() == []


def test_a_level_surface_is_drawn_too(plots):
    assert len(plots.descent(lambda x, y: 3.0, [(0.0, 0.0)], resolution=3).lines) == 2


# ---- losses ----


def test_losses_are_drawn_step_by_step(plots, Value):
    axes = plots.loss_history([Value(3.0), 2, 1.5])
    assert axes.lines[0].get_xydata().tolist() == [[0, 3], [1, 2], [2, 1.5]]
    assert axes.get_legend() is None and axes.get_yscale() == "linear"
    two = plots.loss_history({"training": iter([4.0, 2.0]), "validation": [5.0]}, log=True)
    assert [line.get_ydata().tolist() for line in two.lines] == [[4.0, 2.0], [5.0]]
    assert [text.get_text() for text in two.get_legend().get_texts()] == ["training", "validation"]
    assert two.get_yscale() == "log"
    assert plots.loss_history([]).lines[0].get_ydata().tolist() == []


# ---- decision boundaries ----


def test_one_score_decides_at_0(plots):
    xs, ys = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]], [-1, 1, 1]
    axes = plots.decision_boundary(lambda point: point[0] - 1.0, xs, ys, resolution=11)
    regions, low, high = axes.collections
    assert low.get_offsets().tolist() == xs[:1] and high.get_offsets().tolist() == xs[1:]
    assert [rgb(points) for points in (low, high)] == [to_rgb("C0"), to_rgb("C1")]
    assert list(regions.levels)[1] == 0.0
    assert [tuple(colour[:3]) for colour in regions.get_facecolor()] == [to_rgb("C0"), to_rgb("C1")]
    left, right = (path.get_extents() for path in regions.get_paths())
    assert left.x1 == pytest.approx(1.0) and right.x0 == pytest.approx(1.0)
    assert left.x0 == axes.get_xlim()[0] == pytest.approx(-0.3) and right.x1 == axes.get_xlim()[1]


def test_of_several_scores_the_highest_decides(plots):
    def model(point):
        x, y = point
        return [x - y, y - x, 0.5 - (x - y) ** 2]

    axes = plots.decision_boundary(model, [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], ["c", "a", "b"], resolution=9)
    regions, *points = axes.collections
    assert list(regions.levels) == [-0.5, 0.5, 1.5, 2.5]
    assert [p.get_offsets().tolist() for p in points] == [[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c"]


def test_points_and_classes_must_fit(plots):
    for xs, ys in (([[0.0, 1.0]], [1, 2]), ([[0.0]], [1]), ([], []), ([[math.inf, 0.0]], [1])):
        with pytest.raises(ValueError):
            plots.decision_boundary(lambda point: 0.0, xs, ys)
    with pytest.raises(ValueError, match="3 classes"):
        plots.decision_boundary(lambda point: point[0], [[0.0, 1.0]] * 3, [1, 2, 3], resolution=2)
    with pytest.raises(ValueError, match="resolution"):
        plots.decision_boundary(lambda point: 0.0, [[0.0, 1.0]], [1], resolution=1)
    assert pyplot.get_fignums() == []


def test_the_two_moons_are_told_apart(plots):
    from tapegrad.bench.moons import our_moons

    xs, ys = our_moons(30)
    axes = plots.decision_boundary(lambda point: point[0] - 0.5, xs, ys, resolution=5)
    drawn = [tuple(place) for points in axes.collections[1:] for place in points.get_offsets().tolist()]
    assert sorted(drawn) == sorted(map(tuple, xs))


def test_without_matplotlib_it_says_what_to_install(plots, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: plots.function_and_derivative(lambda x: x),
        lambda: plots.loss_history([1.0]),
        lambda: plots.descent(valley, [(0.0, 0.0)], resolution=2),
    ):
        with pytest.raises(ImportError, match=r"pip install 'tapegrad\[plots\]'"):
            draw()
