"""How many consensus classes there are, how sure that is, and why, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int

from emjax.consensus.continuum import measure_chain, measure_unexplained
from emjax.consensus.latent import (
    LatentClasses,
    Votes,
    estimate_rates,
    fit_path,
    iterate,
)
from emjax.consensus.prune import (
    able_runs,
    drop_spurious,
    merge_all,
    merge_nearest,
    prune_classes,
    support_pairs,
)
from emjax.consensus.stability import informative_runs

_MAX_UNEXPLAINED = 0.1
_MAX_UNEXPLAINED_IN_CHAIN = 0.005


class Verdict(StrEnum):
    """What the runs say: separate classes, one, a continuum, or nothing that is replicated."""

    CLASSES = "classes"
    ONE = "one"
    CONTINUUM = "continuum"
    UNREPLICATED = "unreplicated"


class Variability(StrEnum):
    """What particles show that the basis of variability has not seen."""

    UNKNOWN = "unknown"  # none were asked
    NONE = "none"
    COMPONENTS = "components"
    CONTINUUM = "continuum"  # classes in it are as wide as the pieces of a continuum


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
    variability: Variability = Variability.UNKNOWN,
) -> Choice:
    """Recommended number of classes from likelihood, replication by the runs, and resampling.

    Args:
        votes: of the particles the number is chosen on.
        rng: of starts and resamplings.
        max_classes: most classes considered.
        min_fraction: smallest share of a class.
        resamples: resamplings of runs and particles.
        max_classes_supported: see `build_consensus`.
        variability: what held-out particles show.
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
    several = len(model.weights) > 1
    model, continuum = _limited(votes, distinct, model, variability, limit)
    # Held-out particles that show a continuum outweigh runs that agree on how to cut it.
    continuum = continuum or (several and limit == 1 and variability is Variability.CONTINUUM)
    resampled = [
        _resampled_model(_resample(votes, rng), full, min_fraction, variability, limit)
        for _ in range(resamples)
    ]
    counts = np.array([len(drawn.weights) for drawn in resampled], dtype=int)
    g = len(model.weights)
    verdict = Verdict.CONTINUUM if continuum else Verdict.ONE if g == 1 else Verdict.CLASSES
    support = support_pairs(votes, model)[0]
    able = votes.n_classes[able_runs(votes, g) > 0]
    reason = _explain(verdict, support, able, counts, scores, limit, variability)
    return Choice(model, g, verdict, reason, support, scores, resampled, unexplained)


def _choose_run(votes: Votes, group: Int[np.ndarray, " m"], run: int) -> Choice:
    """The classes of the only run that has several."""
    model = estimate_rates(votes, np.unique(group, return_inverse=True)[1])
    g = len(model.weights)
    reason = (
        f"Not replicated: {g} classes of the only run that has several; nothing says whether"
        " another seed would find them."
    )
    support, scores = np.ones((g, g)), {g: 0.0}
    return Choice(model, g, Verdict.UNREPLICATED, reason, support, scores, [], 0.0, run)


def _limited(
    votes: Votes,
    distinct: LatentClasses,
    model: LatentClasses,
    variability: Variability,
    limit: int | None,
) -> tuple[LatentClasses, bool]:
    """The model within what held-out particles allow, and whether the runs cut a continuum."""
    continuum = variability is not Variability.NONE and _is_continuum(votes, distinct, model)
    if continuum:
        model = merge_all(votes, model)
    while limit is not None and len(model.weights) > max(limit, 1):
        model = merge_nearest(votes, model, int(model.weights.argmin()), 10)
    return model, continuum


def _resampled_model(
    drawn: Votes,
    full: LatentClasses,
    min_fraction: float,
    variability: Variability,
    limit: int | None,
) -> LatentClasses:
    best = drop_spurious(drawn, iterate(drawn, full, 5), min_fraction)
    model = prune_classes(drawn, best, min_fraction)
    return _limited(drawn, best, model, variability, limit)[0]


def _explain(
    verdict: Verdict,
    support: Float[np.ndarray, "g g"],
    able: Int[np.ndarray, " m"],
    counts: Int[np.ndarray, " b"],
    scores: dict[int, float],
    limit: int | None,
    variability: Variability,
) -> str:
    g = len(support)
    likely = max(scores, key=lambda k: scores[k])
    same = ""
    if len(counts):
        agree = f"{np.mean(counts == g):.0%} of {len(counts)}"
        same = f"; {agree} resamplings of runs and particles agree"
    held = f"; held-out likelihood allows no more than {limit}" if limit is not None else ""
    if verdict is Verdict.ONE and limit == 1 and variability is Variability.COMPONENTS:
        return (
            "No discrete heterogeneity found: held-out particles vary, but no number of classes"
            " raises their likelihood."
        )
    if verdict is Verdict.ONE and limit == 1:
        return (
            "No discrete heterogeneity found: no number of classes raises the likelihood of"
            " particles that the maps have not seen."
        )
    if verdict is Verdict.ONE:
        return f"One class: no division of the particles is replicated by the runs{same}{held}."
    if verdict is Verdict.CONTINUUM and variability is Variability.CONTINUUM:
        return (
            "No discrete classes: a continuum. Classes raise the likelihood of held-out particles,"
            " but as wide ones, as the pieces of a continuum are."
        )
    if verdict is Verdict.CONTINUUM:
        return (
            "No discrete classes: a continuum. The runs cut it at different places and stay"
            f" associated within any groups (the labels' likelihood peaks at {likely}{same})."
        )
    weakest = support[np.triu_indices(g, 1)].min()
    by = "all" if weakest > 0.995 else f"at least {weakest:.0%} of the"
    runs = f"runs with {g} classes or more" if able.min() >= g else "runs"
    return (
        f"{g} classes: each pair is kept apart by {by} {runs} ({len(able)});"
        f" the labels' likelihood peaks at {likely}{same}{held}."
    )
