"""Optima of a subspace as classifications."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.classify.classification import Classification
from emjax.classify.operators.pixels import PixelOperators
from emjax.classify.subspace.basis import Basis
from emjax.classify.subspace.mixture import SeededFits, assign, posteriors_and_gain
from emjax.classify.subspace.optima import Optimum
from emjax.classify.subspace.polish import polish
from emjax.classify.subspace.statistics import Statistics
from emjax.classify.subspace.volumes import class_coefficients, to_maps
from emjax.imaging.grids import FourierGrid


class Polishing(NamedTuple):
    """Full-volume iterations that a kept optimum goes through."""

    operators: PixelOperators
    mask: Float[np.ndarray, "d d d"]
    iterations: int
    pose_derivatives: Complex[Array, "u v"] | None = None


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
