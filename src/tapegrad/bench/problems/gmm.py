"""The log-likelihood of a mixture of normal distributions, as in ADBench, with its prior on the covariances.

Component k has a weight alpha[k], a mean mu[k], and a lower triangular matrix Q[k], with the diagonal exp(q[k]) and the
rest l[k], column by column; Q'Q is the inverse of its covariance. With K of them, N points x and D dimensions:
    sum over x of log(sum over k of exp(alpha[k] + sum(q[k]) - |Q[k] (x - mu[k])|^2 / 2))
    - N log(sum(exp(alpha))) - N D/2 log(2 pi)
    + sum over k of (GAMMA^2/2 (|exp(q[k])|^2 + |l[k]|^2) - M sum(q[k])) - K C
where C is the constant of Wishart's distribution. Wanted are the derivatives by all of alpha, mu, q and l.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem
from tapegrad.bench.problems.log_sum_exp import log_sum_exp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

K, D = 5, 2
BELOW = D * (D - 1) // 2  # the numbers below the diagonal
COLUMNS = [*accumulate(range(D - 1, 0, -1), initial=0)]  # where each column of them starts
GAMMA, M = 1.0, 0.0


def constant(points: int) -> float:
    """What does not depend on the parameters."""
    n = D + M + 1
    gamma = D * (D - 1) / 4 * math.log(math.pi) + sum(math.lgamma((n - j) / 2) for j in range(D))
    return -points * D / 2 * math.log(2 * math.pi) - K * (n * D * math.log(GAMMA / math.sqrt(2)) - gamma)


def log_likelihood(points: np.ndarray[Any, Any]) -> Callable[[Sequence[Any], Any], Any]:
    rows, rest = points.tolist(), constant(len(points))

    def program(x: Sequence[Any], m: Any) -> Any:
        alphas = x[:K]
        means, factors = split(x[K : K + K * D], D), split(x[K + K * D :], D + BELOW)
        diagonals = [[m.exp(q) for q in factor[:D]] for factor in factors]
        sums = [m.sum(factor[:D]) for factor in factors]
        terms = []
        for row in rows:
            inner = []
            for alpha, mean, factor, diagonal, total in zip(alphas, means, factors, diagonals, sums, strict=True):
                centred = [p - mu for p, mu in zip(row, mean, strict=True)]
                scaled = triangular(diagonal, factor[D:], centred)
                inner.append(alpha + total - 0.5 * m.sum([y * y for y in scaled]))
            terms.append(log_sum_exp(inner, m))
        prior = []
        for factor, diagonal, total in zip(factors, diagonals, sums, strict=True):
            squares = m.sum([y * y for y in [*diagonal, *factor[D:]]])
            prior.append(0.5 * GAMMA**2 * squares - M * total)
        return m.sum(terms) - float(len(rows)) * log_sum_exp(alphas, m) + m.sum(prior) + rest

    return program


def split(x: Sequence[Any], length: int) -> list[Sequence[Any]]:
    return [x[k : k + length] for k in range(0, len(x), length)]


def triangular(diagonal: Sequence[Any], below: Sequence[Any], x: Sequence[Any]) -> list[Any]:
    """Q x."""
    out = []
    for i in range(D):
        y = diagonal[i] * x[i]
        for j in range(i):
            y = y + below[COLUMNS[j] + i - j - 1] * x[j]
        out.append(y)
    return out


def mixture(points: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Points (points, D), and the parameters, one after the other."""
    rng = np.random.default_rng(points)
    means = rng.uniform(-1, 1, (K, D))
    x = means[rng.integers(K, size=points)] + rng.normal(0, 0.5, (points, D))
    return x, np.concatenate([rng.normal(size=K), rng.uniform(-1, 1, K * D), rng.normal(0, 0.5, K * (D + BELOW))])


def answer(points: np.ndarray[Any, Any], parameters: np.ndarray[Any, Any]) -> Answer:
    """By matrices: a point pulls at a component with the probability that it belongs to it."""
    alpha, mu, factor = np.split(parameters, [K, K + K * D])
    mu, factor = mu.reshape(K, D), factor.reshape(K, D + BELOW)
    q, lower = factor[:, :D], factor[:, D:]
    j, i = np.triu_indices(D, 1)  # the rows and columns below the diagonal, column by column
    Q = np.zeros((K, D, D))
    Q[:, range(D), range(D)] = np.exp(q)
    Q[:, i, j] = lower
    centred = points[:, None] - mu
    y = np.einsum("kij,nkj->nki", Q, centred)
    inner = alpha + q.sum(1) - 0.5 * (y**2).sum(2)
    top = inner.max(1, keepdims=True)
    weights = np.exp(inner - top)
    value = (np.log(weights.sum(1)) + top[:, 0]).sum() - len(points) * np.log(np.exp(alpha).sum())
    value += 0.5 * GAMMA**2 * (np.exp(2 * q).sum() + (lower**2).sum()) - M * q.sum() + constant(len(points))
    weights /= weights.sum(1, keepdims=True)
    share = weights.sum(0)
    by_mu = np.einsum("nk,kij,nki->kj", weights, Q, y)
    by_Q = -np.einsum("nk,nki,nkj->kij", weights, y, centred)
    by_q = share[:, None] + by_Q[:, range(D), range(D)] * np.exp(q) + GAMMA**2 * np.exp(2 * q) - M
    by_lower = by_Q[:, i, j] + GAMMA**2 * lower
    by_alpha = share - len(points) * np.exp(alpha) / np.exp(alpha).sum()
    return value, np.concatenate([by_alpha, by_mu.ravel(), np.concatenate([by_q, by_lower], axis=1).ravel()])


def make(size: int) -> Point:
    points, parameters = mixture(size)
    return Point(log_likelihood(points), parameters.tolist(), lambda: answer(points, parameters), data=points)


PROBLEM = Problem(
    name="problems/gmm",
    summary="the log-likelihood of a mixture of 5 normal distributions in 2 dimensions",
    source="F. Srajer, Z. Kukelova, A. Fitzgibbon, A benchmark of selected algorithmic differentiation tools, 2018",
    make=make, sizes=(10, 100, 1_000, 10_000), size=1_000, quick=100,
    of="points", unit="us/point", scale=lambda size: 1e6 / size,
)  # fmt: skip
