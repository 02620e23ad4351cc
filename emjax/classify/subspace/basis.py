"""A basis that spans the particles' variability: probabilistic PCA at fixed poses.

F_i = C_i P_i (μ + Σ_j z_ij B_j + Σ_a u_ia D_a) + noise with z, u ~ N(0, I): B is what classes are
made of, D (optional) are fixed nuisance volumes such as the mean map's derivatives by pose. The
E-step is exact. The M-step climbs: a solve by voxel would ignore that interpolation couples voxels
and that mask and gridding come after, so V moves along the exact gradient, preconditioned by the
majorising diagonal, and is projected into the mask.

Source: Tipping & Bishop, J. R. Stat. Soc. B 61 (1999) 611; Punjani & Fleet, J. Struct. Biol. 213
(2021) 107702; parameter expansion: Liu, Rubin & Wu, Biometrika 85 (1998) 755.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators.layout import LANES
from emjax.classify.operators.pixels import (
    PixelBlock,
    PixelOperators,
    PixelRows,
    from_table,
    to_table,
)
from emjax.classify.subspace.ascent import Setting, ascent_step, climb, make_setting, penalty
from emjax.imaging.grids import FourierGrid, add_friedel_mates, shell_means, to_fourier, to_real

SMALLEST_STEP = 1e-3  # of a full one


@dataclass(frozen=True)
class BasisOptions:
    """Options of the fit."""

    n_components: int = 8
    iterations: int = 20
    mean_prior: float = 4.0  # prior variance over the mean map's power in the shell
    component_prior: float = 0.05
    seed: int = 0


class Basis(eqx.Module):
    """Mean and components as coefficients to slice (mask and gridding inside), largest first."""

    mean: Complex[Array, " v"]
    components: Complex[Array, "q v"]
    objective: tuple[float, ...] = eqx.field(static=True, default=())

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.components.shape[0]


@jax.jit
def joint_moments(
    products: Float[Array, "b r c"],
) -> tuple[Float[Array, "b m"], Float[Array, "b m m"], Float[Array, " b"]]:
    """g and G of every particle in all volumes after the first, the mean; and its log-likelihood.

    The log-likelihood is that of the mean map without −½|F|².

    Args:
        products: of the slices with each other and, in the last row, with the image.
    """
    linear = products[:, -1, 1:] - products[:, 1:-1, 0]
    return linear, products[:, 1:-1, 1:], products[:, -1, 0] - 0.5 * products[:, 0, 0]


def posterior_moments(
    linear: Float[Array, "b m"], quadratic: Float[Array, "b m m"]
) -> tuple[Float[Array, "b m"], Float[Array, "b m m"], Float[Array, " b"]]:
    """Mean and covariance of z under N(0, I), and log of the marginal likelihood over z = 0."""
    identity = jnp.eye(linear.shape[1], dtype=linear.dtype)
    factor = jnp.linalg.cholesky(quadratic + identity)
    inverse = jax.scipy.linalg.solve_triangular(
        factor, jnp.broadcast_to(identity, quadratic.shape), lower=True
    )
    covariance = jnp.einsum("bkm,bkn->bmn", inverse, inverse)
    mean = jnp.einsum("bmn,bn->bm", covariance, linear)
    log_determinant = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)), 1)
    return mean, covariance, 0.5 * jnp.sum(mean * linear, 1) - log_determinant


@partial(jax.jit, static_argnames="n_free")
def _moments(
    pixels: Float[Array, "b p 2"],
    present: Float[Array, " b"],
    slices: Float[Array, "b c t"],
    products: Float[Array, "b r c"],
    n_free: int,
    second_sum: Float[Array, "f f"],
) -> tuple[Float[Array, "b f t"], Float[Array, "f f"], Float[Array, ""]]:
    """Gradient images of the first volumes, Σ E[e eᵀ] of e = [1, z] so far, log-likelihood."""
    linear, quadratic, baseline = joint_moments(products)
    mean, covariance, gain = posterior_moments(linear, quadratic)
    e = jnp.concatenate([jnp.ones_like(mean[:, :1]), mean], 1)
    second = e[:, :, None] * e[:, None, :] + jnp.pad(covariance, ((0, 0), (1, 0), (1, 0)))
    second = second * present[:, None, None]
    residuals = e[:, :n_free, None] * pixels.reshape(len(slices), 1, -1)
    residuals = residuals - jnp.einsum("bjl,blt->bjt", second[:, :n_free], slices)
    total = second_sum + jnp.sum(second[:, :n_free, :n_free], 0)
    return residuals, total, jnp.sum((gain + baseline) * present)


class _Fit(NamedTuple):
    """Mean and components, and what a pass over the particles found there."""

    volumes: Complex[Array, "c v"]
    gradient: Complex[Array, "c v"]
    second: Float[np.ndarray, "c c"]
    objective: float  # penalised log-likelihood


def _pass(
    operators: PixelOperators,
    folds: tuple[int, ...] | None,
    volumes: Complex[Array, "c v"],
    setting: Setting,
) -> _Fit:
    table = to_table(jnp.concatenate([volumes, setting.nuisance]))
    c, n_volumes = len(volumes), len(volumes) + len(setting.nuisance)
    seconds = [jnp.zeros((c, c), table.dtype)] * LANES

    def gradient_images(rows: PixelRows, block: PixelBlock) -> tuple[Array, float]:
        slices = block.slices(table, n_volumes)
        residuals, seconds[rows.lane], likelihood = _moments(
            block.pixels, block.present, slices, block.products(slices), c, seconds[rows.lane]
        )
        # Sums of millions would round a small gain away; blocks add up in double.
        return residuals, float(likelihood)

    gradient, likelihoods = operators.insert(gradient_images, folds)
    gradient = add_friedel_mates(from_table(gradient, c), setting.grid)
    second = np.asarray(sum(seconds[1:], seconds[0]), np.float64)
    return _Fit(volumes, gradient, second, sum(likelihoods) - penalty(volumes, setting))


def _expand(volumes: Complex[Array, "c v"], second: Float[np.ndarray, "c c"]) -> Array:
    """Move the mean of z into the mean map and its covariance into the components."""
    moments = second / second[0, 0]
    mean = moments[0, 1:]
    covariance = moments[1:, 1:] - np.outer(mean, mean)
    if len(covariance) == 0:
        return volumes
    factor = np.linalg.cholesky(covariance + 1e-10 * np.eye(len(covariance)))
    mix = jnp.asarray(
        np.block([[np.ones((1, 1)), mean[None]], [np.zeros((len(mean), 1)), factor.T]])
    )
    return mix.astype(volumes.real.dtype) @ volumes


def start_components(
    mean: Complex[Array, " v"],
    window: Float[Array, "d d d"],
    grid: FourierGrid,
    count: int,
    seed: int,
) -> Complex[Array, "q v"]:
    """Random volumes inside the mask with a tenth of the mean map's amplitude in each shell."""
    d = grid.box_size
    noise = jax.random.normal(jax.random.key(seed), (count, d, d, d), mean.real.dtype)
    random = to_fourier(noise, grid)
    amplitude = jnp.sqrt(shell_means(jnp.abs(mean) ** 2, grid) / d**3)
    shaped = to_real(random * 0.1 * amplitude[grid.voxel_shells], grid)
    return to_fourier(shaped * window, grid)


def fit_basis(
    operators: PixelOperators,
    mean: Complex[Array, " v"],
    mask: Float[np.ndarray, "d d d"],
    options: BasisOptions = BasisOptions(),
    *,
    folds: tuple[int, ...] | None = None,
    nuisance: Complex[Array, "m v"] | None = None,
    components: Complex[Array, "q v"] | None = None,
) -> Basis:
    """Fit mean and components; the penalised log-likelihood rises at every iteration.

    Args:
        operators: of the particles.
        mean: coefficients (`prepare.slicing_values`) of the masked mean map, where the fit starts.
        mask: where the components live: the solvent mask, or a focus mask.
        options: number of components, iterations and priors.
        folds: particles to fit; all where None.
        nuisance: fixed volumes whose coordinates are marginalised, scaled to unit prior width.
        components: where to start from, instead of random volumes.
    """
    prior = (options.mean_prior,) + (options.component_prior,) * options.n_components
    setting = make_setting(operators, folds, mean, mask, nuisance, prior)
    if components is None:
        components = start_components(
            mean, setting.window, operators.grid, options.n_components, options.seed
        )
    n = operators.count(folds)

    def direction(here: _Fit) -> Callable[[float], _Fit]:
        step = ascent_step(here.gradient, here.volumes, jnp.asarray(here.second / n), setting)

        def at(size: float) -> _Fit:
            there = here.volumes + size * step
            if size == 1:
                there = _expand(there, here.second)
            return _pass(operators, folds, there, setting)

        return at

    start = _pass(operators, folds, jnp.concatenate([mean[None], components]), setting)
    fit, history = climb(start, direction, options.iterations, SMALLEST_STEP)
    return order_components(operators, fit.volumes, history)


def order_components(
    operators: PixelOperators, volumes: Complex[Array, "c v"], history: tuple[float, ...] = ()
) -> Basis:
    """Rotate the components to those that images can separate, the strongest first."""
    c = len(volumes)
    if c == 1:
        return Basis(volumes[0], volumes[1:], history)
    table = to_table(volumes)
    _, block = next(operators.blocks())
    found = joint_moments(block.products(block.slices(table, c)))[1]
    quadratic = np.asarray(jnp.sum(found, 0), np.float64)
    _, vectors = np.linalg.eigh(quadratic)
    rotation = jnp.asarray(vectors[:, ::-1].T.copy(), volumes.real.dtype)
    return Basis(volumes[0], rotation @ volumes[1:], history)
