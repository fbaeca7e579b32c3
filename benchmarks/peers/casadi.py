"""CasADi: an SX function with its gradient, mapped over the samples by its virtual machine."""

from types import SimpleNamespace

import casadi as ca
import numpy as np

from ._problems import STEPS, call_price, heston_payoff, mlp_loss

NAME = "CasADi"
WAYS = {"SX": False}
PACKAGE = "casadi"
M = SimpleNamespace(exp=ca.exp, log=ca.log, sqrt=ca.sqrt, maximum=ca.fmax)
M.cdf = lambda x: 0.5 * (1 + ca.erf(x * 0.5**0.5))


def with_gradient(value, inputs, by):
    return ca.Function("f", inputs, [value, ca.gradient(value, by)])


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


def mapped(f, n, threads):
    return f.map(n, "thread", threads) if threads > 1 else f.map(n)


def mlp(data, how):
    w = ca.SX.sym("w", len(data.w))
    x = data.w.copy()
    loss = mlp_loss(ca.vertsplit(w), data, lambda x: ca.fmax(x, 0.0))
    call = in_place(with_gradient(loss, [w], w), [x], [1, len(x)])
    call()
    x[:] = data.w_new
    return call


def black_scholes(data, how):
    x, n = ca.SX.sym("x", 5), len(data.columns[0])
    f = mapped(with_gradient(call_price(*ca.vertsplit(x), M), [x], x), n, how.threads)
    call = in_place(f, [np.stack(data.columns, axis=1)], [n, (n, 5)])

    def run():
        value, greeks = call()
        return value, greeks.T

    return run


def heston(data, how):
    p, z1, z2, n = ca.SX.sym("p", 6), ca.SX.sym("z1", STEPS), ca.SX.sym("z2", STEPS), len(data.z1)
    f = with_gradient(heston_payoff(ca.vertsplit(p), ca.vertsplit(z1), ca.vertsplit(z2), M), [p, z1, z2], p)
    call = in_place(mapped(f, n, how.threads), [np.tile(data.p, (n, 1)), data.z1, data.z2], [n, (n, 6)])

    def run():
        values, gradients = call()
        return values.mean(), gradients.mean(0)

    return run
