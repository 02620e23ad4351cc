"""Preparation of aligned images: cropped and whitened, with their noise, scale and mean map."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.errors import OptionError
from emjax.imaging.bad_images import BadImages, check_number
from emjax.imaging.crop import Undo, crop_images, grid_for
from emjax.imaging.ctf import CTF
from emjax.imaging.grids import FourierGrid
from emjax.imaging.maps import back_project, solve_map
from emjax.imaging.masks import resample_mask, solvent_mask, sphere
from emjax.imaging.noise import shrink_scale, steady_power
from emjax.imaging.particles import (
    CHUNK,
    Particles,
    chunks,
    cropped_particles,
    split_halves,
)
from emjax.imaging.phases import shift_phases
from emjax.imaging.residuals import count_pixels, measure_residuals
from emjax.imaging.symmetry import parse_point_group


@dataclass(frozen=True)
class AlignedImages:
    """n images with poses and CTFs, as a particle file gives them."""

    read: Callable[[Int[np.ndarray, " m"]], Float[np.ndarray, "m d d"]]  # images of given rows
    rotations: Float[np.ndarray, "n 3 3"]
    shifts: Float[np.ndarray, "n 2"]  # origins in Å
    ctf: CTF
    box_size: int
    pixel_size: float  # Å
    group: Int[np.ndarray, " n"] | None = None  # of common noise, 0-based; None, one group
    half: Int[np.ndarray, " n"] | None = None  # 1 or 2, 0 where unknown; None, all unknown
    identity: np.ndarray | None = None  # key of the image; None, each particle has its own
    overlap: np.ndarray | None = None  # key of what stays in one half-set; None, the image
    scale: Float[np.ndarray, " n"] | None = None  # for `scale: input`
    name: Callable[[int], str] = lambda row: f"image of particle {row + 1}"  # for messages
    undo: Undo = lambda rows, images: images  # what no CTF describes, as `Distortions` does

    @property
    def n(self) -> int:
        """Number of particles."""
        return len(self.rotations)

    def undistorted(self, rows: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d d"]:
        """Images of given rows, as a CTF describes them."""
        return self.undo(rows, self.read(rows))


@dataclass(frozen=True)
class PrepareOptions:
    """Options of the preparation; lengths in Å.

    Raises:
        OptionError: where the point group or the kind of scale is unknown.
    """

    filter_resolution: float
    scale: str = "optimal"  # fitted to the mean map · input, kept as it is · none, 1
    static_noise: bool = False  # the power of the images, not what the mean map leaves of it
    symmetry: str = "C1"  # in RELION's axes
    threshold: float = 0.2  # of the automatic solvent mask, as are near and far
    near: float = 10.0
    far: float = 20.0
    split_seed: int = 0  # of half-sets that are not given
    rounds: int = 2  # of mean map and noise
    bad_images: str = "drop"  # or error: what becomes of images that would spoil the rest

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        parse_point_group(self.symmetry)
        if self.scale not in ("optimal", "input", "none"):
            raise OptionError("scale", repr(self.scale), "one of optimal, input, none")
        if self.bad_images not in ("drop", "error"):
            raise OptionError("bad_images", repr(self.bad_images), "drop or error")


@dataclass(frozen=True)
class MeanMap:
    """Mean of all particles on the cropped box."""

    volume: Float[np.ndarray, "d d d"]
    half_maps: tuple[Float[np.ndarray, "d d d"], Float[np.ndarray, "d d d"]]
    fsc: Float[np.ndarray, " s"]
    solvent_mask: Float[np.ndarray, "d d d"]


@dataclass(frozen=True)
class Prepared:
    """What every classification starts from."""

    particles: Particles
    mean: MeanMap
    shifts: Float[np.ndarray, "n 2"]  # origins in Å, by which the images are centred
    image_power: Float[np.ndarray, "g s"]  # of the images by group and shell, up to Nyquist
    bad_images: BadImages  # left out: of weight 0, their pixels zero
    identity: Int[np.ndarray, " n"]  # of the image: copies of one have the same
    overlap: Int[np.ndarray, " n"]  # the same for images with noise in common
    mask_given: bool = False  # whether the solvent mask stays as it is

    @property
    def noise_power(self) -> Float[np.ndarray, "g s"]:
        """By group and shell up to Nyquist; beyond the filter resolution the images' own power."""
        noise, power = self.particles.noise_power, self.image_power.copy()
        power[:, : noise.shape[1]] = noise[:, : power.shape[1]]
        return power


def prepare(
    images: AlignedImages,
    options: PrepareOptions,
    mask: Float[np.ndarray, "e e e"] | None = None,
    out: Complex[np.ndarray, "n p"] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Crop and whiten images at the filter resolution; estimate noise, scale and mean map.

    Args:
        images: aligned images; read once.
        options: of the preparation.
        mask: solvent mask on any box of the same extent; made from the mean map where None.
        out: array for the prepared images, of the pixels of `grid_for`; in memory where None.
        progress: called with particles read and in all.

    Raises:
        OptionError: where an option does not fit the images.
        InputError: where too many images are bad (any, with `bad_images: error`), or a half-set
            is empty.
    """
    n, box_size, pixel_size = images.n, images.box_size, images.pixel_size
    grid = grid_for(box_size, pixel_size, options.filter_resolution)
    group = np.zeros(n, np.int32) if images.group is None else images.group
    known = np.arange(n) if images.identity is None else images.identity
    identity = np.unique(known, return_inverse=True)[1]
    overlap = identity if images.overlap is None else images.overlap
    overlap = np.unique(overlap, return_inverse=True)[1]
    given = np.zeros(n, np.int8) if images.half is None else images.half
    half = split_halves(given, overlap, options.split_seed)
    out = np.empty((n, len(grid.kx)), np.complex64) if out is None else out
    where = images.shifts, group, pixel_size, grid
    power, bad = crop_images(images.read, *where, out, progress, images.undo)
    check_number(bad, n, images.name, options.bad_images)
    weight = np.ones(n, np.float32)
    weight[bad.rows] = 0
    cropped = cropped_particles(
        out,
        images.rotations,
        images.ctf,
        half,
        group,
        box_size,
        pixel_size,
        grid.radius,
        images.scale,
        weight=weight,
    )
    support = None if mask is None else resample_mask(mask, grid.box_size)
    particles, mean = estimate(cropped, power, options, support)
    particles = replace(particles, scale=np.where(weight > 0, particles.scale, np.float32(1)))
    keys = identity, overlap
    return Prepared(particles, mean, images.shifts, power, bad, *keys, support is not None)


def estimate(
    particles: Particles,
    power: Float[np.ndarray, "g s"],
    options: PrepareOptions,
    mask: Float[np.ndarray, "d d d"] | None = None,
) -> tuple[Particles, MeanMap]:
    """Noise spectrum, per-particle scale and mean map of cropped but not yet whitened images.

    The first guess of the noise is the power of the images; each round makes the mean map and takes
    the noise from what it leaves unexplained (maximum likelihood). The noise is settled here, not
    while classes are sought, because it stands in every weight of the classification's operators.
    Particles count by their `weight`: those of weight 0 change nothing but their own scale.

    Args:
        particles: with `images` as `crop_images` leaves them; whitened in place.
        power: mean power of the images by group and shell.
        options: of the preparation.
        mask: solvent mask on the cropped box; made from the mean map where None.
    """
    grid = particles.grid
    noise = to_shells(power, grid.n_shells)
    particles = replace(particles, noise_power=noise)
    noise = np.maximum(steady_power(noise, count_pixels(particles, grid)), 1e-30)
    noise = noise.astype(np.float32)
    ones = np.ones(particles.n, np.float32)
    particles = replace(
        particles, noise_power=noise, scale=particles.scale if options.scale == "input" else ones
    )
    support = sphere(particles.box_size) if mask is None else mask
    whiten(particles, np.sqrt(2 / noise))
    for _ in range(options.rounds):
        particles, support = _improve(particles, options, support, mask)
    return particles, _mean(particles, options, support)


def reweigh(
    prepared: Prepared, weight: Float[np.ndarray, " n"], options: PrepareOptions
) -> Prepared:
    """Noise, scale and mean map once more, with other weights of the particles.

    Args:
        prepared: what `prepare` found; its images are whitened anew in place.
        weight: of each particle, 0 … 1.
        options: as `prepare` had them.
    """
    particles = replace(prepared.particles, weight=np.asarray(weight, np.float32))
    support = prepared.mean.solvent_mask
    given = support if prepared.mask_given else None
    particles, support = _improve(particles, options, support, given)
    return replace(prepared, particles=particles, mean=_mean(particles, options, support))


def move_poses(
    prepared: Prepared,
    rotations: Float[np.ndarray, "m 3 3"],
    moves: Float[np.ndarray, "m 2"],
    rows: Int[np.ndarray, " m"],
) -> Prepared:
    """Some particles at other poses; their images are centred anew in place.

    Args:
        prepared: particles.
        rotations: new ones of these particles.
        moves: Å, added to their origins.
        rows: of these particles.
    """
    particles, shifts = prepared.particles, prepared.shifts.copy()
    turned = particles.rotations.copy()
    turned[rows] = rotations
    shifts[rows] += moves
    for part in chunks(len(rows), CHUNK):
        phases = shift_phases(jnp.asarray(moves[part]), particles.grid, particles.extent)
        particles.images[rows[part]] *= np.asarray(phases)
    return replace(prepared, particles=replace(particles, rotations=turned), shifts=shifts)


def _improve(
    particles: Particles,
    options: PrepareOptions,
    support: Float[np.ndarray, "d d d"],
    mask: Float[np.ndarray, "d d d"] | None,
) -> tuple[Particles, Float[np.ndarray, "d d d"]]:
    """One round of scale and noise, and the solvent mask of the mean map they were found with."""
    grid = particles.grid
    volume, half_maps, _ = map(np.asarray, _mean_map(particles, grid, options, support))
    amplitude, variance, residual = measure_residuals(particles, volume * support, grid)
    if options.scale == "optimal":
        scale = particles.scale
        relative = shrink_scale(amplitude * scale, variance * scale**2, particles.weight)
        particles = replace(particles, scale=relative)
    if not options.static_noise:
        # Whitened residuals have power 2 where the noise was right.
        correction = np.where(residual > 0, residual / 2, 1)
        whiten(particles, 1 / np.sqrt(correction))
        power = (particles.noise_power * correction).astype(np.float32)
        particles = replace(particles, noise_power=power)
    if mask is None:
        lengths = options.threshold, options.near, options.far
        support = solvent_mask(volume, particles.voxel_size, *lengths, half_maps)
    return particles, support


def _mean(
    particles: Particles, options: PrepareOptions, support: Float[np.ndarray, "d d d"]
) -> MeanMap:
    volume, halves, fsc = _mean_map(particles, particles.grid, options, support)
    half1, half2 = np.asarray(halves)
    return MeanMap(np.asarray(volume), (half1, half2), np.asarray(fsc), support)


def _mean_map(
    particles: Particles, grid: FourierGrid, options: PrepareOptions, support: np.ndarray
) -> tuple[Float[Array, "d d d"], Float[Array, "2 d d d"], Float[Array, " s"]]:
    """Map and half-maps of all particles, unmasked, with the FSC inside the mask."""
    sums = back_project(particles, grid, options.symmetry)
    return solve_map(*sums, jnp.asarray(support), grid)


def whiten(particles: Particles, factor: Float[np.ndarray, "g s"]) -> None:
    """Multiply the images by a factor of their group and shell, in place."""
    shells = np.asarray(particles.grid.pixel_shells)
    table = factor.astype(np.float32)[:, shells]
    for rows in chunks(particles.n, CHUNK):
        particles.images[rows] *= table[particles.group[rows]]


def to_shells(power: Float[np.ndarray, "g s"], n_shells: int) -> Float[np.ndarray, "g t"]:
    """First shells of a power table; the last one repeated where the table is too short."""
    padded = np.pad(power, ((0, 0), (0, max(0, n_shells - power.shape[1]))), mode="edge")
    result = padded[:, :n_shells].astype(np.float32)
    result[:, 0] = result[:, 1]
    return result
