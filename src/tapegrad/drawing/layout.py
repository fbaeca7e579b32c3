"""Places for the nodes of a directed graph, in layers from left to right.

The method is that of Sugiyama, Tagawa and Toda (1981): layers by longest paths, here counted from the right so that an
input stands next to where it is used; stand-ins where an edge passes a layer, shared by the edges of one node; few
crossings, by sorting layers by the mean place of the neighbours; then heights nearest to those of the neighbours, in
least squares, which for one layer in a fixed order is isotonic regression.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import accumulate, pairwise
from typing import TypeAlias

__all__ = ["layered"]

Point: TypeAlias = tuple[float, float]

GAP, STEEP = 30.0, 0.22  # between layers, at least; and as a share of the largest rise of an edge there
SPACE = 14.0  # between nodes of a layer
ROUNDS = 12


def layered(sizes: list[Point], edges: list[tuple[int, int]]) -> tuple[list[Point], list[list[Point]]]:
    """Centres for nodes of these widths and heights, and for each edge the points it passes.

    Every edge must go from a lower to a higher number, and lead in the end to the last node. Between points 0 and 1
    of an edge, 2 and 3, ... the line is level; between 1 and 2, 3 and 4, ... it may rise.

    >>> layered([(10.0, 10.0), (20.0, 10.0)], [(0, 1)])
    ([(5.0, 5.0), (50.0, 5.0)], [[(10.0, 5.0), (10.0, 5.0), (40.0, 5.0), (40.0, 5.0)]])
    """
    items = _Items(sizes, edges)
    items.cross_less()
    items.level()
    return items.places(), items.routes()


class _Items:
    """The nodes, and behind them the stand-ins, in their layers; layer 0 is the rightmost."""

    def __init__(self, sizes: list[Point], edges: list[tuple[int, int]]) -> None:
        self.n, self.edges = len(sizes), edges
        self.width = [width for width, _ in sizes]
        self.height = [height for _, height in sizes]
        self.layer = [0] * self.n
        for u, v in sorted(edges, reverse=True):
            self.layer[u] = max(self.layer[u], self.layer[v] + 1)
        self.left: list[list[int]] = [[] for _ in sizes]  # of each item, its neighbours in the layer to its left
        self.right: list[list[int]] = [[] for _ in sizes]
        self.stand_in: dict[tuple[int, int], int] = {}  # for a node, in a layer
        for u, v in edges:
            self._connect(u, v)
        self.layers = self._first_order()
        self.y = [0.0] * len(self.layer)

    def _connect(self, u: int, v: int) -> None:
        while self.layer[u] > self.layer[v] + 1:
            u = self._next_stand_in(u)
        self.left[v].append(u)
        self.right[u].append(v)

    def _next_stand_in(self, u: int) -> int:
        """The item through which edges of u, a node or a stand-in, pass the layer to its right."""
        key = u, self.layer[u] - 1
        if key not in self.stand_in:
            new = self.stand_in[key] = len(self.layer)
            self.layer.append(key[1])
            self.width.append(0.0)
            self.height.append(2.0)
            self.left.append([u])
            self.right.append([])
            self.right[u].append(new)
        return self.stand_in[key]

    def _first_order(self) -> list[list[int]]:
        """Depth first from the right, operands in order."""
        layers: list[list[int]] = [[] for _ in range(max(self.layer) + 1)]
        seen: set[int] = set()
        todo = [self.n - 1]
        while todo:
            i = todo.pop()
            if i not in seen:
                seen.add(i)
                layers[self.layer[i]].append(i)
                todo += reversed(self.left[i])
        return layers

    # ---- crossings ----

    def cross_less(self) -> None:
        """Sort the layers by the mean place of the neighbours, from the right and from the left; keep the best."""
        best, fewest, idle = [list(layer) for layer in self.layers], self._crossings(), 0
        for k in range(2 * ROUNDS):
            if fewest == 0 or idle == 4:
                break
            self._sort(self.layers[1:] if k % 2 == 0 else self.layers[-2::-1], self.right if k % 2 == 0 else self.left)
            crossings = self._crossings()
            idle += 1
            if crossings < fewest:
                best, fewest, idle = [list(layer) for layer in self.layers], crossings, 0
        self.layers = best

    def _sort(self, layers: list[list[int]], neighbours: list[list[int]]) -> None:
        place = self._place()
        for layer in layers:
            mean = {i: _mean([place[j] for j in neighbours[i]], place[i]) for i in layer}
            layer.sort(key=mean.__getitem__)
            for k, i in enumerate(layer):
                place[i] = k

    def _place(self) -> list[float]:
        place = [0.0] * len(self.layer)
        for layer in self.layers:
            for k, i in enumerate(layer):
                place[i] = k
        return place

    def _crossings(self) -> int:
        place, crossings = self._place(), 0
        for layer in self.layers:
            ends: list[float] = []  # on the left, of the edges so far
            for i in layer:
                lefts = [place[j] for j in self.left[i]]
                crossings += sum([len(ends) - bisect_right(ends, end) for end in lefts])
                for end in lefts:
                    insort(ends, end)
        return crossings

    # ---- heights ----

    def level(self) -> None:
        """Give every item a height near those of its neighbours, so that edges are as level as can be."""
        for k in range(ROUNDS):
            self._settle(self.layers[1:], (self.right,))
            self._settle(self.layers[-2::-1], (self.left,))
            if k >= ROUNDS // 2:
                self._settle(self.layers, (self.left, self.right))
        top = min([self.y[i] - self.height[i] / 2 for i in range(len(self.y))])
        self.y = [y - top for y in self.y]

    def _settle(self, layers: list[list[int]], sides: tuple[list[list[int]], ...]) -> None:
        for layer in layers:
            wanted: list[float] = []
            weights: list[float] = []
            for i in layer:
                pulls = [(self.y[j], self._stiffness(i, j)) for side in sides for j in side[i]]
                weight = sum([w for _, w in pulls])
                weights.append(weight or 0.01)
                wanted.append(sum([y * w for y, w in pulls]) / weight if pulls else self.y[i])
            apart = [(self.height[i] + self.height[j]) / 2 + SPACE for i, j in pairwise(layer)]
            for i, y in zip(layer, _nearest_apart(wanted, weights, apart), strict=True):
                self.y[i] = y

    def _stiffness(self, i: int, j: int) -> float:
        """How much the edge between two items wants to be level: most, where it is the only one; least, where it comes
        from an input."""
        if max(i, j) < self.n:
            u, v = (i, j) if self.layer[i] > self.layer[j] else (j, i)
            return 8.0 if len(self.right[u]) == len(self.left[v]) == 1 else 4.0 if self.left[u] else 0.02
        return 0.5 if min(i, j) < self.n else 2.0

    # ---- the result ----

    def _borders(self) -> list[Point]:
        """The left and right border of every layer."""
        borders: list[Point] = []
        right = 0.0
        for layer in self.layers:
            width = max([self.width[i] for i in layer])
            borders.append((right - width, right))
            rise = max([abs(self.y[i] - self.y[j]) for i in layer for j in self.left[i]], default=0.0)
            right -= width + max(GAP, min(4 * GAP, STEEP * rise))
        start = borders[-1][0]
        return [(left - start, right - start) for left, right in borders]

    def places(self) -> list[Point]:
        borders = self._borders()
        return [(sum(borders[self.layer[i]]) / 2, self.y[i]) for i in range(self.n)]

    def routes(self) -> list[list[Point]]:
        borders, places = self._borders(), self.places()
        routes: list[list[Point]] = []
        for u, v in self.edges:
            route = [(places[u][0] + self.width[u] / 2, self.y[u]), (borders[self.layer[u]][1], self.y[u])]
            i = u
            while self.layer[i] > self.layer[v] + 1:
                i = self._next_stand_in(i)
                left, right = borders[self.layer[i]]
                route += [(left, self.y[i]), (right, self.y[i])]
            route += [(borders[self.layer[v]][0], self.y[v]), (places[v][0] - self.width[v] / 2, self.y[v])]
            routes.append(route)
        return routes


def _mean(places: list[float], default: float) -> float:
    return sum(places) / len(places) if places else default


def _nearest_apart(wanted: list[float], weights: list[float], apart: list[float]) -> list[float]:
    """The heights nearest to those wanted, in weighted least squares, and so far apart: by pooling of violators."""
    shift = list(accumulate(apart, initial=0.0))
    blocks: list[tuple[float, float, int]] = []  # their mean, without the shift, weight and number of members
    for y, weight, offset in zip(wanted, weights, shift, strict=True):
        mean, count = y - offset, 1
        while blocks and blocks[-1][0] >= mean:
            above, heavy, members = blocks.pop()
            mean = (mean * weight + above * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + members
        blocks.append((mean, weight, count))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, shift, strict=True)]
