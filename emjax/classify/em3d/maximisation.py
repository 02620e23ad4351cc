"""M-step: class maps from their sums, filtered by their own FSC, symmetrised, masked."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Scene
from emjax.classify.operators.accumulator import Sums
from emjax.imaging.grids import FourierGrid
from emjax.imaging.maps import solve_map
from emjax.imaging.symmetry import symmetrise_sums


@eqx.filter_jit
def _solve(
    numerator: Complex[Array, "2 k v"],
    denominator: Float[Array, "2 k v"],
    scene: Scene,
    grid: FourierGrid,
    fsc_filter: bool,
    symmetry: str,
) -> tuple[Float[Array, "k d d d"], Float[Array, "2 k d d d"], Float[Array, "k s"]]:
    numerator, denominator = symmetrise_sums(numerator, denominator, grid, symmetry)

    def one(args):
        return solve_map(args[0], args[1], scene.solvent_mask, grid, fsc_filter)

    maps, halves, fsc = jax.lax.map(
        one, (jnp.moveaxis(numerator, 0, 1), jnp.moveaxis(denominator, 0, 1))
    )
    return maps, jnp.moveaxis(halves, 1, 0), fsc


def solve_classes(
    sums: Sums, columns: slice, scene: Scene, grid: FourierGrid, options: Em3dOptions
) -> tuple[Float[Array, "k d d d"], Float[Array, "2 k d d d"], Float[Array, "k s"]]:
    """Maps of the classes of one run (unmasked), their half-maps and FSC.

    Args:
        sums: of all runs.
        columns: those of the run.
        scene: with the solvent mask, inside of which the FSC is taken.
        grid: pixels and voxels.
        options: `fsc_filter`, a Wiener filter from each class's FSC, else hardly any prior;
            `symmetry`, the point group that every map gets.
    """
    return _solve(
        jnp.asarray(sums.numerator[:, columns]),
        jnp.asarray(sums.denominator[:, columns]),
        scene,
        grid,
        options.fsc_filter,
        options.symmetry,
    )


@jax.jit
def mask_volumes(maps: Float[Array, "k d d d"], scene: Scene) -> Float[Array, "k d d d"]:
    """M(V) = S·(F·V + (1−F)·V̄): outside the focus mask the mean map stands in."""
    inside = scene.focus_mask * maps + (1 - scene.focus_mask) * scene.mean_map
    return scene.solvent_mask * inside
