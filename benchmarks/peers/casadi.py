"""CasADi: any program as an SX function with its gradient, mapped over samples, run by its virtual machine."""

import casadi as ca
import numpy as np

from tapegrad.bench.rival import Functions

NAME = "CasADi"
PACKAGE = "casadi"
WAYS = {"SX": False}

M = Functions(
    "CasADi",
    exp=ca.exp,
    log=ca.log,
    sqrt=ca.sqrt,
    sin=ca.sin,
    cos=ca.cos,
    tanh=ca.tanh,
    erfc=lambda x: 1.0 - ca.erf(x),
    maximum=ca.fmax,
    relu=lambda x: ca.fmax(x, 0.0),
    sum=lambda xs: ca.sum1(ca.vertcat(*xs)),
    dot=lambda xs, ys: ca.dot(ca.vertcat(*xs), ca.vertcat(*ys)),
)


def in_place(f, inputs, shapes):
    """A call without conversions, and the arrays that it writes; a matrix of CasADi is the transpose of numpy's."""
    buffer, evaluate = f.buffer()
    outputs = [np.empty(shape) for shape in shapes]
    for k, x in enumerate(inputs):
        buffer.set_arg(k, memoryview(x))
    for k, x in enumerate(outputs):
        buffer.set_res(k, memoryview(x))

    def call(keep=(f, buffer, inputs)):  # which CasADi does not keep itself
        evaluate()
        return outputs

    return call


def point(case, how):
    x, at = ca.SX.sym("x", len(case.x)), np.array(case.elsewhere)
    value = case.program(ca.vertsplit(x), M)
    call = in_place(ca.Function("f", [x], [value, ca.densify(ca.gradient(value, x))]), [at], [1, len(at)])
    call()
    at[:] = case.x
    return call


def batch(case, how):
    n = case.samples
    given = ([] if case.shared is None else [np.tile(case.shared, (n, 1))]) + [c.reshape(n, -1) for c in case.columns]
    symbols = [ca.SX.sym("x", x.shape[1]) for x in given]
    columns = case.columns if case.shared is None else (case.shared[None], *case.columns)
    args = [ca.vertsplit(s) if c.ndim > 1 else s for s, c in zip(symbols, columns, strict=True)]
    y = case.program(*args, M)
    by = ca.vertcat(*symbols[: 1 if case.shared is not None else case.by])
    if case.outputs > 1:
        f = ca.Function("f", symbols, [ca.densify(ca.jacobian(ca.vertcat(*y), by).T)])
    else:
        f = ca.Function("f", symbols, [y, ca.densify(ca.gradient(y, by))])
    f = f.map(n, "thread", how.threads) if how.threads > 1 else f.map(n)
    inputs = [np.ascontiguousarray(x) for x in given]
    if case.outputs > 1:
        call = in_place(f, inputs, [(n, case.outputs, by.numel())])
        return lambda: (None, call()[0])
    call = in_place(f, inputs, [n, (n, by.numel())])
    if case.shared is not None:
        return lambda: tuple(x.mean(0) for x in call())
    return lambda: arranged(call(), case.by)


def arranged(outputs, by):
    value, gradients = outputs
    return value, gradients.T if by > 1 else gradients
