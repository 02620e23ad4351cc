"""How many consensus classes there are, how sure that is, and why, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from emjax.ensemble.latent import (
    LatentClasses,
    Votes,
    assign_posterior,
    fit_path,
    iterate,
    merge_classes,
    score_bic,
)
from emjax.ensemble.stability import informative_runs, separate_classes

_APART = 0.6
_MIN_SUPPORT = 0.34
_MIN_PURITY = 0.6


@dataclass(frozen=True)
class Choice:
    """A model with the recommended number of classes and the grounds for it.

    support: weighted fraction of runs that keep two classes apart.
    verdict: classes, one, continuum or unreplicated.
    """

    model: LatentClasses
    recommended: int
    verdict: str
    reason: str
    support: Float[np.ndarray, "g g"]
    scores: dict[int, float]
    counts: Int[np.ndarray, " b"]


def support_pairs(
    votes: Votes, model: LatentClasses
) -> tuple[Float[np.ndarray, "g g"], Int[np.ndarray, "g g"], Float[np.ndarray, "g g"]]:
    """Weighted fraction and number of the runs that keep pairs apart, and their mean distance."""
    weights = informative_runs(votes, model)
    apart = separate_classes(votes, model)
    total = max(float(weights.sum()), 1e-12)
    counted = (apart > _APART) & (weights > 0)[:, None, None]
    fraction = np.einsum("r,rgh->gh", weights / total, counted)
    return fraction, counted.sum(axis=0), np.einsum("r,rgh->gh", weights / total, apart)


def _weakest_pair(votes: Votes, model: LatentClasses) -> tuple[int, int] | None:
    """The pair least supported, if it is supported too little to be two states."""
    fraction, number, distance = support_pairs(votes, model)
    needed = min(2, int((informative_runs(votes, model) > 0).sum()))
    g, h = np.triu_indices(len(model.weights), 1)
    weak = (fraction[g, h] < _MIN_SUPPORT) | (number[g, h] < needed)
    if not weak.any():
        return None
    g, h = g[weak], h[weak]
    first = np.lexsort((distance[g, h], fraction[g, h]))[0]
    return int(g[first]), int(h[first])


def _dimmest_class(votes: Votes, model: LatentClasses, min_fraction: float) -> int | None:
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
    return None


def prune_classes(votes: Votes, model: LatentClasses, min_fraction: float) -> LatentClasses:
    """Merge classes until all are replicated by the runs, distinct, and large enough."""
    while len(model.weights) > 1:
        pair = _weakest_pair(votes, model)
        if pair is None:
            dim = _dimmest_class(votes, model, min_fraction)
            if dim is None:
                break
            distance = support_pairs(votes, model)[2][dim].copy()
            distance[dim] = np.inf
            near = int(distance.argmin())
            pair = min(dim, near), max(dim, near)
        model = iterate(votes, merge_classes(model, *pair), 10)
    return model


def best_by_bic(votes: Votes, path: dict[int, LatentClasses]) -> tuple[LatentClasses, dict]:
    """The model with the best information criterion, and the criterion of all."""
    scores = {g: score_bic(model, votes) for g, model in sorted(path.items())}
    return path[max(scores, key=lambda g: scores[g])], scores


def _resample(votes: Votes, rng: np.random.Generator) -> Votes:
    """Votes with runs and particles drawn with replacement."""
    r = len(votes.n_classes)
    weights = votes.run_weights * np.bincount(rng.integers(r, size=r), minlength=r)
    share = votes.counts / votes.counts.sum()
    counts = rng.multinomial(int(votes.counts.sum()), share).astype(np.float64)
    rows = counts > 0
    return replace(votes, table=votes.table[rows], counts=counts[rows], run_weights=weights)


def choose_number(
    votes: Votes,
    rng: np.random.Generator,
    max_classes: int = 20,
    min_fraction: float = 0.01,
    resamples: int = 20,
    held_out_gain: dict[int, float] | None = None,
) -> Choice:
    """Recommended number of classes from likelihood, replication by the runs, and resampling."""
    path = fit_path(votes, max_classes, rng)
    full, scores = best_by_bic(votes, path)
    model = prune_classes(votes, full, min_fraction)
    limit = max(held_out_gain, key=lambda k: held_out_gain[k]) if held_out_gain else None
    while limit is not None and len(model.weights) > max(limit, 1):
        distance = support_pairs(votes, model)[2] + np.diag(np.full(len(model.weights), np.inf))
        g, h = np.unravel_index(distance.argmin(), distance.shape)
        model = iterate(votes, merge_classes(model, min(g, h), max(g, h)), 10)
    counts = np.asarray(
        [_count_resampled(votes, full, rng, min_fraction) for _ in range(resamples)], dtype=int
    )
    n_runs = int((informative_runs(votes, full) > 0).sum())
    verdict = "one" if len(model.weights) == 1 else "unreplicated" if n_runs < 2 else "classes"
    return Choice(
        model,
        len(model.weights),
        verdict,
        _explain(verdict, model, votes, counts, scores, limit),
        support_pairs(votes, model)[0],
        scores,
        counts,
    )


def _count_resampled(votes, full, rng, min_fraction) -> int:
    drawn = _resample(votes, rng)
    path, model = {}, iterate(drawn, full, 5)
    path[len(model.weights)] = model
    best, _ = best_by_bic(drawn, path)
    return len(prune_classes(drawn, best, min_fraction).weights)


def _explain(verdict, model, votes, counts, scores, limit) -> str:
    g = len(model.weights)
    n_runs = int((informative_runs(votes, model) > 0).sum())
    likely = max(scores, key=lambda k: scores[k])
    same = f"{np.mean(counts == g):.0%} of {len(counts)} resamplings of runs and particles agree"
    held = f"; held-out likelihood allows no more than {limit}" if limit is not None else ""
    if verdict == "one":
        return f"One class: no division of the particles is replicated by the runs ({same}{held})."
    if verdict == "unreplicated":
        return f"{g} classes of a single informative run: nothing replicates them."
    fraction = support_pairs(votes, model)[0][np.triu_indices(g, 1)]
    return (
        f"{g} classes: each pair is kept apart by at least {fraction.min():.0%} of {n_runs} runs"
        f"; the labels' likelihood peaks at {likely}; {same}{held}."
    )
