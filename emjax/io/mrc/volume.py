"""Maps read and written as MRC files, and stacks of images written in the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.files import atomic_path
from emjax.io.mrc.header import make_header, read_header


def read_volume(path: str | Path, box_size: int | None = None) -> tuple[np.ndarray, float]:
    """Read a cubic map.

    Args:
        path: an MRC file of mode 0, 1, 2, 6 or 12, in either byte order.
        box_size: the side it must have, in voxels; None: any.

    Returns:
        The map as float32 `[d, d, d]` (axes z, y, x) and its voxel size in Å.

    Raises:
        InputError: when it is no readable cubic map, has another box, no voxel size, or NaN.
    """
    header = read_header(path)
    z, y, x = header.shape
    if not x == y == z:
        raise InputError(path, None, f"a box of {x} x {y} x {z} voxels", "a cubic map")
    if box_size is not None and x != box_size:
        raise InputError(path, None, f"a box of {x} voxels", f"a box of {box_size} voxels")
    if header.voxel_size is None:
        raise InputError(path, "MRC header, cell", "no voxel size", "a voxel size in Å")
    volume = np.array(header.open(), np.float32)
    if not np.isfinite(volume).all():
        voxel = tuple(int(i) for i in np.argwhere(~np.isfinite(volume))[0])
        raise InputError(path, f"voxel z, y, x = {voxel}", volume[voxel], "finite densities")
    return volume, header.voxel_size


def write_volume(path: str | Path, volume: np.ndarray, voxel_size: float) -> None:
    """Write a map (mode 2, axes z, y, x, origin 0), so that maps of one run overlay in ChimeraX.

    Args:
        path: the file.
        volume: densities `[d, d, d]`.
        voxel_size: in Å.

    Raises:
        InputError: when the file cannot be written.
    """
    _write(path, volume, voxel_size, stack=False)


def write_stack(path: str | Path, images: np.ndarray, pixel_size: float) -> None:
    """Write a stack of images (mode 2).

    Args:
        path: the file, `.mrcs` for RELION.
        images: `[n, d, d]`.
        pixel_size: in Å.

    Raises:
        InputError: when the file cannot be written.
    """
    _write(path, images, pixel_size, stack=True)


def _write(path: str | Path, data: np.ndarray, size: float, stack: bool) -> None:
    """Not by mrcfile's writer: its label holds the time, and it leaves a full disk's file open."""
    data = np.ascontiguousarray(data, "<f4")
    with atomic_path(path) as beside, beside.open("wb") as stream:
        stream.write(make_header(data, size, stack))
        stream.write(data.data)
