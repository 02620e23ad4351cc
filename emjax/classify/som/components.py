"""Leading principal components of masked images; their number and detail by held-out likelihood."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import eigsh

MAX_COMPONENTS = 80
# With few components the penalty outweighs the data (it enters α as ϑq/ND) and the map collapses.
MIN_COMPONENTS = 50
# Fractions of Nyquist up to which components may have detail, each half as many pixels as the next.
BANDS = (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0)
# Vectors that the detail and the number of components are chosen on.
SAMPLE = 20_000


@dataclass(frozen=True)
class Components:
    """A mean and an orthonormal basis in the space of the masked pixels.

    Attributes:
        mean: mean vector.
        basis: components in rows, by decreasing variance.
        variance: variance along each.
        held_out: log-likelihood that 1, 2, … components gain a held-out vector over none.
        band: fraction of Nyquist that their detail reaches.
    """

    mean: Float[np.ndarray, " p"]
    basis: Float[np.ndarray, "q p"]
    variance: Float[np.ndarray, " q"]
    held_out: Float[np.ndarray, " h"]
    band: float = 1.0

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
    low_pass: Callable[[float], Float[np.ndarray, "p m"]] | None = None,
    *,
    rows_per_block: int = 8192,
) -> Components:
    """Principal components of vectors; None chooses their number by held-out likelihood.

    Even and odd rows (20,000 at most) are scored under each other's probabilistic PCA. Only two
    covariances are kept, so that the vectors may be a memory-mapped table of any length.

    Args:
        vectors: masked images.
        n_components: number of components.
        low_pass: orthonormal basis of the vectors without detail beyond a fraction of Nyquist
            (`MaskedPixels.low_pass`). With it, detail is admitted until held-out vectors no longer
            gain: noise of fine detail leads components away from the signal.
        rows_per_block: vectors in memory at once.

    Source: Tipping & Bishop, J. R. Stat. Soc. B 61 (1999) 611.
    """
    n, n_pixels = vectors.shape
    mean = np.mean(vectors, axis=0, dtype=np.float64).astype(vectors.dtype)
    least = min(n_components or MIN_COMPONENTS, n_pixels)
    sample = vectors[:: max(n // SAMPLE, 1)]
    chosen, held_out, band = 1.0, np.full(1, -np.inf), None
    halves = None
    for fraction in BANDS if low_pass is not None else (1.0,):
        trial = low_pass(fraction) if low_pass is not None and fraction < 1 else None
        if trial is not None and trial.shape[1] < least:
            continue
        found = _scatter_halves(sample, mean, trial, rows_per_block)
        gain = _held_out_gain(*found, n_pixels)
        if gain.max() < held_out.max():
            break
        chosen, held_out, band, halves = fraction, gain, trial, found
    if len(sample) < n or halves is None:
        halves = _scatter_halves(vectors, mean, band, rows_per_block)
    if n_components is None:
        n_components = max(int(np.argmax(held_out)) + 1, least)
    covariance = (halves[0].scatter + halves[1].scatter) / n
    variance, basis = leading_eigenvectors(covariance, n_components)
    basis = with_signs(basis if band is None else basis @ band.T)
    return Components(mean, basis, variance, held_out, chosen)


def with_signs(vectors: Float[np.ndarray, "q p"]) -> Float[np.ndarray, "q p"]:
    """Eigenvectors (rows) with their largest entry above zero: a solver's signs are its own."""
    largest = np.take_along_axis(vectors, np.argmax(np.abs(vectors), axis=1)[:, None], axis=1)
    return vectors * np.sign(largest)


@dataclass(frozen=True)
class _Half:
    """Sums over half of the vectors: outer products inside a band, squares of all pixels."""

    scatter: Float[np.ndarray, "m m"]
    square: float
    count: int


def _scatter_halves(
    vectors: Float[np.ndarray, "n p"],
    mean: Float[np.ndarray, " p"],
    band: Float[np.ndarray, "p m"] | None,
    rows_per_block: int,
) -> tuple[_Half, _Half]:
    """The even and the odd rows."""
    size = vectors.shape[1] if band is None else band.shape[1]
    scatter = np.zeros((2, size, size), vectors.dtype)
    square, count = np.zeros(2), np.zeros(2, int)
    rows_per_block += rows_per_block % 2
    for start in range(0, len(vectors), rows_per_block):
        block = vectors[start : start + rows_per_block] - mean
        for half in (0, 1):
            own = block[half::2]
            square[half] += np.sum(np.square(own), dtype=np.float64)
            count[half] += len(own)
            own = own if band is None else own @ band
            scatter[half] += own.T @ own
    even, odd = (_Half(scatter[i], float(square[i]), int(count[i])) for i in (0, 1))
    return even, odd


def leading_eigenvectors(
    covariance: Float[np.ndarray, "p p"], n_components: int
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, "q p"]]:
    """Largest eigenvalues, descending, and their vectors (rows) of a covariance."""
    if len(covariance) <= 4 * n_components:
        values, vectors = np.linalg.eigh(covariance)
    else:
        # From a start of its own choice ARPACK would give other bits each time.
        start = np.random.default_rng(0).standard_normal(len(covariance)).astype(covariance.dtype)
        # SciPy's stub takes the tolerance for an integer.
        values, vectors = eigsh(covariance, n_components, which="LA", v0=start, tol=1e-4)  # type: ignore[arg-type]
    order = np.argsort(values)[::-1][:n_components]
    return values[order], vectors[:, order].T


def _held_out_gain(even: _Half, odd: _Half, n_pixels: int) -> Float[np.ndarray, " h"]:
    """What a vector's held-out log-likelihood gains by 1, 2, … components over none.

    The noise is white in all pixels, so that gains in different bands compare.
    """
    total = np.zeros(1)
    for known, other in ((even, odd), (odd, even)):
        # With no direction left over there is no noise: such a count is not scored.
        largest = max(min(MAX_COMPONENTS, len(known.scatter) - 1, known.count - 1), 1)
        values, basis = leading_eigenvectors(known.scatter / max(known.count, 1), largest)
        along = np.sum((basis @ other.scatter) * basis, axis=1, dtype=np.float64)
        power = known.square / max(known.count, 1)
        tiny = 1e-9 * power / n_pixels
        rest = n_pixels - np.arange(len(values) + 1)
        used = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        noise = np.maximum((power - used) / np.maximum(rest, 1), tiny)
        values = np.maximum(values, tiny).astype(np.float64)
        left = other.square - np.concatenate([[0.0], np.cumsum(along)])
        fit = np.concatenate([[0.0], np.cumsum(along / values)]) + left / noise
        volume = np.concatenate([[0.0], np.cumsum(np.log(values))]) + rest * np.log(noise)
        score = -0.5 * (fit + other.count * volume)
        total = total + (score[1:] - score[0])
    return total / (even.count + odd.count)
