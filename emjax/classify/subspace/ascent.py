"""The ascending M-step: prior, mask and majorant that stay fixed, the step, and the climb.

Q's curvature Σ w² E couples voxels through interpolation. Since the weights t of a pixel are
positive and add up to one, the diagonal Σ w² t bounds it (Jensen), so A⁻¹∇Q climbs. What mask and
gridding take from that, halving the step gives back.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from emjax.classify.operators.pixels import PixelBlock, PixelOperators, PixelRows
from emjax.imaging.grids import (
    FourierGrid,
    add_friedel_mates,
    gridding,
    shell_means,
    to_fourier,
    to_real,
)


class Setting(eqx.Module):
    """What stays fixed over the iterations for c volumes."""

    window: Float[Array, "d d d"]  # mask / gridding
    majorant: Float[Array, " v"]  # Σ w² t by voxel, mates added
    precision: Float[Array, "c v"]  # of the prior of each volume
    nuisance: Complex[Array, "m v"]
    grid: FourierGrid


def make_setting(
    operators: PixelOperators,
    folds: tuple[int, ...] | None,
    mean: Complex[Array, " v"],
    mask: Float[np.ndarray, "d d d"],
    nuisance: Complex[Array, "m v"] | None,
    variances: tuple[float, ...],
) -> Setting:
    """Setting of a fit.

    Args:
        operators: of the particles.
        folds: particles to fit; all where None.
        mean: coefficients of the mean map, whose power in a shell is the unit of the prior.
        mask: inside which the volumes may differ from where they start.
        nuisance: fixed volumes.
        variances: prior variance of each volume.
    """
    grid, dtype = operators.grid, mean.real.dtype

    def images_of_weights(_: PixelRows, block: PixelBlock) -> tuple[Array, None]:
        weights = block.weights()
        return jnp.stack([weights, jnp.zeros_like(weights)], -1).reshape(len(weights), 1, -1), None

    # Inserting multiplies by the weights once more: Σ over pixels of w² t.
    majorant = operators.insert(images_of_weights, folds)[0][:, 0].astype(dtype)
    power = shell_means(jnp.abs(mean) ** 2, grid)
    power = jnp.maximum(power, 1e-6 * jnp.max(power))[grid.voxel_shells]
    return Setting(
        window=jnp.asarray(mask / gridding(grid.box_size), dtype),
        majorant=add_friedel_mates(majorant, grid),
        precision=(1 / (jnp.asarray(variances)[:, None] * power)).astype(dtype),
        nuisance=jnp.zeros((0, mean.shape[0]), mean.dtype) if nuisance is None else nuisance,
        grid=grid,
    )


@jax.jit
def _penalty_sum(
    volumes: Complex[Array, "c v"], precision: Float[Array, "c v"], on_plane: Bool[Array, " v"]
) -> Float[Array, ""]:
    # Rows on the plane x = 0 stand there with their mates.
    weight = jnp.where(on_plane, 0.5, 1.0)
    return 0.5 * jnp.sum(weight * precision * jnp.abs(volumes) ** 2)


def penalty(volumes: Complex[Array, "c v"], setting: Setting) -> float:
    """−log of the prior of the volumes, without its constant."""
    return float(_penalty_sum(volumes, setting.precision, setting.grid.kxyz[:, 0] == 0))


@eqx.filter_jit
def ascent_step(
    gradient: Complex[Array, "c v"],
    volumes: Complex[Array, "c v"],
    second: Float[Array, "c c"],
    setting: Setting,
) -> Complex[Array, "c v"]:
    """F[mask/gc · F⁻¹[A⁻¹(∇Q − V/prior)]]: the preconditioned ascent direction inside the mask.

    Args:
        gradient: ∇Q with mates added.
        volumes: where it was taken.
        second: mean over particles of E[e eᵀ]; poses do not depend on it, so A = second × Σ w².
        setting: of the fit.
    """
    total = gradient - setting.precision * volumes
    identity = jnp.eye(len(volumes), dtype=total.real.dtype)
    system = second.astype(identity.dtype) * setting.majorant[:, None, None]
    system = system + identity * (setting.precision.T[:, None, :] + 1e-12)
    solved = jnp.linalg.solve(system, jnp.stack([total.real.T, total.imag.T], -1))
    step = jax.lax.complex(solved[..., 0], solved[..., 1]).T
    return to_fourier(to_real(step, setting.grid) * setting.window, setting.grid)


@runtime_checkable
class Point(Protocol):
    """Where a climb may stand: whatever a pass over the particles found there."""

    @property
    def objective(self) -> float:
        """What the climb raises."""
        ...


Place = TypeVar("Place", bound=Point)


def climb(
    here: Place,
    direction: Callable[[Place], Callable[[float], Place]],
    iterations: int,
    smallest: float,
) -> tuple[Place, tuple[float, ...]]:
    """Steps that never lower the objective: one that does is halved until it no longer does.

    Args:
        here: where to start.
        direction: from a place to what lies at a fraction of the full step away from it.
        iterations: at most; fewer where no step raises the objective.
        smallest: fraction of a step below which it is not halved again.

    Returns:
        The last place, and the objective of every place on the way.
    """
    history = [here.objective]
    for _ in range(iterations):
        at, size = direction(here), 1.0
        there = at(size)
        while not there.objective >= here.objective and size >= smallest:
            size /= 2
            there = at(size)
        if not there.objective >= here.objective:
            break
        here = there
        history.append(here.objective)
    return here, tuple(history)
