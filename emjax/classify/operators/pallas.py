"""Slicing and inserting on a GPU with Pallas kernels; slices are never written to memory.

The E-step has a program for each particle, which computes where its pixels lie from its pose and
keeps its slice in registers. The M-step has a program for each voxel, which adds up what the
particles of a block bring in their order: no atomics, the same bits each time. On a CPU the kernels
are interpreted, which is slow and meant for tests.
"""

from collections.abc import Callable, Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Complex, Float, Int

from emjax.classify.operators import sparse
from emjax.classify.operators.layout import Device
from emjax.classify.operators.sparse import TILE, TileSums
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles

CHUNK = 32  # pixels, or entries, that a program handles at once


class Block(eqx.Module):
    """b particles of one half-set (q pixels: p filled up) and their voxel-major entries."""

    rotations: Float[Array, "b 9"]
    pixels: Float[Array, "b 3 q"]  # real and imaginary part, weight; zeros beyond p
    plane: Float[Array, "2 q"]
    columns: Int[Array, " m"]  # row of the voxel (x, y, 0)
    entries: Float[Array, "3 e"]
    particle: Int[Array, " e"]
    ends: Int[Array, " u"]  # entries of voxel v: ends[v] to ends[v + 1]
    edge: int = eqx.field(static=True)


def gigabytes(n: int, grid: FourierGrid) -> float:
    """Memory of the blocks of n particles: images, weights and entries."""
    return n * int(grid.kx.shape[0]) * (12 + 3.0 * 16) / 1e9


def make_block(
    particles: Particles,
    weights: Float[np.ndarray, "b p"],
    n: int,
    grid: FourierGrid,
    device: Device,
) -> Block:
    """A block of particles, the padding's entries too."""
    p = int(grid.kx.shape[0])
    rest = -p % CHUNK
    pixels = np.stack([np.real(particles.images), np.imag(particles.images), weights], 1)
    plane = np.stack([grid.kx, grid.ky]).astype(np.float32)
    *_, (particle, ends, entries) = sparse.operators(particles, weights, grid)
    # A last chunk may reach beyond the entries.
    more = sparse.spare_length(len(particle)) + CHUNK
    block = Block(
        rotations=jnp.asarray(particles.rotations.reshape(-1, 9)),
        pixels=jnp.asarray(np.pad(pixels, ((0, 0), (0, 0), (0, rest)))),
        plane=jnp.asarray(np.pad(plane, ((0, 0), (0, rest)))),
        # Every column of the half ball is symmetric about z = 0.
        columns=grid.lookup[:, :, grid.lookup.shape[2] // 2].ravel(),
        entries=jnp.asarray(np.pad(entries, ((0, 0), (0, more)))),
        particle=jnp.asarray(np.pad(particle, (0, more))),
        ends=jnp.asarray(ends),
        edge=grid.lookup.shape[0],
    )
    return jax.device_put(block, device)


def make_tables(
    tiles: Sequence[Sequence[Complex[np.ndarray, " v"]]], device: Device
) -> list[tuple[Float[Array, "v w"], Float[Array, "v w"]]]:
    """Real and imaginary parts of a tile of classes each."""
    rows = (np.stack(tile, 1) for tile in tiles)
    return jax.device_put([(np.real(r).copy(), np.imag(r).copy()) for r in rows], device)


def log_likelihoods(
    block: Block, tables: Sequence[tuple[Float[Array, "v w"], Float[Array, "v w"]]]
) -> np.ndarray:
    """Σ Re(F − P/2)·conj(P) of each particle and class: −½|F − P|² without the constant −½|F|²."""
    found = [slice_and_compare(block, *table) for table in tables]
    return np.concatenate([np.asarray(f) for f in found], 1)


def interpreted() -> bool:
    """Whether there is no GPU to compile for."""
    return jax.default_backend() == "cpu"


def _call(
    kernel: Callable[..., None],
    grid: tuple[int, ...],
    shapes: jax.ShapeDtypeStruct | list[jax.ShapeDtypeStruct],
) -> Callable:
    return pl.pallas_call(
        kernel,
        out_shape=shapes,
        grid=grid,
        interpret=interpreted(),
        compiler_params=None if interpreted() else triton.CompilerParams(num_warps=1),
    )


@eqx.filter_jit
def slice_and_compare(
    block: Block, real: Float[Array, "v w"], imaginary: Float[Array, "v w"]
) -> Float[Array, "b w"]:
    """One tile of `log_likelihoods`."""
    b, _, q = block.pixels.shape
    kernel = partial(_compare, edge=block.edge, n_voxels=len(real), n_chunks=q // CHUNK)
    shape = jax.ShapeDtypeStruct((b, real.shape[1]), jnp.float32)
    operands = (block.rotations, block.pixels, block.plane, block.columns, real, imaginary)
    return _call(kernel, (b,), shape)(*operands)


def _compare(
    rotations, pixels, plane, columns, real, imaginary, out, *, edge, n_voxels, n_chunks
) -> None:
    """Program of one particle: its slices of all classes, a chunk of pixels at a time."""
    i, width = pl.program_id(0), 2 * edge - 1
    a = [rotations[i, j] for j in range(6)]

    def chunk(step, total):
        here = pl.ds(step * CHUNK, CHUNK)
        kx, ky = plane[0, here], plane[1, here]
        x, y, z = (a[axis] * kx + a[3 + axis] * ky for axis in range(3))
        sign = jnp.where(x < 0, -1.0, 1.0)
        x, y, z = x * sign, y * sign, z * sign
        x0, y0, z0 = jnp.floor(x), jnp.floor(y), jnp.floor(z)
        fx, fy, fz = x - x0, y - y0, z - z0
        first = x0.astype(jnp.int32) * width + y0.astype(jnp.int32) + edge - 1
        weight = pixels[i, 2, here]
        re = im = jnp.zeros((CHUNK, TILE), jnp.float32)
        for dx, wx in ((0, 1 - fx), (1, fx)):
            for dy, wy in ((0, 1 - fy), (1, fy)):
                place = jnp.clip(first + dx * width + dy, 0, edge * width - 1)
                row = columns[place] + z0.astype(jnp.int32)
                for dz, wz in ((0, 1 - fz), (1, fz)):
                    at = jnp.clip(row + dz, 0, n_voxels - 1)
                    w = (weight * wx * wy * wz)[:, None]
                    re, im = re + w * real[at, :], im + w * imaginary[at, :]
        own_re, own_im = pixels[i, 0, here][:, None], (sign * pixels[i, 1, here])[:, None]
        return total + jnp.sum((own_re - 0.5 * re) * re + (own_im - 0.5 * im) * im, 0)

    out[i, :] = jax.lax.fori_loop(0, n_chunks, chunk, jnp.zeros(TILE, jnp.float32))


empty_sums = sparse.empty_sums
add_lanes = sparse.add_lanes


def insert(
    block: Block, posteriors: Float[np.ndarray, "b c"], sums: list[TileSums]
) -> list[TileSums]:
    """Sums with Σ p·Pᵀ F (real and imaginary part) and Σ p·PᵀP (diagonal) added."""
    device = block.pixels.device
    parts = np.split(posteriors, len(sums), 1)
    return [add_up(block, jax.device_put(p, device), s) for p, s in zip(parts, sums, strict=True)]


@eqx.filter_jit
def add_up(block: Block, posteriors: Float[Array, "b w"], sums: TileSums) -> TileSums:
    """One tile of `insert`."""
    n_voxels = len(block.ends) - 1
    shapes = [jax.ShapeDtypeStruct(s.shape, s.dtype) for s in sums]
    operands = (block.ends, block.particle, block.entries, posteriors, *sums)
    real, imaginary, denominator = _call(_add, (n_voxels,), shapes)(*operands)
    return real, imaginary, denominator


def _add(ends, particle, entries, posteriors, real, imaginary, weight, *out) -> None:
    """Program of one voxel: its entries in their order, a chunk at a time."""
    v = pl.program_id(0)
    start, end = ends[v], ends[v + 1]

    def chunk(step, totals):
        at = start + step * CHUNK
        here = pl.ds(at, CHUNK)
        inside = at + jnp.arange(CHUNK) < end
        p = posteriors[particle[here], :]
        return [
            total + jnp.sum(jnp.where(inside, entries[part, here], 0.0)[:, None] * p, 0)
            for part, total in enumerate(totals)
        ]

    n_chunks = (end - start + CHUNK - 1) // CHUNK
    zeros = [jnp.zeros(TILE, jnp.float32)] * 3
    totals = jax.lax.fori_loop(0, n_chunks, chunk, zeros)
    for written, before, total in zip(out, (real, imaginary, weight), totals, strict=True):
        written[v, :] = before[v, :] + total
