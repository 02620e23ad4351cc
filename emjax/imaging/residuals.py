"""What a map leaves unexplained of the particles: scale, and noise power by group and shell."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.imaging.grids import FourierGrid
from emjax.imaging.maps import slicing_values
from emjax.imaging.noise import steady_power
from emjax.imaging.particles import CHUNK, Particles, chunks, weights_of
from emjax.imaging.projector import make_slices, slice_volume


@eqx.filter_jit
def _compare(
    images: Complex[Array, "m p"],
    weights: Float[Array, "m p"],
    rotations: Float[Array, "m 3 3"],
    values: Complex[Array, " v"],
    grid: FourierGrid,
) -> tuple[Float[Array, " m"], Float[Array, " m"], Float[Array, "m s"]]:
    """⟨F, CPV⟩ and ⟨CPV, CPV⟩ of each particle, and |F − a·CPV|² by shell with a their ratio."""
    model = weights * slice_volume(values, make_slices(rotations, grid))
    cross = jnp.sum(jnp.real(images * model.conj()), -1)
    power = jnp.sum(jnp.abs(model) ** 2, -1)
    amplitude = jnp.clip(cross / jnp.maximum(power, 1e-20), 0.0, 4.0)
    residual = jnp.abs(images - amplitude[:, None] * model) ** 2
    sums = jnp.zeros((images.shape[0], grid.n_shells)).at[:, grid.pixel_shells].add(residual)
    return cross, power, sums


def measure_residuals(
    particles: Particles, volume: Float[np.ndarray, "d d d"], grid: FourierGrid
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Amplitude of each particle against a map, its variance; residual power by group and shell."""
    values = slicing_values(jnp.asarray(volume), grid)
    amplitude, variance = np.zeros(particles.n), np.zeros(particles.n)
    residual = np.zeros((len(particles.noise_power), grid.n_shells))
    size = min(CHUNK, particles.n)
    for rows in chunks(particles.n, size):
        part = particles.take(np.resize(rows, size))
        compared = _compare(
            jnp.asarray(part.images),
            weights_of(part, grid),
            jnp.asarray(part.rotations, jnp.float32),
            values,
            grid,
        )
        cross, power, sums = (np.asarray(a, np.float64)[: len(rows)] for a in compared)
        amplitude[rows] = cross / np.maximum(power, 1e-12)
        variance[rows] = 1 / np.maximum(power, 1e-12)
        used = part.weight[: len(rows)] > 0
        weighted = part.weight[: len(rows), None][used] * sums[used]
        np.add.at(residual, particles.group[rows[used]], weighted)
    counts = count_pixels(particles, grid)
    return amplitude, variance, steady_power(residual / np.maximum(counts, 1), counts)


def count_pixels(particles: Particles, grid: FourierGrid) -> Float[np.ndarray, "g s"]:
    """Pixels of each group in each shell, by the weight of their particles."""
    members = np.bincount(particles.group, particles.weight, len(particles.noise_power))
    shells = np.bincount(np.asarray(grid.pixel_shells), minlength=grid.n_shells)
    return np.outer(members, shells).astype(np.float64)
