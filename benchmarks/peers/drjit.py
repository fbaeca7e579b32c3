"""Dr.Jit with its LLVM backend, which looks for a libLLVM on the system: traced and differentiated at every call.

An MLP at one point is not what it is made for, and is left out.
"""

from types import SimpleNamespace

import drjit as dr
import numpy as np
from drjit.llvm.ad import Float64, UInt32

from ._problems import RATE, STEPS, STRIKE, call_price, heston_step

NAME = "Dr.Jit"
WAYS = {"LLVM": True}
PACKAGE = "drjit"
# dr.maximum becomes LLVM's fmaximum, which the LLVM 14 and 15 of our machine cannot compile
M = SimpleNamespace(exp=dr.exp, log=dr.log, sqrt=dr.sqrt, maximum=lambda x, bound: dr.select(x > bound, x, bound))
M.cdf = lambda x: 0.5 * (1 + dr.erf(x * 0.5**0.5))


def black_scholes(data, how):
    dr.set_thread_count(how.threads)
    columns = [Float64(x) for x in data.columns]

    def run():
        for x in columns:
            dr.disable_grad(x)
            dr.enable_grad(x)
        price = call_price(*columns, M)
        dr.backward(price)
        greeks = [x.grad for x in columns]
        dr.eval(price, greeks)
        dr.sync_thread()
        return price, greeks

    return run


def heston(data, how):
    dr.set_thread_count(how.threads)
    n = len(data.z1)
    z1, z2 = (Float64(z.T.ravel()) for z in (data.z1, data.z2))
    lane = dr.arange(UInt32, n)

    def run():
        p = [Float64(x) for x in data.p]
        dr.enable_grad(p)
        s0, v0, kappa, theta, xi, rho = p
        rc = dr.sqrt(1 - rho * rho)

        def step(i, s, v):
            at = i * n + lane
            x1, x2 = dr.gather(Float64, z1, at), dr.gather(Float64, z2, at)
            return (i + 1, *heston_step(s, v, kappa, theta, xi, rho, rc, x1, x2, M))

        state = UInt32(0) + dr.zeros(UInt32, n), s0 + dr.zeros(Float64, n), v0 + dr.zeros(Float64, n)
        _, s, _ = dr.while_loop(state, lambda i, s, v: i < STEPS, step, max_iterations=STEPS)
        mean = dr.mean(M.maximum(s - STRIKE, 0.0) * float(np.exp(-RATE)))
        dr.backward(mean)
        gradient = [x.grad for x in p]
        dr.eval(mean, gradient)
        dr.sync_thread()
        return mean, gradient

    return run


def numbers(result):
    return np.asarray(result[0]), np.stack([np.asarray(x) for x in result[1]])
