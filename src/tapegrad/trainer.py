"""The run of `tapegrad.fit`: epochs, what they come to, and checkpoints of it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import random
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import checkpoints
from tapegrad.batch import VMap
from tapegrad.engine import Value
from tapegrad.optim import LRScheduler, Optimizer, ReduceLROnPlateau
from tapegrad.states import need_count, need_dict, need_key, need_list, need_number, what
from tapegrad.wording import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["History", "Trainer", "as_array", "order"]

LISTS = ("losses", "accuracies", "validation_losses", "validation_accuracies")  # of a history
ENDINGS = ("", "epochs", "steady", "callback")


@dataclass
class History:
    """What every epoch came to: with the parameters at its end, over all samples.

    An accuracy is None where there is none, and the lists of the validation are empty without one.
    """

    losses: list[float] = field(default_factory=list)
    accuracies: list[float | None] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    validation_accuracies: list[float | None] = field(default_factory=list)
    best: int = 0  # the number, from 1, of the last epoch in which the watched loss fell by more than the tolerance
    stopped: str = ""  # why training ended: "epochs", "steady" or "callback"

    @property
    def watched(self) -> list[float]:
        """The losses that say when to stop: those of the validation, or without one of the training."""
        return self.validation_losses or self.losses

    def __len__(self) -> int:
        return len(self.losses)

    def __str__(self) -> str:
        """The last epoch in words."""
        if not self.losses:
            return "no epoch"
        parts = [f"epoch {len(self)}: loss {self.losses[-1]:.4f}", _percent(self.accuracies[-1])]
        if self.validation_losses:
            parts += [f", validation loss {self.validation_losses[-1]:.4f}", _percent(self.validation_accuracies[-1])]
        return "".join(parts)


def _percent(accuracy: float | None) -> str:
    return "" if accuracy is None else f", right {accuracy:.1%}"


def order(seed: int, epoch: int, n: int) -> list[int]:
    """The order of n samples in an epoch: a function of its arguments, so that nothing has to be remembered.

    >>> sorted(order(0, 1, 5))
    [0, 1, 2, 3, 4]
    """
    samples = list(range(n))
    random.Random(f"{seed} {epoch}").shuffle(samples)
    return samples


def as_array(result: Any) -> Any:
    """What a model gives for one sample, a list of Values as an array of them: many samples make one array then."""
    if isinstance(result, list) and all(isinstance(r, Value) for r in result):
        return np.array(result, dtype=object)
    return result


@dataclass
class Trainer:
    """One run of `fit`; the fields are its arguments, the samples as arrays."""

    model: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    optimizer: Optimizer
    schedule: LRScheduler | None
    training: tuple[Any, Any]
    held_out: tuple[Any, Any] | None
    batch_size: int
    patience: int | None
    tolerance: float
    accuracy: Callable[[Any, Any], float] | None
    seed: int
    checkpoint: str | os.PathLike[str] | None
    checkpoint_every: int | None
    threads: int | None

    def __post_init__(self) -> None:
        self.parameters: list[Value] = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.batch_loss: VMap = VMap(lambda x, t: self.results(x, t)[1], reduce="mean", threads=self.threads)
        self.look: VMap = VMap(self.results, threads=self.threads)
        self.history: History = History()
        self.batches_done = 0  # in the epoch that has begun
        self.best: list[float] | None = None  # the parameters of the best epoch
        self.description: dict[str, Any] = {} if self.checkpoint is None else self.described()

    def results(self, x: Any, t: Any) -> tuple[Any, Any]:
        """For one sample what the model gives and the loss of that: what is recorded."""
        result = self.model(x)
        loss = self.loss(result, t)
        if not isinstance(loss, (Value, float, int)):
            raise TypeError(f"the loss of a sample must be one number, not a {type(loss).__name__}")
        return as_array(result), loss

    # ---- running ----

    def run(self, epochs: int, keep_best: bool, progress: bool | None, callback: Any) -> History:
        history = self.history
        self.first_look()
        if self.checkpoint is not None and os.path.exists(self.checkpoint):
            self.resume(checkpoints.load(self.checkpoint))
        with _bar(progress, epochs * self.batches(), len(history) * self.batches() + self.batches_done) as bar:
            while not (reason := self.reason_to_stop(epochs)):
                self.epoch(bar)
                bar.set_postfix_str(str(history).partition(": ")[2])
                self.keep()
                if callback is not None and callback(history) is True:
                    reason = "callback"
                    break
        history.stopped = reason
        if keep_best and self.best is not None:
            self.set_parameters(self.best)
        return history

    def batches(self) -> int:
        return math.ceil(len(self.training[0]) / self.batch_size)

    def reason_to_stop(self, epochs: int) -> str:
        if self.patience is not None and len(self.history) - self.history.best >= self.patience:
            return "steady"
        return "epochs" if len(self.history) >= epochs else ""

    def epoch(self, bar: Any) -> None:
        """Train on the batches that are left of the epoch, and look at what has come of it."""
        X, y = self.training
        samples = order(self.seed, len(self.history) + 1, len(X))
        for k in range(self.batches_done, self.batches()):
            batch = samples[k * self.batch_size : (k + 1) * self.batch_size]
            self.step(X[batch], y[batch])
            bar.update()
            self.batches_done = k + 1
            if self.checkpoint_every and self.batches_done % self.checkpoint_every == 0:
                self.keep()
        self.batches_done = 0
        self.record()

    def step(self, X: Any, y: Any) -> None:
        """Train on one batch."""
        _, values, gradient = self.batch_loss.with_gradients(X, y)
        self.optimizer.zero_grad()
        for v, g in zip(values, gradient, strict=True):
            v.grad = g
        self.optimizer.step()

    def record(self) -> None:
        """Add the epoch to the history, and set the next one's learning rate."""
        history = self.history
        for data, losses, accuracies in (
            (self.training, history.losses, history.accuracies),
            (self.held_out, history.validation_losses, history.validation_accuracies),
        ):
            if data is not None:
                results, sample_losses = self.look.as_numbers(*data)
                losses.append(float(sample_losses.mean()))
                accuracies.append(self.accuracy_of(results, data[1]))
        watched = history.watched
        if not all(math.isfinite(losses[-1]) for losses in (history.losses, watched)):
            raise FloatingPointError(f"{history}: the loss is no number any more; a lower learning rate may help")
        if not history.best or watched[-1] < watched[history.best - 1] - self.tolerance:
            history.best = len(history)
            self.best = [p.data for p in self.parameters]
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(watched[-1])
        elif self.schedule is not None:
            self.schedule.step()

    # ---- what is trained ----

    def first_look(self) -> None:
        """See what model and loss make of the first sample: whether they fit together, the parameters and the data."""
        X, y = self.training
        results, _ = self.look.as_numbers(X[:1], y[:1])
        _, values, _ = self.batch_loss.with_gradients(X[:1], y[:1])
        if any(v._prev for v in values):
            raise ValueError("the model reads the result of an operation; let it compute that itself for each sample")
        if not set(values) & set(self.parameters):
            raise ValueError("the loss depends on no parameter of the optimizer: is it the optimizer of this model?")
        if not self.has_classes(results):
            return
        count = results.shape[1]
        for name, (_, classes) in (("y", self.training), ("the validation", self.held_out or self.training)):
            wrong = classes[(classes < 0) | (classes >= count)]
            if len(wrong):
                raise ValueError(
                    f"{name} has class {wrong[0]}, but the model gives {count} scores: classes are 0 to {count - 1}"
                )

    def has_classes(self, results: Any) -> bool:
        """Whether the targets are classes and the results their scores."""
        y = self.training[1]
        return y.dtype.kind in "iub" and y.ndim == 1 and getattr(results, "ndim", 0) == 2 and results.shape[1] > 1

    def accuracy_of(self, results: Any, y: Any) -> float | None:
        if self.accuracy is not None:
            return float(self.accuracy(results, y))
        return float((results.argmax(axis=1) == y).mean()) if self.has_classes(results) else None

    # ---- checkpoints ----

    def keep(self) -> None:
        if self.checkpoint is not None:
            checkpoints.save(self.checkpoint, self.state())

    def state(self) -> dict[str, Any]:
        return {
            "run": self.description,
            "batches_done": self.batches_done,
            "parameters": [p.data for p in self.parameters],
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "history": dataclasses.asdict(self.history),
        }

    def resume(self, state: Any) -> None:
        """Go on from a state that was kept. It is looked through first: with a ValueError nothing has changed."""
        try:
            wrong = self.differences(need_dict(need_key(state, "run"), "run"))
            if not wrong:
                self.take(state)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            text = clean(error, 1000)
            raise ValueError(f"{self.checkpoint} is no checkpoint that fit has written: {text}") from error
        if wrong:
            raise ValueError(
                f"{self.checkpoint} is of another run: {'; '.join(wrong)}. "
                "Give another file, or delete it to begin anew"
            )

    def differences(self, run: dict[str, Any]) -> list[str]:
        """What was otherwise in the run that the checkpoint is of."""
        return [
            f"{name} was {clean(run.get(name), 200)} and is {now}"
            for name, now in self.description.items()
            if run.get(name) != now
        ]

    def take(self, state: dict[str, Any]) -> None:
        """Make the state this run's, or leave everything as it was."""
        batches_done = need_count(need_key(state, "batches_done"), "batches_done")
        if batches_done > self.batches():
            raise ValueError(f"batches_done is {batches_done}, and an epoch has {self.batches()} batches")
        parameters = self.read_parameters(need_key(state, "parameters"), "parameters")
        best = need_key(state, "best")
        best = None if best is None else self.read_parameters(best, "best")
        history = self.read_history(need_key(state, "history"))
        optimizer, schedule = need_dict(need_key(state, "optimizer"), "optimizer"), need_key(state, "schedule")
        kept = self.optimizer.state, [dict(group) for group in self.optimizer.param_groups]
        try:
            self.optimizer.load_state_dict(optimizer)  # this is all or nothing, and so is the next
            if self.schedule is not None:
                self.schedule.load_state_dict(need_dict(schedule, "schedule"))
        except BaseException:
            self.optimizer.state, groups = kept
            for group, options in zip(self.optimizer.param_groups, groups, strict=True):
                group.update(options)
            raise
        self.set_parameters(parameters)
        self.batches_done, self.best = batches_done, best
        vars(self.history).update(vars(history))

    def read_parameters(self, numbers: Any, where: str) -> list[float]:
        """The numbers of all parameters."""
        if len(need_list(numbers, where)) != len(self.parameters):
            raise ValueError(f"{where}: it has {len(numbers)} parameters, and the model {len(self.parameters)}")
        for k, x in enumerate(numbers):
            need_number(x, f"{where}[{k}]")
        return list(numbers)

    def read_history(self, kept: Any) -> History:
        """The history, whose lists must be of one length, and those of the validation empty where there is none."""
        lists = {name: need_list(need_key(kept, name, "history"), f"history.{name}") for name in LISTS}
        epochs = len(lists["losses"])
        for name, numbers in lists.items():
            wanted = 0 if self.held_out is None and name.startswith("validation") else epochs
            if len(numbers) != wanted:
                raise ValueError(f"history.{name} has {len(numbers)} epochs, and should have {wanted}")
            for k, x in enumerate(numbers):
                if name.endswith("losses") or not (x is None or type(x) is float):  # an accuracy may be nan
                    need_number(x, f"history.{name}[{k}]")
        best = need_count(need_key(kept, "best", "history"), "history.best")
        if not min(1, epochs) <= best <= epochs:
            raise ValueError(f"history.best is {best}, and there are {epochs} epochs")
        stopped = need_key(kept, "stopped", "history")
        if stopped not in ENDINGS:
            raise ValueError(f"history.stopped must be one of {', '.join(map(repr, ENDINGS))}, not {what(stopped)}")
        return History(**lists, best=best, stopped=stopped)

    def described(self) -> dict[str, Any]:
        """What must be the same for a run to go on. The learning rate is that of the start."""
        arrays = [*self.training, *(self.held_out or ())]
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
        return {
            "seed": self.seed,
            "batch_size": self.batch_size,
            "tolerance": self.tolerance,
            "number of samples": [len(array) for array in arrays[::2]],
            "digest of the data": digest.hexdigest()[:16],
            "number of parameters": len(self.parameters),
            "loss": getattr(self.loss, "__qualname__", type(self.loss).__name__),
            "optimizer": repr(self.optimizer),
            "schedule": type(self.schedule).__name__,
        }

    def set_parameters(self, numbers: list[float]) -> None:
        for p, x in zip(self.parameters, numbers, strict=True):
            p.data = x


class _NoBar:
    def update(self) -> None: ...

    def set_postfix_str(self, text: str) -> None: ...


@contextmanager
def _bar(progress: bool | None, total: int, done: int) -> Generator[Any, None, None]:
    """tqdm's bar, where there is to be one and tqdm is installed."""
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    try:
        tqdm = import_module("tqdm").tqdm if progress else None
    except ImportError:
        tqdm = None
    if tqdm is None:
        yield _NoBar()
    else:
        with tqdm(total=total, initial=done, unit="batch", dynamic_ncols=True) as bar:
            yield bar
