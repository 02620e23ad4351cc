"""Smaller differences: bases inside the region that varies, and inside each class that was found.

A component fitted in the whole solvent mask carries noise from every voxel; where its power stands
out of that noise, a soft window keeps it. A difference within one class drowns in the differences
between classes; fitted among the members of the class, with its map as the mean, it does not.
"""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int
from scipy.ndimage import gaussian_filter

from emjax.classify.operators.pixels import PixelOperators, make_pixel_operators
from emjax.classify.subspace.basis import Basis, BasisOptions, fit_basis, order_components
from emjax.classify.subspace.mixture import assign, fit_seeds
from emjax.classify.subspace.projection import project_statistics
from emjax.classify.subspace.volumes import class_coefficients, to_maps
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
        amplitude = np.sqrt(np.maximum(gaussian_filter(volume**2, SMOOTHING / voxel_size), 0))
        ratio = amplitude / np.median(amplitude[inside])
        local[index] = ratio.max() > PEAK
        if local[index]:
            window = np.maximum(window, ratio**4 / (ratio**4 + 16))
    if not local.any():
        return None, local
    return (window * mask).astype(np.float32), local


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


def enrich_by_class(
    operators: PixelOperators,
    basis: Basis,
    mask: Float[np.ndarray, "d d d"],
    n_classes: int,
    options: BasisOptions,
    folds: tuple[int, ...] | None = None,
    nuisance: Complex[Array, "m v"] | None = None,
    min_particles: int = 300,
) -> Basis | None:
    """Add components fitted inside each class that the basis finds; None where none stands out.

    Args:
        operators: of the particles.
        basis: to be enriched.
        mask: solvent or focus mask.
        n_classes: found in the basis.
        options: of the fits; two components for each class.
        folds: particles to use.
        nuisance: fixed volumes marginalised.
        min_particles: smaller classes are left alone.
    """
    used = np.flatnonzero(np.isin(operators.fold_of, folds)) if folds else None
    rows = np.arange(operators.particles.n) if used is None else used
    statistics = project_statistics(operators, basis, folds=folds)[0].take(rows)
    fits = fit_seeds(statistics, n_classes, range(30))
    best = [fits.best()]
    labels = assign(statistics, fits.coordinates[best], fits.class_weights[best])[:, 0]
    volumes = class_coefficients(basis, fits.coordinates[best[0]])
    small = replace(options, n_components=2)
    extra = []
    for k in range(n_classes):
        members = rows[labels == k]
        if len(members) < min_particles:
            continue
        found = _class_components(operators, members, volumes[k], mask, small, nuisance)
        if found is not None:
            extra.append(found)
    if not extra:
        return None
    return order_components(
        operators, jnp.concatenate([basis.mean[None], basis.components, *extra])
    )


def _class_components(
    operators: PixelOperators,
    members: Int[np.ndarray, " m"],
    volume: Complex[Array, " v"],
    mask: Float[np.ndarray, "d d d"],
    options: BasisOptions,
    nuisance: Complex[Array, "m v"] | None,
) -> Complex[Array, "e v"] | None:
    """What varies inside a region among the members of a class."""
    own = make_pixel_operators(
        operators.particles.subset(members), max_memory_gb=operators.spare_gb
    )
    basis = fit_basis(own, volume, mask, options, nuisance=nuisance)
    refined = refit_in_region(own, basis, mask, options, nuisance=nuisance)
    if refined is None:
        return None
    maps = to_maps(refined.components, operators.grid)
    _, local = variable_region(maps, mask, operators.particles.voxel_size)
    return refined.components[np.flatnonzero(local)] if local.any() else None
