"""Leading principal components of masked images, their number chosen by held-out likelihood."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

MAX_COMPONENTS = 80
# With few components the penalty outweighs the data (it enters α as ϑq/ND) and the map collapses.
MIN_COMPONENTS = 50
_OVERSAMPLING = 10
_POWER_STEPS = 12


@dataclass(frozen=True)
class Components:
    """A mean and an orthonormal basis in the space of the masked pixels.

    Attributes:
        mean: Mean vector.
        basis: Components in rows, by decreasing variance.
        variance: Variance along each.
        held_out: Log-likelihood per held-out vector for 1, 2, … components (nan: not computed).
    """

    mean: Float[np.ndarray, " p"]
    basis: Float[np.ndarray, "q p"]
    variance: Float[np.ndarray, " q"]
    held_out: Float[np.ndarray, " h"]

    def project(
        self, vectors: Float[np.ndarray, "n p"], rows_per_block: int = 8192
    ) -> Float[np.ndarray, "n q"]:
        """Coordinates of vectors, read block by block."""
        out = np.empty((len(vectors), len(self.basis)), self.basis.dtype)
        for start in range(0, len(vectors), rows_per_block):
            rows = slice(start, start + rows_per_block)
            out[rows] = (vectors[rows] - self.mean) @ self.basis.T
        return out

    def restore(self, coordinates: Float[np.ndarray, "*b q"]) -> Float[np.ndarray, "*b p"]:
        """Vectors of given coordinates."""
        return coordinates @ self.basis + self.mean


def find_components(
    vectors: Float[np.ndarray, "n p"],
    n_components: int | None = None,
    *,
    rows_per_block: int = 8192,
) -> Components:
    """Principal components of vectors; None chooses their number by held-out likelihood.

    Even and odd rows are scored under each other's probabilistic PCA. Only the two covariances are
    kept, so that the vectors may be a memory-mapped table of any length.

    Source: Tipping & Bishop, J. R. Stat. Soc. B 61 (1999) 611.
    """
    n, n_pixels = vectors.shape
    mean = np.mean(vectors, axis=0, dtype=np.float64).astype(vectors.dtype)
    key = jax.random.key(0)
    even, odd = _half_covariances(vectors, mean, rows_per_block)
    held_out = np.full(0, np.nan)
    if n_components is None:
        largest = min(MAX_COMPONENTS, n_pixels, max(n // 2 - 1, 1))
        counts = jnp.array([(n + 1) // 2, n // 2], even.dtype)
        scores = [
            _held_out_likelihood(own / own_count, other, other_count, key, largest=largest)
            for own, own_count, other, other_count in (
                (even, counts[0], odd, counts[1]),
                (odd, counts[1], even, counts[0]),
            )
        ]
        held_out = np.asarray(scores[0] + scores[1], np.float64) / n
        n_components = max(int(np.nanargmax(held_out)) + 1, MIN_COMPONENTS)
    variance, basis = leading_eigenvectors((even + odd) / n, min(n_components, n_pixels), key)
    return Components(mean, np.asarray(basis), np.asarray(variance), held_out)


def _half_covariances(
    vectors: Float[np.ndarray, "n p"], mean: Float[np.ndarray, " p"], rows_per_block: int
) -> tuple[Float[Array, "p p"], Float[Array, "p p"]]:
    dtype = jax.dtypes.canonicalize_dtype(vectors.dtype)
    even = odd = jnp.zeros((vectors.shape[1],) * 2, dtype)
    rows_per_block += rows_per_block % 2
    for start in range(0, len(vectors), rows_per_block):
        block = (vectors[start : start + rows_per_block] - mean).astype(dtype)
        even, odd = _add_gram(even, block[::2]), _add_gram(odd, block[1::2])
    return even, odd


@jax.jit
def _add_gram(total: Float[Array, "p p"], block: Float[Array, "m p"]) -> Float[Array, "p p"]:
    return total + block.T @ block


@partial(jax.jit, static_argnames="n_components")
def leading_eigenvectors(
    covariance: Float[Array, "p p"], n_components: int, key: Array
) -> tuple[Float[Array, " q"], Float[Array, "q p"]]:
    """Largest eigenvalues and their vectors (rows) of a covariance, by subspace iteration.

    The sign is such that the largest entry of each vector is positive.
    """
    n_pixels = len(covariance)
    width = min(n_components + _OVERSAMPLING, n_pixels)
    if n_pixels <= 4 * width:
        values, vectors = jnp.linalg.eigh(covariance)
    else:
        trial = jax.random.normal(key, (n_pixels, width), covariance.dtype)
        trial = jax.lax.fori_loop(
            0, _POWER_STEPS, lambda _, v: jnp.linalg.qr(covariance @ v)[0], jnp.linalg.qr(trial)[0]
        )
        values, small = jnp.linalg.eigh(trial.T @ covariance @ trial)
        vectors = trial @ small
    values, basis = values[::-1][:n_components], vectors[:, ::-1][:, :n_components].T
    largest = jnp.take_along_axis(basis, jnp.argmax(jnp.abs(basis), 1)[:, None], 1)
    return values, basis * jnp.sign(largest)


@partial(jax.jit, static_argnames="largest")
def _held_out_likelihood(
    covariance: Float[Array, "p p"],
    scatter: Float[Array, "p p"],
    n_held_out: Float[Array, ""],
    key: Array,
    *,
    largest: int,
) -> Float[Array, " q"]:
    """Log-likelihood of the other half's scatter, less its constant, for 1, 2, … components."""
    n_pixels = len(covariance)
    values, basis = leading_eigenvectors(covariance, largest, key)
    along = jnp.sum((basis @ scatter) * basis, -1)
    count = jnp.arange(1, largest + 1)
    rest = jnp.maximum(n_pixels - count, 1)
    # With no direction left over there is no noise: such a count is not scored.
    valid = count < n_pixels
    tiny = 1e-9 * jnp.trace(covariance) / n_pixels
    noise = jnp.maximum((jnp.trace(covariance) - jnp.cumsum(values)) / rest, tiny)
    values = jnp.maximum(values, tiny)
    fit = jnp.cumsum(along / values) + (jnp.trace(scatter) - jnp.cumsum(along)) / noise
    volume = jnp.cumsum(jnp.log(values)) + rest * jnp.log(noise)
    return jnp.where(valid, -0.5 * (fit + n_held_out * volume), jnp.nan)
