"""What a block of particles holds, and how it slices and inserts, is the matter of a backend.

`native` is compiled, for CPUs; `pallas` has kernels for GPUs; `sparse` is plain JAX, for anything.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators import native, pallas, sparse
from emjax.classify.operators.layout import Device
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles

Block = TypeVar("Block")
Tables = TypeVar("Tables")
LaneSums = TypeVar("LaneSums")


@runtime_checkable
class Backend(Protocol[Block, Tables, LaneSums]):
    """Functions of a module that slices and inserts blocks of particles."""

    __name__: str

    def gigabytes(self, n: int, grid: FourierGrid) -> float:
        """Memory of the blocks of n particles."""
        ...

    def make_block(
        self,
        particles: Particles,
        weights: Float[np.ndarray, "b p"],
        n: int,
        grid: FourierGrid,
        device: Device,
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
        self, tiles: Sequence[Sequence[Complex[np.ndarray, " v"]]], device: Device
    ) -> Tables:
        """What slicing needs of the coefficients of TILE classes each."""
        ...

    def log_likelihoods(self, block: Block, tables: Tables) -> Float[np.ndarray, "b c"]:
        """−½|F − P|² without the constant −½|F|² of each particle and class."""
        ...

    def empty_sums(
        self, n_tiles: int, n_voxels: int, device: Device, old: LaneSums | None = None
    ) -> LaneSums:
        """Sums before the first block, in the memory of an earlier pass where it serves."""
        ...

    def insert(
        self, block: Block, posteriors: Float[np.ndarray, "b c"], sums: LaneSums
    ) -> LaneSums:
        """Sums with Σ p·Pᵀ F and Σ p·PᵀP (diagonal) added."""
        ...

    def add_lanes(
        self,
        lanes: Sequence[LaneSums],
        numerator: Complex[np.ndarray, "c v"],
        denominator: Float[np.ndarray, "c v"],
    ) -> None:
        """The lanes' sums added up, as rows of classes, into arrays for them."""
        ...


Native: TypeAlias = Backend[native.Block, Float[np.ndarray, "t v 2 w"], native.LaneSums]
Pallas: TypeAlias = Backend[
    pallas.Block, list[tuple[Float[Array, "v w"], Float[Array, "v w"]]], list[sparse.TileSums]
]
Sparse: TypeAlias = Backend[sparse.Block, list[Float[Array, "v _"]], list[sparse.TileSums]]


def choose_backend() -> Native | Pallas | Sparse:
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
