"""The consensus in NumPy, one call after another: what the jitted functions are measured by."""

from __future__ import annotations

import numpy as np
from scipy import stats

from emjax.consensus import em
from emjax.consensus.intersections import class_offsets
from emjax.consensus.latent import LatentClasses, Votes


def iterate(votes: Votes, model: LatentClasses, steps: int) -> LatentClasses:
    """EM of the latent class model."""
    edges, counts = class_offsets(votes.n_classes)[:-1], votes.counts.astype(np.float32)
    margin = votes.shares + 1e-6
    weights, rates, total = model.weights, model.rates, -np.inf
    for step in range(steps + 1):
        log_rates = (np.log(rates) * votes.column_weights).astype(np.float32)
        joint = votes.table @ log_rates.T + np.log(weights).astype(np.float32)
        top = joint.max(axis=1, keepdims=True)
        joint = np.exp(joint - top)
        sums = joint.sum(axis=1, keepdims=True)
        posterior = joint / sums
        before, total = total, float(votes.counts @ (top + np.log(sums))[:, 0])
        if step == steps or total - before < em.TOLERANCE * counts.sum():
            break
        weighted = posterior * counts[:, None]
        mass = weighted.sum(axis=0, dtype=np.float64) + 1e-3
        shared = (weighted.T @ votes.table).astype(np.float64)
        shared += margin / np.repeat(np.add.reduceat(margin, edges), votes.n_classes)
        per_run = np.add.reduceat(shared, edges, axis=1)
        rates = np.maximum(shared / np.repeat(per_run, votes.n_classes, axis=1), 1e-12)
        weights = mass / mass.sum()
    return LatentClasses(weights, rates, total)


def link_groups(table: np.ndarray, sizes: np.ndarray, class_sizes: np.ndarray) -> np.ndarray:
    """Heights of the merges of the groups nearest by cosine."""
    counts, sizes = table.astype(float), sizes.astype(float)
    active = np.ones(len(sizes), bool)

    def jaccard(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        union = sizes + class_sizes - counts
        return np.divide(counts, union, out=np.zeros(counts.shape), where=union > 0)

    def measure(i: int, others: np.ndarray) -> np.ndarray:
        row, rows = similarity[i], similarity[others]
        norm = np.sqrt((rows**2).sum(axis=1) * (row**2).sum())
        return 1.0 - np.divide(rows @ row, norm, out=np.zeros(len(rows)), where=norm > 0)

    similarity = jaccard(counts, sizes[:, None])
    distance = np.full((len(sizes),) * 2, np.inf)
    for i in range(len(sizes)):
        distance[i, i + 1 :] = measure(i, np.arange(i + 1, len(sizes)))
    distance = np.minimum(distance, distance.T)
    nearest, heights = distance.min(axis=1), []
    for _ in range(len(sizes) - 1):
        rows = np.flatnonzero(nearest <= nearest.min() + 1e-10)
        at, second = np.nonzero(distance[rows] <= nearest.min() + 1e-10)
        upper = rows[at] < second
        first, second = rows[at][upper], second[upper]
        one = np.lexsort((second, first, sizes[first] + sizes[second]))[0]
        i, j = int(first[one]), int(second[one])
        heights.append(distance[i, j])
        counts[i] += counts[j]
        sizes[i] += sizes[j]
        similarity[i] = jaccard(counts[i], sizes[i])
        active[j] = False
        stale = active & ((distance[:, i] <= nearest) | (distance[:, j] <= nearest))
        distance[j] = distance[:, j] = nearest[j] = np.inf
        others = np.flatnonzero(active)
        others = others[others != i]
        distance[i, others] = distance[others, i] = measure(i, others)
        stale[i] = True
        nearest[stale] = distance[stale].min(axis=1)
        nearest[others] = np.minimum(nearest[others], distance[others, i])
    return np.asarray(heights)


def score_association(member: np.ndarray, features: np.ndarray) -> tuple[float, float]:
    """Multiple correlation of one class with features, by singular vectors, and its p-value."""
    y, x = member - member.mean(), features - features.mean(axis=0)
    basis, singular, _ = np.linalg.svd(x, full_matrices=False)
    basis = basis[:, singular > 1e-8 * singular.max()]
    n, q = basis.shape
    r2 = float(((basis.T @ y) ** 2).sum() / (y @ y))
    effect = np.sqrt(max(r2 - (1 - r2) * q / max(n - q - 1, 1), 0.0))
    return float(effect), float(stats.chi2.sf(n * r2, q))


def volume_affinity(volumes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted correlation of every two volumes, negative values set to 0."""
    flat, weight = volumes.reshape(len(volumes), -1).astype(float), weight.reshape(-1)
    centred = flat - (flat @ weight / weight.sum())[:, None]
    covariance = (centred * weight) @ centred.T
    scale = np.sqrt(np.diag(covariance))
    return np.clip(covariance / np.outer(scale, scale), 0, 1)
