"""Central slices of a volume (projection) and their adjoint (back-projection).

A slice is read at k3D = Aᵀ (kx, ky, 0) by trilinear interpolation, A = Rz(psi)·Ry(tilt)·Rz(rot).
Points with x < 0 are folded to their Friedel mate, so weights are real and only the half volume is
stored; the conjugation moves to the image (`fold`), once. Trilinear interpolation multiplies the
real-space volume by Πsinc² (`grids.gridding`): divide by it before slicing.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from emjax.imaging.grids import FourierGrid


class Slices(eqx.Module):
    """Where the pixels of central slices lie in the half volume."""

    voxels: Int[Array, "n p 8"]
    weights: Float[Array, "n p 8"]
    folded: Bool[Array, "n p"]


def make_slices(rotations: Float[Array, "n 3 3"], grid: FourierGrid) -> Slices:
    """Trilinear weights of the slices of n poses, folded to x ≥ 0.

    Args:
        rotations: A = Rz(psi)·Ry(tilt)·Rz(rot) of each particle.
        grid: pixels and voxels.
    """
    plane = jnp.stack([grid.kx, grid.ky], -1).astype(rotations.dtype)
    points = jnp.einsum("pi,nix->npx", grid.padding * plane, rotations[:, :2, :])
    folded = points[..., 0] < 0
    points = jnp.where(folded[..., None], -points, points)
    corner = jnp.floor(points)
    fraction = points - corner
    corner = corner.astype(jnp.int32)
    edge = grid.lookup.shape[1] // 2
    voxels, weights = [], []
    for offset in range(8):
        step = jnp.array([offset & 1, offset >> 1 & 1, offset >> 2 & 1])
        x, y, z = jnp.moveaxis(corner + step, -1, 0)
        voxels.append(grid.lookup[x, y + edge, z + edge])
        weights.append(jnp.prod(jnp.where(step == 1, fraction, 1 - fraction), -1))
    return Slices(jnp.stack(voxels, -1), jnp.stack(weights, -1), folded)


def fold(pixels: Complex[Array, "n p"], slices: Slices) -> Complex[Array, "n p"]:
    """Conjugate the pixels whose points were folded; its own inverse."""
    return jnp.where(slices.folded, pixels.conj(), pixels)


def slice_volume(values: Complex[Array, " v"], slices: Slices) -> Complex[Array, "n p"]:
    """Central slices of one volume given by its Fourier coefficients."""
    gathered = jnp.sum(values[slices.voxels] * slices.weights, -1)
    return fold(gathered, slices)


def insert_slices(
    pixels: Complex[Array, "n p"], slices: Slices, n_voxels: int
) -> Complex[Array, " v"]:
    """Adjoint of `slice_volume` (over the reals): add pixels into the half volume.

    Rows on the plane x = 0 still want `grids.add_friedel_mates`.
    """
    values = fold(pixels, slices)[..., None] * slices.weights
    return jnp.zeros(n_voxels, pixels.dtype).at[slices.voxels].add(values)


def insert_weights(
    weights: Float[Array, "n p"], slices: Slices, n_voxels: int
) -> Float[Array, " v"]:
    """Add real pixel weights into the half volume: the diagonal that normalises an insertion."""
    values = weights[..., None] * slices.weights
    return jnp.zeros(n_voxels, weights.dtype).at[slices.voxels].add(values)


def shift_phases(
    shifts: Float[Array, "n 2"], grid: FourierGrid, extent: float | Float[Array, ""]
) -> Complex[Array, "n p"]:
    """Phase factors exp(+2πi k·shift / extent) that move a particle to the box centre.

    Args:
        shifts: origins x, y in Å as RELION writes them (the particle lies at minus the origin).
        grid: pixels.
        extent: box size × pixel size in Å.
    """
    angle = jnp.outer(shifts[:, 0], grid.kx) + jnp.outer(shifts[:, 1], grid.ky)
    return jnp.exp(-2j * jnp.pi * angle / extent)
