"""How strongly membership of a class is associated with a property of the particles."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped
from scipy import stats

from emjax.consensus.em import bucket

_FEATURES = 8  # columns that features are padded to, so that few shapes are compiled


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
    members: Bool[np.ndarray, "k n"], features: Float[np.ndarray, "n q"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Multiple correlation of every class with features, and the p-value of its score test.

    The effect is shrunk by what chance gives: 0 for no association, 1 for a class that the
    features define.
    """
    k, n = members.shape
    with jax.enable_x64(True):
        table = _pad(features, (bucket(n, 1024), _FEATURES))
        found = _explain(_pad(members, (bucket(k), len(table))), table, n)
    r2, q = np.asarray(found[0])[:k], int(found[1])
    if q == 0:
        return np.zeros(k), np.ones(k)
    effect = np.sqrt(np.maximum(r2 - (1 - r2) * q / max(n - q - 1, 1), 0.0))
    varies = members.any(axis=1) & ~members.all(axis=1)
    return np.where(varies, effect, 0.0), np.where(varies, stats.chi2.sf(n * r2, q), 1.0)


@jax.jit
def _explain(
    members: Float[Array, "k n"], features: Float[Array, "n q"], n: Int[Array, ""] | int
) -> tuple[Float[Array, " k"], Int[Array, ""]]:
    """Share of each class's variance that the features explain, and their rank."""
    inside = jnp.arange(len(features)) < n
    y = (members - members.sum(axis=1, keepdims=True) / n) * inside
    x = (features - features.sum(axis=0) / n) * inside[:, None]
    # Features of unlike units have one rank whatever their scale.
    x /= jnp.maximum(jnp.sqrt((x**2).sum(axis=0)), 1e-30)
    values, vectors = jnp.linalg.eigh(x.T @ x)
    kept = values > 1e-12
    explained = ((y @ x) @ vectors) ** 2 / jnp.where(kept, values, 1.0)
    energy = (y**2).sum(axis=1)
    r2 = jnp.where(kept, explained, 0).sum(axis=1) / jnp.where(energy > 0, energy, 1.0)
    return jnp.minimum(r2, 1.0), kept.sum()


def score_groups(
    members: Bool[np.ndarray, "k n"], groups: Shaped[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Bias-corrected Cramér's V of every class with groups, and its p-value.

    Micrographs hold few particles each, so χ² has not the law of large groups: its mean and
    variance are those of all permutations, and its law a gamma law with these.

    Source: Haldane 1940, Biometrika 31, 346.
    """
    k, n = members.shape
    _, group = np.unique(groups, return_inverse=True)
    size = np.bincount(group.reshape(-1))
    own = members.sum(axis=1)
    varies = (own > 0) & (own < n)
    if len(size) < 2 or n < 4 or not varies.any():
        return np.zeros(k), np.ones(k)
    with jax.enable_x64(True):
        table = _pad(members.T, (bucket(n, 1024), bucket(k)))
        padded = np.pad(group.reshape(-1), (0, len(table) - n), constant_values=len(size))
        n_groups = bucket(len(size) + 1, 32)
        inside = np.asarray(_count(table, padded, n_groups))[: len(size), :k]
    share = np.where(varies, own / n, 0.5)
    expected = size[:, None] * share
    found = ((inside - expected) ** 2 / (expected * (1 - share))).sum(axis=0)
    mean, variance = _moments(size, np.where(varies, own, 1))
    # Groups of one particle each hold no association at all: χ² cannot vary.
    variance = np.maximum(variance, 1e-18)
    p_value = stats.gamma.sf(found, mean**2 / variance, scale=variance / mean)
    effect = np.sqrt(np.maximum(found - mean, 0.0) / n)
    return np.where(varies, effect, 0.0), np.where(varies, p_value, 1.0)


@partial(jax.jit, static_argnames="n_groups")
def _count(
    members: Float[Array, "n k"], group: Int[Array, " n"], n_groups: int
) -> Float[Array, "g k"]:
    """Particles of each class in each group."""
    return jax.ops.segment_sum(members, group, n_groups)


def _moments(
    size: Int[np.ndarray, " g"], own: Int[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, ""] | float, Float[np.ndarray, " k"]]:
    """Mean and variance of χ² over all permutations of a class of each size."""
    n, g = float(size.sum()), len(size)
    v = (n - g) * (g - 1) / (n - 1)
    w = ((1 / size).sum() * n - g**2) / (n - 2)
    v_own = (n - 2) / (n - 1)
    w_own = ((1 / own + 1 / (n - own)) * n - 4) / (n - 2)
    mean = n * (g - 1) / (n - 1)
    return mean, 2 * n / (n - 3) * (v - w) * (v_own - w_own) + n**2 / (n - 1) * w * w_own


def _pad(values: np.ndarray, shape: tuple[int, int]) -> Float[np.ndarray, "a b"]:
    """In double precision, with zeros behind."""
    width = [(0, long - short) for long, short in zip(shape, values.shape, strict=True)]
    return np.pad(np.asarray(values, float), width)
