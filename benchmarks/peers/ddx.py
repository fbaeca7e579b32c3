"""ddx-ad: any program as an equation, interpreted or compiled by LLVM; batches by its (inputs, points) arrays."""

import ddx
import numpy as np

from tapegrad.bench.rival import Functions, single

NAME = "ddx"
PACKAGE = "ddx-ad"
WAYS = {"interpreter": False, "LLVM": True}

M = Functions(
    "ddx",
    exp=ddx.exp,
    log=ddx.log,
    sqrt=ddx.sqrt,
    sin=ddx.sin,
    cos=ddx.cos,
    tanh=ddx.tanh,
    erfc=lambda x: 1.0 - ddx.erf(x),
    maximum=ddx.max,
    relu=lambda x: ddx.max(x, 0.0),
)


def equation(model, how, points):
    f = ddx.equation(model)
    backend = ddx.Backend.COMPILE if how.way == "LLVM" else ddx.Backend.INTERPRET
    f.options = ddx.Options(backend=backend, points=points, cache_dir="")
    if how.way == "LLVM":
        f.wait_for_kernel()
    return f


def symbols(make, name, column):
    """One symbol for a column of numbers, a list of them for one of rows."""
    return make(name) if column.ndim == 1 else [make(f"{name}_{i}") for i in range(column.shape[1])]


def point(case, how):
    single(how)

    def model():
        return case.program([ddx.var(f"x{k}") for k in range(len(case.x))], M)

    call = equation(model, how, 1).buffer(np.array(case.elsewhere))
    call()
    call.x[:] = case.x

    def run():
        call()
        return call.value, call.jacobian

    return run


def batch(case, how):
    single(how)
    columns = case.columns if case.shared is None else (np.tile(case.shared, (case.samples, 1)), *case.columns)
    by = case.by if case.shared is None else 1

    def model():
        args = [symbols(ddx.var if k < by else ddx.param, f"c{k}", column) for k, column in enumerate(columns)]
        y = case.program(*args, M)
        return tuple(y) if case.outputs > 1 else y

    points = np.concatenate([column.reshape(case.samples, -1) for column in columns], axis=1)
    call = equation(model, how, case.samples).buffer(np.ascontiguousarray(points.T))

    def run():
        call()
        if case.outputs > 1:
            return None, call.jacobian.transpose(2, 0, 1)  # a view
        if case.shared is not None:
            return call.value.mean(), call.jacobian.mean(1)
        return call.value, call.jacobian.T if columns[0].ndim > 1 else call.jacobian

    return run
