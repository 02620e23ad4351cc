"""Latent class model of the labels: what every run does with every consensus class.

Given its class z, a particle's labels in the runs are independent with P(label k in run s | z) =
theta_s[z, k]. A run may merge classes (two equal rows), split one (two entries in a row), mislabel
(a floor in all of them) or leave particles out; none of it moves the consensus.

Source: Dawid and Skene 1979, Applied Statistics 28, 20; Goodman 1974, Biometrika 61, 215.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from emjax.consensus import em
from emjax.consensus.intersections import class_offsets

_START_STEPS = 8  # of k-means: EM refines what it finds
_SPARE = 2  # groups that k-means makes for one class
_LEVELS = 6  # numbers of classes that are fitted at once
_PAST_PEAK = 8  # numbers of classes below the best that end the path


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

    @cached_property
    def padded(self) -> em.Table:
        """The same on the device."""
        return em.pad_table(self.table, self.counts, self.n_classes, self.run_weights)

    def reweigh(
        self, counts: Float[np.ndarray, " m"], run_weights: Float[np.ndarray, " r"]
    ) -> Votes:
        """The same votes of other numbers of particles and runs of other weights."""
        votes = replace(self, counts=counts, run_weights=run_weights)
        padded = em.reweigh(self.padded, counts, votes.column_weights)
        votes.__dict__["padded"] = padded  # the table need not go to the device again
        return votes


@dataclass(frozen=True)
class LatentClasses:
    """Parameters of the model and its fit.

    Attributes:
        weights: fraction of the particles in every class.
        rates: P(input class | consensus class), summing to 1 over the classes of each run.
        log_likelihood: weighted log-likelihood of the votes, in nats.
        log_evidence: the same with the parameters integrated out, which more classes do not
            always raise.
    """

    weights: Float[np.ndarray, " g"]
    rates: Float[np.ndarray, "g c"]
    log_likelihood: float = -np.inf
    log_evidence: float = -np.inf


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
    table, (m, g) = votes.padded, (len(votes.counts), len(model.weights))
    found = em.posteriors(table, *em.pad_model(model.weights, model.rates, len(table.weights)))
    posterior, likelihood = (np.asarray(values) for values in found[:2])
    return posterior[:m, :g], likelihood[:m].astype(np.float64)


def estimate_rates(votes: Votes, group: Int[np.ndarray, " m"]) -> LatentClasses:
    """Most probable parameters of given groups, with one pseudo-count per run and class."""
    members = np.eye(int(group.max()) + 1, dtype=np.float32)[group] * votes.counts[:, None]
    joint = members.T @ votes.table.astype(np.float64)
    joint += em.PSEUDO_COUNT * _margin(votes)
    rates = joint / np.repeat(sum_runs(joint, votes.n_classes), votes.n_classes, axis=-1)
    mass = members.sum(axis=0) + 1e-3
    return LatentClasses(mass / mass.sum(), np.maximum(rates, 1e-12))


def iterate(votes: Votes, model: LatentClasses, steps: int) -> LatentClasses:
    """Up to `steps` EM iterations, fewer once the likelihood per particle has converged."""
    start = em.pad_model(model.weights, model.rates, len(votes.padded.weights))
    return _model(em.em(votes.padded, *start, steps, em.TOLERANCE), votes)


def _margin(votes: Votes) -> Float[np.ndarray, " c"]:
    """Share of every input class in its run."""
    share = votes.shares + 1e-6
    return share / np.repeat(sum_runs(share, votes.n_classes), votes.n_classes)


def _model(fit: em.Fit, votes: Votes) -> LatentClasses:
    """Without padding and merged classes, in double precision."""
    rows = np.flatnonzero(np.asarray(fit.mass) > -1)
    weights = np.exp(np.asarray(fit.log_weights, np.float64)[rows])
    rates = np.exp(np.asarray(fit.log_rates, np.float64)[rows, : votes.table.shape[1]])
    likelihood, evidence = float(fit.log_likelihood), score_evidence(fit, votes)
    return LatentClasses(weights / weights.sum(), rates, likelihood, evidence)


def score_evidence(fit: em.Fit, votes: Votes) -> float:
    """Log-probability of the votes with all parameters integrated out.

    Memberships are counted as if certain and corrected by their entropy. A rate that a class
    never uses costs nothing, where the BIC charges for each alike: of fifty classes most rates
    are such.

    Source: Cheeseman and Stutz 1996, Bayesian classification (AutoClass).
    """
    rows = np.flatnonzero(np.asarray(fit.mass) > -1)
    g, mass = len(rows), np.asarray(fit.mass, np.float64)[rows]
    joint = np.asarray(fit.joint, np.float64)[rows, : votes.table.shape[1]]
    prior = em.PSEUDO_COUNT * _margin(votes)
    own = sum_runs(gammaln(joint + prior) - gammaln(prior), votes.n_classes)
    own += gammaln(em.PSEUDO_COUNT) - gammaln(sum_runs(joint, votes.n_classes) + em.PSEUDO_COUNT)
    sizes = gammaln(mass + 1).sum() + gammaln(g) - gammaln(mass.sum() + g)
    return float(sizes + (own @ votes.run_weights).sum() + float(fit.entropy))


def _start(votes: Votes, n_groups: int, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    """At most so many groups by k-means on the leading correspondence axes of the votes.

    k-means makes more, which are then merged (Ward's method): few classes stay without a group.
    """
    counts = votes.counts
    margin = votes.shares + 1e-9
    scaled = votes.table * np.sqrt(votes.column_weights * counts.sum() / margin)
    centred = (scaled - (counts @ scaled) / counts.sum()).astype(np.float32)
    weighted = centred * np.sqrt(counts).astype(np.float32)[:, None]
    values, axes = np.linalg.eigh((weighted.T @ weighted).astype(np.float64))
    n_axes = min(n_groups - 1, len(values)) or 1
    points = centred @ axes[:, ::-1][:, :n_axes].astype(np.float32)
    means = KMeans(
        min(_SPARE * n_groups, len(points)),
        n_init=1,  # pyright: ignore[reportArgumentType]
        max_iter=_START_STEPS,
        random_state=int(rng.integers(2**31)),
    )
    # One thread adds up in the same order each time. Votes that coincide leave groups empty.
    with threadpool_limits(1, "openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        group = means.fit_predict(points, sample_weight=counts)
    _, group = np.unique(group, return_inverse=True)
    return _merge_nearest(points, counts, group, n_groups)


def _merge_nearest(
    points: Float[np.ndarray, "m q"],
    counts: Float[np.ndarray, " m"],
    group: Int[np.ndarray, " m"],
    n_groups: int,
) -> Int[np.ndarray, " m"]:
    """Groups joined, the pair that adds least variance first, until so many are left."""
    members = np.eye(int(group.max()) + 1)[group] * counts[:, None]
    size = members.sum(axis=0)
    centre = members.T @ points / size[:, None]
    inside = np.arange(len(size))
    for _ in range(len(size) - n_groups):
        square = (centre**2).sum(axis=1)
        apart = square[:, None] + square - 2 * centre @ centre.T
        cost = apart * size[:, None] * size / (size[:, None] + size)
        cost[np.tril_indices(len(size))] = np.inf
        i, j = divmod(int(cost.argmin()), len(size))
        centre[i] = (size[i] * centre[i] + size[j] * centre[j]) / (size[i] + size[j])
        size[i] += size[j]
        centre, size = np.delete(centre, j, axis=0), np.delete(size, j)
        inside[inside == j] = i
        inside[inside > j] -= 1
    return inside[group]


def merge_classes(model: LatentClasses, g: int, h: int) -> LatentClasses:
    """The model with class h put into class g."""
    weights, rates = model.weights.copy(), model.rates.copy()
    total = weights[g] + weights[h]
    rates[g] = (weights[g] * rates[g] + weights[h] * rates[h]) / total
    weights[g] = total
    return LatentClasses(np.delete(weights, h), np.delete(rates, h, axis=0))


def fit_path(
    votes: Votes, max_classes: int, rng: np.random.Generator, steps: int = 6, down_to: int = 1
) -> dict[int, LatentClasses]:
    """Models of every number of classes: fit the largest, merge the cheapest pair, refit.

    Args:
        votes: of the particles.
        max_classes: where the path begins; fewer where the votes do not differ so often.
        rng: of the start.
        steps: EM iterations after a merge.
        down_to: number of classes where the path ends.
    """
    model = estimate_rates(votes, _start(votes, max_classes, rng))
    found, g = {}, len(model.weights)
    start = em.pad_model(model.weights, model.rates, len(votes.padded.weights))
    iterations = np.full(_LEVELS, steps)
    iterations[0] *= 3
    while g >= down_to:
        fits, start = em.descend(votes.padded, *start, iterations, _LEVELS)
        iterations[0] = steps
        for level in range(min(_LEVELS, g - down_to + 1)):
            found[g] = _model(jax.tree.map(lambda x, level=level: x[level], fits), votes)
            g -= 1
        best = max(found, key=lambda k: found[k].log_evidence)
        if down_to == 1 and g < best - _PAST_PEAK:
            break
    return found
