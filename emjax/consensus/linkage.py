"""Merging of intersections by the similarity of their memberships in the input classes."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float, Int

from emjax.consensus import merging
from emjax.consensus.intersections import Intersections, pattern_contingency
from emjax.consensus.runs import Runs
from emjax.errors import OptionError

METRICS = merging.METRICS


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
    if m < 2:
        return np.zeros((0, 4))
    # Ties and the heights of other programs are compared to 1e-9.
    with jax.enable_x64(True):
        groups = merging.begin(contingency, sizes, class_sizes, metric)
        pairs, heights = merging.merge_all(groups, merging.code_of(metric))
    node, members = np.arange(m), np.ones(m)
    merges = np.zeros((m - 1, 4))
    found = zip(np.asarray(pairs).tolist(), np.asarray(heights).tolist(), strict=True)
    for step, ((i, j), height) in enumerate(list(found)[: m - 1]):
        members[i] += members[j]
        merges[step] = [min(node[i], node[j]), max(node[i], node[j]), height, members[i]]
        node[i] = m + step
    return merges


def link_intersections(
    crossed: Intersections,
    linked: Int[np.ndarray, " k"],
    runs: Runs,
    sizes: Int[np.ndarray, " c"],
    metric: str,
) -> tuple[Float[np.ndarray, "merges 4"], Float[np.ndarray, "merges 4"]]:
    """Linkage of the intersections by the metric, and by the COSS objective."""
    rows = Intersections(crossed.patterns[linked], crossed.sizes[linked], crossed.of_particle)
    table = pattern_contingency(rows, runs.n_classes)
    return (
        link_groups(table, rows.sizes, sizes, metric),
        link_groups(table, rows.sizes, sizes, "coss"),
    )
