"""Runs with known groups or none, for tests and benchmarks of the consensus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class PlantedRuns:
    """Runs over particles whose groups are known.

    Attributes:
        best: the labelling of most posterior probability under the true rates (Bayes-optimal).
    """

    truth: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, "n r"]
    best: Int[np.ndarray, " n"]


def draw_rates(
    n_groups: int, n_classes: int, noise: float, rng: np.random.Generator
) -> Float[np.ndarray, "g k"]:
    """What a run of `n_classes` does to the groups: merges some, splits some, mislabels."""
    rates = np.zeros((n_groups, n_classes))
    if n_classes <= n_groups:
        spare = rng.integers(0, n_classes, n_groups - n_classes)
        own = rng.permutation(np.concatenate([np.arange(n_classes), spare]))
        rates[np.arange(n_groups), own] = 1.0
    else:
        spare = rng.integers(0, n_groups, n_classes - n_groups)
        own = rng.permutation(np.concatenate([np.arange(n_groups), spare]))
        for g in range(n_groups):
            parts = np.flatnonzero(own == g)
            rates[g, parts] = rng.dirichlet(np.full(len(parts), 3.0))
    return (1 - noise) * rates + noise / n_classes


def plant_groups(
    n_groups: int,
    n_classes: list[int],
    noise: float,
    n_particles: int,
    rng: np.random.Generator,
    smallest: float = 0.02,
) -> PlantedRuns:
    """Runs that see planted groups, each with its own merges, splits and mislabelled particles."""
    weights = np.maximum(rng.dirichlet(np.full(n_groups, 4.0)), smallest)
    weights /= weights.sum()
    truth = rng.choice(n_groups, n_particles, p=weights)
    labels = np.empty((n_particles, len(n_classes)), dtype=np.int64)
    log_posterior = np.tile(np.log(weights), (n_particles, 1))
    for s, k in enumerate(n_classes):
        rates = draw_rates(n_groups, k, noise, rng)
        draw = rng.random(n_particles)[:, None]
        labels[:, s] = (draw > rates.cumsum(axis=1)[truth]).sum(axis=1).clip(0, k - 1)
        log_posterior += np.log(np.maximum(rates, 1e-300))[:, labels[:, s]].T
    return PlantedRuns(truth, labels, log_posterior.argmax(axis=1))


def cut_class(
    labels: Int[np.ndarray, "n r"],
    truth: Int[np.ndarray, " n"],
    sharing: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, "n r"]:
    """Runs that cut group 0 in two at random: the first `sharing` alike, each other in its own way.

    These others have a class to spare besides, with which they cut group 1.
    """
    out, r = labels.copy(), labels.shape[1]
    shared = rng.random(len(labels)) < 0.5
    for s in range(r):
        part = shared if s < sharing else rng.random(len(labels)) < 0.5
        # The class of a run that holds most of the group.
        home = np.bincount(labels[truth == 0, s]).argmax()
        out[part & (labels[:, s] == home), s] = labels[:, s].max() + 1
        if s >= sharing:
            home = np.bincount(labels[truth == 1, s]).argmax()
            own = (rng.random(len(labels)) < 0.5) & (labels[:, s] == home)
            out[own, s] = labels[:, s].max() + 2
    return out


def cut_gradient(
    n_classes: list[int], noise: float, n_particles: int, rng: np.random.Generator
) -> Int[np.ndarray, "n r"]:
    """Runs that cut a one-dimensional continuum, each at its own random places."""
    x = rng.random(n_particles) if rng.random() < 0.5 else rng.beta(2, 2, n_particles)
    labels = np.empty((n_particles, len(n_classes)), dtype=np.int64)
    for s, k in enumerate(n_classes):
        own = np.searchsorted(np.sort(np.quantile(x, rng.random(k - 1))), x)
        wrong = rng.random(n_particles) < noise
        own[wrong] = rng.integers(0, k, wrong.sum())
        labels[:, s] = rng.permutation(k)[own]
    return labels


def draw_odd_campaign(rng: np.random.Generator) -> Int[np.ndarray, "n r"]:
    """One to three runs of any shape: gaps, empty classes, one class, one run twice, 1–50 classes.

    Some particle is assigned by some run.
    """
    n, r = int(np.exp(rng.uniform(0, np.log(3000)))), int(rng.integers(1, 4))
    truth = rng.integers(0, rng.integers(1, 8), n)
    labels = np.empty((n, r), dtype=np.int64)
    for s in range(r):
        k = int(rng.choice([1, 2, 4, 9, 50]))
        labels[:, s] = rng.integers(0, k, n) if rng.random() < 0.3 else truth % k
        wrong = rng.random(n) < rng.choice([0, 0.1])
        labels[wrong, s] = rng.integers(0, k, wrong.sum())
        if rng.random() < 0.3:
            labels[:, s] = 2 * labels[:, s] + 1  # every other class is empty
        if rng.random() < 0.3:
            labels[rng.random(n) < rng.choice([0.1, 0.9, 1]), s] = -1
    if r > 1 and rng.random() < 0.3:
        labels[:, 1] = labels[:, 0]
    if rng.random() < 0.3:
        labels[rng.random(n) < 0.2] = -1
    labels[0, 0] = max(labels[0, 0], 0)
    return labels
