"""Function transformations: derivatives of ordinary Python functions, recorded once and replayed.

Each takes a function and gives one. The first call runs the function on Values and records what it does; later calls
replay that as a program, without Python. Arguments are numbers, numpy arrays of any shape, or lists, tuples and dicts
of them, nested as one likes; a derivative comes back in the same nesting. Everything else, and a bare int or bool that
is not differentiated by, is a setting: it is handed to the function as it is, and another one means another recording.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import structure
from tapegrad.batch import VMap, run_job
from tapegrad.program import Job
from tapegrad.programs import MAX_BYTES
from tapegrad.recorded import MAX_PROGRAMS, Recorded
from tapegrad.recording import current
from tapegrad.structure import NUMBER, blocks, map_spec, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapegrad.graph import Graph
    from tapegrad.programs import Entry
    from tapegrad.structure import Spec

    Nodes = list[int]

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "record", "value_and_grad", "vjp"]

UNROLLED = 200_000  # nodes up to which a Jacobian is written out as one program


class Derivative(Recorded):
    """A derivative by some of the positional arguments."""

    def __init__(self, f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any):
        super().__init__(f, **options)
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        if not numbers or not all(isinstance(k, int) for k in numbers):
            raise TypeError(f"argnums must be an int or a sequence of ints, not {argnums!r}")
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"argnums names an argument twice: {argnums!r}")
        self.argnums: int | tuple[int, ...] = argnums if isinstance(argnums, int) else numbers
        self.numbers = numbers
        self.has_aux = has_aux

    def state(self) -> dict[str, Any]:
        return {**super().state(), "argnums": self.argnums, "has_aux": self.has_aux}

    def gives_values(self, entry: Entry) -> bool:
        return False

    def is_input(self, position: int, count: int) -> bool:
        return position in self.numbers or position - count in self.numbers

    def chosen(self, spec: Spec) -> tuple[list[int], Spec]:
        """Which inputs it is differentiated by, and how their derivatives are nested."""
        specs = spec[1][0][1]
        starts = np.cumsum([0, *[size(s) for s in specs]]).tolist()
        picked: list[int] = []
        nested: list[Spec] = []
        for k in self.numbers:
            if not -len(specs) <= k < len(specs):
                raise TypeError(f"argnums names argument {k}, but the function was called with {len(specs)}")
            k %= len(specs)
            if size(specs[k]) == 0 and specs[k][0] == "setting":
                raise TypeError(f"argument {k} is no number and nothing can be differentiated by it: {specs[k][1].x!r}")
            picked += range(starts[k], starts[k + 1])
            nested.append(specs[k])
        return picked, nested[0] if isinstance(self.argnums, int) else ("tuple", tuple(nested), tuple)

    def split(self, nodes: list[int], out: Spec) -> tuple[list[int], Spec, list[int], Spec]:
        """The value and what comes with it, where the function returns (value, aux)."""
        if not self.has_aux:
            return nodes, out, [], ("tuple", (), tuple)
        if out[0] != "tuple" or len(out[1]) != 2:
            raise TypeError("with has_aux the function must return a pair (value, aux)")
        value, aux = out[1]
        n = size(value)
        return nodes[:n], value, nodes[n:], aux

    def scalar(self, nodes: list[int], out: Spec) -> int:
        if out[0] not in ("number", "int", "bool") and out[:2] != ("array", ()):
            raise TypeError(
                f"{self.what} differentiates functions that return one number; this one returned {described(out)}. "
                "Use jacobian, or return (value, aux) and say has_aux=True"
            )
        return nodes[0]


def described(spec: Spec) -> str:
    if spec[0] == "array":
        return f"an array of shape {spec[1]}"
    return repr(spec[1].x) if spec[0] == "setting" else f"a {spec[0]}"


class Gradient(Derivative):
    """tapegrad.grad"""

    what = "grad"
    with_value = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self.f, VMap) and current() is None:
            return self.f.differentiated(self, args, kwargs)
        return super().__call__(*args, **kwargs)

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        value, value_spec, aux, aux_spec = self.split(nodes, out)
        picked, nested = self.chosen(spec)
        grads = graph.reverse([self.scalar(value, value_spec)], [graph.new_number(1.0)], [inputs[k] for k in picked])
        if self.with_value:
            first = ("tuple", (value_spec, aux_spec), tuple) if self.has_aux else value_spec
            return value + aux + grads, ("tuple", (first, nested), tuple)
        if self.has_aux:
            return grads + aux, ("tuple", (nested, aux_spec), tuple)
        return grads, nested


class ValueAndGradient(Gradient):
    """tapegrad.value_and_grad"""

    what = "value_and_grad"
    with_value = True


def product(out: Spec, nested: Spec) -> Spec:
    """How the derivatives of numbers nested like `out` by numbers nested like `nested` are nested."""

    def outer(shape: tuple[int, ...] | None) -> Spec:
        def inner(by: tuple[int, ...] | None) -> Spec:
            if shape is None:
                return NUMBER if by is None else ("array", by)
            return ("array", shape if by is None else (*shape, *by))

        return map_spec(nested, inner)

    return map_spec(out, outer)


def order(out: Spec, nested: Spec) -> list[tuple[int, int]]:
    """The (row, column) of the Jacobian in the order in which `product(out, nested)` has them."""
    rows, columns = blocks(out), blocks(nested)
    return [(r, c) for row in rows for column in columns for r in row for c in column]


class Jacobian(Derivative):
    """tapegrad.jacobian"""

    what = "jacobian"

    def __init__(
        self, f: Callable[..., Any], argnums: Any = 0, has_aux: bool = False, mode: str | None = None, **options: Any
    ):
        super().__init__(f, argnums, has_aux, **options)
        if mode not in (None, "forward", "reverse"):
            raise ValueError(f"mode must be 'forward', 'reverse' or None, not {mode!r}")
        self.mode = mode
        self.whole: Whole = Whole(self)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "mode": self.mode}

    def base(self, graph: Graph, nodes: list[int], out: Spec, by: list[int], nested: Spec) -> tuple[list[int], Spec]:
        """What is differentiated."""
        return nodes, out

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        value, value_spec, aux, aux_spec = self.split(nodes, out)
        picked, nested = self.chosen(spec)
        by = [inputs[k] for k in picked]
        value, value_spec = self.base(graph, value, value_spec, by, nested)
        one = graph.new_number(1.0)
        if self.is_forward(by, value):
            columns = [graph.forward([node], [one], value) for node in by]
            made = [columns[c][r] for r, c in order(value_spec, nested)]
        else:
            rows = [graph.reverse([node], [one], by) for node in value]
            made = [rows[r][c] for r, c in order(value_spec, nested)]
        made_spec = product(value_spec, nested)
        if self.has_aux:
            return made + aux, ("tuple", (made_spec, aux_spec), tuple)
        return made, made_spec

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current() is None and not self.has_aux:
            family, x, values = self.whole.prepare(args, kwargs)
            picked, by = self.chosen(family.spec)
            if not values and self.is_large(family.last or family.add(x), picked):
                entry, _ = family.at(x, lambda entry: entry.program)
                forward = self.is_forward(picked, entry.nodes)
                direction = self.whole.forward if forward else self.whole.backward
                count = len(picked) if forward else len(entry.nodes)
                jacobian = direction.in_lanes((*args, np.zeros(count)), kwargs, count)
                return laid_out(jacobian.T if forward else jacobian, entry.spec, by)
        return super().__call__(*args, **kwargs)

    def is_forward(self, by: list[int], nodes: list[int]) -> bool:
        return self.mode == "forward" or (self.mode is None and len(by) < len(nodes))

    def is_large(self, entry: Entry, picked: list[int]) -> bool:
        """Whether a sweep for each direction is too much to be written out as one program."""
        count = len(picked) if self.is_forward(picked, entry.nodes) else len(entry.nodes)
        return count * entry.program.operations > UNROLLED


def laid_out(jacobian: Any, out: Spec, by: Spec) -> Any:
    """The matrix, nested as `product(out, by)`; its numbers come in the order of `order`."""
    parts = [jacobian[r.start : r.stop, c.start : c.stop].ravel() for r in blocks(out) for c in blocks(by)]
    return structure.nested(product(out, by), np.concatenate(parts))


class Whole(Recorded):
    """What a Jacobian is the derivative of; and, for large ones, its products with vectors, many in lanes."""

    def __init__(self, of: Jacobian) -> None:
        super().__init__(of.f, of.max_programs, max_bytes=of.max_bytes)
        self.of = of
        self.forward: Product = Product(of, True)
        self.backward: Product = Product(of, False)

    def is_input(self, position: int, count: int) -> bool:
        return self.of.is_input(position, count)

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        picked, nested = self.of.chosen(spec)
        return self.of.base(graph, nodes, out, [inputs[k] for k in picked], nested)


class Product(Recorded):
    """The product of a Jacobian with the vector that is the last argument."""

    def __init__(self, of: Jacobian, from_right: bool) -> None:
        super().__init__(of.f, of.max_programs, max_bytes=of.max_bytes)
        self.of: Jacobian = of
        self.from_right: bool = from_right

    def is_input(self, position: int, count: int) -> bool:
        return self.of.is_input(position, count - 1)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.f(*args[:-1], **kwargs)

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        args, kwargs = spec[1]
        before = sum([size(s) for s in args[1][:-1]])
        vector = inputs[before : before + size(args[1][-1])]
        picked, nested = self.of.chosen(("tuple", (("tuple", args[1][:-1], tuple), kwargs), tuple))
        by = [inputs[k] for k in picked]
        nodes, out = self.of.base(graph, nodes, out, by, nested)
        made = graph.forward(by, vector, nodes) if self.from_right else graph.reverse(nodes, vector, by)
        return made, ("array", (len(made),))

    def in_lanes(self, args: Any, kwargs: Any, count: int) -> Any:
        """The products with all `count` unit vectors, a row each."""
        family, x, _ = self.prepare(args, kwargs)
        entry, _ = family.at(x, lambda entry: entry.program)
        after = size(family.spec[1][1])
        wide = bytearray(entry.program.inputs)
        start = len(x) - after - count
        wide[start : start + count] = b"\1" * count
        unit = np.eye(count)
        out = np.empty((count, len(entry.nodes)))
        lanes = entry.laid_out(entry.program, bytes(wide), False, True)
        columns = [unit[k - start] for k in lanes.wide]
        run_job(Job(lanes, columns, entry.numbers(x), count, None, list(out.T)))
        return out


class Hessian(Jacobian):
    """tapegrad.hessian"""

    what = "hessian"

    def base(self, graph: Graph, nodes: list[int], out: Spec, by: list[int], nested: Spec) -> tuple[list[int], Spec]:
        return graph.reverse([self.scalar(nodes, out)], [graph.new_number(1.0)], by), nested


class OfPrimals(Recorded):
    """A product with the Jacobian at the primals, of (primals, vector)."""

    def call(self, primals: Any, vector: Any) -> Any:
        return self.f(*primals)

    def is_input(self, position: int, count: int) -> bool:
        return True


class Pushforward(OfPrimals):
    """Of (primals, tangents): the function's result at the primals and its derivative along the tangents."""

    what = "jvp"

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        primals, tangents = spec[1][0][1]
        n = size(primals)
        if primals != tangents:
            raise TypeError("tangents must be nested as primals are, with arrays of the same shapes")
        return nodes + graph.forward(inputs[:n], inputs[n : 2 * n], nodes), ("tuple", (out, out), tuple)


class Pullback(OfPrimals):
    """Of (primals, cotangents): the product of the cotangents with the Jacobian at the primals."""

    what = "vjp"

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        primals, cotangents = spec[1][0][1]
        n = size(primals)
        if blocks(cotangents) != blocks(out):
            raise TypeError("cotangents must be nested as the function's result is, with arrays of the same shapes")
        return graph.reverse(nodes, inputs[n : n + len(nodes)], inputs[:n]), primals


class HessianProduct(Derivative):
    """Of (x, v, ...): the Hessian by x times v."""

    what = "hvp"

    def call(self, x: Any, v: Any, *rest: Any, **kwargs: Any) -> Any:
        return self.f(x, *rest, **kwargs)

    def is_input(self, position: int, count: int) -> bool:
        return position < 2

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        x, v = spec[1][0][1][:2]
        n = size(x)
        if blocks(x) != blocks(v):
            raise TypeError(f"v must be nested as x is: {n} numbers, not {size(v)}")
        grads = graph.reverse([self.scalar(nodes, out)], [graph.new_number(1.0)], inputs[:n])
        return graph.forward(inputs[:n], inputs[n : 2 * n], grads), x


# ---- what users call ----


def record(
    f: Callable[..., Any],
    *,
    max_programs: int = MAX_PROGRAMS,
    check_finite: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Recorded:
    """f, recorded when it is first called and replayed from then on: the same numbers, without Python.

    max_programs  how many programs are kept, one for each way through the function's branches
    check_finite  raise a FloatingPointError that names the operation and its line where a result is nan or inf
    max_bytes     about how much memory the programs may take; those not used for longest are forgotten

    Where a number, string or tuple of them changes that the function reads from a closure, a global or an attribute, it
    is recorded anew. A change inside a list, dict or array that it reads is not noticed: make that an argument, or say
    f.clear().

    >>> f = record(lambda x, y: x * y + x.sin())
    >>> f(0.0, 2.0), f(2.0, 3.0)
    (0.0, 6.909297426825682)
    >>> print(f.program(0.0, 2.0))
    <Program: 2 inputs, 1 outputs, 2 operations (recorded: 3)>
      t2 = sin(x0)
      t3 = t2 + x0 * x1
      return t3
    """
    return Recorded(f, max_programs=max_programs, check_finite=check_finite, max_bytes=max_bytes)


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any) -> Gradient:
    """The gradient of f, which returns one number, by the arguments that `argnums` names; (gradient, aux) where f
    returns (number, aux) and `has_aux` says so. Options are those of `record`, and so is what is noticed of changes of
    what f reads from elsewhere.

    >>> grad(lambda x: x**3)(2.0)
    12.0
    >>> grad(lambda x, y: x[0] * y["b"] + x[1], argnums=(0, 1))([2.0, 3.0], {"b": 4.0})
    ([4.0, 1.0], {'b': 2.0})
    """
    return Gradient(f, argnums, has_aux, **options)


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any
) -> ValueAndGradient:
    """The value of f and its gradient, computed together; ((value, aux), gradient) with `has_aux`. See `grad`.

    >>> value_and_grad(lambda x: x.exp() * 2.0)(0.0)
    (2.0, 2.0)
    """
    return ValueAndGradient(f, argnums, has_aux, **options)


def jacobian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    mode: str | None = None,
    **options: Any,
) -> Jacobian:
    """The derivative of every number that f returns by every number of the arguments named: for an array of shape s by
    one of shape t an array of shape s + t. `mode` is "reverse" (a sweep for each result), "forward" (a sweep for each
    argument) or None for what takes fewer sweeps.

    >>> jacobian(lambda x: [x[0] * x[1], x[1] ** 2])([2.0, 3.0])
    [[3.0, 2.0], [0.0, 6.0]]
    """
    return Jacobian(f, argnums, has_aux, mode, **options)


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0, **options: Any) -> Hessian:
    """The second derivatives of f, which returns one number: the Jacobian of its gradient, forward over reverse.

    >>> hessian(lambda x: x[0] ** 2 * x[1])([2.0, 3.0])
    [[6.0, 4.0], [4.0, 0.0]]
    """
    return Hessian(f, argnums, False, "forward", **options)


def hvp(f: Callable[..., Any], **options: Any) -> HessianProduct:
    """The function (x, v, ...) -> H v, where H is the Hessian of f(x, ...) by x; v is nested as x is. As `hessp` of
    scipy.optimize.minimize wants it. Forward over reverse, in one sweep.

    >>> hvp(lambda x: x[0] ** 2 * x[1])([2.0, 3.0], [1.0, 0.0])
    [6.0, 4.0]
    """
    return HessianProduct(f, **options)


@functools.lru_cache(maxsize=64)
def _pushforward(f: Callable[..., Any]) -> Pushforward:
    return Pushforward(f)


@functools.lru_cache(maxsize=64)
def _pullback(f: Callable[..., Any]) -> Pullback:
    return Pullback(f)


@functools.lru_cache(maxsize=64)
def _recorded(f: Callable[..., Any]) -> Recorded:
    return Recorded(f)


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(f(*primals), its derivative along the tangents), in forward mode. Called again with the same f it replays.

    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.5))
    (6.0, 4.0)
    """
    result: tuple[Any, Any] = _pushforward(f)(tuple(primals), tuple(tangents))
    return result


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """(f(*primals), function): the function takes cotangents, nested as the result, to the product with the Jacobian,
    a tuple with an item for each of the primals.

    >>> y, back = vjp(lambda x, y: [x * y, x], 2.0, 3.0)
    >>> y, back([1.0, 10.0])
    ([6.0, 2.0], (13.0, 2.0))
    """
    value = f(*primals) if current() is not None else _recorded(f)(*primals)

    def back(cotangents: Any) -> tuple[Any, ...]:
        result: tuple[Any, ...] = _pullback(f)(primals, cotangents)
        return result

    return value, back
