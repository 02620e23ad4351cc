"""Tables of sums that particles are added to, compiled for the processor where that was possible.

`insertion.c` adds what `projector.insert_images` adds, in the same order of pixels, many times
as fast: nothing but the table is written to memory. Without a C compiler at installation, and on
other devices, JAX does it.
"""

import ctypes
import sysconfig
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.imaging.grids import FourierGrid
from emjax.imaging.projector import empty_table, insert_images, table_shape
from emjax.imaging.symmetry import parse_point_group, symmetrise_table

AHEAD = 16  # as in insertion.c
VERSION = 1  # of its functions' arguments

Table = Float[np.ndarray, "X Y Z 3"] | Float[Array, "X Y Z 3"]


def _load() -> ctypes.CDLL | None:
    path = Path(__file__).with_name("_insertion" + str(sysconfig.get_config_var("EXT_SUFFIX")))
    if not path.exists():
        return None
    library = ctypes.CDLL(str(path))
    if ctypes.c_int64.in_dll(library, "version").value != VERSION:
        raise ImportError(f"{path} was built by another version of emjax; make env builds it anew")
    library.insert_images.argtypes = [*3 * [ctypes.c_int64], *6 * [ctypes.c_void_p]]
    library.insert_images.restype = None
    return library


_library = _load()


def compiled() -> bool:
    """Whether particles are added by the compiled library."""
    return _library is not None and jax.default_backend() == "cpu"


def new_table(grid: FourierGrid) -> Table:
    """Zero sums for `add_images`.

    Raises:
        InputError: where places in it would not fit in 32 bits.
    """
    return np.zeros(table_shape(grid), np.float32) if compiled() else empty_table(grid)


def add_images(
    table: Table,
    images: Complex[Array, "n p"],
    weights: Float[Array, "n p"],
    rotations: Float[np.ndarray, "n 3 3"],
    grid: FourierGrid,
) -> Table:
    """`projector.insert_images` into a table of `new_table`, whose memory is taken over.

    The compiled library lets other threads work meanwhile.
    """
    if not isinstance(table, np.ndarray):
        # Not before the last images are in: JAX would make room for all at once.
        return insert_images(
            table.block_until_ready(), images, weights, jnp.asarray(rotations, jnp.float32), grid
        )
    assert _library is not None
    plane = (grid.padding * np.stack([grid.kx, grid.ky])).astype(np.float32)
    n, p = images.shape
    arrays = [
        plane,
        np.ascontiguousarray(rotations, np.float32),
        np.ascontiguousarray(images, np.complex64),
        np.ascontiguousarray(weights, np.float32),
        np.empty(7 * (p + AHEAD), np.float32),
        table,
    ]
    _library.insert_images(n, p, len(table), *(array.ctypes.data for array in arrays))
    return table


def finished(table: Table, point_group: str) -> Float[np.ndarray, "X Y Z 3"]:
    """The sums with Friedel mates and, of a symmetric particle, its other poses added."""
    on_host = table if isinstance(table, np.ndarray) else np.array(table)
    # On the plane x = 0 a coefficient was gathered in two rows.
    on_host[0] += on_host[0, ::-1, ::-1] * np.array([1, -1, 1], np.float32)
    if parse_point_group(point_group) == ("C", 1):
        return on_host
    return np.asarray(symmetrise_table(jnp.asarray(on_host), point_group))
