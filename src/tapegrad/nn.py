"""Networks: `Neuron`, `Layer` and `MLP` as micrograd has them, and layers with the names of `torch.nn`.

micrograd's draw random numbers in micrograd's order, and their graphs are those of micrograd's code to the last node
and bit. PyTorch's take a row of numbers or Values, or nested lists of rows, and give lists. Weighted sums are built in
the compiled core.
"""

from __future__ import annotations

import math
import random
from operator import index

from tapegrad._arrays import each, flat, is_sequence, leaves, rows
from tapegrad.engine import Value, dot
from tapegrad.functions import leaky_relu, maximum, relu, sigmoid, softmax, tanh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = [
    "MLP",
    "Layer",
    "LeakyReLU",
    "Linear",
    "Maxout",
    "Module",
    "Neuron",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "calculate_gain",
]


class Module:
    """What has parameters: the Values among its attributes, and in lists, tuples, dicts and Modules among them.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.intercept = Value(2.0), Value(1.0)
    >>> line = Line()
    >>> line.state_dict()
    {'slope': 2.0, 'intercept': 1.0}
    >>> line.load_state_dict({"slope": 3.0, "intercept": 0.0})
    >>> line.parameters()
    [Value(data=3.0, grad=0), Value(data=0.0, grad=0)]
    """

    def zero_grad(self) -> None:
        """Set the grad of every parameter to 0."""
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Value]:
        """The parameters, each once, in a list of its own."""
        return list(dict.fromkeys(p for _, array in self.named_parameters() for p in leaves(array)))

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Names as PyTorch makes them, "layers.0.weight", each with its Value or nested lists of Values."""
        return _named(prefix, vars(self))

    def state_dict(self) -> dict[str, Any]:
        """The numbers of the parameters by name, in nested lists: what JSON or pickle can keep."""
        return {name: each(lambda p: p.data, array) for name, array in self._arrays().items()}

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Set the parameters to the numbers of a `state_dict`: one of ours, or one of PyTorch's, tensors and all.

        ValueError, with a list of what does not fit, for missing and unexpected names and for wrong shapes; TypeError
        for what is no number. Then nothing has changed. If `strict` is false, names may be missing or unexpected.
        """
        if not hasattr(state_dict, "items"):
            raise TypeError(f"a state_dict is a dict of numbers by name, not {type(state_dict).__name__}")
        arrays = self._arrays()
        problems: list[str] = []
        changes: list[tuple[Value, Any]] = []
        for kind, names in (("Missing", arrays.keys() - state_dict), ("Unexpected", state_dict.keys() - arrays)):
            if strict and names:
                problems.append(f"{kind} key(s) in state_dict: {', '.join(repr(name) for name in sorted(names))}")
        for name, array in arrays.items():
            if name in state_dict:
                (values, shape), (numbers, given) = flat(array), flat(state_dict[name])
                if shape != given:
                    problems.append(f"size mismatch for {name!r}: {given} in state_dict, {shape} in the model")
                changes += [(p, Value(x).data) for p, x in zip(values, numbers, strict=False)]
        if problems:
            raise ValueError("\n    ".join([f"cannot load the state_dict into {type(self).__name__}:", *problems]))
        for p, x in changes:
            p.data = x

    def _arrays(self) -> dict[str, Any]:
        arrays = dict(self.named_parameters())
        unnamed = set(self.parameters()) - set(leaves(list(arrays.values())))
        if unnamed:
            raise ValueError(
                f"{len(unnamed)} parameters have no name: no attribute of {type(self).__name__} leads to them"
            )
        return arrays


def _named(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """The arrays of Values in x, with names that begin with `name`."""
    if isinstance(x, Module):
        yield from x.named_parameters(name)
    elif _is_array(x):
        yield name, x
    elif isinstance(x, (dict, list, tuple)):
        for key, y in x.items() if isinstance(x, dict) else enumerate(x):
            yield from _named(f"{name}.{key}" if name else str(key), y)


def _is_array(x: Any) -> bool:
    """Whether x is a Value or a proper array of Values."""
    try:
        numbers, _ = flat(x)
    except (TypeError, ValueError):
        return False
    return bool(numbers) and all(isinstance(y, Value) for y in numbers)


# ---- as micrograd has them ----


class Neuron(Module):
    """nin inputs, their weighted sum plus a bias, then ReLU unless `nonlin` is false.

    >>> random.seed(0)
    >>> n = Neuron(2)
    >>> n, n([1.0, -2.0]), len(n.parameters())
    (ReLUNeuron(2), Value(data=0, grad=0), 3)
    """

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w: list[Value] = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b: Value = Value(0)
        self.nonlin = nonlin

    def __call__(self, x: Iterable[Any]) -> Value:
        act: Value = dot(self.w, x, self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """nout neurons side by side; one neuron's result comes bare, not in a list. Keywords go to `Neuron`."""

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons: list[Neuron] = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Any) -> Any:
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    """nin inputs and one layer for each number in nouts, ReLU on all but the last.

    >>> MLP(2, [3, 1])
    MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(3)]]
    """

    def __init__(self, nin: int, nouts: list[int]) -> None:
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        self.layers: list[Layer] = [Layer(sizes[i], sizes[i + 1], nonlin=i != last) for i in range(len(nouts))]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


# ---- as PyTorch has them ----


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must be larger where `nonlinearity` follows, so that signals keep their size; as PyTorch's.

    `param` is the negative slope of leaky_relu. ValueError for an unknown name.

    >>> calculate_gain("relu"), calculate_gain("tanh")
    (1.4142135623730951, 1.6666666666666667)
    """
    slope = 0.01 if param is None else param
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 3 / 4}
    gains["leaky_relu"] = math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {', '.join(sorted(gains))}, not {nonlinearity!r}")
    return gains[nonlinearity]


def _draw(init: str, gain: float | None, fan_in: int, fan_out: int, rng: Any) -> Iterator[float]:
    """Random weights without end, of standard deviation gain / sqrt(fan); fan is what the name `init` says it is."""
    family, _, distribution = init.partition("_")
    fan, usual_gain = (fan_in + fan_out) / 2, 1.0
    if family in ("kaiming", "he"):
        fan, usual_gain = float(fan_in), math.sqrt(2.0)
    if family not in ("xavier", "glorot", "kaiming", "he") or distribution not in ("uniform", "normal"):
        raise ValueError(
            f"init must be 'default', 'xavier_uniform', 'xavier_normal', 'kaiming_uniform' or 'kaiming_normal' "
            f"(also: glorot for xavier, he for kaiming), not {init!r}"
        )
    deviation = (usual_gain if gain is None else gain) / math.sqrt(fan)
    bound = math.sqrt(3.0) * deviation
    while True:
        yield rng.gauss(0.0, deviation) if distribution == "normal" else rng.uniform(-bound, bound)


class Linear(Module):
    """Linear(in_features, out_features): the rows x of a batch to x W^T + b, where W is `weight` and b is `bias`.

    Input has shape (..., in_features), output (..., out_features). `weight` is a list of out_features lists of
    in_features Values, `bias` a list of out_features Values, or None if `bias` is false.

    init: how the weights are drawn.
        "default": uniformly between -b and b = 1 / sqrt(in_features), the bias too, as PyTorch does it;
        "xavier_uniform", "xavier_normal": variance gain**2 * 2 / (in_features + out_features), for tanh and sigmoid
            (Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks");
        "kaiming_uniform", "kaiming_normal": variance gain**2 / in_features, for ReLU (He et al. 2015, "Delving deep
            into rectifiers"); "glorot_..." and "he_..." are other names for these. Except by default the bias is 0.
    gain: a number, see `calculate_gain`; where None, 1 for xavier and sqrt(2) for kaiming.
    seed: an int, or a `random.Random` that layers share; where None, Python's `random` as `random.seed` left it.

    ValueError for rows of another length, and for an unknown init.

    >>> layer = Linear(2, 3, init="he_normal", seed=0)
    >>> layer
    Linear(in_features=2, out_features=3, bias=True)
    >>> layer.load_state_dict({"weight": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], "bias": [0.0, 0.0, 0.5]})
    >>> [y.data for y in layer([2.0, 3.0])]
    [2.0, 3.0, 5.5]
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: str = "default",
        gain: float | None = None,
        seed: int | random.Random | None = None,
    ) -> None:
        self.in_features: int = index(in_features)
        self.out_features: int = index(out_features)
        if self.in_features < 1 or self.out_features < 1:
            raise ValueError(f"a layer has at least one input and one output, not {in_features} and {out_features}")
        rng: Any = random if seed is None else seed if isinstance(seed, random.Random) else random.Random(seed)
        by_default = init == "default"
        if by_default:  # PyTorch's words for it are: kaiming_uniform with the gain of a leaky_relu of slope sqrt(5)
            init, gain = "kaiming_uniform", math.sqrt(1 / 3) if gain is None else gain
        numbers = _draw(init, gain, in_features, out_features, rng)
        self.weight: list[list[Value]] = [
            [Value(next(numbers)) for _ in range(in_features)] for _ in range(out_features)
        ]
        self.bias: list[Value] | None = (
            [Value(next(numbers) if by_default else 0.0) for _ in range(out_features)] if bias else None
        )

    def __call__(self, x: Any) -> list[Any]:
        y: list[Any] = rows(self._row, x)
        return y

    def _row(self, x: Any) -> list[Any]:
        if not is_sequence(x):
            raise TypeError(f"{self} takes lists, tuples or arrays of numbers or Values, not {type(x).__name__}")
        if len(x) != self.in_features:
            raise ValueError(f"{self} takes rows of {self.in_features}, not of {len(x)}")
        if self.bias is None:
            return [dot(w, x) for w in self.weight]
        return [dot(w, x, b) for w, b in zip(self.weight, self.bias, strict=True)]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None})"
        )


class Maxout(Linear):
    """Maxout(in_features, out_features, pieces): every output is the largest of `pieces` linear functions of the input.

    Shapes, and keywords, are those of `Linear`; `weight` has out_features * pieces rows, the pieces of an output side
    by side. At a tie each of two equal pieces takes half of the derivative. Goodfellow et al. 2013, "Maxout networks".

    >>> absolute = Maxout(1, 1, pieces=2)
    >>> absolute.load_state_dict({"weight": [[1.0], [-1.0]], "bias": [0.0, 0.0]})
    >>> absolute([Value(-3.0)])
    [Value(data=3.0, grad=0)]
    """

    def __init__(
        self, in_features: int, out_features: int, pieces: int = 2, bias: bool = True, **keywords: Any
    ) -> None:
        self.pieces: int = index(pieces)
        if self.pieces < 1:
            raise ValueError(f"pieces must be at least 1, not {pieces}")
        super().__init__(in_features, out_features * pieces, bias, **keywords)
        self.out_features = out_features

    def _row(self, x: Any) -> list[Any]:
        ys, n = super()._row(x), self.pieces
        return [_largest(ys[k : k + n]) for k in range(0, len(ys), n)]

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, pieces={self.pieces})"


def _largest(ys: list[Any]) -> Any:
    largest = ys[0]
    for y in ys[1:]:
        largest = maximum(largest, y)
    return largest


class ReLU(Module):
    """max(0, x) for every x, in arrays of any shape.

    >>> ReLU()([Value(-1.0), Value(2.0)])
    [Value(data=0, grad=0), Value(data=2.0, grad=0)]
    """

    def __call__(self, x: Any) -> Any:
        return each(relu, x)

    def __repr__(self) -> str:
        return "ReLU()"


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x, in arrays of any shape.

    >>> LeakyReLU(0.1)([Value(-1.0), Value(2.0)])
    [Value(data=-0.1, grad=0), Value(data=2.0, grad=0)]
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def __call__(self, x: Any) -> Any:
        return each(lambda y: leaky_relu(y, self.negative_slope), x)

    def __repr__(self) -> str:
        return f"LeakyReLU(negative_slope={self.negative_slope})"


class Sigmoid(Module):
    """1 / (1 + exp(-x)) for every x, in arrays of any shape.

    >>> Sigmoid()([[Value(0.0)]])
    [[Value(data=0.5, grad=0)]]
    """

    def __call__(self, x: Any) -> Any:
        return each(sigmoid, x)

    def __repr__(self) -> str:
        return "Sigmoid()"


class Tanh(Module):
    """tanh(x) for every x, in arrays of any shape.

    >>> Tanh()([Value(0.0)])
    [Value(data=0.0, grad=0)]
    """

    def __call__(self, x: Any) -> Any:
        return each(tanh, x)

    def __repr__(self) -> str:
        return "Tanh()"


class Softmax(Module):
    """The softmax of every row: PyTorch's Softmax(dim=-1). Losses that take scores do without it.

    >>> Softmax()([Value(1e4), Value(1e4)])
    [Value(data=0.5, grad=0), Value(data=0.5, grad=0)]
    """

    def __call__(self, x: Any) -> Any:
        return rows(softmax, x)

    def __repr__(self) -> str:
        return "Softmax()"


class Sequential(Module):
    """One module after another; they can be counted, taken by index and run through. TypeError for what is no Module.

    >>> model = Sequential(Linear(2, 3, seed=0), Tanh(), Linear(3, 1, seed=1))
    >>> model
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Tanh()
      (2): Linear(in_features=3, out_features=1, bias=True)
    )
    >>> [name for name, _ in model.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"a Sequential is made of Modules, not of {module!r}")
        self.modules = modules

    def __call__(self, x: Any) -> Any:
        for module in self.modules:
            call: Any = module
            x = call(x)
        return x

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        return _named(prefix, self.modules)

    def __len__(self) -> int:
        return len(self.modules)

    def __getitem__(self, k: int) -> Module:
        return self.modules[k]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.modules)

    def __repr__(self) -> str:
        lines = [f"({k}): {module!r}".replace("\n", "\n  ") for k, module in enumerate(self.modules)]
        return "Sequential(" + "".join(f"\n  {line}" for line in lines) + ("\n)" if lines else ")")
