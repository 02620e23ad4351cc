"""One pass over a stack: centred, Fourier-cropped images and their power, into an array given."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import zip_longest

import jax
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.errors import OptionError
from emjax.imaging.bad_images import BadImages, Census
from emjax.imaging.grids import (
    FourierGrid,
    cropped_box_size,
    half_plane,
    make_grid,
    real_transforms,
    spectra_to_pixels,
)
from emjax.imaging.particles import chunks
from emjax.imaging.phases import shift_phases

Undo = Callable[[Int[np.ndarray, " m"], Float[np.ndarray, "m d d"]], Float[np.ndarray, "m d d"]]

READ_PIXELS = 2_000_000  # of images from the stack at a time, so few that they stay in the cache


def filter_radius(box_size: int, pixel_size: float, filter_resolution: float) -> int:
    """Fourier pixels up to a resolution in Å.

    Raises:
        OptionError: where the resolution lies beyond Nyquist or leaves under 4 shells.
    """
    radius = int(np.floor(box_size * pixel_size / filter_resolution + 1e-6))
    if radius > box_size // 2 - 1:
        finest = box_size * pixel_size / (box_size // 2 - 1)
        raise OptionError(
            "filter_resolution",
            f"{filter_resolution} Å, beyond Nyquist of {pixel_size:g} Å pixels",
            f"at least {finest:.2f} Å",
        )
    if radius < 4:
        extent = box_size * pixel_size
        raise OptionError(
            "filter_resolution",
            f"{filter_resolution} Å, which leaves {radius} shells of a box of {extent:g} Å",
            f"at most {extent / 4:.1f} Å",
        )
    return radius


def grid_for(box_size: int, pixel_size: float, filter_resolution: float) -> FourierGrid:
    """Grid of the cropped box at a filter resolution."""
    radius = filter_radius(box_size, pixel_size, filter_resolution)
    return make_grid(cropped_box_size(radius), radius)


def crop_images(
    read: Callable[[Int[np.ndarray, " m"]], Float[np.ndarray, "m n n"]],
    shifts: Float[np.ndarray, "n 2"],
    group: Int[np.ndarray, " n"],
    pixel_size: float,
    grid: FourierGrid,
    out: Complex[np.ndarray, "n p"],
    progress: Callable[[int, int], None] = lambda done, total: None,
    undo: Undo = lambda rows, images: images,
) -> tuple[Float[np.ndarray, "g s"], BadImages]:
    """Fill `out` with the centred Fourier pixels of all images, in one pass; bad ones become 0.

    Args:
        read: returns the real images of given rows.
        shifts: origins in Å.
        group: row of the power table of each particle, 0-based.
        pixel_size: Å, of the uncropped images.
        grid: pixels to keep.
        out: array to fill.
        progress: called with particles done and in all.
        undo: returns images, of given rows, without the distortions that no CTF describes.

    Returns:
        Mean power of the good images of each group in each shell up to Nyquist, and the bad ones.
        A group of bad images only has the mean power of all others.
    """
    n = len(shifts)
    box_size = read(np.arange(1)).shape[-1]
    size = min(n, max(8, READ_PIXELS // box_size**2))
    power = np.zeros((int(group.max()) + 1, box_size // 2))
    census, counted = Census(group, box_size), np.zeros(n, bool)
    for rows, images in read_ahead(read, list(chunks(n, size))):
        images, broken = _without_mean(images)
        good = census.add(rows, images, broken)
        counted[rows] = good
        spectra = real_transforms(undo(rows, images))
        if good.any():
            kept = spectra if good.all() else spectra[good]
            _add_power(power, kept, group[rows[good]])
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
    bad = census.bad_images()
    good = np.ones(n, bool)
    good[bad.rows] = False
    out[bad.rows] = 0
    # The few that were judged before enough was known, and are judged otherwise now.
    for sign, rows in ((-1, np.flatnonzero(counted & ~good)), (1, np.flatnonzero(good & ~counted))):
        for part in chunks(len(rows), size):
            images = undo(rows[part], _without_mean(read(rows[part]))[0])
            spectra = real_transforms(images)
            _add_power(power, spectra, group[rows[part]], sign)
    members = np.bincount(group, good, len(power))
    power[members == 0] = power.sum(0) / max(members.sum(), 1)
    return power / np.maximum(members, 1)[:, None], bad


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


def _without_mean(
    images: Float[np.ndarray, "m d d"],
) -> tuple[Float[np.ndarray, "m d d"], Int[np.ndarray, " m"]]:
    """Images of mean 0, blank where a pixel is not finite; and how many are not."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = images.mean((1, 2), keepdims=True)
    broken = np.zeros(len(images), int)
    # Finite pixels have a finite mean, unless they are beyond all sense.
    doubtful = ~np.isfinite(mean[:, 0, 0])
    if doubtful.any():
        broken[doubtful] = np.maximum(np.sum(~np.isfinite(images[doubtful]), (1, 2)), 1)
        images, mean = (np.where(doubtful[:, None, None], np.float32(0), a) for a in (images, mean))
    return images - mean, broken


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
    sign: int = 1,
) -> None:
    """Add the images' mean power in the shells below Nyquist to that of their groups."""
    order, starts, counts = _by_shell(spectra.shape[1])
    parts = spectra.view(np.real(spectra).dtype).reshape(len(spectra), -1)
    for g in np.unique(group):
        own = parts[group == g] if group.min() < group.max() else parts
        total = np.einsum("mk,mk->k", own, own)  # real and imaginary parts alternate
        total = total[::2] + total[1::2]
        power[g, 1:] += sign * np.add.reduceat(total[order], starts) / counts


@cache
def _by_shell(box_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of a half spectrum by shell, from 1 to d/2 − 1; where each shell begins; its size."""
    kx, ky = half_plane(box_size // 2 - 1)
    shells = np.round(np.hypot(kx, ky)).astype(int)
    order = np.argsort(shells, kind="stable")
    counts = np.bincount(shells)[1:]
    places = (ky % box_size * (box_size // 2 + 1) + kx)[order]
    return places, np.cumsum(counts) - counts, counts
