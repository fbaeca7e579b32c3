"""Bundle adjustment as in ADBench: what one observation of a point by a camera says about both.

A camera has a rotation r (its axis times its angle), a centre c, a focal length f, a principal point x0 and two radial
distortions k. The point X is rotated by Rodrigues' formula, Y = R(r) (X - c), and projected to p = Y[:2] / Y[2];
the error is w (f p (1 + k0 |p|^2 + k1 |p|^4) + x0 - observed). Wanted are the two rows of the Jacobian that this is,
by the 11 numbers of the camera, the 3 of the point, and the weight w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Batch, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def reprojection(camera: Sequence[Any], point: Sequence[Any], weight: Any, seen: Sequence[Any], m: Any) -> list[Any]:
    """The two weighted errors. A rotation by nothing at all, where the formula divides 0 by 0, does not occur."""
    r1, r2, r3, c1, c2, c3, focal, u0, v0, k1, k2 = camera
    x, y, z = rotated([r1, r2, r3], [point[0] - c1, point[1] - c2, point[2] - c3], m)
    u, v = x / z, y / z
    square = u * u + v * v
    scale = focal * (1.0 + square * (k1 + k2 * square))
    return [weight * (u * scale + u0 - seen[0]), weight * (v * scale + v0 - seen[1])]


def rotated(r: Sequence[Any], p: Sequence[Any], m: Any) -> list[Any]:
    angle = m.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
    cos, sin = m.cos(angle), m.sin(angle)
    a1, a2, a3 = r[0] / angle, r[1] / angle, r[2] / angle
    cross = [a2 * p[2] - a3 * p[1], a3 * p[0] - a1 * p[2], a1 * p[1] - a2 * p[0]]
    along = (a1 * p[0] + a2 * p[1] + a3 * p[2]) * (1.0 - cos)
    return [p[i] * cos + cross[i] * sin + a * along for i, a in enumerate([a1, a2, a3])]


def observations(size: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Cameras (size, 11), points (size, 3), weights (size,), and where the points were seen (size, 2)."""
    rng = np.random.default_rng(size)
    low = [0.1, -0.4, -0.3, -1, -1, -1, 400, -5, -5, -0.1, -0.01]
    high = [0.3, 0.4, 0.3, 1, 1, 1, 600, 5, 5, 0.1, 0.01]
    points = rng.uniform([-2, -2, 8], [2, 2, 12], (size, 3))
    return rng.uniform(low, high, (size, 11)), points, rng.uniform(0.5, 1, size), rng.uniform(-99, 99, (size, 2))


def errors(x: np.ndarray[Any, Any], seen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same on arrays, by the matrix R = exp(K) of the cross product K: 1 + sin(t)/t K + (1 - cos(t))/t^2 K^2."""
    r, c, f, x0, k = x[:, :3], x[:, 3:6], x[:, 6:7], x[:, 7:9], x[:, 9:11]
    t = np.sqrt((r**2).sum(1))[:, None, None]
    K = np.cross(np.eye(3), r[:, None])
    R = np.eye(3) + np.sin(t) / t * K + (1 - np.cos(t)) / t**2 * (K @ K)
    Y = np.einsum("nij,nj->ni", R, x[:, 11:14] - c)
    p = Y[:, :2] / Y[:, 2:]
    s = (p**2).sum(1, keepdims=True)
    return np.asarray(x[:, 14:] * (f * p * (1 + k[:, :1] * s + k[:, 1:] * s**2) + x0 - seen))


def answer(camera: Any, point: Any, weight: Any, seen: Any) -> Answer:
    """Complex steps: no difference is formed, so a step may be tiny and the derivative is exact."""
    x = np.column_stack([camera, point, weight]).astype(complex)
    jacobians = np.empty((len(x), 2, x.shape[1]))
    for k in range(x.shape[1]):
        step = x.copy()
        step[:, k] += 1e-30j
        jacobians[:, :, k] = errors(step, seen).imag / 1e-30
    return None, jacobians


def make(size: int) -> Batch:
    columns = observations(size)
    return Batch(reprojection, columns, lambda: answer(*columns), by=3, outputs=2)


PROBLEM = Problem(
    name="problems/bundle-adjustment",
    summary="reprojection errors: the Jacobian of two by 15, for each observation",
    source="F. Srajer, Z. Kukelova, A. Fitzgibbon, A benchmark of selected algorithmic differentiation tools, 2018",
    make=make, sizes=(100, 1_000, 10_000, 100_000), size=10_000, quick=1_000,
    of="observations", unit="ns/observation", scale=lambda size: 1e9 / size,
)  # fmt: skip
