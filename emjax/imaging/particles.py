"""Aligned particles as the numerics see them: poses, CTFs, noise, and cropped images."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Float16, Int

from emjax.errors import InputError
from emjax.imaging.ctf import CTF, evaluate_ctf
from emjax.imaging.grids import FourierGrid, cropped_box_size, half_plane, make_grid

CHUNK = 512  # prepared images at a time


@dataclass(frozen=True)
class Particles:
    """n aligned particles, cropped in Fourier space at the filter resolution.

    `images` hold the independent Fourier pixels of the centred images times √(2/S), S the noise
    power: a residual has unit variance in its real and in its imaginary part, and the
    log-likelihood of a particle is −½ Σ|F − s·C·P·V·√(2/S)|². They may be memory-mapped, of more
    particles and pixels than these, and on disk in half precision; `take` reads them.
    """

    images: Complex[np.ndarray, "m p"] | Float16[np.ndarray, "m p 2"]
    rotations: Float[np.ndarray, "n 3 3"]
    ctf: CTF  # NumPy arrays of n
    scale: Float[np.ndarray, " n"]
    group: Int[np.ndarray, " n"]  # row of noise_power, 0-based
    half: Int[np.ndarray, " n"]  # 1 or 2
    weight: Float[np.ndarray, " n"]  # 0 … 1, of what feeds maps, noise and scales
    noise_power: Float[np.ndarray, "g s"]
    box_size: int  # of the cropped volumes
    voxel_size: float  # Å, of the cropped volumes
    radius: int  # the highest frequency kept, in Fourier pixels
    stack_box_size: int  # of the images in the stack
    rows: Int[np.ndarray, " n"] | None = None  # of the images, for each particle; None, all
    pixels: Int[np.ndarray, " q"] | None = None  # of the images' that `take` gives; None, all

    @property
    def n(self) -> int:
        """Number of particles."""
        return len(self.scale)

    @property
    def extent(self) -> float:
        """Length of the box in Å; one Fourier pixel is 1 / extent."""
        return self.box_size * self.voxel_size

    @property
    def grid(self) -> FourierGrid:
        """Pixels and voxels of the cropped box."""
        return make_grid(self.box_size, self.radius)

    def subset(self, rows: Int[np.ndarray, " m"]) -> "Particles":
        """Some of the particles, in the order given; no image is read."""
        return replace(
            self,
            rows=self.image_rows(rows),
            rotations=self.rotations[rows],
            ctf=self.ctf.take(rows),
            scale=self.scale[rows],
            group=self.group[rows],
            half=self.half[rows],
            weight=self.weight[rows],
        )

    def take(self, rows: Int[np.ndarray, " m"]) -> "Particles":
        """Some of the particles, in the order given, with their images in single precision."""
        images = self.images[self.image_rows(rows)]
        if self.pixels is not None:
            images = images[:, self.pixels]
        if images.dtype == np.float16:
            images = images.astype(np.float32).view(np.complex64)[..., 0]
        return replace(self.subset(rows), images=images, rows=None, pixels=None)

    def image_rows(self, rows: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        """Where the images of some of the particles lie."""
        return rows if self.rows is None else self.rows[rows]


def coarsen(particles: Particles, radius: int) -> Particles:
    """The same particles with frequencies up to a lower radius (Fourier pixels) only."""
    kx, ky = half_plane(particles.radius)
    kept = np.flatnonzero(kx**2 + ky**2 <= radius**2)
    box_size = cropped_box_size(radius)
    return replace(
        particles,
        pixels=kept if particles.pixels is None else particles.pixels[kept],
        noise_power=particles.noise_power[:, : radius + 3],
        box_size=box_size,
        voxel_size=particles.extent / box_size,
        radius=radius,
    )


def fetch_pages(particles: Particles, rows: Int[np.ndarray, " m"]) -> None:
    """Have images on disk read in the background, all at once: one after another takes longer."""
    images, rows = particles.images, particles.image_rows(rows)
    if not (isinstance(images, np.memmap) and hasattr(mmap, "MADV_WILLNEED")):
        return
    file, page = images.base, mmap.ALLOCATIONGRANULARITY
    if isinstance(file, mmap.mmap):
        for start in (images.offset % page + rows * images.strides[0]).tolist():
            whole = start - start % page
            file.madvise(mmap.MADV_WILLNEED, whole, start + images.strides[0] - whole)


def chunks(n: int, size: int) -> Iterator[Int[np.ndarray, " m"]]:
    """Consecutive rows 0 … n−1 in pieces of at most `size`."""
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


@jax.jit
def contrast(ctf: CTF, grid: FourierGrid, extent: float | Float[Array, ""]) -> Float[Array, "n p"]:
    """CTF of each particle at the grid's pixels."""
    return evaluate_ctf(ctf, grid.kx / extent, grid.ky / extent)


@jax.jit
def pixel_weights(
    ctf: CTF,
    scale: Float[Array, " n"],
    group: Int[Array, " n"],
    noise_power: Float[Array, "g s"],
    grid: FourierGrid,
    extent: float | Float[Array, ""],
) -> Float[Array, "n p"]:
    """s·C·√(2/S): what a slice of a volume is multiplied with to be compared with `images`."""
    whiten = jnp.sqrt(2 / noise_power)[:, grid.pixel_shells]
    return contrast(ctf, grid, extent) * scale[:, None] * whiten[group]


def weights_of(particles: Particles, grid: FourierGrid) -> Float[Array, "n p"]:
    """`pixel_weights` of particles, for volumes in the units of the uncropped box.

    A cropped volume has (d/n)³ of the voxels, so its unnormalised transform is smaller by that.
    """
    density = (particles.stack_box_size / particles.box_size) ** 3
    return pixel_weights(
        particles.ctf,
        particles.scale * density,
        particles.group,
        particles.noise_power,
        grid,
        np.float32(particles.extent),
    )


def cropped_particles(
    images: Complex[np.ndarray, "n p"] | Float16[np.ndarray, "n p 2"],
    rotations: Float[np.ndarray, "n 3 3"],
    ctf: CTF,
    half: Int[np.ndarray, " n"],
    group: Int[np.ndarray, " n"],
    box_size: int,
    pixel_size: float,
    radius: int,
    scale: Float[np.ndarray, " n"] | None = None,
    noise_power: Float[np.ndarray, "g s"] | None = None,
    weight: Float[np.ndarray, " n"] | None = None,
) -> Particles:
    """Particles around an array of cropped images.

    Args:
        images: Fourier pixels as of `crop_images`, or whitened ones as `estimate` leaves them.
        rotations: poses.
        ctf: of each particle, arrays of n.
        half: 1 or 2.
        group: row of the noise table, 0-based.
        box_size: pixels of the stack's images.
        pixel_size: Å, of the same.
        radius: the highest frequency kept, in Fourier pixels.
        scale: of each particle; 1 where None.
        noise_power: by group and shell; 1 where None.
        weight: of each particle in maps, noise and scales, 0 … 1; 1 where None.
    """
    size = cropped_box_size(radius)
    n = len(rotations)
    return Particles(
        images=images,
        rotations=np.asarray(rotations, np.float32),
        ctf=jax.tree.map(lambda values: np.asarray(values, np.float32), ctf),
        scale=np.ones(n, np.float32) if scale is None else np.asarray(scale, np.float32),
        group=np.asarray(group, np.int32),
        half=np.asarray(half, np.int8),
        weight=np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32),
        noise_power=np.ones((int(group.max()) + 1, radius + 3), np.float32)
        if noise_power is None
        else np.asarray(noise_power, np.float32),
        box_size=size,
        voxel_size=box_size * pixel_size / size,
        radius=radius,
        stack_box_size=box_size,
    )


def split_halves(
    half: Int[np.ndarray, " n"], overlap: np.ndarray, seed: int
) -> Int[np.ndarray, " n"]:
    """Half-set 1 or 2 of each particle; those given are kept where they can be.

    Images that overlap (copies, duplicated picks, segments of a filament) come into one half; it
    is drawn where the given ones contradict each other.

    Args:
        half: 1 or 2, 0 where unknown.
        overlap: the same key for images that overlap.
        seed: of the random split.

    Raises:
        InputError: where a half-set stays empty.
    """
    unique, of_image = np.unique(overlap, return_inverse=True)
    draw = np.random.default_rng(seed).permutation(len(unique)) % 2 + 1
    # Where a copy has a half, its siblings follow.
    known = [np.bincount(of_image[half == h], minlength=len(unique)) > 0 for h in (1, 2)]
    result = np.select([known[0] & ~known[1], known[1] & ~known[0]], [1, 2], draw)
    result = result[of_image].astype(np.int8)
    for h in (1, 2):
        if not np.any(result == h):
            found = f"no particle: {len(half)} images fall into {len(unique)} group that overlaps"
            expected = "images of two particles or filaments at least (copies stay together)"
            raise InputError(place=f"half-set {h}", found=found, expected=expected)
    return result
