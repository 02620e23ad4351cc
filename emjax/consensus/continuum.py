"""Discrete classes or arbitrary cuts through a continuum?

Runs that cut a continuum do so at different places. Their latent classes then form a chain: the
nearer two of them are, the fewer runs keep them apart, and no neighbours are kept apart by nearly
all runs. Between discrete classes the runs agree on the cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from emjax.consensus import em
from emjax.consensus.intersections import class_offsets
from emjax.consensus.latent import LatentClasses, Votes
from emjax.consensus.stability import APART, informative_runs, separate_classes

_AGREED_CUT = 0.8
_MAX_NEIGHBOURS = 0.84
_MIN_WEAK = 0.8
_MIN_LINKS = 3


@dataclass(frozen=True)
class Chain:
    """The latent classes in the order that puts similar ones side by side.

    Attributes:
        weak: fraction of neighbours that fewer than 80 % of the runs keep apart.
        nearness: mean distance of neighbours over that of all pairs, 1 where there is no order.
    """

    order: Int[np.ndarray, " g"]
    weak: float
    nearness: float

    @property
    def is_continuum(self) -> bool:
        """Whether the classes are arbitrary cuts of one gradient."""
        links = len(self.order) - 1
        return links >= _MIN_LINKS and self.weak >= _MIN_WEAK and self.nearness < _MAX_NEIGHBOURS


def order_chain(distance: Float[np.ndarray, "g g"]) -> Int[np.ndarray, " g"]:
    """Order of classes by the Fiedler vector of their similarities.

    Source: Atkins, Boman and Hendrickson 1998, SIAM J. Comput. 28, 297.
    """
    similarity = 1.0 - distance
    laplacian = np.diag(similarity.sum(axis=1)) - similarity
    _, vectors = np.linalg.eigh(laplacian)
    return np.argsort(vectors[:, min(1, len(distance) - 1)], kind="stable")


def measure_chain(votes: Votes, model: LatentClasses) -> Chain:
    """How much the latent classes look like arbitrary cuts through a continuum."""
    g = len(model.weights)
    weights = informative_runs(votes)
    if g < 2 or weights.sum() == 0:
        return Chain(np.arange(g), 0.0, 1.0)
    weights = weights / weights.sum()
    apart = separate_classes(votes, model)
    distance = np.einsum("r,rgh->gh", weights, apart)
    order = order_chain(distance)
    neighbours = order[:-1], order[1:]
    supported = np.einsum("r,rg->g", weights, apart[:, *neighbours] > APART)
    everyone = distance[np.triu_indices(g, 1)].mean()
    return Chain(
        order,
        float((supported < _AGREED_CUT).mean()),
        float(distance[neighbours].mean() / max(everyone, 1e-12)),
    )


def measure_unexplained(votes: Votes, model: LatentClasses) -> float:
    """Share of the association between runs that the classes leave unexplained.

    Given the right discrete classes, runs are independent of each other: the joint table of two
    runs is that of the model. Information left beyond it, over all information shared (both
    without the bias of finite counts), is what a continuum or shared noise adds.
    """
    ends = class_offsets(votes.n_classes)
    total = max(float(votes.counts.sum()), 1.0)
    c = votes.table.shape[1]
    observed = np.asarray(em.shared_votes(votes.padded), np.float64)[:c, :c]
    expected = (model.rates * model.weights[:, None]).T @ model.rates
    left = shared = 0.0
    for s in range(1, len(votes.n_classes)):
        for t in range(s):
            block = slice(ends[s], ends[s + 1]), slice(ends[t], ends[t + 1])
            joint = observed[block] / max(observed[block].sum(), 1e-12)
            bias = (votes.n_classes[s] - 1) * (votes.n_classes[t] - 1) / (2 * total)
            weight = votes.run_weights[s] * votes.run_weights[t]
            independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
            left += weight * (_relative_entropy(joint, expected[block]) - bias)
            shared += weight * (_relative_entropy(joint, independent) - bias)
    return float(max(left, 0.0) / shared) if shared > 1e-9 else 0.0


def _relative_entropy(joint: np.ndarray, model: np.ndarray) -> float:
    present = joint > 0
    return float((joint[present] * np.log(joint[present] / model[present])).sum())
