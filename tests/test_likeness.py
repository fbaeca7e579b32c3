"""Programs with a Value class of their own: `--replace` has them print what they print under python, or refuses."""

import ast
import re
import subprocess
import sys
import textwrap

import pytest

from tapegrad.likeness import Likeness

PYTHON = [sys.executable]
TAPEGRAD = [sys.executable, "-c", "import sys; from tapegrad.__main__ import main; sys.exit(main())", "run"]

# ---- pieces of classes: of closures, of local gradients, and with a backward that goes by the operation's name ----

CLOSURES = """
class Value:
    def __init__(self, data, _children=(), _op=''):
        self.data = data
        self.grad = 0
        self._backward = lambda: None
        self._prev = set(_children)
        self._op = _op

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), '+')
        def _backward():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), '*')
        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = _backward
        return out

    def __pow__(self, other):
        assert isinstance(other, (int, float)), "only int and float exponents"
        out = Value(self.data**other, (self,), f'**{other}')
        def _backward():
            self.grad += (other * self.data**(other - 1)) * out.grad
        out._backward = _backward
        return out

    def relu(self):
        out = Value(0 if self.data < 0 else self.data, (self,), 'ReLU')
        def _backward():
            self.grad += (out.data > 0) * out.grad
        out._backward = _backward
        return out

    def backward(self):
        topo, visited = [], set()
        def build_topo(v):
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build_topo(child)
                topo.append(v)
        build_topo(self)
        self.grad = 1
        for v in reversed(topo):
            v._backward()

    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __sub__(self, other): return self + (-other)
    def __rsub__(self, other): return other + (-self)
    def __rmul__(self, other): return self * other
    def __truediv__(self, other): return self * other**-1
    def __rtruediv__(self, other): return other * self**-1
"""

GRADS = """
import math

class Value:
    __slots__ = ('data', 'grad', '_children', '_local_grads')

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def exp(self):
        e = math.exp(self.data)
        return Value(e, (self,), (e,))

    def log(self):
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def relu(self):
        return Value(max(0, self.data), (self,), (float(self.data > 0),))

    def sigmoid(self):
        s = 1 / (1 + math.exp(-self.data))
        return Value(s, (self,), (s * (1 - s),))

    def backward(self):
        topo, visited = [], set()
        def build_topo(v):
            if v not in visited:
                visited.add(v)
                for child in v._children:
                    build_topo(child)
                topo.append(v)
        build_topo(self)
        self.grad = 1
        for v in reversed(topo):
            for child, local_grad in zip(v._children, v._local_grads):
                child.grad += local_grad * v.grad
"""

NAMED = """
import math

class Value:
    def __init__(self, data, _children=(), _op=""):
        self.data = data
        self.grad = 0
        self._prev = tuple(_children)
        self._op = _op

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), "+")

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), "*")

    def exp(self):
        return Value(math.exp(self.data), (self,), "exp")

    def backward(self):
        topo, visited = [], set()
        def build_topo(v):
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build_topo(child)
                topo.append(v)
        build_topo(self)
        self.grad = 1
        for v in reversed(topo):
            if v._op == "+":
                a, b = v._prev
                a.grad += v.grad
                b.grad += v.grad
            elif v._op == "*":
                a, b = v._prev
                a.grad += b.data * v.grad
                b.grad += a.data * v.grad
            elif v._op == "exp":
                v._prev[0].grad += v.data * v.grad
"""
# A method, and a short graph that its program prints.
REPR = "\n    def __repr__(self):\n        return f'Value(data={self.data}, grad={self.grad})'\n"
SUM = """
a, b = Value(2.5), Value(-3.0)
y = a * b + a * a + b
y.backward()
print(y.data, a.grad, b.grad)
"""


def changed(source, *pairs):
    for old, new in pairs:
        assert old in source, old
        source = source.replace(old, new)
    return source


def call(command, *words):
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=120)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a program into the working directory, which is a fresh one; gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="program.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        return name

    return write


def replaced(script, names="Value"):
    """What it printed, having checked that the class was replaced and the output was python's; and what was said."""
    python, ours = call(PYTHON, script), call(TAPEGRAD, f"--replace={names}", script)
    assert (ours.returncode, ours.stdout) == (0, python.stdout), ours.stderr
    assert "replaced by tapegrad's Value" in ours.stderr and python.stdout
    return ours


def refused(script, *reasons, names="Value"):
    done = call(TAPEGRAD, f"--replace={names}", script)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert [reason for reason in reasons if reason not in done.stderr] == [], done.stderr
    return done.stderr


ALIKE = {
    "micrograd": CLOSURES + REPR + SUM + "print(a, y)\n",
    "the notebook's repr": CLOSURES
    + "\n    def __repr__(self):\n        return f'Value(data={self.data})'\n"
    + SUM
    + "print(a)",
    "repr with helpers of the program's": "DIGITS = 3\ndef short(x): return round(x, DIGITS)\n"
    + CLOSURES
    + "\n    def __repr__(self):\n        return f'<{short(self.data)} | {short(self.grad)}>'\n"
    + SUM
    + "print([a, y])",
    "repr by the class's name": changed(CLOSURES, ("Value", "Scalar"))
    + "\n    def __repr__(self):\n        return f'{type(self).__name__}({self.data})'\n"
    + changed(SUM, ("Value", "Scalar"))
    + "print(a, Scalar, type(y), type(y).__name__)",
    "str and format": CLOSURES + "\n    def __str__(self): return f'<{self.data:.2f}>'\n"
    "    def __format__(self, spec): return 'v' + format(self.data, spec)\n" + SUM + "print(a, f'{y:.3f} {b}')",
    "repr is str": CLOSURES
    + "\n    def __str__(self): return f'<{self.data:.2f}>'\n    __repr__ = __str__\n"
    + SUM
    + "print([a])",
    "repr with op and label": changed(
        CLOSURES, ("_op=''", "_op='', label=None"), ("self._op = _op", "self._op, self.label = _op, label")
    )
    + "\n    def __repr__(self):\n        return f'{self.label}:{self._op}:{self.data}:{len(self._prev)}'\n"
    + SUM
    + "a.label = 'a'\nprint(a, b, y)",
    "label=None": changed(
        CLOSURES, ("_op=''", "_op='', label=None"), ("self._op = _op", "self._op, self.label = _op, label")
    )
    + SUM
    + "print([v.label or 'none' for v in (a, Value(1, label='x'))], a.label is None, y.label is None)",
    "an attribute of its own that nothing else uses": changed(
        CLOSURES, ("_children=()", "children=()"), ("set(_children)", "set(children); self.parents = children")
    )
    + SUM,
    "annotated defaults": changed(
        CLOSURES,
        ("    def __init__", "    data: float = 0\n    grad: float = 0.0\n    _op: str = ''\n    def __init__"),
    )
    + SUM,
    "plain defaults": changed(
        CLOSURES, ("    def __init__", "    data = grad = 0\n    __hash__ = object.__hash__\n    def __init__")
    )
    + SUM,
    "other names": changed(
        CLOSURES,
        ("data, _children=(), _op=''", "value, parents=(), operation=''"),
        ("= data", "= value"),
        ("set(_children)", "set(parents)"),
        ("= _op", "= operation"),
    )
    + SUM,
    "label first": changed(
        CLOSURES,
        ("_children=(), _op=''", "label='', _children=(), _op=''"),
        ("self._op = _op", "self._op, self.label = _op, label"),
        (", (self", ", '', (self"),
    )
    + SUM
    + "print(Value(1.0, label='x').label)",
    "an argument that nobody passes": changed(CLOSURES, ("_op=''", "_op='', requires_grad=True")) + SUM,
    "keyword-only label": changed(
        CLOSURES, ("_op=''", "_op='', *, label=''"), ("self._op = _op", "self._op, self.label = _op, label")
    )
    + SUM
    + "print(Value(1.0, label='x').label)",
    "None for no children": changed(
        CLOSURES, ("_children=()", "_children=None"), ("set(_children)", "set(_children or ())")
    )
    + SUM,
    "backward with a seed that nobody gives": changed(
        CLOSURES,
        ("backward(self):\n        topo", "backward(self, seed=1, retain_graph=False):\n        topo"),
        ("self.grad = 1\n", "self.grad = seed\n"),
    )
    + SUM,
    "tanh of exponentials": GRADS
    + """
    def __neg__(self): return self * -1
    def __sub__(self, other): return self + -other
    def __truediv__(self, other): return self * other**-1
    def __pow__(self, n): return Value(self.data**n, (self,), (n * self.data**(n - 1),))
    def tanh(self):
        e, f = self.exp(), (-self).exp()
        return (e - f) / (e + f)
"""
    + SUM
    + "print(round(a.tanh().data, 9))",
    "a node of its own, of a closure": "import math\n"
    + CLOSURES
    + """
def tanh(x):
    t = math.tanh(x.data)
    out = Value(t, (x,), 'tanh')
    def _backward():
        x.grad += (1 - t * t) * out.grad
    out._backward = _backward
    return out

Value.tanh = tanh
a = Value(0.5)
y = (a * a).tanh() + a
y.backward()
print(y.data, a.grad)
""",
    "a node of its own, of local gradients": GRADS
    + """
def square(x):
    return Value(x.data**2, (x,), (2 * x.data,))

a = Value(1.5)
y = square(a * a) + a
y.backward()
print(y.data, a.grad, [c.data for c in y._children], y._local_grads)
""",
    "backward by name": NAMED + SUM,
    "operands in a tuple": NAMED + SUM + "print([v.data for v in y._prev], y._prev[1] is b, type(y._prev))",
    "operands in a list": changed(NAMED, ("tuple(_children)", "list(_children)"))
    + SUM
    + "print(y._prev[1] is b, type(y._prev))",
    "microgpt": GRADS + SUM + "print(y.exp().data, a.log().data, (a * 0.5).relu().data)",
    "constants of the program's": "NUMBER = (int, float)\n"
    + changed(CLOSURES, ("isinstance(other, (int, float))", "isinstance(other, NUMBER)"))
    + SUM,
    "in-place operators": CLOSURES
    + "    __iadd__ = __add__\n    def __imul__(self, other): return self * other\n"
    + SUM
    + "c = a\nc += b\nc *= 2\nc.backward()\nprint(c is a, c.data, a.grad)",
    "a class grown in a notebook": CLOSURES + SUM + CLOSURES + REPR + SUM + "print(a)",
    "deep copies": "import copy\n"
    + GRADS
    + SUM
    + "c = copy.deepcopy([a, y])\nc[1].backward()\nprint(c[0].grad, c[0] is a, copy.copy(a).data)",
    "a graph walker": CLOSURES
    + SUM
    + """
def trace(root):
    nodes, edges = set(), set()
    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)
    build(root)
    return nodes, edges
nodes, edges = trace(a - b / 2)
print(len(nodes), len(edges), sorted(v._op for v in nodes))
""",
}


@pytest.mark.parametrize("source", ALIKE.values(), ids=ALIKE.keys())
def test_programs_print_what_they_print_under_python(write, source):
    replaced(write(source), names="Scalar" if "class Scalar" in source else "Value")


def relu(value, partial):
    return changed(GRADS, ("max(0, self.data)", value), ("float(self.data > 0)", partial))


def backward(statement):
    return changed(GRADS, ("child.grad += local_grad * v.grad", statement))


TRAPS = {
    # clamps and tails
    "exp of a clamped number": (
        changed(GRADS, ("math.exp(self.data)", "math.exp(max(-20, min(20, self.data)))")),
        "a.exp()",
    ),
    "exp clamped at 50": (changed(GRADS, ("math.exp(self.data)", "math.exp(min(50, self.data))")), "a.exp()"),
    "exp clamped at 700": (changed(GRADS, ("math.exp(self.data)", "math.exp(min(700, self.data))")), "a.exp()"),
    "exp clamped below at -100": (changed(GRADS, ("math.exp(self.data)", "math.exp(max(-100, self.data))")), "a.exp()"),
    "sigmoid clamped at 20": (
        changed(GRADS, ("math.exp(-self.data)", "math.exp(-max(-20, min(20, self.data)))")),
        "a.sigmoid()",
    ),
    "sigmoid clamped at 100": (
        changed(GRADS, ("math.exp(-self.data)", "math.exp(-max(-100, min(100, self.data)))")),
        "a.sigmoid()",
    ),
    "relu6": (relu("min(6, max(0, self.data))", "float(0 < self.data < 6)"), "a.relu()"),
    "relu with slope 1 at 0": (relu("max(0, self.data)", "float(self.data >= 0)"), "a.relu() at a, b = (0.0, 1.0)"),
    "relu with slope 0.5 at 0": (relu("max(0, self.data)", "0.5 * ((self.data > 0) + (self.data >= 0))"), "a.relu()"),
    "relu with a leak": (relu("max(1e-3 * self.data, self.data)", "1.0 if self.data > 0 else 1e-3"), "a.relu()"),
    "log of a clamped number": (changed(GRADS, ("math.log(self.data)", "math.log(max(self.data, 1e-10))")), "a.log()"),
    "log with 1e-12 added": (changed(GRADS, ("math.log(self.data)", "math.log(self.data + 1e-12)")), "a.log()"),
    "log with 1e-8 in the derivative only": (
        changed(GRADS, ("(1 / self.data,)", "(1 / (self.data + 1e-8),)")),
        "a.log()",
    ),
    "division with 1e-8 added": (CLOSURES.replace("self * other**-1", "self * (other + 1e-8)**-1"), "a / b"),
    "division with 1e-12 added": (CLOSURES.replace("self * other**-1", "self * (other + 1e-12)**-1"), "a / b"),
    "division by 0 gives 0": (
        CLOSURES.replace("self * other**-1", "self * (other**-1 if getattr(other, 'data', other) != 0 else 0)"),
        "a / b",
    ),
    "numbers rounded": (changed(GRADS, ("self.data = data", "self.data = round(data, 10)")), "a at a, b"),
    "numbers clamped": (
        changed(GRADS, ("self.data = data", "self.data = max(-1e6, min(1e6, data))")),
        "something else",
    ),
    "products cut off": (
        changed(GRADS, ("Value(self.data * other.data,", "Value(min(1e9, self.data * other.data),")),
        "a * b",
    ),
    # gradients
    **{
        f"gradients clipped at {c}": (
            backward(f"child.grad += max(-{c}, min({c}, local_grad * v.grad))"),
            "something else",
        )
        for c in (1, 5, 10, 50, 100, 1e3, 1e6)
    },
    "sums of gradients clipped": (
        backward("child.grad = max(-10, min(10, child.grad + local_grad * v.grad))"),
        "something else",
    ),
    "gradients clipped in one method": (
        changed(CLOSURES, ("(out.data > 0) * out.grad", "(out.data > 0) * min(10, out.grad)")),
        "a.relu()",
    ),
    "small gradients dropped": (
        backward("child.grad += local_grad * v.grad if abs(v.grad) > 1e-9 else 0"),
        "something else",
    ),
    "gradients overwritten": (backward("child.grad = local_grad * v.grad"), "something else"),
    "root adds to its gradient": (changed(CLOSURES, ("self.grad = 1\n", "self.grad += 1\n")), "something else"),
    "breadth first": (
        changed(
            GRADS,
            (
                "build_topo(self)",
                "topo = [self]\n        for v in topo: topo += [c for c in v._children if c not in topo]\n"
                "        topo.reverse()",
            ),
        ),
        "something else",
    ),
    "no shared nodes": (backward("child.grad += local_grad * v.grad if child.grad == 0 else 0"), "something else"),
    "recursion, which does not add to the gradients between": (
        changed(
            GRADS,
            (
                GRADS[GRADS.index("        topo, visited") :],
                """        self.grad += 1
        def pull(v, g):
            for child, local in zip(v._children, v._local_grads):
                child.grad += local * g
                pull(child, local * g)
        pull(self, 1)
""",
            ),
        ),
        "twice(a * b + a)",
    ),
    # types of results
    "abs is a number": (CLOSURES + "    def __abs__(self): return abs(self.data)\n", "abs(a)"),
    "a comparison is a Value": (
        CLOSURES + "    def __gt__(self, other): return Value(self.data > getattr(other, 'data', other))\n",
        "a > b",
    ),
    "a sum is a number": (CLOSURES + "    def __rsub__(self, other): return other - self.data\n", "2 - a"),
    "in place": (
        CLOSURES
        + "    def __iadd__(self, other):\n        self.data += getattr(other, 'data', other)\n        return self\n",
        "+=",
    ),
    # operations by name
    "rule for a name that nothing makes": (
        changed(NAMED, ('elif v._op == "exp"', 'elif v._op == "tanh"')),
        "nodes named 'tanh'",
    ),
    "rules in a set": (changed(NAMED, ('elif v._op == "exp"', 'elif v._op in ("exp", "log")')), "nodes named 'log'"),
    "rules in a dictionary": (
        changed(
            NAMED,
            ("        topo, visited", "        rules = {'sin': math.cos}\n        topo, visited"),
            ('if v._op == "+":', "if v._op in rules:\n                rules[v._op]\n            elif v._op == '+':"),
        ),
        "nodes named 'sin'",
    ),
    "rules by match": (
        changed(
            NAMED,
            (
                '            elif v._op == "exp":\n                v._prev[0].grad += v.data * v.grad\n',
                '            match v._op:\n                case "cube": v._prev[0].grad += 3\n'
                '                case "exp": v._prev[0].grad += v.data * v.grad\n',
            ),
        ),
        "nodes named 'cube'",
    ),
    "a node made elsewhere of a name with a rule": (
        NAMED + "def exp(x):\n    return Value(math.exp(x.data), (x,), 'exp')\nprint(exp(Value(0.0)))\n",
        "makes a node with operands",
    ),
    "a step that takes an argument": (
        changed(
            CLOSURES,
            ("def _backward():", "def _backward(g):"),
            ("v._backward()", "v._backward(v.grad)"),
            ("lambda: None", "lambda g: None"),
            ("out.grad", "g"),
        )
        + "x = Value(1)\nx._backward = lambda g: print(g)\n",
        "makes a node with operands",
    ),
    # what the program does with it
    "backward's list is used": (
        changed(CLOSURES, ("            v._backward()\n", "            v._backward()\n        return topo\n"))
        + "order = Value(2.0).backward()\n",
        "its backward gives a list",
    ),
    "backward with a seed": (
        changed(
            CLOSURES,
            ("backward(self):\n        topo", "backward(self, seed=1):\n        topo"),
            ("self.grad = 1\n", "self.grad = seed\n"),
        )
        + "Value(1.0).backward(2.0)\n",
        "takes other arguments",
    ),
    "operands changed in place": (
        changed(NAMED, ("tuple(_children)", "list(_children)")) + "Value(1.0)._prev.append(Value(2.0))\n",
        "in place",
    ),
    "a subclass that operators keep": (
        changed(CLOSURES, ("out = Value(", "out = type(self)(")) + "class Parameter(Value): pass\n",
        "instances of a subclass",
    ),
    "decides by names that differ": (
        changed(CLOSURES, ("'ReLU'", "'relu'")) + "print(Value(1.0).relu()._op == 'relu')\n",
        "decides by `_op`",
    ),
    "keyword-only": (
        changed(
            GRADS,
            ("data, children", "data, *, children"),
            ("(self, other), (", "children=(self, other), local_grads=("),
            ("(self,), (", "children=(self,), local_grads=("),
        ),
        "children, local_grads are keyword-only (line 7)",
    ),
    "a keyword that ours has not": (
        changed(CLOSURES, ("_children", "parents")) + "Value(1, parents=())\n",
        "calls it with parents=",
    ),
}


@pytest.mark.parametrize("source, reason", TRAPS.values(), ids=TRAPS.keys())
def test_what_computes_something_else_is_refused_with_the_reason(write, source, reason):
    said = refused(write(source), reason)
    assert re.search(r"program\.py:\d+: class Value cannot be replaced", said)
    assert "clip" not in reason or len(said.splitlines()) < 12


# ---- notes ----


def test_a_division_that_rounds_differently_is_said(write):
    division = """
    def __truediv__(self, other):
        out = Value(self.data / other.data, (self, other), '/')
        def _backward():
            self.grad += out.grad / other.data
            other.grad -= out.grad * self.data / other.data**2
        out._backward = _backward
        return out
"""
    source = CLOSURES[: CLOSURES.index("    def __truediv__")] + division + "print((Value(1.0) / Value(4.0)).data)\n"
    said = replaced(write(source)).stderr
    assert "ours divides as a * b**-1, which rounds twice: a / b has [0.7142857142857143" in said


def test_where_ours_goes_on_or_takes_more_is_said(write):
    tanh = """
    def tanh(self):
        t = (math.exp(2 * self.data) - 1) / (math.exp(2 * self.data) + 1)
        return Value(t, (self,), (1 - t**2,))
"""
    said = replaced(write(GRADS + tanh + SUM)).stderr
    assert "it raises an error: a.sigmoid(), a.tanh() (OverflowError at (" in said
    said = replaced(write(CLOSURES + SUM)).stderr
    assert "ours takes more than it does: a ** b (AssertionError)" in said


def test_graphs_that_look_otherwise_are_said_where_the_program_looks(write):
    named = changed(CLOSURES, ("'ReLU'", "'relu'"))
    assert "nodes differ" not in replaced(write(named + SUM)).stderr
    said = replaced(write(named + SUM + "print(y._op)\n")).stderr
    assert "the program looks at _op, and nodes differ: a.relu() is relu(leaf), ours ReLU(leaf)" in said


def test_a_repr_that_ours_cannot_show_is_said(write):
    source = changed(CLOSURES, ("self._op = _op", "self._op = _op\n        self._id = 7"))
    said = call(TAPEGRAD, "--replace=Value", write(source + "\n    def __repr__(self): return f'{self._id}'\n")).stderr
    assert "its own __repr__ cannot be kept: it raises AttributeError" in said
    assert "repr() of one gives Value(data=2.5, grad=0), was 7" in said


def test_two_classes_that_print_themselves_differently_are_refused(write):
    source = CLOSURES + REPR + changed(CLOSURES + REPR, ("Value", "Scalar"))
    said = refused(write(source), names="Value,Scalar")
    assert "py:2: class Value and " in said and "py:67: class Scalar print themselves differently" in said
    assert replaced(write(source + "print(Value(1))\n")).returncode == 0


# ---- what the program around the class does ----

DESCENT = """
for _ in range(3):
    {}
    y.backward()
    for p in (a, b): p.data -= 0.125 * p.grad
print(y.data, a.grad)
"""


@pytest.mark.parametrize(
    "use",
    [
        "c = a * b\na.data = 10.0\nc.backward()\n",
        "def f():\n    c = a * b\n    for p in [a]: p.data += 1\n    (c).backward()\n",
        "y = a * b\n" + DESCENT.format("a.grad = b.grad = 0"),
    ],
    ids=["in a row", "in a function", "a loss that is built once"],
)
def test_data_assigned_before_backward_is_refused_where_gradients_are_those_of_the_forward(write, use):
    source = "a, b = Value(2.0), Value(3.0)\n" + use
    said = refused(write(GRADS + source), "its gradients are those at the numbers of the forward, with ours those at")
    assert re.search(r"line \d+ calls backward of [cy], which was computed before line \d+ assigns data", said)
    if "def" not in source:
        replaced(
            write(CLOSURES + source + "print(a.grad, b.grad)\n")
        )  # its gradients are those of the backward, as ours


def test_data_assigned_where_it_may_come_before_backward_is_said(write):
    use = "a, b = Value(2.0), Value(3.0)\n" + DESCENT.format("y = a * b")
    said = replaced(write(GRADS + use)).stderr
    assert re.search(r"if data is assigned between a forward and its backward \(line \d+ assigns some\)", said)
    assert "in a * b, a.exp(), a.log(), a.relu(), a.sigmoid(); --compare shows whether that happens" in said
    assert "forward" not in replaced(write(CLOSURES + use)).stderr + replaced(write(GRADS + SUM)).stderr
    tried = "y = a * b\na.data += 1\nup = a * b\na.data -= 1\ny.backward()\nprint(up.data, a.grad)\n"
    assert "assigns some" in replaced(write(GRADS + "a, b = Value(2.0), Value(3.0)\n" + tried)).stderr
    later = "y = a * b\ndef step(): a.data -= 1\ny.backward()\nstep()\nprint(y.data, a.grad)\n"
    assert "assigns some" in replaced(write(GRADS + "a, b = Value(2.0), Value(3.0)\n" + later)).stderr


LEAKY = """
    def {}(self, alpha=0.01, *, beta=1):
        out = Value(self.data if self.data > 0 else alpha * self.data, (self,), 'leaky')
        def _backward():
            self.grad += (1.0 if self.data > 0 else {}) * out.grad
        out._backward = _backward
        return out
"""


@pytest.mark.parametrize("passed", ["0.2", "slope"])
def test_what_the_program_passes_for_arguments_with_defaults_is_tried(write, passed):
    use = "slope = 0.2\na = Value(-2.0)\nb = a.{}({})\nb.backward()\nprint(b.data, a.grad)\n"
    ours_has, new = use.format("leaky_relu", passed), use.format("leaky", f"alpha={passed}")
    refused(
        write(CLOSURES + LEAKY.format("leaky_relu", "0.01") + ours_has), "something else: a.leaky_relu(0.2) at a, b"
    )
    for slope, name, program in (("alpha", "leaky_relu", ours_has), ("0.01", "leaky", new)):
        replaced(write(CLOSURES + LEAKY.format(name, slope) + program))
    kind = "    def kind(self, of=None): return 1 if of is None else str(Value)\n"
    replaced(write(CLOSURES + kind + "print(Value(1).kind())\n"))
    refused(write(CLOSURES + kind + f"slope = 0\nprint(Value(1).kind({passed}))\n"), "otherwise: a.kind(0.2)"[11:])


def test_an_optional_argument_that_cannot_be_tried_is_refused(write):
    method = "    def read(self, of=None): return self.data if of is None else of[self.data]\n"
    replaced(write(CLOSURES + method + "print(Value(1).read())\n"))
    refused(write(CLOSURES + method + "d = {1: 2}\nprint(Value(1).read(d))\n"), "it cannot be tried: a.read(0.2) and")


def test_what_comes_out_otherwise_at_nan_and_infinity_is_said(write):
    said = replaced(write(GRADS + SUM)).stderr  # max(0, nan) is 0
    assert "at nan and infinity it computes something else: a.relu() at a, b = (nan, 1.0)" in said
    masked = changed(CLOSURES, ("Value(0 if self.data < 0 else self.data,", "Value(self.data * (self.data > 0),"))
    assert "something else: a.relu() at a, b = (-inf, 2.0)" in replaced(write(masked + SUM)).stderr
    assert "infinity" not in replaced(write(CLOSURES + SUM)).stderr


def test_an_operation_that_gives_its_operand_is_said(write):
    source = changed(
        CLOSURES, ("    def relu(self):\n", "    def relu(self):\n        if self.data > 0: return self\n")
    )
    said = replaced(write(source + SUM)).stderr
    assert "a.relu() at (0.5, -1.25) is a itself, ours a new Value: another backward from it" in said
    source = changed(CLOSURES, ("self, other): return self + other", "self, o): return self if o == 0 else self + o"))
    assert "0 + a at (0.5, -1.25) is a itself" in replaced(write(source + SUM)).stderr
    assert "itself" not in replaced(write(CLOSURES + SUM)).stderr


KEEPS = {
    "a property": "class P(Value):\n    @property\n    def grad(self): return 0\n    @grad.setter\n"
    "    def grad(self, x): pass\n",
    "__setattr__": "class P(Value):\n    def __setattr__(self, name, x): super().__setattr__(name, x)\n",
    "a default": "class Q(Value): pass\nclass P(Q):\n    data = 1\n",
}


@pytest.mark.parametrize("derived", KEEPS.values(), ids=KEEPS.keys())
def test_a_derived_class_that_has_a_say_in_data_and_gradients_is_refused(write, derived):
    said = refused(write(CLOSURES + derived + "print(P(2.0).grad)\n"), "in P, derived from it; ours does not heed that")
    assert said.count("does not heed") == 1
    refused(write(CLOSURES + "Value.grad = property(lambda self: 0)\n"), "sets grad of the class")
    replaced(write(CLOSURES + "class P(Value):\n    units: int\n    def double(self): return self * 2\n"
                   "print(P(2.0).double().data)\n"))  # fmt: skip


@pytest.mark.parametrize("read", ["vars(w)", "w.__dict__", "json.dumps([w], default=lambda o: o.__dict__['data'])"])
def test_a_dictionary_that_may_be_of_a_value_is_refused(write, read):
    source = f"import json\n{{}}w = Value(2.0)\nprint(str({read})[:0], 1)\n"
    refused(write(source.format(CLOSURES)), "reads a __dict__, which is that of a Value perhaps")
    done = call(TAPEGRAD, "--replace=Value", write(source.format(GRADS)))  # has none
    assert "replaced by tapegrad's Value" in done.stderr


def test_dictionaries_of_other_things_are_not_refused(write):
    replaced(
        write(
            "import argparse, math\n"
            + CLOSURES
            + SUM
            + "class Config:\n    def __init__(self):\n        self.rate = 1\n"
            "    def show(self): return self.__dict__\n"
            "config = Config()\nargs = argparse.ArgumentParser().parse_args([])\ndef main(args): print(vars(args))\n"
            "main(args)\nprint(config.show(), vars(config), vars(Config()), 'e' in vars(math), 'relu' in vars(Value))\n"
            "print(len(vars()) > 3, len(Config.__dict__) > 1)\n"
        )
    )


def test_attributes_that_ours_has_besides_are_said_where_the_program_asks_for_them(write):
    ask = "print(1 if hasattr(a, 'relu') or hasattr(Value, 'tanh') or getattr(a, 'exp', None) else 1)\n"
    said = replaced(write(CLOSURES + SUM + ask)).stderr
    assert re.search(r"asks whether there is exp \(line \d+\), tanh \(line \d+\): ours has it, the class has not", said)
    said = replaced(write(CLOSURES + SUM + "print(1 + 0 * hasattr(a, 'ta' + 'nh'))\n")).stderr
    assert " asks for attributes by computed names: ours has more than the class" in said
    said = replaced(
        write("import math\n" + CLOSURES + SUM + "print(hasattr(math, 'exp'), hasattr(a, 'data'))\n")
    ).stderr
    assert "asks" not in said


def test_texts_that_have_nothing_to_do_with_operations_are_no_rules(write):
    show = """
    def info(self, style="short", reduction="mean"):
        name = "x".strip()
        if name.startswith("_") or style == "long" or {"wide": 1}.get(style) or reduction in ("sum", "mean"):
            return "info"
        return self.data
"""
    replaced(write(CLOSURES + show + SUM + "print(a.info())\n"))
    renamed = changed(NAMED, ("_op=", "kind="), ("self._op = _op", "self.kind = kind"), ("v._op", "v.kind"))
    refused(write(changed(renamed, ('v.kind == "exp"', 'v.kind == "tanh"'))), "nodes named 'tanh'")
    step = changed(NAMED, ("            if v._op ==", "            kind = v._op\n            if kind =="),
                   ('elif v._op == "exp"', 'elif kind.startswith("tan")'))  # fmt: skip
    refused(write(step), "nodes named 'tan'")


def test_a_clamp_is_named_three_times_and_counted(write):
    clamped = changed(CLOSURES, ("other.data * out.grad", "min(1, other.data) * out.grad"))
    said = refused(write(clamped))
    assert said.count("it computes something else") == 3 and re.search(r"  - and \d+ more such difference", said)
    clamped = changed(CLOSURES, ("self.data = data", "self.data = min(4, data)"))
    said = refused(write(clamped), "something else: a at a, b = (5.0, 7.0)")
    assert said.count("it computes something else") == 1


def test_refusals_of_two_classes_begin_alike_and_name_the_way_out(write):
    source = changed(GRADS, ("max(0, self.data)", "max(1, self.data)"))
    said = refused(write(source + changed(source, ("Value", "Scalar"))), names="Value,Scalar")
    assert len(re.findall(r"^tapegrad run: .*cannot be replaced", said, re.MULTILINE)) == 2
    assert said.endswith("leaves a class of the program's own as it is\nnothing was run\n")


def test_the_docstring_goes_with_the_class(write):
    source = changed(CLOSURES, ("class Value:\n", 'class Value:\n    """Mine.\n\n    >>> 1 + 1\n    2\n    """\n'))
    replaced(write(source + "import doctest\nprint(Value.__doc__, doctest.testmod().failed)\n"))
    replaced(write(CLOSURES + "print(Value.__doc__)\n"))


# ---- pickles ----

SAVE = """
import os, pickle, sys
{0}
if sys.argv[1] == "save":
    with open("saved", "wb") as file:
        pickle.dump({1}, file)
else:
    with open("saved", "rb") as file:
        saved = pickle.load(file)
    {2}
"""
NO_TAPEGRAD = [sys.executable, "-c", "import runpy, sys; sys.modules['tapegrad'] = None; del sys.argv[0]; "
               "runpy.run_path(sys.argv[0], run_name='__main__')"]  # fmt: skip


def saved_and_read(write, what, show, source):
    """What is read and shown: saved by python and read under `--replace`, and the other way round, without tapegrad."""
    script = write(SAVE.format(source, what, show))
    ours = [*TAPEGRAD, "--replace=Value"]
    found = []
    for save, load in ((PYTHON, ours), (ours, NO_TAPEGRAD), (ours, ours), (PYTHON, PYTHON)):
        done = call(save, script, "save")
        assert done.returncode == 0, done.stderr
        with open("saved", "rb") as file:
            assert b"tapegrad" not in file.read()
        done = call(load, script, "load")
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    return found


WITHOUT_FUNCTIONS = changed(CLOSURES, ("self._backward = lambda: None", "self._backward = None"),
                            ("            v._backward()", "            if v._backward: v._backward()"))  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        GRADS,
        changed(GRADS, ("    __slots__ = ('data', 'grad', '_children', '_local_grads')\n", "")),
        NAMED,
        WITHOUT_FUNCTIONS,
    ],
    ids=["slots", "local gradients", "by name", "no functions"],
)
def test_what_is_pickled_under_replace_is_read_by_the_plain_program(write, source):
    show = "print(saved[0].data, saved[1] is saved[0], type(saved[0]), (saved[0] * saved[2]).data)"
    found = saved_and_read(write, "[w := Value(2.5), w, Value(3)]", show, source)
    assert found == ["2.5 True <class '__main__.Value'> 7.5\n"] * 4


def test_a_graph_that_is_pickled_is_read_by_the_plain_program(write):
    show = "saved[1].backward(); print(saved[0].grad, saved[1].data, len(saved[1]._children))"
    found = saved_and_read(write, "[w := Value(2.5), w * w + w]", show, GRADS)
    assert found == ["6.0 8.75 2\n"] * 4


def test_attributes_of_the_programs_are_pickled(write):
    make = "def make():\n    w = Value(2.5)\n    w.m, w.name = 0.25, 'w'\n    w.grad = 3.0\n    return w\n"
    found = saved_and_read(write, "make()", "print(saved.m, saved.name, saved.grad)", NAMED + make)
    assert found == ["0.25 w 3.0\n"] * 4


def test_pickles_that_the_plain_program_could_not_read_are_refused(write):
    ours = [*TAPEGRAD, "--replace=Value"]
    done = call(ours, write(SAVE.format(CLOSURES, "Value(2.5)", "")), "save")
    assert done.returncode == 1 and "_pickle.PicklingError" in done.stderr.replace("\npickle.", "\n_pickle.")
    assert "its attribute _backward is a function" in done.stderr and "[p.data for p in parameters]" in done.stderr
    done = call(ours, write(SAVE.format(NAMED, "Value(2.5) * Value(3.0)", "")), "save")
    assert done.returncode == 1 and "this one was computed from others" in done.stderr
    assert call(PYTHON, write(SAVE.format(NAMED, "Value(2.5) * Value(3.0)", "")), "save").returncode == 0
    done = call(ours, "program.py", "load")
    assert done.returncode == 1 and "cannot tell from a pickle how" in done.stderr


def test_copies_go_on_working_where_pickles_are_refused(write):
    show = "c = copy.deepcopy([a, y]); c[1].backward(); print(c[0].grad, copy.copy(a).data)"
    done = call([*TAPEGRAD, "--replace=Value"], write("import copy\n" + CLOSURES + SUM + show))
    assert done.stdout.splitlines()[1] == "8.0 2.5" and done.returncode == 0


def test_multiprocessing_gives_what_python_gives(write):
    replaced(
        write(
            "import multiprocessing\n" + NAMED + "def double(v): return Value(2 * v.data)\n"
            "if __name__ == '__main__':\n"
            "    for way in ('fork', 'spawn'):\n"
            "        with multiprocessing.get_context(way).Pool(1) as pool:\n"
            "            print([v.data for v in pool.map(double, [Value(1), Value(2.5)])])\n"
        )
    )


def test_joblib_gives_what_python_gives_or_says_which_backend_does(write):
    pytest.importorskip("joblib")
    source = (
        "import joblib\n" + NAMED + "def double(v): return Value(2 * v.data)\n"
        "joblib.dump([Value(2.5)], 'saved'); print(joblib.load('saved')[0].data)\n"
        "for backend in {}:\n"
        "    parallel = joblib.Parallel(n_jobs=2, backend=backend)\n"
        "    print([v.data for v in parallel(joblib.delayed(double)(Value(i)) for i in range(3))])\n"
    )
    replaced(write(source.format(["multiprocessing", "threading"])))
    said = call([*TAPEGRAD, "--replace=Value"], write(source.format(["loky"]))).stderr
    assert "cannot be sent by value" in said and "backend='multiprocessing'" in said


def test_the_reference_core_stands_in_as_well(write, monkeypatch):
    monkeypatch.setenv("TAPEGRAD_PURE", "1")
    for source in (CLOSURES + REPR, GRADS, NAMED):
        replaced(write(source + SUM + "print(y.data, type(y))\n"))


def test_what_other_files_of_the_program_do_with_it_counts():
    tree = ast.parse(NAMED)
    node = next(n for n in tree.body if isinstance(n, ast.ClassDef))
    assert Likeness(node, tree).differences == []
    other = ast.parse("from program import Value\ny = Value(0.5, (x,), 'sigmoid')\nValue(1)._prev.append(x)\n")
    found = Likeness(node, tree, {"layers.py": other}).differences
    assert found == ["layers.py:3 changes _prev in place; what ours gives is a copy"]
    del other.body[2]
    assert "layers.py:2 makes a node with operands" in Likeness(node, tree, {"layers.py": other}).differences[0]


def test_a_node_that_ours_would_not_know_is_an_error_where_the_text_did_not_show_it(write):
    write("class Sub: pass\ndef make(cls, x): return cls(x.data, (x,), 'sigmoid')\n", "other.py")
    done = call(TAPEGRAD, "--replace=Value", write(NAMED + "import other\nother.make(Value, Value(2.0))\n"))
    assert done.returncode == 1 and "TypeError: Value: its backward does not take a node's own" in done.stderr
