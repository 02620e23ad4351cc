"""From a stack to whitened, centred, Fourier-cropped images, a mean map and a noise spectrum.

One pass reads the stack; what follows works on the cropped images, which the caller provides room
for (an array in memory, or a memory-mapped file).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.imaging.ctf import CTF
from emjax.imaging.fsc import fourier_shell_correlation, wiener_precision
from emjax.imaging.grids import (
    FourierGrid,
    add_friedel_mates,
    cropped_box_size,
    gridding,
    half_plane,
    half_spectra,
    make_grid,
    shell_means,
    spectra_to_pixels,
    to_fourier,
    to_real,
)
from emjax.imaging.masks import solvent_mask, sphere
from emjax.imaging.particles import Particles, chunks, weights_of
from emjax.imaging.phases import shift_phases
from emjax.imaging.projector import (
    empty_table,
    insert_images,
    make_slices,
    slice_volume,
    table_rows,
)
from emjax.imaging.symmetry import symmetrise_sums

CHUNK = 512  # prepared images at a time
READ_PIXELS = 2_000_000  # of images from the stack at a time, so few that they stay in the cache
# Pixels' worth of trust in the shape that the noise of all groups shares.
COMMON_PIXELS = 50


@dataclass(frozen=True)
class MeanMap:
    """Mean of all particles on the cropped box."""

    volume: Float[np.ndarray, "d d d"]
    half_maps: tuple[Float[np.ndarray, "d d d"], Float[np.ndarray, "d d d"]]
    fsc: Float[np.ndarray, " s"]
    solvent_mask: Float[np.ndarray, "d d d"]


def filter_radius(box_size: int, pixel_size: float, filter_resolution: float) -> int:
    """Fourier pixels up to a resolution in Å.

    Raises:
        ValueError: where the resolution lies beyond Nyquist or leaves under 4 shells.
    """
    radius = int(np.floor(box_size * pixel_size / filter_resolution + 1e-6))
    if radius > box_size // 2 - 1:
        finest = box_size * pixel_size / (box_size // 2 - 1)
        raise ValueError(
            f"filter_resolution: found {filter_resolution} Å, beyond Nyquist of {pixel_size:g} Å"
            f" pixels; expected at least {finest:.2f} Å"
        )
    if radius < 4:
        raise ValueError(
            f"filter_resolution: found {filter_resolution} Å, which leaves {radius} shells of a box"
            f" of {box_size * pixel_size:g} Å; expected at most {box_size * pixel_size / 4:.1f} Å"
        )
    return radius


@jax.jit
def _centre(
    pixels: Complex[Array, "m p"],
    shifts: Float[Array, "m 2"],
    grid: FourierGrid,
    extent: Float[Array, ""],
) -> Complex[Array, "m p"]:
    return pixels * shift_phases(shifts, grid, extent)


def _add_power(
    power: Float[np.ndarray, "g s"],
    spectra: Complex[np.ndarray, "m d h"],
    group: Int[np.ndarray, " m"],
) -> None:
    """Add the images' mean power in the shells below Nyquist to that of their groups."""
    order, starts, counts = _by_shell(spectra.shape[1])
    parts = spectra.view(np.real(spectra).dtype).reshape(len(spectra), -1)
    for g in np.unique(group):
        own = parts[group == g] if group.min() < group.max() else parts
        total = np.einsum("mk,mk->k", own, own)  # real and imaginary parts in turns
        total = total[::2] + total[1::2]
        power[g, 1:] += np.add.reduceat(total[order], starts) / counts


@cache
def _by_shell(box_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of a half spectrum by shell, from 1 to d/2 − 1; where each shell begins; its size."""
    kx, ky = half_plane(box_size // 2 - 1)
    shells = np.round(np.hypot(kx, ky)).astype(int)
    order = np.argsort(shells, kind="stable")
    counts = np.bincount(shells)[1:]
    places = (ky % box_size * (box_size // 2 + 1) + kx)[order]
    return places, np.cumsum(counts) - counts, counts


def crop_images(
    read: Callable[[Int[np.ndarray, " m"]], Float[np.ndarray, "m n n"]],
    shifts: Float[np.ndarray, "n 2"],
    group: Int[np.ndarray, " n"],
    pixel_size: float,
    grid: FourierGrid,
    out: Complex[np.ndarray, "n p"],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Float[np.ndarray, "g s"]:
    """Fill `out` with the centred Fourier pixels of all images, in one pass.

    Args:
        read: returns the real images of given rows.
        shifts: origins in Å.
        group: row of the power table of each particle, 0-based.
        pixel_size: Å, of the uncropped images.
        grid: pixels to keep.
        out: array to fill.
        progress: called with particles done and in all.

    Returns:
        Mean power of the images of each group in each shell up to Nyquist.

    Raises:
        ValueError: where an image holds NaN or infinity, or nothing but one value.
    """
    n = len(shifts)
    box_size = read(np.arange(1)).shape[-1]
    size = min(n, max(8, READ_PIXELS // box_size**2))
    power = np.zeros((int(group.max()) + 1, box_size // 2))
    for rows, images in read_ahead(read, list(chunks(n, size))):
        low, high = images.min((1, 2)), images.max((1, 2))
        finite = np.isfinite(low) & np.isfinite(high)
        bad = np.flatnonzero(~finite | (low == high))
        if bad.size:
            raise ValueError(
                f"image of particle {rows[bad[0]] + 1}: found"
                f" {'only one value' if finite[bad[0]] else 'NaN or infinity'},"
                " expected finite, varying pixels"
            )
        spectra = half_spectra(images)
        _add_power(power, spectra, group[rows])
        pixels = spectra_to_pixels(spectra, grid.kx, grid.ky)
        # The last chunk is filled up, so that one compiled program serves all.
        pixels = _centre(
            pixels if len(rows) == size else np.resize(pixels, (size, pixels.shape[1])),
            shifts[np.resize(rows, size)].astype(np.float32),
            grid,
            np.float32(box_size * pixel_size),
        )
        out[rows] = np.asarray(pixels)[: len(rows)]
        progress(int(rows[-1]) + 1, n)
    return power / np.maximum(np.bincount(group, minlength=len(power)), 1)[:, None]


def read_ahead(
    read: Callable[[Int[np.ndarray, " m"]], Float[np.ndarray, "m n n"]],
    parts: Sequence[np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and images of each part; a thread reads the next while the caller works on this one."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, parts[0])
        for rows, following in zip_longest(parts, parts[1:]):
            images = coming.result()
            if following is not None:
                coming = reader.submit(read, following)
            yield rows, images


def back_project(
    particles: Particles, grid: FourierGrid, point_group: str = "C1"
) -> tuple[Complex[Array, "2 v"], Float[Array, "2 v"]]:
    """Numerator Σ w·Pᵀ F and denominator Σ w² PᵀP of each half-set (diagonal), mates added."""
    sums = []
    for h in (1, 2):
        members = np.flatnonzero(particles.half == h)
        table = empty_table(grid)
        size = min(CHUNK, len(members))
        for rows in chunks(len(members), size):
            # The last chunk is filled up with particles of zero weight.
            part = particles.take(members[np.resize(rows, size)])
            real = jnp.asarray(np.arange(size) < len(rows))[:, None]
            weights = weights_of(part, grid) * real
            rotations = jnp.asarray(part.rotations, jnp.float32)
            # Not before the last chunk is in: JAX would make room for all at once.
            table = insert_images(
                table.block_until_ready(), jnp.asarray(part.images), weights, rotations, grid
            )
        sums.append(table_rows(table, grid))
    numerator, denominator = (jnp.stack(half) for half in zip(*sums, strict=True))
    return symmetrise_sums(
        add_friedel_mates(numerator, grid), add_friedel_mates(denominator, grid), grid, point_group
    )


@eqx.filter_jit
def solve_map(
    numerator: Complex[Array, "2 v"],
    denominator: Float[Array, "2 v"],
    mask: Float[Array, "d d d"],
    grid: FourierGrid,
    fsc_filter: bool = True,
) -> tuple[Float[Array, "d d d"], Float[Array, "2 d d d"], Float[Array, " s"]]:
    """Map and half-maps (real space, unmasked) with the FSC of the masked half-maps.

    Each half is num/(den + floor); the joint map is (num₁+num₂)/(den₁+den₂+1/τ²), τ² from the FSC.
    """
    window = jnp.asarray(gridding(grid.box_size))
    level = shell_means(jnp.sum(denominator, 0), grid)
    floor = 1e-3 * level[grid.voxel_shells] + 1e-20
    halves = to_real(numerator / (denominator + floor), grid) / window
    masked = to_fourier(halves * mask, grid)
    fsc = fourier_shell_correlation(masked[0], masked[1], grid)
    prior = wiener_precision(fsc, level) if fsc_filter else 1e-3 * level
    joint = jnp.sum(numerator, 0) / (jnp.sum(denominator, 0) + prior[grid.voxel_shells] + 1e-20)
    return to_real(joint, grid) / window, halves, fsc


@jax.jit
def slicing_values(volumes: Float[Array, "*k d d d"], grid: FourierGrid) -> Complex[Array, "*k v"]:
    """Coefficients to slice by trilinear interpolation: its real-space window divided out."""
    return to_fourier(volumes / jnp.asarray(gridding(grid.box_size)), grid)


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


def cropped_particles(
    images: Complex[np.ndarray, "n p"],
    rotations: Float[np.ndarray, "n 3 3"],
    ctf: CTF,
    half: Int[np.ndarray, " n"],
    group: Int[np.ndarray, " n"],
    box_size: int,
    pixel_size: float,
    radius: int,
    scale: Float[np.ndarray, " n"] | None = None,
    noise_power: Float[np.ndarray, "g s"] | None = None,
) -> Particles:
    """Particles around an array of cropped images; box and pixel size are those of the stack."""
    size = cropped_box_size(radius)
    n = len(rotations)
    return Particles(
        images=images,
        rotations=np.asarray(rotations, np.float32),
        ctf=CTF(**{k: np.asarray(v, np.float32) for k, v in vars(ctf).items()}),
        scale=np.ones(n, np.float32) if scale is None else np.asarray(scale, np.float32),
        group=np.asarray(group, np.int32),
        half=np.asarray(half, np.int8),
        noise_power=np.ones((int(group.max()) + 1, radius + 3), np.float32)
        if noise_power is None
        else np.asarray(noise_power, np.float32),
        box_size=size,
        voxel_size=box_size * pixel_size / size,
        radius=radius,
        stack_box_size=box_size,
    )


def split_halves(
    half: Int[np.ndarray, " n"], identity: np.ndarray, seed: int
) -> Int[np.ndarray, " n"]:
    """Half-set 1 or 2 of each particle; those given are kept.

    Copies of one image (symmetry expansion) come into one half.

    Args:
        half: 1 or 2, 0 where unknown.
        identity: key of the image of each particle.
        seed: of the random split.

    Raises:
        ValueError: where a half-set stays empty.
    """
    unique, of_image = np.unique(identity, return_inverse=True)
    draw = np.random.default_rng(seed).permutation(len(unique)) % 2 + 1
    # Where a copy has a half, its siblings follow.
    known = np.zeros(len(unique), np.int8)
    np.maximum.at(known, of_image, half)
    result = np.where(known > 0, known, draw)[of_image].astype(np.int8)
    for h in (1, 2):
        if not np.any(result == h):
            raise ValueError(f"half-set {h}: found no particle, expected at least one image")
    return result


def grid_for(box_size: int, pixel_size: float, filter_resolution: float) -> FourierGrid:
    """Grid of the cropped box at a filter resolution."""
    radius = filter_radius(box_size, pixel_size, filter_resolution)
    return make_grid(cropped_box_size(radius), radius)
