"""One pixel and box size for images of optics groups that differ."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=16)
def resampling_matrix(
    box_size: int, pixel_size: float, target_box_size: int, target_pixel_size: float
) -> np.ndarray:
    """Band-limited interpolation of one image axis onto another grid with the same centre n//2.

    Rows and columns of an image are resampled by `m @ image @ m.T`; densities are kept.

    Args:
        box_size: pixels of the image.
        pixel_size: Å.
        target_box_size: pixels wanted; the target may not reach beyond the image.
        target_pixel_size: Å.

    Returns:
        float32 `[target_box_size, box_size]`.
    """
    position = (np.arange(target_box_size) - target_box_size // 2) * target_pixel_size / pixel_size
    offset = position[:, None] - (np.arange(box_size) - box_size // 2)
    # Both grids carry only what lies below the coarser one's Nyquist frequency.
    highest = int(np.floor(box_size * min(0.5, 0.5 * pixel_size / target_pixel_size)))
    highest = min(highest, (box_size - 1) // 2)
    k = np.arange(1, highest + 1)
    kernel = 1 + 2 * np.cos(2 * np.pi * k[:, None, None] * offset / box_size).sum(0)
    return (kernel / box_size).astype(np.float32)


def common_grid(box_sizes: np.ndarray, pixel_sizes: np.ndarray) -> tuple[int, float]:
    """The largest even box, at the coarsest pixel size, that lies inside every image.

    Args:
        box_sizes: pixels, one per optics group.
        pixel_sizes: Å, one per optics group.

    Returns:
        Box size in pixels and pixel size in Å.
    """
    pixel_size = float(np.max(pixel_sizes))
    extent = float(np.min(np.asarray(box_sizes) * np.asarray(pixel_sizes)))
    return 2 * int(extent / pixel_size / 2 + 1e-6), pixel_size
