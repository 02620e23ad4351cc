"""Sums of the M-step over the blocks of a pass."""

from typing import Generic

import equinox as eqx
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators.backend import Block, LaneSums, Tables
from emjax.classify.operators.layout import LANES, BlockRows
from emjax.classify.operators.passes import Engine
from emjax.classify.operators.sparse import TILE


class Sums(eqx.Module):
    """What the M-step needs: numerators and denominators of every class by half-set."""

    numerator: Complex[Array | np.ndarray, "2 c v"]
    denominator: Float[Array | np.ndarray, "2 c v"]


class Accumulator(Generic[Block, Tables, LaneSums]):
    """Adds up the insertions of blocks, lane by lane, in the order of the calls."""

    def __init__(self, engine: Engine[Block, Tables, LaneSums], n_columns: int):
        """Empty sums for so many columns, in the memory of the last ones where there are any."""
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
