"""Is a class another state than the one most like it? What labels alone can say.

A run of as many classes as there are consensus classes had to cut where it could: that its seeds
agree on the cut is no evidence of two states. Runs with classes to spare were free to leave the two
together; what most of these keep apart is more than a cut that the number of classes forced.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from emjax.consensus.latent import LatentClasses, Votes
from emjax.consensus.stability import APART, informative_runs, separate_classes

_IN_USE = 0.005  # share of the votes of a run that a class of its own holds
_LEVEL = 0.05


def free_runs(votes: Votes, n_classes: int) -> Bool[np.ndarray, " r"]:
    """Runs that use more classes than these."""
    shares = np.split(votes.shares, np.cumsum(votes.n_classes)[:-1])
    used = np.asarray([(part > _IN_USE * part.sum()).sum() for part in shares])
    return (informative_runs(votes) > 0) & (used > n_classes)


def compare_nearest(votes: Votes, model: LatentClasses) -> dict[str, np.ndarray]:
    """The class most like each class, and whether runs that were free to join the two did not.

    Seeds that share a cut in all their runs, free ones too, look like two states: only images
    tell these from one.

    Args:
        votes: of the runs that count.
        model: the consensus classes.

    Returns:
        Columns of stability.tsv: nearest class (from 0; -1 where there is one class), how far
        the runs keep it apart (0 to 1), free runs, those of them that keep the two apart, and
        the chance of so many if either were as likely (sign test).
    """
    g = len(model.weights)
    if g < 2:
        none = np.zeros(g, dtype=int)
        nearest, distance, kept = none - 1, np.ones(g), none
    else:
        weights = np.maximum(informative_runs(votes), 1e-12)
        apart = separate_classes(votes, model)
        between = np.einsum("r,rgh->gh", weights / weights.sum(), apart)
        between[np.diag_indices(g)] = np.inf
        nearest = between.argmin(axis=1)
        distance = between.min(axis=1)
        pairs: Float[np.ndarray, "r g"] = apart[:, np.arange(g), nearest]
        kept = (pairs[free_runs(votes, g)] > APART).sum(axis=0)
    free = int(free_runs(votes, g).sum())
    p_value = stats.binom.sf(kept - 1, free, 0.5)
    return {
        "nearest": nearest,
        "apart_from_nearest": distance,
        "runs_free": np.full(g, free),
        "runs_apart": kept,
        "apart_p_value": p_value,
        "distinct": p_value < _LEVEL,
    }
