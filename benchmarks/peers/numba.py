"""numba, with the gradient derived and written out by hand: what a compiled loop can do."""

import math

import numba as nb
import numpy as np

from ._problems import ALPHA, FLOOR, LAYERS, RATE, STEPS, STRIKE

NAME = "numba"
WAYS = {"gradient by hand": True}
PACKAGE = "numba"
N0, N1, N2, _ = LAYERS
LANES = 64


@nb.njit(error_model="numpy")
def mlp_value_and_grad(w, X, y):
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


def mlp(data, how):
    mlp_value_and_grad(data.w, data.X, data.y)
    return lambda: mlp_value_and_grad(data.w_new, data.X, data.y)


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


def black_scholes(data, how):
    loop = nb.njit(error_model="numpy", parallel=how.threads > 1)(black_scholes_loop)

    def run():
        out = np.empty((6, len(data.columns[0])))
        loop(*data.columns, out)
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


def heston(data, how):
    loop = nb.njit(error_model="numpy", parallel=how.threads > 1)(heston_loop)
    z1, z2 = np.ascontiguousarray(data.z1.T), np.ascontiguousarray(data.z2.T)

    def run():
        sums = loop(data.p, z1, z2) * (math.exp(-RATE) / len(data.z1))
        return sums[0], sums[1:]

    return run
