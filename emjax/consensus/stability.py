"""How surely particles, classes and pairs of classes hold over the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from emjax.consensus import em
from emjax.consensus.latent import LatentClasses, Votes, assign_posterior, sum_runs

_AGREEMENT_PARTICLES = 20_000
_MIN_SIGNAL = 0.2
APART = 0.6  # of a run's best pair: further than that it keeps two classes apart


def informative_runs(votes: Votes) -> Float[np.ndarray, " r"]:
    """Weight of every run with votes for at least two classes."""
    shares = np.split(votes.shares, np.cumsum(votes.n_classes)[:-1])
    several = [part.max() < (1 - 1e-6) * part.sum() for part in shares]
    return votes.run_weights * np.asarray(several)


def separate_classes(votes: Votes, model: LatentClasses) -> Float[np.ndarray, "r g g"]:
    """How far every run keeps two consensus classes apart, 1 as far as any pair in that run.

    Total variation between their rates; label noise shrinks all pairs of a run equally, so it is
    measured against the run's best pair. A run in which no pair stands out separates none.
    """
    distance = np.abs(model.rates[:, None] - model.rates[None])
    variation = 0.5 * np.moveaxis(sum_runs(distance, votes.n_classes), -1, 0)
    best = variation.max(axis=(1, 2), keepdims=True)
    return np.where(best >= _MIN_SIGNAL, variation / np.maximum(best, 1e-12), 0.0)


def score_stability(votes: Votes, model: LatentClasses) -> Float[np.ndarray, "m g"]:
    """Mean over the runs of the chance that this run alone gives the particle each class.

    A run that splits the class costs nothing, one that merges it with another costs the share
    of the other, one that puts the particle elsewhere costs its vote.
    """
    if len(model.weights) == 1:
        return np.ones((len(votes.table), 1))
    weights = informative_runs(votes)
    if weights.sum() == 0:
        return np.zeros((len(votes.table), len(model.weights)))
    joint = model.weights[:, None] * model.rates
    given_label = joint / joint.sum(axis=0, keepdims=True)
    shares = np.repeat(weights / weights.sum(), votes.n_classes)
    return (votes.table @ (given_label * shares).astype(np.float32).T).astype(np.float64)


def recovered_by(
    votes: Votes, model: LatentClasses, resampled: Sequence[LatentClasses], joined: bool = False
) -> Float[np.ndarray, " g"]:
    """Share of the resamplings that hold each class as one of theirs (Jaccard > 0.5).

    NaN where nothing was resampled.

    Args:
        votes: of the runs that count.
        model: the consensus classes.
        resampled: what each resampling gives.
        joined: whether classes of the runs were joined: several of theirs may make one then.
    """
    g = len(model.weights)
    if not resampled:
        return np.full(g, np.nan)
    own = assign_posterior(votes, model)[0].argmax(axis=1)
    found = np.zeros(g)
    for other in resampled:
        k = len(other.weights)
        theirs = assign_posterior(votes, other)[0].argmax(axis=1)
        both = np.bincount(own * k + theirs, votes.counts, g * k).reshape(g, k)
        union = both.sum(0) + both.sum(1)[:, None] - both
        held = (both > 0.5 * np.maximum(union, 1e-9)).any(axis=1)
        if joined:
            mostly = both > 0.5 * np.maximum(both.sum(0), 1e-9)
            inside, whole = (both * mostly).sum(1), (both.sum(0) * mostly).sum(1)
            held |= inside > 0.5 * (whole + both.sum(1) - inside)
        found += held
    return found / len(resampled)


def match_classes(
    labels_a: Int[np.ndarray, " n"], labels_b: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, "k l"]]:
    """Hungarian matching of the classes of two runs by the particles they share.

    Returns:
        For every class of a its partner in b (-1: none), and the flow of particles.
    """
    both = (labels_a >= 0) & (labels_b >= 0)
    shape = (int(labels_a.max(initial=-1)) + 1, int(labels_b.max(initial=-1)) + 1)
    cell = labels_a[both].astype(np.int64) * shape[1] + labels_b[both]
    flow = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    partner = np.full(shape[0], -1, dtype=np.int64)
    rows, columns = linear_sum_assignment(-flow)
    partner[rows] = columns
    return partner, flow


def compare_runs(
    labels: Int[np.ndarray, "n r"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "r r"], Float[np.ndarray, "r r"]]:
    """ARI and AMI of every pair of runs, over the particles both assigned.

    More than 20,000 particles are sampled: the error of an ARI is then below 0.01.
    """
    n, r = labels.shape
    if n > _AGREEMENT_PARTICLES:
        labels = labels[np.sort(rng.choice(n, _AGREEMENT_PARTICLES, replace=False))]
    ari, ami = np.eye(r), np.eye(r)
    for a in range(r):
        for b in range(a):
            both = (labels[:, a] >= 0) & (labels[:, b] >= 0)
            pair = labels[both, a], labels[both, b]
            ari[a, b] = ari[b, a] = adjusted_rand_score(*pair) if both.any() else 0.0
            ami[a, b] = ami[b, a] = adjusted_mutual_info_score(*pair) if both.any() else 0.0
    return ari, ami


def resample_occupancy(
    votes: Votes,
    model: LatentClasses,
    occupancy: Float[np.ndarray, " g"],
    n_particles: int,
    rng: np.random.Generator,
    resamples: int = 200,
    level: float = 0.95,
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Interval of every class's share, resampling runs and particles.

    Args:
        votes: of all particles, or of a sample: other runs change the shares there as they do
            everywhere, but the shares themselves are the sample's own.
        model: the consensus classes.
        occupancy: share of every class among all particles.
        n_particles: all of them.
        rng: of the resamples.
        resamples: how many.
        level: of the interval.

    Returns:
        Its lower and upper ends.
    """
    g, r = len(model.weights), len(votes.n_classes)
    if g == 1:
        return np.ones(1), np.ones(1)
    table = votes.padded
    log_weights, log_rates = em.pad_model(model.weights, model.rates, len(table.weights))
    weights = np.pad(votes.run_weights, (0, len(table.members) - r))
    times = np.ones((resamples + 1, len(weights)))
    for drawn in times[1:]:
        drawn[:r] = np.bincount(rng.integers(r, size=r), minlength=r)
    found = em.resample_shares(table, log_weights, log_rates, (times * weights).astype(np.float32))
    by_draw = np.asarray(found, np.float64)[:, :g]
    shares, own = np.empty((resamples, g)), by_draw[0]
    for b in range(resamples):
        share = np.maximum(occupancy + by_draw[b + 1] - own, 0)
        shares[b] = rng.multinomial(n_particles, share / share.sum()) / n_particles
    tail = 50 * (1 - level)
    low, high = np.percentile(shares, [tail, 100 - tail], axis=0)
    return low, high
