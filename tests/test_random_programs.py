"""Random programs over all operations: reference and compiled must agree to the bit, on data and grad of every node."""

import math

import pytest
from conftest import ENGINES
from hypothesis import given, settings
from hypothesis import strategies as st
from operations import OPERATIONS

NUMBERS = st.one_of(
    st.floats(-4, 4),
    st.integers(-5, 5),
    st.booleans(),
    st.sampled_from([0.0, -0.0, 1, -1, 0.5, math.inf, -math.inf, math.nan, 1e308, 5e-324, 2**53, 2**53 - 1, 2**40]),
    st.floats(),
    st.integers(-(2**62), 2**62),
)
WITH_PARAMETER = ["leaky_relu", "elu"]
UNARY = [row.name for row in OPERATIONS if row.operands == 1 and row.name not in WITH_PARAMETER]
BINARY = [row.name for row in OPERATIONS if row.operands == 2]
SYNTAX = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "neg": lambda a, b: -a,
    "round2": lambda a, b: round(a, 2),
}
PICK = st.integers(0, 10**6)
STEP = st.one_of(
    st.tuples(st.just("leaf"), NUMBERS),
    st.tuples(st.sampled_from(list(SYNTAX)), PICK, PICK),
    st.tuples(st.sampled_from(list(SYNTAX)), PICK, NUMBERS),
    st.tuples(st.sampled_from(list(SYNTAX)), NUMBERS, PICK),
    st.tuples(st.sampled_from(UNARY), PICK),
    st.tuples(st.sampled_from(BINARY), PICK, PICK),
    st.tuples(st.sampled_from(BINARY), PICK, NUMBERS),
    st.tuples(st.sampled_from(WITH_PARAMETER), PICK, NUMBERS),
    st.tuples(
        st.sampled_from(["sum", "dot", "prod"]),
        st.lists(st.one_of(PICK.map(lambda k: ("v", k)), NUMBERS), max_size=4),
        NUMBERS,
    ),
    st.tuples(st.just("data"), PICK, NUMBERS),
    st.tuples(st.just("grad"), PICK, NUMBERS),
    st.tuples(st.just("drop"), PICK),
    st.tuples(st.just("backward"), PICK),
)
PROGRAMS = st.lists(STEP, min_size=1, max_size=40)
ERRORS = (ZeroDivisionError, ValueError, OverflowError, TypeError)


def bits(x):
    return "nan" if isinstance(x, float) and math.isnan(x) else repr(x)


class Run:
    """A program in the course of being run on one core; `steps` gives what can be seen after each step."""

    def __init__(self, engine):
        self.engine = engine
        self.values = [engine.Value(1.5)]

    def operand(self, x):
        """Pick a Value by an index drawn from PICK, or leave a number as it is."""
        return self.values[x % len(self.values)]

    def step(self, name, *args):
        V, functions = self.engine.Value, self.engine.functions
        v = self.operand(args[0]) if type(args[0]) is int else args[0]
        if name == "leaf":
            y = V(args[0])
        elif name in SYNTAX:
            w = self.operand(args[1]) if type(args[1]) is int else args[1]
            y = SYNTAX[name](v, w)
        elif name in ("sum", "dot", "prod"):
            items = [self.operand(x[1]) if isinstance(x, tuple) else x for x in args[0]]
            y = (
                self.engine.dot(items, items[::-1], args[1])
                if name == "dot"
                else getattr(self.engine, name)(items, args[1])
            )
        elif name == "data":
            v.data = args[1]
            return None
        elif name == "grad":
            v.grad = args[1]
            return None
        elif name == "drop":
            if len(self.values) > 1:
                self.values.remove(v)
            return None
        elif name == "backward":
            v.backward()
            return None
        elif name in WITH_PARAMETER:
            y = getattr(v, name)(args[1])
        elif len(args) == 1:
            y = abs(v) if name == "abs" else round(v) if name == "round" else getattr(v, name)()
        else:
            w = self.operand(args[1]) if type(args[1]) is int else args[1]
            y = getattr(functions, name)(v, w)
        if isinstance(y, V):
            self.values.append(y)
            return None
        return y

    def outcome(self, *step):
        try:
            return bits(self.step(*step))
        except ERRORS as error:
            return type(error).__name__

    def everything(self):
        """data, grad, kind of number, operation and children of every node that can be reached."""
        seen, out, todo = {}, [], list(self.values)
        while todo:
            v = todo.pop()
            if v in seen:
                continue
            seen[v] = len(seen)
            children = v._children
            out.append((bits(v.data), bits(v.grad), v._op, len(children)))
            todo += children
        return out


@settings(deadline=None, max_examples=1500, print_blob=True)
@given(PROGRAMS)
def test_reference_and_compiled_agree_to_the_bit(program):
    runs = [Run(engine) for engine in ENGINES.values()]
    for step in program:
        outcomes = [run.outcome(*step) for run in runs]
        assert outcomes[0] == outcomes[1], step
        assert len(runs[0].values) == len(runs[1].values), step
    assert runs[0].everything() == runs[1].everything()
    for run in runs:
        run.values[-1].backward()
    assert runs[0].everything() == runs[1].everything()


VALUES = st.lists(st.floats(-3, 3), min_size=3, max_size=3)
SMOOTH = ["exp", "tanh", "sigmoid", "sin", "cos", "softplus", "silu", "gelu", "atan", "erf"]
SMOOTH_PROGRAM = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("+-*"), PICK, PICK),
        st.tuples(st.sampled_from(SMOOTH), PICK),
        st.tuples(st.just("hypot1"), PICK),
    ),
    min_size=1,
    max_size=12,
)


def evaluate(engine, program, xs):
    values = list(xs)
    for name, *args in program:
        picked = [values[k % len(values)] for k in args]
        bounded = [engine.functions.tanh(v) for v in picked]  # so that nothing explodes
        if name in SYNTAX:
            values.append(SYNTAX[name](*picked))
        elif name == "hypot1":
            values.append(engine.functions.hypot(picked[0], 1.0))
        else:
            values.append(getattr(engine.functions, name)(*bounded))
    return engine.functions.tanh(values[-1])


@pytest.mark.parametrize("engine", list(ENGINES.values()), ids=str)
@settings(deadline=None, max_examples=200, print_blob=True)
@given(SMOOTH_PROGRAM, VALUES)
def test_gradients_are_those_of_central_differences(engine, program, point):
    xs = [engine.Value(p) for p in point]
    evaluate(engine, program, xs).backward()
    for k in range(3):
        h = 1e-5
        up, down = ([*point[:k], point[k] + s * h, *point[k + 1 :]] for s in (1, -1))
        slope = (evaluate(engine, program, up) - evaluate(engine, program, down)) / (2 * h)
        third = abs(slope) * 1e-4 + 1e-4
        assert xs[k].grad == pytest.approx(slope, abs=third)


def test_the_tool_sees_a_wrong_bit():
    """The comparison above can fail: a value changed by one ulp, a grad of another kind of number, are seen."""
    a, b = Run(ENGINES["reference"]), Run(ENGINES["compiled"])
    assert a.everything() == b.everything()
    b.values[0].data = math.nextafter(1.5, 2)
    assert a.everything() != b.everything()
    b.values[0].data = 1.5
    b.values[0].grad = 0.0
    assert a.everything() != b.everything()
