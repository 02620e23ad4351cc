"""One pass of the data for every class of every run.

Poses, CTFs and images are the same in all iterations, classes and seeds, so the classes of all
runs are columns of one table. Slicing is a sparse matrix W (CTF, scale and noise inside its
weights) times that table; inserting is a sparse voxel-major matrix T, in which the pixels of a
particle that touch one voxel are merged, times the posteriors: no scatter, no atomics, the same
sums in the same order each time. Particles come in blocks of a fixed size from one half-set each,
columns in tiles of a fixed width, so that a run's numbers do not depend on which other runs share
the pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCSR
from jaxtyping import Array, Complex, Float, Int
from scipy.sparse import csr_matrix

from emjax.imaging.grids import FourierGrid, add_friedel_mates
from emjax.imaging.particles import Particles, weights_of
from emjax.imaging.projector import fold, make_slices

TILE = 16  # classes in one product
BLOCK_PIXELS = 200_000  # pixels in one block of particles


class Block(eqx.Module):
    """Operators of b particles of one half-set; padding particles have zero weights."""

    pixels: Float[Array, "b p 2"]
    slicing: tuple[Float[Array, " m"], Int[Array, " m"], Int[Array, " r"]]
    insertion: tuple[Int[Array, " e"], Int[Array, " q"]]
    inserted: Float[Array, "3 e"]
    n_voxels: int = eqx.field(static=True)


@dataclass(frozen=True)
class BlockRows:
    """Which particles a block holds (at most its size; the rest is padding)."""

    rows: Int[np.ndarray, " m"]
    half: int


@dataclass
class Engine:
    """Particles as blocks of operators, kept where they fit in memory, else made when needed."""

    particles: Particles
    grid: FourierGrid
    block_size: int
    layout: list[BlockRows]
    keep: bool
    lowest_frequency: float = 0.0
    _blocks: list[Block | None] = field(default_factory=list)

    def block(self, index: int) -> Block:
        """Operators of one block."""
        kept = self._blocks[index]
        if kept is not None:
            return kept
        rows = self.layout[index].rows
        made = make_block(self.particles, rows, self.grid, self.block_size, self.lowest_frequency)
        if self.keep:
            self._blocks[index] = made
        return made

    def blocks(self) -> Iterator[tuple[BlockRows, Block]]:
        """Every block with its rows, in a fixed order."""
        for index, rows in enumerate(self.layout):
            yield rows, self.block(index)


def operator_gigabytes(n: int, grid: FourierGrid) -> float:
    """Memory of the cached operators of n particles: W, T and the pixels."""
    pixels = int(grid.kx.shape[0])
    # T merges 8 corners to about 3.2 distinct voxels a pixel, 16 bytes each; W has 8 entries.
    return n * pixels * (8 * 8 + 3.3 * 16 + 8) / 1e9


def make_engine(
    particles: Particles,
    max_memory_gb: float = 8.0,
    seed: int = 0,
    highpass_resolution: float | None = None,
    particle_limit: int | None = None,
    block_pixels: int = BLOCK_PIXELS,
) -> Engine:
    """Blocks over all particles in a seeded order, the half-sets taking turns.

    Args:
        particles: prepared particles.
        max_memory_gb: where the operators need more, they are made anew in each iteration.
        seed: of the order of the particles.
        highpass_resolution: frequencies coarser than this (Å) are ignored.
        particle_limit: at most so many of the particles (the first in the seeded order).
        block_pixels: pixels in one block of particles.
    """
    grid = particles.grid
    order = np.random.default_rng(seed).permutation(particles.n)[:particle_limit]
    larger_half = int(np.bincount(particles.half[order]).max())
    size = 16 * max(1, min(block_pixels // int(grid.kx.shape[0]) // 16, -(-larger_half // 16)))
    halves = [
        [BlockRows(np.sort(part), h) for part in np.split(members, range(size, len(members), size))]
        for h in (1, 2)
        if len(members := order[particles.half[order] == h])
    ]
    longest = max(len(blocks) for blocks in halves)
    layout = [blocks[i] for i in range(longest) for blocks in halves if i < len(blocks)]
    keep = operator_gigabytes(len(order), grid) <= max_memory_gb
    lowest = particles.extent / highpass_resolution if highpass_resolution else 0.0
    if lowest > particles.radius:
        raise ValueError(
            f"highpass_resolution: found {highpass_resolution:g} Å, expected coarser than the"
            f" filter resolution of {particles.extent / particles.radius:.1f} Å"
        )
    return Engine(particles, grid, size, layout, keep, lowest, [None] * len(layout))


def make_block(
    particles: Particles,
    rows: Int[np.ndarray, " m"],
    grid: FourierGrid,
    size: int,
    lowest_frequency: float = 0.0,
) -> Block:
    """Operators of the particles `rows`, padded to `size` particles of zero weight."""
    padded = np.concatenate([rows, np.repeat(rows[:1], size - len(rows))])
    part = particles.take(padded)
    weights = weights_of(part, grid) * (np.arange(size) < len(rows))[:, None]
    weights = weights * (jnp.hypot(grid.kx, grid.ky) >= lowest_frequency)
    voxels, slicing, numerators, denominator, pixels = _entries(
        jnp.asarray(part.images), weights, jnp.asarray(part.rotations), grid
    )
    n_rows = voxels.shape[0] * voxels.shape[1]
    indptr = jnp.arange(n_rows + 1, dtype=jnp.int32) * 8
    indices, pointers, merged = _merge(
        np.asarray(voxels).reshape(size, -1),
        [np.asarray(a).reshape(size, -1) for a in (*numerators, denominator)],
        grid.kxyz.shape[0],
    )
    return Block(
        pixels=pixels,
        slicing=(slicing.ravel(), voxels.ravel(), indptr),
        insertion=(jnp.asarray(indices), jnp.asarray(pointers)),
        inserted=jnp.asarray(merged),
        n_voxels=int(grid.kxyz.shape[0]),
    )


@eqx.filter_jit
def _entries(
    images: Complex[Array, "b p"],
    weights: Float[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    grid: FourierGrid,
):
    slices = make_slices(rotations, grid)
    folded = fold(images, slices)
    slicing = slices.weights * weights[..., None]
    inserted = slicing * folded[..., None]
    pixels = jnp.stack([folded.real, folded.imag], -1)
    numerators = (inserted.real, inserted.imag)
    return slices.voxels, slicing, numerators, slicing * weights[..., None], pixels


def _merge(
    voxels: Int[np.ndarray, "b e"], values: Sequence[Float[np.ndarray, "b e"]], n_voxels: int
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " q"], Float[np.ndarray, "3 m"]]:
    """Voxel-major entries, those of one particle at one voxel added up; padded with zeros."""
    n, width = voxels.shape
    order = np.argsort(voxels, axis=1, kind="stable")
    keys = np.take_along_axis(voxels, order, 1)
    first = np.ones(keys.shape, bool)
    first[:, 1:] = keys[:, 1:] != keys[:, :-1]
    starts = np.flatnonzero(first)
    column = keys.ravel()[starts]
    counts = first.sum(1)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    transposed = csr_matrix(
        (np.arange(len(column), dtype=np.int32), column, indptr), shape=(n, n_voxels)
    ).tocsc()
    # A quarter of the entries survive merging at most; fixed lengths keep compiled code in use.
    length = -(-len(column) // 65536) * 65536
    merged = np.zeros((len(values), length), np.float32)
    for row, value in zip(merged, values, strict=True):
        flat = np.take_along_axis(value, order, 1).ravel()
        row[: len(column)] = np.add.reduceat(flat, starts)[np.asarray(transposed.data, np.intp)]
    indices = np.zeros(length, np.int32)
    indices[: len(column)] = transposed.indices
    pointers = transposed.indptr.astype(np.int32)
    pointers[-1] = length  # the padding is zeros in the last row
    return indices, pointers, merged


@eqx.filter_jit
def log_likelihoods(block: Block, table: Float[Array, "v c"]) -> Float[Array, "b t"]:
    """Σ Re(F − P/2)·conj(P) of each particle and class: −½|F − P|² without the constant −½|F|².

    Args:
        block: operators of b particles.
        table: Fourier coefficients of t classes as columns, t real parts, then t imaginary ones.
    """
    b, p, _ = block.pixels.shape
    matrix = BCSR(block.slicing, shape=(b * p, block.n_voxels))
    t = table.shape[1] // 2
    slices = (matrix @ table).reshape(b, p, 2, t)
    return jnp.sum((block.pixels[..., None] - 0.5 * slices) * slices, (1, 2))


@eqx.filter_jit
def insert(
    block: Block, posteriors: Float[Array, "b t"]
) -> tuple[Float[Array, "v t"], Float[Array, "v t"], Float[Array, "v t"]]:
    """Σ p·Pᵀ F (real and imaginary part) and Σ p·PᵀP (diagonal) of t classes."""
    shape = (block.n_voxels, block.pixels.shape[0])
    real, imaginary, denominator = (
        BCSR((values, *block.insertion), shape=shape) @ posteriors for values in block.inserted
    )
    return real, imaginary, denominator


def to_tiles(values: Complex[Array, "c v"]) -> list[Float[Array, "v w"]]:
    """Tables of TILE classes each (the last filled up with zeros) from volumes' coefficients."""
    n_tiles = -(-values.shape[0] // TILE)
    padded = (
        jnp.zeros((n_tiles * TILE, values.shape[1]), values.dtype).at[: len(values)].set(values)
    )
    return [
        jnp.concatenate([part.real.T, part.imag.T], 1) for part in padded.reshape(n_tiles, TILE, -1)
    ]


class Sums(eqx.Module):
    """What the M-step needs: numerators and denominators of every class by half-set."""

    numerator: Complex[Array, "2 c v"]
    denominator: Float[Array, "2 c v"]


class Accumulator:
    """Adds up the insertions of blocks, tile by tile, in the order of the calls."""

    def __init__(self, n_columns: int, n_voxels: int):
        self.n_columns = n_columns
        tiles = -(-n_columns // TILE)
        zero = jnp.zeros((n_voxels, TILE), jnp.float32)
        self._sums = [[(zero, zero, zero) for _ in range(tiles)] for _ in range(2)]

    def add(self, block: Block, half: int, posteriors: Float[np.ndarray, "b c"]) -> None:
        """Insert the block's particles with the posteriors of all columns."""
        padded = np.zeros((len(posteriors), len(self._sums[0]) * TILE), np.float32)
        padded[:, : self.n_columns] = posteriors
        for tile, sums in enumerate(self._sums[half - 1]):
            part = jnp.asarray(padded[:, tile * TILE : (tile + 1) * TILE])
            self._sums[half - 1][tile] = _add(sums, insert(block, part))

    def sums(self, grid: FourierGrid) -> Sums:
        """Totals with the Friedel mates of the plane x = 0 added."""

        def table(part: int) -> Float[Array, "2 c v"]:
            rows = [jnp.concatenate([t[part] for t in half], 1).T for half in self._sums]
            return jnp.stack(rows)[:, : self.n_columns]

        numerator = jax.lax.complex(table(0), table(1))
        return Sums(add_friedel_mates(numerator, grid), add_friedel_mates(table(2), grid))


@jax.jit
def _add(a, b):
    return jax.tree.map(jnp.add, a, b)
