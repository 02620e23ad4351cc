"""Optima of a subspace as classifications."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.classify.classification import Classification
from emjax.classify.operators.pixels import PixelOperators, make_pixel_operators
from emjax.classify.pose_error import PoseError, nuisance_coefficients
from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.mixture import SeededFits, assign, posteriors_and_gain
from emjax.classify.subspace.optima import Optimum
from emjax.classify.subspace.polish import polish
from emjax.classify.subspace.statistics import Statistics
from emjax.classify.subspace.volumes import class_coefficients, to_maps
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles
from emjax.imaging.prepare import MeanMap


class Polishing(NamedTuple):
    """Full-volume iterations that a kept optimum goes through."""

    operators: PixelOperators
    mask: Float[np.ndarray, "d d d"]
    iterations: int
    pose_derivatives: Complex[Array, "u v"] | None = None


def full_maps(
    particles: Particles,
    mean: MeanMap,
    mask: Float[np.ndarray, "d d d"],
    iterations: int,
    pose_error: PoseError | None,
    max_memory_gb: float,
) -> Polishing:
    """What full-volume iterations of some particles need.

    Args:
        particles: that take part.
        mean: mean map; its derivatives are what pose errors do.
        mask: where classes may differ.
        iterations: at most.
        pose_error: width that is marginalised; None for exact poses.
        max_memory_gb: for the images' operators.
    """
    operators = make_pixel_operators(particles, max_memory_gb=max_memory_gb)
    derivatives = pose_error and nuisance_coefficients(
        mean.volume, mean.solvent_mask, particles.grid, particles.voxel_size, pose_error
    )
    return Polishing(operators, mask, iterations, derivatives)


class Kept(NamedTuple):
    """An optimum that becomes a run."""

    labels: Int[np.ndarray, " n"]  # in the subspace, before polishing
    found: Classification


def keep_optima(
    basis: Basis,
    statistics: Statistics,
    fits: SeededFits,
    optima: list[Optimum],
    keep: int,
    grid: FourierGrid,
    polishing: Polishing | None = None,
) -> Iterator[Kept]:
    """The best optima of one number of classes, from the best; the last stands for missing ones.

    Args:
        basis: of the subspace.
        statistics: of all particles in it.
        fits: every seed.
        optima: distinct ones, from the best.
        keep: how many.
        grid: of the maps.
        polishing: further iterations with full maps, if any.
    """
    for number in range(keep):
        optimum = optima[min(number, len(optima) - 1)]
        z, weights = fits.coordinates[optimum.row], fits.class_weights[optimum.row]
        posteriors, gain = posteriors_and_gain(statistics, z, weights)
        values = class_coefficients(basis, z)
        if polishing is not None:
            operators, mask, iterations, derivatives = polishing
            refined = polish(operators, values, weights, mask, iterations, derivatives)
            posteriors, values = refined.posteriors, refined.volumes
        found = Classification(
            method="subspace",
            labels=posteriors.argmax(1),
            posteriors=posteriors,
            seed=int(fits.seeds[optimum.row]),
            maps=to_maps(values, grid),
            log_likelihood=float(gain.mean()),
            converged=bool(fits.converged[optimum.row]),
            iterations=int(fits.iterations[optimum.row]),
            facts={
                "optimum": number + 1,
                "reached_by": len(optimum.members) / len(fits.seeds),
            },
        )
        yield Kept(assign(statistics, z[None], weights[None])[:, 0], found)
