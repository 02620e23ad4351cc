"""One pass of the data for every class of every run.

Poses, CTFs and images are the same in all iterations, classes and seeds, so the classes of all
runs are columns of one table, in tiles of a fixed width: a run's numbers do not depend on which
other runs share the pass. Particles come in blocks of a fixed size from one half-set each; blocks
take turns in four lanes, each with sums of its own that are added up in their order in the end.
Lanes work at the same time, on threads of a processor or on several devices, and the numbers do
not depend on how many there are.

What a block holds, and how it slices and inserts, is the matter of a backend: `native` (compiled,
on CPUs), `pallas` (Pallas, on GPUs) and `sparse` (plain JAX, anywhere).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators import native, pallas, sparse
from emjax.classify.operators.layout import BLOCK_PIXELS, LANES, BlockRows, Layout, make_layout
from emjax.classify.operators.sparse import TILE
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles, coarsen, fetch_pages, forget_pages, weights_of
from emjax.machine import cores

COLUMN_BYTES = 140  # a voxel and class: table, sums of the lanes, their totals and copies

Block = Any  # of the backend
Tables = Any
Result = TypeVar("Result")


@runtime_checkable
class Backend(Protocol):
    """Functions of a module that slices and inserts blocks of particles."""

    __name__: str

    def gigabytes(self, n: int, grid: FourierGrid) -> float: ...
    def make_block(
        self,
        particles: Particles,
        weights: Float[np.ndarray, "b p"],
        n: int,
        grid: FourierGrid,
        device: Any,
    ) -> Block:
        """What slicing and inserting needs of particles.

        Args:
            particles: of one half-set, filled up to the block's size.
            weights: of their pixels, zero for the padding.
            n: how many are no padding.
            grid: pixels and voxels.
            device: where the block lies.
        """
        ...

    def make_tables(
        self, tiles: Sequence[Sequence[Complex[np.ndarray, " v"]]], device: Any
    ) -> Tables:
        """What slicing needs of the coefficients of TILE classes each."""
        ...

    def log_likelihoods(self, block: Block, tables: Tables) -> np.ndarray: ...
    def empty_sums(self, n_tiles: int, n_voxels: int, device: Any, old: Any) -> Any:
        """Sums before the first block, in the memory of an earlier pass where it serves."""
        ...

    def insert(self, block: Block, posteriors: np.ndarray, sums: Any) -> Any: ...
    def add_lanes(self, lanes: Any, numerator: np.ndarray, denominator: np.ndarray) -> None: ...


def choose_backend() -> Backend:
    """The fastest backend for the devices JAX runs on."""
    if jax.default_backend() == "cpu":
        return native if native.available() else sparse
    return pallas if jax.default_backend() == "gpu" else sparse


def describe_backend() -> str:
    """Its name, and what is slower with it."""
    backend = choose_backend()
    name = backend.__name__.split(".")[-1]
    if backend is not sparse or jax.default_backend() != "cpu":
        return name
    return f"{name}, a third of the speed or less: no C compiler served when emjax was built"


@dataclass
class Engine:
    """Particles in blocks, as many of them kept as fit in memory, the rest made when needed."""

    particles: Particles
    grid: FourierGrid
    layout: Layout
    max_memory_gb: float
    backend: Backend
    lowest_frequency: float = 0.0
    _blocks: dict[int, Block] = field(default_factory=dict)
    spare_sums: list[Any] = field(default_factory=list)  # of the lanes in a pass that is over

    @property
    def n_kept(self) -> int:
        """Blocks that stay in memory; half of it is for tables, sums and results."""
        one = self.backend.gigabytes(self.layout.block_size, self.grid)
        return min(len(self.layout.blocks), int(self.max_memory_gb / 2 / one))

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
        most = max(TILE, int(self.max_memory_gb / 4 / gigabytes) // TILE * TILE)
        start = columns = 0
        for i, width in enumerate(widths):
            if i > start and columns + width > most:
                yield slice(start, i)
                start, columns = i, 0
            columns += width
        yield slice(start, len(widths))

    def block(self, index: int) -> Block:
        """One block."""
        if index in self._blocks:
            return self._blocks[index]
        here, coming = self.layout.blocks[index], index + 1
        if coming < len(self.layout.blocks) and coming not in self._blocks:
            fetch_pages(self.particles, self.layout.blocks[coming].rows)
        rows = here.rows
        padded = np.concatenate([rows, np.repeat(rows[:1], self.layout.block_size - len(rows))])
        part = self.particles.take(padded)
        weights = np.array(weights_of(part, self.grid))
        weights[len(rows) :] = 0
        if self.lowest_frequency:
            weights[:, np.hypot(self.grid.kx, self.grid.ky) < self.lowest_frequency] = 0
        forget_pages(self.particles)
        device = self.device(here.lane)
        made = self.backend.make_block(part, weights, len(rows), self.grid, device)
        if index < self.n_kept:
            self._blocks[index] = made
        return made

    def forget_blocks(self) -> None:
        """Give back the memory of blocks and sums; they are made again when needed."""
        self._blocks.clear()
        self.spare_sums.clear()

    def coarser(self, radius: int) -> "Engine":
        """The same blocks of particles with frequencies up to a lower radius only."""
        particles = coarsen(self.particles, radius)
        return replace(self, particles=particles, grid=particles.grid, _blocks={}, spare_sums=[])

    def blocks(self) -> Iterator[tuple[BlockRows, Block]]:
        """Every block with its rows, in a fixed order."""
        for index, rows in enumerate(self.layout.blocks):
            yield rows, self.block(index)

    def device(self, lane: int) -> Any:
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

    def log_likelihoods(self, rows: BlockRows, block: Block, tables: list[Tables]) -> np.ndarray:
        """−½|F − P|² without the constant −½|F|² of each particle and class, by tiles."""
        return self.backend.log_likelihoods(block, tables[rows.lane])


def make_engine(
    particles: Particles,
    max_memory_gb: float = 8.0,
    seed: int = 0,
    highpass_resolution: float | None = None,
    particle_limit: int | None = None,
    block_pixels: int = BLOCK_PIXELS,
    backend: Backend | None = None,
) -> Engine:
    """Blocks over all particles in a seeded order, the half-sets taking turns.

    Args:
        particles: prepared particles.
        max_memory_gb: blocks that do not fit in half of it are made anew in each iteration.
        seed: of the order of the particles.
        highpass_resolution: frequencies coarser than this (Å) are ignored.
        particle_limit: at most so many of the particles (the first in the seeded order).
        block_pixels: pixels in one block of particles.
        backend: that slices and inserts; the fastest there is where None.
    """
    grid, backend = particles.grid, backend or choose_backend()
    lowest = lowest_frequency(highpass_resolution, particles.extent, particles.radius)
    order = np.random.default_rng(seed).permutation(particles.n)[:particle_limit]
    layout = make_layout(particles, order, block_pixels)
    return Engine(particles, grid, layout, max_memory_gb, backend, lowest)


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


def threads_at_hand() -> int:
    """Lanes that can work at the same time on this machine."""
    return min(LANES, cores())


def in_lanes(
    work: Callable[[BlockRows, Block], Result], blocks: Iterable[tuple[BlockRows, Block]]
) -> Iterator[tuple[BlockRows, Result]]:
    """Work on blocks, those of a lane in their order, and yield the results in the blocks' order.

    The caller's thread makes the next blocks (reads their images) meanwhile.
    """
    n_threads = threads_at_hand()
    pending: deque[tuple[BlockRows, Future[Result]]] = deque()
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(n_threads)]
        for rows, block in blocks:
            pending.append((rows, threads[rows.lane % n_threads].submit(work, rows, block)))
            if len(pending) > 2 * n_threads:
                done, result = pending.popleft()
                yield done, result.result()
        for done, result in pending:
            yield done, result.result()


class Sums(eqx.Module):
    """What the M-step needs: numerators and denominators of every class by half-set."""

    numerator: Complex[Array | np.ndarray, "2 c v"]
    denominator: Float[Array | np.ndarray, "2 c v"]


class Accumulator:
    """Adds up the insertions of blocks, lane by lane, in the order of the calls."""

    def __init__(self, engine: Engine, n_columns: int):
        self.n_columns, self._engine, self._backend = n_columns, engine, engine.backend
        self._n_tiles = -(-n_columns // TILE)
        self._n_voxels = int(engine.grid.kxyz.shape[0])
        self._sums = [
            engine.backend.empty_sums(self._n_tiles, self._n_voxels, engine.device(lane), old)
            for lane, old in enumerate(engine.spare_sums or [None] * LANES)
        ]
        engine.spare_sums = []

    def add(self, rows: BlockRows, block: Block, posteriors: Float[np.ndarray, "b c"]) -> None:
        """Insert the block's particles with the posteriors of all columns."""
        padded = np.zeros((len(posteriors), self._n_tiles * TILE), np.float32)
        padded[:, : self.n_columns] = posteriors
        self._sums[rows.lane] = self._backend.insert(block, padded, self._sums[rows.lane])

    def sums(self) -> Sums:
        """Totals with the Friedel mates of the plane x = 0 added; nothing is added after them."""
        plane, mates = slice(self._engine.n_plane), slice(self._engine.n_plane - 1, None, -1)
        shape = (2, self.n_columns, self._n_voxels)
        numerator, denominator = np.empty(shape, np.complex64), np.empty(shape, np.float32)
        for h in (0, 1):
            self._backend.add_lanes(self._sums[h::2], numerator[h], denominator[h])
        numerator[..., plane] += numerator[..., mates].conj()
        denominator[..., plane] += denominator[..., mates]
        self._engine.spare_sums, self._sums = self._sums, []
        return Sums(numerator, denominator)
