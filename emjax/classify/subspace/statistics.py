"""What particles say about coordinates in a basis: g, G and what follows without classes."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Statistics:
    """What n particles say about coordinates in a basis of q volumes; may be memory-mapped."""

    features: Float[np.ndarray, "n f"]  # g, then the lower triangle of G row by row
    offset: Float[np.ndarray, " n"]  # log-likelihood of the mean map without −½|F|²
    n_components: int

    @property
    def n(self) -> int:
        """Number of particles."""
        return len(self.features)

    def take(self, rows: np.ndarray | slice) -> "Statistics":
        """Some of the particles, by rows or by a mask."""
        return replace(self, features=self.features[rows], offset=self.offset[rows])

    def leading(self, n_components: int) -> "Statistics":
        """The same particles in the first components only."""
        rows, columns = np.tril_indices(self.n_components)
        keep = np.concatenate([np.arange(self.n_components) < n_components, (rows < n_components)])
        return Statistics(np.ascontiguousarray(self.features[:, keep]), self.offset, n_components)

    def replaced_by(self, other: "Statistics", rows: Bool[np.ndarray, " n"]) -> "Statistics":
        """These with the other's in some rows; components may be others there."""
        features = np.where(rows[:, None], other.features, self.features)
        offset = np.where(rows, other.offset, self.offset)
        return Statistics(features, offset, self.n_components)

    def linear(self) -> Float[np.ndarray, "n q"]:
        """g of each particle."""
        return self.features[:, : self.n_components]

    def quadratic(self) -> Float[np.ndarray, "n q q"]:
        """G of each particle."""
        return unpack(self.features[:, self.n_components :], self.n_components)

    def powers(self) -> Float[np.ndarray, "n q"]:
        """Diagonal of G of each particle: the power of each component in its image."""
        rows, columns = np.tril_indices(self.n_components)
        return self.features[:, self.n_components + np.flatnonzero(rows == columns)]


def count_components(features: np.ndarray) -> int:
    """Number q of components of which rows [g, vech G] have q(q+3)/2 values."""
    return round((np.sqrt(9 + 8 * features.shape[1]) - 3) / 2)


def pack(linear: Float[np.ndarray, "n q"], quadratic: Float[np.ndarray, "n q q"]) -> np.ndarray:
    """Rows [g, vech G] of `Statistics.features`."""
    rows, columns = np.tril_indices(linear.shape[1])
    return np.concatenate([linear, quadratic[:, rows, columns]], 1)


def unpack(packed: Float[np.ndarray, "*n t"], n_components: int) -> Float[np.ndarray, "*n q q"]:
    """Symmetric matrices from the lower triangle row by row."""
    rows, columns = np.tril_indices(n_components)
    square = np.zeros((*packed.shape[:-1], n_components, n_components), packed.dtype)
    square[..., rows, columns] = packed
    square[..., columns, rows] = packed
    return square


def latent_means(statistics: Statistics) -> Float[np.ndarray, "n q"]:
    """Posterior mean (G + I)⁻¹ g of each particle's coordinates under z ~ N(0, I)."""
    q = statistics.n_components
    means = np.zeros((statistics.n, q), np.float32)
    for start in range(0, statistics.n, 65_536):
        part = statistics.take(slice(start, start + 65_536))
        system = part.quadratic() + np.eye(q, dtype=part.features.dtype)
        means[start : start + 65_536] = np.linalg.solve(system, part.linear()[..., None])[..., 0]
    return means


def latent_mix(statistics: Statistics, iterations: int = 50) -> Float[np.ndarray, "q p"]:
    """Mix of the components whose coordinates have unit variance in these particles.

    The covariance of the coordinates is found by EM; where a component
    explains nothing here, its variance goes to zero whatever it was where the basis was fitted.

    Returns:
        Columns of the mix, the direction that images show best first.
    """
    q, n = statistics.n_components, statistics.n
    metric, covariance = np.zeros((q, q)), np.eye(q)
    for iteration in range(iterations):
        total = np.zeros((q, q))
        for start in range(0, n, 65_536):
            part = statistics.take(slice(start, start + 65_536))
            linear, quadratic = part.linear().astype(np.float64), part.quadratic()
            # (G + C⁻¹)⁻¹ = (I + C G)⁻¹ C, written so that C may become singular.
            gain = np.linalg.solve(np.eye(q) + covariance @ quadratic, covariance[None])
            means = np.einsum("nij,nj->ni", gain, linear)
            total += means.T @ means + gain.sum(0)
            metric += quadratic.mean(0, dtype=np.float64) * (part.n / n) * (iteration == 0)
        covariance = 0.5 * (total + total.T) / n
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(np.maximum(values, 0))
    _, rotation = np.linalg.eigh(factor.T @ metric @ factor)
    return factor @ rotation[:, ::-1]


def change_basis(statistics: Statistics, mix: Float[np.ndarray, "q p"]) -> Statistics:
    """Statistics in the components Σ_j mix_jk B_j."""
    dtype, p = statistics.features.dtype, mix.shape[1]
    features = np.zeros((statistics.n, p * (p + 3) // 2), dtype)
    for start in range(0, statistics.n, 65_536):
        rows = slice(start, start + 65_536)
        part = statistics.take(rows)
        quadratic = np.swapaxes(mix, 0, 1) @ part.quadratic() @ mix
        features[rows] = pack(part.linear() @ mix, quadratic)
    return Statistics(features, statistics.offset, p)
