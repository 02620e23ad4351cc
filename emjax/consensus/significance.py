"""Is a group larger than independent runs would make it?

The null: the runs' labels are independent of each other, with the class sizes they have.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from emjax.consensus.intersections import class_offsets

_EXACT_PARTICLES = 2000
_EXACT_COST = 2e7
_NEGLIGIBLE = 1e-40
_REFERENCE_CELLS = 1_000_000
_REFERENCE_SAMPLE = 200_000


def expect_sizes(
    patterns: Int[np.ndarray, "m r"],
    class_sizes: Int[np.ndarray, " c"],
    n_classes: Int[np.ndarray, " r"],
    n_particles: int,
) -> Float[np.ndarray, " m"]:
    """Expected size N Π (n_s / N) of every intersection under independent labels.

    A run that left the intersection's particles unassigned counts with those it left out.
    """
    offsets = class_offsets(n_classes)
    expected = np.full(len(patterns), float(n_particles))
    for s in range(patterns.shape[1]):
        own = class_sizes[offsets[s] : offsets[s + 1]]
        share = np.append(own, n_particles - own.sum()) / max(n_particles, 1)
        expected *= share[patterns[:, s]]
    return expected


def _sizes_in_trace(patterns, class_sizes, n_classes, n_particles) -> np.ndarray:
    """Particles of the class that each run contributes to an intersection."""
    offsets = class_offsets(n_classes)
    sizes = np.empty(patterns.shape, dtype=np.int64)
    for s in range(patterns.shape[1]):
        own = class_sizes[offsets[s] : offsets[s + 1]]
        sizes[:, s] = np.append(own, n_particles - own.sum())[patterns[:, s]]
    return sizes


def smallest_in_trace(patterns, class_sizes, n_classes) -> Int[np.ndarray, " m"]:
    """Size of the smallest input class that an intersection lies in."""
    offsets = class_offsets(n_classes)
    smallest = np.full(len(patterns), np.iinfo(np.int64).max)
    for s in range(patterns.shape[1]):
        own = np.append(class_sizes[offsets[s] : offsets[s + 1]], np.iinfo(np.int64).max)
        np.minimum(smallest, own[patterns[:, s]], out=smallest)
    return smallest


def tail_poisson(
    observed: Int[np.ndarray, " m"], expected: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """P(X ≥ observed) for a Poisson count; wider than the exact tail, hence conservative."""
    observed = np.asarray(observed, dtype=np.float64)
    return np.where(observed > 0, special.gammainc(np.maximum(observed, 1e-9), expected), 1.0)


def log_tail_poisson(observed: float | int, expected: float) -> float:
    """Natural logarithm of P(X ≥ observed), finite where the tail itself underflows."""
    if observed <= 0:
        return 0.0
    if expected <= 0:
        return -np.inf
    direct = special.gammainc(observed, expected)
    if direct > 1e-250:
        return float(np.log(direct))
    # Far in the tail the series after its first term is geometric.
    first = observed * np.log(expected) - expected - special.gammaln(observed + 1)
    return float(first - np.log1p(-expected / (observed + 1)))


def exact_tails(sizes: np.ndarray, n_particles: int) -> np.ndarray:
    """P(X ≥ x) for x = 0 … the smallest size."""
    log_factorial = special.gammaln(np.arange(n_particles + 2) + 1.0)

    def log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
        return log_factorial[n] - log_factorial[k] - log_factorial[n - k]

    distribution = np.zeros(int(sizes[0]) + 1)
    distribution[-1] = 1.0
    for size in sizes[1:]:
        if size >= n_particles:
            continue
        left = np.flatnonzero(distribution > _NEGLIGIBLE)[:, None]
        k = np.arange(int(left[-1, 0]) + 1)[None, :]
        valid = (k <= np.minimum(left, size)) & (left - k <= n_particles - size)
        kept = np.where(valid, k, np.maximum(left - (n_particles - size), 0))
        log_step = log_choose(left, kept) + log_choose(n_particles - left, size - kept)
        log_step -= log_factorial[n_particles] - log_factorial[size]
        log_step += log_factorial[n_particles - size]
        step = np.where(valid, np.exp(log_step), 0.0)
        distribution = np.pad(
            distribution[left[:, 0]] @ step, (0, len(distribution) - step.shape[1])
        )
    return np.minimum(distribution[::-1].cumsum()[::-1], 1.0)


def score_intersections(
    patterns: Int[np.ndarray, "m r"],
    observed: Int[np.ndarray, " m"],
    class_sizes: Int[np.ndarray, " c"],
    n_classes: Int[np.ndarray, " r"],
    n_particles: int,
) -> Float[np.ndarray, " m"]:
    """P-value of every intersection: exact where cheap, Poisson otherwise."""
    expected = expect_sizes(patterns, class_sizes, n_classes, n_particles)
    p_values = tail_poisson(observed, expected)
    if n_particles > _EXACT_PARTICLES or patterns.shape[1] < 2:
        return p_values
    sizes = np.sort(_sizes_in_trace(patterns, class_sizes, n_classes, n_particles), axis=1)
    distinct, of_row = np.unique(np.column_stack([sizes, observed]), axis=0, return_inverse=True)
    cost = (distinct[:, 0].astype(np.float64) ** 2 * patterns.shape[1]).sum()
    if cost > _EXACT_COST:
        return p_values
    exact = np.empty(len(distinct))
    tails: dict[bytes, np.ndarray] = {}
    for i, row in enumerate(distinct):
        key = row[:-1].tobytes()
        if key not in tails:
            tails[key] = exact_tails(row[:-1], n_particles)
        exact[i] = tails[key][row[-1]]
    # Where the exact tail was cut off the wider one stands in for it.
    found = exact[of_row.reshape(-1)]
    return np.where(found > _NEGLIGIBLE, found, p_values)


def count_cells(n_classes: Int[np.ndarray, " r"]) -> float:
    """Number of possible intersections, the product of the runs' class numbers."""
    return float(np.prod(np.maximum(n_classes, 1).astype(np.float64)))


def adjust_fdr(p_values: Float[np.ndarray, " m"], n_tests: float | int) -> Float[np.ndarray, " m"]:
    """Benjamini-Hochberg q-values over `n_tests` hypotheses; those not listed have p = 1."""
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * (max(n_tests, len(p_values)) / np.arange(1, len(p_values) + 1))
    q_values = np.empty(len(p_values))
    q_values[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q_values


def _reference_cells(
    class_sizes: np.ndarray, n_classes: np.ndarray, n_particles: int
) -> tuple[np.ndarray, np.ndarray]:
    """Expected sizes of all cells, and the same over the smallest class; both sorted."""
    offsets = class_offsets(n_classes)
    runs = [class_sizes[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True) if b > a]
    if count_cells(n_classes) <= _REFERENCE_CELLS:
        expected, smallest = np.ones(1), np.full(1, np.inf)
        for own in runs:
            expected = np.multiply.outer(expected, own / n_particles).ravel()
            smallest = np.minimum.outer(smallest, own).ravel()
    else:
        rng = np.random.default_rng(0)
        expected, smallest = np.ones(_REFERENCE_SAMPLE), np.full(_REFERENCE_SAMPLE, np.inf)
        for own in runs:
            drawn = own[rng.integers(len(own), size=_REFERENCE_SAMPLE)]
            expected, smallest = expected * drawn / n_particles, np.minimum(smallest, drawn)
    expected = expected * n_particles
    relative = np.divide(expected, smallest, out=np.zeros_like(expected), where=smallest > 0)
    return np.sort(expected), np.sort(relative)


def rank_xmipp(
    observed: Int[np.ndarray, " m"],
    smallest: Int[np.ndarray, " m"],
    class_sizes: Int[np.ndarray, " c"],
    n_classes: Int[np.ndarray, " r"],
    n_particles: int,
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """The original's two figures: rank of size and relative size among all expected sizes.

    They are no tail probabilities (random labels always reach 0) and stand for comparison only.
    Above a million cells they come from a seeded sample of cells.

    Source: Sorzano et al. 2020, consensus of 3D classes in Scipion.
    """
    expected, relative = _reference_cells(class_sizes, n_classes, n_particles)
    own = observed / np.maximum(smallest, 1)
    size_p = 1.0 - np.searchsorted(expected, observed * (1 - 1e-9)) / len(expected)
    relative_p = 1.0 - np.searchsorted(relative, own * (1 - 1e-9)) / len(relative)
    return size_p, relative_p


def score_merged_class(
    patterns: Int[np.ndarray, "m r"],
    sizes: Int[np.ndarray, " m"],
    members: list[Bool[np.ndarray, " _"]],
    n_particles: int,
) -> tuple[float, float, float]:
    """Test a merged class as merged: particles that at least t runs put into its input classes.

    Under independent labels the number of such runs is a sum of independent coins. The p-value
    of the best t is Bonferroni-corrected for all t and for all subsets of the input classes.

    Args:
        patterns: class of every run by intersection, -1 for none.
        sizes: particles of each intersection.
        members: for every run, which of its classes belong to the merged class.
        n_particles: of the campaign.

    Returns:
        Observed and expected number of particles, and the natural logarithm of the corrected
        p-value.
    """
    votes = np.zeros(len(sizes), dtype=np.int64)
    distribution = np.ones(1)
    log_choices = 0.0
    for s, member in enumerate(members):
        inside = np.append(member, False)[patterns[:, s]]
        votes += inside
        share = sizes[inside].sum() / max(n_particles, 1)
        distribution = np.convolve(distribution, [1 - share, share])
        log_choices += len(member) * np.log(2.0)
    observed = np.bincount(votes, weights=sizes, minlength=len(members) + 1)[::-1].cumsum()[::-1]
    expected = n_particles * np.minimum(distribution[::-1].cumsum()[::-1], 1.0)
    logs = [
        log_tail_poisson(float(o), float(e))
        for o, e in zip(observed[1:], expected[1:], strict=True)
    ]
    best = int(np.argmin(logs)) + 1
    log_p = min(logs[best - 1] + np.log(len(logs)) + log_choices, 0.0)
    return float(observed[best]), float(expected[best]), float(log_p)
