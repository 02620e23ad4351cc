"""A basis fitted again inside the region that varies.

A component fitted in the whole solvent mask carries noise from every voxel; where its power stands
out of that noise, a soft window keeps it.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float
from scipy.ndimage import gaussian_filter

from emjax.classify.operators.pixels import PixelOperators
from emjax.classify.subspace.basis import Basis, BasisOptions, fit_basis
from emjax.classify.subspace.volumes import to_maps
from emjax.imaging.maps import slicing_values

SMOOTHING = 16.0  # Å, of the local power
PEAK = 8.0  # amplitude over the median in the mask; noise reaches 4


def variable_region(
    maps: Float[np.ndarray, "q d d d"], mask: Float[np.ndarray, "d d d"], voxel_size: float
) -> tuple[Float[np.ndarray, "d d d"] | None, Bool[np.ndarray, " q"]]:
    """Soft window where components stand out of their own noise, and which of them do.

    Args:
        maps: components in real space.
        mask: where they were fitted.
        voxel_size: Å.

    Returns:
        The window (None where no component stands out) and a flag for each component.
    """
    inside = mask > 0.9 * mask.max()
    window, local = np.zeros(mask.shape), np.zeros(len(maps), bool)
    for index, volume in enumerate(maps):
        ratio = _above_noise(volume, inside, voxel_size)
        local[index] = ratio.max() > PEAK
        if local[index]:
            window = np.maximum(window, _soft(ratio))
    if not local.any():
        return None, local
    return (window * mask).astype(np.float32), local


def _above_noise(
    volume: Float[np.ndarray, "d d d"], inside: Bool[np.ndarray, "d d d"], voxel_size: float
) -> Float[np.ndarray, "d d d"]:
    """Local amplitude over its median in the mask."""
    amplitude = np.sqrt(np.maximum(gaussian_filter(volume**2, SMOOTHING / voxel_size), 0))
    return amplitude / max(np.median(amplitude[inside]), 1e-3 * amplitude.max(), 1e-30)


def _soft(ratio: Float[np.ndarray, "d d d"]) -> Float[np.ndarray, "d d d"]:
    return ratio**4 / (ratio**4 + 16)


def cut_to_regions(
    maps: Float[np.ndarray, "q d d d"], mask: Float[np.ndarray, "d d d"], voxel_size: float
) -> Float[np.ndarray, "q d d d"]:
    """Each map where it stands out of its own noise.

    Args:
        maps: differences in real space.
        mask: where they were fitted.
        voxel_size: Å.
    """
    inside = mask > 0.9 * mask.max()
    windows = [_soft(_above_noise(volume, inside, voxel_size)) for volume in maps]
    return (maps * np.stack(windows) * mask).astype(np.float32)


def refit_in_region(
    operators: PixelOperators,
    basis: Basis,
    mask: Float[np.ndarray, "d d d"],
    options: BasisOptions,
    folds: tuple[int, ...] | None = None,
    nuisance: Complex[Array, "m v"] | None = None,
) -> Basis | None:
    """Fit the basis again inside the region that varies; None where no region stands out."""
    maps = to_maps(basis.components, operators.grid)
    window, _ = variable_region(maps, mask, operators.particles.voxel_size)
    if window is None:
        return None
    start = slicing_values(jnp.asarray(maps * window), operators.grid)
    return fit_basis(
        operators, basis.mean, window, options, folds=folds, nuisance=nuisance, components=start
    )
