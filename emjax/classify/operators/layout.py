"""The order of the particles: blocks of one half-set each, neighbours in view, in four lanes."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles

BLOCK_PIXELS = 400_000  # pixels in one block of particles
LANES = 4  # two for each half-set
SORTED = 512  # particles of a half-set that are ordered by view together


@runtime_checkable
class Device(Protocol):
    """What JAX computes on: one of `jax.local_devices()`, whose own class has no types."""

    @property
    def id(self) -> int:
        """Number among the local devices."""
        ...

    @property
    def platform(self) -> str:
        """Such as `cpu` and `gpu`."""
        ...


@dataclass(frozen=True)
class BlockRows:
    """Which particles a block holds (at most its size; the rest is padding)."""

    rows: Int[np.ndarray, " m"]
    half: int
    lane: int


@dataclass(frozen=True)
class Layout:
    """All blocks in their order, from one half-set and the other alternately."""

    blocks: list[BlockRows]
    block_size: int  # particles
    together: int  # blocks of a half-set that have all views between them

    @property
    def rows(self) -> Int[np.ndarray, " m"]:
        """Particles of all blocks in ascending order."""
        return np.sort(np.concatenate([block.rows for block in self.blocks]))

    def batches(self, n_particles: int) -> list[Int[np.ndarray, " _"]]:
        """Indices of consecutive blocks, about so many particles of all views and both halves."""
        n_blocks, both = len(self.blocks), 2 * self.together
        starts = np.arange(0, n_blocks, both)
        per_batch = max(1, round(n_particles / self.block_size))
        n_batches = min(len(starts), max(1, n_blocks // per_batch))
        return [
            np.arange(part[0], min(part[-1] + both, n_blocks))
            for part in np.array_split(starts, n_batches)
        ]


def make_layout(
    particles: Particles, order: Int[np.ndarray, " m"], block_pixels: int = BLOCK_PIXELS
) -> Layout:
    """Blocks of particles.

    Args:
        particles: whose half-sets and poses decide.
        order: rows to hold, mixed at random.
        block_pixels: pixels in one block.
    """
    larger_half = int(np.bincount(particles.half[order]).max())
    size = block_size(larger_half, particles.grid, block_pixels)
    together = max(1, min(SORTED, larger_half // 2) // size)
    halves = [
        [
            BlockRows(part, h, 2 * (i % 2) + h - 1)
            for i, part in enumerate(_blocks_by_view(members, particles.rotations, size, together))
        ]
        for h in (1, 2)
        if len(members := order[particles.half[order] == h])
    ]
    longest = max(len(blocks) for blocks in halves)
    blocks = [own[i] for i in range(longest) for own in halves if i < len(own)]
    return Layout(blocks, size, together)


def _blocks_by_view(
    members: Int[np.ndarray, " m"], rotations: Float[np.ndarray, "n 3 3"], size: int, together: int
) -> list[Int[np.ndarray, " _"]]:
    """Blocks of particles, those of some blocks together ordered by view."""
    groups = np.split(members, range(together * size, len(members), together * size))
    members = np.concatenate([group[by_view(rotations[group])] for group in groups])
    return np.split(members, range(size, len(members), size))


def by_view(rotations: Float[np.ndarray, "n 3 3"]) -> Int[np.ndarray, " n"]:
    """Order in which neighbours look along similar directions: slices find each other's voxels.

    Bands of latitude of the half sphere, there and back.
    """
    x, y, z = np.where(rotations[:, 2, 2:] < 0, -1, 1).T * rotations[:, 2].T
    n_bands = max(1, round((len(x) / 8) ** 0.5))  # the shortest way through random points
    band = np.minimum(np.arccos(np.clip(z, 0, 1)) / (np.pi / 2) * n_bands, n_bands - 1).astype(int)
    longitude = np.arctan2(y, x)
    return np.lexsort((np.where(band % 2, -longitude, longitude), band))


def block_size(n: int, grid: FourierGrid, block_pixels: int) -> int:
    """Particles in a block: a power of two times 16, so that few sizes are ever compiled.

    Args:
        n: particles of the larger half-set; no block is twice as large.
        grid: a block has about as many pixels as there are voxels,
        block_pixels: or as these where they are more.
    """
    pixels, voxels = int(grid.kx.shape[0]), int(grid.kxyz.shape[0])
    wanted = min(max(block_pixels, voxels) // pixels, n)
    return 16 * 2 ** max(0, round(np.log2(max(wanted, 1) / 16)))
