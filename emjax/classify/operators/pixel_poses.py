"""Slices of many volumes and their adjoint, compiled for the processor: no matrix is kept.

`slices.c` computes where pixels lie from the poses; a block holds the images, their weights and the
poses, an eleventh of what the matrices take. In single precision only.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emjax.classify.operators import native
from emjax.classify.operators.pixel_matrices import COLUMNS, Sums
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles, weights_of

SOME = 16  # as in slices.c
ALIGNMENT = 64  # bytes; JAX takes over what begins at a multiple of it, and copies what does not


@dataclass(frozen=True)
class PoseBlock:
    """Images, pixel weights and poses of b particles."""

    pixels: Float[Array, "b p 2"]
    present: Float[Array, " b"]  # 1, and 0 for padding
    located: native.Block

    @property
    def n_voxels(self) -> int:
        """Voxels of the half ball."""
        return self.located.n_voxels

    def weights(self) -> Float[Array, "b p"]:
        """CTF, scale and noise of each pixel."""
        return jnp.asarray(self.located.weights)

    def slices(self, table: Float[Array, "v w"], n_volumes: int) -> Float[Array, "b c t"]:
        """CPV of every particle and volume of a table, real and imaginary parts as one axis."""
        assert native.library is not None
        b, p, _ = self.pixels.shape
        rows = np.asarray(table, np.float32, order="C")
        out = _aligned(b, n_volumes, 2 * p)
        out[self.located.n :] = 0
        arrays = (self.located.room, self._values(rows), rows, out)
        native.library.slice_volumes(
            *self.located.arguments(), n_volumes, rows.shape[1], *(a.ctypes.data for a in arrays)
        )
        return jnp.from_dlpack(out)

    def products(self, slices: Float[Array, "b c t"]) -> Float[Array, "b r c"]:
        """Inner products of a particle's slices with each other and, last row, with its image."""
        assert native.library is not None
        b, c, _ = slices.shape
        images, out = np.asarray(slices, np.float32, order="C"), _aligned(b, c + 1, c)
        out[self.located.n :] = 0
        native.library.inner_products(
            *self.located.arguments(), c, images.ctypes.data, out.ctypes.data
        )
        return jnp.from_dlpack(out)

    def insert(self, residuals: Float[Array, "b c t"], sums: Sums | None) -> Sums:
        """Add the adjoint of c residual images per particle to sums in place."""
        assert native.library is not None
        c = residuals.shape[1]
        width = 2 * (c + -c % (COLUMNS // 2))
        rows = np.zeros((self.n_voxels, width), np.float32) if sums is None else sums
        assert isinstance(rows, np.ndarray)  # JAX's arrays must not be written to
        images = np.asarray(residuals, np.float32, order="C")
        arrays = (self.located.room, self._values(rows), images, rows)
        native.library.insert_residuals(
            *self.located.arguments(), c, width, *(a.ctypes.data for a in arrays)
        )
        return rows

    def _values(self, rows: Float[np.ndarray, "v w"]) -> Float[np.ndarray, "s w"]:
        return np.empty((SOME, rows.shape[1]), np.float32)


def _aligned(*shape: int) -> Float[np.ndarray, "b c t"]:
    """Memory that JAX can take over without a copy."""
    size = 4 * int(np.prod(shape))
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(np.float32).reshape(shape)


def megabytes(n: int, grid: FourierGrid, wordsize: int) -> float:
    """Memory of the blocks of n particles in words of so many bytes."""
    return n * wordsize * (int(grid.kx.shape[0]) * 3 + 9) / 1e6


def make_block(particles: Particles, n: int, grid: FourierGrid) -> PoseBlock:
    """A block of particles, of which those after the first n are padding; nothing is computed."""
    present = (np.arange(particles.n) < n).astype(np.float32)
    images = np.ascontiguousarray(particles.images * present[:, None], np.complex64)
    pixels = jnp.asarray(images.view(np.float32).reshape(*images.shape, 2))
    # One memory for both.
    shared = replace(particles, images=np.asarray(pixels).view(np.complex64)[..., 0])
    weights = np.asarray(weights_of(particles, grid)) * present[:, None]
    located = native.make_block(shared, weights, n, grid, jax.local_devices()[0])
    return PoseBlock(pixels, jnp.asarray(present), located)
