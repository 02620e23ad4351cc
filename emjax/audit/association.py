"""How strongly membership of a class is associated with a property of the particles."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import stats

_PERMUTATIONS = 300
_SHUFFLED_PARTICLES = 50_000


def view_features(rotations: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 8"]:
    """Viewing direction as the first- and second-order harmonics on the sphere.

    Args:
        rotations: A with k3D = Aᵀ (kx, ky, 0), so that the beam runs along Aᵀ z, A's third row.
    """
    x, y, z = rotations[:, 2, :].T
    return np.stack([x, y, z, x * y, y * z, z * x, x * x - y * y, 3 * z * z - 1], axis=1)


def scalar_features(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Rank and squared rank: sees a trend and an excess of extreme values, whatever the units."""
    rank = (stats.rankdata(values) - 0.5) / len(values) - 0.5
    return np.stack([rank, rank**2], axis=1)


def shift_features(shifts: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 4"]:
    """Direction of the shift, and its length by rank."""
    return np.column_stack([shifts, scalar_features(np.hypot(*shifts.T))])


def score_association(
    member: Bool[np.ndarray, " n"], features: Float[np.ndarray, "n q"]
) -> tuple[float, float]:
    """Multiple correlation of a class with features, and the p-value of its score test.

    The effect is shrunk by what chance gives: 0 for no association, 1 for a class that the
    features define.
    """
    y = member - member.mean()
    x = features - features.mean(axis=0)
    basis, singular, _ = np.linalg.svd(x, full_matrices=False)
    basis = basis[:, singular > 1e-8 * max(singular.max(initial=0.0), 1e-30)]
    n, q = basis.shape
    if q == 0 or not y.any():
        return 0.0, 1.0
    r2 = float(((basis.T @ y) ** 2).sum() / (y @ y))
    effect = np.sqrt(max(r2 - (1 - r2) * q / max(n - q - 1, 1), 0.0))
    return float(effect), float(stats.chi2.sf(n * r2, q))


def score_groups(
    member: Bool[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"], rng: np.random.Generator
) -> tuple[float, float]:
    """Bias-corrected Cramér's V of a class with groups, and its p-value.

    Micrographs hold few particles each, so the mean and spread of χ² come from shuffles.
    """
    _, group = np.unique(groups, return_inverse=True)
    group = group.reshape(-1)
    size = np.bincount(group)
    if len(member) > _SHUFFLED_PARTICLES:
        drawn = rng.choice(len(member), _SHUFFLED_PARTICLES, replace=False)
        return score_groups(member[drawn], groups[drawn], rng)
    n, share = len(member), member.mean()
    if len(size) < 2 or share in (0.0, 1.0):
        return 0.0, 1.0

    def chi_square(chosen: np.ndarray) -> float:
        inside = np.bincount(group, weights=chosen, minlength=len(size))
        return float(((inside - size * share) ** 2 / (size * share * (1 - share))).sum())

    found = chi_square(member)
    shuffled = [chi_square(rng.permutation(member)) for _ in range(_PERMUTATIONS)]
    mean, spread = np.mean(shuffled), max(float(np.std(shuffled)), 1e-9)
    # A gamma law of the shuffles' mean and spread: χ² itself where groups are large.
    p_value = float(stats.gamma.sf(found, (mean / spread) ** 2, scale=spread**2 / mean))
    return float(np.sqrt(max(found - mean, 0.0) / n)), p_value
