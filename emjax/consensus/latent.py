"""Latent class model of the labels: what every run does with every consensus class.

Given its class z, a particle's labels in the runs are independent with P(label k in run s | z) =
theta_s[z, k]. A run may merge classes (two equal rows), split one (two entries in a row), mislabel
(a floor in all of them) or leave particles out; none of it moves the consensus.

Source: Dawid and Skene 1979, Applied Statistics 28, 20; Goodman 1974, Biometrika 61, 215.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from emjax.consensus.intersections import class_offsets

_PSEUDO_COUNT = 1.0
_START_STEPS = 8  # of k-means: EM refines what it finds


@dataclass(frozen=True)
class Votes:
    """Labels or posteriors as a table: one column per input class, runs one after another.

    Attributes:
        table: membership of every row in every input class; zeros where the run did not assign it.
        counts: particles that each row stands for.
        n_classes: classes of every run.
        run_weights: how much a run counts, 1 for a full vote.
    """

    table: Float[np.ndarray, "m c"]
    counts: Float[np.ndarray, " m"]
    n_classes: Int[np.ndarray, " r"]
    run_weights: Float[np.ndarray, " r"]

    @property
    def column_weights(self) -> Float[np.ndarray, " c"]:
        """Weight of each input class: that of its run."""
        return np.repeat(self.run_weights, self.n_classes)

    @cached_property
    def shares(self) -> Float[np.ndarray, " c"]:
        """Votes for each input class."""
        return self.counts @ self.table


@dataclass(frozen=True)
class LatentClasses:
    """Parameters of the model and its fit.

    Attributes:
        weights: fraction of the particles in every class.
        rates: P(input class | consensus class), summing to 1 over the classes of each run.
        log_likelihood: weighted log-likelihood of the votes, in nats.
    """

    weights: Float[np.ndarray, " g"]
    rates: Float[np.ndarray, "g c"]
    log_likelihood: float


def tabulate_labels(
    labels: Int[np.ndarray, "m r"],
    counts: Int[np.ndarray, " m"] | Float[np.ndarray, " m"],
    n_classes: Int[np.ndarray, " r"],
    run_weights: Float[np.ndarray, " r"],
) -> Votes:
    """Votes from hard labels, -1 for no vote."""
    offsets = class_offsets(n_classes)
    table = np.zeros((len(labels), int(offsets[-1])), dtype=np.float32)
    for s in range(labels.shape[1]):
        rows = np.flatnonzero(labels[:, s] >= 0)
        table[rows, offsets[s] + labels[rows, s]] = 1.0
    return Votes(table, counts.astype(np.float64), n_classes, run_weights)


def sum_runs(columns: Float[np.ndarray, "... c"], n_classes: Int[np.ndarray, " r"]) -> np.ndarray:
    """Sums over the classes of each run."""
    totals = np.concatenate(
        [np.zeros((*columns.shape[:-1], 1)), np.cumsum(columns, axis=-1, dtype=np.float64)], axis=-1
    )
    return np.diff(totals[..., class_offsets(n_classes)], axis=-1)


def assign_posterior(
    votes: Votes, model: LatentClasses
) -> tuple[Float[np.ndarray, "m g"], Float[np.ndarray, " m"]]:
    """Posterior over the consensus classes and the log-likelihood of every row."""
    log_rates = (np.log(model.rates) * votes.column_weights).astype(np.float32)
    joint = votes.table @ log_rates.T
    joint += np.log(model.weights).astype(np.float32)
    top = joint.max(axis=1, keepdims=True)
    joint -= top
    np.exp(joint, out=joint)
    total = joint.sum(axis=1, keepdims=True)
    joint /= total
    return joint, (top + np.log(total))[:, 0].astype(np.float64)


def estimate_rates(
    votes: Votes, posterior: Float[np.ndarray, "m g"], log_likelihood: float = -np.inf
) -> LatentClasses:
    """Most probable parameters under given memberships, with one pseudo-count per run and class."""
    weighted = posterior * votes.counts.astype(posterior.dtype)[:, None]
    mass = weighted.sum(axis=0, dtype=np.float64)
    joint = (weighted.T @ votes.table.astype(posterior.dtype, copy=False)).astype(np.float64)
    margin = joint.sum(axis=0) + 1e-6
    share = margin / np.repeat(sum_runs(margin, votes.n_classes), votes.n_classes)
    joint += _PSEUDO_COUNT * share
    rates = joint / np.repeat(sum_runs(joint, votes.n_classes), votes.n_classes, axis=-1)
    weights = (mass + 1e-3) / (mass + 1e-3).sum()
    return LatentClasses(weights, np.maximum(rates, 1e-12), log_likelihood)


def iterate(votes: Votes, model: LatentClasses, steps: int, tolerance: float = 1e-5):
    """Up to `steps` EM iterations, fewer once the likelihood per particle has converged."""
    total = max(float(votes.counts.sum()), 1.0)
    previous = -np.inf
    for _ in range(steps):
        posterior, rows = assign_posterior(votes, model)
        likelihood = float(votes.counts @ rows)
        model = estimate_rates(votes, posterior, likelihood)
        if likelihood - previous < tolerance * total:
            break
        previous = likelihood
    return model


def score_bic(model: LatentClasses, votes: Votes) -> float:
    """Likelihood less half a logarithm of the particle number for every free parameter."""
    informative = votes.n_classes > 1
    free = (votes.run_weights * (votes.n_classes - 1))[informative].sum()
    parameters = len(model.weights) * free + len(model.weights) - 1
    return model.log_likelihood - 0.5 * parameters * np.log(max(votes.counts.sum(), 2.0))


def _start(votes: Votes, n_groups: int, rng: np.random.Generator) -> np.ndarray:
    """Hard groups by k-means on the leading correspondence axes of the votes."""
    counts = votes.counts
    margin = votes.shares + 1e-9
    scaled = votes.table * np.sqrt(votes.column_weights * counts.sum() / margin)
    centred = (scaled - (counts @ scaled) / counts.sum()).astype(np.float32)
    weighted = centred * np.sqrt(counts).astype(np.float32)[:, None]
    values, axes = np.linalg.eigh((weighted.T @ weighted).astype(np.float64))
    n_axes = min(n_groups - 1, len(values)) or 1
    points = centred @ axes[:, ::-1][:, :n_axes].astype(np.float32)
    means = KMeans(
        min(n_groups, len(points)),
        n_init=1,  # pyright: ignore[reportArgumentType]
        max_iter=_START_STEPS,
        random_state=int(rng.integers(2**31)),
    )
    # One thread adds up in the same order each time. Votes that coincide leave groups empty.
    with threadpool_limits(1, "openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit_predict(points, sample_weight=counts)


def merge_losses(model: LatentClasses, votes: Votes) -> Float[np.ndarray, "g g"]:
    """Likelihood per particle that merging two classes costs if memberships are certain."""
    weights, rates = model.weights, model.rates
    column = votes.column_weights
    negentropy = (rates * np.log(rates)) @ column
    losses = np.full((len(weights),) * 2, np.inf)
    for g in range(len(weights) - 1):
        h = slice(g + 1, None)
        total = weights[g] + weights[h]
        share = (weights[g] / total)[:, None]
        mixed = share * rates[g] + (1 - share) * rates[h]
        merged = (mixed * np.log(mixed)) @ column
        losses[g, h] = weights[g] * negentropy[g] + weights[h] * negentropy[h] - total * merged
        mixing = -share[:, 0] * np.log(share[:, 0]) - (1 - share[:, 0]) * np.log1p(-share[:, 0])
        losses[g, h] -= total * mixing
    return losses


def merge_classes(model: LatentClasses, g: int, h: int) -> LatentClasses:
    """The model with class h put into class g."""
    weights, rates = model.weights.copy(), model.rates.copy()
    total = weights[g] + weights[h]
    rates[g] = (weights[g] * rates[g] + weights[h] * rates[h]) / total
    weights[g] = total
    return LatentClasses(np.delete(weights, h), np.delete(rates, h, axis=0), -np.inf)


def fit_path(
    votes: Votes, max_classes: int, rng: np.random.Generator, restarts: int = 2, steps: int = 6
) -> dict[int, LatentClasses]:
    """Models of every number of classes: fit the largest, merge the cheapest pair, refit.

    The best likelihood over the restarts is kept for every number.
    """
    best: dict[int, LatentClasses] = {}
    for _ in range(restarts):
        group = _start(votes, max_classes, rng)
        groups = np.unique(group)
        posterior = (group[:, None] == groups[None]).astype(np.float32)
        model = iterate(votes, estimate_rates(votes, posterior), 3 * steps)
        while True:
            g = len(model.weights)
            if g not in best or model.log_likelihood > best[g].log_likelihood:
                best[g] = model
            if g == 1:
                break
            first, second = divmod(int(merge_losses(model, votes).argmin()), g)
            model = merge_classes(model, first, second)
            model = iterate(votes, model, steps)
    return best
