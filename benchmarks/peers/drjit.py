"""Dr.Jit with its LLVM backend, which looks for a libLLVM on the system: traced and differentiated at every call.

It is made for many samples: programs at one point are left out.
"""

from types import SimpleNamespace

import drjit as dr
import numpy as np
from drjit.llvm.ad import Float64, UInt32
from tapegrad.bench.peers import _arrays as arrays

from tapegrad.bench.problems.advection import CELLS, TARGET
from tapegrad.bench.problems.advection import STEPS as MOVES
from tapegrad.bench.problems.heston import STEPS

NAME = "Dr.Jit"
PACKAGE = "drjit"
WAYS = {"LLVM": True}

# dr.maximum becomes LLVM's fmaximum, which LLVM 14 and 15 cannot compile
M = SimpleNamespace(
    exp=dr.exp,
    log=dr.log,
    sqrt=dr.sqrt,
    sin=dr.sin,
    cos=dr.cos,
    erfc=lambda x: 1.0 - dr.erf(x),
    maximum=lambda x, bound: dr.select(x > bound, x, bound),
)


def afresh(variables):
    """Their derivatives, none yet."""
    for x in variables:
        dr.disable_grad(x)
        dr.enable_grad(x)


def black_scholes(case, how):
    dr.set_thread_count(how.threads)
    columns = [Float64(x) for x in case.columns]

    def run():
        afresh(columns)
        prices = case.program(*columns, M)
        dr.backward(prices)
        greeks = [x.grad for x in columns]
        dr.eval(prices, greeks)
        dr.sync_thread()
        return dr.detach(prices), greeks

    return run


def heston(case, how):
    """The steps in a symbolic loop."""
    dr.set_thread_count(how.threads)
    n = case.samples
    z1, z2 = (Float64(z.T.ravel()) for z in case.columns)
    lane = dr.arange(UInt32, n)

    def run():
        p = [Float64(x) for x in case.shared]
        dr.enable_grad(p)
        s0, v0, *_, rho = p
        rc = dr.sqrt(1 - rho * rho)

        def step(i, s, v):
            at = i * n + lane
            x1, x2 = dr.gather(Float64, z1, at), dr.gather(Float64, z2, at)
            return (i + 1, *arrays.heston_step(s, v, p, rc, x1, x2, M))

        state = UInt32(0) + dr.zeros(UInt32, n), s0 + dr.zeros(Float64, n), v0 + dr.zeros(Float64, n)
        _, s, _ = dr.while_loop(state, lambda i, s, v: i < STEPS, step, max_iterations=STEPS)
        mean = dr.mean(arrays.heston_payoff(s, M))
        dr.backward(mean)
        gradient = [x.grad for x in p]
        dr.eval(mean, gradient)
        dr.sync_thread()
        return dr.detach(mean), gradient

    return run


def advected(step, case, how):
    """One array of all cells of all profiles, cell by cell; a neighbour is gathered."""
    dr.set_thread_count(how.threads)
    n = case.samples
    q, target = Float64(case.columns[0].T.ravel()), Float64(np.repeat(TARGET, n))
    at = np.arange(CELLS * n).reshape(CELLS, n)
    places = {by: UInt32(np.roll(at, by, 0).ravel()) for by in (-1, 1)}
    neighbour = SimpleNamespace(**vars(M), roll=lambda x, by: dr.gather(Float64, x, places[by]))

    def run():
        afresh([q])
        y = q
        for _ in range(MOVES):
            y = step(y, neighbour)
        squares = 0.5 * (y - target) ** 2
        dr.backward(squares)
        dr.eval(squares, q.grad)
        dr.sync_thread()
        return dr.detach(squares).numpy().reshape(CELLS, n).sum(0), q.grad.numpy().reshape(CELLS, n).T

    return run


def lax_wendroff(case, how):
    return advected(arrays.lax_wendroff_step, case, how)


def toon(case, how):
    return advected(arrays.toon_step, case, how)
