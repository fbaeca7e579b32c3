"""The array of numbers that a recorded function receives, and that numpy's operations on it give.

numpy's own loops over objects ask Python for the truth of comparisons, lose nan and stumble over plain numbers among
the recorded ones. Here every ufunc, function and method of numpy either gives what it gives for floats, without a guard
where it can be computed and by guards where an order or an index is decided, or is an error that says what to do.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportUnknownLambdaType=false
# (numpy does not say of what the arrays are)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import elements
from tapegrad.elements import as_int, as_value, is_recorded, kind, logical, refuse, truth, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Array = np.ndarray[Any, Any]

__all__ = ["NumberArray", "array_of", "bare", "decided", "index", "kind_of", "objects", "wrapped"]

KINDS = "bif"
METHODS = "compute with the array itself; tapegrad.frozen(x) of an element is the number that it has while recording"
REAL = "an array of {} has no derivative: use real numbers"


class NumberArray(np.ndarray):
    """An array of objects, each a recorded number, a condition or a plain number, that numpy treats as one of numbers.

    `number_kind` is what numpy would hold the elements as: "f" floats, "i" ints, "b" bools; None until asked for."""

    _kind: str | None = None
    _is_of_numbers = True

    def __array_finalize__(self, obj: Any) -> None:
        if isinstance(obj, NumberArray):
            self._kind = obj._kind

    @property
    def number_kind(self) -> str:
        if self._kind is None:
            self._kind = kind_of(self)
        return self._kind

    # ---- numpy's operations ----

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from tapegrad.array_ufuncs import apply_ufunc

        with np.errstate(all="ignore"):  # no warnings of infinities: a replay gives none
            return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Iterable[type], args: Any, kwargs: Any) -> Any:
        from tapegrad.array_functions import apply_function

        if not all(issubclass(t, np.ndarray) for t in types):
            return NotImplemented
        with np.errstate(all="ignore"):
            return apply_function(func, args, kwargs)

    # ---- elements ----

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(index(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(index(key), _as_kind(value, self.number_kind))

    def __contains__(self, x: Any) -> bool:
        return truth((self == x).any())

    def __bool__(self) -> bool:
        return truth(bare(self).item()) if self.size == 1 else bool(np.zeros(self.shape))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.ndim or self.number_kind == "f":
            raise TypeError("only integer scalar arrays can be converted to a scalar index")
        return as_int(self.item())

    def __complex__(self) -> complex:
        refuse("complex() of an array of recorded numbers", METHODS)

    def item(self, *at: Any) -> Any:
        return bare(self).item(*[as_int(k) if not isinstance(k, tuple) else k for k in at])

    def fill(self, value: Any) -> None:
        self[...] = value

    def put(self, indices: Any, values: Any, mode: Any = "raise") -> None:
        bare(self).put(decided(indices), bare(_as_kind(values, self.number_kind)), mode)

    def take(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise"
    ) -> Any:
        _no_out("take", out)
        return wrapped(bare(self).take(decided(indices), axis, None, mode), self.number_kind)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        return wrapped(bare(self).repeat(decided(repeats), axis), self.number_kind)

    def compress(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, condition: Any, axis: Any = None, out: Any = None
    ) -> Any:
        _no_out("compress", out)
        return wrapped(bare(self).compress(decided(condition, "b"), axis), self.number_kind)

    def choose(self, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
        _no_out("choose", out)
        return wrapped(np.choose(decided(self), [objects(c) for c in choices], None, mode))

    # ---- as other objects ----

    def astype(self, dtype: Any, *rest: Any, **options: Any) -> Any:
        """Floats, bools, and ints of bools, followed; other ints by a guard each, as plain ints, to index with."""
        to = np.dtype(dtype)
        if to.kind == "O":
            return self.copy()
        if to == np.float64:
            return wrapped(bare(_as_kind(self, "f")).copy(), "f")
        if to.kind == "b":
            return wrapped(bare(_as_kind(self, "b")).copy(), "b")
        if to.kind in "iu":
            if self.number_kind == "b" and to.itemsize == 8:
                return wrapped(bare(_as_kind(self, "i")).copy(), "i")
            return decided(self, "i").astype(to)
        return refuse(f"an array of recorded numbers as one of {to}", "recorded numbers are float64, int64 or bool")

    def view(self, *dtypes: Any, **named: Any) -> Any:
        for asked in (*dtypes, *named.values()):
            an_array = isinstance(asked, type) and issubclass(asked, np.ndarray)
            if not (issubclass(NumberArray, asked) if an_array else np.dtype(asked) == object):
                refuse(f"a view of recorded numbers as {asked}", METHODS)
        return super().view()

    def __bytes__(self) -> bytes:
        refuse("bytes() of an array of recorded numbers", METHODS)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()  # recorded numbers do not change

    def __repr__(self) -> str:
        self._refuse_text("repr()")
        return f"array({bare(self).tolist()!r})"

    def __str__(self) -> str:
        self._refuse_text("str()")
        return str(bare(self))

    def __format__(self, spec: str) -> str:
        self._refuse_text("format()")
        return format(bare(self), spec)

    def _refuse_text(self, what: str) -> None:
        from tapegrad.recording import current

        if current() is not None and any(is_recorded(x) for x in bare(self).ravel().tolist()):
            refuse(f"{what} of recorded numbers", METHODS)

    @property  # type: ignore[misc]
    def real(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self

    @property  # type: ignore[misc]
    def imag(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return wrapped(np.full(self.shape, 0.0, dtype=object), "f")

    def conj(self) -> Any:
        return self.copy()

    conjugate = conj

    @property
    def _baseclass(self) -> Any:  # numpy.ma asks for it
        refuse("a masked array of recorded numbers", "compute with numpy.where(mask, ..., ...)")

    # ---- order ----

    def sort(self, axis: Any = -1, kind: Any = None, order: Any = None, **options: Any) -> None:
        bare(self)[...] = bare(np.sort(self, axis, kind, order, **options))

    def partition(self, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> None:
        bare(self)[...] = bare(np.partition(self, kth, axis, kind, order))


def _through(name: str) -> Any:
    """The method that does what numpy's function of this name does."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    return method


# guarded: argmax argmin argpartition argsort nonzero searchsorted
THROUGH = words(
    "all any argmax argmin argpartition argsort clip cumprod cumsum diagonal dot max mean min nonzero prod "
    "round searchsorted std sum trace var"
)
for _name in THROUGH:
    setattr(NumberArray, _name, _through(_name))

REFUSED = words(
    "__array_interface__ __array_struct__ __dlpack__ __reduce__ __reduce_ex__ __setstate__ byteswap ctypes data dump "
    "dumps getfield itemset newbyteorder setfield tobytes tofile tostring"
)
for _name in REFUSED:

    def _refused(self: Any, *args: Any, _name: str = _name, **kwargs: Any) -> Any:
        refuse(f"{_name} of an array of recorded numbers", METHODS)

    is_method = callable(getattr(np.ndarray, _name, _refused))
    setattr(NumberArray, _name, _refused if is_method else property(_refused))


def bare(x: Any) -> Any:
    """The array as a plain one of objects, sharing its elements; anything else as it is."""
    return np.ndarray.view(x, np.ndarray) if isinstance(x, NumberArray) else x


def objects(x: Any) -> Any:
    """Anything that numpy would take as an array of real numbers, as a plain array of objects, the numbers plain ones
    of Python."""
    x = bare(x if isinstance(x, np.ndarray) else np.asarray(x))
    if type(x) is not np.ndarray:
        refuse(f"an array of recorded numbers with a {type(x).__name__}", "use plain arrays")
    if x.dtype == object:
        return x
    if x.dtype.kind not in "fiub":
        raise TypeError(REAL.format(x.dtype))
    return x.astype(object)


def kind_of(x: Any) -> str:
    """What numpy would hold x as, an array or an element: "f", "i" or "b"."""
    if isinstance(x, NumberArray) and x._kind is not None:
        return x._kind
    if isinstance(x, np.ndarray) and x.dtype != object:
        if x.dtype.kind not in "fiub":
            raise TypeError(REAL.format(x.dtype))
        return "i" if x.dtype.kind == "u" else str(x.dtype.kind)
    if not isinstance(x, np.ndarray):
        if isinstance(x, (list, tuple)):
            return kind_of(np.asarray(x))
        return kind(x)
    found = [KINDS.index(kind(e)) for e in bare(x).ravel().tolist()]
    return KINDS[max(found)] if found else "f"


def plain_or_wrapped(numbers: list[Any], shape: tuple[int, ...], of_kind: str | None) -> Any:
    """The array of these: a plain one of floats, ints or bools if none is recorded or a Value; outside of recordings a
    plain one of objects."""
    from tapegrad.recording import current

    if shape and all(isinstance(x, (int, float, np.generic)) for x in numbers):
        return np.array(numbers).reshape(shape)
    made = array_of(numbers, shape, of_kind)
    return bare(made) if current() is None else made


def array_of(numbers: list[Any], shape: tuple[int, ...], of_kind: str | None = None) -> Any:
    """These as an array of that shape; as the element itself if it has no dimensions."""
    out = np.empty(len(numbers), dtype=object)
    for k, x in enumerate(numbers):
        out[k] = x
    return wrapped(out.reshape(shape), of_kind) if shape else numbers[0]


def wrapped(x: Any, of_kind: str | None = None) -> Any:
    """A plain array of objects as a NumberArray of that kind; anything else as it is."""
    if isinstance(x, np.ndarray) and x.dtype == object:
        x = x.view(NumberArray)
        x._kind = of_kind
    return x


def elementwise(f: Callable[..., Any], *arrays: Any, of_kind: str | None = None) -> Any:
    """f of the elements of the arrays, broadcast against one another."""
    plain = np.broadcast_arrays(*[objects(a) for a in arrays])
    columns = [a.ravel().tolist() for a in plain]
    return array_of([f(*xs) for xs in zip(*columns, strict=True)], plain[0].shape, of_kind)


def applied(f: Callable[..., Any], *arrays: Any) -> Any:
    """A function of ours on the elements of arrays, in a recording or outside."""
    plain = np.broadcast_arrays(*[objects(a) for a in arrays])
    columns = [a.ravel().tolist() for a in plain]
    return plain_or_wrapped([f(*xs) for xs in zip(*columns, strict=True)], plain[0].shape, None)


def to_kind(x: Any, of_kind: str) -> Any:
    """The element as numpy would put it into an array of that kind."""
    if isinstance(x, np.generic):
        x = x.item()
    if of_kind == "f":
        return as_value(x) if is_recorded(x) else float(x)
    if of_kind == "b":
        return x if kind(x) == "b" else elements.compare("!=", x, 0.0)
    if kind(x) == "f":
        return as_int(x)
    return as_value(x) if is_recorded(x) else int(x)


def _as_kind(x: Any, of_kind: str) -> Any:
    if not isinstance(x, (np.ndarray, list, tuple)):
        return to_kind(x, of_kind)
    if kind_of(x) == of_kind and isinstance(x, NumberArray):
        return x
    plain = objects(x)
    return array_of([to_kind(e, of_kind) for e in plain.ravel().tolist()], plain.shape, of_kind)


def decided(x: Any, of_kind: str | None = None) -> Any:
    """An array or a list that numpy needs as plain ints or bools, decided by a guard for every recorded element."""
    if isinstance(x, (list, tuple)) and any(_holds_recorded(e) for e in x):
        x = np.asarray(x)
    if isinstance(x, np.ndarray) and x.dtype == object:
        wanted = of_kind or kind_of(x)
        if wanted == "f" and of_kind is None:
            refuse(
                "an array of recorded floats as an index",
                "numpy wants ints or bools; x.astype(int) gives ints, guarded",
                IndexError,
            )
        convert = truth if wanted == "b" else as_int
        plain = [convert(e) for e in bare(x).ravel().tolist()]
        return np.array(plain, dtype=bool if wanted == "b" else np.intp).reshape(x.shape)
    if is_recorded(x):
        return _decided_scalar(x) if of_kind is None else (truth(x) if of_kind == "b" else as_int(x))
    return x


def _holds_recorded(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return any(_holds_recorded(e) for e in x)
    return is_recorded(x) or (isinstance(x, np.ndarray) and x.dtype == object)


def _decided_scalar(x: Any) -> Any:
    if kind(x) == "b":
        return truth(x)
    if kind(x) == "f":
        refuse("a recorded float as an index", "numpy wants an int; tapegrad.to_int(x) gives one, guarded", IndexError)
    return as_int(x)


def index(key: Any) -> Any:
    """What stands between the brackets of an array, with every recorded number in it decided by a guard."""
    if isinstance(key, tuple):
        return tuple([index(k) for k in key])
    if isinstance(key, slice):
        return slice(*[decided(k) for k in (key.start, key.stop, key.step)])
    return decided(key)


def _no_out(name: str, out: Any) -> None:
    if out is not None:
        refuse(f"numpy.{name} of recorded numbers with out=", "use what it returns")


def as_condition(x: Any) -> Any:
    """The element as its truth, without a guard."""
    return x if kind(x) == "b" else logical("not", logical("not", x))


# what numpy itself says of arrays that a recorded function made, and what to add to it
NOTES = {
    "arrays used as indices must be of integer": "an array of plain numbers is indexed by plain ints, by guards: "
    "a[np.nonzero(mask)] for conditions, a[x.astype(int)] for numbers",
    "only integers, slices": "an array of plain numbers is indexed by plain ints, by guards: tapegrad.to_int(x) of "
    "a recorded number, a[np.nonzero(mask)] for conditions",
    "loop of ufunc does not support argument": "an array that np.array has made of recorded and plain numbers: make it "
    "with np.stack or np.concatenate, or begin with np.zeros_like(x)",
    "setting an array element with a sequence": "an array of floats cannot hold recorded numbers: begin with "
    "np.zeros_like(x), or use np.where, np.stack or np.concatenate",
}


def add_way_out(error: BaseException) -> None:
    """Add a note to an error of numpy's that left a recorded function, where one is known that helps."""
    for text, note in NOTES.items():
        if text in str(error):
            error.add_note(f"tapegrad: {note}")
            return
