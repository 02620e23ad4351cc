"""Slicing and inserting as sparse matrices in plain JAX.

Slicing is a sparse matrix W (CTF, scale and noise inside its weights) times a table of volumes;
inserting is a sparse voxel-major matrix T, in which the pixels of a particle that touch one voxel
are merged, times the posteriors: no scatter, no atomics, the same sums in the same order each time.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCSR
from jaxtyping import Array, Complex, Float, Int
from scipy.sparse import csr_matrix

from emjax.classify.operators.layout import Device
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles
from emjax.imaging.projector import fold, make_slices

TILE = 16  # classes in one product
CACHED_PIXELS = 12_000  # a tile's slices of so many pixels are 1.5 MB


class Block(eqx.Module):
    """Operators of b particles of one half-set; padding particles have zero weights."""

    pixels: Float[Array, "b p 2"]
    slicing: tuple[Float[Array, "b p 8"], Int[Array, "b p 8"]]
    insertion: tuple[Int[Array, " e"], Int[Array, " q"]]
    inserted: Float[Array, "3 e"]
    n_voxels: int = eqx.field(static=True)


def gigabytes(n: int, grid: FourierGrid) -> float:
    """Memory of the blocks of n particles: W, T and the pixels."""
    pixels = int(grid.kx.shape[0])
    # T merges 8 corners to 2.6 distinct voxels per pixel, 3.0 in small boxes, 16 bytes each;
    # W has all 8.
    return n * pixels * (8 * 8 + 3.0 * 16 + 8) / 1e9


def make_block(
    particles: Particles,
    weights: Float[np.ndarray, "b p"],
    n: int,
    grid: FourierGrid,
    device: Device,
) -> Block:
    """Operators of particles, the padding's too."""
    voxels, slicing, pixels, (indices, pointers, merged) = operators(particles, weights, grid)
    # The padding is zeros in the last row.
    rest = spare_length(len(indices))
    pointers[-1] += rest
    block = Block(
        pixels=pixels,
        slicing=(slicing, voxels),
        insertion=(jnp.asarray(np.pad(indices, (0, rest))), jnp.asarray(pointers)),
        inserted=jnp.asarray(np.pad(merged, ((0, 0), (0, rest)))),
        n_voxels=int(grid.kxyz.shape[0]),
    )
    return jax.device_put(block, device)


@eqx.filter_jit
def slicing_entries(
    images: Complex[Array, "b p"],
    weights: Float[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    grid: FourierGrid,
) -> tuple[Int[Array, "b p 8"], Float[Array, "b p 8"], Float[Array, "b p 2"]]:
    """Voxels and weights of the pixels of slices, and the images folded like them."""
    slices = make_slices(rotations, grid)
    folded = fold(images, slices)
    pixels = jnp.stack([folded.real, folded.imag], -1)
    return slices.voxels, slices.weights * weights[..., None], pixels


@eqx.filter_jit
def _inserted(
    slicing: Float[Array, "b p 8"], pixels: Float[Array, "b p 2"], weights: Float[Array, "b p"]
) -> tuple[Float[Array, "b p 8"], Float[Array, "b p 8"], Float[Array, "b p 8"]]:
    """What each pixel adds at its voxels: real part, imaginary part, squared weight."""
    return slicing * pixels[..., :1], slicing * pixels[..., 1:], slicing * weights[..., None]


def spare_length(n: int) -> int:
    """Entries that fill n up to one of few lengths, so that compiled code stays in use."""
    return -n % 2 ** max(0, n.bit_length() - 4)


def operators(
    particles: Particles, weights: Float[np.ndarray, "b p"], grid: FourierGrid
) -> tuple[Array, Array, Array, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """As of `slicing_entries`, and the voxel-major matrix T as of `_merge`."""
    factors = jnp.asarray(weights)
    voxels, slicing, pixels = slicing_entries(
        jnp.asarray(particles.images), factors, jnp.asarray(particles.rotations), grid
    )
    return voxels, slicing, pixels, _merge(voxels, _inserted(slicing, pixels, factors), grid)


def _merge(
    places: Int[Array, "b p 8"], values: Sequence[Float[Array, "b p 8"]], grid: FourierGrid
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " q"], Float[np.ndarray, "3 m"]]:
    """Voxel-major entries, those of one particle at one voxel added up.

    Returns:
        The particle of each entry, where the entries of each voxel begin, and sums of the values.
    """
    voxels = np.asarray(places).reshape(len(places), -1)
    order = np.argsort(voxels, axis=1, kind="stable")
    keys = np.take_along_axis(voxels, order, 1)
    first = np.ones(keys.shape, bool)
    first[:, 1:] = keys[:, 1:] != keys[:, :-1]
    starts = np.flatnonzero(first)
    column = keys.ravel()[starts]
    counts = first.sum(1)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    transposed = csr_matrix(
        (np.arange(len(column), dtype=np.int32), column, indptr),
        shape=(len(voxels), grid.kxyz.shape[0]),
    ).tocsc()
    merged = np.empty((len(values), len(column)), np.float32)
    for row, value in zip(merged, values, strict=True):
        flat = np.take_along_axis(np.asarray(value).reshape(voxels.shape), order, 1).ravel()
        row[:] = np.add.reduceat(flat, starts)[np.asarray(transposed.data, np.intp)]
    return transposed.indices.astype(np.int32), transposed.indptr.astype(np.int32), merged


def make_tables(
    tiles: Sequence[Sequence[Complex[np.ndarray, " v"]]], device: Device
) -> list[Float[Array, "v _"]]:
    """Tables of a tile of classes each: w real parts, then w imaginary ones, for each voxel."""
    rows = (np.stack(tile, 1) for tile in tiles)
    return [jax.device_put(np.concatenate([np.real(r), np.imag(r)], 1), device) for r in rows]


def log_likelihoods(block: Block, tables: Sequence[Float[Array, "v _"]]) -> np.ndarray:
    """Σ Re(F − P/2)·conj(P) of each particle and class: −½|F − P|² without the constant −½|F|²."""
    return np.concatenate([np.asarray(_log_likelihoods(block, table)) for table in tables], 1)


@eqx.filter_jit
def _log_likelihoods(block: Block, table: Float[Array, "v _"]) -> Float[Array, "b w"]:
    b, p, _ = block.pixels.shape
    some = 16  # particles at a time, so few that their slices stay in the cache; 16 divides b
    while some > 1 and some * p > CACHED_PIXELS:
        some //= 2
    rows = jnp.arange(some * p + 1, dtype=jnp.int32) * 8

    def one(part: tuple[Array, Array, Array]) -> Float[Array, "m w"]:
        weights, voxels, pixels = part
        matrix = BCSR((weights.ravel(), voxels.ravel(), rows), shape=(some * p, block.n_voxels))
        slices = (matrix @ table).reshape(some, p, 2, table.shape[1] // 2)
        return jnp.sum((pixels[..., None] - 0.5 * slices) * slices, (1, 2))

    parts = (*block.slicing, block.pixels)
    split = jax.tree.map(lambda a: a.reshape(b // some, some, *a.shape[1:]), parts)
    return jax.lax.map(one, split).reshape(b, -1)


TileSums = tuple[Float[Array, "v w"], Float[Array, "v w"], Float[Array, "v w"]]


def empty_sums(
    n_tiles: int, n_voxels: int, device: Device, old: list[TileSums] | None = None
) -> list[TileSums]:
    """Sums before the first block; JAX minds the memory."""
    zero = jax.device_put(np.zeros((n_voxels, TILE), np.float32), device)
    return [(zero, zero, zero)] * n_tiles


def insert(
    block: Block, posteriors: Float[np.ndarray, "b c"], sums: list[TileSums]
) -> list[TileSums]:
    """Sums with Σ p·Pᵀ F (real and imaginary part) and Σ p·PᵀP (diagonal) added."""
    device = block.pixels.device
    parts = np.split(posteriors, len(sums), 1)
    return [_insert(block, jax.device_put(p, device), s) for p, s in zip(parts, sums, strict=True)]


@eqx.filter_jit
def _insert(block: Block, posteriors: Float[Array, "b w"], sums: TileSums) -> TileSums:
    shape = (block.n_voxels, block.pixels.shape[0])
    real, imaginary, denominator = (
        total + BCSR((values, *block.insertion), shape=shape) @ posteriors
        for values, total in zip(block.inserted, sums, strict=True)
    )
    return real, imaginary, denominator


def add_lanes(
    lanes: Sequence[list[TileSums]],
    numerator: Complex[np.ndarray, "c v"],
    denominator: Float[np.ndarray, "c v"],
) -> None:
    """The lanes' sums added up, as rows of classes, into arrays for them."""
    rows = [
        np.stack([np.concatenate([np.asarray(tile[i]).T for tile in lane]) for i in range(3)])
        for lane in lanes
    ]
    total = sum(rows[1:], rows[0])[:, : len(numerator)]
    numerator.real, numerator.imag, denominator[:] = total
