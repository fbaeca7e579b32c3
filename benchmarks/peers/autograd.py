"""autograd (HIPS): vectorised numpy, traced anew at every call."""

from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from autograd.scipy.special import erfc

from ._problems import call_price, heston_payoff, mlp_matrix_loss

NAME = "autograd"
WAYS = {"vectorised": False}
PACKAGE = "autograd"
M = SimpleNamespace(exp=anp.exp, log=anp.log, sqrt=anp.sqrt, maximum=anp.maximum)
M.cdf = lambda x: 0.5 * erfc(x * -(0.5**0.5))


def mlp(data, how):
    f = value_and_grad(lambda w: mlp_matrix_loss(w, data.X, data.y, anp.maximum))
    return lambda: f(data.w_new)


def black_scholes(data, how):
    prices = None

    def total(columns):
        nonlocal prices
        price = call_price(*columns, M)
        prices = price._value
        return anp.sum(price)

    f = value_and_grad(total)

    def run():
        _, greeks = f(data.columns)
        return prices, greeks

    return run


def heston(data, how):
    z1, z2 = np.ascontiguousarray(data.z1.T), np.ascontiguousarray(data.z2.T)
    f = value_and_grad(lambda p: anp.mean(heston_payoff(p, z1, z2, M)))
    return lambda: f(data.p)
