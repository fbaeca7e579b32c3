"""A program of a user's: micrograd's, with the import changed; operators, comparisons, functions, formatting."""

import pickle
import random
from typing import assert_type

import tapegrad as tg
from tapegrad import Value
from tapegrad.engine import Value as EngineValue
from tapegrad.nn import MLP

a, b = Value(-4.0), EngineValue(2)
assert_type(a, Value)
assert_type(b, Value)

# operators with numbers of every kind on both sides
assert_type(a + b, Value)
assert_type(a + 1, Value)
assert_type(1 + a, Value)
assert_type(a * 2.5, Value)
assert_type(2.5 * a, Value)
assert_type(a - True, Value)
assert_type(1.0 - a, Value)
assert_type(a / b, Value)
assert_type(10.0 / a, Value)
assert_type(a**2, Value)
assert_type(2**b, Value)
assert_type(b**a, Value)
assert_type(-a, Value)
assert_type(+a, Value)
assert_type(abs(a), Value)
assert_type(round(a, 2), Value)
b += 1
assert_type(b, Value)

# comparisons are by value, and give bools
assert_type(a < b, bool)
assert_type(a >= 0.0, bool)
assert_type(0 < b, bool)
assert_type(max(a, b), Value)
assert_type(sorted([a, b]), list[Value])
seen: set[Value] = {a, b}

# methods, and functions of what may be a number or a Value
assert_type(a.tanh().exp().relu(), Value)
assert_type(a.leaky_relu(0.1).maximum(0.0), Value)
assert_type(tg.exp(a), Value)
assert_type(tg.exp(0.5), float)
assert_type(tg.exp(1), float)
assert_type(tg.maximum(a, 0.0), Value)
assert_type(tg.maximum(1.0, b), Value)
assert_type(tg.hypot(3.0, 4.0), float)
assert_type(tg.to_int(a), int)


def either(x: Value | float) -> Value | float:
    return tg.tanh(x)


# the sweep, and what comes of it
loss = sum([a * b, b**2], Value(0.0))
assert_type(loss, Value)
loss.backward()
text: str = f"{a.data:.4f} {a.grad:+.1e} {a:.3f} {a!r}"
a.data -= 0.1 * a.grad
a.grad = 0
a.label = "a"
children: set[Value] = a._prev
op: str = a._op
again = pickle.loads(pickle.dumps(a))


def custom(x: Value) -> Value:
    """A node with a derivative of one's own, as in the lecture."""
    out = Value(x.data * 2, (x,), "double")

    def backward() -> None:
        x.grad += 2 * out.grad

    out._backward = backward
    return out


class Tracked(Value):
    """A subclass with an attribute and a method."""

    def __init__(self, data: float, name: str) -> None:
        super().__init__(data)
        self.name = name

    def shout(self) -> str:
        return f"{self.name.upper()} {self.data}"


tracked = Tracked(1.0, "x")
assert_type(tracked.shout(), str)
assert_type(tracked * 2, Value)
assert_type(custom(tracked), Value)

# micrograd's training loop
random.seed(1)
model = MLP(2, [4, 1])
points = [[random.uniform(-1, 1), random.uniform(-1, 1)] for _ in range(8)]
targets = [1.0 if x * y > 0 else -1.0 for x, y in points]
for _ in range(2):
    scores: list[Value] = [model([Value(x) for x in point]) for point in points]
    losses = [(1 + -y * score).relu() for y, score in zip(targets, scores, strict=True)]
    total = sum(losses, Value(0)) / len(losses) + 1e-4 * sum((p * p for p in model.parameters()), Value(0))
    assert_type(total, Value)
    model.zero_grad()
    total.backward()
    for p in model.parameters():
        assert_type(p, Value)
        p.data -= 0.1 * p.grad
print(text, len(children), op, len(seen), again.data, either(0.0))
