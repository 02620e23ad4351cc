"""Small differences inside large ones: components of single windows, added to a basis.

A difference of a few per cent of the mass drowns in those between classes and in the noise of a
whole mask. What is left of the images of a class, or of all of them, once the class map is
subtracted and the basis is marginalised is scanned window by window; where the variance stands out,
a component is fitted there.
"""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int
from scipy.sparse.csgraph import minimum_spanning_tree

from emjax.classify.operators.pixels import PixelOperators
from emjax.classify.subspace.basis import Basis, BasisOptions, fit_basis, order_components
from emjax.classify.subspace.mixture import assign, fit_seeds
from emjax.classify.subspace.optima import information
from emjax.classify.subspace.projection import project_statistics
from emjax.classify.subspace.region import cut_to_regions
from emjax.classify.subspace.statistics import change_basis, latent_mix
from emjax.classify.subspace.volumes import class_coefficients, to_maps
from emjax.classify.subspace.windows import (
    Strongest,
    Windows,
    strongest_directions,
    sum_covariances,
    tile_mask,
    window_radius,
)
from emjax.imaging.grids import FourierGrid, resample
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import coarsen

STANDS_OUT = 5.0  # standard errors; the largest of thousands of windows of noise had 4.9
APART = 3.0  # radii between the centres of windows that are taken in one go
SEEDS = 30
PRIOR = 0.05  # variance of a window's component over the mean map's power


def enrich_by_windows(
    operators: PixelOperators,
    basis: Basis,
    mask: Float[np.ndarray, "d d d"],
    n_classes: int,
    n_components: int,
    options: BasisOptions,
    folds: tuple[int, ...] | None = None,
    nuisance: Complex[Array, "m v"] | None = None,
    scale: float = 0.0,
) -> Basis | None:
    """Add components of windows in which classes, or all particles, still vary; None for nothing.

    Args:
        operators: of the particles.
        basis: to be enriched.
        mask: solvent or focus mask.
        n_classes: found in the basis.
        n_components: of the basis that held-out particles confirmed; the others are left out.
        options: of the fits.
        folds: particles to use.
        nuisance: fixed volumes marginalised.
        scale: of the prior width that they were made for; 0 without them.
    """
    used = nuisance if scale else None
    classes = find_classes(operators, basis, n_classes, n_components, folds, used, scale)
    basis, labels, volumes = classes.basis, classes.labels, classes.volumes
    single = replace(options, n_components=1, component_prior=PRIOR)
    known = basis.components if nuisance is None else jnp.concatenate([basis.components, nuisance])
    found, windows = _scan(operators, labels, volumes, known, mask, folds)
    extra = []
    for group, start, window in _standing_out(found, windows, len(mask)):
        inside = window * mask
        first = slicing_values(jnp.asarray(start * inside)[None], operators.grid)
        own, used, volume = operators, folds, basis.mean
        if group < n_classes:
            members = operators.particles.subset(np.flatnonzero(labels == group))
            own, used = operators.beside(members), None
            volume = volumes[group]
        fit = fit_basis(own, volume, inside, single, folds=used, nuisance=known, components=first)
        extra.append(fit.components)
    if not extra:
        return None
    joined = jnp.concatenate([basis.mean[None], basis.components, *extra])
    return order_components(operators, joined)


class Classes(NamedTuple):
    """The best mixture in a basis."""

    basis: Basis  # in the components that held-out particles confirmed
    labels: Int[np.ndarray, " n"]  # −1 for particles that are not used
    volumes: Complex[Array, "k v"]
    distances: Float[np.ndarray, "k k"]  # as images see them


def find_classes(
    operators: PixelOperators,
    basis: Basis,
    n_classes: int,
    n_components: int,
    folds: tuple[int, ...] | None = None,
    nuisance: Complex[Array, "m v"] | None = None,
    scale: float = 0.0,
) -> Classes:
    """Classes of some folds in the leading components; arguments as of `enrich_by_windows`."""
    rows = np.flatnonzero(np.isin(operators.fold_of, folds or np.unique(operators.fold_of)))
    statistics = project_statistics(operators, basis, nuisance, (scale,), folds)[0].take(rows)
    mix = latent_mix(statistics)[:, :n_components]
    statistics = change_basis(statistics, mix)
    basis = Basis(basis.mean, jnp.asarray(mix.T, basis.mean.real.dtype) @ basis.components)
    fits = fit_seeds(statistics, n_classes, range(SEEDS))
    best = [fits.best()]
    z = fits.coordinates[best[0]]
    labels = np.full(operators.particles.n, -1)
    labels[rows] = assign(statistics, z[None], fits.class_weights[best])[:, 0]
    apart = z[:, None] - z[None]
    distances = np.einsum("abi,ij,abj->ab", apart, information(statistics), apart)
    return Classes(basis, labels, class_coefficients(basis, z), np.maximum(distances, 0))


def localise_differences(
    operators: PixelOperators,
    basis: Basis,
    mask: Float[np.ndarray, "d d d"],
    n_classes: int,
    n_components: int,
    folds: tuple[int, ...] | None = None,
    nuisance: Complex[Array, "m v"] | None = None,
    scale: float = 0.0,
) -> Basis:
    """A basis of the differences between neighbouring classes, each cut to where it stands out.

    The tree of least distance joins the classes, so each difference is as small as it can be.
    Arguments as of `enrich_by_windows`.
    """
    found = find_classes(operators, basis, n_classes, n_components, folds, nuisance, scale)
    # A distance of zero would be no edge.
    first, second = minimum_spanning_tree(found.distances + 1e-9).nonzero()
    maps = to_maps(found.volumes, operators.grid)
    cut = cut_to_regions(maps[second] - maps[first], mask, operators.particles.voxel_size)
    components = slicing_values(jnp.asarray(cut), operators.grid)
    return order_components(operators, jnp.concatenate([found.basis.mean[None], components]))


def _scan(
    operators: PixelOperators,
    labels: Int[np.ndarray, " n"],
    volumes: Complex[Array, "k v"],
    known: Complex[Array, "u v"],
    mask: Float[np.ndarray, "d d d"],
    folds: tuple[int, ...] | None,
) -> tuple[Strongest, Windows]:
    """What is left in each class and in all, in the windows of a mask."""
    whole = operators.particles
    # Half a window's radius is fine enough, and a window has few hundred voxels then.
    radius = min(whole.radius, int(2 * whole.box_size / window_radius(mask)) + 1)
    if radius < whole.radius:
        coarse = coarsen(whole, radius)
        mask = resample(mask, coarse.box_size)
        volumes, known = (_on_grid(v, operators.grid, coarse.grid) for v in (volumes, known))
        operators = operators.beside(coarse, operators.fold_of)
    windows = tile_mask(mask)
    found = sum_covariances(operators, volumes, np.maximum(labels, 0), known, windows, folds)
    return strongest_directions(found, windows), windows


def _on_grid(
    values: Complex[Array, "c v"], grid: FourierGrid, coarse: FourierGrid
) -> Complex[Array, "c w"]:
    maps = [resample(volume, coarse.box_size) for volume in to_maps(values, grid)]
    return slicing_values(jnp.asarray(np.stack(maps)), coarse)


def _standing_out(
    found: Strongest, windows: Windows, box_size: int
) -> list[tuple[int, Float[np.ndarray, "d d d"], Float[np.ndarray, "d d d"]]]:
    """Group, density to start from and soft window, the strongest first, far from each other."""
    free = np.ones(len(windows.centres), bool)
    result = []
    for index in np.argsort(-found.excess, axis=None):
        group, window = (int(i) for i in np.unravel_index(index, found.excess.shape))
        if found.excess[group, window] < STANDS_OUT:
            break
        if not free[window]:
            continue
        # A strong difference shows in its neighbours too.
        distance = np.linalg.norm(windows.centres - windows.centres[window], axis=1)
        free &= distance > APART * windows.radius
        own = windows.members[window]
        density = np.zeros((windows.box_size,) * 3, np.float32)
        x, y, z = (windows.points[own] + windows.box_size // 2).T
        density[z, y, x] = found.directions[group][window]
        result.append((group, resample(density, box_size), windows.soft(window, box_size)))
    return result
