"""The tree of merges, cut at a number of classes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


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
