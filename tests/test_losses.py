"""Losses: values and gradients as PyTorch's, on both cores; hostile input; nothing that a recording could not do."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from conftest import ENGINES

from tapegrad import losses, reference, value_and_grad, vmap

REDUCTIONS = ["mean", "sum", "none"]
rng = random.Random(20)


def normal(*shape, scale=2.0):
    return [normal(*shape[1:], scale=scale) for _ in range(shape[0])] if shape else rng.gauss(0.0, scale)


def uniform(*shape):
    return [uniform(*shape[1:]) for _ in range(shape[0])] if shape else rng.uniform(0.05, 0.95)


def simplex(samples, classes):
    return [[p / sum(row) for p in row] for row in uniform(samples, classes)]


OF_CLASSES = ("cross_entropy", "multi_margin_loss")
SIGNS = [[1, -1, 1], [-1, -1, 1]]
HUGE = [[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4 - 1], [3e-5, 0.0, 1e4]]

# the loss, input, target, other arguments (arrays become tensors for PyTorch), what PyTorch computes if not that
CASES = [
    ("mse_loss", normal(2, 3), normal(2, 3), {}),
    ("mse_loss", normal(), normal(), {}),
    ("mse_loss", normal(2, 2, 2), normal(2, 2, 2), {"weight": uniform(2, 2, 2)}),
    ("l1_loss", normal(2, 3), normal(2, 3), {}),
    ("l1_loss", normal(4), normal(4), {"weight": uniform(4)}),
    ("binary_cross_entropy", uniform(2, 3), uniform(2, 3), {}),
    ("binary_cross_entropy", uniform(2, 3), [[0, 1, 0], [1, 1, 0]], {"weight": uniform(3)}),
    ("binary_cross_entropy_with_logits", normal(2, 3), uniform(2, 3), {}),
    ("binary_cross_entropy_with_logits", HUGE, [[0, 1, 0], [1, 1, 0], [1, 0, 1]], {}),
    ("binary_cross_entropy_with_logits", normal(2, 3), uniform(2, 3), {"weight": uniform(3), "pos_weight": [3, 1, 2]}),
    ("cross_entropy", normal(4, 3), [2, 0, 1, 1], {}),
    ("cross_entropy", normal(3), 1, {}),
    ("cross_entropy", normal(4, 3), simplex(4, 3), {}),
    ("cross_entropy", normal(3), simplex(1, 3)[0], {}),
    ("cross_entropy", HUGE, [2, 0, 1], {}),
    ("cross_entropy", HUGE, simplex(3, 3), {}),
    ("cross_entropy", normal(4, 3), [2, -100, 1, 1], {"weight": uniform(3)}),
    ("cross_entropy", normal(4, 3), [2, 0, 1, 0], {"weight": uniform(3), "label_smoothing": 0.2, "ignore_index": 1}),
    ("cross_entropy", normal(4, 3), simplex(4, 3), {"weight": uniform(3), "label_smoothing": 0.2}),
    ("hinge_loss", normal(2, 3), SIGNS, {}),
    ("hinge_loss", HUGE[:2], SIGNS, {"margin": 2.5}),
    ("multi_margin_loss", normal(4, 3), [2, 0, 1, 1], {}),
    ("multi_margin_loss", normal(3), 1, {"p": 2, "margin": 7.5}),
    ("multi_margin_loss", HUGE, [2, 0, 1], {"weight": uniform(3)}),
    ("multi_margin_loss", normal(2, 5), [4, 0], {}),
]  # fmt: skip


def values(V, x):
    return [values(V, y) for y in x] if isinstance(x, list) else V(x)


def leaves(x):
    return [z for y in x for z in leaves(y)] if isinstance(x, list) else [x]


def torchs(torch, name, x, target, options):
    if name == "hinge_loss":
        return torch.nn.functional.hinge_embedding_loss(x * target, -torch.ones_like(target), **options)
    return getattr(torch.nn.functional, name)(x, target, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "numbers", "target", "options"), CASES)
def test_values_and_gradients_are_pytorchs(engine, torch, name, numbers, target, options, reduction):
    x = values(engine.Value, numbers)
    losses = getattr(engine.losses, name)(x, target, reduction=reduction, **options)
    seeds = [1.0 + k for k in range(len(leaves(losses)))]  # the losses of "none" must not be mixed up
    engine.dot(seeds, leaves(losses)).backward()

    tx = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    classes = name in OF_CLASSES and isinstance(leaves(target)[0], int)
    tt = torch.tensor(target, dtype=torch.int64 if classes else torch.float64)
    options = {k: torch.tensor(v, dtype=torch.float64) if isinstance(v, list) else v for k, v in options.items()}
    expected = torchs(torch, name, tx, tt, {**options, "reduction": reduction})
    (expected.flatten() * torch.tensor(seeds, dtype=torch.float64)).sum().backward()

    assert list(np.shape(losses)) == list(expected.shape)
    assert [y if y == 0 else y.data for y in leaves(losses)] == pytest.approx(
        expected.flatten().tolist(), rel=1e-12, abs=1e-15
    )
    assert [v.grad for v in leaves(x)] == pytest.approx(tx.grad.flatten().tolist(), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "numbers", "target", "options"), CASES)
def test_both_cores_agree_to_the_bit(name, numbers, target, options, reduction):
    results = []
    for engine in ENGINES.values():
        x = values(engine.Value, numbers)
        losses = getattr(engine.losses, name)(x, target, reduction=reduction, **options)
        engine.sum(leaves(losses)).backward()
        results.append(repr((losses, x)))
    assert results[0] == results[1]


@pytest.mark.parametrize(("name", "numbers", "target", "options"), CASES)
def test_numbers_tuples_and_arrays_give_the_same(engine, name, numbers, target, options):
    loss = getattr(engine.losses, name)
    expected = loss(values(engine.Value, numbers), target, **options).data
    of_numbers = loss(numbers, target, **options)
    assert of_numbers == pytest.approx(expected, rel=1e-15)  # the mean of Values is their sum times 1 / n
    if isinstance(numbers, list):
        tuples = tuple(tuple(row) if isinstance(row, list) else row for row in numbers)
        assert loss(tuples, target, **options) == loss(np.array(numbers), target, **options) == of_numbers
        objects = np.array(values(engine.Value, numbers), dtype=object)
        assert loss(objects, np.array(target), **options).data == expected


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_a_target_may_be_a_value_and_has_a_gradient(engine, torch, name):
    x, t = [0.25, 0.5], [0.75, 0.125]
    ts = values(engine.Value, t)
    getattr(engine.losses, name)(values(engine.Value, x), ts).backward()
    tt = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    getattr(torch.nn.functional, name)(torch.tensor(x, dtype=torch.float64), tt).backward()
    assert [v.grad for v in ts] == pytest.approx(tt.grad.tolist(), rel=1e-12)


def test_class_probabilities_may_be_values(engine):
    ts = values(engine.Value, [[1.0, 0.0]])
    loss = engine.losses.cross_entropy([[2.0, 1.0]], ts)
    loss.backward()
    assert loss.data == engine.losses.cross_entropy([[2.0, 1.0]], [0])
    assert [t.grad for t in ts[0]] == pytest.approx([math.log1p(math.exp(-1)), math.log1p(math.exp(1))])


def test_cross_entropy_is_accurate_at_any_size(engine):
    f = engine.losses.cross_entropy
    assert f([1e16, 1e16], 0) == math.log(2.0)
    assert f([1e300, -1e300], 1) == 2e300
    assert f([1e4, -1e4], 0) == 0.0
    xs = values(engine.Value, [1e4, -1e4])
    f(xs, 1).backward()
    assert [x.grad for x in xs] == [1.0, -1.0]


def test_binary_cross_entropy_from_scores_does_not_cancel(engine):
    f = engine.losses.binary_cross_entropy_with_logits
    assert f(30.0, 1) == f(-30.0, 0) == math.log1p(math.exp(-30.0))


def test_logarithms_of_a_probability_of_0_are_held_at_minus_100(engine):
    for p, t in ((0.0, 1), (1.0, 0)):
        x = engine.Value(p)
        loss = engine.losses.binary_cross_entropy(x, t)
        loss.backward()
        assert (loss.data, x.grad) == (100.0, 0.0)
        x = engine.Value(p)
        loss = engine.losses.binary_cross_entropy(x, 1 - t)
        loss.backward()
        assert loss.data == 0.0 and x.grad == (1.0 if p == 0 else -1.0)
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError):
            engine.losses.binary_cross_entropy([engine.Value(p)], [1])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("xs", [[0.3, -2.0, 1.5, 1.5], [1e4, -1e4, 9999.0], [-1e4, 1e4, 0.0], [7.0]])
def test_softmax(engine, torch, name, xs):
    seeds = [1.0, -0.5, 3.0, 0.25][: len(xs)]
    vs = [engine.Value(x) for x in xs]
    ys = getattr(engine.functions, name)(vs)
    engine.dot(seeds, ys).backward()
    tensor = torch.tensor(xs, dtype=torch.float64, requires_grad=True)
    expected = getattr(torch, name)(tensor, 0)
    (expected * torch.tensor(seeds)).sum().backward()
    assert [y.data for y in ys] == pytest.approx(expected.tolist(), rel=1e-12)
    assert [v.grad for v in vs] == pytest.approx(tensor.grad.tolist(), rel=1e-12, abs=1e-15)
    assert getattr(engine.functions, name)(xs) == [y.data for y in ys]
    assert all(math.isnan(float(y)) for y in getattr(engine.functions, name)([1.0, math.nan]))
    with pytest.raises(ValueError, match="nothing"):
        getattr(engine.functions, name)([])


def test_penalties(engine):
    ws = [[engine.Value(-3.0)], [engine.Value(0.0), [engine.Value(0.5)]], engine.Value(2)]
    a, b = engine.losses.l1_penalty(ws), engine.losses.l2_penalty(ws)
    assert (a.data, b.data) == (5.5, 13.25)
    (a + 10 * b).backward()
    assert [w.grad for w in (ws[0][0], ws[1][0], ws[1][1][0], ws[2])] == [-61.0, 0.0, 11.0, 41.0]
    assert engine.losses.l2_penalty(w for w in ()) == 0
    with pytest.raises(TypeError):
        engine.losses.l1_penalty(["a"])
    with pytest.raises(TypeError):
        engine.losses.l2_penalty(engine.Value(1.0))


NAMES = sorted({name for name, *_ in CASES})
ELEMENTWISE = [name for name in NAMES if name not in OF_CLASSES]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_loss_is_refused(engine, name):
    loss, V = getattr(engine.losses, name), engine.Value
    good = ([[V(0.5), V(0.25)]], [0]) if name in OF_CLASSES else ([V(0.5)], [1])
    for wrong in ("average", None, "Mean"):
        with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none'"):
            loss(*good, reduction=wrong)
    with pytest.raises(ValueError, match="nothing"):
        loss([], [])
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        loss([[0.5, 0.5], [0.5, 0.5, 0.5]], [0, 1])
    for wrong in ("ab", None, {0.5: 1}, {0.5}, 0.5j, object(), iter([0.5]), ["0.5"]):
        with pytest.raises((TypeError, ValueError)):
            loss(wrong, good[1])
        with pytest.raises((TypeError, ValueError)):
            loss(good[0], wrong)
    with pytest.raises(TypeError):
        loss(*good, "mean", "mean", "mean", "mean")


RECORDED = [
    ("cross_entropy", {}),
    ("cross_entropy", {"weight": uniform(3), "label_smoothing": 0.2}),
    ("cross_entropy", {"weight": uniform(3), "reduction": "sum"}),
    ("multi_margin_loss", {}),
    ("multi_margin_loss", {"p": 2, "margin": 7.5, "weight": uniform(3)}),
]


@pytest.mark.parametrize(("name", "options"), RECORDED)
def test_the_classes_of_many_samples_are_followed_without_a_guard(name, options):
    loss = getattr(losses, name)
    scores, classes = np.array(normal(6, 3)), np.array([2, 0, 1, 1, 0, 2])

    def one(x, y):
        return loss(x, y, **options)

    for y in range(3):
        recorded = value_and_grad(one)(scores[0].tolist(), float(y))
        xs = [losses.Value(x) for x in scores[0]]
        eager = loss(xs, y, **options)
        eager.backward()
        assert np.allclose([recorded[0], *recorded[1]], [eager.data, *(x.grad for x in xs)], rtol=1e-13, atol=0)
    many = vmap(one)
    assert np.allclose(many(scores, classes), [one(x.tolist(), int(y)) for x, y in zip(scores, classes, strict=True)])
    assert len(many.inner.programs) == 1
    assert not many.inner.programs[0].guards


def test_one_hot(engine):
    one_hot = engine.losses.one_hot
    assert one_hot(1, 3) == [0, 1, 0]
    assert one_hot([[2], [0]], 3) == [[[0, 0, 1]], [[1, 0, 0]]]
    assert one_hot(np.array([1, 0]), 2) == [[0, 1], [1, 0]]
    with pytest.raises(IndexError, match="class 3: there are 3 classes, 0 to 2"):
        one_hot([0, 3], 3)
    with pytest.raises(TypeError, match="a class is a plain int, not float"):
        one_hot(1.0, 3)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_shapes_of_input_and_target_must_be_the_same(engine, name):
    for x, t in (([0.5, 0.5], [1]), (0.5, [1]), ([[0.5, 0.5]], [1, 1]), ([0.5], [[1]])):
        with pytest.raises(ValueError, match="must be the same"):
            getattr(engine.losses, name)(x, t)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_classes_must_be_ints_that_there_are(engine, name):
    loss, V = getattr(engine.losses, name), engine.Value
    x = [[V(1.0), V(2.0)]]
    for y in (2, -1, 10**30):
        with pytest.raises(IndexError, match="there are 2 classes, 0 to 1"):
            loss(x, [y])
    for y in (0.0, V(0), Fraction(1)):
        with pytest.raises(TypeError, match="a class is a plain int, not"):
            loss(x, [y])
    for wrong, y in ((x, [0, 1]), (x, 0), (x[0], [[0]]), ([x], [[0]]), (V(1.0), 0), ([[], []], [0, 0])):
        with pytest.raises(ValueError):
            loss(wrong, y)
    with pytest.raises(ValueError, match="does not fit"):
        loss([[1.0, 2.0]], [0], weight=[1.0, 2.0, 3.0])


def test_options_out_of_range(engine):
    L = engine.losses
    for smoothing in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="label_smoothing"):
            L.cross_entropy([1.0, 2.0], 0, label_smoothing=smoothing)
    with pytest.raises(ValueError, match="p = 1 and p = 2"):
        L.multi_margin_loss([1.0, 2.0], 0, p=3)
    with pytest.raises(ValueError, match="-1 or 1, not 0"):
        L.hinge_loss([1.0], [0])
    with pytest.raises(ZeroDivisionError):
        L.cross_entropy([[1.0, 2.0]], [-100])
    assert L.cross_entropy([[1.0, 2.0]], [-100], reduction="none") == [0]


@pytest.mark.parametrize(("name", "numbers", "target", "options"), CASES)
def test_nan_is_not_swallowed(engine, name, numbers, target, options):
    if name == "cross_entropy" and "ignore_index" in options:
        target = 0 if not isinstance(numbers, list) else [0] * len(numbers)
    x = [math.nan if y is leaves(numbers)[-1] else y for y in leaves(numbers)]
    size = len(numbers[-1]) if isinstance(numbers, list) and isinstance(numbers[0], list) else 0
    if size and not isinstance(numbers[0][0], list):
        x = [x[k : k + size] for k in range(0, len(x), size)]
    elif size:
        x = [[x[0:2], x[2:4]], [x[4:6], x[6:8]]]
    elif not isinstance(numbers, list):
        x = math.nan
    loss = getattr(engine.losses, name)(values(engine.Value, x), target, reduction="sum", **options)
    assert math.isnan(loss.data)


class Unknown:
    """The truth of a comparison inside a recorded function, which nothing may ask for."""

    def __bool__(self):
        raise AssertionError("the truth of a comparison of Values was asked for")


@pytest.mark.parametrize(("name", "numbers", "target", "options"), CASES)
def test_no_loss_looks_at_a_number(monkeypatch, name, numbers, target, options):
    def data(self):
        raise AssertionError("the data of a Value was read")

    V = reference.Value
    x = values(V, numbers)
    monkeypatch.setattr(V, "data", property(data))
    for comparison in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__"):
        monkeypatch.setattr(V, comparison, lambda self, other: Unknown())
    getattr(ENGINES["reference"].losses, name)(x, target, **options).backward()
    monkeypatch.undo()
    assert any(v.grad != 0 for v in leaves(x))


def test_softmax_of_nothing(engine):
    for name in ("softmax", "log_softmax"):
        with pytest.raises(ValueError, match=f"^{name} of nothing$"):
            getattr(engine.functions, name)([])
