"""ddx-ad: an equation, interpreted or compiled by LLVM; batches by its (inputs, points) arrays. It has no threads."""

from types import SimpleNamespace

import ddx
import numpy as np

from ._problems import STEPS, call_price, heston_payoff, mlp_loss

NAME = "ddx"
WAYS = {"interpreter": False, "LLVM": True}
PACKAGE = "ddx-ad"
M = SimpleNamespace(exp=ddx.exp, log=ddx.log, sqrt=ddx.sqrt, maximum=ddx.max)
M.cdf = lambda x: 0.5 * (1 + ddx.erf(x * 0.5**0.5))


def equation(model, how, points):
    f = ddx.equation(model)
    backend = ddx.Backend.COMPILE if how.mode == "LLVM" else ddx.Backend.INTERPRET
    f.options = ddx.Options(backend=backend, points=points, cache_dir="")
    if how.mode == "LLVM":
        f.wait_for_kernel()
    return f


def mlp(data, how):
    def model():
        return mlp_loss([ddx.var(f"w{k}") for k in range(len(data.w))], data, lambda x: ddx.max(x, 0.0))

    call = equation(model, how, 1).buffer(data.w.copy())
    call()
    call.x[:] = data.w_new

    def run():
        call()
        return call.value, call.jacobian

    return run


def black_scholes(data, how):
    points = np.stack(data.columns)
    call = equation(lambda: call_price(*map(ddx.var, "SKTrs"), M), how, points.shape[1]).buffer(points)

    def run():
        call()
        return call.value, call.jacobian

    return run


def heston(data, how):
    n = len(data.z1)

    def model():
        p = [ddx.var(f"p{k}") for k in range(6)]
        z1, z2 = ([ddx.param(f"{z}_{i}") for i in range(STEPS)] for z in ("z1", "z2"))
        return heston_payoff(p, z1, z2, M)

    f = equation(model, how, n)
    order = {name: k for k, name in enumerate(f.inputs)}
    points = np.empty((len(order), n))
    for k, x in enumerate(data.p):
        points[order[f"p{k}"]] = x
    for i in range(STEPS):
        points[order[f"z1_{i}"]] = data.z1[:, i]
        points[order[f"z2_{i}"]] = data.z2[:, i]
    call = f.buffer(points)

    def run():
        call()
        return call.value.mean(), call.jacobian.mean(1)

    return run
