"""numba, with the gradient derived and written out by hand: what a compiled loop can do."""

import math

import numba as nb
import numpy as np

from tapegrad.bench.problems.advection import CELLS, COURANT, TARGET
from tapegrad.bench.problems.advection import STEPS as MOVES
from tapegrad.bench.problems.gmm import COLUMNS, GAMMA, D, K, M, constant
from tapegrad.bench.problems.heston import FLOOR, RATE, STEPS, STRIKE
from tapegrad.bench.problems.k_means import CENTRES, DIMENSIONS
from tapegrad.bench.problems.mlp import ALPHA, WIDTHS
from tapegrad.bench.rival import single

NAME = "numba"
PACKAGE = "numba"
WAYS = {"gradient by hand": True}

N0, N1, N2, _ = WIDTHS
LANES = 64
STARTS = np.array(COLUMNS)

compiled = nb.njit(error_model="numpy")


def at_point(f, case, how, *data):
    single(how)
    x = np.array(case.x)
    f(np.array(case.elsewhere), *data)
    return lambda: f(x, *data)


@compiled
def rosenbrock_loop(x):
    g = np.zeros(len(x))
    y = 0.0
    for i in range(len(x) - 1):
        off, rest = x[i + 1] - x[i] * x[i], 1 - x[i]
        y += 100 * off * off + rest * rest
        g[i] -= 400 * x[i] * off + 2 * rest
        g[i + 1] = 200 * off
    return y, g


def rosenbrock(case, how):
    return at_point(rosenbrock_loop, case, how)


@compiled
def recurrence_loop(x, steps):
    a, b, shift = x
    states = np.empty(steps)
    s = shift
    for i in range(steps):
        states[i] = s
        s = math.sin(s * a + b) + shift
    ga, gb, gshift, g = 0.0, 0.0, 0.0, 1.0
    for i in range(steps - 1, -1, -1):
        gshift += g
        pull = g * math.cos(states[i] * a + b)
        ga += pull * states[i]
        gb += pull
        g = pull * a
    return s, np.array([ga, gb, gshift + g])


def replay_chain(case, how):
    return at_point(recurrence_loop, case, how, case.data)


@compiled
def speelpenning_loop(x):
    g = np.empty(len(x))
    left, right = 1.0, 1.0
    for i in range(len(x)):
        g[i] = left
        left *= x[i]
    for i in range(len(x) - 1, -1, -1):
        g[i] *= right
        right *= x[i]
    return left, g


def speelpenning(case, how):
    return at_point(speelpenning_loop, case, how)


@compiled
def log_sum_exp_loop(x):
    largest = x.max()
    g = np.exp(x - largest)
    total = g.sum()
    g /= total
    return largest + math.log(total), g


def log_sum_exp(case, how):
    return at_point(log_sum_exp_loop, case, how)


@compiled
def least_squares_loop(x, A, b):
    off = A @ x - b
    return 0.5 * (off @ off), off @ A


def least_squares(case, how):
    return at_point(least_squares_loop, case, how, *case.data)


@compiled
def k_means_loop(x, points):
    g = np.zeros(len(x))
    total = 0.0
    for n in range(len(points)):
        least, nearest = np.inf, 0
        for k in range(CENTRES):
            distance = 0.0
            for d in range(DIMENSIONS):
                off = x[k * DIMENSIONS + d] - points[n, d]
                distance += off * off
            if distance < least:
                least, nearest = distance, k
        total += least
        for d in range(DIMENSIONS):
            g[nearest * DIMENSIONS + d] += 2 * (x[nearest * DIMENSIONS + d] - points[n, d])
    return total, g


def k_means(case, how):
    return at_point(k_means_loop, case, how, case.data)


@compiled
def gmm_loop(x, points, rest):
    n, width = len(points), D + D * (D - 1) // 2
    alpha, mu, factor = x[:K], x[K : K + K * D].reshape(K, D), x[K + K * D :].reshape(K, width)
    g = np.zeros(len(x))
    g_alpha, g_mu, g_factor = g[:K], g[K : K + K * D].reshape(K, D), g[K + K * D :].reshape(K, width)
    diagonal = np.exp(factor[:, :D])
    sums = np.array([factor[k, :D].sum() for k in range(K)])
    centred, y, inner = np.empty((K, D)), np.empty((K, D)), np.empty(K)
    value = rest
    for p in range(n):
        for k in range(K):
            square = 0.0
            for i in range(D):
                centred[k, i] = points[p, i] - mu[k, i]
                y[k, i] = diagonal[k, i] * centred[k, i]
                for j in range(i):
                    y[k, i] += factor[k, D + STARTS[j] + i - j - 1] * centred[k, j]
                square += y[k, i] * y[k, i]
            inner[k] = alpha[k] + sums[k] - 0.5 * square
        top, total = inner.max(), 0.0
        for k in range(K):
            inner[k] = math.exp(inner[k] - top)
            total += inner[k]
        value += math.log(total) + top
        for k in range(K):
            weight = inner[k] / total
            g_alpha[k] += weight
            for i in range(D):
                pull = weight * y[k, i]
                g_factor[k, i] -= pull * centred[k, i]
                g_mu[k, i] += pull * diagonal[k, i]
                for j in range(i):
                    at = D + STARTS[j] + i - j - 1
                    g_factor[k, at] -= pull * centred[k, j]
                    g_mu[k, j] += pull * factor[k, at]
    top = alpha.max()
    powers = np.exp(alpha - top)
    value -= n * (math.log(powers.sum()) + top)
    for k in range(K):
        for i in range(D):
            square = GAMMA * GAMMA * diagonal[k, i] * diagonal[k, i]
            value += 0.5 * square - M * factor[k, i]
            g_factor[k, i] = g_factor[k, i] * diagonal[k, i] + g_alpha[k] + square - M
        for i in range(D, width):
            value += 0.5 * GAMMA * GAMMA * factor[k, i] * factor[k, i]
            g_factor[k, i] += GAMMA * GAMMA * factor[k, i]
        g_alpha[k] -= n * powers[k] / powers.sum()
    return value, g


def gmm(case, how):
    return at_point(gmm_loop, case, how, case.data, constant(len(case.data)))


@compiled
def mlp_loop(w, X, y):
    n1, n2 = N1 * (N0 + 1), N1 * (N0 + 1) + N2 * (N1 + 1)
    W1, W2, W3 = w[:n1].reshape(N1, N0 + 1), w[n1:n2].reshape(N2, N1 + 1), w[n2:]
    g = 2 * ALPHA * w
    G1, G2, G3 = g[:n1].reshape(N1, N0 + 1), g[n1:n2].reshape(N2, N1 + 1), g[n2:]
    h1, h2, g1 = np.empty(N1), np.empty(N2), np.empty(N1)
    loss = 0.0
    for k in range(len(y)):
        for j in range(N1):
            h1[j] = max(W1[j, 0] * X[k, 0] + W1[j, 1] * X[k, 1] + W1[j, 2], 0.0)
        score = W3[N2]
        for j in range(N2):
            z = W2[j, N1]
            for i in range(N1):
                z += W2[j, i] * h1[i]
            h2[j] = max(z, 0.0)
            score += W3[j] * h2[j]
        margin = 1 - y[k] * score
        if margin <= 0:
            continue
        loss += margin
        d = -y[k] / len(y)
        G3[N2] += d
        g1[:] = 0.0
        for j in range(N2):
            G3[j] += d * h2[j]
            if h2[j] > 0:
                dj = d * W3[j]
                G2[j, N1] += dj
                for i in range(N1):
                    G2[j, i] += dj * h1[i]
                    g1[i] += dj * W2[j, i]
        for j in range(N1):
            if h1[j] > 0:
                G1[j, 0] += g1[j] * X[k, 0]
                G1[j, 1] += g1[j] * X[k, 1]
                G1[j, 2] += g1[j]
    return loss / len(y) + ALPHA * (w @ w), g


def mlp(case, how):
    return at_point(mlp_loop, case, how, case.data.X, case.data.y)


def parallel(loop, how):
    return nb.njit(error_model="numpy", parallel=how.threads > 1)(loop)


def black_scholes_loop(S, K, T, r, sigma, out):
    for i in nb.prange(len(S)):
        root = math.sqrt(T[i])
        st = sigma[i] * root
        d1 = (math.log(S[i] / K[i]) + (r[i] + 0.5 * sigma[i] * sigma[i]) * T[i]) / st
        n1 = 0.5 * math.erfc(d1 * -0.7071067811865476)
        n2 = 0.5 * math.erfc((d1 - st) * -0.7071067811865476)
        density = 0.3989422804014327 * math.exp(-0.5 * d1 * d1)
        discount = math.exp(-r[i] * T[i])
        out[0, i] = S[i] * n1 - K[i] * discount * n2
        out[1, i] = n1
        out[2, i] = -discount * n2
        out[3, i] = S[i] * density * sigma[i] / (2 * root) + r[i] * K[i] * discount * n2
        out[4, i] = K[i] * T[i] * discount * n2
        out[5, i] = S[i] * density * root


def black_scholes(case, how):
    loop = parallel(black_scholes_loop, how)

    def run():
        out = np.empty((6, case.samples))
        loop(*case.columns, out)
        return out[0], out[1:]

    return run


def heston_loop(p, z1, z2):
    """Blocks of LANES paths, which the compiler does in vectors; draws are (step, path)."""
    s0, v0, kappa, theta, xi, rho = p
    rc, dt, n = math.sqrt(1 - rho * rho), 1 / STEPS, z1.shape[1]
    sq, blocks = math.sqrt(dt), (n + LANES - 1) // LANES
    out = np.zeros((blocks, 7))
    for block in nb.prange(blocks):
        k, m = block * LANES, min(LANES, n - block * LANES)
        vs, roots = np.empty((STEPS, LANES)), np.empty((STEPS, LANES))
        v, logs, s, gv, g = np.full(LANES, v0), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES), np.zeros((4, LANES))
        for i in range(STEPS):
            for j in range(m):  # the factors of s are gathered in its logarithm: one exp a path
                x1, vp = z1[i, k + j], max(v[j], FLOOR)
                root = math.sqrt(vp) * sq
                vs[i, j], roots[i, j] = v[j], root
                logs[j] += (RATE - 0.5 * vp) * dt + root * x1
                v[j] += kappa * (theta - vp) * dt + xi * root * (rho * x1 + rc * z2[i, k + j])
        for j in range(m):
            s[j] = s0 * math.exp(logs[j])
            if s[j] > STRIKE:
                out[block, 0] += s[j] - STRIKE
                out[block, 1] += s[j] / s0
            else:
                s[j] = 0.0
        for i in range(STEPS - 1, -1, -1):
            for j in range(m):  # gv is the adjoint of v after step i
                vp, root, x1, x2 = max(vs[i, j], FLOOR), roots[i, j], z1[i, k + j], z2[i, k + j]
                w, half, pull = rho * x1 + rc * x2, 0.5 * dt / root, gv[j] * root
                g[0, j] += gv[j] * (theta - vp)
                g[1, j] += gv[j]
                g[2, j] += pull * w
                g[3, j] += pull * (x1 - rho / rc * x2)
                step = s[j] * (x1 * half - 0.5 * dt) + gv[j] * (xi * w * half - kappa * dt)
                gv[j] += step if vs[i, j] > FLOOR else 0.0
        out[block, 2] = gv.sum()
        out[block, 3:] = g.sum(1)
    return out.sum(0) * np.array([1.0, 1.0, 1.0, dt, kappa * dt, 1.0, xi])


def heston(case, how):
    loop = parallel(heston_loop, how)
    z1, z2 = (np.ascontiguousarray(z.T) for z in case.columns)

    def run():
        sums = loop(case.shared, z1, z2) * (math.exp(-RATE) / case.samples)
        return sums[0], sums[1:]

    return run


def lax_wendroff_loop(profiles, costs, gradients):
    """The scheme is linear: its adjoint needs no history."""
    into, out = 0.5 * COURANT * (1 + COURANT), 0.5 * COURANT * (1 - COURANT)
    stay = 1 - into + out
    for n in nb.prange(len(profiles)):
        q, other = profiles[n].copy(), np.empty(CELLS)
        for _ in range(MOVES):
            for i in range(1, CELLS - 1):
                other[i] = into * q[i - 1] + stay * q[i] - out * q[i + 1]
            other[0] = into * q[CELLS - 1] + stay * q[0] - out * q[1]
            other[CELLS - 1] = into * q[CELLS - 2] + stay * q[CELLS - 1] - out * q[0]
            q, other = other, q
        cost = 0.0
        for i in range(CELLS):
            q[i] -= TARGET[i]
            cost += 0.5 * q[i] * q[i]
        costs[n] = cost
        for _ in range(MOVES):
            for i in range(1, CELLS - 1):
                other[i] = into * q[i + 1] + stay * q[i] - out * q[i - 1]
            other[0] = into * q[1] + stay * q[0] - out * q[CELLS - 1]
            other[CELLS - 1] = into * q[0] + stay * q[CELLS - 1] - out * q[CELLS - 2]
            q, other = other, q
        gradients[n] = q


def toon_loop(profiles, costs, gradients):
    for n in nb.prange(len(profiles)):
        history, powers, flux = np.empty((MOVES, CELLS)), np.empty((MOVES, CELLS)), np.empty(CELLS)
        q = profiles[n].copy()
        for step in range(MOVES):
            for i in range(CELLS):
                a, b = q[i], q[i + 1 if i + 1 < CELLS else 0]
                power = math.exp(COURANT * math.log(a / b))
                history[step, i], powers[step, i] = a, power
                flux[i] = (power - 1) * a * b / (a - b)
            for i in range(CELLS):
                q[i] += flux[i - 1] - flux[i]
        cost = 0.0
        for i in range(CELLS):
            q[i] -= TARGET[i]
            cost += 0.5 * q[i] * q[i]
        costs[n] = cost
        g = q.copy()
        for step in range(MOVES - 1, -1, -1):
            for i in range(CELLS):
                after = i + 1 if i + 1 < CELLS else 0
                a, b, power = history[step, i], history[step, after], powers[step, i]
                d = a - b
                pull, rest, slope = (g[after] - g[i]) / (d * d), power - 1, COURANT * power * d
                q[i] = pull * b * (slope - b * rest)
                flux[i] = pull * a * (a * rest - slope)
            for i in range(CELLS):
                g[i] += q[i] + flux[i - 1]
        gradients[n] = g


def advected(loop, case, how):
    loop, profiles = parallel(loop, how), case.columns[0]

    def run():
        costs, gradients = np.empty(len(profiles)), np.empty(profiles.shape)
        loop(profiles, costs, gradients)
        return costs, gradients

    return run


def lax_wendroff(case, how):
    return advected(lax_wendroff_loop, case, how)


def toon(case, how):
    return advected(toon_loop, case, how)
