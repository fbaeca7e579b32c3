"""tapegrad itself: eager Values, and functions recorded once and replayed."""

import numpy as np

import tapegrad as tg
from tapegrad.bench.problem import functions
from tapegrad.bench.rival import Scalars, for_ways

NAME = "tapegrad"
PACKAGE = "tapegrad"
WAYS = {"eager": False, "recorded": False}

M = functions(tg.Value, tg.sum, tg.dot)


def gradient(y, xs):
    y.backward()
    return y.data, [x.grad for x in xs]


@for_ways("eager")
def scalars(how):
    return Scalars(tg.Value, gradient, M)


@for_ways("recorded")
def point(case, how):
    f = tg.value_and_grad(lambda x: case.program(x, M))
    f(np.asarray(case.elsewhere))
    x = np.asarray(case.x)
    return lambda: f(x)


@for_ways("recorded")
def batch(case, how):
    if case.outputs > 1:
        f = tg.vmap(tg.jacobian(lambda *x: case.program(*x, M), argnums=tuple(range(case.by))), threads=how.threads)
        return lambda: (None, joined(f(*case.columns)))
    if case.shared is None:
        argnums = tuple(range(case.by)) if case.by > 1 else 0
        f = tg.vmap(tg.value_and_grad(lambda *x: case.program(*x, M), argnums=argnums), threads=how.threads)
        return lambda: f(*case.columns)
    axes = (None, *[0] * len(case.columns))
    f = tg.value_and_grad(tg.vmap(lambda *x: case.program(*x, M), axes, reduce="mean", threads=how.threads))
    return lambda: f(case.shared, *case.columns)


def joined(jacobians):
    """The derivatives of each output by each argument as one array of shape (samples, outputs, inputs)."""
    rows = [np.concatenate([x.reshape(len(x), -1) for x in by_arguments], axis=1) for by_arguments in jacobians]
    return np.stack(rows, axis=1)
