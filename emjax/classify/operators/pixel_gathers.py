"""Slices of many volumes and their adjoint in plain JAX from the poses, for GPUs.

Where pixels lie is computed each time, so that a block holds images, weights and poses alone.
Adding up is a scatter, whose order, and so the last digits, a GPU does not promise.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emjax.classify.operators.pixel_matrices import COLUMNS, Sums, inner_products
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles, weights_of
from emjax.imaging.projector import Slices, make_slices


class GatherBlock(eqx.Module):
    """Images, pixel weights and poses of b particles."""

    pixels: Float[Array, "b p 2"]
    present: Float[Array, " b"]  # 1, and 0 for padding
    factors: Float[Array, "b p"]
    rotations: Float[Array, "b 3 3"]
    grid: FourierGrid

    @property
    def n_voxels(self) -> int:
        """Voxels of the half ball."""
        return int(self.grid.kxyz.shape[0])

    def weights(self) -> Float[Array, "b p"]:
        """CTF, scale and noise of each pixel."""
        return self.factors

    def slices(self, table: Float[Array, "v w"], n_volumes: int) -> Float[Array, "b c t"]:
        """CPV of every particle and volume of a table, real and imaginary parts as one axis."""
        return _slices(self, table, n_volumes)

    def products(self, slices: Float[Array, "b c t"]) -> Float[Array, "b r c"]:
        """Inner products of a particle's slices with each other and, last row, with its image."""
        return inner_products(self.pixels, slices)

    def insert(self, residuals: Float[Array, "b c t"], sums: Sums | None) -> Sums:
        """Sums with the adjoint of c residual images per particle added."""
        if sums is None:
            c = residuals.shape[1]
            width = 2 * (c + -c % (COLUMNS // 2))
            sums = jnp.zeros((self.n_voxels, width), residuals.dtype)
        return _insert(self, residuals, jnp.asarray(sums))


def megabytes(n: int, grid: FourierGrid, wordsize: int) -> float:
    """Memory of the blocks of n particles in words of so many bytes."""
    return n * wordsize * (int(grid.kx.shape[0]) * 3 + 9) / 1e6


def make_block(particles: Particles, n: int, grid: FourierGrid) -> GatherBlock:
    """A block of particles, of which those after the first n are padding of zero weight."""
    images = jnp.asarray(particles.images)
    present = jnp.asarray(np.arange(particles.n) < n, images.real.dtype)
    pixels = jnp.stack([images.real, images.imag], -1) * present[:, None, None]
    weights = weights_of(particles, grid) * present[:, None]
    rotations = jnp.asarray(particles.rotations, images.real.dtype)
    return GatherBlock(pixels, present, weights, rotations, grid)


def _located(block: GatherBlock) -> tuple[Slices, Float[Array, "b p 8"], Float[Array, "b p 1"]]:
    """Where the pixels lie, their weights there, and the signs of their imaginary parts."""
    slices = make_slices(block.rotations, block.grid)
    signs = jnp.where(slices.folded, -1, 1).astype(block.pixels.dtype)
    return slices, slices.weights * block.factors[..., None], signs[..., None]


@eqx.filter_jit
def _slices(block: GatherBlock, table: Float[Array, "v w"], n_volumes: int) -> Array:
    located, weights, signs = _located(block)
    b, p, _ = block.pixels.shape
    found = jnp.zeros((b, p, table.shape[1]), table.dtype)
    for corner in range(weights.shape[-1]):
        found = found + weights[..., corner, None] * table[located.voxels[..., corner]]
    half = table.shape[1] // 2
    parts = jnp.stack([found[..., :half], found[..., half:] * signs], 2)[..., :n_volumes]
    return parts.reshape(b, 2 * p, n_volumes).transpose(0, 2, 1)


@eqx.filter_jit
def _insert(
    block: GatherBlock, residuals: Float[Array, "b c t"], sums: Float[Array, "v w"]
) -> Float[Array, "v w"]:
    located, weights, signs = _located(block)
    b, c, _ = residuals.shape
    padding = sums.shape[1] // 2 - c
    parts = jnp.pad(residuals, ((0, 0), (0, padding), (0, 0))).reshape(b, c + padding, -1, 2)
    real, imaginary = (jnp.moveaxis(parts[..., i], 1, 2) for i in (0, 1))
    columns = jnp.concatenate([real, imaginary * signs], -1)
    for corner in range(weights.shape[-1]):
        added = weights[..., corner, None] * columns
        sums = sums.at[located.voxels[..., corner]].add(added)
    return sums
