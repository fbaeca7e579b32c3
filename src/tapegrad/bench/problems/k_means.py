"""The cost of a clustering: the sum over points of the squared distance to the nearest centre.

The gradient by a centre is twice the sum of its differences from the points that it is nearest to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.bench.problem import Answer, Point, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CENTRES, DIMENSIONS = 8, 3


def clusters(points: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Points around their centres, and other centres to be moved."""
    rng = np.random.default_rng(points)
    centres = rng.uniform(-1, 1, (CENTRES, DIMENSIONS))
    spread = rng.normal(0, 0.2, (points, DIMENSIONS))
    return centres[rng.integers(CENTRES, size=points)] + spread, rng.uniform(-1, 1, (CENTRES, DIMENSIONS))


def cost(points: np.ndarray[Any, Any]) -> Callable[[Sequence[Any], Any], Any]:
    rows = points.tolist()

    def program(x: Sequence[Any], m: Any) -> Any:
        centres = [x[k : k + DIMENSIONS] for k in range(0, len(x), DIMENSIONS)]
        nearest = []
        for row in rows:
            distances = [m.sum([(c - p) ** 2 for c, p in zip(centre, row, strict=True)]) for centre in centres]
            least = -distances[0]
            for distance in distances[1:]:
                least = m.maximum(least, -distance)  # not every system has a minimum
            nearest.append(least)
        return -m.sum(nearest)

    return program


def make(size: int) -> Point:
    points, centres = clusters(size)

    def answer() -> Answer:
        distances = ((points[:, None] - centres) ** 2).sum(2)
        mine = np.eye(CENTRES)[distances.argmin(1)]  # (points, CENTRES): 1 where the centre is the nearest
        return distances.min(1).sum(), 2 * (mine.sum(0)[:, None] * centres - mine.T @ points).ravel()

    return Point(cost(points), centres.ravel().tolist(), answer, data=points)


PROBLEM = Problem(
    name="problems/k-means",
    summary="the cost of a clustering by 8 centres in 3 dimensions",
    source="L. Bottou, Y. Bengio, Convergence properties of the k-means algorithms, 1994",
    make=make, sizes=(10, 100, 1_000, 10_000), size=500, quick=50,
    of="points", unit="us/point", scale=lambda size: 1e6 / size,
)  # fmt: skip
