"""Slicing and inserting compiled for the processor: operators are made on the way, never stored.

`locate.h` computes where a particle's pixels lie from its pose each time it is used, which is
cheaper than to read that from memory; what a block holds is dominated by its images. `native.c` is
for classes by the tile, `slices.c` for many volumes and residual images. Where no C
compiler served at installation it is missing, and `sparse` gives the same answers (float32
sums in another order).
"""

import ctypes
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Complex, Float, Int

from emjax.classify.operators.layout import Device
from emjax.classify.operators.sparse import TILE  # as in native.c
from emjax.imaging.grids import FourierGrid
from emjax.imaging.particles import Particles

AHEAD, ROOM = 8, 15  # as in locate.h
VERSION = 3  # of the functions' arguments

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
    # An older one would write where it must not.
    if (
        not hasattr(library, "version")
        or ctypes.c_int64.in_dll(library, "version").value != VERSION
    ):
        raise ImportError(f"{path} was built by another version of emjax; make env builds it anew")
    library.log_likelihoods.argtypes = [_Grid, _Particles, ctypes.c_int64, *3 * [_Pointer]]
    library.count_entries.argtypes = [_Grid, _Particles, *3 * [_Pointer]]
    library.insert.argtypes = [_Grid, _Particles, ctypes.c_int64, *6 * [_Pointer]]
    for function in (library.slice_volumes, library.insert_residuals):
        function.argtypes = [_Grid, _Particles, *2 * [ctypes.c_int64], *4 * [_Pointer]]
        function.restype = None
    library.inner_products.argtypes = [_Grid, _Particles, ctypes.c_int64, *2 * [_Pointer]]
    for function in (
        library.log_likelihoods, library.count_entries, library.insert, library.inner_products
    ):  # fmt: skip
        function.restype = None
    return library


library = _load()


def available() -> bool:
    """Whether the library was built when emjax was installed."""
    return library is not None


@dataclass(frozen=True)
class Block:
    """Particles of one half-set with all that their slices depend on."""

    rotations: Float[np.ndarray, "b 3 3"]
    images: Complex[np.ndarray, "b p"]
    weights: Float[np.ndarray, "b p"]
    plane: Float[np.ndarray, "2 p"]
    columns: Int[np.ndarray, "X Y"]  # row of the voxel (x, y, 0)
    n_voxels: int
    n: int  # the rest is padding

    @cached_property
    def starts(self) -> Int[np.ndarray, " u"]:
        """Entries of voxel v when the block is inserted: starts[v] to starts[v + 1]."""
        assert library is not None
        marks = np.zeros((2, self.n_voxels), np.uint8)
        starts = np.empty(self.n_voxels + 1, np.int32)
        arrays = (self.room, marks, starts)
        library.count_entries(*self.arguments(), *(a.ctypes.data for a in arrays))
        return starts

    def arguments(self) -> tuple[_Grid, _Particles]:
        """The block as the library takes it; the pointers live as long as the block."""
        edge = len(self.columns)
        plane, columns, *arrays = (
            a.ctypes.data
            for a in (self.plane, self.columns, self.rotations, self.images, self.weights)
        )
        grid = _Grid(self.plane.shape[1], edge, self.n_voxels, plane, columns)
        return grid, _Particles(self.n, *arrays)

    @property
    def room(self) -> Float[np.ndarray, " m"]:
        """Memory that a particle's pixels are laid out in."""
        return np.empty(ROOM * (self.plane.shape[1] + AHEAD), np.float32)


def gigabytes(n: int, grid: FourierGrid) -> float:
    """Memory of a block of n particles."""
    return (n * (int(grid.kx.shape[0]) * 12 + 36) + 4 * int(grid.kxyz.shape[0])) / 1e9


def make_block(
    particles: Particles,
    weights: Float[np.ndarray, "b p"],
    n: int,
    grid: FourierGrid,
    device: Device,
) -> Block:
    """A block of particles; nothing is computed yet."""
    rotations = np.array(particles.rotations, np.float32, order="C")
    rotations.setflags(write=False)  # its entries are counted once
    return Block(
        rotations,
        np.ascontiguousarray(particles.images, np.complex64),
        np.ascontiguousarray(weights, np.float32),
        np.stack([grid.kx, grid.ky]).astype(np.float32),
        # Every column of the half ball is symmetric about z = 0.
        np.ascontiguousarray(grid.lookup[:, :, grid.lookup.shape[2] // 2]),
        grid.kxyz.shape[0],
        n,
    )


def make_tables(
    tiles: Sequence[Sequence[Complex[np.ndarray, " v"]]], device: Device
) -> Float[np.ndarray, "t v 2 w"]:
    """Coefficients of tiles of classes, those of a voxel side by side."""
    n_voxels = len(tiles[0][0])
    out = np.empty((len(tiles), n_voxels, 2, TILE), np.float32)
    for table, tile in zip(out, tiles, strict=True):
        values = np.stack(tile)
        re, im = np.real(values), np.imag(values)
        for some in portions(n_voxels):
            table[some, 0], table[some, 1] = re[:, some].T, im[:, some].T
    return out


def portions(n_voxels: int) -> Iterator[slice]:
    """Few voxels at a time, or a transposition would miss the cache."""
    return (slice(i, i + 1024) for i in range(0, n_voxels, 1024))


def log_likelihoods(block: Block, tables: Float[np.ndarray, "t v 2 w"]) -> Float[np.ndarray, "b c"]:
    """Σ Re(F − P/2)·conj(P) of each particle and class: −½|F − P|² without the constant −½|F|²."""
    assert library is not None
    out = np.zeros((len(block.images), len(tables) * TILE), np.float32)
    arrays = (block.room, tables, out)
    library.log_likelihoods(*block.arguments(), len(tables), *(a.ctypes.data for a in arrays))
    return out


@dataclass
class LaneSums:
    """Sums of a lane, and memory for a block's entries that is used again and again."""

    sums: Float[np.ndarray, "t v 3 w"]
    scratch: tuple[np.ndarray, ...] = ()


def empty_sums(
    n_tiles: int, n_voxels: int, device: Device, old: LaneSums | None = None
) -> LaneSums:
    """Sums before the first block, in the memory of a pass that is over: new pages cost time."""
    shape = (n_tiles, n_voxels, 3, TILE)
    if old is None or old.sums.shape != shape:
        scratch = old.scratch if old and old.sums.shape[1] == n_voxels else ()
        return LaneSums(np.zeros(shape, np.float32), scratch)
    old.sums.fill(0)
    return old


def insert(block: Block, posteriors: Float[np.ndarray, "b c"], sums: LaneSums) -> LaneSums:
    """Add Σ p·Pᵀ F (real and imaginary part) and Σ p·PᵀP (diagonal) to the sums in place."""
    assert library is not None
    starts = block.starts
    if not sums.scratch or len(sums.scratch[-1]) < starts[-1]:
        # New pages cost time: room for a block with some more entries.
        entries = np.empty((int(starts[-1] * 1.2), 4), np.float32)
        sums.scratch = (block.room, np.empty((block.n_voxels, 2), np.int32), entries)
    room, places, entries = sums.scratch
    own = (np.ascontiguousarray(posteriors, np.float32), sums.sums)
    arrays = (room, starts, places, entries, *own)
    library.insert(*block.arguments(), len(sums.sums), *(a.ctypes.data for a in arrays))
    return sums


def add_lanes(
    lanes: Sequence[LaneSums],
    numerator: Complex[np.ndarray, "c v"],
    denominator: Float[np.ndarray, "c v"],
) -> None:
    """The lanes' sums added up, as rows of classes, into arrays for them."""
    n_tiles, n_voxels = lanes[0].sums.shape[:2]
    re, im = np.real(numerator), np.imag(numerator)
    for t in range(n_tiles):
        own = slice(t * TILE, min((t + 1) * TILE, len(numerator)))
        for some in portions(n_voxels):
            total = sum((lane.sums[t, some] for lane in lanes[1:]), lanes[0].sums[t, some])
            real, imaginary, weight = total.transpose(1, 2, 0)[:, : own.stop - own.start]
            re[own, some], im[own, some], denominator[own, some] = real, imaginary, weight
