"""Particles to consensus classes: posterior, stability, and those that stay unassigned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from emjax.ensemble.intersections import Intersections
from emjax.ensemble.latent import LatentClasses, assign_posterior, tabulate_labels
from emjax.ensemble.linkage import cut_linkage
from emjax.ensemble.runs import Runs, gather_votes
from emjax.ensemble.stability import score_stability

_CHUNK = 50_000


@dataclass(frozen=True)
class Assigned:
    """Consensus class of every particle (-1: unassigned), its posterior and its stability.

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

    Without posteriors of the runs the particles of an intersection are alike and computed once.
    With them the class sizes are left out: the runs' posteriors hold them already, and counted
    again they would draw particles in doubt to the largest class.
    """
    n, g = len(runs.labels), len(model.weights)
    level = replace(model, weights=np.full(g, 1.0 / g)) if runs.soft else model
    total = n if runs.soft else len(crossed.sizes)
    posteriors = np.zeros((total + 1, g), dtype=np.float32)
    stability = np.zeros(total + 1, dtype=np.float32)
    for start in range(0, total, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, total))
        if runs.soft:
            votes = gather_votes(runs, rows)
        else:
            ones = np.ones(len(rows))
            votes = tabulate_labels(crossed.patterns[rows], ones, runs.n_classes, runs.weights)
        posteriors[rows], _ = assign_posterior(votes, level)
        stability[rows] = score_stability(votes, model, posteriors[rows].argmax(axis=1))
    labels, own = posteriors.argmax(axis=1), posteriors.max(axis=1)
    labels[(own < min_posterior) | (stability < min_stability)] = -1
    # Row -1 is that of the particles that no run assigned.
    labels[-1] = -1
    of = np.arange(n) if runs.soft else crossed.of_particle
    if runs.soft:
        of = np.where(crossed.of_particle < 0, -1, of)
        posteriors[-1], stability[-1] = 0.0, 0.0
    return Assigned(labels[of], own[of], posteriors[of], stability[of])


def assign_by_linkage(
    assigned: Assigned,
    crossed: Intersections,
    kept: Int[np.ndarray, " k"],
    linkage: Float[np.ndarray, "merges 4"],
    n_classes: int,
) -> Assigned:
    """Classes by cutting the linkage, largest first; intersections not linked stay out."""
    group = np.full(len(crossed.sizes) + 1, -1)
    if len(kept):
        cut = cut_linkage(linkage, n_classes)
        size = np.bincount(cut, weights=crossed.sizes[kept])
        group[kept] = np.argsort(np.argsort(-size, kind="stable"))[cut]
    labels = group[crossed.of_particle]
    g = max(int(group.max()) + 1, 1)
    posteriors = (labels[:, None] == np.arange(g)).astype(np.float32)
    return replace(assigned, labels=labels, posteriors=posteriors, own=posteriors.max(axis=1))


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
