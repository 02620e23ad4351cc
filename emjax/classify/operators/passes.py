"""One pass of the data for every class of every run.

Poses, CTFs and images are the same in all iterations, classes and seeds, so the classes of all
runs are columns of one table, in tiles of a fixed width: a run's numbers do not depend on which
other runs share the pass. Particles come in blocks of a fixed size from one half-set each; blocks
alternate between four lanes, each with sums of its own that are added up in their order in the end.
Lanes work at the same time, on threads of a processor or on several devices, and the numbers do
not depend on how many there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, cast

import jax
import numpy as np
from jaxtyping import Complex, Float

from emjax.classify.operators.backend import (
    Backend,
    Block,
    LaneSums,
    Tables,
    choose_backend,
)
from emjax.classify.operators.layout import (
    BLOCK_PIXELS,
    LANES,
    BlockRows,
    Device,
    Layout,
    make_layout,
)
from emjax.classify.operators.memory import block_memory
from emjax.classify.operators.sparse import TILE
from emjax.classify.operators.store import BlockStore, count_kept
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles, coarsen, weights_of

COLUMN_BYTES = 140  # per voxel and class: table, sums of the lanes, their totals and copies


@dataclass
class Engine(Generic[Block, Tables, LaneSums]):
    """Particles in blocks, as many of them kept as fit in memory, the rest made when needed."""

    particles: Particles
    grid: FourierGrid
    layout: Layout
    max_memory_gb: float  # of the host
    backend: Backend[Block, Tables, LaneSums]
    lowest_frequency: float = 0.0
    spare_sums: list[LaneSums] = field(default_factory=list)  # of lanes in a pass that is over
    memory_gb: float = field(init=False, repr=False)  # for tables, sums and results
    store: BlockStore[Block] = field(init=False, repr=False)

    def __post_init__(self):
        """Half of the memory is for blocks, the rest for tables, sums and results."""
        room = block_memory(self.max_memory_gb)
        # Sums and results come to the host too.
        self.memory_gb = min(room, self.max_memory_gb)
        rows, size = [block.rows for block in self.layout.blocks], self.layout.block_size
        one = self.backend.gigabytes(size, self.grid)
        kept = count_kept(len(rows), one, room / 2)
        self.store = BlockStore(self.particles, rows, size, kept)

    @property
    def n_kept(self) -> int:
        """Blocks that stay in memory."""
        return self.store.n_kept

    @cached_property
    def n_plane(self) -> int:
        """Rows of the plane x = 0: the first ones; those of their Friedel mates, from the last."""
        return int(np.sum(np.asarray(self.grid.kxyz)[:, 0] == 0))

    def portions(self, widths: Sequence[int]) -> Iterator[slice]:
        """Groups of columns that share a pass: their tables and sums fit in a quarter of memory.

        Args:
            widths: columns of each run; neither a run nor a tile is divided, fit or not.
        """
        gigabytes = COLUMN_BYTES * int(self.grid.kxyz.shape[0]) / 1e9
        most = max(TILE, int(self.memory_gb / 4 / gigabytes) // TILE * TILE)
        start = columns = 0
        for i, width in enumerate(widths):
            if i > start and columns + width > most:
                yield slice(start, i)
                start, columns = i, 0
            columns += width
        yield slice(start, len(widths))

    def block(self, index: int) -> Block:
        """One block; the images of the one after it are fetched meanwhile."""
        after = index + 1 if index + 1 < len(self.layout.blocks) else None

        def make(part: Particles, n: int) -> Block:
            weights = np.array(weights_of(part, self.grid))
            weights[n:] = 0
            if self.lowest_frequency:
                weights[:, np.hypot(self.grid.kx, self.grid.ky) < self.lowest_frequency] = 0
            device = self.device(self.layout.blocks[index].lane)
            return self.backend.make_block(part, weights, n, self.grid, device)

        return self.store.get(index, make, after)

    def forget_blocks(self) -> None:
        """Give back the memory of blocks and sums; they are made again when needed."""
        self.store.forget()
        self.spare_sums.clear()

    def coarser(self, radius: int) -> "Engine[Block, Tables, LaneSums]":
        """The same blocks of particles with frequencies up to a lower radius only."""
        particles = coarsen(self.particles, radius)
        return replace(self, particles=particles, grid=particles.grid, spare_sums=[])

    def blocks(self) -> Iterator[tuple[BlockRows, Block]]:
        """Every block with its rows, in a fixed order."""
        for index, rows in enumerate(self.layout.blocks):
            yield rows, self.block(index)

    def device(self, lane: int) -> Device:
        """Where a lane's blocks lie."""
        devices = jax.local_devices()
        return devices[lane % len(devices)]

    def tables(self, values: Sequence[Complex[np.ndarray, " v"]]) -> list[Tables]:
        """Tables of the coefficients of all classes for each lane; a device has them once."""
        filled = [*values, *[np.zeros_like(values[0])] * (-len(values) % TILE)]
        tiles = [filled[i : i + TILE] for i in range(0, len(filled), TILE)]
        devices = [self.device(lane) for lane in range(LANES)]
        made = {device: self.backend.make_tables(tiles, device) for device in set(devices)}
        return [made[device] for device in devices]

    def log_likelihoods(
        self, rows: BlockRows, block: Block, tables: list[Tables]
    ) -> Float[np.ndarray, "b c"]:
        """−½|F − P|² without the constant −½|F|² of each particle and class, by tiles."""
        return self.backend.log_likelihoods(block, tables[rows.lane])


def make_engine(
    particles: Particles,
    max_memory_gb: float = 8.0,
    seed: int = 0,
    highpass_resolution: float | None = None,
    particle_limit: int | None = None,
    block_pixels: int = BLOCK_PIXELS,
    backend: Backend[Block, Tables, LaneSums] | None = None,
) -> Engine[Block, Tables, LaneSums]:
    """Blocks over all particles in a seeded order, from one half-set and the other alternately.

    Args:
        particles: prepared particles.
        max_memory_gb: blocks that do not fit in half of it (on GPUs, of what these have) are made
            anew in each iteration.
        seed: of the order of the particles.
        highpass_resolution: frequencies coarser than this (Å) are ignored.
        particle_limit: at most so many of the particles (the first in the seeded order).
        block_pixels: pixels in one block of particles.
        backend: that slices and inserts; the fastest there is where None.
    """
    # Only the machine knows which backend that is; it gets nothing but what it made itself.
    chosen = backend or cast(Backend[Block, Tables, LaneSums], choose_backend())
    lowest = lowest_frequency(highpass_resolution, particles.extent, particles.radius)
    order = np.random.default_rng(seed).permutation(particles.n)[:particle_limit]
    layout = make_layout(particles, order, block_pixels)
    return Engine(particles, particles.grid, layout, max_memory_gb, chosen, lowest)


def lowest_frequency(highpass_resolution: float | None, extent: float, highest: int) -> float:
    """Fourier pixels below which frequencies are ignored.

    Raises:
        ValueError: where nothing is left.
    """
    lowest = extent / highpass_resolution if highpass_resolution else 0.0
    if lowest > highest:
        raise ValueError(
            f"highpass_resolution: found {highpass_resolution:g} Å, expected coarser than the"
            f" filter resolution of {extent / highest:.1f} Å"
        )
    return lowest
