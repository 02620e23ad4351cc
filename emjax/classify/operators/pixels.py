"""Slices of many volumes at once, and their exact adjoint, for fitting a basis of volumes.

The engine merges the pixels of a particle at a voxel, which suits posteriors that are one number
per particle. The gradient of a basis needs residual images, which are added pixel by pixel.
`pixel_poses` is compiled, for CPUs; `pixel_gathers` is for GPUs; `pixel_matrices`, for CPUs too, is
for double precision and for where no compiler served.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.classify.operators import native, pixel_gathers, pixel_matrices, pixel_poses
from emjax.classify.operators.lanes import in_lanes
from emjax.classify.operators.layout import LANES
from emjax.classify.operators.memory import block_memory
from emjax.classify.operators.pixel_matrices import COLUMNS, Sums
from emjax.classify.operators.store import BlockStore, Make, count_kept
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles

BLOCK_PIXELS = 30_000  # in one block of particles: its slices stay in the cache
DEVICE_PIXELS = 2_000_000  # on a GPU: 16 slices of each take 256 MB

Result = TypeVar("Result")


@dataclass(frozen=True)
class PixelRows:
    """Which particles a block holds (at most its size; the rest is padding)."""

    rows: Int[np.ndarray, " m"]
    lane: int


@runtime_checkable
class PixelBlock(Protocol):
    """b particles of one fold; padding particles have zero weights and pixels."""

    @property
    def pixels(self) -> Float[Array, "b p 2"]:
        """Real and imaginary parts, as the slices have them."""
        ...

    @property
    def present(self) -> Float[Array, " b"]:
        """1, and 0 for padding."""
        ...

    @property
    def n_voxels(self) -> int:
        """Voxels of the half ball."""
        ...

    def weights(self) -> Float[Array, "b p"]:
        """CTF, scale and noise of each pixel."""
        ...

    def slices(self, table: Float[Array, "v w"], n_volumes: int) -> Float[Array, "b c t"]:
        """CPV of every particle and volume of a table, real and imaginary parts as one axis."""
        ...

    def products(self, slices: Float[Array, "b c t"]) -> Float[Array, "b r c"]:
        """Inner products of a particle's slices with each other and, last row, with its image."""
        ...

    def insert(self, residuals: Float[Array, "b c t"], sums: Sums | None) -> Sums:
        """Sums with the adjoint of c residual images per particle added; new ones where None."""
        ...


@dataclass
class PixelOperators:
    """All particles as blocks, each within one fold; kept where they fit in memory."""

    particles: Particles
    grid: FourierGrid
    fold_of: Int[np.ndarray, " n"]
    block_folds: list[int]
    store: BlockStore[PixelBlock]
    make: Make[PixelBlock]
    spare_gb: float  # of the memory allowed, what the blocks leave

    def blocks(
        self, folds: tuple[int, ...] | None = None
    ) -> Iterator[tuple[np.ndarray, PixelBlock]]:
        """Rows and operators of every block of some folds (all where None), in a fixed order."""
        wanted = self._indices(folds)
        for index, block in zip(wanted, self.store.several(wanted, self.make), strict=True):
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

    def insert(
        self,
        work: Callable[[PixelRows, PixelBlock], tuple[Float[Array, "b c t"], Result]],
        folds: tuple[int, ...] | None = None,
    ) -> tuple[Float[Array, "v w"], list[Result]]:
        """The adjoint of the images that work makes of every block, added up as a table.

        Args:
            work: gives c images per particle, and what else is wanted of a block.
            folds: particles to use; all where None.
        """
        lanes: list[Sums | None] = [None] * LANES

        def add(rows: PixelRows, block: PixelBlock) -> Result:
            images, result = work(rows, block)
            lanes[rows.lane] = block.insert(images, lanes[rows.lane])
            return result

        results = list(self.in_lanes(add, folds))
        found = [sums for sums in lanes if sums is not None]
        return jnp.asarray(sum(found[1:], found[0])), results

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
    on_cpu = jax.default_backend() == "cpu"
    # A block adds up as many voxels as the box has, so it should not have fewer pixels.
    wanted = max(BLOCK_PIXELS if on_cpu else DEVICE_PIXELS, int(grid.kxyz.shape[0])) // pixels
    size = max(16, min(wanted, particles.n) // 16 * 16)
    layout = [
        (int(f), np.sort(part))
        for f in np.unique(folds)
        for members in [np.flatnonzero(folds == f)]
        for part in np.split(members, range(size, len(members), size))
    ]
    wordsize = particles.take(np.arange(1)).images.dtype.itemsize // 2
    compiled = native.available() and wordsize == 4
    kind = pixel_gathers
    if on_cpu:
        kind = pixel_poses if compiled else pixel_matrices
    gigabytes = kind.megabytes(particles.n, grid, wordsize) / 1e3
    kept = count_kept(len(layout), gigabytes / len(layout), room_gb, partly=False)
    store = BlockStore[PixelBlock](particles, [rows for _, rows in layout], size, kept)
    spare = room_gb - gigabytes if kept else room_gb
    make = partial(kind.make_block, grid=grid)
    return PixelOperators(particles, grid, folds, [f for f, _ in layout], store, make, spare)


def to_table(values: Complex[Array, "c v"]) -> Float[Array, "v w"]:
    """Volumes as columns: real parts of all, imaginary parts of all, padded to full products."""
    padding = -len(values) % (COLUMNS // 2)
    padded = jnp.concatenate([values, jnp.zeros((padding, values.shape[1]), values.dtype)])
    return jnp.concatenate([padded.real.T, padded.imag.T], 1)


def from_table(table: Float[Array, "v w"], n_volumes: int) -> Complex[Array, "c v"]:
    """Inverse of `to_table`."""
    half = table.shape[1] // 2
    return (table[:, :n_volumes] + 1j * table[:, half : half + n_volumes]).T
