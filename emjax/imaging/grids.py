"""Fourier grids: the independent pixels of an image and voxels of a volume up to a radius.

Real images and volumes have Hermitian transforms, so half of the coefficients say everything.
Frequencies are integers, in units of 1 / (box size × pixel size); the box centre is n // 2; DC and
Nyquist are left out of images, and volumes keep what trilinear slices up to the radius touch.
"""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float, Int, Num

from emjax.machine import cores

CELL_DIAGONAL = 1.7321  # √3 and a little: no corner of a trilinear cell is farther from its point


class FourierGrid(eqx.Module):
    """Independent Fourier coefficients of images (p pixels) and volumes (v voxels)."""

    kx: Int[Array, " p"]
    ky: Int[Array, " p"]
    kxyz: Int[Array, "v 3"]
    lookup: Int[Array, "X Y Z"]
    box_size: int = eqx.field(static=True)
    radius: int = eqx.field(static=True)
    padding: int = eqx.field(static=True, default=1)

    @property
    def pixel_shells(self) -> Int[Array, " p"]:
        """Shell of each pixel: the radius rounded to the nearest integer."""
        return jnp.round(jnp.sqrt(self.kx**2 + self.ky**2)).astype(jnp.int32)

    @property
    def voxel_shells(self) -> Int[Array, " v"]:
        """Shell of each voxel: the radius rounded to the nearest integer."""
        return jnp.round(jnp.sqrt(jnp.sum(self.kxyz**2, -1))).astype(jnp.int32)

    @property
    def n_shells(self) -> int:
        """Number of shells that voxels of the grid fall in, DC included."""
        return self.padding * self.radius + 3


def cropped_box_size(radius: int) -> int:
    """Box size of volumes that hold all voxels of slices up to a radius, Nyquist unused.

    It is even and fast to transform.
    """
    half = scipy.fft.next_fast_len(radius + 2, real=True)
    assert half is not None
    return 2 * half


def half_plane(radius: int) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Frequencies (kx, ky) with kx ≥ 0 and 0 < |k| ≤ radius, of kx = 0 only ky > 0."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    keep = (kx**2 + ky**2 <= radius**2) & ((kx > 0) | (ky > 0))
    return kx[keep].astype(np.int32), ky[keep].astype(np.int32)


def make_grid(
    box_size: int, radius: int, padding: int = 1, *, pixels_only: bool = False
) -> FourierGrid:
    """Grid of a box.

    Args:
        box_size: voxels along an edge of the real-space volume, padding included.
        radius: the highest frequency kept, in Fourier pixels of the images;
            padding · radius + 1 < box_size / 2.
        padding: voxels of the volume's transform to a pixel of the images'.
        pixels_only: leave out the voxels, which take gigabytes in large boxes.

    Raises:
        ValueError: where slices up to the radius would touch the Nyquist plane.
    """
    reach = padding * radius
    if radius < 1 or 2 * (reach + 1) >= box_size + (box_size % 2):
        highest = ((box_size + 1) // 2 - 2) // padding
        raise ValueError(f"radius: found {radius} for a box of {box_size}, expected 1 … {highest}")
    kx, ky = half_plane(radius)
    edge = 1 if pixels_only else reach + 2
    x, y, z = np.meshgrid(
        np.arange(edge), np.arange(-edge + 1, edge), np.arange(-edge + 1, edge), indexing="ij"
    )
    keep = np.sqrt(x**2 + y**2 + z**2) <= reach + CELL_DIAGONAL
    lookup = np.full(x.shape, 0, np.int32)
    lookup[keep] = np.arange(keep.sum(), dtype=np.int32)
    kxyz = np.stack([x[keep], y[keep], z[keep]], -1).astype(np.int32)
    kx, ky, voxels, rows = map(jnp.asarray, (kx, ky, kxyz, lookup))
    return FourierGrid(kx, ky, voxels, rows, box_size, radius, padding)


def half_spectra(images: Float[np.ndarray, "m d d"]) -> Complex[np.ndarray, "m d h"]:
    """Transforms of images without their mean, origin at the corner, kx ≥ 0."""
    # A large common offset would cost single precision its digits.
    return real_transforms(images - images.mean((1, 2), keepdims=True))


def real_transforms(images: Float[np.ndarray, "m d d"]) -> Complex[np.ndarray, "m d h"]:
    """Transforms of images as they are, origin at the corner, kx ≥ 0, on all cores."""
    return np.asarray(scipy.fft.rfft2(images, workers=cores()))


def spectra_to_pixels(
    spectra: Complex[np.ndarray, "m d h"],
    kx: Int[Array | np.ndarray, " p"],
    ky: Int[Array | np.ndarray, " p"],
) -> Complex[np.ndarray, "m p"]:
    """Fourier coefficients of images, origin at the box centre, at the given frequencies."""
    m, d, h = spectra.shape
    kx, ky = np.asarray(kx), np.asarray(ky)
    cycles = (kx + ky) * (d // 2) % d / d
    pixels = spectra.reshape(m, -1).take(ky % d * h + kx, axis=1)
    pixels *= np.exp(2j * np.pi * cycles).astype(pixels.dtype)
    return pixels


def pixels_to_images(
    pixels: Complex[Array, "m p"], kx: Int[Array, " p"], ky: Int[Array, " p"], box_size: int
) -> Float[Array, "m d d"]:
    """Real images of given Fourier coefficients, zero elsewhere; inverse of `spectra_to_pixels`."""
    half = jnp.zeros((pixels.shape[0], box_size, box_size // 2 + 1), pixels.dtype)
    half = half.at[:, ky % box_size, kx].set(pixels)
    half = half.at[:, -ky % box_size, 0].add(jnp.where(kx == 0, pixels.conj(), 0))
    images = jnp.fft.irfft2(half, (box_size, box_size))
    return jnp.roll(images, (box_size // 2,) * 2, (1, 2))


def _half_spectrum(grid: FourierGrid) -> tuple[tuple[Array, Array, Array], Array]:
    """Places of the voxels in a half spectrum, and the phase of the box centre n // 2."""
    d = grid.box_size
    x, y, z = grid.kxyz.T
    places = (z + (z < 0) * d, y + (y < 0) * d, x)
    cycles = x + y + z
    if d % 2:
        return places, jnp.exp(2j * jnp.pi / d * (cycles * (d // 2) % d))
    return places, 1 - 2 * (cycles & 1)


@jax.jit
def to_fourier(volumes: Float[Array, "*k d d d"], grid: FourierGrid) -> Complex[Array, "*k v"]:
    """Fourier coefficients (rows of the grid) of real volumes, axes z, y, x."""
    places, phase = _half_spectrum(grid)
    half = jnp.fft.rfftn(volumes, axes=(-3, -2, -1))
    return half[(..., *places)] * phase


@jax.jit
def to_real(values: Complex[Array, "*k v"], grid: FourierGrid) -> Float[Array, "*k d d d"]:
    """Real volumes, axes z, y, x, of Fourier coefficients on the grid; zero beyond it."""
    d = grid.box_size
    places, phase = _half_spectrum(grid)
    half = jnp.zeros((*values.shape[:-1], d, d, d // 2 + 1), values.dtype)
    half = half.at[(..., *places)].set(values / phase, unique_indices=True)
    return jnp.fft.irfftn(half, (d, d, d), axes=(-3, -2, -1))


@jax.jit
def friedel_mates(grid: FourierGrid) -> Int[Array, " v"]:
    """Row of (0, −y, −z) for voxels on the plane x = 0, the voxel's own row elsewhere."""
    x, y, z = grid.kxyz.T
    edge = grid.lookup.shape[1] // 2
    return jnp.where(x == 0, grid.lookup[0, edge - y, edge - z], jnp.arange(x.shape[0]))


@jax.jit
def add_friedel_mates(values: Num[Array, "*k v"], grid: FourierGrid) -> Num[Array, "*k v"]:
    """Add to each voxel on the plane x = 0 the conjugate of its mate at (0, −y, −z).

    Slices are folded to x ≥ 0, so on that plane one coefficient is gathered in two rows.
    """
    mates = jnp.conj(values[..., friedel_mates(grid)])
    return values + jnp.where(grid.kxyz[:, 0] == 0, mates, 0)


def gridding(box_size: int) -> Float[np.ndarray, "d d d"]:
    """Πsinc²: the real-space window that trilinear interpolation in Fourier space imposes."""
    axis = np.sinc((np.arange(box_size) - box_size // 2) / box_size) ** 2
    return (axis[:, None, None] * axis[:, None] * axis).astype(np.float32)


@jax.jit
def shell_means(
    values: Num[Array, "*k v"], grid: FourierGrid, weights: Float[Array, " v"] | None = None
) -> Num[Array, "*k s"]:
    """Mean over each shell of the half volume."""
    counts = shell_sums(jnp.ones_like(grid.kxyz[:, 0], jnp.float32), grid, weights)
    return shell_sums(values, grid, weights) / jnp.maximum(counts, 1e-20)


@jax.jit
def shell_sums(
    values: Num[Array, "*k v"], grid: FourierGrid, weights: Float[Array, " v"] | None = None
) -> Num[Array, "*k s"]:
    """Sum over each shell of the half volume."""
    weighted = values if weights is None else values * weights
    sums = jnp.zeros((*values.shape[:-1], grid.n_shells), weighted.dtype)
    return sums.at[..., grid.voxel_shells].add(weighted)


def shell_segments(
    squares: Int[np.ndarray, "a b"], n_planes: int, n_shells: int
) -> Iterator[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"], Int[np.ndarray, " o"]]]:
    """How each plane x = 0, 1, … of a transform falls into shells below `n_shells`.

    Args:
        squares: y² + z² of the places of a plane.
        n_planes: planes to go through.
        n_shells: shells 0 … n_shells − 1.

    Returns:
        For each plane the shells that have places, where each begins among the places, and the
        places (in the flat plane), inner shells first.
    """
    flat = squares.ravel()
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    # No integer is the square of s − 0.5, so nothing is rounded.
    borders = (np.arange(n_shells + 1) - 0.5) ** 2
    borders[0] = -1
    for x in range(n_planes):
        edges = np.searchsorted(ordered, borders - x**2)
        shells = np.flatnonzero(np.diff(edges))
        yield shells, edges[shells] - edges[0], order[edges[0] : edges[-1]]


def resample(volume: Float[np.ndarray, "d d d"], box_size: int) -> Float[np.ndarray, "e e e"]:
    """Resample a volume to another box of the same extent by cropping or padding its transform.

    The box centre n // 2 stays on the same point; the Nyquist planes of the smaller box are lost.
    """
    d = volume.shape[0]
    spectrum = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    common = min(d, box_size)
    keep = [slice(d // 2 - common // 2, d // 2 - common // 2 + common)] * 3
    if common % 2 == 0:
        # The Nyquist planes have no partner of opposite sign.
        for axis in range(3):
            index = [slice(None)] * 3
            index[axis] = slice(keep[axis].start, keep[axis].start + 1)
            spectrum[tuple(index)] = 0
    result = np.zeros((box_size,) * 3, np.complex128)
    start = box_size // 2 - common // 2
    result[(slice(start, start + common),) * 3] = spectrum[tuple(keep)]
    real = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(result))).real
    return (real * (box_size / d) ** 3).astype(np.float32)


def resample_all(
    volumes: Float[np.ndarray, "k d d d"], box_size: int
) -> Float[np.ndarray, "k e e e"]:
    """Each volume on another box of the same extent."""
    return np.stack([resample(volume, box_size) for volume in volumes])
