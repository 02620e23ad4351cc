"""Central slices of a volume (projection) and their adjoint (back-projection).

A slice is read at k3D = Aᵀ (kx, ky, 0) by trilinear interpolation, A = Rz(psi)·Ry(tilt)·Rz(rot).
Points with x < 0 are folded to their Friedel mate, so weights are real and only the half volume is
stored; the conjugation moves to the image (`fold`), once. Trilinear interpolation multiplies the
real-space volume by Πsinc² (`grids.gridding`): divide by it before slicing.
"""

import functools
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Complex, Float, Int

from emjax.errors import InputError
from emjax.imaging.grids import FourierGrid


class Slices(eqx.Module):
    """Where the pixels of central slices lie in the half volume."""

    voxels: Int[Array, "n p 8"]
    weights: Float[Array, "n p 8"]
    folded: Bool[Array, "n p"]


def _points(plane: Float[Array, "p 2"], rotations: Float[Array, "n 3 3"]) -> Float[Array, "n p 3"]:
    """Where pixels lie in the volume; in highest precision, or a GPU would round to ten bits."""
    return jnp.einsum("pi,nix->npx", plane, rotations[:, :2, :], precision="highest")


def cells(
    points: Float[Array, "*p 3"],
) -> tuple[Bool[Array, "*p"], Int[Array, "*p 3"], Float[Array, "*p 3"]]:
    """Which points were folded to x ≥ 0; the lowest voxel of the cell each lies in, and where."""
    folded = points[..., 0] < 0
    points = jnp.where(folded[..., None], -points, points)
    corner = jnp.floor(points)
    return folded, corner.astype(jnp.int32), points - corner


def corners(
    corner: Int[Array, "*p 3"], fraction: Float[Array, "*p 3"]
) -> Iterator[tuple[Int[Array, "*p 3"], Float[Array, "*p"]]]:
    """The eight voxels around points of `cells`, and the trilinear weight of each."""
    for offset in range(8):
        step = jnp.array([offset & 1, offset >> 1 & 1, offset >> 2 & 1])
        yield corner + step, jnp.prod(jnp.where(step == 1, fraction, 1 - fraction), -1)


def make_slices(rotations: Float[Array, "n 3 3"], grid: FourierGrid) -> Slices:
    """Trilinear weights of the slices of n poses, folded to x ≥ 0.

    Args:
        rotations: A = Rz(psi)·Ry(tilt)·Rz(rot) of each particle.
        grid: pixels and voxels.
    """
    plane = grid.padding * jnp.stack([grid.kx, grid.ky], -1).astype(rotations.dtype)
    points = _points(plane, rotations)
    folded, corner, fraction = cells(points)
    edge = grid.lookup.shape[1] // 2
    voxels, weights = [], []
    for place, weight in corners(corner, fraction):
        x, y, z = jnp.moveaxis(place, -1, 0)
        voxels.append(grid.lookup[x, y + edge, z + edge])
        weights.append(weight)
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


def table_shape(grid: FourierGrid) -> tuple[int, int, int, int]:
    """Of sums for `insert_images`: a box around the half volume, x ≥ 0, y and z centred.

    Raises:
        InputError: where places in it would not fit in 32 bits (boxes above some 1120 voxels).
    """
    edge = grid.padding * grid.radius + 2
    if (places := 12 * edge**3) >= 2**31:
        raise InputError(
            place="box",
            found=f"{grid.box_size} voxels, whose {places:.1e} sums cannot be counted in 32 bits",
            expected="at most about 1120; bin the particles",
        )
    return edge, 2 * edge - 1, 2 * edge - 1, 3


def empty_table(grid: FourierGrid) -> Float[Array, "X Y Z 3"]:
    """Zero sums for `insert_images`."""
    return jnp.zeros(table_shape(grid), jnp.float32)


# The three sums of two neighbours in z lie side by side: one window of six floats.
_WINDOW = lax.ScatterDimensionNumbers(
    update_window_dims=(1,), inserted_window_dims=(), scatter_dims_to_operand_dims=(0,)
)


def insert_images(
    table: Float[Array, "X Y Z 3"],
    images: Complex[Array, "n p"],
    weights: Float[Array, "n p"],
    rotations: Float[Array, "n 3 3"],
    grid: FourierGrid,
) -> Float[Array, "X Y Z 3"]:
    """Add Σ w·Pᵀ F (real, imaginary) and Σ w²·PᵀP (diagonal) of particles to a table in place.

    The sums of `insert_slices` and `insert_weights` 2.5 times as fast: no table of voxels is
    looked up, and a point adds four windows instead of 3 × 8 numbers. On a CPU particles are added
    in their order, the same bits each time.

    Args:
        table: as of `empty_table`; its memory is taken over.
        images: whitened pixels.
        weights: what slices are multiplied with to be compared with the images.
        rotations: poses.
        grid: pixels; voxels are not needed.
    """
    plane = jnp.stack([grid.kx, grid.ky], -1).astype(rotations.dtype)
    return _insert(table, images, weights, rotations, grid.padding * plane)


@functools.partial(jax.jit, donate_argnums=0)
def _insert(table, images, weights, rotations, plane):
    shape = table.shape
    folded, corner, fraction = cells(_points(plane, rotations))
    fx, fy, fz = jnp.moveaxis(fraction, -1, 0)
    x, y, z = jnp.moveaxis(corner, -1, 0)
    numerator = images * weights
    imaginary = jnp.where(folded, -numerator.imag, numerator.imag)
    sums = jnp.stack([numerator.real, imaginary, weights**2], -1)
    pair = jnp.concatenate([sums * (1 - fz)[..., None], sums * fz[..., None]], -1)
    start = (x * shape[1] + y + shape[1] // 2) * shape[2] + z + shape[2] // 2
    places, updates = [], []
    for dx, wx in enumerate((1 - fx, fx)):
        for dy, wy in enumerate((1 - fy, fy)):
            places.append(3 * (start + (dx * shape[1] + dy) * shape[2]))
            updates.append((wx * wy)[..., None] * pair)
    added = lax.scatter_add(
        table.ravel(),
        jnp.stack(places, -1).reshape(-1, 1),
        jnp.stack(updates, -2).reshape(-1, 6),
        _WINDOW,
        # A matrix that is not a rotation must not write beyond the table.
        mode=lax.GatherScatterMode.FILL_OR_DROP,
    )
    return added.reshape(shape)


def table_rows(
    table: Float[Array, "X Y Z 3"], grid: FourierGrid
) -> tuple[Complex[Array, " v"], Float[Array, " v"]]:
    """Numerator and denominator of a table at the rows of the half volume; no mates added."""
    x, y, z = grid.kxyz.T
    rows = table[x, y + table.shape[1] // 2, z + table.shape[2] // 2]
    return lax.complex(rows[:, 0], rows[:, 1]), rows[:, 2]
