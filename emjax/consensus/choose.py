"""How many consensus classes there are, how sure that is, and why, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls

from emjax.consensus.continuum import measure_chain, measure_unexplained
from emjax.consensus.latent import (
    LatentClasses,
    Votes,
    assign_posterior,
    estimate_rates,
    fit_path,
    iterate,
    merge_classes,
    sum_runs,
)
from emjax.consensus.stability import APART, informative_runs, separate_classes

_MIN_SUPPORT = 0.5
_MIN_OWN = 0.35
_MIN_PURITY = 0.6
_MAX_UNEXPLAINED = 0.1
_MAX_UNEXPLAINED_IN_CHAIN = 0.005


class Verdict(StrEnum):
    """What the runs say: separate classes, one, a continuum, or nothing that is replicated."""

    CLASSES = "classes"
    ONE = "one"
    CONTINUUM = "continuum"
    UNREPLICATED = "unreplicated"


@dataclass(frozen=True)
class Choice:
    """A model with the recommended number of classes and the grounds for it.

    Attributes:
        support: weighted fraction of runs that keep two classes apart.
        scores: log-evidence of every number of latent classes.
        resampled: the model that every resampling of runs and particles gives.
        unexplained: share of the association between runs that the classes do not explain.
        run: the only run that has several classes, where there is one.
        joined: classes fewer than the runs keep apart, which images did not tell from others.
    """

    model: LatentClasses
    recommended: int
    verdict: Verdict
    reason: str
    support: Float[np.ndarray, "g g"]
    scores: dict[int, float]
    resampled: list[LatentClasses]
    unexplained: float
    run: int | None = None
    joined: int = 0

    @property
    def counts(self) -> Int[np.ndarray, " b"]:
        """Recommended number in every resampling."""
        found = np.array([len(model.weights) for model in self.resampled], dtype=int)
        return np.maximum(found - self.joined, 1)


def support_pairs(
    votes: Votes, model: LatentClasses
) -> tuple[Float[np.ndarray, "g g"], Int[np.ndarray, "g g"], Float[np.ndarray, "g g"]]:
    """Weighted fraction and number of the runs that keep pairs apart, and their mean distance.

    A run of k classes must merge some of g > k: of random pairs it keeps (1 - 1/k) g/(g - 1)
    apart. The fraction is of what the runs could do; runs with too few classes for all pairs
    count only where fewer than two have enough.
    """
    g = len(model.weights)
    weights = informative_runs(votes)
    able = weights * (votes.n_classes >= g)
    if (able > 0).sum() >= 2:
        weights = able
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


def _merge_nearest(votes: Votes, model: LatentClasses, c: int, steps: int) -> LatentClasses:
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
        model = _merge_nearest(votes, model, least, 5)
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
        model = _merge_nearest(votes, model, least, 10)
    return model


def merge_all(votes: Votes, model: LatentClasses) -> LatentClasses:
    """The model with a single class."""
    while len(model.weights) > 1:
        model = merge_classes(model, 0, 1)
    return iterate(votes, model, 1)


def _is_continuum(votes: Votes, distinct: LatentClasses, pruned: LatentClasses) -> bool:
    """Classes that leave the runs associated within them; far less is asked of a chain of cuts."""
    if len(pruned.weights) < 2:
        return False
    chain = measure_chain(votes, distinct).is_continuum
    limit = _MAX_UNEXPLAINED_IN_CHAIN if chain else _MAX_UNEXPLAINED
    return measure_unexplained(votes, pruned) > limit


def _resample(votes: Votes, rng: np.random.Generator) -> Votes:
    """Votes with runs and particles drawn with replacement."""
    r = len(votes.n_classes)
    weights = votes.run_weights * np.bincount(rng.integers(r, size=r), minlength=r)
    share = votes.counts / votes.counts.sum()
    counts = rng.multinomial(int(votes.counts.sum()), share).astype(np.float64)
    return votes.reweigh(counts, weights)


def most_classes(n_classes: Int[np.ndarray, " r"], max_classes: int) -> int:
    """From how many latent classes to merge down: runs that merge states still tell more apart."""
    combinations = float(np.prod(n_classes.astype(float)))
    return int(min(max_classes, 3 * n_classes.max() + 6, combinations))


def choose_number(
    votes: Votes,
    rng: np.random.Generator,
    max_classes: int = 64,
    min_fraction: float = 0.01,
    resamples: int = 20,
    max_classes_supported: int | None = None,
    may_vary: bool = True,
) -> Choice:
    """Recommended number of classes from likelihood, replication by the runs, and resampling.

    Args:
        votes: of the particles the number is chosen on.
        rng: of starts and resamplings.
        max_classes: most classes considered.
        min_fraction: smallest share of a class.
        resamples: resamplings of runs and particles.
        max_classes_supported: see `build_consensus`.
        may_vary: False where held-out particles show no variability, and so no continuum.
    """
    limit = max_classes_supported
    path = fit_path(votes, most_classes(votes.n_classes, max_classes), rng)
    scores = {g: model.log_evidence for g, model in sorted(path.items())}
    full = path[max(scores, key=lambda g: scores[g])]
    informative = np.flatnonzero(informative_runs(votes) > 0)
    if len(informative) == 1 and limit != 1:
        run = int(informative[0])
        start = int(votes.n_classes[:run].sum())
        own = votes.table[:, start : start + int(votes.n_classes[run])].argmax(axis=1)
        return _choose_run(votes, own, run)
    distinct = drop_spurious(votes, full, min_fraction)
    model = prune_classes(votes, distinct, min_fraction)
    unexplained = measure_unexplained(votes, model)
    continuum = may_vary and _is_continuum(votes, distinct, model)
    if continuum:
        model = merge_all(votes, model)
    while limit is not None and len(model.weights) > max(limit, 1):
        model = _merge_nearest(votes, model, int(model.weights.argmin()), 10)
    resampled = [_resampled_model(votes, full, rng, min_fraction) for _ in range(resamples)]
    counts = np.array([len(drawn.weights) for drawn in resampled], dtype=int)
    g = len(model.weights)
    verdict = Verdict.CONTINUUM if continuum else Verdict.ONE if g == 1 else Verdict.CLASSES
    support = support_pairs(votes, model)[0]
    reason = _explain(verdict, support, len(informative), counts, scores, limit)
    return Choice(model, g, verdict, reason, support, scores, resampled, unexplained)


def _choose_run(votes: Votes, group: Int[np.ndarray, " m"], run: int) -> Choice:
    """The classes of the only run that has several."""
    model = estimate_rates(votes, np.unique(group, return_inverse=True)[1])
    g = len(model.weights)
    reason = (
        f"Not replicated: {g} classes of the only run that has several; a single run cannot be"
        " distinguished from chance."
    )
    support, scores = np.ones((g, g)), {g: 0.0}
    return Choice(model, g, Verdict.UNREPLICATED, reason, support, scores, [], 0.0, run)


def _resampled_model(
    votes: Votes, full: LatentClasses, rng: np.random.Generator, min_fraction: float
) -> LatentClasses:
    drawn = _resample(votes, rng)
    best = drop_spurious(drawn, iterate(drawn, full, 5), min_fraction)
    model = prune_classes(drawn, best, min_fraction)
    return merge_all(drawn, model) if _is_continuum(drawn, best, model) else model


def _explain(
    verdict: Verdict,
    support: Float[np.ndarray, "g g"],
    n_runs: int,
    counts: Int[np.ndarray, " b"],
    scores: dict[int, float],
    limit: int | None,
) -> str:
    g = len(support)
    likely = max(scores, key=lambda k: scores[k])
    same = ""
    if len(counts):
        agree = f"{np.mean(counts == g):.0%} of {len(counts)}"
        same = f"; {agree} resamplings of runs and particles agree"
    held = f"; held-out likelihood allows no more than {limit}" if limit is not None else ""
    if verdict is Verdict.ONE and limit == 1:
        return (
            "No discrete heterogeneity found: no number of classes raises the likelihood of"
            " particles that the maps have not seen."
        )
    if verdict is Verdict.ONE:
        return f"One class: no division of the particles is replicated by the runs{same}{held}."
    if verdict is Verdict.CONTINUUM:
        return (
            "No discrete classes: a continuum. The runs cut it at different places and stay"
            f" associated within any groups (the labels' likelihood peaks at {likely}{same})."
        )
    weakest = support[np.triu_indices(g, 1)].min()
    by = "all" if weakest > 0.995 else f"at least {weakest:.0%} of the"
    return (
        f"{g} classes: each pair is kept apart by {by} runs with enough classes"
        f" ({n_runs} runs); the labels' likelihood peaks at {likely}{same}{held}."
    )
