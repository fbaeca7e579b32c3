"""What a number of a function that is being recorded answers to, beyond the operators of `Value`.

That is all to which a plain float, int or bool answers: it is followed, a guard, or an error that names the line and
the way out.
"""

from __future__ import annotations

import numbers
from typing import Any

from tapegrad import recording
from tapegrad.value import Number, Outlived, Value, _apply, _kind_of, _operate, _peek

__all__ = ["ERRORS", "FOLLOWED", "GUARDS", "KEEP", "OPERATIONS", "OTHERS", "PROPERTIES", "REFUSED", "give"]

Py_EQ, Py_NE = 2, 3


# what of Value's own is followed, as operations and as numpy's names for them
OPERATIONS = {
    *("__abs__", "__add__", "__ceil__", "__floor__", "__ge__", "__gt__", "__le__", "__lt__", "__mul__", "__neg__"),
    *("__pos__", "__pow__", "__radd__", "__rmul__", "__round__", "__rpow__", "__rsub__", "__sub__", "acos", "arccos"),
    *("arcsin", "arctan", "arctan2", "asin", "atan", "atan2", "ceil", "conjugate", "cos", "cosh", "elu", "erf", "erfc"),
    *("exp", "expm1", "fabs", "floor", "gelu", "hypot", "leaky_relu", "log", "log10", "log1p", "log2", "logaddexp"),
    *(
        "maximum",
        "minimum",
        "relu",
        "rint",
        "sigmoid",
        "sign",
        "silu",
        "sin",
        "sinh",
        "softplus",
        "sqrt",
        "tan",
        "tanh",
    ),
}
# what of Value's own is refused in a recording, by the core
ERRORS = {"__init__", "_backward", "_local_grads", "_pull", "backward", "data", "grad", "local_gradients"}
# what of Value's own tells of the graph, not of the number, and what only the classes of plain numbers have
OTHERS = {"_children", "_op", "_prev", "label", "__getformat__", "__getnewargs__", "from_bytes", "fromhex"}
# what does not tell the number
KEEP = {
    *("__class__", "__del__", "__delattr__", "__dict__", "__dir__", "__doc__", "__getattribute__", "__init_subclass__"),
    *("__module__", "__new__", "__pyx_vtable__", "__setattr__", "__setstate__", "__sizeof__", "__subclasshook__"),
}


def recorder_of(v: Value, what: str) -> Any:
    """The recorder of this thread, which must be the one that v is a number of."""
    recorder = recording.current()
    if recorder is None:
        recording.refuse_elsewhere(what)
    return recorder


def no(what: str, way_out: str) -> Exception:
    file, line = recording.caller()
    return recording.refusal(
        TypeError(
            f"{file}:{line}: {what} of a number in a recorded function: Python would go on with what is not followed "
            f"when the function is replayed. {way_out}"
        )
    )


def compared(op: int) -> Any:
    def compare(self: Value, other: Any) -> Any:
        recorder = recorder_of(self, "a comparison")
        if isinstance(other, numbers.Number) and not isinstance(other, (Value, numbers.Real)):
            raise no(f"comparing with a {type(other).__name__}", "Compare with a float")
        return recorder.compare(self, other, op)

    return compare


def divided(label: str, reflected: bool) -> Any:
    def operate(self: Value, other: Any) -> Any:
        return _operate(label, other, self) if reflected else _operate(label, self, other)

    return operate


def divmod_of(self: Value, other: Any) -> Any:
    quotient = _operate("//", self, other)
    return quotient if quotient is NotImplemented else (quotient, _operate("%", self, other))


def rdivmod_of(self: Value, other: Any) -> Any:
    quotient = _operate("//", other, self)
    return quotient if quotient is NotImplemented else (quotient, _operate("%", other, self))


def truth(self: Value) -> bool:
    return bool(recorder_of(self, "the truth").truth(self))


def index(self: Value) -> int:
    if _kind_of(self) is float:
        raise no("an index or int()", "tapegrad.to_int(x) gives an int, guarded")
    recorder_of(self, "an index")
    return recording.to_int(self)


def hashed(self: Value) -> int:
    if _kind_of(self) is float:
        raise no("hash()", f"A set, a dict or a cache would decide by it. {KEPT}")
    recorder_of(self, "hash()")
    return hash(recording.to_int(self))


def trunc(self: Value) -> Any:
    recorder = recorder_of(self, "math.trunc()")
    cut = recording.cut_of(self)
    return cut if abs(_peek(cut)) < recording.EXACT else recorder.large(cut)


def is_integer(self: Value) -> bool:
    recorder = recorder_of(self, "is_integer()")
    whole = _apply("and", _apply("==", _apply("trunc", self), self), _apply("<", abs(self), Value(float("inf"))))
    return bool(recorder.truth(whole))


def of_ints(name: str) -> Any:
    """A method that only ints and bools have: their values are guards, and Python does the rest."""

    def method(self: Value, *others: Any) -> Any:
        kind = _kind_of(self)
        if kind is float:
            if not hasattr(float, name):
                return NotImplemented
            raise no(f"{name}()", "Compute with the number itself")
        recorder_of(self, name)
        plain = kind(recording.to_int(self))
        known: list[Any] = []
        for other in others:
            if isinstance(other, Value):
                if _kind_of(other) is float:
                    return NotImplemented
                other = _kind_of(other)(recording.to_int(other))
            known.append(other)
        return getattr(plain, name)(*known)

    return method


def logical(label: str, name: str) -> Any:
    """& and so on: of conditions an operation that is followed, of ints a guard."""
    plain = of_ints(name)

    def method(self: Value, other: Any) -> Any:
        if _kind_of(self) is bool:
            if isinstance(other, Value) and _kind_of(other) is bool:
                return _apply(label, self, other)
            if not isinstance(other, Value) and (isinstance(other, bool) or type(other).__name__ in ("bool_", "bool")):
                return _apply(label, self, Value(float(other)))
        return plain(self, other)

    return method


def inverted(self: Value) -> Any:
    if _kind_of(self) is bool:
        raise no("~", "Python's ~True is -2, numpy's is False: use `c == False`, or `not c`, which is a guard")
    return of_ints("__invert__")(self)


def numpys_ufunc(self: Value, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    import numpy as np

    from tapegrad.array_ufuncs import apply_ufunc

    with np.errstate(all="ignore"):
        return apply_ufunc(ufunc, method, inputs, kwargs)


def numpys_function(self: Value, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    from tapegrad.array_functions import apply_function

    return apply_function(function, args, kwargs)


def refused(what: str, way_out: str) -> Any:
    def method(self: Value, *args: Any, **kwargs: Any) -> Any:
        raise no(what, way_out)

    return method


def itself(self: Value, *args: Any) -> Value:
    return self


ARITHMETIC = (
    "Compute with the number itself: Python's operators, and tapegrad's functions (tapegrad.sin(x) for math.sin(x))"
)
PRINTED = "tapegrad.frozen(x) gives the number that it has while recording, for good, as a figure to print needs it"
KEPT = "Use a list and indices, or tapegrad.to_int(x), which gives an int, guarded"

FOLLOWED: dict[str, Any] = {
    "__truediv__": divided("/", False),
    "__rtruediv__": divided("/", True),
    "__mod__": divided("%", False),
    "__rmod__": divided("%", True),
    "__floordiv__": divided("//", False),
    "__rfloordiv__": divided("//", True),
    "__divmod__": divmod_of,
    "__rdivmod__": rdivmod_of,
    "__trunc__": trunc,
    "__eq__": compared(Py_EQ),
    "__ne__": compared(Py_NE),
    "__array_ufunc__": numpys_ufunc,
    "__array_function__": numpys_function,
    "__copy__": itself,
    "__deepcopy__": itself,
}
GUARDS: dict[str, Any] = {
    "__bool__": truth,
    "__index__": index,
    "__int__": index,
    "__hash__": hashed,
    "is_integer": is_integer,
    "__and__": logical("and", "__and__"),
    "__rand__": logical("and", "__rand__"),
    "__or__": logical("or", "__or__"),
    "__ror__": logical("or", "__ror__"),
    "__xor__": logical("!=", "__xor__"),
    "__rxor__": logical("!=", "__rxor__"),
    "__invert__": inverted,
    **{
        name: of_ints(name)
        for name in (
            *("__lshift__", "__rlshift__", "__rshift__", "__rrshift__"),
            *("bit_length", "bit_count", "to_bytes", "as_integer_ratio"),
        )
    },
}
REFUSED: dict[str, Any] = {
    "__float__": refused("float()", ARITHMETIC),
    "__complex__": refused("complex()", ARITHMETIC),
    "__repr__": refused("repr()", PRINTED),
    "__str__": refused("str()", PRINTED),
    "__format__": refused("a format", PRINTED),
    "__reduce__": refused("pickling", ARITHMETIC),
    "__reduce_ex__": refused("pickling", ARITHMETIC),
    "__getstate__": refused("pickling", ARITHMETIC),
    "hex": refused("hex()", PRINTED),
}


def real(self: Value) -> Value:
    return self


def imag(self: Value) -> float:
    return 0.0 if _kind_of(self) is float else 0


def numerator(self: Value) -> Value:
    if _kind_of(self) is float:
        raise AttributeError("'float' object has no attribute 'numerator'")
    return self


def denominator(self: Value) -> int:
    if _kind_of(self) is float:
        raise AttributeError("'float' object has no attribute 'denominator'")
    return 1


PROPERTIES = {"real": real, "imag": imag, "numerator": numerator, "denominator": denominator}


def give() -> None:
    """Give Number its answers, and Outlived its errors."""
    for name, method in {**FOLLOWED, **GUARDS, **REFUSED}.items():
        setattr(Number, name, method)
    for name, method in PROPERTIES.items():
        setattr(Number, name, property(method))

    def outlived(self: Value, *args: Any, **kwargs: Any) -> Any:
        recording.refuse_outlived(self)

    for name in {*dir(Value), *FOLLOWED, *GUARDS, *REFUSED}:
        if name not in KEEP and callable(getattr(Number, name, None)):
            setattr(Outlived, name, outlived)
    setattr(Outlived, "__repr__", lambda self: "<a number of a recording that is over>")  # noqa: B010
    for name in ("data", "grad", "_children", "_prev", "_op", "_local_grads", "_backward"):
        setattr(Outlived, name, property(outlived, outlived))
