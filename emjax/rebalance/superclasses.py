"""Superclasses: references that are views of the same thing, found from their affinity."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.cluster import KMeans

from emjax.errors import OptionError

_NUMBER = "rebalance.superclasses"

# Below this ratio of the largest eigengap to the next one two answers are about as good.
_CLEAR_EIGENGAP_RATIO = 1.5
# Share of the references that must be nearer to their own superclass than to any other.
_CLEAR_MEMBERSHIP = 0.95

# References of one superclass correlate at least so well on average.
_SIMILAR = 0.6


@dataclass(frozen=True)
class Superclasses:
    """Superclass of each reference, and how clearly the references fall into them.

    Attributes:
        labels: 0-based superclass of each reference, numbered by first appearance; −1 = excluded.
        suggested: Number of superclasses at the largest eigengap.
        eigenvalues: Spectrum of the normalised affinity of those used, decreasing.
        clear: Whether the squares of the sorted affinity stand out.
        warning: Why they do not, or None.
    """

    labels: Int[np.ndarray, " k"]
    suggested: int
    eigenvalues: Float[np.ndarray, " u"]
    clear: bool
    warning: str | None

    @property
    def n_superclasses(self) -> int:
        """Number of superclasses that hold a reference."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def order(self) -> Int[np.ndarray, " k"]:
        """References sorted by superclass; excluded ones last."""
        excluded_last = np.where(self.labels < 0, len(self.labels), self.labels)
        return np.argsort(excluded_last, kind="stable")


def superclasses(
    affinity: Float[np.ndarray, "k k"],
    n: int | Literal["auto"] = "auto",
    *,
    seed: int = 0,
    superclassify: bool = True,
    excluded: Bool[np.ndarray, " k"] | None = None,
) -> Superclasses:
    """Group references into superclasses by spectral clustering of their affinity.

    Args:
        affinity: Symmetric, 0..1, diagonal 1.
        n: Number of superclasses, or `auto` for the largest eigengap.
        seed: Seed of the clustering.
        superclassify: False makes every reference its own superclass.
        excluded: References left out (too small, say); their superclass is −1.

    Raises:
        OptionError: If the number does not fit the references.
        ValueError: If the affinity is none.

    Source: Ng, Jordan & Weiss (2002); local scale of Zelnik-Manor & Perona (2004).
    """
    _check_affinity(affinity)
    used = np.ones(len(affinity), bool) if excluded is None else ~np.asarray(excluded, bool)
    part = affinity[np.ix_(used, used)]
    n_used = len(part)
    if n_used == 0:
        raise ValueError("superclasses: every reference is excluded")
    if not superclassify and n != "auto" and n != n_used:
        expected = f"{n_used} (one per reference) or auto, because superclassify is off"
        raise OptionError(_NUMBER, n, expected)
    if n != "auto" and not 1 <= n <= n_used:
        raise OptionError(_NUMBER, n, f"auto or 1 to {n_used} (references)")
    values, vectors = _spectrum(part)
    suggested, ratio = _eigengap(values)
    count = n_used if not superclassify else suggested if n == "auto" else int(n)
    found = _cluster(vectors[:, :count], count, seed)
    warning = None
    if superclassify:
        warning = _doubt(part, found, ratio if n == "auto" else None)
    labels = np.full(len(affinity), -1)
    labels[used] = found
    return Superclasses(labels, suggested, values, warning is None, warning)


def _check_affinity(affinity: Float[np.ndarray, "k k"]) -> None:
    square = affinity.ndim == 2 and affinity.shape[0] == affinity.shape[1]
    if not square or not np.allclose(affinity, affinity.T, atol=1e-6):
        raise ValueError(f"affinity: expected a symmetric matrix, found shape {affinity.shape}")
    if not np.all((affinity >= 0) & (affinity <= 1 + 1e-9)):
        raise ValueError("affinity: expected values of 0 to 1")


def _spectrum(
    affinity: Float[np.ndarray, "k k"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k k"]]:
    """Eigenvalues and vectors of the normalised kernel exp(−d²/s_i s_j), d² = 2(1 − affinity) − f.

    Correlations of averages all lie near each other, where the raw affinity has one block only.
    The floor f is what noise alone takes from the nearest references; the local scale s_i, the
    distance to a near neighbour, brings out who is near in comparison.
    """
    n_references = len(affinity)
    if n_references < 2:
        return np.ones(n_references), np.ones((n_references, n_references))
    squared = 2 * np.maximum(1 - affinity, 0)
    nearest = np.sort(squared + np.diag(np.full(n_references, np.inf)), axis=1)
    squared = np.maximum(squared - 0.8 * np.median(nearest[:, 0]), 0)
    neighbour = min(max(1, round(np.sqrt(n_references) / 2)), n_references - 1)
    scale = np.sqrt(np.sort(squared, axis=1)[:, neighbour])
    # Copies of one image are no groups of their own, however small the distances among them.
    typical = np.median(squared[np.triu_indices(n_references, 1)])
    scale = np.maximum(scale, np.sqrt(max(0.1 * typical, 1e-6)))
    kernel = np.exp(-squared / np.outer(scale, scale))
    root_degree = np.sqrt(kernel.sum(1))
    values, vectors = np.linalg.eigh(kernel / np.outer(root_degree, root_degree))
    return values[::-1], vectors[:, ::-1]


def _eigengap(values: Float[np.ndarray, " k"]) -> tuple[int, float]:
    """Number of eigenvalues before the largest gap, and that gap over the next largest."""
    if len(values) < 3:
        return 1, np.inf
    # The gap after the last eigenvalue is none: one superclass a reference is not a grouping.
    gaps = -np.diff(values)
    largest, second = np.sort(gaps)[::-1][:2]
    return int(np.argmax(gaps)) + 1, float(largest / max(second, 1e-12))


def _cluster(vectors: Float[np.ndarray, "k c"], count: int, seed: int) -> Int[np.ndarray, " k"]:
    if count == len(vectors):
        return np.arange(count)
    if count == 1:
        return np.zeros(len(vectors), int)
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    # scikit-learn infers n_init as a string from its default "auto".
    kmeans = KMeans(count, n_init=20, random_state=seed)  # pyright: ignore[reportArgumentType]
    found = kmeans.fit(rows).labels_
    assert found is not None
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _doubt(
    affinity: Float[np.ndarray, "k k"], labels: Int[np.ndarray, " k"], gap_ratio: float | None
) -> str | None:
    """One sentence on why the superclasses may not be real, or None where they are clear."""
    if gap_ratio is not None and gap_ratio < _CLEAR_EIGENGAP_RATIO:
        return (
            "the number of superclasses is not clear: the largest eigengap is only "
            f"{gap_ratio:.2f} times the next; look at the sorted affinity and choose a number"
        )
    count = labels.max() + 1
    if count == 1 < len(labels) and gap_ratio is not None:
        mean = (affinity.sum() - len(labels)) / (len(labels) * (len(labels) - 1))
        if mean < _SIMILAR:
            return (
                "the superclasses are not clear: no groups stand out, yet the references correlate "
                f"by {mean:.2f} only on average"
            )
    if 1 < count < len(labels):
        member = np.eye(count)[labels]
        # A reference's affinity of 1 to itself says nothing about its superclass.
        sums = (affinity - np.eye(len(labels))) @ member
        sizes = np.maximum(member.sum(0) - member, 1)
        mean = sums / sizes
        own = mean[np.arange(len(labels)), labels]
        other = np.where(member == 1, -np.inf, mean).max(1)
        alone = member.sum(0)[labels] == 1
        inside = float(np.mean(alone | (own > other)))
        if inside < _CLEAR_MEMBERSHIP:
            return (
                f"the superclasses are not clear: {1 - inside:.0%} of the references are nearer to "
                "another superclass than to their own"
            )
    return None
