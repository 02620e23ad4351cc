"""Which of a thousand seeds found the same answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from emjax.classify.subspace.mixture import SeededFits
from emjax.classify.subspace.statistics import Statistics, unpack


@dataclass(frozen=True)
class Optimum:
    """An answer that one or more seeds reached."""

    row: int  # run of the best likelihood among them
    members: Int[np.ndarray, " m"]  # rows of all runs that reached it
    log_likelihood: float


def information(statistics: Statistics) -> Float[np.ndarray, "q q"]:
    """Mean G: the metric in which a distance between coordinates is what an image can see."""
    packed = np.asarray(statistics.features[:, statistics.n_components :])
    return unpack(packed.mean(0, dtype=np.float64), statistics.n_components)


def distinct_optima(
    fits: SeededFits,
    metric: Float[np.ndarray, "q q"],
    tolerance: float = 0.02,
    likelihood_tolerance: float = 1e-3,
) -> list[Optimum]:
    """Group the runs that agree up to the order of their classes, the best likelihood first.

    Args:
        fits: of one number of classes.
        metric: from `information`.
        tolerance: mean squared distance of matched classes over the spread of the classes.
        likelihood_tolerance: runs whose likelihoods differ by more, relative, are different.
    """
    factor = np.linalg.cholesky(metric + 1e-9 * np.trace(metric) * np.eye(len(metric)))
    seen = fits.coordinates @ factor  # squared distances here are distances in the metric
    order = np.argsort(-fits.log_likelihood, kind="stable")
    optima: list[list[int]] = []
    for run in order:
        for group in reversed(optima):
            first = group[0]
            gap = fits.log_likelihood[first] - fits.log_likelihood[run]
            if gap > max(5.0, likelihood_tolerance * abs(fits.log_likelihood[first])):
                continue
            if _distance(seen[first], seen[run], fits.class_weights[first]) < tolerance:
                group.append(int(run))
                break
        else:
            optima.append([int(run)])
    return [
        Optimum(group[0], np.array(group), float(fits.log_likelihood[group[0]])) for group in optima
    ]


def seed_table(fits: SeededFits, optima: list[Optimum], n: int) -> dict[str, np.ndarray]:
    """Columns of likelihood.tsv, one row per seed: likelihood per particle, optimum reached.

    Args:
        fits: of one number of classes.
        optima: of these fits; 1 is the best.
        n: number of particles.
    """
    optimum = np.zeros(len(fits.seeds), int)
    for number, found in enumerate(optima, 1):
        optimum[found.members] = number
    return {
        "n_classes": np.full(len(optimum), fits.n_classes),
        "seed": fits.seeds,
        "log_likelihood": fits.log_likelihood / n,
        "iterations": fits.iterations,
        "converged": fits.converged,
        "optimum": optimum,
    }


def seed_array(all_fits: Sequence[SeededFits]) -> Float[np.ndarray, "r k f"]:
    """Every run as rows of seeds.npy: coordinates of each class, then its weight.

    Args:
        all_fits: in the order of the rows; fewer classes than the most are filled up with NaN.
    """
    most, q = max(c.n_classes for c in all_fits), all_fits[0].coordinates.shape[-1]
    array = np.full((sum(len(c.seeds) for c in all_fits), most, q + 1), np.nan, np.float32)
    start = 0
    for fits in all_fits:
        own = array[start : start + len(fits.seeds), : fits.n_classes]
        own[..., :q], own[..., q] = fits.coordinates, fits.class_weights
        start += len(fits.seeds)
    return array


def _distance(
    a: Float[np.ndarray, "k q"], b: Float[np.ndarray, "k q"], weights: Float[np.ndarray, " k"]
) -> float:
    spread = np.sum(weights[:, None] * (a - weights @ a) ** 2)
    cost = weights[:, None] * np.sum((a[:, None] - b[None]) ** 2, -1)
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum() / max(spread, 1e-12))
