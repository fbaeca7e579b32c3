"""The same `Value` in plain Python: what is right, by definition.

The compiled core must agree with this module to the last bit, on every program, and the tests compare the two
everywhere. It is also the shortest way to learn what the compiled core does: a Value knows its number, the Values it
was computed from and the rule by which it was computed; `backward` visits every node once, the result first, and adds
to each operand's `grad` the local derivative times the node's own.

`TAPEGRAD_PURE=1` in the environment makes the whole package use it.
"""

from __future__ import annotations

import copy
import math
import types
from math import inf, nan

__all__ = ["Value", "dot", "prod", "sum"]


# ---- numbers: floats, and ints as long as a double holds them exactly ----

EXACT = 2**53


def exact(x):
    """x, as a float if it is an int that a double may not hold exactly."""
    return float(x) if x.__class__ is int and not -EXACT < x < EXACT else x


def real(x):
    """x as a Python number if it is a real number of any type, else None."""
    if isinstance(x, bool):
        return x
    if isinstance(x, float):
        return float.__pos__(x)  # a plain float, whatever its subclass overrides
    if isinstance(x, int):
        return exact(int.__pos__(x))
    import numbers

    if isinstance(x, numbers.Integral):
        return exact(int(x))
    if isinstance(x, numbers.Real):
        return float(x)
    if type(x).__module__ == "numpy" and type(x).__name__ in ("bool", "bool_"):
        return bool(x)
    return None


def number(x, what):
    if x.__class__ is float:
        return x
    y = real(x)
    if y is None:
        hint = "; use its .data" if isinstance(x, Value) else ""
        if not hint and hasattr(x, "item"):
            hint = "; take one element, for example with .item()"
        raise TypeError(
            f"{what} must be a real number (float, int, bool or a numpy scalar), not {type(x).__name__}{hint}"
        )
    return y


# ---- arithmetic for derivatives: where Python raises, these give what IEEE 754 gives ----


def _total(function, odd=False):
    def total(x):
        try:
            return function(x)
        except ValueError:
            return nan
        except OverflowError:
            return math.copysign(inf, x) if odd else inf

    return total


_sqrt, _sin, _cos = _total(math.sqrt), _total(math.sin), _total(math.cos)
_exp, _cosh, _sinh = _total(math.exp), _total(math.cosh), _total(math.sinh, odd=True)


def _log(x):
    return -inf if x == 0 else _total(math.log)(x)


def _div(a, b):
    if b == 0:
        return nan if a == 0 or a != a else math.copysign(inf, a) * math.copysign(1.0, b)
    return a / b


def _hypot(a, b):
    """The C library's hypot, by way of complex numbers; `math.hypot` rounds differently."""
    if a != a or b != b:  # here abs would look at the error that some earlier function may have left behind
        return inf if math.isinf(a) or math.isinf(b) else nan
    try:
        return abs(complex(a, b))
    except OverflowError:
        return inf


def _pow(a, b):
    """a ** b for any two numbers, ints staying ints."""
    try:
        return power(a, b)
    except ValueError:
        return nan
    except (ZeroDivisionError, OverflowError):
        odd = b == math.floor(b) and math.fmod(b, 2) != 0
        return -inf if odd and math.copysign(1.0, a) < 0 else inf


def power(a, b):
    """a ** b as Python computes it on floats; an int to the power of an int not below 0 is an int while exact."""
    if -inf < a < 0 and -inf < b < inf and b != math.floor(b):
        raise ValueError(f"negative number {a} cannot be raised to a fractional power ({b}): the result is complex")
    y = float(a) ** float(b)
    if isinstance(a, int) and isinstance(b, int) and b >= 0 and abs(y) < EXACT:
        return int(a) ** b if abs(a) > 1 else int(y)
    return y


# ---- the rules: value and local derivatives of every operation, at one place ----


class Rule:
    """An operation: its label, its value as a function of its operands and its local derivatives as a function of
    its operands and its value, one for each child. The derivatives are floats, except where `ints` says that those of
    ints are ints."""

    def __init__(self, label, value, partials, ints=False):
        self.label, self.value, self.partials, self.ints = label, value, partials, ints

    def __reduce__(self):  # for pickle: rules are found again by their name
        return _rule_of, (self.label,)


def flat(a, y):
    """The derivative of a function of steps: 0, and nothing comes through it, whatever the adjoint is."""
    return (0.0,)


def sigmoid(x):
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


def logaddexp(a, b):
    if a == b:
        return a + 0.6931471805599453
    d = a - b
    return a + math.log1p(math.exp(-d)) if d > 0 else b + math.log1p(math.exp(d))


def _step(condition, tie):
    return 1.0 if condition else 0.5 if tie else 0.0


def sign(a):
    one = 1 if isinstance(a, int) else 1.0
    return one if a > 0 else -one if a < 0 else a + 0


_LN2, _LN10, _2_SQRTPI = 0.6931471805599453, 2.302585092994046, 1.1283791670955126
_SQRT1_2, _1_SQRT2PI = 0.7071067811865476, 0.3989422804014327

# The rules that Python has syntax for, then the named ones: RULES[name] is the rule of the method of that name.
ADD = Rule("+", lambda a, b: a + b, lambda a, b, y: (1, 1), ints=True)
MUL = Rule("*", lambda a, b: a * b, lambda a, b, y: (b, a), ints=True)
POW = Rule(
    "**",
    power,
    lambda a, b, y: (
        0.0 if b == 0 else b * float(_pow(float(a), b - 1.0)),
        0.0 if a == 0 and b >= 0 else y * _log(a),
    ),
)
POWN = Rule("**n", power, lambda a, n, y: (0.0 if n == 0 else exact(n * _pow(a, n - 1)),), ints=True)

RULES = {
    rule.label: rule
    for rule in [
        Rule("relu", lambda a: 0 if a < 0 else a, lambda a, y: (1 if y > 0 else 0,), ints=True),
        Rule("exp", math.exp, lambda a, y: (y,)),
        Rule("log", math.log, lambda a, y: (_div(1.0, a),)),
        Rule("tanh", math.tanh, lambda a, y: (1.0 - y * y,)),
        Rule("sigmoid", sigmoid, lambda a, y: (y * (1.0 - y),)),
        Rule("sqrt", math.sqrt, lambda a, y: (_div(0.5, y),)),
        Rule("abs", abs, lambda a, y: (float((a > 0) - (a < 0)),)),
        Rule("sin", math.sin, lambda a, y: (_cos(a),)),
        Rule("cos", math.cos, lambda a, y: (-_sin(a),)),
        Rule("tan", math.tan, lambda a, y: (1.0 + y * y,)),
        Rule("asin", math.asin, lambda a, y: (_div(1.0, _sqrt((1.0 - a) * (1.0 + a))),)),
        Rule("acos", math.acos, lambda a, y: (_div(-1.0, _sqrt((1.0 - a) * (1.0 + a))),)),
        Rule("atan", math.atan, lambda a, y: (1.0 / (1.0 + float(a) * a),)),
        Rule(
            "atan2",
            math.atan2,
            lambda a, b, y: (
                _div(_div(b, _hypot(a, b)), _hypot(a, b)),
                _div(_div(-float(a), _hypot(a, b)), _hypot(a, b)),
            ),
        ),
        Rule("sinh", math.sinh, lambda a, y: (_cosh(a),)),
        Rule("cosh", math.cosh, lambda a, y: (_sinh(a),)),
        Rule("log1p", math.log1p, lambda a, y: (_div(1.0, 1.0 + a),)),
        Rule("expm1", math.expm1, lambda a, y: (_exp(a),)),
        Rule("log2", math.log2, lambda a, y: (_div(1.0, a * _LN2),)),
        Rule("log10", math.log10, lambda a, y: (_div(1.0, a * _LN10),)),
        Rule("erf", math.erf, lambda a, y: (_2_SQRTPI * math.exp(-(float(a) * a)),)),
        Rule("erfc", math.erfc, lambda a, y: (-_2_SQRTPI * math.exp(-(float(a) * a)),)),
        Rule("hypot", _hypot, lambda a, b, y: (0.0, 0.0) if y == 0 else (a / y, b / y)),
        Rule(
            "logaddexp",
            logaddexp,
            lambda a, b, y: (0.5, 0.5) if a == b else (sigmoid(a - b), sigmoid(b - a)),
        ),
        Rule("softplus", lambda a: (a if a > 0 else 0.0) + math.log1p(math.exp(-abs(a))), lambda a, y: (sigmoid(a),)),
        Rule("leaky_relu", lambda a, b: a if a > 0 else b * a, lambda a, b, y: (1.0 if a > 0 else float(b),)),
        Rule(
            "elu",
            lambda a, b: a if a > 0 else b * math.expm1(a),
            lambda a, b, y: (1.0 if a > 0 else b * math.exp(a),),
        ),
        Rule(
            "silu",
            lambda a: a * sigmoid(a),
            lambda a, y: (sigmoid(a) * (1.0 + a * (1.0 - sigmoid(a))),),
        ),
        Rule(
            "gelu",
            lambda a: 0.5 * a * math.erfc(-a * _SQRT1_2),
            lambda a, y: (0.5 * math.erfc(-a * _SQRT1_2) + a * (_1_SQRT2PI * math.exp(-0.5 * (float(a) * a))),),
        ),
        Rule(
            "maximum",
            lambda a, b: a if a >= b or a != a else b,
            lambda a, b, y: (_step(a > b, a == b), _step(b > a, a == b)),
        ),
        Rule(
            "minimum",
            lambda a, b: a if a <= b or a != a else b,
            lambda a, b, y: (_step(a < b, a == b), _step(b < a, a == b)),
        ),
        Rule("floor", math.floor, flat),
        Rule("ceil", math.ceil, flat),
        Rule("round", round, flat),
        Rule("sign", sign, flat),
    ]
}


def _rule_of(label):
    return {"+": ADD, "*": MUL, "**": POW, "**n": POWN}.get(label) or RULES[label]


# ---- the class ----


def _node(rule, children, data, constants=()):
    """The result of an operation. `constants` follow the children's data as operands, without being children."""
    y = Value.__new__(Value)
    y._data = data if data.__class__ is float else exact(data)
    y._children = y._operands = children
    y._rule = rule
    if constants:
        y._constants = constants
    return y


def _apply(rule, children, constants=()):
    return _node(rule, children, rule.value(*[child._data for child in children], *constants), constants)


def _leaf(x):
    """A Value for a number in an expression; None if it is no number."""
    x = x if x.__class__ is float else real(x)
    return None if x is None else _node(None, (), x)


def _values(children, what):
    children = tuple(children)
    for child in children:
        if not isinstance(child, Value):
            raise TypeError(f"{what} must be Values, not {type(child).__name__}")
    return children


class Value:
    """A number that remembers how it was computed; see `tapegrad.Value`, which this class defines.

    >>> a, b = Value(2.0), Value(-3.0)
    >>> y = a * b + a ** 2
    >>> y.backward()
    >>> y, a.grad, b.grad
    (Value(data=-2.0, grad=1), 1.0, 2.0)
    """

    label = ""
    _data = _grad = 0  # of a Value that was never initialised
    _children = _operands = _constants = ()  # what `backward` visits; what the rule is about; its constants
    _rule = None  # None for a leaf and for a node of the program's own
    _name = None  # what `_op` shows, where it is not the rule's label
    _partials_given = None  # local derivatives given by the program
    _function = None  # the program's own function for this node, in a tuple

    def __init__(self, data, _children=(), _op="", label=None):
        self._data = number(data, "data")
        self._grad = 0
        self._children = _values(_children, "_children")
        self._operands = self._constants = ()
        self._rule = self._partials_given = self._function = None
        self._name = ""
        if isinstance(_op, (tuple, list)):
            self._local_grads = _op
        else:
            self._op = _op
        if label is not None:
            self.label = label

    @property
    def data(self):
        return self._data

    @data.setter
    def data(self, x):
        self._data = number(x, "data")

    @property
    def grad(self):
        return self._grad

    @grad.setter
    def grad(self, x):
        self._grad = number(x, "grad")

    @property
    def _prev(self):
        return set(self._children)

    @_prev.setter
    def _prev(self, children):
        self._children = _values(children, "_prev")

    @property
    def _op(self):
        if self._name is not None:
            return self._name
        if self._rule is None:
            return ""
        if self._rule is POWN:
            return f"**{self._constants[0]}"
        return "ReLU" if self._rule is RULES["relu"] else self._rule.label

    @_op.setter
    def _op(self, op):
        if not isinstance(op, str):
            raise TypeError(f"_op must be a str, or a tuple of local gradients, not {type(op).__name__}")
        self._name = op

    @property
    def _local_grads(self):
        if self._partials_given is not None:
            return self._partials_given
        return tuple(exact(+d) for d in self._partials()) if self._rule else ()

    @_local_grads.setter
    def _local_grads(self, local_grads):
        given = tuple(number(d, "local gradients") for d in local_grads)
        if len(given) != len(self._children):
            raise ValueError(f"{len(given)} local gradients for {len(self._children)} children")
        self._partials_given = given

    def local_gradients(self):
        """The derivative of this Value by each of its operands, at the current data: pairs of the two, in order.

        The same Value may come twice, as in x * x. Empty for a leaf, and where a function of the program's own does the
        step (`_backward` was replaced): only calling it can tell what it adds, which `tapegrad.explain` does.

        >>> x, y = Value(2.0), Value(-3.0)
        >>> (x * y).local_gradients()
        [(Value(data=2.0, grad=0), -3.0), (Value(data=-3.0, grad=0), 2.0)]
        """
        if self._function is not None:
            return []
        on = self._operands if self._partials_given is None else self._children
        return list(zip(on, self._local_grads))  # noqa: B905 - a replaced _children may be shorter

    @property
    def _backward(self):
        return self._function[0] if self._function else self._pull

    @_backward.setter
    def _backward(self, function):
        self._function = (function,)

    def _pull(self):
        """Add to each operand's grad the local derivative times this node's grad: the chain rule."""
        rule, g = self._rule, self._grad
        if (rule is MUL or rule is ADD) and g and g.__class__ is float and self._partials_given is None:
            a, b = self._operands  # nearly all nodes are these two: written out for speed
            if rule is MUL:
                da, db = b._data, a._data
                a._grad += da * g
                b._grad += db * g
            else:
                a._grad += g
                b._grad += g
            return
        if self._partials_given is not None:
            on, partials = self._children, self._partials_given
        elif rule is None:
            return
        elif rule.partials is flat or (g == 0 and g.__class__ is float):  # a zero adjoint, as below
            for child in self._operands:
                child._grad += 0.0
            return
        else:
            on, partials = self._operands, self._partials()
        for child, d in zip(on, partials):  # noqa: B905 - a replaced _children may be shorter
            if g == 0:  # a zero adjoint always wins: exactly 0 is added, even where d is inf or nan
                child._grad += 0.0 if isinstance(d, float) or isinstance(g, float) else 0
            else:
                child._grad = exact(child._grad + exact(d * g))

    def _partials(self):
        """The local derivatives, one for each operand, at the current data."""
        partials = self._rule.partials(*[child._data for child in self._operands], *self._constants, self._data)
        return partials if self._rule.ints else [float(d) for d in partials]

    def backward(self):
        """Visit what this Value was computed from in depth-first post-order, operands in order; sweep in reverse."""
        order, visited, todo = [], set(), [self]
        while todo:
            v = todo.pop()
            if v is None:  # everything below the next one is in order
                order.append(todo.pop())
            elif id(v) not in visited:
                visited.add(id(v))
                todo += (v, None)
                todo += v._children[::-1]
        self._grad = 1
        for v in reversed(order):
            if v._function is None:
                v._pull()
            else:
                v._function[0]()

    def __add__(self, other):
        if not isinstance(other, Value):
            other = _leaf(other)
            if other is None:
                return NotImplemented
        return _node(ADD, (self, other), self._data + other._data)

    def __mul__(self, other):
        if not isinstance(other, Value):
            other = _leaf(other)
            if other is None:
                return NotImplemented
        return _node(MUL, (self, other), self._data * other._data)

    def __pow__(self, other, modulus=None):
        if modulus is not None:
            raise TypeError("pow() of a Value takes no third argument")
        if isinstance(other, Value):
            return _apply(POW, (self, other))
        other = real(other)
        return NotImplemented if other is None else _apply(POWN, (self,), (other,))

    def __radd__(self, other):
        return NotImplemented if real(other) is None else self + other

    def __rmul__(self, other):
        return NotImplemented if real(other) is None else self * other

    def __rpow__(self, other, modulus=None):
        if modulus is not None:
            raise TypeError("pow() of a Value takes no third argument")
        other = _leaf(other)
        return NotImplemented if other is None else _apply(POW, (other, self))

    def __neg__(self):
        return self * -1

    def __pos__(self):
        return self

    conjugate = __pos__  # numpy's std and var ask for it

    def __sub__(self, other):
        other = other if isinstance(other, Value) else real(other)
        return NotImplemented if other is None else self + (-other)

    def __rsub__(self, other):
        other = real(other)
        return NotImplemented if other is None else other + (-self)

    def __truediv__(self, other):
        if isinstance(other, Value):
            return self * other**-1
        other = real(other)
        return NotImplemented if other is None else self * power(other, -1)

    def __rtruediv__(self, other):
        other = real(other)
        return NotImplemented if other is None else other * self**-1

    def __abs__(self):
        return _apply(RULES["abs"], (self,))

    def __floor__(self):
        return self.floor()

    def __ceil__(self):
        return self.ceil()

    def __round__(self, ndigits=None):
        y = _apply(RULES["round"], (self,)) if ndigits is None else _apply(_ROUND_TO, (self,), (ndigits,))
        y._rule, y._constants = RULES["round"], ()
        return y

    def __lt__(self, other):
        other = other._data if isinstance(other, Value) else _comparable(other)
        return NotImplemented if other is None else self._data < other

    def __le__(self, other):
        other = other._data if isinstance(other, Value) else _comparable(other)
        return NotImplemented if other is None else self._data <= other

    def __gt__(self, other):
        other = other._data if isinstance(other, Value) else _comparable(other)
        return NotImplemented if other is None else self._data > other

    def __ge__(self, other):
        other = other._data if isinstance(other, Value) else _comparable(other)
        return NotImplemented if other is None else self._data >= other

    def __float__(self):
        raise TypeError(
            "a Value is not a float, which would drop its derivative: use v.data for the number, or a "
            "function that knows Values (tapegrad.sin(v) or v.sin() in place of math.sin(v))"
        )

    def __repr__(self):
        return f"Value(data={self._data}, grad={self._grad})"

    def __format__(self, spec):
        return format(self._data, spec) if spec else str(self)

    def __copy__(self):
        y = type(self).__new__(type(self))
        y.__dict__.update(self.__dict__)
        return y

    def __deepcopy__(self, memo):
        """A copy of the whole graph below this Value, without recursion; `memo` has what was copied before."""
        made = []
        for v in _graph(self):
            if id(v) not in memo:
                memo[id(v)] = y = type(v).__new__(type(v))
                memo.setdefault(id(memo), []).append(v)
                made.append((v, y))
        for v, y in made:
            for name, value in v.__dict__.items():
                if name in ("_children", "_operands"):
                    y.__dict__[name] = tuple(memo[id(child)] for child in value)
                elif name == "_function":
                    y._function = value and (_rebound(value[0], memo),)
                else:
                    y.__dict__[name] = value if name in _OURS else copy.deepcopy(value, memo)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        """For pickle, without recursion: a leaf by itself; any other Value with the graph below it."""
        if not self._children and not self._operands and not self._function:
            return _restore_leaf, (type(self),), dict(self.__dict__)
        graph = _graph(self)
        place = {id(v): k for k, v in enumerate(graph)}
        nodes = []
        for v in graph:
            if not v._children and not v._operands and not v._function:
                nodes.append(v)
                continue
            state = dict(v.__dict__)
            for name in ("_children", "_operands"):
                state[name] = [place[id(child)] for child in state.get(name, ())]
            nodes.append((type(v), state))
        return _restore_graph, (nodes,)

    def leaky_relu(self, negative_slope=0.01):
        return _apply(RULES["leaky_relu"], (self,), (number(negative_slope, "negative_slope"),))

    def elu(self, alpha=1.0):
        return _apply(RULES["elu"], (self,), (number(alpha, "alpha"),))


# ---- copies of graphs ----

_OURS = ("_data", "_grad", "_constants", "_rule", "_name", "_partials_given")  # nothing in them needs a deep copy


def _graph(root):
    """The Values that `root` is computed from and `root`, operands first."""
    order, seen, todo = [], set(), [root]
    while todo:
        v = todo.pop()
        if v is None:
            order.append(todo.pop())
        elif id(v) not in seen:
            seen.add(id(v))
            todo += (v, None, *v._operands, *v._children)
    return order


def _rebound(function, memo):
    """A function of a node's own, with the copies in `memo` in place of the Values in its closure."""
    if not isinstance(function, types.FunctionType) or function.__closure__ is None:
        return function

    def cell(old):
        try:
            return types.CellType(memo[id(old.cell_contents)])
        except (ValueError, KeyError):  # an empty cell; something that is not copied
            return old

    cells = tuple(cell(old) for old in function.__closure__)
    y = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, cells)
    y.__kwdefaults__ = function.__kwdefaults__
    return y


def _restore_leaf(cls):
    return cls.__new__(cls)


def _restore_graph(nodes):
    values = [v if isinstance(v, Value) else v[0].__new__(v[0]) for v in nodes]
    for node, v in zip(nodes, values, strict=True):
        if node is not v:
            v.__dict__.update(node[1])
            for name in ("_children", "_operands"):
                v.__dict__[name] = tuple(values[k] for k in node[1][name])
    return values[-1]


_ROUND_TO = Rule("round", lambda a, ndigits: number(round(a, ndigits), "the result of round"), None)


def _comparable(x):
    """A number to compare with: ints of any size as they are."""
    return x if isinstance(x, (float, int)) else real(x)


def _method(rule):
    """The method of a named rule, for one operand or for two."""

    def unary(self):
        return _apply(rule, (self,))

    def binary(self, other):
        other = other if isinstance(other, Value) else Value(number(other, "the other operand"))
        return _apply(rule, (self, other))

    return binary if rule.label in ("atan2", "hypot", "logaddexp", "maximum", "minimum") else unary


for _name, _rule in RULES.items():
    if not hasattr(Value, _name) and _name not in ("abs", "round"):
        setattr(Value, _name, _method(_rule))

# the names under which numpy looks for these in the elements of an object array
for _alias, _name in {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
                      "fabs": "__abs__", "rint": "__round__"}.items():  # fmt: skip
    setattr(Value, _alias, getattr(Value, _name))


# ---- sums and products ----


def sum(iterable, start=0):
    for x in iterable:
        start = start + x
    return start


def prod(iterable, start=1):
    for x in iterable:
        start = start * x
    return start


def dot(xs, ys, start=0):
    for vector in (xs, ys):
        if getattr(vector, "ndim", 1) != 1:
            raise TypeError(f"dot takes two vectors, and this is an array of shape {vector.shape}: use xs @ ys")
    for x, y in zip(xs, ys, strict=False):
        product = x * y
        if getattr(product, "shape", ()):
            raise TypeError(f"dot takes two vectors, and these are of arrays of shape {product.shape}: use xs @ ys")
        start = start + product
    return start
