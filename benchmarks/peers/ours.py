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
        x, arguments = packed(case)
        f = tg.jacobian(lambda x, *others: np.array(case.program(*arguments(x), *others, M)))
        f = tg.vmap(f, threads=how.threads)
        return lambda: (None, f(x, *case.columns[case.by :]))
    if case.shared is None:
        argnums = tuple(range(case.by)) if case.by > 1 else 0
        f = tg.vmap(tg.value_and_grad(lambda *x: case.program(*x, M), argnums=argnums), threads=how.threads)
        return lambda: f(*case.columns)
    axes = (None, *[0] * len(case.columns))
    f = tg.value_and_grad(tg.vmap(lambda *x: case.program(*x, M), axes, reduce="mean", threads=how.threads))
    return lambda: f(case.shared, *case.columns)


def packed(case):
    """What is differentiated by as one array, a row for each sample, and how the arguments are found in a row."""
    columns = case.columns[: case.by]
    ends = np.cumsum([1 if column.ndim == 1 else column.shape[1] for column in columns]).tolist()
    places = list(zip([0, *ends], ends, columns, strict=False))

    def arguments(x):
        return [x[start] if column.ndim == 1 else x[start:end] for start, end, column in places]

    return np.concatenate([column.reshape(case.samples, -1) for column in columns], axis=1), arguments
