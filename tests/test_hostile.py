"""Whatever a program hands in, it gets an exception or an answer, never a crash; and the engine works afterwards."""

import gc
import sys

import pytest


class Raises:
    def __radd__(self, other):
        raise RuntimeError("radd")

    __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __add__ = __sub__ = __mul__ = __truediv__ = __pow__ = __radd__

    def __float__(self):
        raise RuntimeError("float")

    __index__ = __len__ = __iter__ = __hash__ = __eq__ = __lt__ = __float__


class Answers:
    def __radd__(self, other):
        return "answer"

    __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __add__ = __sub__ = __mul__ = __truediv__ = __pow__ = __radd__


class RealThatRaises(float):
    def __float__(self):
        raise RuntimeError("float")


OPERATORS = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a**b,
    lambda a, b: b + a, lambda a, b: b - a, lambda a, b: b * a, lambda a, b: b / a, lambda a, b: b**a,
]  # fmt: skip


@pytest.fixture(autouse=True)
def works_afterwards(engine):
    yield
    x = engine.Value(3.0)
    y = x * x + 1
    y.backward()
    assert (y.data, x.grad) == (10.0, 6.0)


def test_dunders_that_raise(engine):
    v = engine.Value(2.0)
    for operate in OPERATORS:
        with pytest.raises(RuntimeError, match="radd"):
            operate(v, Raises())
        assert operate(v, Answers()) == "answer"
        assert operate(v, RealThatRaises(2.0)).data in (4.0, 0.0, 1.0)
    for call in (lambda: engine.Value(Raises()), lambda: v.maximum(Raises()), lambda: setattr(v, "data", Raises())):
        with pytest.raises(TypeError):
            call()
    with pytest.raises((TypeError, RuntimeError)):
        v < Raises()  # noqa: B015


def test_a_real_number_type_that_raises(engine):
    import numbers

    class Odd(numbers.Real):
        def __float__(self):
            raise RuntimeError("float")

        __abs__ = __add__ = __ceil__ = __eq__ = __floor__ = __floordiv__ = __le__ = __lt__ = __mod__ = __mul__ = (
            __float__
        )
        __neg__ = __pos__ = __pow__ = __radd__ = __rfloordiv__ = __rmod__ = __rmul__ = __round__ = __rpow__ = __float__
        __rtruediv__ = __truediv__ = __trunc__ = __float__

    v = engine.Value(2.0)
    for operate in OPERATORS[:5]:
        with pytest.raises(RuntimeError, match="float"):
            operate(v, Odd())
    with pytest.raises(RuntimeError, match="float"):
        engine.Value(Odd())


@pytest.mark.parametrize("x", [2**1000, -(2**1000), 10**400])
def test_huge_ints(engine, x):
    v = engine.Value(2.0)
    if abs(x) > 10**308:
        with pytest.raises(OverflowError):
            engine.Value(x)
        for operate in OPERATORS:
            with pytest.raises(OverflowError):
                operate(v, x)
    else:
        assert (v + x).data == float(x)
    assert (v < x) == (x > 0) and (x > v) == (x > 0)


def test_wrong_arity_and_keywords(engine):
    V = engine.Value
    v = V(1.0)
    for call in (lambda: V(), lambda: V(1, (), "", "l", 5), lambda: V(1.0, no=2), lambda: v.backward(1),
                 lambda: v.exp(1), lambda: v.maximum(), lambda: v.leaky_relu(1, 2), lambda: engine.sum(),
                 lambda: engine.dot([v]),
                 lambda: engine.sum(5), lambda: engine.dot(v, v), lambda: engine.prod(None), lambda: V.exp(),
                 lambda: V(1.0, 5), lambda: V(1.0, [3]),
                 lambda: V(1.0, (), 5), lambda: round(v, "x"), lambda: round(v, 1.5)):  # fmt: skip
        with pytest.raises(TypeError):
            call()
    for call in (lambda: V.exp(3.0), lambda: V.__add__(1, 2), lambda: V.data.__get__(3),
                 lambda: V.__init__(3, 4.0), lambda: V.__dict__["data"].__set__(3, 4.0), lambda: V.__new__(int),
                 lambda: object.__new__(V).nonsense, lambda: v.nonsense):  # fmt: skip
        with pytest.raises((TypeError, AttributeError)):
            call()
    if engine.name == "compiled":
        with pytest.raises(TypeError):
            V.backward(None)


def test_subclass_games(engine):
    V = engine.Value

    class NoInit(V):
        def __init__(self):
            pass

    class BadNew(V):
        def __new__(cls, *args):
            return V(7.0)

    class Slots(V):
        __slots__ = ("extra",)

    class Both(V, dict if engine.name == "reference" else object):
        pass

    if engine.name == "compiled":
        assert (NoInit() + 1).data == 1  # a Value that was never initialised is the number 0
        y = NoInit() * V(2.0)
        y.backward()
    assert BadNew(1.0).data == 7.0
    s = Slots(2.0)
    s.extra = s
    assert (s * s).data == 4.0 and s.extra is s
    s.anything = 1
    del s
    gc.collect()
    v = V(1.0)

    class Sub(V):
        pass

    v.__class__ = Sub
    assert type(v) is Sub and (v + 1).data == 2.0
    v.__class__ = V
    assert (v + 1).data == 2.0

    class Dies(V):
        def __del__(self):
            seen.append(self + 1.0)

    seen = []
    d = Dies(1.0)
    z = d * 2.0
    del d
    del z
    gc.collect()
    assert [x.data for x in seen] == [2.0]


def test_a_finalizer_that_walks_the_graph_of_its_dying_value(engine):
    V = engine.Value

    class Walks(V):
        def __del__(self):
            if z is not None:
                found.append(z._children[0])

    found = []
    w = Walks(3.0)
    z = V(1.0, (w,))
    z.__init__(2.0)
    z = w * 2.0
    z.note = w
    del w
    z.note = None
    gc.collect()
    assert z._children[0].data == 3.0
    z = None
    found.clear()
    gc.collect()


def test_setting_things_on_the_class_and_back(engine):
    V = engine.Value
    V.cube = lambda self: self * self * self
    try:
        assert V(2.0).cube().data == 8.0
    finally:
        del V.cube
    original = V.__mul__
    V.__mul__ = lambda self, other: original(self, other) + 100
    try:
        assert (V(2.0) * 3.0).data == 106.0 and (-V(2.0)).data == 98.0
        assert (V(2.0) - V(1.0)).data == 101.0 and (V(1.0) / V(2.0)).data == 100.5
        assert engine.dot([V(1.0), V(2.0)], [V(3.0), V(4.0)]).data == 211.0
    finally:
        V.__mul__ = original
    assert (V(2.0) * 3.0).data == 6.0
    assert engine.dot([V(1.0)], [V(3.0)]).data == 3.0


def test_lists_that_change_while_they_are_summed(engine):
    V = engine.Value

    class Shrinks(float):
        pass

    xs = [V(1.0) for _ in range(10)]

    def popping():
        while xs:
            yield xs.pop()

    assert engine.sum(popping()).data == 10.0
    ys = [V(1.0) for _ in range(10)]

    def weights():
        while True:
            ys.pop()
            yield 2.0

    assert engine.dot(ys, weights()).data == 10.0


def test_references_are_not_lost_or_kept(engine):
    v = engine.Value(1.0)
    x = 12345.678
    before = sys.getrefcount(x), sys.getrefcount(engine.Value), sys.getrefcount(v)
    for _ in range(1000):
        y = v + x
        y = x * v
        y = v**x
        y = v - y
        y = engine.dot([v, x], [x, v])
        _ = (y._children, y._prev, y._op, y.data, repr(y))
    del y, _
    after = sys.getrefcount(x), sys.getrefcount(engine.Value), sys.getrefcount(v)
    assert abs(after[0] - before[0]) <= 1 and abs(after[1] - before[1]) <= 1100 and after[2] == before[2]
