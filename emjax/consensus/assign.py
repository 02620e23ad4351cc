"""Particles to consensus classes: posterior, stability, and those that stay unassigned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from emjax.consensus.intersections import Intersections, count_contingency
from emjax.consensus.latent import (
    LatentClasses,
    Votes,
    assign_posterior,
    sum_runs,
    tabulate_labels,
)
from emjax.consensus.linkage import cut_tree
from emjax.consensus.runs import Runs, gather_votes
from emjax.consensus.stability import score_stability

_CHUNK = 50_000


@dataclass(frozen=True)
class Assigned:
    """Consensus class of every particle (-1: unassigned), its posterior and its stability.

    Attributes:
        own: posterior of the particle's best class, also where it stays unassigned.
    """

    labels: Int[np.ndarray, " n"]
    own: Float[np.ndarray, " n"]
    posteriors: Float[np.ndarray, "n g"]
    stability: Float[np.ndarray, " n"]


def assign_particles(
    runs: Runs,
    crossed: Intersections,
    model: LatentClasses,
    min_posterior: float = 0.5,
    min_stability: float = 0.0,
) -> Assigned:
    """Class, posterior and stability of every particle, in chunks.

    Without posteriors of the runs the particles of an intersection are equal and computed once.
    With them the class sizes are left out: the runs' posteriors hold them already, and counted
    again they would draw particles in doubt to the largest class.
    """
    g = len(model.weights)
    level = replace(model, weights=np.full(g, 1.0 / g)) if runs.soft else model
    total = _n_rows(runs, crossed)
    posteriors = np.zeros((total + 1, g), dtype=np.float32)
    stability = np.zeros(total + 1, dtype=np.float32)
    for rows, votes in _read_votes(runs, crossed):
        posteriors[rows], _ = assign_posterior(votes, level)
        stability[rows] = score_stability(votes, model, posteriors[rows].argmax(axis=1))
    labels, own = posteriors.argmax(axis=1), posteriors.max(axis=1)
    labels[(own < min_posterior) | (stability < min_stability)] = -1
    labels[-1] = -1
    of = _rows_of_particles(runs, crossed)
    return Assigned(labels[of], own[of], posteriors[of], stability[of])


def assign_by_linkage(
    runs: Runs,
    crossed: Intersections,
    kept: Int[np.ndarray, " k"],
    linkage: Float[np.ndarray, "merges 4"],
    n_classes: int,
) -> tuple[Assigned, LatentClasses]:
    """Classes by cutting the linkage, largest first; intersections not linked stay out.

    Returns:
        The classes, and the model that they make: their sizes and what the runs do with them.
    """
    group = np.full(len(crossed.sizes) + 1, -1)
    if len(kept):
        cut = cut_tree(linkage, n_classes)[: len(kept)]
        size = np.bincount(cut, weights=crossed.sizes[kept])
        group[kept] = np.argsort(np.argsort(-size, kind="stable"))[cut]
    labels = group[crossed.of_particle]
    g = max(int(group.max()) + 1, 1)
    posteriors = (labels[:, None] == np.arange(g)).astype(np.float32)
    model = describe_groups(runs, labels, g)
    stability = np.zeros(_n_rows(runs, crossed) + 1)
    for rows, votes in _read_votes(runs, crossed):
        stability[rows] = score_stability(votes, model, (labels if runs.soft else group)[rows])
    of = _rows_of_particles(runs, crossed)
    return Assigned(labels, posteriors.max(axis=1), posteriors, stability[of]), model


def describe_groups(runs: Runs, labels: Int[np.ndarray, " n"], n_groups: int) -> LatentClasses:
    """Latent classes that given groups (-1: none) would be, with one pseudo-count per run."""
    counts = count_contingency(labels, n_groups, runs.labels, runs.n_classes).astype(np.float64)
    counts += np.repeat(1.0 / runs.n_classes, runs.n_classes)
    rates = counts / np.repeat(sum_runs(counts, runs.n_classes), runs.n_classes, axis=-1)
    size = np.bincount(labels[labels >= 0], minlength=n_groups) + 1e-3
    return LatentClasses(size / size.sum(), rates, -np.inf)


def _n_rows(runs: Runs, crossed: Intersections) -> int:
    """Rows computed: particles where they differ by posterior, otherwise intersections."""
    return len(runs.labels) if runs.soft else len(crossed.sizes)


def _rows_of_particles(runs: Runs, crossed: Intersections) -> Int[np.ndarray, " n"]:
    """Row of every particle, -1 where no run assigned it."""
    if not runs.soft:
        return crossed.of_particle
    return np.where(crossed.of_particle < 0, -1, np.arange(len(runs.labels)))


def _read_votes(runs: Runs, crossed: Intersections) -> Iterator[tuple[np.ndarray, Votes]]:
    total = _n_rows(runs, crossed)
    for start in range(0, total, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, total))
        if runs.soft:
            yield rows, gather_votes(runs, rows)
        else:
            patterns, ones = crossed.patterns[rows], np.ones(len(rows))
            yield rows, tabulate_labels(patterns, ones, runs.n_classes, runs.weights)


def order_by_size(assigned: Assigned, model: LatentClasses) -> tuple[Assigned, LatentClasses]:
    """Largest class first."""
    inside = assigned.labels >= 0
    size = np.bincount(assigned.labels[inside], minlength=len(model.weights))
    order = np.argsort(-size, kind="stable")
    rank = np.append(np.argsort(order), -1)
    ordered = replace(
        assigned, labels=rank[assigned.labels], posteriors=assigned.posteriors[:, order]
    )
    return ordered, replace(model, weights=model.weights[order], rates=model.rates[order])
