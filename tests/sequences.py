"""Random sequences of everything that a program can do to Values, on both cores side by side.

As a script: python tests/sequences.py --count 100000 --seed 1
It prints the seed of the first sequence in which the cores differ, with its steps, and exits with status 1.
"""

import argparse
import copy
import gc
import math
import pickle
import random
import sys

from tapegrad import reference, value
from tapegrad.tape import tape

UNARY = ["exp", "log", "tanh", "sigmoid", "sqrt", "sin", "relu", "softplus", "floor", "sign", "__abs__", "erf", "atan"]
BINARY = ["__add__", "__sub__", "__mul__", "__truediv__", "__pow__", "__radd__", "__rsub__", "__rmul__",
          "__rtruediv__", "__rpow__", "maximum", "hypot", "atan2", "logaddexp"]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 3, True, 0.5, -0.5, 1.25, -2.0, 0.0, -0.0, 1e300, math.inf, math.nan, 2**53, 1e-320]
EXPECTED = (ZeroDivisionError, ValueError, OverflowError, TypeError, AttributeError, RuntimeError, pickle.PicklingError)


class ReferenceSub(reference.Value):
    pass


class CompiledSub(value.Value):
    pass


class StopError(RuntimeError):
    pass


class World:
    """One core with the variables of a program that runs on it."""

    def __init__(self, core, sub):
        self.core, self.V, self.Sub = core, core.Value, sub
        self.values = [core.Value(1.5), core.Value(2)]
        self.log = []

    def at(self, k):
        return self.values[k % len(self.values)]

    def keep(self, v):
        self.values.append(v)
        if len(self.values) > 12:
            del self.values[0]

    # each action takes numbers only, so that both worlds do the same

    def leaf(self, x, k):
        self.keep(self.Sub(x) if k % 7 == 0 else self.V(x))

    def unary(self, name, k):
        self.keep(getattr(self.at(k), name)())

    def binary(self, name, k, other, number):
        by_number = other is None or name.startswith("__r")
        y = getattr(self.at(k), name)(number if by_number else self.at(other))
        if y is NotImplemented:
            raise TypeError
        self.keep(y)

    def reduce(self, name, ks, number):
        items = [self.at(k) if k % 4 else number for k in ks]
        self.keep(
            self.V(1.0) * (self.core.dot(items, items[::-1]) if name == "dot" else getattr(self.core, name)(items))
        )

    def closure(self, ks, kind):
        children = tuple(self.at(k) for k in ks)
        log, new = self.log, self.V
        out = self.V(0.25 + sum(c.data for c in children if abs(c.data) < 1e3), children, "own")

        def _backward():
            for c in children:
                c.grad += 0.5 * out.grad
            if kind == 1:
                raise StopError
            if kind == 2:
                log.append(repr(out.grad))
            if kind == 3:
                inner = new(2.0)
                (inner * inner + 1.0).backward()
                log.append(repr(inner.grad))

        out._backward = _backward
        self.keep(out)

    def local_grads(self, ks, xs):
        self.keep(self.V(1.0, tuple(self.at(k) for k in ks), tuple(xs[: len(ks)])))

    def wrap_backward(self, k):
        v, log = self.at(k), self.log
        before = v._backward

        def wrapped():
            log.append("wrapped")
            before()

        v._backward = wrapped

    def set_prev(self, k, ks):
        self.at(k)._prev = tuple(self.at(j) for j in ks)

    def set_op(self, k, op):
        self.at(k)._op = op

    def set_attribute(self, k, name, kind, j):
        v = self.at(k)
        setattr(v, name, [0.5, "text", [1, 2], v, self.at(j), (self.at(j),)][kind])

    def set_inner_attribute(self, k, name, kind):
        for child in self.at(k)._children:
            setattr(child, name, ["inner", [3]][kind])

    def del_attribute(self, k, name):
        delattr(self.at(k), name)

    def set_data(self, k, x):
        self.at(k).data = x

    def set_grad(self, k, x):
        self.at(k).grad = x

    def again(self, k, x):
        self.at(k).__init__(x)

    def drop(self, k):
        if len(self.values) > 2:
            del self.values[k % len(self.values)]

    def collect(self):
        gc.collect()

    def compact(self):
        tape.compact()

    def copy(self, k):
        self.keep(copy.copy(self.at(k)))

    def deepcopy(self, ks):
        for v in copy.deepcopy([self.at(k) for k in ks]):
            self.keep(v)

    def pickle(self, ks):
        for v in pickle.loads(pickle.dumps([self.at(k) for k in ks])):
            self.keep(v)

    def backward(self, k):
        self.at(k).backward()

    def backward_by_hand(self, k):
        self.at(k)._backward()

    def look(self, k):
        v = self.at(k)
        self.log.append(
            (v._op, len(v._prev), tuple(bits(d) for d in v._local_grads), attribute(v.label, {}), f"{v:.3f}")
        )

    def walk_into(self, k):
        children = self.at(k)._children
        if children:
            self.keep(children[-1])

    # what can be seen

    def do(self, action, args):
        try:
            getattr(self, action)(*args)
        except EXPECTED as error:
            return "cannot pickle" if action == "pickle" else type(error).__name__
        return None

    def everything(self):
        place, todo, order = {}, list(self.values), []
        while todo:
            v = todo.pop()
            if id(v) not in place:
                place[id(v)] = len(place)
                order.append(v)
                todo += v._children
        return [
            (bits(v.data), bits(v.grad), v._op, tuple(place[id(c)] for c in v._children), type(v) is self.V,
             [(n, attribute(getattr(v, n, None), place)) for n in ("label", "m", "note")])
            for v in order
        ] + [list(self.log)]  # fmt: skip


def bits(x):
    return "nan" if isinstance(x, float) and math.isnan(x) else repr(x)


def attribute(x, place):
    if isinstance(x, (reference.Value, value.Value)):
        return ("a Value", place.get(id(x)))
    if isinstance(x, tuple):
        return tuple(attribute(y, place) for y in x)
    return repr(x)


def draw_steps(rng, length):
    def k():
        return rng.randrange(1000)

    def ks(most=3):
        return [k() for _ in range(rng.randrange(most + 1))]

    def number():
        return rng.choice(NUMBERS) if rng.random() < 0.5 else round(rng.uniform(-3, 3), 2)

    makers = [
        (4, lambda: ("leaf", (number(), k()))),
        (6, lambda: ("unary", (rng.choice(UNARY), k()))),
        (10, lambda: ("binary", (rng.choice(BINARY), k(), rng.choice([None, k()]), number()))),
        (2, lambda: ("reduce", (rng.choice(["sum", "prod", "dot"]), ks(4), number()))),
        (3, lambda: ("closure", (ks(), rng.choice([0, 0, 0, 1, 2, 3])))),
        (2, lambda: ("local_grads", (ks(), [number() for _ in range(3)]))),
        (1, lambda: ("wrap_backward", (k(),))),
        (1, lambda: ("set_prev", (k(), ks()))),
        (1, lambda: ("set_op", (k(), rng.choice(["", "mine"])))),
        (3, lambda: ("set_attribute", (k(), rng.choice(["label", "m", "note"]), rng.randrange(6), k()))),
        (1, lambda: ("set_inner_attribute", (k(), rng.choice(["label", "m", "note"]), rng.randrange(2)))),
        (1, lambda: ("del_attribute", (k(), rng.choice(["label", "m", "data"])))),
        (1, lambda: ("set_data", (k(), number()))),
        (1, lambda: ("set_grad", (k(), number()))),
        (1, lambda: ("again", (k(), number()))),
        (6, lambda: ("drop", (k(),))),
        (0.3, lambda: ("collect", ())),
        (1, lambda: ("compact", ())),
        (1, lambda: ("copy", (k(),))),
        (1, lambda: ("deepcopy", (ks(),))),
        (1, lambda: ("pickle", (ks(),))),
        (3, lambda: ("backward", (k(),))),
        (1, lambda: ("backward_by_hand", (k(),))),
        (2, lambda: ("look", (k(),))),
        (2, lambda: ("walk_into", (k(),))),
    ]
    weights = [weight for weight, _ in makers]
    return [rng.choices(makers, weights)[0][1]() for _ in range(length)]


def differ(steps):
    """How many steps it takes until the cores differ, with what differs; None if they do not."""
    gc.collect()
    tape.compact()
    worlds = [World(reference, ReferenceSub), World(value, CompiledSub)]
    for n, (action, args) in enumerate(steps):
        outcomes = [world.do(action, args) for world in worlds]
        seen = [world.everything() for world in worlds] if n % 5 == 4 or n == len(steps) - 1 else [None, None]
        if outcomes[0] != outcomes[1] or seen[0] != seen[1]:
            pairs = [] if seen[0] is None else [p for p in zip(*seen, strict=False) if p[0] != p[1]][:3]
            return n + 1, [outcomes, *pairs]
    return None


def difference(seed, length=30):
    """None, or a shortest sequence found by leaving out steps of that seed's, and what differs in it."""
    steps = draw_steps(random.Random(seed), length)
    found = differ(steps)
    if found is None:
        return None
    steps = steps[: found[0]]
    k = 0
    while k < len(steps):
        shorter = steps[:k] + steps[k + 1 :]
        if differ(shorter):
            steps, k = shorter, 0
        else:
            k += 1
    return f"seed {seed}:\n" + "\n".join(map(repr, [*steps, *differ(steps)[1]]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    gc.collect()
    before = tape.compact()
    for seed in range(options.seed, options.seed + options.count):
        found = difference(seed)
        if found:
            print(found)
            return 1
    gc.collect()
    left = tape.compact() - before
    print(f"{options.count} sequences from seed {options.seed}: no difference; {left} nodes left")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
