"""Slices of many volumes and their adjoint as sparse matrices in plain JAX.

Both matrices are kept by pixel: W (pixels × voxels, weights inside) and Wᵀ as its own rows, both
read in order without a scatter.
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCSR
from jaxtyping import Array, Complex, Float, Int
from scipy.sparse import csc_array, csc_matrix, csr_matrix

from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles, weights_of
from emjax.imaging.projector import make_slices

COLUMNS = 8  # products with other widths are several times slower

Sums: TypeAlias = Float[Array, "v w"] | Float[np.ndarray, "v w"]


class MatrixBlock(eqx.Module):
    """W, Wᵀ and the pixels of b particles."""

    pixels: Float[Array, "b p 2"]
    signs: Float[Array, "b p 2"]  # −1 for imaginary parts where the mate lies in the half ball
    present: Float[Array, " b"]  # 1, and 0 for padding
    slicing: tuple[Float[Array, " m"], Int[Array, " m"], Int[Array, " r"]]
    adjoint: tuple[Float[Array, " m"], Int[Array, " m"], Int[Array, " w"]]
    n_voxels: int = eqx.field(static=True)

    def weights(self) -> Float[Array, "b p"]:
        """CTF, scale and noise of each pixel."""
        return _weights(self)

    def slices(self, table: Float[Array, "v w"], n_volumes: int) -> Float[Array, "b c t"]:
        """CPV of every particle and volume of a table, real and imaginary parts as one axis."""
        return _slices(self, table, n_volumes)

    def products(self, slices: Float[Array, "b c t"]) -> Float[Array, "b r c"]:
        """Inner products of a particle's slices with each other and, last row, with its image."""
        return inner_products(self.pixels, slices)

    def insert(self, residuals: Float[Array, "b c t"], sums: Sums | None) -> Sums:
        """Sums with Wᵀ of c residual images per particle added; the adjoint of slicing."""
        inserted = _inserted(self, residuals)
        return inserted if sums is None else sums + inserted


def megabytes(n: int, grid: FourierGrid, wordsize: int) -> float:
    """Memory of the blocks of n particles in words of so many bytes."""
    return n * int(grid.kx.shape[0]) * (16 * (wordsize + 4) + 4 * wordsize) / 1e6


def make_block(particles: Particles, n: int, grid: FourierGrid) -> MatrixBlock:
    """Operators of particles, of which those after the first n are padding of zero weight."""
    present = np.arange(particles.n) < n
    pixels, signs, voxels, values = _entries(
        jnp.asarray(particles.images),
        weights_of(particles, grid) * present[:, None],
        jnp.asarray(particles.rotations),
        grid,
    )
    n_rows, n_voxels = signs.shape[0] * signs.shape[1], int(grid.kxyz.shape[0])
    starts = np.arange(n_rows + 1, dtype=np.int32) * 8
    matrix = csr_matrix(
        (np.asarray(values).ravel(), np.asarray(voxels).ravel(), starts), shape=(n_rows, n_voxels)
    )
    return MatrixBlock(
        pixels=pixels * present[:, None, None],
        signs=signs,
        present=jnp.asarray(present, signs.dtype),
        slicing=_parts(matrix),
        adjoint=_parts(matrix.tocsc()),
        n_voxels=n_voxels,
    )


@eqx.filter_jit
def _entries(
    images: Complex[Array, "b p"],
    weights: Float[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    grid: FourierGrid,
) -> tuple[
    Float[Array, "b p 2"], Float[Array, "b p 2"], Int[Array, "b p 8"], Float[Array, "b p 8"]
]:
    """Pixels, their signs, and the entries of W by pixel."""
    slices = make_slices(rotations, grid)
    signs = jnp.where(slices.folded, -1, 1).astype(images.real.dtype)
    pixels = jnp.stack([images.real, images.imag], -1)
    signs = jnp.stack([jnp.ones_like(signs), signs], -1)
    return pixels, signs, slices.voxels, slices.weights * weights[..., None]


def _parts(matrix: csr_matrix | csc_matrix | csc_array) -> tuple[Array, Array, Array]:
    return jnp.asarray(matrix.data), jnp.asarray(matrix.indices), jnp.asarray(matrix.indptr)


@eqx.filter_jit
def _weights(block: MatrixBlock) -> Float[Array, "b p"]:
    return jnp.sum(block.slicing[0].reshape(*block.pixels.shape[:2], 8), 2)


@eqx.filter_jit
def _slices(block: MatrixBlock, table: Float[Array, "v w"], n_volumes: int) -> Array:
    b, p, _ = block.pixels.shape
    matrix = BCSR(block.slicing, shape=(b * p, block.n_voxels))
    slices = (matrix @ table).reshape(b, p, 2, -1)[..., :n_volumes] * block.signs[..., None]
    return slices.reshape(b, 2 * p, n_volumes).transpose(0, 2, 1)


@jax.jit
def inner_products(
    pixels: Float[Array, "b p 2"], slices: Float[Array, "b c t"]
) -> Float[Array, "b r c"]:
    """Inner products of a particle's slices with each other and, last row, with its image."""
    images = jnp.concatenate([slices, pixels.reshape(len(slices), 1, -1)], 1)
    return jnp.einsum("brt,bct->brc", images, slices)


@eqx.filter_jit
def _inserted(block: MatrixBlock, residuals: Float[Array, "b c t"]) -> Float[Array, "v w"]:
    b, p, _ = block.pixels.shape
    c = residuals.shape[1]
    signed = residuals * block.signs.reshape(b, 1, -1)
    padded = jnp.pad(signed, ((0, 0), (0, -c % (COLUMNS // 2)), (0, 0)))
    columns = padded.reshape(b, -1, p, 2).transpose(0, 2, 3, 1).reshape(b * p, -1)
    return BCSR(block.adjoint, shape=(block.n_voxels, b * p)) @ columns
