"""Maps from sums over particles, and the coefficients that maps are sliced from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.errors import InputError
from emjax.imaging.fsc import (
    flat_precision,
    fourier_shell_correlation,
    regularised,
    wiener_precision,
)
from emjax.imaging.grids import (
    FourierGrid,
    add_friedel_mates,
    gridding,
    shell_means,
    to_fourier,
    to_real,
)
from emjax.imaging.insertion import add_images, new_table
from emjax.imaging.particles import CHUNK, Particles, chunks, weights_of
from emjax.imaging.projector import table_rows
from emjax.imaging.symmetry import symmetrise_sums
from emjax.resolution import lowpass_weights


def back_project(
    particles: Particles, grid: FourierGrid, point_group: str = "C1"
) -> tuple[Complex[Array, "2 v"], Float[Array, "2 v"]]:
    """Numerator Σ w·Pᵀ F and denominator Σ w² PᵀP of each half-set (diagonal), mates added.

    Particles enter with their `weight`; of weight 0 not even the image is read.

    Raises:
        InputError: where a half-set holds no particle of weight above 0.
    """
    sums = []
    for h in (1, 2):
        members = np.flatnonzero((particles.half == h) & (particles.weight > 0))
        if not len(members):
            found = "no particle of weight above 0"
            raise InputError(place=f"half-set {h}", found=found, expected="at least one image")
        table = new_table(grid)
        size = min(CHUNK, len(members))
        for rows in chunks(len(members), size):
            # The last chunk is filled up with particles of zero weight.
            part = particles.take(members[np.resize(rows, size)])
            # Numerator and denominator are both linear in the weight.
            root = jnp.asarray(np.sqrt(part.weight) * (np.arange(size) < len(rows)))[:, None]
            weights = weights_of(part, grid) * root
            table = add_images(
                table, jnp.asarray(part.images) * root, weights, part.rotations, grid
            )
        sums.append(table_rows(jnp.asarray(table), grid))
    numerator, denominator = (jnp.stack(half) for half in zip(*sums, strict=True))
    return symmetrise_sums(
        add_friedel_mates(numerator, grid), add_friedel_mates(denominator, grid), grid, point_group
    )


@eqx.filter_jit
def solve_map(
    numerator: Complex[Array, "2 v"],
    denominator: Float[Array, "2 v"],
    mask: Float[Array, "d d d"],
    grid: FourierGrid,
    fsc_filter: bool = True,
) -> tuple[Float[Array, "d d d"], Float[Array, "2 d d d"], Float[Array, " s"]]:
    """Map and half-maps (real space, unmasked) with the FSC of the masked half-maps.

    Each half is hardly filtered, the joint map by the Wiener filter from the FSC of the halves.
    """
    window = jnp.asarray(gridding(grid.box_size))
    total = denominator[0] + denominator[1]
    level, shells = shell_means(total, grid), grid.voxel_shells
    flat = flat_precision(level)
    pair = [regularised(numerator[h], denominator[h], flat, shells) for h in (0, 1)]
    halves = to_real(jnp.stack(pair), grid) / window
    masked = to_fourier(halves * mask, grid)
    fsc = fourier_shell_correlation(masked[0], masked[1], grid)
    prior = wiener_precision(fsc, level) if fsc_filter else flat_precision(level)
    joint = regularised(numerator[0] + numerator[1], total, prior, shells)
    return to_real(jnp.asarray(joint), grid) / window, halves, fsc


@jax.jit
def slicing_values(volumes: Float[Array, "*k d d d"], grid: FourierGrid) -> Complex[Array, "*k v"]:
    """Coefficients to slice by trilinear interpolation: its real-space window divided out."""
    return to_fourier(volumes / jnp.asarray(gridding(grid.box_size)), grid)


@eqx.filter_jit
def lowpass(
    maps: Float[Array, "*k d d d"], grid: FourierGrid, radius: Float[Array, ""]
) -> Float[Array, "*k d d d"]:
    """Maps without frequencies beyond a radius in Fourier pixels: `lowpass_weights`, cut hard."""
    frequency = jnp.sqrt(jnp.sum(grid.kxyz**2, -1).astype(jnp.float32))
    return to_real(to_fourier(maps, grid) * lowpass_weights(frequency, radius), grid)
