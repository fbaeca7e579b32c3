"""Programs whose class has methods that ours has not: `--replace` takes them over where they can be tried."""

import pytest
from test_likeness import CLOSURES, GRADS, SUM, call, changed, refused, replaced, write
from test_run import TAPEGRAD

__all__ = ["write"]  # the fixture

ZERO_GRAD = """
    def zero_grad(self):
        self.grad = 0
        for child in self._prev:
            child.zero_grad()
"""
TOPOLOGY = """
    def zero_grad(self):
        for v in self._sorted():
            v.grad = 0

    def _sorted(self, order=None):
        order = [] if order is None else order
        stack, seen = [self], set()
        while stack:
            v = stack.pop()
            if v not in seen:
                seen.add(v)
                order.append(v)
                stack.extend(v._prev)
        return order
"""
SQUARED = """
    def mse(self, target):
        difference = self - target
        return difference * difference

    def item(self):
        return float(self.data)

    def to(self, device):
        return self

    def is_small(self):
        return abs(self.data) < EPS
"""
SOFTMAX = """
    def softmax(self, others):
        return self / sum(others)

    def clip(self, low, high):
        return self if low < self.data < high else Value(min(max(self.data, low), high), (self,), 'clip')
"""
CUBE = """
    def cube(self):
        out = Value(self.data**3, (self,), 'cube')
        def _backward():
            self.grad += 3 * self.data**2 * out.grad
        out._backward = _backward
        return out
"""
STATIC = """
    @staticmethod
    def ensure(x):
        return x if isinstance(x, Value) else Value(x)

    @property
    def value(self):
        return self.data

    def plus(self, other):
        return self + self.ensure(other)
"""
CUBE_OF_GRADS = "    def cube(self): return Value(self.data**3, (self,), (3 * self.data**2,))\n"
GO = {
    "zero_grad": CLOSURES + ZERO_GRAD + SUM
    + "y.zero_grad()\nprint(a.grad, b.grad, y.grad)\ny.backward()\nprint(a.grad)\n",
    "zero_grad by a helper": CLOSURES + TOPOLOGY + SUM + "y.zero_grad()\nprint(a.grad, b.grad, y.grad)\n",
    "mse, item, to": "EPS = 1e-6\n" + CLOSURES + SQUARED + SUM
    + "z = y.mse(3).to('cpu')\nz.backward()\nprint(z.item(), a.grad, a.is_small(), (a - a).is_small())\n",
    "softmax, clip": CLOSURES + SOFTMAX + SUM + "z = y.softmax([a, b, y]).clip(0.1, 2)\nprint(z.data)\n",
    "an operation of its own": CLOSURES + CUBE + SUM
    + "z = (y * a.cube()).cube()\nz.backward()\nprint(z.data, a.grad)\n",
    "static methods and properties": CLOSURES + STATIC + SUM + "print(a.plus(2).value, Value.ensure(1).value)\n",
    "one with local gradients": GRADS + CUBE_OF_GRADS + SUM
    + "z = (y * a.cube()).cube()\nz.backward()\nprint(z.data)\n",
}  # fmt: skip


@pytest.mark.parametrize("source", GO.values(), ids=GO.keys())
def test_methods_that_ours_has_not_go_with_the_class(write, source):
    assert "; kept " in replaced(write(source)).stderr


STAY = {
    "a dictionary": ("    def get(self, names): return self * names['w']\n",
                     "it cannot be tried: a.get(b) and a.get(2) and a.get([a, b]) fail"),
    "three arguments": ("    def f(self, x, y, z): return self.data\n", "it cannot be tried"),
    "an attribute": ("    def name(self): return self._name\n", "method name (line 63): tapegrad's Value has none of "
                     "this name, and it cannot go with the class: it uses ._name"),
    "a decorator": ("    @classmethod\n    def zero(cls): return cls(0)\n", "a decorator, @classmethod"),
    "a special method": ("    def __float__(self): return float(self.data)\n", "a special method"),
    "output": ("    def show(self): print(self.data)\n", "uses print"),
    "a generator": ("    def nodes(self): yield self\n", "it cannot be tried: a.nodes() fails"),
    "the class's name": ("    def kind(self): return str(Value)\n", "with ours it does something else: a.kind()"),
    "a helper that stays": ("    def f(self): return self._g()\n    def _g(self): return self._h\n", "it uses ._g"),
    "operands in place": ("    def forget(self): self._prev.clear()\n", "changes _prev in place"),
    "super": ("    def kin(self): return super().__init__\n", "it uses super"),
}  # fmt: skip


USED = "getattr(Value(1), 'da' + 'ta')\n"  # so that anything may be used


@pytest.mark.parametrize("method, reason", STAY.values(), ids=STAY.keys())
def test_methods_that_cannot_be_tried_or_do_something_else_are_refused(write, method, reason):
    refused(write(CLOSURES + method + USED), reason)


def test_methods_that_only_the_class_uses_may_go(write):
    wrap = "    @staticmethod\n    def wrap(x): return x if isinstance(x, Value) else Value(x)\n"
    wrap += "    @classmethod\n    def _zero(cls): return cls(0)\n    def never(self): return self._hidden\n"
    source = CLOSURES.replace("other if isinstance(other, Value) else Value(other)", "self.wrap(other)") + wrap
    source += "    def softmax(self, of): return [self / sum(of.x)]\n"
    said = replaced(write(source + SUM)).stderr
    assert "; kept wrap\n" in said and "nothing but the class itself uses never, softmax: left out\n" in said


def test_lists_that_come_of_sets_are_the_same_in_any_order(write):
    source = CLOSURES + "    def nodes(self): return [*{self, *self._prev}]\n" + SUM + "print(len(y.nodes()))\n"
    for _ in range(5):
        replaced(write(source))


def test_nothing_is_left_of_a_trial(write):
    script = f"import ast\nfrom tapegrad.likeness import Likeness\ntree = ast.parse({CLOSURES + ZERO_GRAD + USED!r})\n"
    script += "from tapegrad import Value\nit = Likeness(tree.body[0], tree)\n"
    script += "print(it.differences, [*it.extras], hasattr(Value, 'zero_grad'))\n"
    assert call([TAPEGRAD[0]], write(script)).stdout == "[] ['zero_grad'] False\n"


def test_two_classes_with_different_methods_of_one_name_are_refused(write):
    item = "    def item(self): return self.data\n"
    use = "print(Value(1).item(), Scalar(2).item())\n"
    other = changed(CLOSURES, ("Value", "Scalar"))
    said = refused(write(CLOSURES + item + other + item.replace("self.data", "-self.data") + use), names="Value,Scalar")
    assert "class Scalar have different methods item, and one Value cannot stand in for both" in said
    replaced(write(CLOSURES + item + other + item + use), names="Value,Scalar")
    assert replaced(write(CLOSURES + item + other + "print(Value(1).item())\n"), names="Value,Scalar")
