"""autograd (HIPS): vectorised numpy, traced anew at every call."""

from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from autograd.scipy.special import erfc, logsumexp
from tapegrad.bench.peers import _arrays as arrays

from tapegrad.bench.problems import advection
from tapegrad.bench.problems.mlp import mlp_matrix_loss
from tapegrad.bench.rival import single

NAME = "autograd"
PACKAGE = "autograd"
WAYS = {"vectorised": False}

M = SimpleNamespace(
    exp=anp.exp,
    log=anp.log,
    sqrt=anp.sqrt,
    sin=anp.sin,
    cos=anp.cos,
    tanh=anp.tanh,
    erfc=erfc,
    maximum=anp.maximum,
    einsum=anp.einsum,
    prod=anp.prod,
    logsumexp=lambda x, axis: logsumexp(x, axis=axis),
    roll=lambda x, by: anp.roll(x, by, axis=0),
    least=lambda x: anp.min(x, axis=1),
    joined=anp.concatenate,
)


def at_point(f, case, how):
    single(how)
    f, x = value_and_grad(f), np.array(case.x)
    return lambda: f(x)


def by_sample(f, given, how):
    """Values sample by sample, and derivatives by what is given: samples do not mix, so those of the sum are it."""
    single(how)
    values = None

    def total(x):
        nonlocal values
        y = f(x)
        values = y._value
        return anp.sum(y)

    gradient = value_and_grad(total)

    def run():
        _, derivatives = gradient(given)
        return values, derivatives

    return run


def rosenbrock(case, how):
    return at_point(lambda x: arrays.rosenbrock(x, M), case, how)


def mlp(case, how):
    return at_point(lambda w: mlp_matrix_loss(w, case.data.X, case.data.y, M), case, how)


def speelpenning(case, how):
    return at_point(anp.prod, case, how)


def log_sum_exp(case, how):
    return at_point(logsumexp, case, how)


def least_squares(case, how):
    return at_point(lambda x: arrays.least_squares(x, *case.data, M), case, how)


def gmm(case, how):
    return at_point(lambda x: arrays.gmm(x, case.data, arrays.BELOW, M), case, how)


def k_means(case, how):
    return at_point(lambda x: arrays.k_means(x, case.data, M), case, how)


def lstm(case, how):
    zeros = np.zeros(case.data.shape[1])
    return at_point(lambda x: arrays.lstm(x, case.data, [(zeros, zeros)] * 2, M), case, how)


def black_scholes(case, how):
    return by_sample(lambda columns: case.program(*columns, M), case.columns, how)


def heston(case, how):
    single(how)
    z1, z2 = (np.ascontiguousarray(z.T) for z in case.columns)
    f = value_and_grad(lambda p: anp.mean(case.program(p, z1, z2, M)))
    return lambda: f(case.shared)


def advected(step, case, how):
    run = by_sample(lambda q: arrays.advected(step, q, advection.TARGET, M), case.columns[0].T.copy(), how)

    def transposed():
        values, gradients = run()
        return values, gradients.T

    return transposed


def lax_wendroff(case, how):
    return advected(arrays.lax_wendroff_step, case, how)


def toon(case, how):
    return advected(arrays.toon_step, case, how)
