"""Noise spectrum, scale and mean map of cropped images, which are whitened in place."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.imaging.grids import FourierGrid
from emjax.imaging.maps import back_project, slicing_values, solve_map
from emjax.imaging.masks import solvent_mask, sphere
from emjax.imaging.particles import CHUNK, Particles, chunks, weights_of
from emjax.imaging.projector import make_slices, slice_volume

# Pixels' worth of trust in the shape that the noise of all groups shares.
COMMON_PIXELS = 50


@dataclass(frozen=True)
class MeanMap:
    """Mean of all particles on the cropped box."""

    volume: Float[np.ndarray, "d d d"]
    half_maps: tuple[Float[np.ndarray, "d d d"], Float[np.ndarray, "d d d"]]
    fsc: Float[np.ndarray, " s"]
    solvent_mask: Float[np.ndarray, "d d d"]


def estimate(
    particles: Particles,
    power: Float[np.ndarray, "g s"],
    mask: Float[np.ndarray, "d d d"] | None = None,
    scale: str = "optimal",
    mask_options: dict[str, float] | None = None,
    rounds: int = 2,
    point_group: str = "C1",
    static_noise: bool = False,
) -> tuple[Particles, MeanMap]:
    """Noise spectrum, per-particle scale and mean map of cropped but not yet whitened images.

    The first guess of the noise is the power of the images; each round makes the mean map and takes
    the noise from what it leaves unexplained (maximum likelihood). The noise is settled here, not
    while classes are sought, because it stands in every weight of the classification's operators.

    Args:
        particles: with `images` as `crop_images` leaves them; whitened in place.
        power: mean power of the images by group and shell.
        mask: solvent mask on the cropped box; made from the mean map where None.
        scale: optimal (fitted to the mean map), input (kept as it is) or none (1).
        mask_options: threshold, near and far of the automatic mask.
        rounds: of mean map and noise.
        point_group: of the particle, in RELION's axes.
        static_noise: keep the first guess.
    """
    grid = particles.grid
    noise = _to_shells(power, grid.n_shells)
    particles = replace(particles, noise_power=noise)
    noise = np.maximum(steady_power(noise, _pixel_counts(particles, grid)), 1e-30)
    noise = noise.astype(np.float32)
    ones = np.ones(particles.n, np.float32)
    particles = replace(
        particles, noise_power=noise, scale=particles.scale if scale == "input" else ones
    )
    support = sphere(particles.box_size) if mask is None else mask
    _whiten(particles, np.sqrt(2 / noise))
    for _ in range(rounds):
        volume = np.asarray(
            solve_map(*back_project(particles, grid, point_group), jnp.asarray(support), grid)[0]
        )
        amplitude, variance, residual = _measure(particles, volume * support, grid)
        if scale == "optimal":
            relative = shrink_scale(amplitude * particles.scale, variance * particles.scale**2)
            particles = replace(particles, scale=relative)
        if not static_noise:
            # Whitened residuals have power 2 where the noise was right.
            correction = np.where(residual > 0, residual / 2, 1)
            _whiten(particles, 1 / np.sqrt(correction))
            power = (particles.noise_power * correction).astype(np.float32)
            particles = replace(particles, noise_power=power)
        if mask is None:
            support = solvent_mask(volume, particles.voxel_size, **(mask_options or {}))
    volume, halves, fsc = solve_map(
        *back_project(particles, grid, point_group), jnp.asarray(support), grid
    )
    half1, half2 = np.asarray(halves)
    return particles, MeanMap(np.asarray(volume), (half1, half2), np.asarray(fsc), support)


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


def _measure(
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
        np.add.at(residual, particles.group[rows], sums)
    counts = _pixel_counts(particles, grid)
    return amplitude, variance, steady_power(residual / np.maximum(counts, 1), counts)


def _pixel_counts(particles: Particles, grid: FourierGrid) -> Float[np.ndarray, "g s"]:
    """Pixels of each group in each shell."""
    members = np.bincount(particles.group, minlength=len(particles.noise_power))
    shells = np.bincount(np.asarray(grid.pixel_shells), minlength=grid.n_shells)
    return np.outer(members, shells).astype(np.float64)


def steady_power(
    power: Float[np.ndarray, "g s"], counts: Float[np.ndarray, "g s"]
) -> Float[np.ndarray, "g s"]:
    """Spectra drawn to the shape all groups share, the more the fewer pixels a shell holds.

    Args:
        power: mean power by group and shell.
        counts: pixels that went into it; where there are none the power stays as it is.
    """
    pixels = np.maximum(counts.sum(1, keepdims=True), 1)
    level = (counts * power).sum(1, keepdims=True) / pixels
    relative = counts * power / np.maximum(level, 1e-30)
    shape = relative.sum(0) / np.maximum(counts.sum(0), 1)
    drawn = (counts * power + COMMON_PIXELS * level * shape) / (counts + COMMON_PIXELS)
    return np.where(counts > 0, drawn, power)


def shrink_scale(
    amplitude: Float[np.ndarray, " n"], variance: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Per-particle scale of mean 1, pulled to 1 by how much of its spread is estimation noise.

    Args:
        amplitude: least-squares scale of each particle.
        variance: its sampling variance.

    Source: James & Stein (1961); the spread that is left once the noise is subtracted.
    """
    mean = np.average(amplitude, weights=1 / variance)
    relative, noise = amplitude / mean, variance / mean**2
    spread = max(np.average((relative - 1) ** 2 - noise, weights=1 / noise), 0.0)
    return np.clip(1 + (relative - 1) * spread / (spread + noise), 0.1, 4.0).astype(np.float32)


def _whiten(particles: Particles, factor: Float[np.ndarray, "g s"]) -> None:
    shells = np.asarray(particles.grid.pixel_shells)
    table = factor.astype(np.float32)[:, shells]
    for rows in chunks(particles.n, CHUNK):
        particles.images[rows] *= table[particles.group[rows]]


def _to_shells(power: Float[np.ndarray, "g s"], n_shells: int) -> Float[np.ndarray, "g t"]:
    """First shells of a power table; the last one repeated where the table is too short."""
    padded = np.pad(power, ((0, 0), (0, max(0, n_shells - power.shape[1]))), mode="edge")
    result = padded[:, :n_shells].astype(np.float32)
    result[:, 0] = result[:, 1]
    return result
