"""Losses, with the names, arguments and defaults of `torch.nn.functional`.

`input` is what a model gives and `target` what it should give: numbers, Values, or nested lists, tuples or numpy
arrays of them. Of each loss, `reduction` "mean" and "sum" give one number or Value, "none" one for each loss. They
are written in functions and operators alone, without a look at a number: they can be recorded.

Errors: ValueError for shapes that do not fit, for nothing at all and for an unknown reduction; TypeError for what is
neither number nor Value; IndexError for a class that there is not.

A class is a plain int. In a recorded function it may be a Value, as it is where `vmap` hands out the classes of many
samples; then nothing can say that there is no such class, and it counts as none.
"""

from __future__ import annotations

from tapegrad._arrays import broadcast, flat, leaves, shaped
from tapegrad.engine import Value
from tapegrad.functions import abs, dot, log, log_softmax, maximum, relu, softplus, sum, where
from tapegrad.recording import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge_loss",
    "l1_loss",
    "l1_penalty",
    "l2_penalty",
    "mse_loss",
    "multi_margin_loss",
    "one_hot",
]

Shape = tuple[int, ...]
TINY = 1e-300  # added to a probability it changes none but 0, whose logarithm it makes finite


def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean squared error: (x - t)**2 for every x of input and t of target, which have one shape.

    With `weight`, of that shape or of its end, "mean" is the weighted mean.

    >>> mse_loss([Value(1.0), Value(3.0)], [0.0, 1.0])
    Value(data=2.5, grad=0)
    >>> mse_loss([1.0, 3.0], [0.0, 1.0], reduction="none")
    [1.0, 4.0]
    """
    xs, ts, shape = _paired(input, target)
    return _weighted_mean([(x - t) ** 2 for x, t in zip(xs, ts, strict=True)], shape, reduction, weight)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean absolute error: |x - t| for every x of input and t of target, which have one shape; weight as in mse_loss.

    >>> l1_loss([Value(1.0), Value(3.0)], [0.0, 1.0])
    Value(data=1.5, grad=0)
    """
    xs, ts, shape = _paired(input, target)
    return _weighted_mean([abs(x - t) for x, t in zip(xs, ts, strict=True)], shape, reduction, weight)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """-(t log p + (1 - t) log(1 - p)) for every probability p of input and t of target, which have one shape.

    The logarithms are held at -100 and above, where their derivative is 0 (PyTorch's is up to 1e12 there); a p
    outside 0 to 1 has none: ValueError. `weight`, of that shape or of its end, multiplies; "mean" divides by the
    number of losses. Scores are better given to `binary_cross_entropy_with_logits`.

    >>> binary_cross_entropy([Value(0.5), Value(0.0)], [1, 1])
    Value(data=50.346573590279974, grad=0)
    """
    ps, ts, shape = _paired(input, target)
    losses = [-(t * _log(p) + (1 - t) * _log(1 - p)) for p, t in zip(ps, ts, strict=True)]
    return _reduced(_times(weight, losses, shape), shape, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """The binary cross-entropy of the probabilities sigmoid(x), from the scores x: accurate for x of any size.

    -log sigmoid(x) is softplus(-x), and -log(1 - sigmoid(x)) is softplus(x). `weight` multiplies the loss and
    `pos_weight` its first term, that of t = 1; both have the shape of input, or of its end.

    >>> binary_cross_entropy_with_logits([Value(0.0), Value(-1e4)], [1, 1], reduction="none")
    [Value(data=0.6931471805599453, grad=0), Value(data=10000.0, grad=0)]
    """
    xs, ts, shape = _paired(input, target)
    positive = _times(pos_weight, ts, shape)
    losses: list[Any] = [w * softplus(-x) + (1 - t) * softplus(x) for x, t, w in zip(xs, ts, positive, strict=True)]
    return _reduced(_times(weight, losses, shape), shape, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(x)[y], from a row x of scores, one for each class, and the class y: accurate for x of any size.

    input: (classes) or (samples, classes). target: the class of each sample, a plain int below `classes` or
    `ignore_index`, which gives no loss; or in the shape of input the probabilities of the classes, which may be
    Values. weight: (classes); "mean" divides by the sum of the weights of the targets, given as classes, and by the
    number of samples, given as probabilities (and by 0, a ZeroDivisionError, where all are ignored: PyTorch has nan).
    label_smoothing: of each target that part, 0 to 1, is given to all classes alike (Szegedy et al. 2016,
    "Rethinking the Inception architecture for computer vision", section 7).

    >>> cross_entropy([Value(0.0), Value(0.0)], 1)
    Value(data=0.6931471805599453, grad=0)
    >>> cross_entropy([[1e4, -1e4], [1e4, -1e4]], [0, 1], reduction="none")
    [0.0, 20000.0]
    >>> cross_entropy([[0.0, 0.0]], [[0.5, 0.5]])
    0.6931471805599453
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0 and 1, not {label_smoothing!r}")
    scores, shape = _scores(input)
    classes = shape[-1]
    ts, target_shape = flat(target)
    weights = [1] * classes if weight is None else broadcast(weight, (classes,))
    total: Any = len(scores)
    if target_shape == shape:
        targets = [ts[k : k + classes] for k in range(0, len(ts), classes)]
    else:
        _check_samples(target_shape, shape)
        targets = [[0] * classes if _is(y, ignore_index) else _one_hot(y, classes) for y in ts]
        total = sum([_at(y, weights, t) for y, t in zip(ts, targets, strict=True) if not _is(y, ignore_index)])
    losses: list[Any] = []
    for xs, t in zip(scores, targets, strict=True):
        if label_smoothing and (target_shape == shape or any(not _is(p, 0) for p in t)):
            t = [p * (1 - label_smoothing) + label_smoothing / classes for p in t]
        terms = zip(weights, t, log_softmax(xs), strict=True)
        losses.append(sum([-(w * p) * x for w, p, x in terms if isinstance(p, Value) or p != 0]))
    return _reduced(losses, shape[:-1], reduction, total)


def hinge_loss(input: Any, target: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    """The loss of a support vector machine: max(0, margin - t x) for every score x of input and t, -1 or 1, of target.

    A target may be a Value, which is taken as it is. PyTorch has this as `hinge_embedding_loss(t * x, -1)`. Cortes,
    Vapnik 1995, "Support-vector networks".

    >>> hinge_loss([Value(0.25), Value(3.0)], [-1, 1])
    Value(data=0.625, grad=0)
    """
    xs, ts, shape = _paired(input, target)
    for t in ts:
        if not isinstance(t, Value) and t not in (-1, 1):
            raise ValueError(f"the target of a hinge loss is -1 or 1, not {t!r}")
    return _reduced([relu(margin - t * x) for x, t in zip(xs, ts, strict=True)], shape, reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """The loss of a support vector machine of many classes, as PyTorch has it: the sum over the wrong classes c of
    max(0, margin - x[y] + x[c])**p, times weight[y], divided by the number of classes.

    input: (classes) or (samples, classes). target: for each sample its class y, a plain int. p: 1 or 2.
    weight: (classes). "mean" divides by the number of samples. Weston, Watkins 1999, "Support vector machines for
    multi-class pattern recognition".

    >>> multi_margin_loss([Value(1.0), Value(1.5), Value(-3.0)], 0)
    Value(data=0.5, grad=0)
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss has p = 1 and p = 2, not {p!r}")
    scores, shape = _scores(input)
    classes = shape[-1]
    ys, target_shape = flat(target)
    _check_samples(target_shape, shape)
    weights = None if weight is None else broadcast(weight, (classes,))
    losses: list[Any] = []
    for xs, y in zip(scores, ys, strict=True):
        right = _one_hot(y, classes)
        score = _at(y, xs, right)
        above: list[Any] = [relu(margin - score + x) ** p for x, r in zip(xs, right, strict=True) if not _is(r, 1)]
        if isinstance(y, Value):
            above = [(1 - r) * loss for loss, r in zip(above, right, strict=True)]
        losses.append(sum(above) * ((1 if weights is None else _at(y, weights, right)) / classes))
    return _reduced(losses, shape[:-1], reduction)


def one_hot(tensor: Any, num_classes: int) -> Any:
    """For the class y, or for every y in nested lists of classes, a list of `num_classes` numbers: 1 at y, else 0.

    >>> one_hot([2, 0], 3)
    [[0, 0, 1], [1, 0, 0]]
    """
    classes, shape = flat(tensor)
    return shaped([_one_hot(y, num_classes) for y in classes], shape)


def l1_penalty(parameters: Iterable[Any]) -> Any:
    """The sum of |w| over the parameters, numbers or Values, nested as may be: to be added to a loss, times a rate.

    >>> l1_penalty([Value(-3.0), [Value(0.5)]])
    Value(data=3.5, grad=0)
    """
    return sum([abs(w) for w in _numbers(parameters)])


def l2_penalty(parameters: Iterable[Any]) -> Any:
    """The sum of w**2 over the parameters, numbers or Values, nested as may be: to be added to a loss, times a rate.

    Times r, it has the gradient of an optimiser's weight_decay=2*r.

    >>> l2_penalty([Value(-3.0), [Value(0.5)]])
    Value(data=9.25, grad=0)
    """
    return sum([w**2 for w in _numbers(parameters)])


def _paired(input: Any, target: Any) -> tuple[list[Any], list[Any], Shape]:
    """The numbers of input, those of target, and the shape of both."""
    xs, shape = flat(input)
    ts, target_shape = flat(target)
    if shape != target_shape:
        raise ValueError(f"input has shape {shape} and target {target_shape}; they must be the same")
    if not xs:
        raise ValueError("a loss of nothing: input is empty")
    return xs, ts, shape


def _scores(input: Any) -> tuple[list[list[Any]], Shape]:
    """The rows of input, each the scores of one sample, and the shape of input."""
    xs, shape = flat(input)
    if len(shape) not in (1, 2):
        raise ValueError(f"the scores of classes have shape (classes) or (samples, classes), not {shape}")
    if not xs:
        raise ValueError("a loss of nothing: input is empty")
    return [xs[k : k + shape[-1]] for k in range(0, len(xs), shape[-1])], shape


def _check_samples(target_shape: Shape, shape: Shape) -> None:
    if target_shape != shape[:-1]:
        raise ValueError(
            f"for input of shape {shape}, target has shape {shape[:-1]}, one class a sample, not {target_shape}"
        )


def _one_hot(y: Any, classes: int) -> list[Any]:
    """1 at the class y, and 0 at the others."""
    if isinstance(y, Value) and current() is not None:
        return [where(abs(y - c) < 0.5, 1.0, 0.0) for c in range(classes)]  # y == c asks whether they are one object
    if not isinstance(y, int):
        hint = "; give a list of probabilities in its place" if isinstance(y, Value) else ""
        raise TypeError(f"a class is a plain int, not {type(y).__name__}{hint}")
    if not 0 <= y < classes:
        raise IndexError(f"class {y}: there are {classes} classes, 0 to {classes - 1}")
    return [int(c == y) for c in range(classes)]


def _at(y: Any, xs: list[Any], one_hot: list[Any]) -> Any:
    """xs[y]"""
    return dot(xs, one_hot) if isinstance(y, Value) else xs[y]


def _is(x: Any, number: int) -> bool:
    """Whether x is this plain number. Of a Value it is not asked: the answer would be a guard."""
    return not isinstance(x, Value) and bool(x == number)


def _numbers(parameters: Iterable[Any]) -> list[Any]:
    """The numbers and Values of nested lists of any shapes."""
    return [flat(w)[0][0] for w in leaves(list(parameters))]


def _log(p: Any) -> Any:
    return maximum(log(p + TINY), -100.0)


def _times(weight: Any, losses: list[Any], shape: Shape) -> list[Any]:
    if weight is None:
        return losses
    return [w * y for w, y in zip(broadcast(weight, shape), losses, strict=True)]


def _weighted_mean(losses: list[Any], shape: Shape, reduction: str, weight: Any) -> Any:
    total = None if weight is None else sum(broadcast(weight, shape))
    return _reduced(_times(weight, losses, shape), shape, reduction, total)


def _reduced(losses: list[Any], shape: Shape, reduction: str, total: Any = None) -> Any:
    """The losses as `reduction` wants them; "mean" divides by `total`, which is their number where none is given."""
    if reduction == "none":
        return shaped(losses, shape)
    if reduction == "sum":
        return sum(losses)
    if reduction == "mean":
        return sum(losses) / (len(losses) if total is None else total)
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
