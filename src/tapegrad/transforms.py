"""Function transformations: derivatives of ordinary Python functions, recorded once and replayed.

Each takes a function and gives one. The first call runs the function on Values and records what it does; later calls
replay that as a program, without Python. Arguments are numbers, numpy arrays of any shape, or lists, tuples and dicts
of them, nested as one likes; a derivative comes back in the same nesting. Everything else, and a bare int or bool that
is not differentiated by, is a setting: it is handed to the function as it is, and another one means another recording.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from tapegrad import structure
from tapegrad.batch import VMap, run_job
from tapegrad.graph import Graph
from tapegrad.program import Job, Program
from tapegrad.programs import MAX_BYTES, Entry, Family
from tapegrad.recorded import MAX_PROGRAMS, Recorded
from tapegrad.recording import current
from tapegrad.structure import LEAVES, NUMBER, blocks, flatten, map_spec, nested, numbers_in, size, unflatten
from tapegrad.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapegrad.structure import Spec

    Nodes = list[int]

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "record", "value_and_grad", "vjp"]

UNROLLED = 200_000  # nodes up to which a Jacobian is written out as one program


class Derivative(Recorded):
    """A derivative by some of the positional arguments."""

    def __init__(self, f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any):
        super().__init__(f, **options)
        numbers = numbered(argnums)
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"argnums names an argument twice: {argnums!r}")
        self.argnums: int | tuple[int, ...] = numbers[0] if is_one(argnums) else numbers
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
        return split(self.has_aux, nodes, out)

    def scalar(self, nodes: list[int], out: Spec) -> int:
        if out[0] not in ("number", "int", "bool") and out[:2] != ("array", ()):
            raise TypeError(
                f"{self.what} differentiates functions that return one number; this one returned {described(out)}. "
                "Use jacobian, or return (value, aux) and say has_aux=True"
            )
        return nodes[0]


def split(has_aux: bool, nodes: list[int], out: Spec) -> tuple[list[int], Spec, list[int], Spec]:
    """The value and what comes with it, if the function returns (value, aux): their nodes and specs."""
    if not has_aux:
        return nodes, out, [], ("tuple", (), tuple)
    if out[0] != "tuple" or len(out[1]) != 2:
        raise TypeError("with has_aux the function must return a pair (value, aux)")
    value, aux = out[1]
    n = size(value)
    return nodes[:n], value, nodes[n:], aux


def numbered(argnums: Any) -> tuple[int, ...]:
    """The numbers of arguments, as a user gives them."""
    try:
        numbers = (index(argnums),) if is_one(argnums) else tuple([index(k) for k in argnums])
    except TypeError:
        numbers = ()
    if not numbers:
        raise TypeError(f"argnums must be an int or a sequence of ints, not {argnums!r}")
    return numbers


def is_one(argnums: Any) -> bool:
    """Whether this is one number, an array of no dimension among them."""
    return hasattr(argnums, "__index__") and not getattr(argnums, "shape", ())


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


class Unspread:
    """Marks the spec of a large Jacobian's entry: (what is differentiated, aux)."""


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
        self.is_whole: bool = False  # written out as one program, however large
        self.twin: Jacobian | None = None  # one that is

    def state(self) -> dict[str, Any]:
        return {**super().state(), "mode": self.mode}

    def behind(self) -> list[Recorded]:
        return [*super().behind(), *([] if self.twin is None else [self.twin])]

    def whole(self) -> Jacobian:
        if self.is_whole:
            return self
        if self.twin is None:
            twin = type(self)(**self.state())
            twin.is_whole = True
            self.twin = twin
        return self.twin

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
        if not self.is_whole and current() is None and self.is_large(graph, by, value):
            return value + aux, ("tuple", (value_spec, aux_spec), Unspread)
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
        if current() is not None:
            return super().__call__(*args, **kwargs)
        family, x, values = self.prepare(args, kwargs)
        entry, out = family.at(x, lambda entry: entry.program)
        if is_unspread(entry):
            if values:
                return self.whole()(*args, **kwargs)
            return self.in_lanes(family, entry, x, out)
        if self.check_finite:
            self.check(family, x, out)
        return self.on_tape(family, x, values) if values else nested(entry.spec, out)

    def program(self, *args: Any, **kwargs: Any) -> Program:
        """The program that is replayed at these arguments; of a large Jacobian that of its product with a vector."""
        family, x, _ = self.prepare(args, kwargs)
        entry, _ = family.at(x, lambda entry: entry.program)
        return self.product(family, entry).program if is_unspread(entry) else entry.program

    def is_forward(self, by: list[int], nodes: list[int]) -> bool:
        return self.mode == "forward" or (self.mode is None and len(by) < len(nodes))

    def is_large(self, graph: Graph, by: list[int], nodes: list[int]) -> bool:
        """Whether a sweep for each direction is too much to be written out as one program."""
        count = len(by) if self.is_forward(by, nodes) else len(nodes)
        return count * graph.size > UNROLLED and count * Program(graph, nodes).operations > UNROLLED

    def product(self, family: Family, entry: Entry) -> Entry:
        """The product of a large Jacobian with a vector, which comes after the other inputs."""
        found = entry.products.get("product")
        if found is None:
            graph = Graph.from_arrays(*viewed(entry.graph))
            picked, _ = self.chosen(family.spec)
            by = [entry.inputs[k] for k in picked]
            nodes = entry.nodes[: size(entry.spec[1][0])]
            forward = self.is_forward(by, nodes)
            vector = [graph.new_input() for _ in (by if forward else nodes)]
            made = graph.forward(by, vector, nodes) if forward else graph.reverse(nodes, vector, by)
            spec = ("array", (len(made),))
            found = Entry(graph, entry.recorded, graph.input_nodes(), made, spec, [], entry.others)
            found = entry.products.setdefault("product", found)
        return found

    def in_lanes(self, family: Family, entry: Entry, x: Any, out: Any) -> Any:
        """A large Jacobian: its products with all unit vectors, a lane each."""
        product_entry = self.product(family, entry)
        picked, by = self.chosen(family.spec)
        value_spec, aux_spec = entry.spec[1]
        rows = size(value_spec)
        forward = self.is_forward(picked, list(range(rows)))
        count = len(picked) if forward else rows
        unit = np.eye(count)
        made = np.empty((count, len(product_entry.nodes)))
        numbers = np.concatenate([entry.numbers(x), np.zeros(count)])
        wide = bytearray(len(numbers))
        start = len(numbers) - count
        wide[start:] = b"\1" * count
        lanes = product_entry.laid_out(product_entry.program, bytes(wide), False, True)
        run_job(Job(lanes, [unit[k - start] for k in lanes.wide], numbers, count, None, list(made.T)))
        if self.check_finite and not (np.isfinite(made).all() and np.isfinite(out[rows:]).all()):
            self.report(Family(self.call, self.along, family.spec, 1, family.name), x)
        jacobian = laid_out(made.T if forward else made, value_spec, by)
        return (jacobian, nested(aux_spec, out[rows:])) if self.has_aux else jacobian

    def along(self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec) -> tuple[list[int], Spec]:
        """The sum of its columns, or of its rows: in which a nan or inf of it is found."""
        value, value_spec, aux, _ = self.split(nodes, out)
        picked, by_spec = self.chosen(spec)
        by = [inputs[k] for k in picked]
        value, _ = self.base(graph, value, value_spec, by, by_spec)
        one = graph.new_number(1.0)
        if self.is_forward(by, value):
            made = graph.forward(by, [one] * len(by), value)
        else:
            made = graph.reverse(value, [one] * len(value), by)
        return made + aux, ("array", (len(made) + len(aux),))


def is_unspread(entry: Entry) -> bool:
    return entry.spec[0] == "tuple" and entry.spec[2] is Unspread


def viewed(graph: Graph) -> tuple[Any, ...]:
    """The arrays that it is made of again."""
    codes, a, b, c, values = graph.arrays()
    ints = [np.frombuffer(x, dtype=np.int32) for x in (a, b, c)]
    return (np.frombuffer(codes, dtype=np.uint8), *ints, np.frombuffer(values, dtype=np.float64))


def laid_out(jacobian: Any, out: Spec, by: Spec) -> Any:
    """The matrix, nested as `product(out, by)`; its numbers come in the order of `order`."""
    parts = [jacobian[r.start : r.stop, c.start : c.stop].ravel() for r in blocks(out) for c in blocks(by)]
    return structure.nested(product(out, by), np.concatenate(parts))


class Hessian(Jacobian):
    """tapegrad.hessian"""

    what = "hessian"

    def base(self, graph: Graph, nodes: list[int], out: Spec, by: list[int], nested: Spec) -> tuple[list[int], Spec]:
        return graph.reverse([self.scalar(nodes, out)], [graph.new_number(1.0)], by), nested


def matched(want: Spec, have: Spec, numbers: list[Any], what: str, at: str = "") -> list[Any]:
    """The numbers of what is nested like `have`, in the order of `want`: dicts are matched by their keys.

    TypeError where the keys, types or shapes are others; `what` says of what and like what it should be nested."""

    def wrong(why: str) -> TypeError:
        return TypeError(f"{what}, with arrays of the same shapes{f'; at {at}' if at else ''}: {why}")

    if want[0] in LEAVES:
        shape = want[1] if want[0] == "array" else ()
        if have[0] not in LEAVES:
            raise wrong(f"{described(have)} where {described(want)} belongs")
        other = have[1] if have[0] == "array" else ()
        if shape != other:
            raise wrong(f"shape {other} where {shape} belongs")
        return numbers
    if want[0] == "setting":
        if size(have):
            raise wrong(f"{described(have)} where there is no number")
        return []
    if want[0] != have[0]:
        raise wrong(f"{described(have)} where {described(want)} belongs")
    parts = [numbers[r.start : r.stop] for r in spans(have)]
    if want[0] in ("dict", "object"):
        if set(want[2]) != set(have[2]) or want[3:] != have[3:]:
            raise wrong(f"{list(have[2])} where {list(want[2])} belong")
        places = [have[2].index(name) for name in want[2]]
        names = [f"{at}[{name!r}]" for name in want[2]]
    else:
        if len(want[1]) != len(have[1]):
            raise wrong(f"{len(have[1])} items where {len(want[1])} belong")
        if want[2:] != have[2:]:
            raise wrong(f"another class than {want[2].__name__}")
        places = list(range(len(want[1])))
        names = [f"{at}[{k}]" for k in places]
    out: list[Any] = []
    for part, k, name in zip(want[1], places, names, strict=True):
        out += matched(part, have[1][k], parts[k], what, name)
    return out


def spans(spec: Spec) -> list[range]:
    """The positions of the numbers of each part of a container."""
    found: list[range] = []
    for part in spec[1]:
        start = found[-1].stop if found else 0
        found.append(range(start, start + size(part)))
    return found


def floats(spec: Spec) -> Spec:
    """The same nesting, of floats."""
    return map_spec(spec, lambda shape: NUMBER if shape is None else ("array", shape))


COTANGENTS = "cotangents must be nested as the function's result is"


class OfPrimals(Recorded):
    """A product with the Jacobian at the primals, of (primals, vector)."""

    def __init__(self, f: Callable[..., Any], has_aux: bool = False, **options: Any) -> None:
        super().__init__(f, **options)
        self.has_aux = has_aux

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
        along = matched(primals, tangents, inputs[n : n + size(tangents)], "tangents must be nested as primals are")
        value, value_spec, aux, aux_spec = split(self.has_aux, nodes, out)
        made = graph.forward(inputs[:n], along, value)
        specs = (value_spec, floats(value_spec), *((aux_spec,) if self.has_aux else ()))
        return value + made + aux, ("tuple", specs, tuple)


class Pullback(OfPrimals):
    """Of (primals, cotangents): the product of the cotangents with the Jacobian at the primals; in a recording."""

    what = "vjp"

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        primals, cotangents = spec[1][0][1]
        n = size(primals)
        value, value_spec, _, _ = split(self.has_aux, nodes, out)
        given = matched(value_spec, cotangents, inputs[n : n + size(cotangents)], COTANGENTS)
        return graph.reverse(value, given, inputs[:n]), floats(primals)


class Pulled(Recorded):
    """The function that `vjp` is of, and the products with its Jacobian where it has been called."""

    what = "vjp"

    def __init__(self, f: Callable[..., Any], has_aux: bool = False, **options: Any) -> None:
        super().__init__(f, **options)
        self.has_aux = has_aux

    def is_input(self, position: int, count: int) -> bool:
        return True

    def at(self, primals: tuple[Any, ...]) -> tuple[Any, Callable[[Any], Any]]:
        """The function's result, and the function of cotangents."""
        family, x, values = self.prepare(primals, {})
        x = x.copy()
        entry, out = family.at(x, lambda entry: entry.program)
        if self.check_finite:
            self.check(family, x, out)
        is_value = bool(values) or self.gives_values(entry)
        value = self.on_tape(family, x, values) if is_value else nested(entry.spec, out)
        numbers = np.array(entry.numbers(x))
        spec = floats(family.spec[1][0])

        def back(cotangents: Any) -> Any:
            leaves: list[Any] = []
            have = flatten(cotangents, leaves, True)
            nodes, want, _, _ = split(self.has_aux, entry.nodes, entry.spec)
            given, others = numbers_in(leaves)
            places = matched(want, have, list(range(len(given))), COTANGENTS)
            product_entry = pulled(entry, nodes, size(spec))
            full = np.concatenate([numbers, given[places]])
            wrt: dict[int, Value] = dict(values)
            for k, v in enumerate(entry.others):
                wrt[len(x) + k] = v
            for k, place in enumerate(places):
                if place in others:
                    wrt[len(numbers) + k] = others[place]
            program = product_entry.with_partials(tuple(wrt)) if wrt else product_entry.program
            made = np.empty(program.outputs)
            program.run(full, made)
            n = size(spec)
            if self.check_finite and not np.isfinite(made[:n]).all():
                raise FloatingPointError(f"{family.name}: a product of the cotangents with the Jacobian is nan or inf")
            if not wrt:
                return nested(spec, made)
            rows = made[n:].reshape(n, len(wrt)).tolist()
            found = [Value(float(made[k]), tuple(wrt.values()), tuple(rows[k])) for k in range(n)]
            return unflatten(spec, iter(found), structure.of_values)

        return value, back


def pulled(entry: Entry, nodes: list[int], primals: int) -> Entry:
    """The program of the primals, the Values that are read, and the cotangents."""
    found = entry.products.get("pulled")
    if found is None:
        graph = Graph.from_arrays(*viewed(entry.graph))
        cotangents = [graph.new_input() for _ in nodes]
        made = graph.reverse(nodes, cotangents, entry.inputs[:primals])
        spec = ("array", (len(made),))
        found = Entry(graph, entry.recorded, graph.input_nodes(), made, spec, [], [])
        found = entry.products.setdefault("pulled", found)
    return found


class HessianProduct(Derivative):
    """Of (x, v, ...): the Hessian by x times v, which comes after the last argument that is differentiated by."""

    what = "hvp"

    def place(self, count: int) -> int:
        """Where v is among so many arguments."""
        n = count - 1
        for k in self.numbers:
            if not -n <= k < n:
                raise TypeError(f"argnums names argument {k}, but the function was called with {max(n, 0)} and v")
        return max([k % n for k in self.numbers]) + 1

    def call(self, *args: Any, **kwargs: Any) -> Any:
        place = self.place(len(args))
        return self.f(*args[:place], *args[place + 1 :], **kwargs)

    def is_input(self, position: int, count: int) -> bool:
        place = self.place(count)
        return position == place or super().is_input(position - (position > place), count - 1)

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        args, kwargs = spec[1]
        place = self.place(len(args[1]))
        start = sum([size(s) for s in args[1][:place]])
        v = args[1][place]
        end = start + size(v)
        picked, by_spec = self.chosen(
            ("tuple", (("tuple", (*args[1][:place], *args[1][place + 1 :]), tuple), kwargs), tuple)
        )
        rest = inputs[:start] + inputs[end:]
        by = [rest[k] for k in picked]
        along = matched(by_spec, v, inputs[start:end], "v must be nested as x is")
        value, value_spec, aux, aux_spec = self.split(nodes, out)
        grads = graph.reverse([self.scalar(value, value_spec)], [graph.new_number(1.0)], by)
        made = graph.forward(by, along, grads)
        if self.has_aux:
            return made + aux, ("tuple", (by_spec, aux_spec), tuple)
        return made, by_spec


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


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any) -> Hessian:
    """The second derivatives of f, which returns one number: the Jacobian of its gradient, forward over reverse.
    (Hessian, aux) where f returns (number, aux) and `has_aux` says so.

    >>> hessian(lambda x: x[0] ** 2 * x[1])([2.0, 3.0])
    [[6.0, 4.0], [4.0, 0.0]]
    """
    return Hessian(f, argnums, has_aux, **{"mode": "forward", **options})


def hvp(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any
) -> HessianProduct:
    """The function (x, v, ...) -> H v, where H is the Hessian of f(x, ...) by x; v is nested as x is. As `hessp` of
    scipy.optimize.minimize wants it. Forward over reverse, in one sweep.

    With `argnums` v comes after the last of the arguments named: (a, x, v, ...) for 1. Where these are several, v is a
    tuple with an item for each. (H v, aux) where f returns (number, aux) and `has_aux` says so.

    >>> hvp(lambda x: x[0] ** 2 * x[1])([2.0, 3.0], [1.0, 0.0])
    [6.0, 4.0]
    """
    return HessianProduct(f, argnums, has_aux, **options)


@overload
def jvp(
    f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[False] = False
) -> tuple[Any, Any]: ...
@overload
def jvp(
    f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[True]
) -> tuple[Any, Any, Any]: ...
def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """(f(*primals), its derivative along the tangents), in forward mode; (value, derivative, aux) where f returns
    (value, aux) and `has_aux` says so. Tangents are nested as primals are.

    f is run anew each time, as it is now. What `record`, `grad` and so on have made is replayed: say `f = record(f)`
    where jvp is called often.

    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.5))
    (6.0, 4.0)
    """
    return _product(Pushforward, f, has_aux)(tuple(primals), tuple(tangents))


@overload
def vjp(
    f: Callable[..., Any], *primals: Any, has_aux: Literal[False] = False
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]: ...
@overload
def vjp(
    f: Callable[..., Any], *primals: Any, has_aux: Literal[True]
) -> tuple[Any, Callable[[Any], tuple[Any, ...]], Any]: ...
def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(f(*primals), function): the function takes cotangents, nested as the result, to the product with the Jacobian,
    a tuple with an item for each of the primals. (value, function, aux) where f returns (value, aux) and `has_aux`
    says so. The function stands for f as it was, at the primals as they were, when vjp was called; see `jvp` for when
    f is run.

    >>> y, back = vjp(lambda x, y: [x * y, x], 2.0, 3.0)
    >>> y, back([1.0, 10.0])
    ([6.0, 2.0], (13.0, 2.0))
    """
    if current() is None:
        result, back = _product(Pulled, f, has_aux).at(primals)
    else:
        leaves: list[Any] = []
        spec = flatten(primals, leaves)
        numbers = [v for leaf in leaves for v in (leaf if isinstance(leaf, np.ndarray) else [leaf])]
        kept = unflatten(spec, iter(numbers), structure.of_values)
        result = f(*kept)

        def back(cotangents: Any) -> Any:
            return _product(Pullback, f, has_aux)(kept, cotangents)

    if not has_aux:
        return result, back
    if not isinstance(result, tuple) or len(result) != 2:  # pyright: ignore[reportUnknownArgumentType]
        raise TypeError("with has_aux the function must return a pair (value, aux)")
    return result[0], back, result[1]


def _product(cls: Any, f: Any, has_aux: bool) -> Any:
    """The transformation of f: kept with it if it is recorded, and so cleared with it; else made for this call."""
    if not isinstance(f, Recorded):
        return cls(f, has_aux)
    made = f.products.get((cls, has_aux))
    if made is None:
        made = f.products.setdefault(
            (cls, has_aux), cls(f, has_aux, max_programs=f.max_programs, max_bytes=f.max_bytes)
        )
    return made
