"""Optimisers and schedules of their learning rate, with the names, arguments and defaults of `torch.optim`.

An optimiser changes the `data` of its parameters by their `grad`; it keeps all that it remembers in lists of floats.
Parameters are Values, in nested lists as they may be, or dicts of them with options of their own:

>>> from tapegrad import Value
>>> from tapegrad.optim import SGD
>>> weight, bias = [[Value(1.0), Value(2.0)]], [Value(3.0)]
>>> optimizer = SGD([{"params": weight}, {"params": bias, "lr": 0.5}], lr=0.1)
>>> loss = weight[0][0] * 4.0 + weight[0][1] + bias[0]
>>> loss.backward()
>>> optimizer.step()
>>> [p.data for p in (*weight[0], *bias)]
[0.6, 1.9, 2.5]

Unlike PyTorch's, a parameter that no backward sweep has reached has the gradient 0, and is updated by that.
"""

from __future__ import annotations

import copy
import itertools
import math
from math import sqrt
from numbers import Real

from tapegrad._arrays import leaves
from tapegrad.engine import Value
from tapegrad.states import need_count, need_dict, need_key, need_list, need_number
from tapegrad.wording import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, ClassVar

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
]

Options = dict[str, "Any"]
Floats = list[float]


class Optimizer:
    """What all optimisers have. A subclass says in `_updated` what becomes of the numbers of one group of parameters.

    `param_groups` has a dict for each group: "params" and the options, which may be changed at any time; `state` has a
    dict for each group: lists of one float for each parameter, and counts.

    ValueError for no parameters, for one that comes twice or is the result of an operation, and for options out of
    range; TypeError for what is no Value and for options that are no numbers.
    """

    # What `state` has by name: a "count", or for each parameter one of "numbers" or one of "squares", which are not
    # negative. None where a subclass does not say.
    _remembers: ClassVar[dict[str, str] | None] = None

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: list[dict[str, Any]] = []
        if isinstance(params, (Value, dict)):
            raise TypeError(f"params must be a list of Values or of dicts, not one {type(params).__name__}")
        groups = list(params)
        if not groups:
            raise ValueError("the optimiser got no parameters")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimise further parameters too: {"params": ..., and options where they are not the optimiser's defaults}."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"a group of parameters is a dict with 'params' among its keys, not {param_group!r}")
        group = {**self.defaults, **param_group, "params": _parameters(param_group["params"])}
        unknown = group.keys() - self.defaults.keys() - {"params"}
        if unknown:
            raise ValueError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}")
        self._check({name: x for name, x in group.items() if name != "params"})
        params = [p for g in (*self.param_groups, group) for p in g["params"]]
        if len(set(params)) < len(params):
            raise ValueError("a parameter was given more than once")
        if any(p._prev for p in group["params"]):
            raise ValueError("a parameter is the result of an operation: what it was computed from can be optimised")
        self.param_groups.append(group)
        self.state.append({})

    def zero_grad(self) -> None:
        """Set the grad of every parameter to 0."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = 0

    def step(self) -> None:
        """Change every parameter by its gradient."""
        for group, state in zip(self.param_groups, self.state, strict=True):
            xs = [float(p.data) for p in group["params"]]
            gs = [float(-p.grad if group["maximize"] else p.grad) for p in group["params"]]
            for p, x in zip(group["params"], self._updated(group, state, xs, gs), strict=True):
                p.data = x

    def state_dict(self) -> dict[str, Any]:
        """The state, and the groups with numbers for parameters: plain Python that JSON or pickle can keep.

        >>> SGD([Value(1.0)], lr=0.1).state_dict()["param_groups"][0]["params"]
        [0]
        """
        count = itertools.count()
        groups = [{**g, "params": [next(count) for _ in g["params"]]} for g in self.param_groups]
        return {"state": copy.deepcopy(self.state), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict` of the same class, for as many groups of as many parameters.

        It may come from a file that somebody else has made: a ValueError names what does not fit, and nothing has
        changed then."""
        groups, states = self._read(state_dict)
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update(group)
        self.state = states

    def _read(self, state_dict: Any) -> tuple[list[Options], list[dict[str, Any]]]:
        """The options and the states in a state_dict, looked through."""
        groups, states = [need_list(need_key(state_dict, key), key) for key in ("param_groups", "state")]
        if not len(groups) == len(states) == len(self.param_groups):
            raise ValueError(f"{len(groups)} groups of parameters in the state_dict, {len(self.param_groups)} here")
        options: list[Options] = []
        kept: list[dict[str, Any]] = []
        for k, (own, saved, state) in enumerate(zip(self.param_groups, groups, states, strict=True)):
            options.append(self._read_group(own, saved, f"param_groups[{k}]"))
            kept.append(self._read_state(state, len(own["params"]), f"state[{k}]"))
        return options, kept

    def _read_group(self, own: Options, saved: Any, where: str) -> Options:
        """The options of a group as they were saved."""
        if len(need_list(need_key(saved, "params", where), f"{where}.params")) != len(own["params"]):
            raise ValueError(f"a group of {len(own['params'])} parameters here is not so long in the state_dict")
        if saved.keys() != own.keys():
            names = ", ".join([clean(name) for name in saved])
            raise ValueError(f"the state_dict is not of {type(self).__name__}: it has the options {clean(names, 300)}")
        options = {name: x for name, x in saved.items() if name != "params"}
        for name, x in options.items():
            for number in x if isinstance(x, (list, tuple)) else [x]:
                if isinstance(number, Real) and not isinstance(number, bool):
                    need_number(number, f"{where}.{name}")
            if isinstance(x, (list, tuple)):
                options[name] = tuple(x) if isinstance(x, tuple) else list(x)
        if options.get("eps") == 0 != own.get("eps"):
            raise ValueError(f"{where}.eps is 0 and would be divided by; here it is {own['eps']!r}")
        try:
            self._check(options)
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error
        return options

    def _read_state(self, saved: Any, n: int, where: str) -> dict[str, Any]:
        """The state of a group of n parameters: counts, and lists of n numbers."""
        state: dict[str, Any] = {}
        for name, x in need_dict(saved, where).items():
            path = f"{where}.{clean(name)}"
            if self._remembers is not None and name not in self._remembers:
                raise ValueError(f"{path}: {type(self).__name__} remembers no such thing")
            if isinstance(x, (list, tuple)):
                if len(x) != n:
                    raise ValueError(f"a group of {n} parameters here is not so long in the state_dict: {path}")
                state[name] = self._read_numbers(x, name, path)
            else:
                state[name] = need_count(x, path)
            if self._remembers is not None and isinstance(x, (list, tuple)) is (self._remembers[name] == "count"):
                raise ValueError(f"{path} must be {'a count' if self._remembers[name] == 'count' else 'a list'}")
        return state

    def _read_numbers(self, numbers: Any, name: str, where: str) -> Floats:
        squares = self._remembers is not None and self._remembers[name] == "squares"
        for k, x in enumerate(numbers):
            if squares and type(x) is float and x == math.inf:  # what a gradient of 1e200 leaves, and does no harm
                continue
            if need_number(x, f"{where}[{k}]") < 0 and squares:
                raise ValueError(f"{where}[{k}] is of squares and must be at least 0, not {x!r}")
        return list(numbers)

    def _check(self, options: Options) -> None:
        """All options are at least 0 (false is 0), and the two of `betas` are below 1."""
        for name, option in options.items():
            if name == "betas" and not hasattr(option, "__iter__"):
                raise TypeError(f"betas must be two numbers, not {type(option).__name__}")
            for x in option if name == "betas" else (option,):
                if not isinstance(x, Real):
                    raise TypeError(f"{name} must be a number, not {type(x).__name__}")
                if not 0.0 <= float(x) or (name == "betas" and not float(x) < 1.0):
                    raise ValueError(f"{name} must be at least 0{' and below 1' * (name == 'betas')}, not {option!r}")

    def _updated(self, group: Options, state: dict[str, Any], xs: Floats, gs: Floats) -> Floats:
        """The new numbers for xs, whose gradients are gs."""
        raise NotImplementedError

    def __repr__(self) -> str:
        options = (f"{k}={v!r}" for k, v in self.param_groups[0].items() if k != "params")
        return f"{type(self).__name__}({', '.join(options)})"


class SGD(Optimizer):
    """Gradient descent: x -= lr * g, or with momentum b = momentum * b + (1 - dampening) * g, then x -= lr * b.

    The first b is g; `nesterov` takes g + momentum * b in place of b (Sutskever et al. 2013, "On the importance of
    initialization and momentum in deep learning"). `weight_decay` adds weight_decay * x to g.

    >>> x = Value(1.0)
    >>> optimizer = SGD([x], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (x * x).backward()
    ...     optimizer.step()
    >>> f"{x.data:.2f}"
    '0.46'
    """

    _remembers: ClassVar[dict[str, str] | None] = {"momentum_buffer": "numbers"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def _check(self, options: Options) -> None:
        super()._check(options)
        if options["nesterov"] and not (options["momentum"] > 0 and options["dampening"] == 0):
            raise ValueError("Nesterov momentum needs a momentum above 0 and no dampening")

    def _updated(self, group: Options, state: dict[str, Any], xs: Floats, gs: Floats) -> Floats:
        gs, momentum = _decayed(group, xs, gs), group["momentum"]
        if momentum:
            rate = 1 - group["dampening"]
            old = state.get("momentum_buffer")
            new = [momentum * b + rate * g for b, g in zip(old, gs, strict=True)] if old else gs
            state["momentum_buffer"] = new
            gs = [g + momentum * b for g, b in zip(gs, new, strict=True)] if group["nesterov"] else new
        return [x - group["lr"] * g for x, g in zip(xs, gs, strict=True)]


class Adagrad(Optimizer):
    """x -= lr * g / (sqrt(s) + eps), where s is the sum of all g**2 so far (Duchi, Hazan, Singer 2011, "Adaptive
    subgradient methods for online learning and stochastic optimization").

    s begins at `initial_accumulator_value`; in step t, lr is divided by 1 + (t - 1) * lr_decay; `weight_decay` adds
    weight_decay * x to g.

    >>> x = Value(1.0)
    >>> x.grad = 3.0
    >>> Adagrad([x], lr=0.25).step()
    >>> f"{x.data:.6f}"
    '0.750000'
    """

    _remembers: ClassVar[dict[str, str] | None] = {"step": "count", "sum": "squares"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def _updated(self, group: Options, state: dict[str, Any], xs: Floats, gs: Floats) -> Floats:
        gs = _decayed(group, xs, gs)
        before = state.get("sum") or [float(group["initial_accumulator_value"])] * len(xs)
        lr = group["lr"] / (1 + state.get("step", 0) * group["lr_decay"])
        state["step"] = state.get("step", 0) + 1
        state["sum"] = sums = [s + g * g for s, g in zip(before, gs, strict=True)]
        return [x - lr * g / (sqrt(s) + group["eps"]) for x, g, s in zip(xs, gs, sums, strict=True)]


class RMSprop(Optimizer):
    """x -= lr * g / (sqrt(v) + eps), where v = alpha * v + (1 - alpha) * g**2, from 0 (Hinton 2012, "Neural networks
    for machine learning", lecture 6e).

    `centered` takes v less the square of the mean of g, formed likewise (Graves 2013, "Generating sequences with
    recurrent neural networks"). With `momentum` the steps are those of b = momentum * b + g / (sqrt(v) + eps), from 0.
    `weight_decay` adds weight_decay * x to g.

    >>> x = Value(1.0)
    >>> x.grad = 3.0
    >>> RMSprop([x], lr=0.1, alpha=0.75).step()
    >>> f"{x.data:.6f}"
    '0.800000'
    """

    _remembers: ClassVar[dict[str, str] | None] = {
        "square_avg": "squares",
        "grad_avg": "numbers",
        "momentum_buffer": "numbers",
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def _check(self, options: Options) -> None:
        super()._check(options)
        if not options["alpha"] <= 1.0:
            raise ValueError(f"alpha, the share that is kept, must be at most 1, not {options['alpha']!r}")

    def _updated(self, group: Options, state: dict[str, Any], xs: Floats, gs: Floats) -> Floats:
        gs = _decayed(group, xs, gs)
        variances = _moving(state, "square_avg", group["alpha"], [g * g for g in gs])
        if group["centered"]:
            means = _moving(state, "grad_avg", group["alpha"], gs)
            variances = [max(v - m * m, 0.0) for v, m in zip(variances, means, strict=True)]  # not -1e-20 by rounding
        steps = [g / (sqrt(v) + group["eps"]) for g, v in zip(gs, variances, strict=True)]
        if group["momentum"]:
            before = state.get("momentum_buffer") or [0.0] * len(xs)
            steps = [group["momentum"] * b + s for b, s in zip(before, steps, strict=True)]
            state["momentum_buffer"] = steps
        return [x - group["lr"] * s for x, s in zip(xs, steps, strict=True)]


class Adam(Optimizer):
    """x -= lr * m / (sqrt(v) + eps), where m is the moving average of g and v that of g**2, both corrected for their
    start from 0: divided by 1 - beta**t in step t (Kingma, Ba 2015, "Adam: a method for stochastic optimization").

    `betas`: how much of m, and of v, each step keeps. `weight_decay` adds weight_decay * x to g, or, if
    `decoupled_weight_decay`, takes lr * weight_decay * x from x as AdamW does. `amsgrad` divides by the largest v so
    far (Reddi, Kale, Kumar 2018, "On the convergence of Adam and beyond").

    >>> x = Value(1.0)
    >>> x.grad = 3.0
    >>> Adam([x], lr=0.25).step()
    >>> f"{x.data:.6f}"
    '0.750000'
    """

    _remembers: ClassVar[dict[str, str] | None] = {
        "step": "count",
        "exp_avg": "numbers",
        "exp_avg_sq": "squares",
        "max_exp_avg_sq": "squares",
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def _check(self, options: Options) -> None:
        super()._check(options)
        if len(options["betas"]) != 2:
            raise ValueError(f"betas are two numbers, not {options['betas']!r}")

    def _updated(self, group: Options, state: dict[str, Any], xs: Floats, gs: Floats) -> Floats:
        (beta1, beta2), lr = group["betas"], group["lr"]
        if group["decoupled_weight_decay"]:
            xs = [x * (1 - lr * group["weight_decay"]) for x in xs]
        else:
            gs = _decayed(group, xs, gs)
        state["step"] = t = state.get("step", 0) + 1
        means = _moving(state, "exp_avg", beta1, gs)
        squares = _moving(state, "exp_avg_sq", beta2, [g * g for g in gs])
        if group["amsgrad"]:
            squares = [max(v, w) for v, w in zip(squares, state.get("max_exp_avg_sq", squares), strict=True)]
            state["max_exp_avg_sq"] = squares
        rate, scale = lr / (1 - beta1**t), sqrt(1 - beta2**t)
        return [x - rate * m / (sqrt(v) / scale + group["eps"]) for x, m, v in zip(xs, means, squares, strict=True)]


class AdamW(Adam):
    """Adam whose weight decay is no part of the gradient: x is first multiplied by 1 - lr * weight_decay (Loshchilov,
    Hutter 2019, "Decoupled weight decay regularization").

    >>> x = Value(1.0)
    >>> AdamW([x], lr=0.5, weight_decay=0.5).step()
    >>> x.data
    0.75
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


def _parameters(params: Any) -> list[Value]:
    """The Values in nested sequences, or TypeError."""
    values = list(leaves([params] if isinstance(params, Value) else list(params)))
    for p in values:
        if not isinstance(p, Value):
            raise TypeError(f"a parameter is a Value, not {type(p).__name__}")
    return values


def _decayed(group: Options, xs: Floats, gs: Floats) -> Floats:
    decay = group["weight_decay"]
    return [g + decay * x for x, g in zip(xs, gs, strict=True)] if decay else gs


def _moving(state: dict[str, Any], name: str, keep: float, numbers: Floats) -> Floats:
    """The moving averages `name`, from 0, of which `keep` is kept and the rest taken from the numbers."""
    before = state.get(name) or [0.0] * len(numbers)
    state[name] = [keep * a + (1 - keep) * x for a, x in zip(before, numbers, strict=True)]
    averages: Floats = state[name]
    return averages


# ---- schedules ----


class LRScheduler:
    """What sets the learning rates of an optimiser, from what they were when it was made, once each `step()`.

    A subclass says in `_lr` what the rate is in the epoch `last_epoch`, which is 0 at first. A rate is computed from
    the first one; PyTorch's from the one before. So two schedules on one optimiser do not multiply here: the last wins.
    """

    _numbers: tuple[str, ...] = ()  # what it has of numbers besides its rates and its epoch

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule is for an Optimizer, not for {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.base_lrs: list[float] = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch: int = 0
        self._check()
        self._set()

    def step(self) -> None:
        """Begin the next epoch."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> Floats:
        """The learning rate of each group of parameters."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All numbers of the schedule; functions and the optimiser are not among them."""
        return copy.deepcopy({k: x for k, x in vars(self).items() if k not in ("optimizer", "lr_lambdas")})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict` of the same class. The rates themselves are in the optimiser's.

        It may come from a file that somebody else has made: a ValueError names what does not fit, and nothing has
        changed then."""
        if need_dict(state_dict, "the state_dict").keys() != self.state_dict().keys():
            names = ", ".join([clean(name) for name in state_dict])
            raise ValueError(f"the state_dict is not of {type(self).__name__}: it has {clean(names, 300)}")
        need_count(state_dict["last_epoch"], "last_epoch")
        for k, rate in enumerate(need_list(state_dict["base_lrs"], "base_lrs")):
            need_number(rate, f"base_lrs[{k}]")
        for name in self._numbers:
            need_number(state_dict[name], name)
        try:
            state = copy.deepcopy(state_dict)
            trial = copy.copy(self)
            vars(trial).update(state)
            trial._check()
            rates = [trial._lr(base, k) for k, base in enumerate(trial.base_lrs)]
        except Exception as error:  # of a subclass, or of a function of LambdaLR's
            raise ValueError(f"the state_dict is none of {type(self).__name__}: {error}") from error
        for k, rate in enumerate(rates):
            need_number(rate, f"the rate {k} in epoch {trial.last_epoch}")
        vars(self).update(state)

    def _check(self) -> None:
        """A ValueError unless the attributes fit one another and are in range."""
        if len(self.base_lrs) != len(self.optimizer.param_groups):
            raise ValueError(f"base_lrs has {len(self.base_lrs)} rates for {len(self.optimizer.param_groups)} groups")

    def _set(self) -> None:
        for k, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            group["lr"] = self._lr(base, k)

    def _lr(self, base: float, k: int) -> float:
        """The rate of group number k, which was `base` at first."""
        raise NotImplementedError


class StepLR(LRScheduler):
    """The rate times gamma every step_size epochs.

    >>> schedule = StepLR(SGD([Value(0.0)], lr=0.5), step_size=2)
    >>> for _ in range(3):
    ...     print(schedule.get_last_lr())
    ...     schedule.step()
    [0.5]
    [0.5]
    [0.05]
    """

    _numbers = ("step_size", "gamma")

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size: int = step_size
        self.gamma: float = gamma
        super().__init__(optimizer)

    def _check(self) -> None:
        super()._check()
        if not self.step_size >= 1:
            raise ValueError(f"step_size must be at least 1, not {self.step_size!r}")

    def _lr(self, base: float, k: int) -> float:
        return base * _power(self.gamma, self.last_epoch // self.step_size)


class ExponentialLR(LRScheduler):
    """The rate times gamma every epoch.

    >>> schedule = ExponentialLR(SGD([Value(0.0)], lr=0.5), gamma=0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    _numbers = ("gamma",)

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def _lr(self, base: float, k: int) -> float:
        return base * _power(self.gamma, self.last_epoch)


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the rate down to eta_min in T_max epochs, and up again in the next T_max (Loshchilov, Hutter
    2017, "SGDR: stochastic gradient descent with warm restarts", without the restarts).

    >>> schedule = CosineAnnealingLR(SGD([Value(0.0)], lr=0.5), T_max=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    _numbers = ("T_max", "eta_min")

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max: int = T_max
        self.eta_min: float = eta_min
        super().__init__(optimizer)

    def _check(self) -> None:
        super()._check()
        if not self.T_max >= 1:
            raise ValueError(f"T_max must be at least 1, not {self.T_max!r}")

    def _lr(self, base: float, k: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


class LambdaLR(LRScheduler):
    """The rate times lr_lambda(epoch); a list has one function for each group of parameters.

    >>> schedule = LambdaLR(SGD([Value(0.0)], lr=0.5), lambda epoch: 1 / (1 + epoch))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | list[Callable[[int], float]]) -> None:
        groups = len(optimizer.param_groups) if isinstance(optimizer, Optimizer) else 0
        self.lr_lambdas: list[Callable[[int], float]] = (
            lr_lambda if isinstance(lr_lambda, list) else [lr_lambda] * groups
        )
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"{len(self.lr_lambdas)} functions for {groups} groups of parameters")
        super().__init__(optimizer)

    def _lr(self, base: float, k: int) -> float:
        return float(base * self.lr_lambdas[k](self.last_epoch))


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` where a metric, such as the loss on validation data, has not become better for more than
    `patience` epochs.

    Better is less (mode "min") or more ("max") than the best so far by `threshold`, as a part of it (threshold_mode
    "rel") or as it is ("abs"). After a reduction `cooldown` epochs do not count; the rate does not go below `min_lr`,
    and a change of `eps` or less is not made. A metric that is nan is not better.

    >>> schedule = ReduceLROnPlateau(SGD([Value(0.0)], lr=0.5), patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.05]
    """

    _numbers = ("factor", "patience", "threshold", "cooldown", "min_lr", "eps", "num_bad_epochs", "cooldown_counter")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.mode: str = mode
        self.factor: float = factor
        self.patience: int = patience
        self.threshold: float = threshold
        self.threshold_mode: str = threshold_mode
        self.cooldown: int = cooldown
        self.min_lr: float = min_lr
        self.eps: float = eps
        self.best: float = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs: int = 0
        self.cooldown_counter: int = 0
        super().__init__(optimizer)

    def _check(self) -> None:
        super()._check()
        if not self.factor < 1.0:
            raise ValueError(f"factor must be below 1, not {self.factor!r}")
        if self.mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {self.mode!r}")
        if self.threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode must be 'rel' or 'abs', not {self.threshold_mode!r}")
        if self.best not in (math.inf, -math.inf):
            need_number(self.best, "best")

    def step(self, metrics: float | Value) -> None:  # type: ignore[override]
        """Take the metric of the epoch that has ended, and begin the next."""
        metric = float(metrics.data if isinstance(metrics, Value) else metrics)
        self.last_epoch += 1
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown
            for group in self.optimizer.param_groups:
                lr = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        bar = (
            self.best * (1 + sign * self.threshold)
            if self.threshold_mode == "rel"
            else self.best + sign * self.threshold
        )
        return metric > bar if self.mode == "max" else metric < bar

    def _lr(self, base: float, k: int) -> float:
        return base


def _power(x: float, n: float) -> float:
    """x**n, infinite where that is too large."""
    try:
        return float(float(x) ** n)  # of an int it could take for ever
    except OverflowError:
        return math.inf


# ---- clipping ----


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """The norm of all gradients together, which are scaled down to the norm `max_norm` where it is larger.

    norm_type: the p of the p-norm, above 0; math.inf for the largest. As PyTorch does it, what is divided by is the
    norm plus 1e-6. RuntimeError if `error_if_nonfinite` and the norm is nan or infinite, before anything has changed.

    >>> x, y = Value(0.0), Value(0.0)
    >>> x.grad, y.grad = 3.0, 4.0
    >>> clip_grad_norm_([x, y], max_norm=1.0)
    5.0
    >>> f"{x.grad:.3f} {y.grad:.3f}"
    '0.600 0.800'
    """
    if not norm_type > 0 or not max_norm >= 0:
        raise ValueError(f"norm_type must be above 0 and max_norm at least 0, not {norm_type!r} and {max_norm!r}")
    params = _parameters(parameters)
    norm = _norm([float(p.grad) for p in params], norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"the norm of the gradients is {norm}, so they cannot be clipped by it")
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1.0:  # nan comes here too
        for p in params:
            p.grad *= scale
    return norm


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Set every gradient below -clip_value to that, and every one above clip_value to that.

    >>> x = Value(0.0)
    >>> x.grad = 3.0
    >>> clip_grad_value_([x], 0.5)
    >>> x.grad
    0.5
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_value must be at least 0, not {clip_value!r}")
    for p in _parameters(parameters):
        p.grad = min(max(p.grad, -clip_value), clip_value)


def _norm(gs: Floats, p: float) -> float:
    if p == 2:
        return math.hypot(*gs)
    if any(g != g for g in gs):
        return math.nan
    largest = max(map(abs, gs), default=0.0)
    if p == math.inf or largest in (0.0, math.inf):
        return largest
    return float(largest * sum((abs(g) / largest) ** p for g in gs) ** (1 / p))  # scaled: no power overflows
