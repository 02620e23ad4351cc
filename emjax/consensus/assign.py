"""Particles to consensus classes: posterior, stability, and those that stay unassigned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from emjax.consensus.intersections import Intersections, count_contingency
from emjax.consensus.latent import (
    LatentClasses,
    Votes,
    assign_posterior,
    sum_runs,
    tabulate_labels,
)
from emjax.consensus.runs import Runs, gather_votes
from emjax.consensus.stability import score_stability
from emjax.consensus.tree import cut_tree

_CHUNK = 50_000
BETWEEN, PRUNED = "between", "pruned"


@dataclass(frozen=True)
class Assigned:
    """Consensus class of every particle (-1: unassigned), its posterior and its stability.

    Attributes:
        own: posterior of the particle's best class, also where it stays unassigned.
        set_aside: why a particle that some run assigned stays unassigned, else empty: `between`
            classes, or `pruned` because its group is small or its stability low.
    """

    labels: Int[np.ndarray, " n"]
    own: Float[np.ndarray, " n"]
    posteriors: Float[np.ndarray, "n g"]
    stability: Float[np.ndarray, " n"]
    set_aside: Shaped[np.ndarray, " n"]


def assign_particles(
    runs: Runs,
    crossed: Intersections,
    kept: Bool[np.ndarray, " m"],
    model: LatentClasses,
    min_posterior: float = 0.5,
) -> Assigned:
    """Class, posterior and stability of every particle by the latent classes, in chunks.

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
        best = posteriors[rows].argmax(axis=1)
        stability[rows] = score_stability(votes, model)[np.arange(len(rows)), best]
    of = _rows_of_particles(runs, crossed)
    posteriors, stability = posteriors[of], stability[of]
    labels, own = posteriors.argmax(axis=1), posteriors.max(axis=1)
    set_aside = np.where(own < min_posterior, BETWEEN, "")
    set_aside[~np.append(kept, True)[crossed.of_particle]] = PRUNED
    set_aside[crossed.of_particle < 0] = ""
    labels[(set_aside != "") | (crossed.of_particle < 0)] = -1
    return Assigned(labels, own, posteriors, stability, set_aside)


def assign_by_linkage(
    runs: Runs,
    crossed: Intersections,
    kept: Bool[np.ndarray, " m"],
    linked: Int[np.ndarray, " k"],
    linkage: Float[np.ndarray, "merges 4"],
    n_classes: int,
) -> tuple[Assigned, LatentClasses]:
    """Classes by cutting the tree; groups too many to be drawn join the class most like them.

    Returns:
        The classes, and the model that they make: their sizes and what the runs do with them.
    """
    group = np.full(len(crossed.sizes), -1)
    group[linked] = cut_tree(linkage, n_classes)[: len(linked)]
    g = int(group.max(initial=-1)) + 1
    drawn = describe_groups(runs, np.append(group, -1)[crossed.of_particle], g)
    rest = np.flatnonzero(kept & (group < 0))
    votes = tabulate_labels(
        crossed.patterns[rest], np.ones(len(rest)), runs.n_classes, runs.weights
    )
    group[rest] = assign_posterior(votes, drawn)[0].argmax(axis=1) if len(rest) else -1
    return _assign_groups(runs, crossed, np.append(group, -1)[crossed.of_particle], g)


def assign_by_run(runs: Runs, crossed: Intersections, kept: Bool[np.ndarray, " m"], run: int):
    """The classes of a single run as they are, and the model that they make."""
    labels = np.where(np.append(kept, False)[crossed.of_particle], runs.labels[:, run], -1)
    assigned, model = _assign_groups(runs, crossed, labels, int(runs.n_classes[run]))
    # Other runs, of one class, may have assigned what this one did not.
    unknown = kept[crossed.of_particle] & (labels < 0) & (crossed.of_particle >= 0)
    assigned = replace(assigned, set_aside=np.where(unknown, BETWEEN, assigned.set_aside))
    table = runs.posteriors[run]
    if table is None:
        return assigned, model
    own = np.where(labels >= 0, table.max(axis=1, initial=0.0), 0.0)
    return replace(assigned, posteriors=table.astype(np.float32), own=own), model


def _assign_groups(
    runs: Runs, crossed: Intersections, labels: Int[np.ndarray, " n"], n_groups: int
) -> tuple[Assigned, LatentClasses]:
    """Given classes with their stability; those in no class whom some run assigned are pruned."""
    model = describe_groups(runs, labels, n_groups)
    posteriors = (labels[:, None] == np.arange(n_groups)).astype(np.float32)
    stability = measure_stability(runs, crossed, model, labels)
    aside = np.where((labels < 0) & (crossed.of_particle >= 0), PRUNED, "")
    best = posteriors.max(axis=1, initial=0.0)
    return Assigned(labels, best, posteriors, stability, aside), model


def measure_stability(
    runs: Runs, crossed: Intersections, model: LatentClasses, labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Stability of every particle in the class it is in; 0 for those in none."""
    of, stability = _rows_of_particles(runs, crossed), np.zeros(len(labels))
    for rows, votes in _read_votes(runs, crossed):
        inside = np.flatnonzero((of >= rows[0]) & (of <= rows[-1]) & (labels >= 0))
        stability[inside] = score_stability(votes, model)[of[inside] - rows[0], labels[inside]]
    return stability


def prune_unstable(assigned: Assigned, min_stability: float) -> Assigned:
    """Set aside the particles whose runs agree less."""
    loose = (assigned.labels >= 0) & (assigned.stability < min_stability)
    labels = np.where(loose, -1, assigned.labels)
    return replace(assigned, labels=labels, set_aside=np.where(loose, PRUNED, assigned.set_aside))


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
    """Largest class first; classes without a particle are left out."""
    inside = assigned.labels >= 0
    size = np.bincount(assigned.labels[inside], minlength=len(model.weights))
    order = np.argsort(-size, kind="stable")
    order = order[size[order] > 0]
    rank = np.full(len(size) + 1, -1)
    rank[order] = np.arange(len(order))
    posteriors = assigned.posteriors[:, order]
    if len(order) < len(size):
        total = posteriors.sum(axis=1, keepdims=True)
        posteriors = np.divide(posteriors, total, out=np.zeros_like(posteriors), where=total > 0)
    ordered = replace(assigned, labels=rank[assigned.labels], posteriors=posteriors)
    weights = model.weights[order]
    weights = weights / max(weights.sum(), 1e-300)
    return ordered, replace(model, weights=weights, rates=model.rates[order])
