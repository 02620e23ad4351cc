"""Phantoms and simulated particle images, for the demo and the tests."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from emjax.imaging.ctf import CTF, evaluate_ctf
from emjax.imaging.distortions import odd_phases
from emjax.imaging.grids import (
    FourierGrid,
    gridding,
    make_grid,
    pixels_to_images,
    to_fourier,
)
from emjax.imaging.particles import chunks
from emjax.imaging.phases import phase_factors, shift_phases
from emjax.imaging.prepare import AlignedImages
from emjax.imaging.projector import make_slices, slice_volume


@dataclass(frozen=True)
class Simulation:
    """Simulated particles with the truth behind them."""

    images: Float[np.ndarray, "n d d"]
    rotations: Float[np.ndarray, "n 3 3"]
    shifts: Float[np.ndarray, "n 2"]  # Å, as RELION's origins
    ctf: CTF
    states: Int[np.ndarray, " n"]
    micrograph: Int[np.ndarray, " n"]
    pixel_size: float
    scale: Float[np.ndarray, " n"]  # contrast of each image
    noise_sd: float  # of the noise before it was made 1: images hold the volumes divided by it

    def aligned(self) -> AlignedImages:
        """The images as a particle file would give them."""
        return AlignedImages(
            lambda rows: self.images[rows],
            self.rotations,
            self.shifts,
            self.ctf,
            self.images.shape[-1],
            self.pixel_size,
        )


def phantom(n_states: int = 4, box_size: int = 48, seed: int = 0) -> Float[np.ndarray, "k d d d"]:
    """Volumes of one body with one domain missing in each state but the first.

    Args:
        n_states: volumes to make.
        box_size: voxels.
        seed: of the body's shape.
    """
    rng = np.random.default_rng(seed)
    radius = box_size / 2

    def cluster(centre: np.ndarray, spread: float, number: int) -> np.ndarray:
        points = np.round(centre + rng.normal(0, spread, (number, 3)) + radius).astype(int)
        density = np.zeros((box_size,) * 3)
        np.add.at(density, tuple(np.clip(points, 0, box_size - 1).T[::-1]), 1.0)
        return density

    core = cluster(np.zeros(3), 0.22 * radius, 120)
    directions = rng.normal(size=(max(n_states - 1, 1), 3))
    if n_states > 2:
        # Spread over the sphere, so that the domains do not overlap.
        directions = np.linalg.qr(rng.normal(size=(3, 3)))[0][np.arange(n_states - 1) % 3]
        directions = directions * np.where(np.arange(n_states - 1) < 3, 1, -1)[:, None]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    domains = [cluster(0.55 * radius * u, 0.1 * radius, 16) for u in directions]
    full = core + np.sum(domains, 0)
    volumes = [full] + [full - domains[k] for k in range(n_states - 1)]
    # Blobs of 0.05 box radii, about 7 Å at 6 Å pixels, look like protein at 15–20 Å.
    return np.stack([gaussian_filter(v, 0.05 * radius) for v in volumes]).astype(np.float32)


def project(
    volumes: Float[np.ndarray, "k d d d"],
    states: Int[np.ndarray, " n"],
    rotations: Float[np.ndarray, "n 3 3"],
    shifts: Float[np.ndarray, "n 2"],
    ctf: CTF,
    pixel_size: float,
    odd: Float[np.ndarray, " 6"] | None = None,
    magnification: Float[np.ndarray, "2 2"] | None = None,
) -> Float[np.ndarray, "n d d"]:
    """Noise-free images: projections with CTF, the particle at minus its origin.

    Args:
        volumes: states.
        states: of the particles.
        rotations: poses.
        shifts: origins in Å.
        ctf: of the particles.
        pixel_size: Å.
        odd: aberrations of all, coefficients of `odd_phases`.
        magnification: M of all; frequency k of an image is M·k of the projection.
    """
    box_size = volumes.shape[-1]
    # Twice the box keeps trilinear interpolation exact to the edges.
    wide = np.pad(volumes, ((0, 0), *[(box_size - box_size // 2, box_size // 2)] * 3))
    grid = make_grid(2 * box_size, box_size // 2 - 1, 2)
    values = eqx.filter_jit(to_fourier)(jnp.asarray(wide / gridding(2 * box_size)), grid)
    extent = jnp.float32(box_size * pixel_size)
    images = np.zeros((len(states), box_size, box_size), np.float32)
    optics = (
        jnp.asarray(np.zeros(6) if odd is None else odd, jnp.float32),
        jnp.asarray(np.eye(2) if magnification is None else magnification, jnp.float32),
    )
    for k in range(len(volumes)):
        members = np.flatnonzero(states == k)
        for part in chunks(len(members), 256):
            # Always 256 rows, so that one compiled program serves all.
            rows = np.resize(members[part], 256)
            own = jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), ctf.take(rows))
            poses = (
                jnp.asarray(rotations[rows], jnp.float32),
                jnp.asarray(shifts[rows], jnp.float32),
            )
            images[rows] = np.asarray(_images_of(values[k], *poses, own, optics, grid, extent))
    return images


@eqx.filter_jit
def _images_of(
    values: Complex[Array, " v"],
    rotations: Float[Array, "m 3 3"],
    shifts: Float[Array, "m 2"],
    ctf: CTF,
    optics: tuple[Float[Array, " 6"], Float[Array, "2 2"]],
    grid: FourierGrid,
    extent: Float[Array, ""],
) -> Float[Array, "m d d"]:
    odd, magnification = optics
    # A slice reads Aᵀ(kx, ky, 0), so A's first rows take M.
    turned = jnp.concatenate([magnification.T @ rotations[:, :2], rotations[:, 2:]], 1)
    x, y = magnification @ jnp.stack([grid.kx, grid.ky]) / extent
    pixels = slice_volume(values, make_slices(turned, grid)) * evaluate_ctf(ctf, x, y)
    pixels = pixels * phase_factors(odd @ odd_phases(x, y))
    pixels = pixels * shift_phases(-shifts, grid, extent)
    return pixels_to_images(pixels, grid.kx, grid.ky, grid.box_size // grid.padding)


def coloured_noise(
    n: int, box_size: int, rng: np.random.Generator, slope: float = 1.0
) -> Float[np.ndarray, "n d d"]:
    """Unit-variance noise whose power falls with frequency by 1 + slope·(1 − k/Nyquist)²·4."""
    frequency = np.hypot(np.fft.fftfreq(box_size)[:, None], np.fft.rfftfreq(box_size))
    power = 1 + 4 * slope * np.clip(1 - frequency / 0.5, 0, 1) ** 2
    white = rng.standard_normal((n, box_size, box_size), dtype=np.float32)
    spectrum = np.fft.rfft2(white) * np.sqrt(power / power.mean())
    noise = np.fft.irfft2(spectrum, (box_size, box_size)).astype(np.float32)
    return noise / noise.std()


def simulate(
    volumes: Float[np.ndarray, "k d d d"],
    n: int,
    *,
    seed: int,
    pixel_size: float = 6.0,
    snr: float = 0.5,
    fractions: Float[np.ndarray, " k"] | None = None,
    shift_sd: float = 1.5,
    scale_sd: float = 0.0,
    particles_per_micrograph: int = 50,
) -> Simulation:
    """Particles at uniform orientations with CTF, shifts and coloured noise.

    Args:
        volumes: states.
        n: particles.
        seed: of everything drawn.
        pixel_size: Å.
        snr: variance of the noise-free images inside the particle's disc over that of the noise.
        fractions: of the states; equal where None.
        shift_sd: standard deviation of each origin, in pixels.
        scale_sd: standard deviation of the images' contrast around 1.
        particles_per_micrograph: share a defocus.
    """
    rng = np.random.default_rng(seed)
    k, box_size = len(volumes), volumes.shape[-1]
    weights = np.full(k, 1 / k) if fractions is None else np.asarray(fractions) / np.sum(fractions)
    states = rng.choice(k, n, p=weights)
    # SciPy renamed the argument to rng in 1.15.
    rotations = Rotation.random(n, random_state=rng).as_matrix()  # type: ignore[call-arg]
    shifts = rng.normal(0, shift_sd * pixel_size, (n, 2))
    micrograph = np.arange(n) // particles_per_micrograph
    mean = rng.uniform(8_000, 25_000, micrograph.max() + 1)[micrograph] + rng.normal(0, 100, n)
    astigmatism = rng.uniform(0, 400, micrograph.max() + 1)[micrograph]
    one = np.ones(n)
    ctf = CTF(
        defocus_u=mean + astigmatism / 2,
        defocus_v=mean - astigmatism / 2,
        defocus_angle=rng.uniform(0, np.pi, micrograph.max() + 1)[micrograph],
        phase_shift=0 * one,
        voltage=300 * one,
        spherical_aberration=2.7 * one,
        amplitude_contrast=0.1 * one,
    )
    images = project(volumes, states, rotations, shifts, ctf, pixel_size)
    scale = rng.normal(1, scale_sd, n).clip(0.1) if scale_sd else one
    images *= scale[:, None, None].astype(np.float32)
    axis = np.arange(box_size) - box_size // 2
    disc = np.hypot(axis[:, None], axis) < 0.4 * box_size
    noise_sd = np.sqrt(images[:, disc].var() / snr)
    for rows in chunks(n, 1000):
        images[rows] += noise_sd * coloured_noise(len(rows), box_size, rng)
    images /= noise_sd
    return Simulation(
        images, rotations, shifts, ctf, states, micrograph, pixel_size, scale, float(noise_sd)
    )
