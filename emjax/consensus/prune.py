"""Latent classes merged until all are replicated by the runs, distinct, and large enough."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls

from emjax.consensus.latent import (
    LatentClasses,
    Votes,
    assign_posterior,
    iterate,
    merge_classes,
    sum_runs,
)
from emjax.consensus.stability import APART, informative_runs, separate_classes

_MIN_SUPPORT = 0.5
_MIN_OWN = 0.35
_MIN_PURITY = 0.6


def able_runs(votes: Votes, g: int) -> Float[np.ndarray, " r"]:
    """Weights of the runs with at least g classes; of all where fewer than two have as many."""
    weights = informative_runs(votes)
    able = weights * (votes.n_classes >= g)
    return able if (able > 0).sum() >= 2 else weights


def support_pairs(
    votes: Votes, model: LatentClasses
) -> tuple[Float[np.ndarray, "g g"], Int[np.ndarray, "g g"], Float[np.ndarray, "g g"]]:
    """Weighted fraction and number of the runs that keep pairs apart, and their mean distance.

    A run of k classes must merge some of g > k: of random pairs it keeps (1 - 1/k) g/(g - 1)
    apart. The fraction is of what the runs could do; runs with too few classes for all pairs
    count only where fewer than two have enough.
    """
    g = len(model.weights)
    weights = able_runs(votes, g)
    apart = separate_classes(votes, model)
    total = max(float(weights.sum()), 1e-12)
    possible = np.minimum((1 - 1 / votes.n_classes) * g / max(g - 1, 1), 1.0)
    counted = (apart > APART) & (weights > 0)[:, None, None]
    fraction = np.einsum("r,rgh->gh", weights, counted) / max(float(weights @ possible), 1e-12)
    distance = np.einsum("r,rgh->gh", weights / total, apart)
    return np.minimum(fraction, 1.0), counted.sum(axis=0), distance


def _weakest_pair(votes: Votes, model: LatentClasses) -> tuple[int, int] | None:
    """The pair least supported, if it is supported too little to be two states."""
    fraction, number, distance = support_pairs(votes, model)
    needed = min(2, int((informative_runs(votes) > 0).sum()))
    g, h = np.triu_indices(len(model.weights), 1)
    weak = (fraction[g, h] < _MIN_SUPPORT) | (number[g, h] < needed)
    if not weak.any():
        return None
    g, h = g[weak], h[weak]
    first = np.lexsort((distance[g, h], fraction[g, h]))[0]
    return int(g[first]), int(h[first])


def measure_own(votes: Votes, model: LatentClasses) -> Float[np.ndarray, " g"]:
    """How much of every class is no mixture of the others, 1 for a class quite its own.

    Particles between two states go to either in every run. They form a latent class whose rates
    are one mixture of the others' in all runs; a state has labels of its own in most runs.
    """
    g = len(model.weights)
    weights = informative_runs(votes)
    weights = weights / max(weights.sum(), 1e-12)
    distance = np.abs(model.rates[:, None] - model.rates[None])
    best = 0.5 * np.moveaxis(sum_runs(distance, votes.n_classes), -1, 0).max(axis=(1, 2))
    own = np.ones(g)
    scale = np.sqrt(np.repeat(weights, votes.n_classes))
    for c in range(g):
        others = np.delete(model.rates, c, axis=0)
        rows = np.vstack([(others * scale).T, np.full(g - 1, 10.0)])
        shares, _ = nnls(rows, np.append(model.rates[c] * scale, 10.0))
        left = 0.5 * sum_runs(np.abs(model.rates[c] - shares @ others), votes.n_classes)
        own[c] = weights @ np.minimum(left / np.maximum(best, 1e-12), 1.0)
    return own


def _least_supported_class(votes: Votes, model: LatentClasses, min_fraction: float) -> int | None:
    """The class too small, or too much mixed with others, to be a state."""
    posterior, _ = assign_posterior(votes, model)
    weighted = posterior * votes.counts[:, None]
    own = posterior.argmax(axis=1)
    size = np.bincount(own, weights=votes.counts, minlength=len(model.weights))
    sure = np.bincount(
        own, weights=weighted[np.arange(len(own)), own], minlength=len(model.weights)
    )
    purity = sure / np.maximum(size, 1e-9)
    small = size < min_fraction * votes.counts.sum()
    if small.any():
        return int(np.argmin(np.where(small, size, np.inf)))
    if purity.min() < _MIN_PURITY:
        return int(purity.argmin())
    own = measure_own(votes, model) if len(model.weights) > 2 else np.ones(2)
    if own.min() < _MIN_OWN:
        return int(own.argmin())
    return None


def merge_nearest(votes: Votes, model: LatentClasses, c: int, steps: int) -> LatentClasses:
    """The model with class c put into the one that fewest runs keep it apart from."""
    distance = support_pairs(votes, model)[2][c].copy()
    distance[c] = np.inf
    near = int(distance.argmin())
    return iterate(votes, merge_classes(model, min(c, near), max(c, near)), steps)


def drop_spurious(votes: Votes, model: LatentClasses, min_fraction: float) -> LatentClasses:
    """Merge away classes that are too small, too impure, or a mixture of the others."""
    while len(model.weights) > 1:
        least = _least_supported_class(votes, model, min_fraction)
        if least is None:
            break
        model = merge_nearest(votes, model, least, 5)
    return model


def prune_classes(votes: Votes, model: LatentClasses, min_fraction: float) -> LatentClasses:
    """Merge classes until all are replicated by the runs, distinct, and large enough."""
    while len(model.weights) > 1:
        pair = _weakest_pair(votes, model)
        if pair is not None:
            model = iterate(votes, merge_classes(model, *pair), 10)
            continue
        least = _least_supported_class(votes, model, min_fraction)
        if least is None:
            break
        model = merge_nearest(votes, model, least, 10)
    return model


def merge_all(votes: Votes, model: LatentClasses) -> LatentClasses:
    """The model with a single class."""
    while len(model.weights) > 1:
        model = merge_classes(model, 0, 1)
    return iterate(votes, model, 1)
