"""Slicing and inserting compiled for the processor: operators are made on the way, never stored.

`native.c` computes where a particle's pixels lie from its pose each time it is used, which is
cheaper than to read that from memory. A block is so small that its price is its images. Without a
C compiler at installation it is missing, and `sparse` gives the same answers (float32 sums in
another order).
"""

import ctypes
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Int

from emjax.classify.sparse import TILE  # as in native.c
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles

_Pointer = ctypes.c_void_p


class _Grid(ctypes.Structure):
    _fields_ = [
        ("p", ctypes.c_int64),
        ("edge", ctypes.c_int64),
        ("n_voxels", ctypes.c_int64),
        ("plane", _Pointer),
        ("columns", _Pointer),
    ]


class _Particles(ctypes.Structure):
    _fields_ = [
        ("n", ctypes.c_int64),
        ("rotations", _Pointer),
        ("images", _Pointer),
        ("weights", _Pointer),
    ]


def _load() -> ctypes.CDLL | None:
    path = Path(__file__).with_name("_native" + str(sysconfig.get_config_var("EXT_SUFFIX")))
    if not path.exists():
        return None
    library = ctypes.CDLL(str(path))
    number = ctypes.c_int64
    library.log_likelihoods.argtypes = [_Grid, _Particles, number, _Pointer, _Pointer]
    library.insert.argtypes = [_Grid, _Particles, number, _Pointer, _Pointer]
    return library


_library = _load()


def available() -> bool:
    """Whether the library was built when emjax was installed."""
    return _library is not None


@dataclass(frozen=True)
class Block:
    """Particles of one half-set with all that their slices depend on."""

    rotations: Float[np.ndarray, "b 3 3"]
    images: Complex[np.ndarray, "b p"]
    weights: Float[np.ndarray, "b p"]
    plane: Float[np.ndarray, "p 2"]
    columns: Int[np.ndarray, "X Y"]  # row of the voxel (x, y, 0)
    n_voxels: int
    n: int  # the rest is padding

    def arguments(self) -> tuple[_Grid, _Particles]:
        """The block as the library takes it; the pointers live as long as the block."""
        edge = len(self.columns)
        plane, columns, *arrays = (
            a.ctypes.data
            for a in (self.plane, self.columns, self.rotations, self.images, self.weights)
        )
        grid = _Grid(len(self.plane), edge, self.n_voxels, plane, columns)
        return grid, _Particles(self.n, *arrays)


def gigabytes(n: int, grid: FourierGrid) -> float:
    """Memory of the blocks of n particles."""
    return n * (int(grid.kx.shape[0]) * 12 + 36) / 1e9


def make_block(
    particles: Particles,
    weights: Float[np.ndarray, "b p"],
    n: int,
    grid: FourierGrid,
    device: Any,
) -> Block:
    """A block of particles.

    Args:
        particles: of one half-set, filled up to the block's size.
        weights: of their pixels.
        n: how many are no padding.
        grid: pixels and voxels.
        device: does not matter here.
    """
    return Block(
        np.ascontiguousarray(particles.rotations, np.float32),
        np.ascontiguousarray(particles.images, np.complex64),
        np.ascontiguousarray(weights, np.float32),
        np.stack([grid.kx, grid.ky], -1).astype(np.float32),
        # Every column of the half ball is symmetric about z = 0.
        np.ascontiguousarray(grid.lookup[:, :, grid.lookup.shape[2] // 2]),
        grid.kxyz.shape[0],
        n,
    )


def make_tables(values: Complex[np.ndarray, "t w v"], device: Any) -> Float[np.ndarray, "t v 2 w"]:
    """Coefficients of tiles of classes, those of a voxel side by side."""
    parts = np.stack([np.real(values), np.imag(values)], 1)
    return np.ascontiguousarray(np.moveaxis(parts, 3, 1), np.float32)


def log_likelihoods(block: Block, tables: Float[np.ndarray, "t v 2 w"]) -> Float[np.ndarray, "b c"]:
    """Σ Re(F − P/2)·conj(P) of each particle and class: −½|F − P|² without the constant −½|F|²."""
    out = np.zeros((len(block.images), len(tables) * TILE), np.float32)
    _call("log_likelihoods", block, len(tables), tables, out)
    return out


def empty_sums(n_tiles: int, n_voxels: int, device: Any) -> Float[np.ndarray, "t v 3 w"]:
    """Sums before the first block."""
    return np.zeros((n_tiles, n_voxels, 3, TILE), np.float32)


def insert(
    block: Block, posteriors: Float[np.ndarray, "b c"], sums: Float[np.ndarray, "t v 3 w"]
) -> Float[np.ndarray, "t v 3 w"]:
    """Add Σ p·Pᵀ F (real and imaginary part) and Σ p·PᵀP (diagonal) to the sums in place."""
    _call("insert", block, len(sums), np.ascontiguousarray(posteriors, np.float32), sums)
    return sums


def sums_by_class(sums: Float[np.ndarray, "t v 3 w"]) -> Float[np.ndarray, "3 c v"]:
    """The sums as rows of classes."""
    return np.moveaxis(sums, 2, 0).swapaxes(2, 3).reshape(3, -1, sums.shape[1])


def _call(name: str, block: Block, n_tiles: int, *arrays: np.ndarray) -> None:
    assert _library is not None
    grid, particles = block.arguments()
    if getattr(_library, name)(grid, particles, n_tiles, *(a.ctypes.data for a in arrays)):
        raise MemoryError(f"{name}: no memory for a block of {len(block.images)} particles")
