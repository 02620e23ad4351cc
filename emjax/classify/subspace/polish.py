"""Full-volume iterations after the subspace: what the basis could not express.

Expectation-maximisation over K volumes with the ascending M-step of the basis, so that the
likelihood never falls; pose errors may be marginalised along the same derivative volumes.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators.pixels import (
    PixelBlock,
    PixelOperators,
    from_table,
    insert_residuals,
    slice_table,
    to_table,
)
from emjax.classify.pose_error import marginal_likelihoods
from emjax.classify.subspace.ascent import Setting, ascent_step, make_setting, penalty
from emjax.imaging.grids import add_friedel_mates


@dataclass(frozen=True)
class Polished:
    """Classes after full-volume iterations."""

    volumes: Complex[Array, "k v"]
    class_weights: Float[np.ndarray, " k"]
    posteriors: Float[np.ndarray, "n k"]
    objective: tuple[float, ...]


@eqx.filter_jit
def _moments(
    block: PixelBlock, table: Float[Array, "v w"], log_weights: Float[Array, " k"], n_volumes: int
):
    """Posteriors, their gradient images' insertion, and the log-likelihood of one block."""
    k = log_weights.shape[0]
    slices = slice_table(block, table, n_volumes)
    pixels = block.pixels.reshape(len(slices), -1)
    ell, residuals = marginal_likelihoods(pixels, slices[:, :k], slices[:, k:])
    scores = ell + log_weights
    posterior = jax.nn.softmax(scores, -1) * block.present[:, None]
    gradient = insert_residuals(block, posterior[..., None] * residuals)
    evidence = jnp.sum(jax.nn.logsumexp(scores, -1) * block.present)
    return posterior, gradient, evidence


def _pass(operators, volumes, weights, setting: Setting):
    table = to_table(jnp.concatenate([volumes, setting.nuisance]))
    k, total = len(volumes), len(volumes) + len(setting.nuisance)
    posteriors = np.zeros((operators.particles.n, k), np.float32)
    gradient = jnp.zeros((table.shape[0], 2 * (k + -k % 4)), table.dtype)
    likelihood = 0.0
    log_weights = jnp.log(jnp.maximum(jnp.asarray(weights, table.dtype), 1e-12))
    for rows, block in operators.blocks():
        posterior, part, evidence = _moments(block, table, log_weights, total)
        posteriors[rows] = np.asarray(posterior)[: len(rows)]
        gradient, likelihood = gradient + part, likelihood + float(evidence)
    gradient = add_friedel_mates(from_table(gradient, k), setting.grid)
    return posteriors, gradient, likelihood - penalty(volumes, setting)


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
    posteriors, gradient, objective = _pass(operators, volumes, weights, setting)
    history = [objective]
    for _ in range(iterations):
        mass = posteriors.sum(0, dtype=np.float64)
        new_weights = mass / mass.sum()
        system = jnp.asarray(np.diag(mass / mass.sum()))
        step = ascent_step(gradient, volumes, system, setting)
        size = 1.0
        while True:
            trial = _pass(operators, volumes + size * step, new_weights, setting)
            if trial[2] >= objective or size < 0.1:
                break
            size /= 2
        if trial[2] < objective:
            break
        volumes, weights = volumes + size * step, new_weights
        posteriors, gradient, objective = trial
        history.append(objective)
    return Polished(volumes, weights, posteriors, tuple(history))
