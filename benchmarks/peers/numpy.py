"""numpy, with the gradient derived and written out by hand; the normal distribution by scipy."""

import numpy as np
from scipy.special import logsumexp, ndtr
from tapegrad.bench.peers._arrays import BELOW

from tapegrad.bench.problems.advection import COURANT, TARGET
from tapegrad.bench.problems.advection import STEPS as MOVES
from tapegrad.bench.problems.gmm import GAMMA, D, K, M, constant
from tapegrad.bench.problems.heston import FLOOR, RATE, STEPS, STRIKE
from tapegrad.bench.problems.k_means import CENTRES
from tapegrad.bench.problems.mlp import ALPHA, matrices
from tapegrad.bench.rival import single

NAME = "numpy"
PACKAGE = "numpy"
WAYS = {"gradient by hand": False}

BLOCK = 1000  # samples that are in the cache together: all at once take half as long again
PROFILES = 50  # the same, of profiles with their history


def at_point(f, case, how):
    single(how)
    x = np.array(case.x)
    return lambda: f(x)


def rosenbrock(case, how):
    def f(x):
        a = x[:-1]
        off, rest = x[1:] - a * a, 1 - a
        g = np.empty_like(x)
        g[0] = 0.0
        np.multiply(off, 200, out=g[1:])
        g[:-1] -= 400 * a * off + 2 * rest
        return 100 * (off @ off) + rest @ rest, g

    return at_point(f, case, how)


def speelpenning(case, how):
    """By products from the left and from the right: a quotient would not bear a zero."""

    def f(x):
        left, right = np.ones_like(x), np.ones_like(x)
        np.cumprod(x[:-1], out=left[1:])
        np.cumprod(x[:0:-1], out=right[-2::-1])
        return left[-1] * x[-1], left * right

    return at_point(f, case, how)


def log_sum_exp(case, how):
    def f(x):
        largest = x.max()
        powers = np.exp(x - largest)
        total = powers.sum()
        return largest + np.log(total), powers / total

    return at_point(f, case, how)


def least_squares(case, how):
    A, b = case.data

    def f(x):
        off = A @ x - b
        return 0.5 * (off @ off), A.T @ off

    return at_point(f, case, how)


def k_means(case, how):
    points = case.data
    squares = (points * points).sum()
    lines = np.arange(len(points))

    def f(x):
        """|p - c|^2 = |p|^2 - 2 p.c + |c|^2, which needs no array of all differences."""
        centres = x.reshape(CENTRES, -1)
        distances = (centres * centres).sum(1) - 2 * (points @ centres.T)
        nearest = distances.argmin(1)
        counts = np.bincount(nearest, minlength=CENTRES)
        sums = [np.bincount(nearest, column, CENTRES) for column in points.T]
        return squares + distances[lines, nearest].sum(), 2 * (counts[:, None] * centres - np.stack(sums, 1)).ravel()

    return at_point(f, case, how)


def gmm(case, how):
    points, n = case.data, len(case.data)
    lines, columns = np.nonzero(BELOW.sum(0))
    order = np.lexsort((lines, columns))  # column by column
    lines, columns = lines[order], columns[order]

    def f(x):
        alpha, mu, factor = x[:K], x[K : K + K * D].reshape(K, D), x[K + K * D :].reshape(K, -1)
        q, lower = factor[:, :D], factor[:, D:]
        diagonal = np.exp(q)
        Q = np.zeros((K, D, D))
        Q[:, range(D), range(D)] = diagonal
        Q[:, lines, columns] = lower
        centred = points - mu[:, None]  # (K, points, D)
        y = centred @ Q.transpose(0, 2, 1)
        inner = (alpha + q.sum(1))[:, None] - 0.5 * np.einsum("kni,kni->kn", y, y)
        top = inner.max(0)
        weights = np.exp(inner - top)
        total = weights.sum(0)
        value = (np.log(total) + top).sum() - n * logsumexp(alpha) - M * q.sum() + constant(n)
        value += 0.5 * GAMMA**2 * ((diagonal**2).sum() + (lower**2).sum())
        weights /= total
        share = weights.sum(1)
        pull = weights[:, :, None] * y
        by_Q = -pull.transpose(0, 2, 1) @ centred
        powers = np.exp(alpha - alpha.max())
        g = np.empty_like(x)
        g[:K] = share - n * powers / powers.sum()
        g[K : K + K * D] = (pull.sum(1)[:, None] @ Q).ravel()
        by = g[K + K * D :].reshape(K, -1)
        by[:, :D] = share[:, None] + by_Q[:, range(D), range(D)] * diagonal + GAMMA**2 * diagonal**2 - M
        by[:, D:] = by_Q[:, lines, columns] + GAMMA**2 * lower
        return value, g

    return at_point(f, case, how)


def mlp(case, how):
    X, y, n = case.data.X, case.data.y, len(case.data.y)

    def f(w):
        (W1, b1), (W2, b2), (W3, b3) = matrices(w)
        h1 = np.maximum(X @ W1.T + b1, 0)
        h2 = np.maximum(h1 @ W2.T + b2, 0)
        margin = np.maximum(1 - y * (h2 @ W3[0] + b3[0]), 0)
        d3 = np.where(margin > 0, y, 0) / -n
        d2 = np.outer(d3, W3[0]) * (h2 > 0)
        d1 = (d2 @ W2) * (h1 > 0)
        g = 2 * ALPHA * w
        (G1, g1), (G2, g2), (G3, g3) = matrices(g)
        G1 += d1.T @ X
        g1 += d1.sum(0)
        G2 += d2.T @ h1
        g2 += d2.sum(0)
        G3 += d3 @ h2
        g3 += d3.sum()
        return margin.mean() + ALPHA * (w @ w), g

    return at_point(f, case, how)


def black_scholes(case, how):
    single(how)
    columns, out = case.columns, np.empty((6, case.samples))

    def block(k):
        S, K, T, r, sigma = (x[k : k + BLOCK] for x in columns)
        root = np.sqrt(T)
        st = sigma * root
        d1 = (np.log(S / K) + (r + 0.5 * sigma * sigma) * T) / st
        n1, n2 = ndtr(d1), ndtr(d1 - st)
        density = np.exp(-0.5 * d1 * d1) * 0.3989422804014327
        discount = np.exp(-r * T)
        paid = K * discount * n2
        spread = S * density
        theta = spread * sigma / (2 * root) + r * paid
        out[:, k : k + BLOCK] = S * n1 - paid, n1, -discount * n2, theta, T * paid, spread * root

    def run():
        for k in range(0, out.shape[1], BLOCK):
            block(k)
        return out[0], out[1:]

    return run


def heston(case, how):
    single(how)
    s0, v0, kappa, theta, xi, rho = case.shared
    rc, dt = np.sqrt(1 - rho * rho), 1 / STEPS
    blocks = [slice(k, k + BLOCK) for k in range(0, case.samples, BLOCK)]
    draws = [tuple(np.ascontiguousarray(z[b].T) for z in case.columns) for b in blocks]

    def block(z1, z2):
        vs, roots, logs, v = [], [], 0.0, np.full(z1.shape[1], v0)
        for i in range(STEPS):
            vp = np.maximum(v, FLOOR)
            root = np.sqrt(vp * dt)
            vs.append(v)
            roots.append(root)
            logs = logs + (RATE - 0.5 * vp) * dt + root * z1[i]
            v = v + kappa * (theta - vp) * dt + xi * root * (rho * z1[i] + rc * z2[i])
        s = s0 * np.exp(logs)
        s *= s > STRIKE
        g = np.zeros(6)
        gv = np.zeros_like(s)
        for i in range(STEPS - 1, -1, -1):
            v, root = vs[i], roots[i]
            pull = gv * root
            w = rho * z1[i] + rc * z2[i]
            g[2] += (theta * gv.sum() - gv @ np.maximum(v, FLOOR)) * dt
            g[3] += kappa * dt * gv.sum()
            g[4] += pull @ w
            g[5] += xi * (pull @ z1[i] - rho / rc * (pull @ z2[i]))
            half = 0.5 * dt / root
            gv = gv + (v > FLOOR) * (s * (z1[i] * half - 0.5 * dt) + gv * (xi * w * half - kappa * dt))
        g[0], g[1] = s.sum() / s0, gv.sum()
        return (np.maximum(s - STRIKE, 0) * (s > 0)).sum(), g

    def run():
        value, gradient = 0.0, 0.0
        for z1, z2 in draws:
            a, b = block(z1, z2)
            value, gradient = value + a, gradient + b
        scale = np.exp(-RATE) / case.samples
        return value * scale, gradient * scale

    return run


def advected(case, how, forward, reverse):
    """Blocks of profiles, cells first; `forward(q)` is a step, `reverse(q, g)` the adjoint before it."""
    single(how)
    q = case.columns[0]
    blocks = [np.ascontiguousarray(q[k : k + PROFILES].T) for k in range(0, len(q), PROFILES)]
    target = TARGET[:, None]

    def block(q):
        history = []
        for _ in range(MOVES):
            history.append(q)
            q = forward(q)
        g = off = q - target
        while history:
            g = reverse(history.pop(), g)
        return 0.5 * (off * off).sum(0), g.T

    def run():
        costs, gradients = zip(*map(block, blocks), strict=True)
        return np.concatenate(costs), np.concatenate(gradients)

    return run


def next_cell(q):
    return np.concatenate([q[1:], q[:1]])


def last_cell(q):
    return np.concatenate([q[-1:], q[:-1]])


def lax_wendroff(case, how):
    """The scheme is linear: its adjoint needs no history."""
    into, out = 0.5 * COURANT * (1 + COURANT), 0.5 * COURANT * (1 - COURANT)

    def forward(q):
        return into * last_cell(q) + (1 - into + out) * q - out * next_cell(q)

    def reverse(_, g):
        return into * next_cell(g) + (1 - into + out) * g - out * last_cell(g)

    return advected(case, how, forward, reverse)


def toon(case, how):
    def forward(a):
        b = next_cell(a)
        flux = (np.exp(COURANT * np.log(a / b)) - 1) * a * b / (a - b)
        return a + last_cell(flux) - flux

    def reverse(a, g):
        b = next_cell(a)
        d, power = a - b, np.exp(COURANT * np.log(a / b))
        rest, slope = power - 1, COURANT * power * d
        pull = (next_cell(g) - g) / (d * d)
        return g + pull * b * (slope - b * rest) + last_cell(pull * a * (a * rest - slope))

    return advected(case, how, forward, reverse)
