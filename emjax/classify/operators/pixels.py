"""Slices of many volumes at once, and their exact adjoint, for fitting a basis of volumes.

The engine merges the pixels of a particle at a voxel, which suits posteriors that are one number
per particle. The gradient of a basis needs residual images, so here both matrices are kept by
pixel: W (pixels × voxels, weights inside) and Wᵀ as its own rows, both read in order without a
scatter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCSR
from jaxtyping import Array, Complex, Float, Int
from scipy.sparse import csc_array, csc_matrix, csr_matrix

from emjax.classify.operators.lanes import in_lanes
from emjax.classify.operators.layout import LANES
from emjax.classify.operators.memory import block_memory
from emjax.classify.operators.sparse import slicing_entries
from emjax.classify.operators.store import BlockStore, count_kept
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles, weights_of

BLOCK_PIXELS = 30_000  # in one block of particles: its slices stay in the cache
COLUMNS = 8  # products with other widths are several times slower

Result = TypeVar("Result")


@dataclass(frozen=True)
class PixelRows:
    """Which particles a block holds (at most its size; the rest is padding)."""

    rows: Int[np.ndarray, " m"]
    lane: int


class PixelBlock(eqx.Module):
    """W, Wᵀ and the pixels of b particles of one fold; padding particles have zero weights."""

    pixels: Float[Array, "b p 2"]
    slicing: tuple[Float[Array, " m"], Int[Array, " m"], Int[Array, " r"]]
    adjoint: tuple[Float[Array, " m"], Int[Array, " m"], Int[Array, " w"]]
    present: Float[Array, " b"]  # 1, and 0 for padding
    n_voxels: int = eqx.field(static=True)


@dataclass
class PixelOperators:
    """All particles as blocks, each within one fold; kept where they fit in memory."""

    particles: Particles
    grid: FourierGrid
    fold_of: Int[np.ndarray, " n"]
    block_folds: list[int]
    store: BlockStore[PixelBlock]
    spare_gb: float  # of the memory allowed, what the blocks leave

    def blocks(
        self, folds: tuple[int, ...] | None = None
    ) -> Iterator[tuple[np.ndarray, PixelBlock]]:
        """Rows and operators of every block of some folds (all where None), in a fixed order."""
        wanted = self._indices(folds)
        make = partial(make_pixel_block, grid=self.grid)
        for index, block in zip(wanted, self.store.several(wanted, make), strict=True):
            yield self.store.rows[index], block

    def in_lanes(
        self, work: Callable[[PixelRows, PixelBlock], Result], folds: tuple[int, ...] | None = None
    ) -> Iterator[Result]:
        """Work on every block of some folds, some at the same time; results in the blocks' order.

        Blocks of a lane come one after another.
        """
        blocks = (
            (PixelRows(rows, place % LANES), block)
            for place, (rows, block) in enumerate(self.blocks(folds))
        )
        return (result for _, result in in_lanes(work, blocks))

    def count(self, folds: tuple[int, ...] | None = None) -> int:
        """Particles in some folds."""
        return sum(len(self.store.rows[index]) for index in self._indices(folds))

    def beside(
        self, particles: Particles, fold_of: Int[np.ndarray, " n"] | None = None
    ) -> "PixelOperators":
        """Operators of other particles, in the memory that these leave."""
        return _operators_within(self.spare_gb, particles, fold_of)

    def _indices(self, folds: tuple[int, ...] | None) -> list[int]:
        return [i for i, f in enumerate(self.block_folds) if folds is None or f in folds]


def make_pixel_operators(
    particles: Particles,
    fold_of: Int[np.ndarray, " n"] | None = None,
    max_memory_gb: float = 8.0,
) -> PixelOperators:
    """Blocks of operators; with more memory needed than allowed they are made anew in each pass.

    Args:
        particles: prepared particles.
        fold_of: which fold each particle belongs to; the half-sets where None.
        max_memory_gb: for all operators together; on GPUs, what these have.
    """
    return _operators_within(block_memory(max_memory_gb), particles, fold_of)


def _operators_within(
    room_gb: float, particles: Particles, fold_of: Int[np.ndarray, " n"] | None
) -> PixelOperators:
    grid = particles.grid
    folds = np.asarray(particles.half if fold_of is None else fold_of)
    pixels = int(grid.kx.shape[0])
    # A block adds up as many voxels as the box has, so it should not have fewer pixels.
    wanted = max(BLOCK_PIXELS, int(grid.kxyz.shape[0])) // pixels
    size = max(16, min(wanted, particles.n) // 16 * 16)
    layout = [
        (int(f), np.sort(part))
        for f in np.unique(folds)
        for members in [np.flatnonzero(folds == f)]
        for part in np.split(members, range(size, len(members), size))
    ]
    wordsize = particles.take(np.arange(1)).images.dtype.itemsize // 2
    gigabytes = particles.n * pixels * (16 * (wordsize + 4) + 2 * wordsize) / 1e9
    kept = count_kept(len(layout), gigabytes / len(layout), room_gb, partly=False)
    store = BlockStore[PixelBlock](particles, [rows for _, rows in layout], size, kept)
    spare = room_gb - gigabytes if kept else room_gb
    return PixelOperators(particles, grid, folds, [f for f, _ in layout], store, spare)


def make_pixel_block(particles: Particles, n: int, grid: FourierGrid) -> PixelBlock:
    """Operators of particles, of which those after the first n are padding of zero weight."""
    present = np.arange(particles.n) < n
    voxels, values, pixels = slicing_entries(
        jnp.asarray(particles.images),
        weights_of(particles, grid),
        jnp.asarray(particles.rotations),
        grid,
    )
    values = np.asarray(values) * present[:, None, None]
    n_rows, n_voxels = particles.n * int(grid.kx.shape[0]), int(grid.kxyz.shape[0])
    matrix = csr_matrix(
        (values.ravel(), np.asarray(voxels).ravel(), np.arange(n_rows + 1, dtype=np.int32) * 8),
        shape=(n_rows, n_voxels),
    )
    transposed = matrix.tocsc()
    return PixelBlock(
        pixels=pixels * jnp.asarray(present[:, None, None], pixels.dtype),
        slicing=_parts(matrix),
        adjoint=_parts(transposed),
        present=jnp.asarray(present, pixels.dtype),
        n_voxels=n_voxels,
    )


def _parts(matrix: csr_matrix | csc_matrix | csc_array) -> tuple[Array, Array, Array]:
    return jnp.asarray(matrix.data), jnp.asarray(matrix.indices), jnp.asarray(matrix.indptr)


def to_table(values: Complex[Array, "c v"]) -> Float[Array, "v w"]:
    """Volumes as columns: real parts of all, imaginary parts of all, padded to full products."""
    padding = -len(values) % (COLUMNS // 2)
    padded = jnp.concatenate([values, jnp.zeros((padding, values.shape[1]), values.dtype)])
    return jnp.concatenate([padded.real.T, padded.imag.T], 1)


def from_table(table: Float[Array, "v w"], n_volumes: int) -> Complex[Array, "c v"]:
    """Inverse of `to_table`."""
    half = table.shape[1] // 2
    return (table[:, :n_volumes] + 1j * table[:, half : half + n_volumes]).T


def slice_table(block: PixelBlock, table: Float[Array, "v w"], n_volumes: int) -> Array:
    """CPV of every particle and volume: [b, c, 2p], real and imaginary parts as one axis."""
    b, p, _ = block.pixels.shape
    matrix = BCSR(block.slicing, shape=(b * p, block.n_voxels))
    slices = (matrix @ table).reshape(b, p, 2, -1)[..., :n_volumes]
    return slices.reshape(b, 2 * p, n_volumes).transpose(0, 2, 1)


def insert_residuals(block: PixelBlock, residuals: Float[Array, "b c t"]) -> Float[Array, "v w"]:
    """Wᵀ of c residual images per particle, as a table; the adjoint of `slice_table`."""
    b, p, _ = block.pixels.shape
    c = residuals.shape[1]
    padded = jnp.pad(residuals, ((0, 0), (0, -c % (COLUMNS // 2)), (0, 0)))
    columns = padded.reshape(b, -1, p, 2).transpose(0, 2, 3, 1).reshape(b * p, -1)
    return BCSR(block.adjoint, shape=(block.n_voxels, b * p)) @ columns
