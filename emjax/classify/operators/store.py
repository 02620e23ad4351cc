"""Which blocks of operators stay in memory, and which are made anew in every pass.

Images may be memory-mapped: pages of the block to come are read in the background, and those of a
block that is made are given back, or all particles would count as memory of the process.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Int

from emjax.imaging.particles import Particles, fetch_pages
from emjax.machine import give_back

Block = TypeVar("Block")
Make = Callable[[Particles, int], Block]  # of padded particles, and how many are no padding


@dataclass
class BlockStore(Generic[Block]):
    """Blocks of particles, the first ones kept once they are made."""

    particles: Particles
    rows: Sequence[Int[np.ndarray, " _"]]  # of each block
    block_size: int  # particles
    n_kept: int
    _kept: dict[int, Block] = field(default_factory=dict)

    @property
    def n_held(self) -> int:
        """Blocks in memory now."""
        return len(self._kept)

    def get(self, index: int, make: Make[Block], coming: int | None = None) -> Block:
        """One block, from memory or made.

        Args:
            index: of the block.
            make: from its particles, filled up with the first of them to the block's size.
            coming: the block that is wanted next.
        """
        if index in self._kept:
            return self._kept[index]
        if coming is not None and coming not in self._kept:
            fetch_pages(self.particles, self.rows[coming])
        rows = self.rows[index]
        padded = np.concatenate([rows, np.repeat(rows[:1], self.block_size - len(rows))])
        part = self.particles.take(padded)
        give_back(self.particles.images)
        block = make(part, len(rows))
        if index < self.n_kept:
            self._kept[index] = block
        return block

    def several(self, indices: Sequence[int], make: Make[Block]) -> Iterator[Block]:
        """Blocks one after another."""
        for place, index in enumerate(indices):
            coming = indices[place + 1] if place + 1 < len(indices) else None
            yield self.get(index, make, coming)

    def forget(self) -> None:
        """Give back the memory; blocks are made again when needed."""
        self._kept.clear()


def count_kept(n_blocks: int, block_gb: float, room_gb: float, partly: bool = True) -> int:
    """How many blocks stay in memory.

    Args:
        n_blocks: all of them.
        block_gb: memory of one.
        room_gb: memory for blocks.
        partly: whether some stay where not all of them fit.
    """
    fitting = min(n_blocks, int(room_gb / block_gb))
    return fitting if partly or fitting == n_blocks else 0
