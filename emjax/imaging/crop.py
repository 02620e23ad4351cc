"""One pass over a stack: centred, Fourier-cropped images and their power, into an array given."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import zip_longest

import jax
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.errors import InputError, OptionError
from emjax.imaging.grids import (
    FourierGrid,
    cropped_box_size,
    half_plane,
    half_spectra,
    make_grid,
    spectra_to_pixels,
)
from emjax.imaging.particles import chunks
from emjax.imaging.phases import shift_phases

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
        InputError: where an image holds NaN or infinity, or nothing but one value.
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
            raise InputError(
                place=f"image of particle {rows[bad[0]] + 1}",
                found="only one value" if finite[bad[0]] else "NaN or infinity",
                expected="finite, varying pixels",
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
        total = np.einsum("mk,mk->k", own, own)  # real and imaginary parts alternate
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
