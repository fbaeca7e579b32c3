"""numpy, with the gradient derived and written out by hand; the normal distribution by scipy."""

import numpy as np
from scipy.special import ndtr

from ._problems import ALPHA, FLOOR, RATE, STEPS, STRIKE, matrices

NAME = "numpy"
WAYS = {"gradient by hand": False}
PACKAGE = "numpy"
BLOCK = 1000  # samples that are in the cache together: all at once take half as long again


def mlp(data, how):
    X, y, n = data.X, data.y, len(data.y)

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

    return lambda: f(data.w_new)


def black_scholes(data, how):
    columns, out = data.columns, np.empty((6, len(data.columns[0])))

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
        price = S * n1 - paid
        out[:, k : k + BLOCK] = (
            price,
            n1,
            -discount * n2,
            spread * sigma / (2 * root) + r * paid,
            T * paid,
            spread * root,
        )

    def run():
        for k in range(0, out.shape[1], BLOCK):
            block(k)
        return out[0], out[1:]

    return run


def heston(data, how):
    s0, v0, kappa, theta, xi, rho = data.p
    rc, dt = np.sqrt(1 - rho * rho), 1 / STEPS
    blocks = [slice(k, k + BLOCK) for k in range(0, len(data.z1), BLOCK)]
    draws = [(np.ascontiguousarray(data.z1[b].T), np.ascontiguousarray(data.z2[b].T)) for b in blocks]

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
        return np.maximum(s - STRIKE, 0).sum(), g

    def run():
        value, gradient = 0.0, 0.0
        for z1, z2 in draws:
            a, b = block(z1, z2)
            value, gradient = value + a, gradient + b
        scale = np.exp(-RATE) / len(data.z1)
        return value * scale, gradient * scale

    return run
