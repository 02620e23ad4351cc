"""Merging of intersections by the similarity of their memberships in the input classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from emjax.errors import OptionError

METRICS = ("cosine", "euclidean", "cityblock", "correlation", "coss")
_TIE = 1e-10


def jaccard(
    contingency: Float[np.ndarray, "m c"],
    group_sizes: Float[np.ndarray, " m"],
    class_sizes: Float[np.ndarray, " c"],
) -> Float[np.ndarray, "m c"]:
    """Jaccard index c / (|x| + |y| - c) of every group with every input class."""
    union = group_sizes[:, None] + class_sizes[None, :] - contingency
    return np.divide(contingency, union, out=np.zeros(contingency.shape), where=union > 0)


def choose_representatives(similarity: Float[np.ndarray, "m c"]) -> Int[np.ndarray, " m"]:
    """Input class (index into the flat list) with the largest Jaccard index; first of equals."""
    return similarity.argmax(axis=1).astype(np.int64)


def _cosine(row: np.ndarray, rows: np.ndarray) -> np.ndarray:
    norm = np.sqrt((rows**2).sum(axis=1) * (row**2).sum())
    return 1.0 - np.divide(rows @ row, norm, out=np.zeros(len(rows)), where=norm > 0)


def _correlation(row: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return _cosine(row - row.mean(), rows - rows.mean(axis=1, keepdims=True))


_DISTANCE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cosine": _cosine,
    "correlation": _correlation,
    "euclidean": lambda row, rows: np.sqrt(((rows - row) ** 2).sum(axis=1)),
    "cityblock": lambda row, rows: np.abs(rows - row).sum(axis=1),
}


def _entropy_loss(size: float, sizes: np.ndarray, total: float) -> np.ndarray:
    """How much entropy of the sizes a merge costs."""
    p, q = size / total, sizes / total
    return (p + q) * np.log(p + q) - p * np.log(p) - q * np.log(q)


class Merger:
    """Groups that are still apart, with all their distances."""

    def __init__(self, contingency, sizes, class_sizes, metric):
        """Every group by itself, with its particles in each input class."""
        m = len(sizes)
        self.metric = metric
        self.counts = contingency.astype(np.float64)
        self.sizes = sizes.astype(np.float64)
        self.class_sizes = class_sizes.astype(np.float64)
        self.total = max(float(self.sizes.sum()), 1.0)
        self.similarity = jaccard(self.counts, self.sizes, self.class_sizes)
        self.active = np.ones(m, dtype=bool)
        self.distance = np.full((m, m), np.inf)
        for i in range(m):
            self.distance[i, i + 1 :] = self.measure(i, np.arange(i + 1, m))
        self.distance = np.minimum(self.distance, self.distance.T)
        self.nearest = self.distance.min(axis=1) if m else np.zeros(0)

    def measure(self, i: int, others: np.ndarray) -> np.ndarray:
        """Distance of a group to others."""
        row, rows = self.similarity[i], self.similarity[others]
        if self.metric != "coss":
            return _DISTANCE[self.metric](row, rows)
        loss = _entropy_loss(self.sizes[i], self.sizes[others], self.total)
        # A small difference of large terms: below rounding it is a tie, not a negative cost.
        return np.maximum(loss, 0.0) / (1.0 - _cosine(row, rows) + 0.01)

    def closest(self) -> tuple[int, int, float]:
        """Nearest pair; equals by the size after the merge, then by the order of the groups."""
        best = float(self.nearest.min())
        rows = np.flatnonzero(self.nearest <= best + _TIE)
        at, j = np.nonzero(self.distance[rows] <= best + _TIE)
        i = rows[at]
        upper = i < j
        i, j = i[upper], j[upper]
        first = np.lexsort((j, i, self.sizes[i] + self.sizes[j]))[0]
        return int(i[first]), int(j[first]), float(self.distance[i[first], j[first]])

    def merge(self, i: int, j: int) -> None:
        """Put group j into group i, and measure i anew."""
        self.counts[i] += self.counts[j]
        self.sizes[i] += self.sizes[j]
        self.similarity[i] = jaccard(
            self.counts[i : i + 1], self.sizes[i : i + 1], self.class_sizes
        )[0]
        self.active[j] = False
        stale = self.active & (
            (self.distance[:, i] <= self.nearest) | (self.distance[:, j] <= self.nearest)
        )
        self.distance[j, :] = self.distance[:, j] = np.inf
        self.nearest[j] = np.inf
        others = np.flatnonzero(self.active)
        others = others[others != i]
        self.distance[i, others] = self.distance[others, i] = self.measure(i, others)
        stale[i] = True
        self.nearest[stale] = self.distance[stale].min(axis=1)
        self.nearest[others] = np.minimum(self.nearest[others], self.distance[others, i])


def link_groups(
    contingency: Int[np.ndarray, "m c"],
    sizes: Int[np.ndarray, " m"],
    class_sizes: Int[np.ndarray, " c"],
    metric: str = "cosine",
) -> Float[np.ndarray, "merges 4"]:
    """Merge the two groups with the most similar memberships until one is left.

    Counts add under merging, so every merge recomputes one row of similarities. Heights may
    fall (the new group can be nearer to a third than its parts were). `coss` merges the pair
    that costs least entropy per similarity, (H(p) - H(merged)) / (cos + 0.01).

    Returns SciPy's linkage: two groups, height, number of intersections in the new group.
    """
    if metric not in METRICS:
        raise OptionError("consensus.metric", metric, f"one of {', '.join(METRICS)}")
    m = len(sizes)
    merger = Merger(contingency, sizes, class_sizes, metric)
    node, members = np.arange(m), np.ones(m)
    merges = np.zeros((max(m - 1, 0), 4))
    for step in range(m - 1):
        i, j, height = merger.closest()
        members[i] += members[j]
        merges[step] = [min(node[i], node[j]), max(node[i], node[j]), height, members[i]]
        node[i] = m + step
        merger.merge(i, j)
    return merges


def cut_tree(merges: Float[np.ndarray, "merges 4"], n_classes: int) -> Int[np.ndarray, " nodes"]:
    """Class of every node after merging down to `n_classes`, -1 for the merges that are left out.

    Nodes are numbered as SciPy does, the leaves first; classes by their first leaf. SciPy cuts at
    a height, which is not defined where heights fall.
    """
    m = len(merges) + 1
    merged = m - min(max(n_classes, 1), m)
    top = np.arange(2 * m - 1)
    for node in range(m + merged - 1, m - 1, -1):
        top[merges[node - m, :2].astype(int)] = top[node]
    _, first, groups = np.unique(top[:m], return_index=True, return_inverse=True)
    classes = np.full(2 * m - 1, -1)
    classes[top[:m]] = np.argsort(np.argsort(first))[groups]
    classes[: m + merged] = classes[top[: m + merged]]
    return classes
