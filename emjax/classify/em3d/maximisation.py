"""M-step: class maps from their sums, filtered by their own FSC, symmetrised, masked."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Scene
from emjax.classify.operators.accumulator import Sums
from emjax.imaging.fsc import fourier_shell_correlation
from emjax.imaging.grids import FourierGrid, to_fourier, to_real
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


@eqx.filter_jit
def _solve_differences(
    numerator: Complex[Array, "2 k v"],
    denominator: Float[Array, "2 k v"],
    scene: Scene,
    grid: FourierGrid,
    symmetry: str,
) -> Float[Array, "k d d d"]:
    numerator, denominator = symmetrise_sums(numerator, denominator, grid, symmetry)
    mask = scene.solvent_mask * scene.focus_mask

    def one(args, fsc_filter=False):
        return solve_map(args[0], args[1], scene.solvent_mask, grid, fsc_filter)

    everyone = numerator.sum(1), denominator.sum(1)
    joint, (unfiltered, joint_halves, _) = one(everyone, True)[0], one(everyone)

    def difference(args):
        found, halves, _ = one(args)
        first, second = to_fourier((halves - joint_halves) * mask, grid)
        fsc = fourier_shell_correlation(first, second, grid)
        weight = jnp.clip(2 * fsc / (1 + fsc), 0, 1)[grid.voxel_shells]
        return to_real(to_fourier((found - unfiltered) * mask, grid) * weight, grid)

    sums = jnp.moveaxis(numerator, 0, 1), jnp.moveaxis(denominator, 0, 1)
    return joint + jax.lax.map(difference, sums)


def solve_differences(
    sums: Sums, columns: slice, scene: Scene, grid: FourierGrid, symmetry: str
) -> Float[Array, "k d d d"]:
    """Maps of the classes of one run (unmasked): that of all its particles, and their differences.

    The differences, weaker than the maps, are filtered by the FSC of their own half-maps, what is
    common to the classes by its own: V̄ + w·(V_k − V̄) with w = 2·FSC/(1 + FSC).

    Args:
        sums: of all runs.
        columns: those of the run.
        scene: with the masks, inside of which the FSC is taken.
        grid: pixels and voxels.
        symmetry: the point group that every map gets.

    Source: Rosenthal & Henderson, J. Mol. Biol. 333 (2003) 721, for the weight.
    """
    parts = jnp.asarray(sums.numerator[:, columns]), jnp.asarray(sums.denominator[:, columns])
    return _solve_differences(*parts, scene, grid, symmetry)


@jax.jit
def mask_volumes(maps: Float[Array, "k d d d"], scene: Scene) -> Float[Array, "k d d d"]:
    """M(V) = S·(F·V + (1−F)·V̄): outside the focus mask the mean map stands in."""
    inside = scene.focus_mask * maps + (1 - scene.focus_mask) * scene.mean_map
    return scene.solvent_mask * inside
