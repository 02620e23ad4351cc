"""Is a class another state than the one most like it?

Images answer it: held-out particles that lose where the two are joined. Labels alone say less.
A run of as many classes as there are consensus classes had to cut where it could: that its seeds
agree on the cut is no evidence of two states. Runs with classes to spare were free to leave the
two together; what most of these keep apart is more than a cut that the number of classes forced.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from emjax.classify.subspace.settle import Distinct
from emjax.consensus.latent import LatentClasses, Votes
from emjax.consensus.stability import APART, informative_runs, separate_classes

_IN_USE = 0.005  # share of the votes of a run that a class of its own holds
_LEVEL = 0.05


def free_runs(votes: Votes, n_classes: int) -> Bool[np.ndarray, " r"]:
    """Runs that use more classes than these."""
    shares = np.split(votes.shares, np.cumsum(votes.n_classes)[:-1])
    used = np.asarray([(part > _IN_USE * part.sum()).sum() for part in shares])
    return (informative_runs(votes) > 0) & (used > n_classes)


def compare_nearest(
    votes: Votes, model: LatentClasses, evidence: Sequence[Distinct] | None = None
) -> dict[str, np.ndarray]:
    """The class most like each class, and whether images, or else runs, tell the two apart.

    Seeds that share a cut in all their runs, free ones too, look like two states: only images
    tell these from one.

    Args:
        votes: of the runs that count.
        model: the consensus classes.
        evidence: of held-out particles for each class; None without images.

    Returns:
        Columns of stability.tsv: nearest class (from 0; -1 where there is one class), how far
        the runs keep it apart (0 to 1), free runs, those of them that keep the two apart, and
        the chance of so many if either were as likely (sign test); held-out gain of keeping the
        two apart, with its 95 % interval; whether they are distinct, and by what: images, runs,
        or nothing, where no run was free.
    """
    g = len(model.weights)
    nearest, distance = np.full(g, -1), np.ones(g)
    kept, free = np.zeros(g, dtype=int), free_runs(votes, g)
    gain = np.full((3, g), np.nan)
    if g > 1:
        weights = np.maximum(informative_runs(votes), 1e-12)
        apart = separate_classes(votes, model)
        between = np.einsum("r,rgh->gh", weights / weights.sum(), apart)
        between[np.diag_indices(g)] = np.inf
        nearest = np.array([e.nearest for e in evidence]) if evidence else between.argmin(axis=1)
        distance = between[np.arange(g), nearest]
        pairs: Float[np.ndarray, "r g"] = apart[:, np.arange(g), nearest]
        kept = (pairs[free] > APART).sum(axis=0)
    p_value = stats.binom.sf(kept - 1, free.sum(), 0.5)
    distinct, by = p_value < _LEVEL, "runs" if free.any() and g > 1 else "nothing"
    if evidence and g > 1:
        gain = np.array([(e.gain.value, e.gain.low, e.gain.high) for e in evidence]).T
        distinct, by = np.array([e.distinct for e in evidence]), "images"
    return {
        "nearest": nearest,
        "apart_from_nearest": distance,
        "runs_free": np.full(g, free.sum()),
        "runs_apart": kept,
        "apart_p_value": p_value,
        "held_out_gain": gain[0],
        "held_out_low": gain[1],
        "held_out_high": gain[2],
        "distinct": distinct,
        "distinct_by": np.full(g, by),
    }
