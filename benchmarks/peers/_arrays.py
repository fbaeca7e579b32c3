"""The programs on whole arrays, as one writes them for numpy, jax, autograd or PyTorch.

`m` has exp, log, sqrt, tanh, maximum, roll, einsum, prod, logsumexp, least and joined of the library.
"""

import math
from itertools import pairwise

import numpy as np

from tapegrad.bench.problems import advection
from tapegrad.bench.problems import gmm as mixture
from tapegrad.bench.problems import heston as paths
from tapegrad.bench.problems import k_means as clusters
from tapegrad.bench.problems import lstm as network

BELOW = np.zeros((mixture.BELOW, mixture.D, mixture.D))  # where the numbers of a factor stand, column by column
for k, (column, line) in enumerate(zip(*np.triu_indices(mixture.D, 1), strict=True)):
    BELOW[k, line, column] = 1.0


def rosenbrock(x, m):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def least_squares(x, A, b, m):
    off = A @ x - b
    return 0.5 * (off @ off)


def k_means(x, points, m):
    centres = x.reshape(clusters.CENTRES, clusters.DIMENSIONS)
    return m.least(((points[:, None] - centres) ** 2).sum(2)).sum()


def gmm(x, points, below, m):
    """`below` is BELOW in the library's form."""
    K, D = mixture.K, mixture.D
    alpha, mu, factor = x[:K], x[K : K + K * D].reshape(K, D), x[K + K * D :].reshape(K, D + mixture.BELOW)
    q, lower = factor[:, :D], factor[:, D:]
    diagonal = m.exp(q)
    centred = points[:, None] - mu
    y = diagonal * centred + m.einsum("kb,bij,nkj->nki", lower, below, centred)
    inner = alpha + q.sum(1) - 0.5 * (y**2).sum(2)
    prior = 0.5 * mixture.GAMMA**2 * ((diagonal**2).sum() + (lower**2).sum()) - mixture.M * q.sum()
    n = points.shape[0]
    return m.logsumexp(inner, 1).sum() - n * m.logsumexp(alpha, 0) + prior + mixture.constant(n)


def lax_wendroff_step(q, m):
    """A step of all profiles, q of shape (cells, profiles)."""
    return moved(q, advection.lax_wendroff_flux(q, m.roll(q, -1), m), m)


def toon_step(q, m):
    return moved(q, advection.toon_flux(q, m.roll(q, -1), m), m)


def moved(q, flux, m):
    return q + m.roll(flux, 1) - flux


def cost(q, target):
    """Of all profiles together: their derivatives do not mix."""
    return 0.5 * ((q - target[:, None]) ** 2).sum(0)


def advected(step, q, target, m):
    for _ in range(advection.STEPS):
        q = step(q, m)
    return cost(q, target)


def lstm_step(p, state, now, m):
    """The predictions of all features, and the next state; p of shape (rows, features)."""
    x, after = now * p[-3], []
    for k, (h, c) in enumerate(state):
        h, c = network.cell(p[8 * k : 8 * k + 8], x, h, c, m)
        after.append((h, c))
        x = h
    return x * p[-2] + p[-1], after


def lstm_score(y, after, m):
    return after @ y - after.sum() * m.log(2.0 + m.exp(y).sum())


def lstm(x, sequence, start, m):
    """`start` is a state of zeros."""
    p, state, score = x.reshape(network.ROWS, network.FEATURES), start, 0.0
    for now, after in pairwise(sequence):
        y, state = lstm_step(p, state, now, m)
        score = score + lstm_score(y, after, m)
    return lstm_mean(score, sequence)


def lstm_mean(score, sequence):
    return score * (-1.0 / ((sequence.shape[0] - 1) * network.FEATURES))


def ode_step(x, y, one, h, m):
    """`one` is an array of the number 1."""

    def slopes(y):
        return x * m.joined([one, y[:-1]])

    k1 = slopes(y)
    k2 = slopes(y + h / 2 * k1)
    k3 = slopes(y + h / 2 * k2)
    return y + h / 6 * (k1 + 2.0 * (k2 + k3) + slopes(y + h * k3))


def heston_step(s, v, p, rc, z1, z2, m):
    _, _, kappa, theta, xi, rho = p
    return paths.heston_step(s, v, kappa, theta, xi, rho, rc, z1, z2, m)


def heston_payoff(s, m):
    return m.maximum(s - paths.STRIKE, 0.0) * math.exp(-paths.RATE)
