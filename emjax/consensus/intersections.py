"""Intersections: the particles that all runs put into the same combination of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

_CODE_LIMIT = 2**62


@dataclass(frozen=True)
class Intersections:
    """The distinct combinations of labels that occur, largest first.

    Attributes:
        patterns: class of every run, -1 where the run left the particles unassigned.
        of_particle: row of `patterns` for every particle, -1 where no run assigned it.
    """

    patterns: Int[np.ndarray, "m r"]
    sizes: Int[np.ndarray, " m"]
    of_particle: Int[np.ndarray, " n"]


def count_classes(labels: Int[np.ndarray, "n r"]) -> Int[np.ndarray, " r"]:
    """Classes of each run: the largest label plus one, 0 for a run that assigned nothing."""
    if labels.shape[0] == 0:
        return np.zeros(labels.shape[1], dtype=np.int64)
    return np.asarray([int(column.max()) + 1 for column in labels.T], dtype=np.int64)


def intersect_runs(labels: Int[np.ndarray, "n r"]) -> Intersections:
    """Intersections of all runs by iterated `unique`, never the table of all combinations.

    Order: by size, largest first, then by pattern. Particles that no run assigned are in none.
    """
    n, r = labels.shape
    base = count_classes(labels) + 1
    code = np.zeros(n, dtype=np.int64)
    span = 1
    for s in range(r):
        if span > _CODE_LIMIT // max(int(base[s]), 1):
            code, span = _compress(code)
        code *= base[s]
        code += labels[:, s]
        code += 1
        span *= int(base[s])
    first, code, sizes = _unique(code)
    patterns = labels[first]
    assigned = np.asarray((patterns >= 0).any(axis=1))
    # Codes sort as patterns do, so a stable sort by size leaves equals in that order.
    order = np.argsort(-sizes, kind="stable")
    order = order[assigned[order]]
    rank = np.full(len(sizes), -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    return Intersections(patterns[order], sizes[order], rank[code])


def _unique(code: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, first, inverse, sizes = np.unique(
        code, return_index=True, return_inverse=True, return_counts=True
    )
    return first, inverse, sizes


def _compress(code: np.ndarray) -> tuple[np.ndarray, int]:
    values, inverse = np.unique(code, return_inverse=True)
    return inverse.astype(np.int64), len(values)


def class_offsets(n_classes: Int[np.ndarray, " r"]) -> Int[np.ndarray, " r+1"]:
    """Where each run's classes begin in the flat list of all input classes."""
    return np.concatenate([[0], np.cumsum(n_classes)]).astype(np.int64)


def class_sizes(
    labels: Int[np.ndarray, "n r"], n_classes: Int[np.ndarray, " r"]
) -> Int[np.ndarray, " c"]:
    """Particles of every input class, runs one after another."""
    sizes = [
        np.bincount(column[column >= 0], minlength=k)
        for column, k in zip(labels.T, n_classes, strict=True)
    ]
    return np.concatenate([*sizes, np.zeros(0, dtype=np.int64)]).astype(np.int64)


def count_contingency(
    of_particle: Int[np.ndarray, " n"],
    n_groups: int,
    labels: Int[np.ndarray, "n r"],
    n_classes: Int[np.ndarray, " r"],
) -> Int[np.ndarray, "m c"]:
    """Particles that each group (-1: none) shares with every input class."""
    offsets = class_offsets(n_classes)
    table = np.zeros((n_groups, int(offsets[-1])), dtype=np.int64)
    for s, k in enumerate(n_classes):
        both = (of_particle >= 0) & (labels[:, s] >= 0)
        cell = of_particle[both].astype(np.int64) * k + labels[both, s]
        counts = np.bincount(cell, minlength=n_groups * int(k))
        table[:, offsets[s] : offsets[s + 1]] = counts.reshape(n_groups, int(k))
    return table


def pattern_contingency(
    intersections: Intersections, n_classes: Int[np.ndarray, " r"]
) -> Int[np.ndarray, "m c"]:
    """Particles that each intersection shares with every input class: its size, or none."""
    offsets = class_offsets(n_classes)
    m, r = intersections.patterns.shape
    table = np.zeros((m, int(offsets[-1])), dtype=np.int64)
    for s in range(r):
        rows = np.flatnonzero(intersections.patterns[:, s] >= 0)
        columns = offsets[s] + intersections.patterns[rows, s]
        table[rows, columns] = intersections.sizes[rows]
    return table


def keep_intersections(
    sizes: Int[np.ndarray, " m"], min_class_size: int
) -> Int[np.ndarray, " kept"]:
    """Rows of the intersections with at least `min_class_size` particles, in their order.

    A minimum of 0 and of 1 keep every intersection (an empty one is never listed), 2 drops the
    single particles.
    """
    return np.flatnonzero(sizes >= min_class_size)
