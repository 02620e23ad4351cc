"""Full-volume iterations after the subspace: what the basis could not express.

EM over K volumes with the ascending M-step of the basis, so that the
likelihood never falls; pose errors may be marginalised along the same derivative volumes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators.pixels import (
    PixelBlock,
    PixelOperators,
    PixelRows,
    from_table,
    to_table,
)
from emjax.classify.pose_error import marginal_likelihoods
from emjax.classify.subspace.ascent import Setting, ascent_step, climb, make_setting, penalty
from emjax.imaging.grids import add_friedel_mates

SMALLEST_STEP = 0.1  # of a full one


@dataclass(frozen=True)
class Polished:
    """Classes after full-volume iterations."""

    volumes: Complex[Array, "k v"]
    class_weights: Float[np.ndarray, " k"]
    posteriors: Float[np.ndarray, "n k"]
    objective: tuple[float, ...]


class _Fit(NamedTuple):
    """Classes, and what a pass over the particles found there."""

    volumes: Complex[Array, "k v"]
    class_weights: Float[np.ndarray, " k"]
    posteriors: Float[np.ndarray, "n k"]
    gradient: Complex[Array, "k v"]
    objective: float  # penalised log-likelihood


@jax.jit
def _moments(
    pixels: Float[Array, "b p 2"],
    present: Float[Array, " b"],
    slices: Float[Array, "b c t"],
    log_weights: Float[Array, " k"],
) -> tuple[Float[Array, "b k"], Float[Array, "b k t"], Float[Array, ""]]:
    """Posteriors, gradient images and the log-likelihood of one block."""
    k, flat = log_weights.shape[0], pixels.reshape(len(slices), -1)
    ell, residuals = marginal_likelihoods(flat, slices[:, :k], slices[:, k:])
    scores = ell + log_weights
    posterior = jax.nn.softmax(scores, -1) * present[:, None]
    evidence = jnp.sum(jax.nn.logsumexp(scores, -1) * present)
    return posterior, posterior[..., None] * residuals, evidence


def _pass(
    operators: PixelOperators,
    volumes: Complex[Array, "k v"],
    class_weights: Float[np.ndarray, " k"],
    setting: Setting,
) -> _Fit:
    table = to_table(jnp.concatenate([volumes, setting.nuisance]))
    k, total = len(volumes), len(volumes) + len(setting.nuisance)
    posteriors = np.zeros((operators.particles.n, k), np.float32)
    log_weights = jnp.log(jnp.maximum(jnp.asarray(class_weights, table.dtype), 1e-12))

    def gradient_images(own: PixelRows, block: PixelBlock) -> tuple[Array, float]:
        slices = block.slices(table, total)
        posterior, images, evidence = _moments(block.pixels, block.present, slices, log_weights)
        posteriors[own.rows] = np.asarray(posterior)[: len(own.rows)]
        return images, float(evidence)

    gradient, likelihoods = operators.insert(gradient_images)
    gradient = add_friedel_mates(from_table(gradient, k), setting.grid)
    objective = sum(likelihoods) - penalty(volumes, setting)
    return _Fit(volumes, class_weights, posteriors, gradient, objective)


def polish(
    operators: PixelOperators,
    volumes: Complex[Array, "k v"],
    class_weights: Float[np.ndarray, " k"],
    mask: Float[np.ndarray, "d d d"],
    iterations: int = 8,
    nuisance: Complex[Array, "m v"] | None = None,
) -> Polished:
    """Refine class volumes at full freedom inside the mask; the objective never falls.

    Args:
        operators: of all particles.
        volumes: coefficients of the classes to start from.
        class_weights: π_k.
        mask: solvent (or focus) mask.
        iterations: at most.
        nuisance: first derivatives by pose, scaled to the prior width.
    """
    k = len(volumes)
    weights = np.asarray(class_weights, np.float64)
    mean = jnp.asarray(weights, volumes.real.dtype) @ volumes
    setting = make_setting(operators, None, mean, mask, nuisance, (4.0,) * k)

    def direction(here: _Fit) -> Callable[[float], _Fit]:
        mass = here.posteriors.sum(0, dtype=np.float64)
        shares = mass / mass.sum()
        step = ascent_step(here.gradient, here.volumes, jnp.asarray(np.diag(shares)), setting)
        return lambda size: _pass(operators, here.volumes + size * step, shares, setting)

    start = _pass(operators, volumes, weights, setting)
    found, history = climb(start, direction, iterations, SMALLEST_STEP)
    return Polished(found.volumes, found.class_weights, found.posteriors, history)
