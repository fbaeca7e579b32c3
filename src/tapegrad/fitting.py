"""`fit`: training by mini-batches, at the speed of recorded functions."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.batch import VMap
from tapegrad.optim import Adam, LRScheduler, Optimizer
from tapegrad.trainer import History, Trainer, as_array, order

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["fit", "outputs"]


def fit(
    model: Callable[[Any], Any],
    X: Any,
    y: Any,
    *,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer | None = None,
    schedule: LRScheduler | None = None,
    epochs: int = 100,
    batch_size: int = 32,
    validation: float | tuple[Any, Any] | None = None,
    patience: int | None = None,
    tolerance: float = 0.0,
    keep_best: bool = False,
    accuracy: Callable[[Any, Any], float] | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    progress: bool | None = None,
    callback: Callable[[History], object] | None = None,
    threads: int | None = None,
) -> History:
    """Train a model by mini-batches and return the `History` of the epochs. The parameters are changed in place.

    model: a function of one sample, such as a Module of `tapegrad.nn`, that reads its parameters.
    X, y: arrays whose first index counts the samples. Where y has one int for each sample and the model gives several
        numbers, the ints are classes, 0 and up.
    loss: a function (what the model gives, the sample's target) of one sample, such as those of `tapegrad.losses`.
        Model and loss are recorded once and then replayed for all samples of a batch together; see `vmap`.
    optimizer: what changes the parameters; where None, `Adam(model.parameters())`. schedule: one of its schedules.
    epochs: passes over the samples at most. The order of the samples in epoch k depends on `seed` and k alone.
    validation: the share of the samples, 0 to 1, to hold out, or arrays (X, y) of others.
    patience: end when for so many epochs in a row the loss, that of the validation if there is one, has not fallen
        more than `tolerance` below the lowest: when it is steady. None: do not.
    keep_best: at the end, put back the parameters of the epoch `History.best`.
    accuracy: a function (the model's results, the targets), both arrays, to a number; where None, the share of the
        samples whose class has the highest score.
    checkpoint: a file. It is written after each epoch, and after each `checkpoint_every` batches; if it is there at the
        start, training goes on from it, to the same bits as without the interruption.
    progress: show a bar (by tqdm, where that is installed); where None, if stderr is a terminal.
    callback: called with the history after each epoch; training ends if it returns True.
    threads: as for `vmap`; the result is the same to the bit.

    ValueError and TypeError for arguments that do not fit, and for a checkpoint that is damaged or of another run;
    FloatingPointError when the loss is nan or infinite.

    >>> from tapegrad.losses import mse_loss
    >>> from tapegrad.nn import Linear
    >>> from tapegrad.optim import SGD
    >>> line = Linear(1, 1, seed=0)
    >>> history = fit(
    ...     line, [[0.0], [1.0], [2.0]], [[1.0], [3.0], [5.0]], loss=mse_loss, optimizer=SGD(line.parameters(), lr=0.1),
    ...     epochs=1000, patience=5, tolerance=1e-9
    ... )
    >>> history.stopped, [f"{p:.3f}" for p in line.parameters()]
    ('steady', ['2.000', '1.000'])
    """
    if optimizer is None:
        parameters = getattr(model, "parameters", None)
        if parameters is None:
            raise TypeError("fit needs an optimizer: the model has no parameters() to give to Adam")
        optimizer = Adam(parameters())
    _check(optimizer, schedule, patience, tolerance, checkpoint_every)
    training, held_out = _split(*_samples(X, y, "X and y"), validation, index(seed))
    trainer = Trainer(
        model,
        loss,
        optimizer,
        schedule,
        training,
        held_out,
        _at_least(1, "batch_size", batch_size),
        patience,
        tolerance,
        accuracy,
        index(seed),
        checkpoint,
        checkpoint_every,
        threads,
    )
    return trainer.run(_at_least(0, "epochs", epochs), keep_best, progress, callback)


def outputs(model: Callable[[Any], Any], X: Any, threads: int | None = None) -> Any:
    """What the model gives for every sample, as arrays of plain numbers, computed in lanes.

    >>> from tapegrad import Value
    >>> w = Value(3.0)
    >>> outputs(lambda x: w * x, [1.0, 2.0])
    array([3., 6.])
    """
    return VMap(lambda x: as_array(model(x)), threads=threads).as_numbers(_array(X, "X"))


# ---- arguments ----


def _check(optimizer: Any, schedule: Any, patience: Any, tolerance: Any, checkpoint_every: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be one of tapegrad.optim, made for the parameters, not {optimizer!r}")
    if schedule is not None and (not isinstance(schedule, LRScheduler) or schedule.optimizer is not optimizer):
        raise ValueError("schedule must be a schedule of the optimizer that is given")
    for name, x in (("patience", patience), ("checkpoint_every", checkpoint_every)):
        if x is not None:
            _at_least(1, name, x)
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, not {tolerance!r}")


def _at_least(least: int, name: str, x: Any) -> int:
    if isinstance(x, bool) or not hasattr(x, "__index__"):
        raise TypeError(f"{name} must be an int, not {x!r}")
    if index(x) < least:
        raise ValueError(f"{name} must be at least {least}, not {x}")
    return index(x)


def _array(x: Any, name: str) -> Any:
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must be an array of real numbers, not of {array.dtype}; names become classes by "
            "numpy.unique(names, return_inverse=True)"
        )
    if not array.ndim or not len(array):
        raise ValueError(f"{name} must have one sample at least")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has numbers that are nan or infinite")
    return array


def _samples(X: Any, y: Any, name: str) -> tuple[Any, Any]:
    X, y = _array(X, f"{name}: the samples"), _array(y, f"{name}: the targets")
    if len(X) != len(y):
        raise ValueError(f"{name}: {len(X)} samples and {len(y)} targets; there must be one for each")
    return X, y


def _split(X: Any, y: Any, validation: Any, seed: int) -> tuple[tuple[Any, Any], tuple[Any, Any] | None]:
    """The samples to train on, and those to validate on."""
    if validation is None:
        return (X, y), None
    if isinstance(validation, (tuple, list)):
        if len(validation) != 2:
            raise ValueError(f"validation is a share of the samples or a pair (X, y), not {len(validation)} things")
        held_out = _samples(validation[0], validation[1], "validation")
        for own, other, name in zip((X, y), held_out, ("samples", "targets"), strict=True):
            if own.shape[1:] != other.shape[1:]:
                raise ValueError(
                    f"validation: the {name} have shape {other.shape[1:]}, those to train on {own.shape[1:]}"
                )
        return (X, y), held_out
    count = round(len(X) * validation)
    if not 0.0 < validation < 1.0 or not 0 < count < len(X):
        raise ValueError(
            f"validation must be a share between 0 and 1 that holds out some of the {len(X)} samples and leaves some, "
            f"not {validation!r}"
        )
    samples = order(seed, 0, len(X))
    held, rest = sorted(samples[:count]), sorted(samples[count:])
    return (X[rest], y[rest]), (X[held], y[held])
