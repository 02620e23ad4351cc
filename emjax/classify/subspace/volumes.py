"""From coordinates to maps and back: class volumes, starts for other methods, given components."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.classify.operators.pixels import (
    PixelBlock,
    PixelOperators,
    PixelRows,
    from_table,
    to_table,
)
from emjax.classify.subspace.ascent import ascent_step, make_setting
from emjax.classify.subspace.basis import Basis, BasisOptions, fit_basis
from emjax.classify.subspace.mixture import FitOptions, fit_seeds
from emjax.classify.subspace.projection import project_statistics
from emjax.classify.subspace.statistics import Statistics, latent_mix
from emjax.imaging.grids import FourierGrid, add_friedel_mates, gridding, resample_all, to_real
from emjax.imaging.maps import slicing_values


def class_coefficients(
    basis: Basis, coordinates: Float[np.ndarray, "k q"]
) -> Complex[Array, "k v"]:
    """V_k = μ + Σ z_kj B_j as coefficients to slice, in the first q components of the basis."""
    z = jnp.asarray(coordinates, basis.mean.real.dtype)
    return basis.mean + z @ basis.components[: z.shape[1]]


def to_maps(values: Complex[Array, "k v"], grid: FourierGrid) -> Float[np.ndarray, "k d d d"]:
    """Real-space maps of coefficients to slice."""
    return np.asarray(to_real(values, grid) * jnp.asarray(gridding(grid.box_size)))


@dataclass(frozen=True)
class GivenComponents:
    """Components found elsewhere: as maps, as coordinates of the particles, or both."""

    maps: Float[np.ndarray, "q d d d"] | None = None
    coordinates: tuple[Float[np.ndarray, "n _"], ...] = ()  # one table per file

    def of(self, rows: Int[np.ndarray, " m"]) -> "GivenComponents":
        """Those of some of the particles."""
        return replace(self, coordinates=tuple(table[rows] for table in self.coordinates))

    def coefficients(
        self,
        operators: PixelOperators,
        mean: Complex[Array, " v"],
        mask: Float[np.ndarray, "d d d"],
    ) -> Complex[Array, "q v"]:
        """As volumes to slice; coordinates are regressed on the images."""
        grid, found = operators.grid, []
        if self.maps is not None:
            box_size = grid.box_size
            found.append(components_from_maps(resample_all(self.maps, box_size), mask, grid))
        for table in self.coordinates:
            found.append(components_from_coordinates(operators, mean, table, mask))
        return jnp.concatenate(found)


def fit_variability(
    operators: PixelOperators,
    mean_map: Float[np.ndarray, "d d d"],
    mask: Float[np.ndarray, "d d d"],
    given: GivenComponents | None = None,
    iterations: int = 12,
    n_components: int = 4,
) -> tuple[Basis, Statistics]:
    """Basis and statistics that the starts of every run, whatever its K and seed, are made from.

    Args:
        operators: of the particles.
        mean_map: unmasked.
        mask: where the components live.
        given: components from which the fit starts; random volumes where None.
        iterations: of the fit; 0 takes the given components as they are.
        n_components: to fit where none are given.
    """
    mean = slicing_values(jnp.asarray(mean_map * mask), operators.grid)
    start = given and given.coefficients(operators, mean, mask)
    if start is not None and not iterations:
        basis = Basis(mean, start)
    else:
        options = BasisOptions(n_components if start is None else len(start), iterations)
        basis = fit_basis(operators, mean, mask, options, components=start)
    return basis, project_statistics(operators, basis)[0]


def ends_of_components(
    basis: Basis, statistics: Statistics, grid: FourierGrid, n_classes: int, seed: int
) -> Float[np.ndarray, "k d d d"]:
    """The mean map and one component per class, by one standard deviation of the coordinates.

    The first q classes take one component each, to the side that the seed draws, the next q the
    other side, and further ones the same again, twice as far.
    """
    mix = latent_mix(statistics)
    deviations = np.sqrt((mix**2).sum(1))
    side = np.random.default_rng(seed).choice((-1.0, 1.0), len(deviations)) if seed else 1.0
    far = np.diag(deviations * side)
    ends = np.concatenate([far, -far])
    times = -(-n_classes // len(ends))
    coordinates = np.concatenate([(i + 1) * ends for i in range(times)])[:n_classes]
    return to_maps(class_coefficients(basis, coordinates), grid)


def volumes_of(
    basis: Basis, statistics: Statistics, grid: FourierGrid, n_classes: int, seed: int
) -> Float[np.ndarray, "k d d d"]:
    """Maps of the best of 32 mixtures started from one seed."""
    seeds = range(32 * seed, 32 * seed + 32)
    fits = fit_seeds(statistics, n_classes, seeds, FitOptions(max_iterations=100))
    return to_maps(class_coefficients(basis, fits.coordinates[fits.best()]), grid)


def components_from_maps(
    maps: Float[np.ndarray, "q e e e"], mask: Float[np.ndarray, "d d d"], grid: FourierGrid
) -> Complex[Array, "q v"]:
    """Components that another program found (3DVA's series), as a basis or as where to start one.

    Raises:
        ValueError: where a map has another box, or is empty inside the mask.
    """
    if maps.shape[1:] != mask.shape:
        raise ValueError(f"components: found a box of {maps.shape[1:]}, expected {mask.shape}")
    norms = np.sqrt(np.sum((maps * mask) ** 2, (1, 2, 3)))
    if norms.min() <= 0:
        raise ValueError(f"components: map {int(norms.argmin()) + 1} is empty inside the mask")
    scaled = maps / norms[:, None, None, None] * norms.max()
    return slicing_values(jnp.asarray(scaled * mask, jnp.float32), grid)


def components_from_states(
    maps: Float[np.ndarray, "k d d d"], mask: Float[np.ndarray, "d d d"], grid: FourierGrid
) -> Complex[Array, "q v"]:
    """Principal differences of maps of states (cryoDRGN, recovar, earlier classes)."""
    if len(maps) < 2:
        raise ValueError(f"states: found {len(maps)} map, expected at least 2")
    inside = (maps * mask).reshape(len(maps), -1)
    _, values, vectors = np.linalg.svd(inside - inside.mean(0), full_matrices=False)
    keep = values > 1e-6 * values[0]
    parts = (values[keep, None] * vectors[keep] / np.sqrt(len(maps))).reshape(-1, *mask.shape)
    return slicing_values(jnp.asarray(parts, jnp.float32), grid)


def components_from_coordinates(
    operators: PixelOperators,
    mean: Complex[Array, " v"],
    coordinates: Float[np.ndarray, "n q"],
    mask: Float[np.ndarray, "d d d"],
    iterations: int = 8,
) -> Complex[Array, "q v"]:
    """Volumes that best explain the images by coordinates found elsewhere (3DVA, cryoDRGN).

    Args:
        operators: of the particles.
        mean: coefficients of the masked mean map.
        coordinates: of each particle.
        mask: where the components live.
        iterations: ascending steps of the linear regression.

    Raises:
        ValueError: where a coordinate is the same for all particles, or not finite.
    """
    spread = coordinates.std(0)
    if not (np.isfinite(spread) & (spread > 0)).all():
        bad = int(np.flatnonzero(~(np.isfinite(spread) & (spread > 0)))[0]) + 1
        raise ValueError(f"coordinates: component {bad} has the spread {spread[bad - 1]:g}")
    n, q = coordinates.shape
    unit = np.concatenate([np.ones((n, 1)), (coordinates - coordinates.mean(0)) / spread], 1)
    unit = unit.astype(mean.real.dtype)
    setting = make_setting(operators, None, mean, mask, None, (4.0,) * (q + 1))
    volumes = jnp.concatenate([mean[None], jnp.zeros((q, len(mean)), mean.dtype)])
    second = jnp.asarray(unit.T @ unit / n)
    for _ in range(iterations):
        table = to_table(volumes)

        def images(
            own: PixelRows, block: PixelBlock, table: Float[Array, "v w"] = table
        ) -> tuple[Array, None]:
            factors = np.zeros((len(block.present), q + 1), unit.dtype)
            factors[: len(own.rows)] = unit[own.rows]
            slices = block.slices(table, q + 1)
            return _gradient_images(block.pixels, slices, jnp.asarray(factors)), None

        gradient = operators.insert(images)[0]
        total = add_friedel_mates(from_table(gradient, q + 1), operators.grid)
        volumes = volumes + ascent_step(total, volumes, second, setting)
    return volumes[1:]


@jax.jit
def _gradient_images(
    pixels: Float[Array, "b p 2"], slices: Float[Array, "b c t"], factors: Float[Array, "b c"]
) -> Float[Array, "b c t"]:
    residual = pixels.reshape(len(slices), -1) - jnp.einsum("bc,bct->bt", factors, slices)
    return factors[:, :, None] * residual[:, None]
